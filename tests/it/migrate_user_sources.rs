//! migrate-user: an old pool, a PostgreSQL table and an endpoint as sources.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testkit::server::{Fault, Server};
use testkit::{Binary, FakeAws};

use crate::migrate_user::{
    CONFIRMED, HASH, OldTable, PASSWORD, RESET, ada, forgot, moved, postgres, sign_in,
};
use crate::world::World;

#[tokio::test]
async fn users_of_an_old_pool_are_migrated() {
    let world = World::start().await;
    let base = [
        ("LEGACY_SOURCE", "cognito"),
        ("LEGACY_USER_POOL_ID", "us-east-1_Old"),
        ("LEGACY_APP_CLIENT_ID", "old-client"),
    ];
    let strict = world.function("migrate-user", &base).await;
    let lenient: Vec<_> = base
        .into_iter()
        .chain([
            ("LEGACY_CHALLENGES", "reset"),
            ("LEGACY_UNCONFIRMED", "reset"),
        ])
        .collect();
    let lenient = world.function("migrate-user", &lenient).await;
    let account = |enabled: bool, status: &str| {
        json!({"Username": "Ada@Example.com", "Enabled": enabled, "UserStatus": status, "UserAttributes": [
            {"Name": "sub", "Value": "old-sub"}, {"Name": "email", "Value": "Ada@Example.com"},
            {"Name": "email_verified", "Value": "true"}, {"Name": "custom:tier", "Value": "gold"},
        ]})
    };
    let cognito = &world.cognito;
    let exception = |name: &str| {
        Fault::Answer(
            400,
            json!({"__type": name, "message": "raw words"}).to_string(),
        )
    };
    let event = sign_in("ada@example.com", PASSWORD);
    cognito.set_answer("AdminGetUser", account(true, "CONFIRMED"));
    cognito.set_answer(
        "AdminInitiateAuth",
        json!({"AuthenticationResult": {"AccessToken": "t"}}),
    );
    assert_eq!(
        moved(&strict, &event).await.as_deref(),
        CONFIRMED,
        "right password"
    );
    assert_eq!(
        moved(&strict, &forgot("ada@example.com")).await.as_deref(),
        RESET
    );
    let answer = strict.invoke(&event).await.answer();
    assert_eq!(
        answer["response"]["userAttributes"],
        json!({"email": "ada@example.com", "email_verified": "true"})
    );
    let asked = cognito.requests();
    let (_, check) = asked
        .iter()
        .find(|(operation, _)| operation == "AdminInitiateAuth")
        .unwrap();
    assert_eq!(
        check["AuthParameters"]["USERNAME"], "Ada@Example.com",
        "the old pool receives its own spelling"
    );

    for challenge in [
        "SOFTWARE_TOKEN_MFA",
        "NEW_PASSWORD_REQUIRED",
        "SOMETHING_NEW",
    ] {
        cognito.set_answer(
            "AdminInitiateAuth",
            json!({"ChallengeName": challenge, "Session": "s"}),
        );
        assert_eq!(moved(&strict, &event).await, None, "{challenge}");
        assert_eq!(
            moved(&lenient, &event).await.as_deref(),
            RESET,
            "{challenge}"
        );
    }
    for (name, refused, taken) in [
        ("NotAuthorizedException", None, None),
        ("UserNotFoundException", None, None),
        ("UserNotConfirmedException", None, RESET),
        ("PasswordResetRequiredException", RESET, RESET),
    ] {
        cognito.set_fault_for("AdminInitiateAuth", exception(name));
        assert_eq!(moved(&strict, &event).await.as_deref(), refused, "{name}");
        assert_eq!(moved(&lenient, &event).await.as_deref(), taken, "{name}");
    }
    cognito.set_fault(Fault::None);
    cognito.set_answer(
        "AdminInitiateAuth",
        json!({"AuthenticationResult": {"AccessToken": "t"}}),
    );
    cognito.set_answer("AdminGetUser", account(false, "CONFIRMED"));
    assert_eq!(moved(&strict, &event).await, None, "disabled");
    cognito.set_answer("AdminGetUser", account(true, "UNCONFIRMED"));
    assert_eq!(moved(&strict, &event).await, None, "unconfirmed");

    // An unknown user: one more call, as for a wrong password.
    cognito.forget_requests();
    cognito.set_fault_for("AdminGetUser", exception("UserNotFoundException"));
    assert_eq!(moved(&strict, &event).await, None, "unknown user");
    let asked = cognito.requests();
    assert!(
        asked
            .iter()
            .any(|(operation, _)| operation == "AdminInitiateAuth"),
        "AdminInitiateAuth is called as for a wrong password"
    );
    cognito.set_fault_for("AdminGetUser", exception("TooManyRequestsException"));
    assert!(strict.invoke(&event).await.is_failure(), "throttled");
    assert!(!strict.output().contains("raw words"));
}

#[tokio::test]
async fn users_of_a_postgresql_table_are_migrated() {
    let world = World::start().await;
    let address = world.stack.postgres.clone();
    let client = postgres(&address).await;
    client
        .batch_execute(&format!(
            "CREATE TABLE IF NOT EXISTS people (login text, pw text, mail text, mail_ok boolean, \
             gone_at timestamptz, seen timestamptz); TRUNCATE people; \
             INSERT INTO people VALUES \
             ('Ada@Example.com', '{HASH}', 'Ada@Example.com', true, null, now()), \
             ('gone@example.com', '{HASH}', 'gone@example.com', true, now(), now()), \
             ('Bob@x.example', '{HASH}', 'bob@x.example', true, null, '2026-01-01 10:00+00'), \
             ('bob@x.example', 'other', 'bob@x.example', true, null, '2025-01-01 10:00+00');"
        ))
        .await
        .unwrap();
    let query = "SELECT login AS username, pw AS password_hash, mail AS email, mail_ok AS email_verified, \
        gone_at AS deleted, seen AS last_sign_in FROM people WHERE lower(login) = $1";
    let base = [
        ("LEGACY_SOURCE", "postgres"),
        ("LEGACY_SECRET", address.as_str()),
        ("LEGACY_QUERY", query),
        ("CONFLICT_RULE", "latest-sign-in-wins"),
    ];
    let migrate = world.function("migrate-user", &base).await;
    for (case, event, expected) in [
        (
            "right password",
            sign_in("ada@example.com", PASSWORD),
            CONFIRMED,
        ),
        (
            "wrong password",
            sign_in("ada@example.com", "wrong-password"),
            None,
        ),
        (
            "unknown user",
            sign_in("unknown@example.com", PASSWORD),
            None,
        ),
        ("deleted", sign_in("gone@example.com", PASSWORD), None),
        (
            "the latest sign-in wins",
            sign_in("BOB@x.example", PASSWORD),
            CONFIRMED,
        ),
        (
            "SQL injection",
            sign_in("x'; DROP TABLE people; --", PASSWORD),
            None,
        ),
        (
            "SQL injection",
            sign_in("x'\u{2060}OR\u{2060}1=1--", PASSWORD),
            None,
        ),
        ("forgotten password", forgot("Ada@example.com"), RESET),
    ] {
        assert_eq!(moved(&migrate, &event).await.as_deref(), expected, "{case}");
    }
    // The server closes its connections, as happens while a process is frozen.
    client
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE pid <> pg_backend_pid() AND query LIKE '%FROM people WHERE%'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(
        moved(&migrate, &sign_in("ada@example.com", PASSWORD))
            .await
            .as_deref(),
        CONFIRMED,
        "the function reconnects"
    );
    assert!(!migrate.output().contains(PASSWORD));
}

/// An old endpoint that records its requests.
pub(crate) async fn endpoint(
    answer: (u16, &'static str),
) -> (Server, Arc<Mutex<Vec<(String, String, String)>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let handler = move |headers: axum::http::HeaderMap, body: String| {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        log.lock().unwrap().push((
            text("x-gatehouse-timestamp"),
            text("x-gatehouse-signature"),
            body,
        ));
        async move {
            (
                axum::http::StatusCode::from_u16(answer.0).unwrap(),
                answer.1,
            )
        }
    };
    let router = axum::Router::new().route("/login", axum::routing::post(handler));
    (Server::start(router).await, asked)
}

/// migrate-user with that endpoint as its source.
pub(crate) async fn migrate_from(world: &World, endpoint: &Server) -> Binary {
    let url = format!("{}/login", endpoint.url());
    let variables = [
        ("LEGACY_SOURCE", "http"),
        ("LEGACY_URL", url.as_str()),
        ("LEGACY_SECRET", "shared-key"),
    ];
    world.function("migrate-user", &variables).await
}

#[tokio::test]
async fn users_of_an_old_endpoint_are_migrated() {
    let world = World::start().await;
    let known = r#"{"username":"ada","email":"ada@example.com","email_verified":true,"password_matches":true}"#;
    let wrong = r#"{"username":"ada","email":"ada@example.com","email_verified":true,"password_matches":false}"#;
    let silent = r#"{"username":"ada","email":"ada@example.com","email_verified":true}"#;
    let two = r#"{"users":[{"username":"a","email":"a@b.c"},{"username":"A","email":"a@b.c"}]}"#;
    for (answer, expected) in [
        ((200, known), Some(CONFIRMED)),
        ((200, wrong), Some(None)),
        ((200, silent), Some(None)),
        ((200, two), Some(None)),
        ((404, ""), Some(None)),
        ((401, ""), Some(None)),
        ((500, known), None),
        ((302, known), None),
        ((200, "not json"), None),
        ((200, "[]"), None),
    ] {
        let (server, asked) = endpoint(answer).await;
        let migrate = migrate_from(&world, &server).await;
        let event = sign_in("Ada@example.com", PASSWORD);
        match expected {
            Some(expected) => assert_eq!(
                moved(&migrate, &event).await.as_deref(),
                expected,
                "{answer:?}"
            ),
            None => assert!(migrate.invoke(&event).await.is_failure(), "{answer:?}"),
        }
        let asked = asked.lock().unwrap().clone();
        assert_eq!(asked.len(), 1, "no retry");
        let (timestamp, signature, body) = &asked[0];
        let sent: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            sent,
            json!({"username": "ada@example.com", "password": PASSWORD})
        );
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"shared-key");
        let tag = aws_lc_rs::hmac::sign(&key, format!("{timestamp}.{body}").as_bytes());
        let tag: String = tag
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(*signature, tag);
    }
}

/// The pool's answer for a user that was created at this time.
pub(crate) fn made(created_at: u64, status: &str) -> Value {
    json!({"Username": "5f7e-new-sub", "Enabled": true, "UserStatus": status,
        "UserCreateDate": created_at})
}

#[tokio::test]
async fn several_sources_are_queried_in_order() {
    let old = OldTable::make().await;
    old.put(ada("second@example.com")).await;
    let cognito = FakeAws::agreeable().await;
    let missing = json!({"__type": "UserNotFoundException"}).to_string();
    cognito.set_fault_for("AdminGetUser", Fault::Answer(400, missing));
    let url = cognito.url();
    let more = [
        ("LEGACY_SOURCE", "cognito, dynamodb"),
        ("LEGACY_USER_POOL_ID", "us-east-1_Old"),
        ("LEGACY_APP_CLIENT_ID", "old-client"),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", url.as_str()),
    ];
    let migrate = old.function(&more).await;
    assert_eq!(
        moved(&migrate, &sign_in("second@example.com", PASSWORD))
            .await
            .as_deref(),
        CONFIRMED
    );
    // The first source does not answer, so the function cannot tell whether the user is unknown.
    cognito.set_fault(Fault::Cut);
    assert!(
        migrate
            .invoke(&sign_in("second@example.com", PASSWORD))
            .await
            .is_failure()
    );
}
