//! Cognito's PreTokenGeneration trigger, with Cognito's events.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::path::{Path, PathBuf};

use pre_token_generation::{Config, PreTokenGeneration};
use runtime::{Handler, InvocationError};
use serde_json::{Value, json};
use testkit::{Pool, events};

async fn start(more: &[(&str, &str)]) -> PreTokenGeneration {
    let config = Config::from_lookup(&events::variables(more)).unwrap();
    let Ok(function) = PreTokenGeneration::start(config).await;
    function
}

async fn call(function: &PreTokenGeneration, event: &Value) -> Result<Value, InvocationError> {
    let answer = function.handle(&events::raw(event), "request-1").await?;
    Ok(serde_json::from_str(answer.get()).unwrap())
}

fn trigger(attributes: Value, groups: Value) -> Value {
    json!({
        "version": "2", "triggerSource": "TokenGeneration_Authentication", "region": "us-east-1",
        "userPoolId": Pool::ours().id, "userName": "ada",
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "x"},
        "request": {
            "userAttributes": attributes,
            "groupConfiguration": {"groupsToOverride": groups, "iamRolesToOverride": [],
                "preferredRole": null},
            "scopes": ["aws.cognito.signin.user.admin"],
        },
        "response": {"claimsAndScopeOverrideDetails": null}, "another": {"new": "member"},
    })
}

/// The claims that are added to both tokens.
async fn claims(function: &PreTokenGeneration, event: &Value) -> Value {
    let mut answer = call(function, event).await.unwrap();
    let response = answer["response"].take();
    answer["response"] = event["response"].clone();
    assert_eq!(answer, *event, "all other members are returned unchanged");
    if response == event["response"] {
        return json!({});
    }
    let details = &response["claimsAndScopeOverrideDetails"];
    let claims = details["accessTokenGeneration"]["claimsToAddOrOverride"].clone();
    // Any further member would remove groups or scopes.
    assert_eq!(
        response,
        json!({"claimsAndScopeOverrideDetails": {
            "idTokenGeneration": {"claimsToAddOrOverride": claims},
            "accessTokenGeneration": {"claimsToAddOrOverride": claims},
        }})
    );
    claims
}

#[tokio::test]
async fn claims_follow_groups_and_attributes() {
    let function = start(&[]).await;
    let verified = json!({"email": "ada@Example.com", "email_verified": "true"});
    for (attributes, groups, expected) in [
        (json!({}), json!([]), json!({})),
        (json!({}), json!(null), json!({})),
        (
            json!({}),
            json!(["admins", "users"]),
            json!({"roles": ["administrator"]}),
        ),
        (
            json!({"custom:department": "QA"}),
            json!(["admins"]),
            json!({"roles": ["administrator", "tester"]}),
        ),
        (
            json!({"custom:department": "qa"}),
            json!(["Admins"]),
            json!({}),
        ),
        (
            json!({"custom:tenant": "acme"}),
            json!(["tenant-other"]),
            json!({"tenant": "acme"}),
        ),
        (
            json!({}),
            json!(["x", "tenant-one", "tenant-two"]),
            json!({"tenant": "one"}),
        ),
        (json!({"custom:tenant": ""}), json!(["tenant-"]), json!({})),
        (verified, json!([]), json!({"tenant": "example"})),
        // Unverified attributes grant nothing.
        (
            json!({"email": "ada@example.com", "email_verified": "false"}),
            json!([]),
            json!({}),
        ),
        (json!({"email": "ada@example.com"}), json!([]), json!({})),
        (
            json!({"email": "ada@example.com.evil.org", "email_verified": "true"}),
            json!([]),
            json!({}),
        ),
    ] {
        let event = trigger(attributes, groups);
        assert_eq!(claims(&function, &event).await, expected, "{event}");
    }
    for source in [
        "HostedAuth",
        "NewPasswordChallenge",
        "AuthenticateDevice",
        "RefreshTokens",
    ] {
        let mut event = trigger(json!({}), json!(["admins"]));
        event["triggerSource"] = json!(format!("TokenGeneration_{source}"));
        assert_eq!(
            claims(&function, &event).await,
            json!({"roles": ["administrator"]}),
            "{source}"
        );
    }
    let mut machine = trigger(json!({}), json!(["admins"]));
    machine["triggerSource"] = json!("TokenGeneration_ClientCredentials");
    machine["version"] = json!("3");
    assert_eq!(claims(&function, &machine).await, json!({}));
    let mut old = trigger(json!({}), json!([]));
    old["version"] = json!("1");
    let unprintable = trigger(json!({"custom:tenant": "a\nb"}), json!([]));
    let long = trigger(json!({"custom:tenant": "x".repeat(257)}), json!([]));
    for event in [json!(null), json!({}), old, unprintable, long] {
        let answer = call(&function, &event).await;
        assert_eq!(answer, Err(InvocationError::Internal), "{event}");
    }
}

/// A mapping file of a test.
fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn a_configured_mapping_replaces_the_default() {
    let path = file(
        "plan.json",
        r#"{"plan": {"first": [{"attribute": "custom:plan"}]}}"#,
    );
    let more = [("CLAIMS_FILE", path.to_str().unwrap())];
    let function = start(&more).await;
    let event = trigger(json!({"custom:plan": "gold"}), json!(["admins"]));
    assert_eq!(claims(&function, &event).await, json!({"plan": "gold"}));

    for (text, problem) in [
        ("", "EOF"),
        ("[]", "expected a map"),
        (
            r#"{"sub": {"first": [{"attribute": "x"}]}}"#,
            "`sub` is Cognito's own",
        ),
        (
            r#"{"cognito:groups": {"all": []}}"#,
            "`cognito:groups` is Cognito's own",
        ),
        (r#"{"email_verified": {"all": []}}"#, "is Cognito's own"),
        (r#"{"a b": {"all": []}}"#, "is no name"),
        (r#"{"a": {"some": []}}"#, "unknown variant"),
        (
            r#"{"a": {"all": [{"group": "x"}]}}"#,
            "rule 1, has no `value`",
        ),
        (
            r#"{"a": {"all": [{"attribute": "x"}, {"group": "x", "attribute": "y", "value": "z"}]}}"#,
            "rule 2, is not one of",
        ),
        (
            r#"{"a": {"all": [{"attribute": "x", "equals": "y"}]}}"#,
            "has no `value`",
        ),
        (r#"{"a": {"all": [{"group": "x", "value": ""}]}}"#, "empty"),
        (
            r#"{"a": {"all": [{"grup": "x", "value": "y"}]}}"#,
            "unknown field",
        ),
        (r#"{"a": {"all": [{"value": "y"}]}}"#, "is not one of"),
    ] {
        let path = file("invalid.json", text);
        let lookup = |name: &str| (name == "CLAIMS_FILE").then(|| path.display().to_string());
        let error = Config::from_lookup(&lookup).err().unwrap();
        assert!(error.to_string().contains(problem), "{text}: {error}");
    }
    let lookup = |name: &str| (name == "CLAIMS_FILE").then(|| "/nowhere.json".to_owned());
    assert!(Config::from_lookup(&lookup).is_err());
}

#[tokio::test]
async fn federated_addresses_are_trusted_only_from_authoritative_providers() {
    let mapping = json!({"tenant": {"first": [{"email_domain": "corp.com", "value": "corp"}]},
        "contact": {"first": [{"attribute": "email"}]}});
    let file = file("federated.json", &mapping.to_string());
    let more = [
        ("CLAIMS_FILE", file.to_str().unwrap()),
        ("LINK_PROVIDERS", "Google;Oidc=corp.com"),
    ];
    let function = start(&more).await;
    let identities = |names: &[&str]| {
        let all = names
            .iter()
            .map(|name| json!({"providerName": name, "userId": "1"}));
        json!(all.collect::<Value>().to_string())
    };
    for (more, counts) in [
        (json!({}), true),
        (json!({"identities": identities(&["Oidc"])}), true),
        (json!({"identities": identities(&["Other"])}), false),
        (json!({"identities": identities(&["Oidc", "Other"])}), false),
        (json!({"identities": identities(&["Google"])}), false),
        // Users can write a mapped attribute themselves.
        (
            json!({"identities": identities(&["Google"]), "custom:hd": "corp.com"}),
            false,
        ),
        (json!({"identities": "[]"}), false),
        (json!({"identities": "unreadable"}), false),
        (json!({"identities": null}), false),
        (json!({"cognito:user_status": "EXTERNAL_PROVIDER"}), false),
        (json!({"cognito:user_status": "CONFIRMED"}), true),
    ] {
        let mut attributes = json!({"email": "ada@corp.com", "email_verified": "true"});
        attributes
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let expected = if counts {
            json!({"tenant": "corp", "contact": "ada@corp.com"})
        } else {
            json!({})
        };
        let event = trigger(attributes, json!([]));
        assert_eq!(claims(&function, &event).await, expected, "{event}");
    }
}
