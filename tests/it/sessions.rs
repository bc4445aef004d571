//! A user's own sessions: recorded, listed, revoked.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, TokenBuilder};

use crate::world::{World, ask, behind_authorizer, signed_in_again, text_of, user_token};

const LIST: (&str, &str) = ("GET", "/auth/sessions");
const RECORD: (&str, &str) = ("POST", "/auth/sessions");
const END: (&str, &str) = ("DELETE", "/auth/sessions/{id}");

async fn record(sessions: &Binary, token: &TokenBuilder<'_>, body: Value) -> (u64, Value) {
    ask(
        sessions,
        &behind_authorizer(token, RECORD, json!(null), body),
    )
    .await
}

async fn list(sessions: &Binary, token: &TokenBuilder<'_>) -> Vec<String> {
    let event = behind_authorizer(token, LIST, json!(null), json!(null));
    let (status, body) = ask(sessions, &event).await;
    assert_eq!(status, 200);
    let sessions = body["sessions"].as_array().unwrap().iter();
    let mut ids: Vec<String> = sessions
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn users_list_and_revoke_their_sessions() {
    let world = World::start().await;
    let sessions = world.function("sessions", &[]).await;
    let phone = user_token();
    let laptop = signed_in_again(&phone);
    let (phone_id, laptop_id) = (
        text_of(&phone, "origin_jti"),
        text_of(&laptop, "origin_jti"),
    );
    let (status, body) = record(&sessions, &phone, json!(r#"{"device":"Ada's phone"}"#)).await;
    assert_eq!((status, &body["device"]), (200, &json!("Ada's phone")));
    assert_eq!(
        (&body["id"], &body["current"]),
        (&json!(phone_id), &json!(true))
    );
    assert!(!body["ip_hash"].as_str().unwrap().contains("203"));
    assert_eq!(record(&sessions, &laptop, json!(null)).await.0, 200);
    assert_eq!(
        record(&sessions, &laptop, json!(null)).await.0,
        200,
        "again"
    );
    let mut both = [phone_id.clone(), laptop_id.clone()];
    both.sort();
    assert_eq!(list(&sessions, &phone).await, both);

    let end = async |token: &TokenBuilder<'_>, id: &str| {
        let event = behind_authorizer(token, END, json!({"id": id}), json!(null));
        ask(&sessions, &event).await.0
    };
    assert!(world.passes(&laptop).await);
    assert_eq!(end(&phone, &laptop_id).await, 200);
    assert!(!world.passes(&laptop).await && world.passes(&phone).await);
    assert_eq!(
        list(&sessions, &phone).await,
        std::slice::from_ref(&phone_id)
    );
    assert_eq!(
        end(&phone, &laptop_id).await,
        200,
        "revoking a session twice is no error"
    );

    // Another user's session is unknown, even with its id.
    let stranger = user_token();
    assert_eq!(end(&stranger, &phone_id).await, 404);
    assert_eq!(end(&phone, "nothing").await, 404);
    assert!(world.passes(&phone).await);
    assert_eq!(list(&sessions, &stranger).await, Vec::<String>::new());
    assert_eq!(end(&phone, &phone_id).await, 200);
    assert!(!world.passes(&phone).await);
}

#[tokio::test]
async fn rejects_other_callers_and_malformed_requests() {
    let world = World::start().await;
    let sessions = world.function("sessions", &[]).await;
    let token = user_token();
    let good = behind_authorizer(&token, RECORD, json!(null), json!(null));
    let with = |pointer: &str, value: Value| {
        let mut event = good.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    let device = |device: &str| json!(json!({"device": device}).to_string());
    let rows = [
        (with("/requestContext/authorizer", json!(null)), 401),
        (with("/requestContext/authorizer/sub", json!("")), 401),
        (
            with("/requestContext/authorizer/issuer", json!("other")),
            401,
        ),
        (
            with("/requestContext/authorizer/auth_time", json!("x")),
            401,
        ),
        (with("/requestContext/authorizer/session", json!(null)), 403),
        (with("/resource", json!("/auth/other")), 404),
        (with("/httpMethod", json!("PATCH")), 404),
        (with("/body", json!("[]")), 400),
        (with("/body", device("")), 400),
        (with("/body", device("a\u{7}b")), 400),
        (with("/body", device(&"x".repeat(65))), 400),
        (with("/body", json!("x".repeat(17_000))), 413),
        (with("/body", device(&"\u{1f4f1}".repeat(64))), 200),
        (json!(null), 401),
    ];
    for (event, status) in rows {
        assert_eq!(ask(&sessions, &event).await.0, status, "{event:.400}");
    }
    world.store.set_fault(Fault::Answer(500, "{}".to_owned()));
    for (route, parameters) in [
        (LIST, json!(null)),
        (RECORD, json!(null)),
        (END, json!({"id": "x"})),
    ] {
        let event = behind_authorizer(&token, route, parameters, json!(null));
        assert_eq!(ask(&sessions, &event).await.0, 503, "{route:?}");
    }
}

#[tokio::test]
async fn long_lists_are_read_in_batches_and_revocations_are_logged() {
    let world = World::start().await;
    let sessions = world.function("sessions", &[]).await;
    let first = user_token();
    let mut ids = Vec::new();
    for _ in 0..120 {
        let token = signed_in_again(&first);
        assert_eq!(record(&sessions, &token, json!(null)).await.0, 200);
        ids.push(text_of(&token, "origin_jti"));
    }
    let end = async |id: &str| {
        let event = behind_authorizer(&first, END, json!({"id": id}), json!(null));
        ask(&sessions, &event).await.0
    };
    assert_eq!(end(&ids[3]).await, 200);
    assert_eq!(end("unknown").await, 404);
    world.store.forget_requests();
    let left = list(&sessions, &first).await;
    assert_eq!(left.len(), 119);
    assert!(!left.contains(&ids[3]));
    let reads = world.store.requests();
    let reads = reads
        .iter()
        .filter(|(name, _)| name == "BatchGetItem")
        .count();
    assert!(reads <= 3, "{reads} reads for 120 sessions");

    let output = sessions.output();
    let lines = output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let audits: Vec<Value> = lines.filter(|line| line["message"] == "audit").collect();
    let pool = testkit::Pool::ours().id;
    assert_eq!(audits.len(), 2, "reading and recording are not audited");
    assert_eq!(
        audits[0]["actor"],
        auth::subject_hash(pool, &text_of(&first, "sub"))
    );
    assert_eq!(audits[0]["target"], auth::subject_hash(pool, &ids[3]));
    assert_eq!(
        (&audits[0]["outcome"], &audits[1]["outcome"]),
        (&json!("done"), &json!("unknown_session"))
    );
}
