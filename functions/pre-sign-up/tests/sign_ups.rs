//! Who may sign up, and which federated identities are linked, over a fake Cognito.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use migrate_user::Lookup;
use pre_sign_up::{Config, PreSignUp};
use runtime::{Handler, InvocationError};
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, events};

/// Variables of the function.
type Variables<'a> = &'a [(&'a str, &'a str)];

const REFUSED: InvocationError = InvocationError::Refused("sign-up refused");
const KNOWN: InvocationError = InvocationError::Refused("already known");
const GOOGLE: (&str, &str) = ("LINK_PROVIDERS", "Google=gmail.com,example.com");

async fn fixture(more: &[(&str, &str)]) -> (PreSignUp, FakeAws) {
    let aws = FakeAws::agreeable().await;
    aws.set_answer("ListUsers", json!({"Users": []}));
    let config = Config::from_lookup(&events::variables(more)).unwrap();
    (PreSignUp::new(aws.sdk(), config, None), aws)
}

/// The same with an old store, an old user pool, which has every name.
async fn fixture_with_old_store(more: &[(&str, &str)]) -> (PreSignUp, FakeAws) {
    let old = [
        ("LEGACY_SOURCE", "cognito"),
        ("LEGACY_USER_POOL_ID", "us-east-1_Old"),
        ("LEGACY_APP_CLIENT_ID", "old-client"),
    ];
    let aws = FakeAws::agreeable().await;
    let user = json!({"Username": "ada", "Enabled": true, "UserStatus": "CONFIRMED",
        "UserAttributes": [{"Name": "sub", "Value": "old-sub"}]});
    aws.set_answer("AdminGetUser", user);
    let variables = [&old[..], more].concat();
    let mut config = Config::from_lookup(&events::variables(&variables)).unwrap();
    let legacy = config.legacy.take().unwrap();
    let legacy = Lookup::connect(legacy, &aws.sdk()).await.unwrap();
    (PreSignUp::new(aws.sdk(), config, Some(legacy)), aws)
}

async fn call(function: &PreSignUp, event: &Value) -> Result<Value, InvocationError> {
    let answer = function.handle(&events::raw(event), "request-1").await?;
    Ok(serde_json::from_str(answer.get()).unwrap())
}

fn sign_up(email: &str) -> Value {
    let mut event = events::sample("pre-sign-up/sign-up");
    event["request"]["userAttributes"]["email"] = email.into();
    event
}

fn federated(email: &str, verified: &str) -> Value {
    let mut event = events::sample("pre-sign-up/external-provider");
    let attributes = &mut event["request"]["userAttributes"];
    attributes["email"] = email.into();
    attributes["email_verified"] = verified.into();
    event
}

#[tokio::test]
async fn answers_the_samples() {
    let (function, _aws) = fixture(&[]).await;
    for name in ["sign-up", "external-provider", "external-provider-oidc"] {
        let event = events::sample(&format!("pre-sign-up/{name}"));
        let expected = events::sample(&format!("pre-sign-up/{name}.expected"));
        assert_eq!(call(&function, &event).await, Ok(expected), "{name}");
    }
    let look_alike = events::sample("pre-sign-up/look-alike");
    assert_eq!(call(&function, &look_alike).await, Err(REFUSED));
}

#[tokio::test]
async fn addresses_names_and_domains_decide() {
    let allowed = [("ALLOWED_EMAIL_DOMAINS", "example.com")];
    let denied = [("DENIED_EMAIL_DOMAINS", "mailinator.com")];
    let off = [("SIGN_UP_GUARD", "false")];
    let rows: [(&str, &str, Variables<'_>, bool); 9] = [
        ("a plain address", "ada@example.com", &[], true),
        ("no at sign", "ada.example.com", &[], false),
        ("a control character", "ada\n@example.com", &[], false),
        ("look-alike letters", "ad\u{430}@example.com", &[], false),
        ("the allowed domain", "ada@example.com", &allowed, true),
        ("another domain", "ada@example.org", &allowed, false),
        ("a longer domain", "ada@notexample.com", &allowed, false),
        ("a denied domain", "ada@mailinator.com", &denied, false),
        (
            "without guards",
            "ada@mailinator.com",
            &[off[0], denied[0]],
            true,
        ),
    ];
    for (name, email, variables, admitted) in rows {
        let (function, _aws) = fixture(variables).await;
        let event = sign_up(email);
        let expected = if admitted {
            Ok(event.clone())
        } else {
            Err(REFUSED)
        };
        assert_eq!(call(&function, &event).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_name_that_differs_in_case_only_is_refused_in_a_case_sensitive_pool() {
    let (function, aws) = fixture(&[("USERNAME_CASE_SENSITIVE", "true")]).await;
    assert_eq!(
        call(&function, &sign_up("Ada@example.com")).await,
        Err(REFUSED)
    );
    assert!(call(&function, &sign_up("ada@example.com")).await.is_ok());
    let twin = json!({"Users": [{"Username": "ADA@EXAMPLE.COM", "Enabled": true}]});
    aws.set_answer("ListUsers", twin);
    // auth-api answers as for a name that the pool has in this spelling: a refusal would reveal the account.
    assert_eq!(
        call(&function, &sign_up("ada@example.com")).await,
        Err(KNOWN)
    );
}

/// Cognito reports a migration as a sign-up, if it reports it at all, with the address that the old store has verified.
#[tokio::test]
async fn a_migrated_user_passes_the_checks_of_sign_ups() {
    let allowed = ("ALLOWED_EMAIL_DOMAINS", "example.com");
    let verified = |email: &str| {
        let mut event = sign_up(email);
        event["request"]["userAttributes"]["email_verified"] = "true".into();
        event
    };
    for email in ["ada@example.org", "ad\u{e4}@example.com"] {
        let (function, aws) = fixture_with_old_store(&[allowed]).await;
        let event = verified(email);
        assert_eq!(call(&function, &event).await, Ok(event.clone()), "{email}");
        // Without a verified address it is a client's sign-up, and gets the answer of the checks.
        aws.forget_requests();
        assert_eq!(call(&function, &sign_up(email)).await, Err(REFUSED));
        assert_eq!(aws.operations(), Vec::<String>::new(), "{email}");
        // A name that the old store does not have, or a store that does not answer, exempts no sign-up.
        for error in ["UserNotFoundException", "InternalErrorException"] {
            let fault = format!(r#"{{"__type":"{error}"}}"#);
            aws.set_fault_for("AdminGetUser", Fault::Answer(400, fault));
            assert_eq!(call(&function, &event).await, Err(REFUSED), "{email}");
        }
    }
    let (function, _aws) = fixture_with_old_store(&[allowed]).await;
    assert_eq!(
        call(&function, &sign_up("ada@example.com")).await,
        Err(KNOWN)
    );
    // The identity of a provider is not a migration.
    let federated = federated("ada@example.org", "true");
    assert_eq!(call(&function, &federated).await, Err(REFUSED));
}

#[tokio::test]
async fn incomplete_events_and_unknown_sources_are_errors() {
    let (function, _aws) = fixture(&[]).await;
    let mut unknown = sign_up("ada@example.com");
    unknown["triggerSource"] = "PreSignUp_New".into();
    let mut pool = sign_up("ada@example.com");
    pool["userPoolId"] = "".into();
    for event in [
        json!({}),
        json!([]),
        json!({"triggerSource": "PreSignUp_SignUp"}),
        unknown,
        pool,
    ] {
        assert_eq!(
            call(&function, &event).await,
            Err(InvocationError::Internal),
            "{event}"
        );
    }
}

#[tokio::test]
async fn an_identity_is_linked_only_to_the_proven_account_of_its_address() {
    let account = |status: &str, verified: &str, enabled: bool| {
        json!({
            "Username": "ada", "Enabled": enabled, "UserStatus": status,
            "Attributes": [{"Name": "email_verified", "Value": verified}],
        })
    };
    let proven = account("CONFIRMED", "true", true);
    let mut twin = proven.clone();
    twin["Username"] = "ada-2".into();
    let event = federated("ada@example.com", "true");
    let other_domain = federated("ada@example.org", "true");
    let not_verified = federated("ada@example.com", "false");
    let rows = [
        ("no account", &event, json!([]), false, true),
        ("the account", &event, json!([proven]), true, true),
        (
            "unconfirmed",
            &event,
            json!([account("UNCONFIRMED", "true", true)]),
            false,
            true,
        ),
        (
            "not verified here",
            &event,
            json!([account("CONFIRMED", "false", true)]),
            false,
            true,
        ),
        (
            "disabled",
            &event,
            json!([account("CONFIRMED", "true", false)]),
            false,
            false,
        ),
        ("two accounts", &event, json!([proven, twin]), false, false),
        (
            "not verified there",
            &not_verified,
            json!([proven]),
            false,
            true,
        ),
        (
            "not the provider's domain",
            &other_domain,
            json!([proven]),
            false,
            true,
        ),
    ];
    for (name, event, users, linked, admitted) in rows {
        let (function, aws) = fixture(&[GOOGLE]).await;
        aws.set_answer("ListUsers", json!({"Users": users}));
        let user = json!({"Username": "ada", "UserStatus": "CONFIRMED", "UserAttributes": []});
        aws.set_answer("AdminGetUser", user);
        let answer = call(&function, event).await;
        assert_eq!(answer.is_ok(), admitted, "{name}: {answer:?}");
        let called = aws
            .operations()
            .contains(&"AdminLinkProviderForUser".to_owned());
        assert_eq!(called, linked, "{name}");
    }
}

/// Cognito accepts a link with an id in the wrong case, and no sign-in ever finds it.
#[tokio::test]
async fn an_identity_is_linked_by_its_id_as_the_provider_spells_it() {
    let event = |name: &str, mapped: Option<&str>| {
        let mut event = events::sample("pre-sign-up/external-provider-oidc");
        event["userName"] = name.into();
        event["request"]["userAttributes"]["custom:subject"] = mapped.into();
        event
    };
    let sample = events::sample("pre-sign-up/external-provider-oidc");
    let (name, subject) = ("oidc_00u1a", Some("00u1A"));
    let exact = [("USERNAME_CASE_SENSITIVE", "true")];
    let rows: [(&str, Value, Variables<'_>, Option<&str>); 8] = [
        ("the sample", sample, &[], Some("00u1A2b3C4d5E6f7G8h9")),
        ("mapped", event(name, subject), &[], subject),
        ("not mapped", event(name, None), &[], None),
        ("mapped and empty", event(name, Some("")), &[], None),
        ("another id", event(name, Some("00u2A")), &[], None),
        ("no letters", event("oidc_17", None), &[], Some("17")),
        ("an exact name", event("Oidc_00u1A", None), &exact, subject),
        (
            "an exact name, another id",
            event("Oidc_00u1A", Some("00u1a")),
            &exact,
            None,
        ),
    ];
    for (name, event, variables, subject) in rows {
        let providers = ("LINK_PROVIDERS", "Oidc=example.com");
        let (function, aws) = fixture(&[variables, &[providers]].concat()).await;
        // Without an account there is nothing to link.
        assert!(call(&function, &event).await.is_ok(), "{name}");
        let account = json!({
            "Username": "ada", "Enabled": true, "UserStatus": "CONFIRMED",
            "Attributes": [{"Name": "email_verified", "Value": "true"}],
        });
        aws.set_answer("ListUsers", json!({"Users": [account]}));
        let user = json!({"Username": "ada", "UserStatus": "CONFIRMED", "UserAttributes": []});
        aws.set_answer("AdminGetUser", user);
        let answer = call(&function, &event).await;
        let expected = subject.map(|_| event).ok_or(REFUSED);
        assert_eq!(answer, expected, "{name}");
        let links = aws.requests().into_iter();
        let links = links.filter(|(operation, _)| operation == "AdminLinkProviderForUser");
        let linked: Vec<Value> = links.map(|(_, body)| body["SourceUser"].clone()).collect();
        let source = |subject| {
            json!({"ProviderName": "Oidc", "ProviderAttributeName": "Cognito_Subject",
            "ProviderAttributeValue": subject})
        };
        let expected: Vec<Value> = subject.map(source).into_iter().collect();
        assert_eq!(linked, expected, "{name}");
    }
}

#[tokio::test]
async fn an_account_with_a_second_factor_is_not_linked() {
    let (function, aws) = fixture(&[GOOGLE]).await;
    let account = json!({
        "Username": "ada", "Enabled": true, "UserStatus": "CONFIRMED",
        "Attributes": [{"Name": "email_verified", "Value": "true"}],
    });
    aws.set_answer("ListUsers", json!({"Users": [account]}));
    let user = json!({
        "Username": "ada", "UserStatus": "CONFIRMED", "UserAttributes": [],
        "UserMFASettingList": ["SOFTWARE_TOKEN_MFA"],
    });
    aws.set_answer("AdminGetUser", user);
    assert_eq!(
        call(&function, &federated("ada@example.com", "true")).await,
        Err(REFUSED)
    );
}

#[tokio::test]
async fn without_cognito_no_identity_is_linked_or_admitted() {
    let (function, aws) = fixture(&[GOOGLE]).await;
    aws.set_fault(Fault::Answer(
        400,
        r#"{"__type":"TooManyRequestsException"}"#.to_owned(),
    ));
    let answer = call(&function, &federated("ada@example.com", "true")).await;
    assert_eq!(answer, Err(InvocationError::Internal));
}
