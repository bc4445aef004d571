//! Who gets the groups that migrate-user stored, over a fake table and a fake Cognito.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use post_authentication::{Config, PostAuthentication};
use runtime::Handler;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, events, now};

async fn fixture() -> (PostAuthentication, FakeAws) {
    let aws = FakeAws::agreeable().await;
    let at = now();
    let groups = json!({"Item": {
        "groups": {"SS": ["admins", "editors"]}, "left_at": {"N": at.to_string()},
        "expires_at": {"N": (at + 1_000).to_string()},
    }});
    aws.set_answer("GetItem", groups);
    aws.set_answer("AdminGetUser", user("CONFIRMED", at));
    let lookup = events::variables(&[("PENDING_GROUPS_TABLE", "pending-groups")]);
    let config = Config::from_lookup(&lookup).unwrap();
    (PostAuthentication::new(aws.sdk(), config), aws)
}

fn user(status: &str, created_at: u64) -> Value {
    json!({
        "Username": "ada", "UserStatus": status, "UserAttributes": [],
        "UserCreateDate": created_at,
    })
}

/// Calls the function, which always returns the event unchanged.
async fn call(function: &PostAuthentication, event: &Value) {
    let answer = function
        .handle(&events::raw(event), "request-1")
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(answer.get()).unwrap();
    assert_eq!(answer, *event);
}

fn signed_in() -> Value {
    events::sample("post-authentication/signed-in")
}

#[tokio::test]
async fn the_migrated_user_gets_the_groups_once() {
    let (function, aws) = fixture().await;
    call(&function, &signed_in()).await;
    let operations = [
        "GetItem",
        "AdminGetUser",
        "AdminAddUserToGroup",
        "AdminAddUserToGroup",
        "DeleteItem",
    ];
    assert_eq!(aws.operations(), operations);
    assert!(
        !aws.requests()[0].1.to_string().contains("ada@example.com"),
        "the key is a hash"
    );
}

#[tokio::test]
async fn other_users_get_no_group_and_the_groups_stay() {
    let rows = [
        ("created long before", user("CONFIRMED", now() - 100)),
        ("created later", user("CONFIRMED", now() + 100)),
        ("from a provider", user("EXTERNAL_PROVIDER", now())),
        ("not confirmed", user("UNCONFIRMED", now())),
    ];
    for (name, user) in rows {
        let (function, aws) = fixture().await;
        aws.set_answer("AdminGetUser", user);
        call(&function, &signed_in()).await;
        assert_eq!(aws.operations(), ["GetItem", "AdminGetUser"], "{name}");
    }
}

#[tokio::test]
async fn federated_sign_ins_and_other_triggers_are_not_looked_up() {
    let with = |change: fn(&mut Value)| {
        let mut event = signed_in();
        change(&mut event);
        event
    };
    let rows = [
        (
            "linked",
            with(|event| event["request"]["userAttributes"]["identities"] = "[]".into()),
        ),
        (
            "a provider's user",
            with(|event| {
                event["request"]["userAttributes"]["cognito:user_status"] =
                    "EXTERNAL_PROVIDER".into();
            }),
        ),
        (
            "another trigger",
            with(|event| event["triggerSource"] = "PostAuthentication_New".into()),
        ),
        ("no trigger", json!({})),
    ];
    for (name, event) in rows {
        let (function, aws) = fixture().await;
        call(&function, &event).await;
        assert_eq!(aws.operations(), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_verified_is_another_key() {
    let (function, aws) = fixture().await;
    call(&function, &signed_in()).await;
    let mut claimed = signed_in();
    claimed["request"]["userAttributes"]["email_verified"] = "false".into();
    call(&function, &claimed).await;
    let requests = aws
        .requests()
        .into_iter()
        .filter(|(name, _)| name == "GetItem");
    let keys: Vec<String> = requests
        .map(|(_, request)| request["Key"]["id"]["S"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        keys[0].starts_with("email#") && keys[1].starts_with("name#"),
        "{keys:?}"
    );
}

#[tokio::test]
async fn a_failure_never_prevents_a_sign_in_and_keeps_the_groups() {
    for operation in ["GetItem", "AdminGetUser", "AdminAddUserToGroup"] {
        let (function, aws) = fixture().await;
        let error = r#"{"__type":"TooManyRequestsException"}"#;
        aws.set_fault_for(operation, Fault::Answer(400, error.to_owned()));
        call(&function, &signed_in()).await;
        assert!(
            !aws.operations().contains(&"DeleteItem".to_owned()),
            "{operation}"
        );
    }
}
