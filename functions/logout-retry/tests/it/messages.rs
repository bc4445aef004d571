//! What is retried, over a fake Cognito, table and queue.

use logout_retry::{Config, LogoutRetry};
use runtime::Handler;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, Pool, events};

/// Variables of the function.
type Variables<'a> = &'a [(&'a str, &'a str)];

const LATE_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/late";
const RETRY_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/retry";

async fn fixture(more: &[(&str, &str)]) -> (LogoutRetry, FakeAws) {
    let aws = FakeAws::with_tables().await;
    let config = Config::from_lookup(&events::variables(more)).unwrap();
    (LogoutRetry::new(&aws.sdk(), config, None), aws)
}

fn message(body: &Value, queue: &str) -> Value {
    let mut event = events::sample("logout-retry/batch");
    let records = event["Records"].as_array_mut().unwrap();
    records.truncate(1);
    records[0]["body"] = body.to_string().into();
    let arn = format!("arn:aws:sqs:us-east-1:123456789012:{queue}");
    records[0]["eventSourceARN"] = arn.into();
    event
}

/// The number of messages to redeliver.
async fn failures(function: &LogoutRetry, event: &Value) -> usize {
    let answer = function.handle(&events::raw(event), "request-1").await;
    let answer = serde_json::to_value(answer.unwrap()).unwrap();
    answer["batchItemFailures"].as_array().unwrap().len()
}

fn late_revocation() -> Value {
    json!({
        "kind": "end_sessions", "subject": "ada", "not_before": 1_795_327_200, "spared": null,
        "reason": "password_reset",
    })
}

#[tokio::test]
async fn answers_the_sample() {
    let (function, aws) = fixture(&[]).await;
    let event = events::raw(&events::sample("logout-retry/batch"));
    let answer = function.handle(&event, "request-1").await.unwrap();
    let expected = events::sample("logout-retry/batch.expected");
    assert_eq!(serde_json::to_value(answer).unwrap(), expected);
    assert_eq!(aws.operations(), ["AdminUserGlobalSignOut"]);
}

#[tokio::test]
async fn a_call_is_retried_until_cognito_has_decided() {
    let everywhere = json!({"kind": "sign_out_everywhere", "username": "ada"});
    let reset = json!({"kind": "reset_password", "username": "ada"});
    let revoke = json!({
        "kind": "revoke_refresh_token", "client_id": Pool::ours().client_id, "refresh_token": "rt",
    });
    let error = |code: &str| Fault::Answer(400, format!(r#"{{"__type":"{code}"}}"#));
    let rows = [
        (
            "signed out",
            &everywhere,
            "AdminUserGlobalSignOut",
            Fault::None,
            0,
        ),
        (
            "a user that is gone",
            &everywhere,
            "AdminUserGlobalSignOut",
            error("UserNotFoundException"),
            0,
        ),
        (
            "throttled",
            &everywhere,
            "AdminUserGlobalSignOut",
            error("TooManyRequestsException"),
            1,
        ),
        (
            "not permitted",
            &everywhere,
            "AdminUserGlobalSignOut",
            error("AccessDeniedException"),
            1,
        ),
        ("reset", &reset, "AdminResetUserPassword", Fault::None, 0),
        (
            "a reset that failed",
            &reset,
            "AdminResetUserPassword",
            error("InternalErrorException"),
            1,
        ),
        ("revoked", &revoke, "RevokeToken", Fault::None, 0),
        (
            "revocation is off",
            &revoke,
            "RevokeToken",
            error("UnsupportedOperationException"),
            0,
        ),
        (
            "an invalid token",
            &revoke,
            "RevokeToken",
            error("InvalidParameterException"),
            0,
        ),
        (
            "no answer",
            &revoke,
            "RevokeToken",
            error("InternalErrorException"),
            1,
        ),
    ];
    for (name, task, operation, fault, expected) in rows {
        let (function, aws) = fixture(&[]).await;
        aws.set_fault_for(operation, fault);
        let found = failures(&function, &message(task, "retry")).await;
        assert_eq!(found, expected, "{name}");
        assert!(aws.operations().contains(&operation.to_owned()), "{name}");
    }
}

/// The user may have set a new password meanwhile, by the code that the first reset has sent.
#[tokio::test]
async fn a_sign_out_that_fails_after_a_reset_is_repeated_without_the_reset() {
    let reset = json!({"kind": "reset_password", "username": "ada"});
    let throttled = || Fault::Answer(400, r#"{"__type":"TooManyRequestsException"}"#.to_owned());
    let (function, aws) = fixture(&[("RETRY_QUEUE_URL", RETRY_QUEUE)]).await;
    aws.set_fault_for("AdminUserGlobalSignOut", throttled());
    assert_eq!(failures(&function, &message(&reset, "retry")).await, 0);
    let (operation, sent) = aws.requests().pop().unwrap();
    assert_eq!(
        (operation.as_str(), &sent["QueueUrl"]),
        ("SendMessage", &json!(RETRY_QUEUE))
    );
    let next: Value = serde_json::from_str(sent["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(
        next,
        json!({"kind": "sign_out_everywhere", "username": "ada"})
    );

    aws.forget_requests();
    assert_eq!(failures(&function, &message(&next, "retry")).await, 1);
    aws.set_fault(Fault::None);
    assert_eq!(failures(&function, &message(&next, "retry")).await, 0);
    let resets = aws.operations().into_iter();
    let resets = resets.filter(|operation| operation == "AdminResetUserPassword");
    assert_eq!(resets.count(), 0);

    // Nothing is lost if the queue fails too, or without a queue.
    for variables in [&[][..], &[("RETRY_QUEUE_URL", RETRY_QUEUE)]] {
        let (function, aws) = fixture(variables).await;
        aws.set_fault_for("AdminUserGlobalSignOut", throttled());
        aws.add_fault_for("SendMessage", Fault::Answer(500, "{}".to_owned()));
        assert_eq!(failures(&function, &message(&reset, "retry")).await, 1);
    }
}

#[tokio::test]
async fn unknown_messages_stay_in_the_queue_without_a_call() {
    let (function, aws) = fixture(&[]).await;
    for body in [
        json!("text"),
        json!({}),
        json!({"kind": "delete_user", "username": "ada"}),
        json!({"kind": "sign_out_everywhere"}),
        json!({"kind": "sign_out_everywhere", "username": "ada", "more": 1}),
    ] {
        assert_eq!(
            failures(&function, &message(&body, "retry")).await,
            1,
            "{body}"
        );
    }
    assert_eq!(aws.operations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_late_revocation_is_written_as_of_its_own_time() {
    let (function, aws) = fixture(&[]).await;
    assert_eq!(
        failures(&function, &message(&late_revocation(), "retry")).await,
        0
    );
    let requests = aws.requests();
    let [(operation, write)] = requests.as_slice() else {
        panic!("{:?}", aws.operations());
    };
    assert_eq!(operation, "UpdateItem");
    let partition = format!("{}#user#ada", Pool::ours().id);
    assert_eq!(write["Key"]["pk"]["S"], json!(partition));
    let not_before = &write["ExpressionAttributeValues"][":not_before"];
    assert_eq!(*not_before, json!({"N": "1795327200"}));
}

#[tokio::test]
async fn a_revocation_that_cannot_be_written_moves_to_the_late_queue_once() {
    let missing = r#"{"__type":"ResourceNotFoundException"}"#;
    let late = [("LATE_MARK_QUEUE_URL", LATE_QUEUE)];
    let rows: [(&str, Variables<'_>, &str, usize, bool); 3] = [
        ("without a late queue", &[], "retry", 1, false),
        ("with a late queue", &late, "retry", 0, true),
        ("from the late queue", &late, "late", 1, false),
    ];
    for (name, variables, queue, expected, sent) in rows {
        let (function, aws) = fixture(variables).await;
        aws.set_fault_for("UpdateItem", Fault::Answer(400, missing.to_owned()));
        let found = failures(&function, &message(&late_revocation(), queue)).await;
        assert_eq!(found, expected, "{name}");
        assert_eq!(
            aws.operations().contains(&"SendMessage".to_owned()),
            sent,
            "{name}"
        );
    }
}
