//! The rules of WebSocket connections, over fake tables.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use connections::{Config, Connections};
use runtime::{Handler, InvocationError};
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, Pool, events, now};

async fn fixture() -> (Connections, FakeAws) {
    let aws = FakeAws::with_tables().await;
    let lookup = events::variables(&[("CONNECTION_TABLE", "connections")]);
    let config = Config::from_lookup(&lookup).unwrap();
    (Connections::new(&aws.sdk(), config), aws)
}

fn connect() -> Value {
    let mut event = events::sample("connections/connect-without-authorizer");
    event["requestContext"]["authorizer"] = events::caller();
    event
}

async fn call(connections: &Connections, event: &Value) -> Result<Value, InvocationError> {
    let answer = connections.handle(&events::raw(event), "request-1").await?;
    Ok(serde_json::to_value(answer).unwrap())
}

#[tokio::test]
async fn answers_the_samples() {
    let (connections, _aws) = fixture().await;
    for name in [
        "connections/connect-without-authorizer",
        "connections/disconnect",
    ] {
        let answer = call(&connections, &events::sample(name)).await;
        assert_eq!(
            answer,
            Ok(events::sample(&format!("{name}.expected"))),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_connection_is_stored_before_the_revocations_are_read() {
    let (connections, aws) = fixture().await;
    let mut event = connect();
    event["headers"] = json!({"Sec-WebSocket-Protocol": "bearer, a.b.c"});
    let answer = call(&connections, &event).await.unwrap();
    let headers = json!({"Sec-WebSocket-Protocol": "bearer"});
    assert_eq!(answer, json!({"statusCode": 200, "headers": headers}));
    assert_eq!(aws.operations(), ["PutItem", "BatchGetItem"]);
    assert!(
        !aws.requests()[0].1.to_string().contains("a.b.c"),
        "the token is not stored"
    );
}

#[tokio::test]
async fn a_session_that_was_revoked_meanwhile_is_refused_and_forgotten() {
    let subject = events::caller()["sub"].as_str().unwrap().to_owned();
    let partition = format!("{}#user#{subject}", Pool::ours().id);
    let later = json!({"N": (now() + 1_000).to_string()});
    let rows = [
        (
            "session#0a1b2c3d-session-of-a-sample",
            json!({"expires_at": later}),
        ),
        (
            "user",
            json!({"disabled": {"BOOL": true}, "status_at": {"N": "1"}}),
        ),
        ("user", json!({"not_before": later, "expires_at": later})),
    ];
    for (sort, row) in rows {
        let (connections, aws) = fixture().await;
        aws.put(&partition, sort, row);
        let mut event = connect();
        event["headers"] = json!({"Sec-WebSocket-Protocol": "bearer, a.b.c"});
        assert_eq!(
            call(&connections, &event).await,
            Ok(json!({"statusCode": 401})),
            "{sort}"
        );
        assert_eq!(
            aws.operations(),
            ["PutItem", "BatchGetItem", "DeleteItem"],
            "{sort}"
        );
    }
}

#[tokio::test]
async fn a_token_that_was_outdated_meanwhile_is_refused_by_its_time_of_issue() {
    let subject = events::caller()["sub"].as_str().unwrap().to_owned();
    let partition = format!("{}#user#{subject}", Pool::ours().id);
    let issued_at = now() - 100;
    let issued = json!(issued_at.to_string());
    // The change of groups was minutes ago, and its event has just arrived.
    let rows = [
        (issued.clone(), json!(null), issued_at + 40, 401),
        (issued.clone(), json!(null), issued_at, 401),
        (issued.clone(), json!(null), issued_at - 1, 200),
        // An API key is not a sign-in.
        (issued, json!("k-1"), issued_at + 40, 200),
        // An authorizer of an earlier version.
        (json!(null), json!(null), now(), 200),
    ];
    for (issued, key_id, outdated, status) in rows {
        let (connections, aws) = fixture().await;
        let later = (now() + 1_000).to_string();
        let row =
            json!({"tokens_not_before": {"N": outdated.to_string()}, "expires_at": {"N": later}});
        aws.put(&partition, "user", row);
        let mut event = connect();
        let context = &mut event["requestContext"]["authorizer"];
        (context["issued_at"], context["key_id"]) = (issued.clone(), key_id);
        let answer = call(&connections, &event).await;
        assert_eq!(answer, Ok(json!({"statusCode": status})), "{event}");
        let (_, put) = &aws.requests()[0];
        let stored = put["Item"]["issued_at"]["N"].as_str().unwrap();
        match issued.as_str() {
            Some(issued) => assert_eq!(stored, issued, "the row has it"),
            None => assert!(stored.parse::<u64>().unwrap() > now() - 60),
        }
    }
}

#[tokio::test]
async fn a_revocation_of_the_client_or_the_issuer_is_seen_at_once() {
    let pool = Pool::ours().id;
    let client = events::caller()["client_id"].as_str().unwrap().to_owned();
    let client = format!("{pool}#client#{client}");
    for (partition, sort) in [(client.as_str(), "client"), (pool, "issuer")] {
        let (connections, aws) = fixture().await;
        let answer = call(&connections, &connect()).await;
        assert_eq!(answer, Ok(json!({"statusCode": 200})), "{sort}");
        let later = json!({"N": (now() + 1_000).to_string()});
        let row = json!({"not_before": later, "expires_at": later});
        aws.put(partition, sort, row);
        aws.forget_requests();
        let answer = call(&connections, &connect()).await;
        assert_eq!(answer, Ok(json!({"statusCode": 401})), "{sort}");
        let calls = aws.operations();
        assert_eq!(calls, ["PutItem", "BatchGetItem", "DeleteItem"], "{sort}");
    }
}

#[tokio::test]
async fn other_events_are_refused_without_a_write() {
    let (connections, aws) = fixture().await;
    let mut no_issuer = connect();
    no_issuer["requestContext"]["authorizer"]["issuer"] = "".into();
    let mut no_time = connect();
    no_time["requestContext"]["authorizer"]["auth_time"] = "soon".into();
    let mut other = connect();
    other["requestContext"]["routeKey"] = "$default".into();
    let with_context = |context: Value| {
        let mut event = connect();
        event["requestContext"]["authorizer"] = context;
        event
    };
    let rows = [
        ("no object", json!(7), 400),
        ("no context", json!({"headers": {}}), 400),
        ("no issuer", no_issuer, 401),
        ("no time", no_time, 401),
        ("a null for the caller", with_context(json!(null)), 401),
        ("a text for the caller", with_context(json!("ada")), 401),
        ("a list for the caller", with_context(json!(["ada"])), 401),
        ("another route", other, 404),
    ];
    for (name, event, status) in rows {
        let answer = call(&connections, &event).await;
        assert_eq!(answer, Ok(json!({"statusCode": status})), "{name}");
        assert_eq!(aws.operations(), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_table_that_fails_opens_no_connection() {
    for operation in ["PutItem", "BatchGetItem"] {
        let (connections, aws) = fixture().await;
        let missing = r#"{"__type":"ResourceNotFoundException"}"#;
        aws.set_fault_for(operation, Fault::Answer(400, missing.to_owned()));
        let answer = call(&connections, &connect()).await;
        assert_eq!(answer, Err(InvocationError::Internal), "{operation}");
    }
}
