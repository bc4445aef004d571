//! The rules of the session list, over fake tables.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use runtime::Handler;
use serde_json::{Value, json};
use sessions::{Config, Sessions};
use testkit::server::Fault;
use testkit::{FakeAws, Pool, events, now};

/// The user of the samples.
const SUBJECT: &str = "5f7e6d5c-1234-4abc-9def-sampleuser001";
/// The session of the samples.
const OWN: &str = "0a1b2c3d-session-of-a-sample";

async fn fixture() -> (Sessions, FakeAws) {
    let aws = FakeAws::with_tables().await;
    let lookup = events::variables(&[("SESSION_TABLE", "sessions")]);
    let config = Config::from_lookup(&lookup).unwrap();
    (Sessions::new(&aws.sdk(), config), aws)
}

async fn call(sessions: &Sessions, event: &Value) -> (u16, Value) {
    let response = sessions.handle(&events::raw(event), "request-1").await;
    events::status_and_body(&serde_json::to_value(response.unwrap()).unwrap())
}

fn list() -> Value {
    events::rest(
        "GET",
        "/auth/sessions",
        &json!(null),
        &events::caller(),
        &json!(null),
    )
}

fn record(body: &Value) -> Value {
    let mut event = events::rest(
        "POST",
        "/auth/sessions",
        &json!(null),
        &events::caller(),
        body,
    );
    if body.is_null() {
        event["headers"] = json!({});
        event["multiValueHeaders"] = json!({});
    }
    event
}

fn revoke(id: &str) -> Value {
    let parameters = json!({"id": id});
    events::rest(
        "DELETE",
        "/auth/sessions/{id}",
        &parameters,
        &events::caller(),
        &json!(null),
    )
}

fn partition() -> String {
    format!("{}#user#{SUBJECT}", Pool::ours().id)
}

/// Stores a recorded session of the caller.
fn put_session(aws: &FakeAws, id: &str) {
    put_session_of(aws, id, Some(Pool::ours().client_id));
}

/// Stores a recorded session of the caller by a client.
fn put_session_of(aws: &FakeAws, id: &str, client: Option<&str>) {
    let began = (now() - 100).to_string();
    let mut row = json!({
        "session": {"S": id}, "auth_time": {"N": began}, "first_seen": {"N": began},
        "last_seen": {"N": began},
    });
    if let Some(client) = client {
        row["client_id"] = json!({"S": client});
    }
    aws.put(&partition(), &format!("recorded#{id}"), row);
}

/// The ids of the listed sessions.
async fn listed(sessions: &Sessions) -> Vec<String> {
    let (status, body) = call(sessions, &list()).await;
    assert_eq!(status, 200, "{body}");
    let sessions = body["sessions"].as_array().unwrap().iter();
    let ids = sessions.map(|session| session["id"].as_str().unwrap().to_owned());
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids
}

fn is_write(operation: &String) -> bool {
    operation == "UpdateItem" || operation == "PutItem" || operation == "DeleteItem"
}

#[tokio::test]
async fn answers_the_samples() {
    let (sessions, _aws) = fixture().await;
    for name in ["sessions/unknown", "sessions/without-authorizer"] {
        let event = events::raw(&events::sample(name));
        let response = sessions.handle(&event, "request-1").await.unwrap();
        let expected = events::sample(&format!("{name}.expected"));
        assert_eq!(serde_json::to_value(response).unwrap(), expected, "{name}");
    }
}

#[tokio::test]
async fn refuses_callers_and_bodies_without_writing() {
    let (sessions, aws) = fixture().await;
    let with = |member: &str, value: Value| {
        let mut event = record(&json!({}));
        event["requestContext"]["authorizer"][member] = value;
        event
    };
    let unknown = events::rest(
        "PUT",
        "/auth/sessions",
        &json!(null),
        &events::caller(),
        &json!(null),
    );
    let long = "x".repeat(65);
    let rows = [
        (
            "no subject",
            with("sub", json!("")),
            401,
            "no_authorizer_context",
        ),
        (
            "another issuer",
            with("issuer", json!("okta")),
            401,
            "no_authorizer_context",
        ),
        (
            "no session",
            with("session", json!(null)),
            403,
            "no_session",
        ),
        ("an unknown route", unknown, 404, "no_such_route"),
        (
            "an empty name",
            record(&json!({"device": ""})),
            400,
            "bad_request",
        ),
        (
            "a long name",
            record(&json!({"device": long})),
            400,
            "bad_request",
        ),
        (
            "a control character",
            record(&json!({"device": "a\nb"})),
            400,
            "bad_request",
        ),
        (
            "an unknown member",
            record(&json!({"id": "x"})),
            400,
            "bad_request",
        ),
        (
            "an unknown session",
            revoke("another"),
            404,
            "unknown_session",
        ),
    ];
    events::check_answers(rows, async |event| call(&sessions, event).await).await;
    assert!(!aws.operations().iter().any(is_write));
}

#[tokio::test]
async fn records_the_session_of_the_token_without_the_address() {
    let (sessions, aws) = fixture().await;
    let (status, body) = call(&sessions, &record(&json!({"device": "Ada's phone"}))).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["id"], &body["current"]), (&json!(OWN), &json!(true)));
    let requests = aws.requests();
    let [(operation, written)] = requests.as_slice() else {
        panic!("{:?}", aws.operations());
    };
    assert_eq!(operation, "UpdateItem");
    assert_eq!(written["Key"]["pk"]["S"], json!(partition()));
    let client = &events::caller()["client_id"];
    assert_eq!(
        written["ExpressionAttributeValues"][":client_id"]["S"],
        *client
    );
    assert!(
        !written.to_string().contains("203.0.113.7"),
        "the address is stored as a hash"
    );
}

#[tokio::test]
async fn lists_the_sessions_that_are_not_revoked() {
    let (sessions, aws) = fixture().await;
    for id in [OWN, "phone", "tablet"] {
        put_session(&aws, id);
    }
    assert_eq!(listed(&sessions).await, [OWN, "phone", "tablet"]);
    let later = (now() + 1_000).to_string();
    aws.put(
        &partition(),
        "session#phone",
        json!({"expires_at": {"N": later}}),
    );
    assert_eq!(listed(&sessions).await, [OWN, "tablet"]);
    // All sessions up to a time but the own one.
    let row = json!({
        "not_before": {"N": now().to_string()}, "except_session": {"S": OWN},
        "expires_at": {"N": later},
    });
    aws.put(&partition(), "user", row);
    assert_eq!(listed(&sessions).await, [OWN]);
}

#[tokio::test]
async fn a_revocation_of_a_client_hides_the_sessions_of_that_client() {
    let pool = Pool::ours().id;
    let own = events::caller()["client_id"].as_str().unwrap().to_owned();
    let revoked = json!({"not_before": {"N": now().to_string()}});
    let earlier = json!({"not_before": {"N": (now() - 200).to_string()}});
    let unreadable = json!({"not_before": {"S": "soon"}});
    let rows: [(&str, &str, &Value, &[&str]); 5] = [
        (
            "the caller's client",
            &own,
            &revoked,
            &["by-kiosk", "earlier-version"],
        ),
        (
            "another client",
            "kiosk",
            &revoked,
            &[OWN, "earlier-version"],
        ),
        (
            "before the sign-in",
            "kiosk",
            &earlier,
            &[OWN, "by-kiosk", "earlier-version"],
        ),
        (
            "an unreadable row",
            "kiosk",
            &unreadable,
            &[OWN, "earlier-version"],
        ),
        (
            "a client of no session",
            "web",
            &revoked,
            &[OWN, "by-kiosk", "earlier-version"],
        ),
    ];
    for (name, client, row, expected) in rows {
        let (sessions, aws) = fixture().await;
        put_session_of(&aws, OWN, Some(&own));
        put_session_of(&aws, "by-kiosk", Some("kiosk"));
        put_session_of(&aws, "earlier-version", None);
        aws.put(&format!("{pool}#client#{client}"), "client", row.clone());
        assert_eq!(listed(&sessions).await, expected, "{name}");
    }
    // An unreadable row of the issuer hides the sessions of all clients.
    let (sessions, aws) = fixture().await;
    put_session_of(&aws, OWN, Some(&own));
    put_session_of(&aws, "earlier-version", None);
    aws.put(pool, "issuer", unreadable);
    assert!(listed(&sessions).await.is_empty());
}

#[tokio::test]
async fn revokes_a_known_session_and_the_own_one() {
    let (sessions, aws) = fixture().await;
    put_session(&aws, "phone");
    for id in ["phone", OWN] {
        aws.forget_requests();
        let (status, body) = call(&sessions, &revoke(id)).await;
        assert_eq!((status, body), (200, json!({"ended": "session", "id": id})));
        let writes = aws
            .requests()
            .into_iter()
            .filter(|(name, _)| name == "UpdateItem");
        let keys: Vec<Value> = writes
            .map(|(_, write)| write["Key"]["sk"]["S"].clone())
            .collect();
        assert_eq!(keys, [json!(format!("session#{id}"))]);
    }
}

#[tokio::test]
async fn a_table_that_fails_is_not_named_in_the_response() {
    let (sessions, aws) = fixture().await;
    aws.set_fault(Fault::Answer(
        400,
        r#"{"__type":"ResourceNotFoundException"}"#.to_owned(),
    ));
    for event in [list(), record(&json!({})), revoke(OWN)] {
        let (status, body) = call(&sessions, &event).await;
        assert_eq!((status, body["code"].as_str()), (503, Some("unavailable")));
        assert!(!body.to_string().contains("sessions"), "{body}");
    }
}
