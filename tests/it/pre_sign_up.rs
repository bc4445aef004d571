//! Cognito's PreSignUp trigger, with Cognito's events.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, Pool};

use crate::world::World;

/// The text that Cognito shows for a rejected sign-up.
const REFUSAL: &str = "sign-up refused";

fn trigger(source: &str, name: &str, attributes: Value) -> Value {
    json!({
        "version": "1", "region": "us-east-1", "userPoolId": Pool::ours().id,
        "userName": name, "triggerSource": format!("PreSignUp_{source}"),
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "x"},
        "request": {"userAttributes": attributes, "validationData": null, "new": [1]},
        "response": {"autoConfirmUser": false, "autoVerifyEmail": false, "autoVerifyPhone": false},
        "another": {"new": "member"},
    })
}

fn sign_up(email: &str) -> Value {
    trigger("SignUp", "5f7e-sub", json!({"email": email}))
}

/// Whether the trigger admits the sign-up; the event must be returned unchanged.
async fn admits(function: &Binary, event: &Value) -> bool {
    match function.invoke(event).await {
        testkit::Invocation::Answer(answer) => {
            assert_eq!(answer, *event, "the trigger confirms and verifies no user");
            true
        }
        testkit::Invocation::Error(message, _) => {
            assert_eq!(message, REFUSAL);
            false
        }
    }
}

#[tokio::test]
async fn rejects_lookalike_addresses_and_names() {
    let world = World::start().await;
    let function = world.function("pre-sign-up", &[]).await;
    for (email, admitted) in [
        ("ada+x&c%d@example.com", true),
        ("Ada@Example.com", true),
        ("ada@xn--bcher-kva.example", true),
        ("\u{430}da@example.com", false),
        ("ada@ex\u{430}mple.com", false),
        ("ada@xn--pple-43d.com", false),
        ("Zoe\u{308}@example.com", false),
        ("Zo\u{eb}@example.com", false),
        ("\u{212a}ate@example.com", false),
        ("ada\u{200b}@example.com", false),
        ("ada@example.com\r\nbcc: eve@example.com", false),
        ("ada", false),
        ("ada@localhost", false),
    ] {
        assert_eq!(
            admits(&function, &sign_up(email)).await,
            admitted,
            "{email:?}"
        );
        let invited = trigger("AdminCreateUser", "5f7e-sub", json!({"email": email}));
        assert_eq!(admits(&function, &invited).await, admitted, "{email:?}");
    }
    for (name, admitted) in [
        ("ada", true),
        ("Zo\u{eb}", true),
        ("p\u{430}ypal", false),
        ("a\u{202e}b", false),
    ] {
        let named = trigger("SignUp", name, json!({}));
        assert_eq!(admits(&function, &named).await, admitted, "{name:?}");
        let preferred = trigger("SignUp", "5f7e-sub", json!({"preferred_username": name}));
        assert_eq!(admits(&function, &preferred).await, admitted, "{name:?}");
    }
    for event in [
        json!(null),
        json!([]),
        json!({}),
        trigger("New", "x", json!({})),
    ] {
        let answer = function.invoke(&event).await;
        assert!(
            answer.is_failure(),
            "a failed look-up rejects the sign-up: {event}"
        );
    }
    assert!(world.cognito.requests().is_empty());
    let output = function.output();
    assert!(
        !output.contains("example") && !output.contains("5f7e"),
        "{output}"
    );
}

#[tokio::test]
async fn sign_up_domains_are_restricted() {
    let world = World::start().await;
    let more = [
        ("ALLOWED_EMAIL_DOMAINS", "example.com,*.example.com"),
        ("DENIED_EMAIL_DOMAINS", "old.example.com"),
    ];
    let function = world.function("pre-sign-up", &more).await;
    for (email, admitted) in [
        ("ada@example.com", true),
        ("ada@EXAMPLE.com", true),
        ("ada@new.example.com", true),
        ("ada@old.example.com", false),
        ("ada@Old.Example.Com", false),
        ("ada@example.com.evil.org", false),
        ("ada@notexample.com", false),
        ("ada@example.com@evil.org", false),
        ("\"ada@example.com\"@evil.org", false),
        ("ada@evil.org", false),
    ] {
        assert_eq!(
            admits(&function, &sign_up(email)).await,
            admitted,
            "{email}"
        );
    }
    assert!(
        !admits(&function, &trigger("SignUp", "ada", json!({}))).await,
        "without an address there is no domain"
    );
    let invited = trigger("AdminCreateUser", "5f7e", json!({"email": "ada@evil.org"}));
    assert!(
        admits(&function, &invited).await,
        "an administrator may invite any address"
    );
    for (verified, admitted) in [
        (json!("true"), true),
        (json!(true), true),
        (json!("false"), false),
        (json!(null), false),
    ] {
        let attributes = json!({"email": "ada@example.com", "email_verified": verified});
        let event = trigger("ExternalProvider", "Google_123", attributes);
        assert_eq!(admits(&function, &event).await, admitted, "{verified}");
    }
    for wrong in ["example", "*.com", "a@example.com", "exa mple.com"] {
        let lookup = |name: &str| (name == "DENIED_EMAIL_DOMAINS").then(|| wrong.to_owned());
        assert!(
            pre_sign_up::Config::from_lookup(&lookup).is_err(),
            "{wrong}"
        );
    }
}

fn account(name: &str, status: &str, enabled: bool, verified: &str) -> Value {
    json!({"Username": name, "UserStatus": status, "Enabled": enabled, "Attributes": [
        {"Name": "sub", "Value": name}, {"Name": "email", "Value": "ada@example.com"},
        {"Name": "email_verified", "Value": verified},
    ]})
}

fn federated(name: &str, email: &str, verified: &str) -> Value {
    trigger(
        "ExternalProvider",
        name,
        json!({"email": email, "email_verified": verified}),
    )
}

#[tokio::test]
async fn federated_identities_are_linked_by_verified_address() {
    let world = World::start().await;
    let more = [("LINK_PROVIDERS", "Google=example.com;Corp_SAML=*;Corp=*")];
    let function = world.function("pre-sign-up", &more).await;
    let linked = |requests: Vec<(String, Value)>| -> Vec<Value> {
        let links = requests
            .into_iter()
            .filter(|(name, _)| name == "AdminLinkProviderForUser");
        links.map(|(_, body)| body).collect()
    };
    let proven = || account("ada-sub", "CONFIRMED", true, "true");
    let unproven = || account("eve-sub", "CONFIRMED", true, "false");
    let google = || federated("Google_123", "Ada@example.com", "true");

    world
        .cognito
        .set_answer("ListUsers", json!({"Users": [proven()]}));
    let standing = json!({"Username": "ada-sub", "UserStatus": "CONFIRMED"});
    world.cognito.set_answer("AdminGetUser", standing);
    assert!(admits(&function, &google()).await);
    let requests = world.cognito.requests();
    assert_eq!(requests[0].1["Filter"], r#"email = "Ada@example.com""#);
    assert_eq!(requests[1].1["Filter"], r#"email = "ada@example.com""#);
    let pool = Pool::ours().id;
    assert_eq!(
        linked(requests),
        [json!({
            "UserPoolId": pool,
            "DestinationUser": {"ProviderName": "Cognito", "ProviderAttributeValue": "ada-sub"},
            "SourceUser": {"ProviderName": "Google", "ProviderAttributeName": "Cognito_Subject",
                "ProviderAttributeValue": "123"},
        })]
    );

    for (name, source) in [
        ("google_123", Some(("Google", "123"))),
        ("Corp_SAML_1_2", Some(("Corp_SAML", "1_2"))),
        ("corp_7", Some(("Corp", "7"))),
        ("Facebook_123", None),
        ("Google_", None),
        ("Google", None),
        ("", None),
    ] {
        world.cognito.forget_requests();
        assert!(
            admits(&function, &federated(name, "ada@example.com", "true")).await,
            "{name}"
        );
        let links = linked(world.cognito.requests());
        let ours = links.first().map(|link| {
            let source = &link["SourceUser"];
            (
                source["ProviderName"].as_str().unwrap(),
                source["ProviderAttributeValue"].as_str().unwrap(),
            )
        });
        assert_eq!(ours, source, "{name}");
    }

    // An id with letters is the one of the attribute: the name may have it in lower case.
    for (mapped, source) in [
        (json!("AbC"), Some("AbC")),
        (json!("x"), None),
        (json!(null), None),
    ] {
        world.cognito.forget_requests();
        let mut event = federated("corp_abc", "ada@example.com", "true");
        event["request"]["userAttributes"]["custom:subject"] = mapped;
        assert_eq!(admits(&function, &event).await, source.is_some(), "{event}");
        let links = linked(world.cognito.requests());
        let ours = links
            .first()
            .map(|link| &link["SourceUser"]["ProviderAttributeValue"]);
        assert_eq!(ours.and_then(Value::as_str), source, "{event}");
    }
    for outcome in ["unknown_subject", "other_subject"] {
        assert!(function.output().contains(outcome));
    }

    // A verified address is not trusted if the provider is not authoritative for its domain.
    world.cognito.forget_requests();
    let ghost = federated("Google_123", "ada@corp.example", "true");
    assert!(admits(&function, &ghost).await);
    assert!(world.cognito.requests().is_empty());

    // An account with a second factor is not linked.
    for factor in [
        json!({"UserMFASettingList": ["SOFTWARE_TOKEN_MFA"]}),
        json!({"PreferredMfaSetting": "SOFTWARE_TOKEN_MFA"}),
        json!({"MFAOptions": [{"DeliveryMedium": "SMS"}]}),
    ] {
        let mut standing = json!({"Username": "ada-sub", "UserStatus": "CONFIRMED"});
        standing
            .as_object_mut()
            .unwrap()
            .extend(factor.as_object().unwrap().clone());
        world.cognito.set_answer("AdminGetUser", standing);
        world.cognito.forget_requests();
        assert!(!admits(&function, &google()).await, "{factor}");
        assert!(linked(world.cognito.requests()).is_empty(), "{factor}");
    }
    let standing = json!({"Username": "ada-sub", "UserStatus": "CONFIRMED"});
    world.cognito.set_answer("AdminGetUser", standing);

    // An address that the provider has not verified is not linked.
    world.cognito.forget_requests();
    for verified in ["false", "", "TRUE"] {
        assert!(
            admits(
                &function,
                &federated("Google_123", "ada@example.com", verified)
            )
            .await
        );
    }
    assert!(world.cognito.requests().is_empty());

    // (users of the pool, whether the sign-up is admitted): no account is linked.
    let unconfirmed = account("eve-sub", "UNCONFIRMED", true, "true");
    let other = account("Facebook_9", "EXTERNAL_PROVIDER", true, "true");
    let disabled = account("ada-sub", "CONFIRMED", false, "true");
    for (users, admitted) in [
        (json!([]), true),
        (json!([unproven()]), true),
        (json!([unconfirmed]), true),
        (json!([other]), true),
        (json!([disabled]), false),
        (
            json!([proven(), account("twin-sub", "CONFIRMED", true, "true")]),
            false,
        ),
    ] {
        world
            .cognito
            .set_answer("ListUsers", json!({"Users": users}));
        world.cognito.forget_requests();
        assert_eq!(admits(&function, &google()).await, admitted, "{users}");
        assert!(linked(world.cognito.requests()).is_empty(), "{users}");
    }
    let mixed = json!({"Users": [unproven(), proven()]});
    world.cognito.set_answer("ListUsers", mixed);
    world.cognito.forget_requests();
    assert!(admits(&function, &google()).await);
    assert_eq!(
        linked(world.cognito.requests()).len(),
        1,
        "an unproven account does not prevent linking the proven one"
    );

    // A quote in the address cannot end the filter's string.
    world.cognito.set_answer("ListUsers", json!({"Users": []}));
    world.cognito.forget_requests();
    let event = federated("Google_123", r#"a\"b@example.com"#, "true");
    assert!(admits(&function, &event).await);
    assert_eq!(
        world.cognito.requests()[0].1["Filter"],
        r#"email = "a\\\"b@example.com""#
    );

    for operation in ["ListUsers", "AdminGetUser", "AdminLinkProviderForUser"] {
        world
            .cognito
            .set_answer("ListUsers", json!({"Users": [proven()]}));
        let fault = Fault::Answer(400, r#"{"__type":"InvalidParameterException"}"#.to_owned());
        world.cognito.set_fault_for(operation, fault);
        assert!(function.invoke(&google()).await.is_failure(), "{operation}");
        world.cognito.set_fault(Fault::None);
    }
}

#[tokio::test]
async fn case_sensitive_pools_reject_case_variants() {
    let world = World::start().await;
    let function = world
        .function("pre-sign-up", &[("USERNAME_CASE_SENSITIVE", "true")])
        .await;
    world.cognito.set_answer("ListUsers", json!({"Users": []}));
    let named = |name: &str| trigger("SignUp", name, json!({"email": "ada@example.com"}));
    assert!(admits(&function, &named("ada")).await);
    let asked: Vec<String> = world
        .cognito
        .requests()
        .into_iter()
        .map(|(_, body)| body["Filter"].as_str().unwrap().to_owned())
        .collect();
    for filter in [
        r#"username = "ADA""#,
        r#"email = "Ada@example.com""#,
        r#"email = "ADA@EXAMPLE.COM""#,
    ] {
        assert!(
            asked.iter().any(|one| one == filter),
            "{filter} in {asked:?}"
        );
    }
    assert!(!admits(&function, &named("Ada")).await);
    let event = trigger("SignUp", "ada", json!({"email": "Ada@example.com"}));
    assert!(!admits(&function, &event).await);
    // A pool whose usernames are addresses.
    world.cognito.forget_requests();
    assert!(admits(&function, &named("ada@example.com")).await);
    let asked = world.cognito.requests();
    for attribute in ["username", "email"] {
        let filter = format!(r#"{attribute} = "ADA@EXAMPLE.COM""#);
        assert!(
            asked.iter().any(|(_, body)| body["Filter"] == filter),
            "{filter}"
        );
    }
    let twin = account("ADA", "CONFIRMED", true, "true");
    world
        .cognito
        .set_answer("ListUsers", json!({"Users": [twin]}));
    // The answer is that to a known name, and only the log has the reason.
    assert_eq!(answer(&function, &named("ada")).await, "already known");
    assert!(function.output().contains("case_twin"));
    world.cognito.set_fault(Fault::Answer(500, "{}".to_owned()));
    assert!(function.invoke(&named("ada")).await.is_failure());
}

/// pre-sign-up's response; for an admitted user it must be the event.
async fn answer(function: &Binary, event: &Value) -> String {
    match function.invoke(event).await {
        testkit::Invocation::Answer(answer) => {
            assert_eq!(answer, *event);
            "admitted".to_owned()
        }
        testkit::Invocation::Error(message, _) => message,
    }
}

#[tokio::test]
async fn names_of_unmigrated_users_are_reserved() {
    let world = World::start().await;
    let old = testkit::FakeAws::agreeable().await;
    let url = old.url();
    let more = [
        ("LEGACY_SOURCE", "cognito"),
        ("LEGACY_USER_POOL_ID", "us-east-1_Old"),
        ("LEGACY_APP_CLIENT_ID", "old-client"),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", url.as_str()),
    ];
    let function = world.function("pre-sign-up", &more).await;
    let off = [&more[..], &[("SIGN_UP_GUARD", "false")]].concat();
    let unguarded = world.function("pre-sign-up", &off).await;
    let user = json!({"Username": "ada", "Enabled": true, "UserStatus": "CONFIRMED",
        "UserAttributes": [{"Name": "sub", "Value": "old-sub"}]});
    let sub = "5f7e0000-0000-4000-8000-000000000000";
    let look_alike = trigger("SignUp", "p\u{430}ypal", json!({}));
    old.set_answer("AdminGetUser", user);
    for function in [&function, &unguarded] {
        for (source, attributes, answered) in [
            (
                "SignUp",
                json!({"email": "ada@example.com"}),
                "already known",
            ),
            (
                "SignUp",
                json!({"phone_number": "+15551234567"}),
                "already known",
            ),
            // A migration is admitted with any of Cognito's trigger sources.
            (
                "SignUp",
                json!({"email": "ada@example.com", "email_verified": "true"}),
                "admitted",
            ),
            (
                "AdminCreateUser",
                json!({"email": "\u{430}da@example.com"}),
                "admitted",
            ),
            (
                "UserMigration",
                json!({"email": "ada@example.com"}),
                "admitted",
            ),
        ] {
            let event = trigger(source, sub, attributes);
            assert_eq!(answer(function, &event).await, answered, "{event}");
        }
        let named = trigger("SignUp", "ada", json!({}));
        assert_eq!(answer(function, &named).await, "already known");
    }
    assert_eq!(answer(&function, &look_alike).await, REFUSAL);

    let unknown = Fault::Answer(400, r#"{"__type":"UserNotFoundException"}"#.to_owned());
    old.set_fault_for("AdminGetUser", unknown);
    let event = trigger("SignUp", sub, json!({"email": "ada@example.com"}));
    old.forget_requests();
    assert_eq!(answer(&function, &event).await, "admitted");
    let asked = old.requests();
    assert!(
        asked.iter().all(|(_, body)| body["Username"] != sub),
        "{asked:?}"
    );
    assert_eq!(answer(&unguarded, &look_alike).await, "admitted");
    assert!(
        function
            .invoke(&trigger("New", sub, json!({})))
            .await
            .is_failure()
    );

    old.set_fault(Fault::Cut);
    assert_eq!(answer(&function, &event).await, "Internal Server Error");
    old.set_fault(Fault::Hang);
    assert_eq!(answer(&function, &event).await, "Internal Server Error");
    let output = function.output();
    assert!(output.contains("still_to_be_moved"), "{output}");
    assert!(!output.contains("example.com"), "{output}");
}
