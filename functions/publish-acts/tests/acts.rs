//! Which messages a batch of log lines becomes, over a fake topic.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use publish_acts::{Config, PublishActs};
use runtime::{Handler, InvocationError};
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, events};

const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:security";
const USER: &str = "0011223344556677";

async fn fixture() -> (PublishActs, FakeAws) {
    let aws = FakeAws::agreeable().await;
    let variables = [("SECURITY_TOPIC_ARN", TOPIC)];
    let config = Config::from_lookup(&events::variables(&variables)).unwrap();
    (PublishActs::new(&aws.sdk(), config), aws)
}

fn packed(batch: &[u8]) -> Value {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(batch).unwrap();
    json!({"awslogs": {"data": STANDARD.encode(encoder.finish().unwrap())}})
}

fn lines(lines: &[Value]) -> Value {
    let events = lines.iter().enumerate().map(|(at, line)| {
        let message = line
            .as_str()
            .map_or_else(|| format!("{line}\n"), str::to_owned);
        json!({"id": at.to_string(), "timestamp": 1_764_150_000_123_u64, "message": message})
    });
    let batch = json!({
        "messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "stack-AdminLogs-x",
        "logStream": "2026/11/26/[$LATEST]x", "subscriptionFilters": ["acts"],
        "logEvents": events.collect::<Vec<_>>(),
    });
    packed(batch.to_string().as_bytes())
}

fn act(id: &str, kind: &str) -> Value {
    json!({
        "level": "INFO", "message": "audit", "id": id, "source": "admin", "act": kind,
        "actor": USER, "target": "-", "outcome": "done", "at": 1_764_150_000, "request_id": "r",
    })
}

fn used(id: &str, actor: &str, reason: &str, count: u64) -> Value {
    json!({
        "level": "WARN", "message": "decision", "outcome": "unauthorized", "reason": reason,
        "issuer": "us-east-1_Example", "subject_hash": actor, "request_id": id,
        "Decisions": count + 7, "uses": count, "audit": "use_after_revocation",
    })
}

async fn call(function: &PublishActs, event: &Value) -> Result<Value, InvocationError> {
    function.handle(&events::raw(event), "request-1").await
}

/// The messages that were published, each with its attributes.
fn published(aws: &FakeAws) -> Vec<(Value, Value)> {
    let requests = aws.requests().into_iter();
    let of_topic = requests.filter(|(name, _)| name == "Publish");
    let messages = of_topic.map(|(_, request)| {
        assert_eq!(request["TopicArn"], TOPIC);
        let message = serde_json::from_str(request["Message"].as_str().unwrap());
        (message.unwrap(), request)
    });
    messages.collect()
}

#[tokio::test]
async fn each_act_is_one_message_with_attributes_to_filter_on() {
    let (function, aws) = fixture().await;
    let event = lines(&[
        act("r-1", "disable_user"),
        json!("START RequestId: audit"),
        json!({"message": "admin", "outcome": "done", "request_id": "audit"}),
        act("r-2", "delete_user"),
        act("r-1", "disable_user"),
    ]);
    assert_eq!(call(&function, &event).await, Ok(Value::Null));
    let published = published(&aws);
    assert_eq!(published.len(), 2, "a repeated line is the same act");
    let (message, request) = &published[0];
    assert_eq!(
        *message,
        json!({
            "id": "r-1", "kind": "disable_user", "source": "admin", "outcome": "done",
            "at": 1_764_150_000, "actor": USER, "target": "-", "count": 1,
        })
    );
    let text = request.to_string();
    for value in [
        "kind",
        "disable_user",
        "source",
        "admin",
        "outcome",
        "done",
        "String",
    ] {
        assert!(text.contains(&format!("\"{value}\"")), "{value}: {text}");
    }
    assert_eq!(published[1].0["id"], "r-2");
}

#[tokio::test]
async fn a_client_that_keeps_sending_a_revoked_token_is_one_act() {
    let (function, aws) = fixture().await;
    let mut all: Vec<Value> = (0..300)
        .map(|at| used(&format!("r-{at}"), USER, "session_revoked", 1))
        .collect();
    all.push(used("r-300", "8899aabbccddeeff", "session_revoked", 2));
    all.push(used("r-301", USER, "user_disabled", 1));
    assert_eq!(call(&function, &lines(&all)).await, Ok(Value::Null));
    let published: Vec<Value> = published(&aws).into_iter().map(|(it, _)| it).collect();
    let told: Vec<_> = published
        .iter()
        .map(|it| (&it["id"], &it["outcome"], &it["count"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("r-0"), &json!("session_revoked"), &json!(300)),
            (&json!("r-300"), &json!("session_revoked"), &json!(2)),
            (&json!("r-301"), &json!("user_disabled"), &json!(1)),
        ]
    );
}

#[tokio::test]
async fn a_failed_topic_fails_the_invocation_and_a_repetition_has_the_same_ids() {
    let (function, aws) = fixture().await;
    let event = lines(&[act("r-1", "disable_user"), act("r-2", "delete_user")]);
    aws.set_fault(Fault::Answer(403, "{}".to_owned()));
    let failed = Err(InvocationError::Internal);
    assert_eq!(call(&function, &event).await, failed);
    aws.set_fault(Fault::None);
    aws.forget_requests();
    assert_eq!(call(&function, &event).await, Ok(Value::Null));
    let ids: Vec<Value> = published(&aws)
        .into_iter()
        .map(|(it, _)| it["id"].clone())
        .collect();
    assert_eq!(ids, ["r-1", "r-2"]);
}

#[tokio::test]
async fn control_messages_publish_nothing_and_other_events_fail() {
    let (function, aws) = fixture().await;
    let control = json!({
        "messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "",
        "logStream": "", "subscriptionFilters": [],
        "logEvents": [{
            "id": "", "timestamp": 1_764_150_000_123_u64,
            "message": "CWL CONTROL MESSAGE: Checking health of destination Lambda.",
        }],
    });
    let control = packed(control.to_string().as_bytes());
    assert_eq!(call(&function, &control).await, Ok(Value::Null));
    for other in [
        json!({}),
        json!({"awslogs": {"data": "*"}}),
        json!({"awslogs": {"data": "bm8gZ3ppcA=="}}),
        packed(b"no JSON"),
        packed(b"{}"),
    ] {
        let failed = Err(InvocationError::Internal);
        assert_eq!(call(&function, &other).await, failed, "{other}");
    }
    assert_eq!(aws.requests().len(), 0);
}
