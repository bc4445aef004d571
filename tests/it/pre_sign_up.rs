//! Cognito's PreSignUp trigger, as Cognito invokes it.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, Pool};

use crate::world::World;

/// What Cognito shows to whoever is refused.
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

/// Whether Cognito may go on; the event must come back as it went.
async fn admits(function: &Binary, event: &Value) -> bool {
    match function.invoke(event).await {
        testkit::Invocation::Answer(answer) => {
            assert_eq!(answer, *event, "nobody is confirmed or verified");
            true
        }
        testkit::Invocation::Error(message, _) => {
            assert_eq!(message, REFUSAL);
            false
        }
    }
}

#[tokio::test]
async fn addresses_and_names_that_look_like_others() {
    let world = World::start().await;
    let function = world.function("pre-sign-up", &[]).await;
    for (email, admitted) in [
        ("ada+x&c%d@example.com", true),
        ("Ada@Example.com", true),
        ("ada@xn--bcher-kva.example", true),
        // A35
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
        assert!(answer.is_failure(), "not known is not admitted: {event}");
    }
    assert!(world.cognito.requests().is_empty());
    let output = function.output();
    assert!(
        !output.contains("example") && !output.contains("5f7e"),
        "{output}"
    );
}

#[tokio::test]
async fn domains() {
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
        "no address, no domain"
    );
    let invited = trigger("AdminCreateUser", "5f7e", json!({"email": "ada@evil.org"}));
    assert!(
        admits(&function, &invited).await,
        "an administrator may invite whomever"
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
async fn a_federated_identity_joins_the_account_of_its_address() {
    let world = World::start().await;
    let more = [("LINK_PROVIDERS", "Google,Corp_SAML,Corp")];
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
        ("Corp_SAML_a_b", Some(("Corp_SAML", "a_b"))),
        ("corp_x", Some(("Corp", "x"))),
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

    // An address for which the provider does not vouch is nobody's.
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

    // (what the pool knows, whether the sign-up goes on): none of them is linked.
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
        "a trap beside the account is none"
    );

    // What ends the filter's text stays inside of it.
    world.cognito.set_answer("ListUsers", json!({"Users": []}));
    world.cognito.forget_requests();
    let event = federated("Google_123", r#"a\"b@example.com"#, "true");
    assert!(admits(&function, &event).await);
    assert_eq!(
        world.cognito.requests()[0].1["Filter"],
        r#"email = "a\\\"b@example.com""#
    );

    for operation in ["ListUsers", "AdminLinkProviderForUser"] {
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
async fn twins_in_a_pool_that_tells_cases_apart() {
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
    // A pool whose user names are addresses.
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
    assert!(!admits(&function, &named("ada")).await);
    world.cognito.set_fault(Fault::Answer(500, "{}".to_owned()));
    assert!(function.invoke(&named("ada")).await.is_failure());
}
