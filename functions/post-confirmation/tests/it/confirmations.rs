//! What a confirmation changes, over a fake Cognito, table and queue.

use post_confirmation::{Config, PostConfirmation};
use runtime::{Handler, InvocationError};
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, events};

const QUEUE: (&str, &str) = (
    "RETRY_QUEUE_URL",
    "https://sqs.us-east-1.amazonaws.com/1/retry",
);
const PROFILES: (&str, &str) = ("USERS_TABLE", "users");

async fn fixture(more: &[(&str, &str)]) -> (PostConfirmation, FakeAws) {
    let aws = FakeAws::with_tables().await;
    let config = Config::from_lookup(&events::variables(more)).unwrap();
    (PostConfirmation::new(aws.sdk(), config), aws)
}

async fn call(function: &PostConfirmation, event: &Value) -> Result<Value, InvocationError> {
    let answer = function.handle(&events::raw(event), "request-1").await?;
    Ok(serde_json::from_str(answer.get()).unwrap())
}

fn reset() -> Value {
    events::sample("post-confirmation/confirm-forgot-password")
}

fn sign_up() -> Value {
    events::sample("post-confirmation/confirm-sign-up")
}

/// The sorted operations: the write and the sign-out run beside each other.
fn operations(aws: &FakeAws) -> Vec<String> {
    let mut operations = aws.operations();
    operations.sort();
    operations.dedup();
    operations
}

fn missing() -> Fault {
    Fault::Answer(400, r#"{"__type":"ResourceNotFoundException"}"#.to_owned())
}

#[tokio::test]
async fn the_event_is_returned_unchanged_with_members_that_are_unknown() {
    let (function, _aws) = fixture(&[PROFILES]).await;
    let mut later = reset();
    later["request"]["new"] = json!({"by": ["AWS"]});
    let mut other = sign_up();
    other["triggerSource"] = "PostConfirmation_New".into();
    for event in [reset(), sign_up(), later, other] {
        assert_eq!(call(&function, &event).await.as_ref(), Ok(&event));
    }
}

#[tokio::test]
async fn a_reset_revokes_all_sessions_here_and_at_cognito() {
    let (function, aws) = fixture(&[]).await;
    assert!(call(&function, &reset()).await.is_ok());
    assert_eq!(operations(&aws), ["AdminUserGlobalSignOut", "UpdateItem"]);
}

#[tokio::test]
async fn a_reset_whose_revocation_is_not_written_fails_and_is_queued() {
    for (variables, queued) in [([].as_slice(), false), (&[QUEUE], true)] {
        let (function, aws) = fixture(variables).await;
        aws.set_fault_for("UpdateItem", missing());
        assert_eq!(
            call(&function, &reset()).await,
            Err(InvocationError::Internal)
        );
        assert!(operations(&aws).contains(&"AdminUserGlobalSignOut".to_owned()));
        let requests = aws.requests();
        let sent = requests.iter().find(|(name, _)| name == "SendMessage");
        assert_eq!(sent.is_some(), queued);
        if let Some((_, sent)) = sent {
            assert!(
                sent["MessageBody"]
                    .as_str()
                    .unwrap()
                    .contains("end_sessions")
            );
        }
    }
}

#[tokio::test]
async fn a_sign_out_that_fails_is_queued_and_the_reset_succeeds() {
    let (function, aws) = fixture(&[QUEUE]).await;
    aws.set_fault_for("AdminUserGlobalSignOut", missing());
    assert!(call(&function, &reset()).await.is_ok());
    let requests = aws.requests();
    let (_, sent) = requests
        .iter()
        .find(|(name, _)| name == "SendMessage")
        .unwrap();
    let sent = sent["MessageBody"].as_str().unwrap();
    assert!(sent.contains("sign_out_everywhere"), "{sent}");
}

#[tokio::test]
async fn a_confirmed_sign_up_creates_the_profile_and_never_fails() {
    let (function, aws) = fixture(&[]).await;
    assert!(call(&function, &sign_up()).await.is_ok());
    assert_eq!(
        aws.operations(),
        Vec::<String>::new(),
        "without a table of profiles"
    );
    let (function, aws) = fixture(&[PROFILES]).await;
    assert!(call(&function, &sign_up()).await.is_ok());
    assert_eq!(operations(&aws), ["UpdateItem"]);
    aws.set_fault(missing());
    assert!(
        call(&function, &sign_up()).await.is_ok(),
        "Cognito has confirmed the account"
    );
}

/// An administrator can confirm a user who has not proved the address.
#[tokio::test]
async fn a_profile_has_only_a_verified_address() {
    for (verified, email) in [("true", Some("ada@example.com")), ("false", None)] {
        let (function, aws) = fixture(&[PROFILES]).await;
        let mut event = sign_up();
        event["request"]["userAttributes"]["email_verified"] = verified.into();
        assert!(call(&function, &event).await.is_ok());
        let requests = aws.requests();
        let (_, write) = requests
            .iter()
            .find(|(name, _)| name == "UpdateItem")
            .unwrap();
        let stored = &write["ExpressionAttributeValues"][":email"]["S"];
        assert_eq!(stored.as_str(), email, "email_verified is {verified}");
    }
}

#[tokio::test]
async fn incomplete_events_are_errors() {
    let (function, aws) = fixture(&[]).await;
    let without = |change: fn(&mut Value)| {
        let mut event = reset();
        change(&mut event);
        event
    };
    let rows = [
        ("no object", json!([])),
        (
            "no source",
            without(|event| event["triggerSource"] = json!(null)),
        ),
        ("no pool", without(|event| event["userPoolId"] = "".into())),
        ("no user", without(|event| event["userName"] = "".into())),
        (
            "no subject",
            without(|event| event["request"]["userAttributes"] = json!({})),
        ),
    ];
    for (name, event) in rows {
        assert_eq!(
            call(&function, &event).await,
            Err(InvocationError::Internal),
            "{name}"
        );
    }
    assert_eq!(aws.operations(), Vec::<String>::new());
}
