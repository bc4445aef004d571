//! migrate-user: failing stores, refusals by old stores, and limits on failed passwords.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::types::BillingMode;
use serde_json::{Value, json};
use testkit::Invocation;
use testkit::server::{Fault, Server};

use crate::migrate_user::{
    CONFIRMED, HASH, OldTable, PASSWORD, ada, hash_key, moved, postgres, sign_in, text_attribute,
};
use crate::migrate_user_sources::{endpoint, migrate_from};
use crate::store::table_client;
use crate::world::{World, unique};

#[tokio::test]
async fn an_unavailable_store_is_an_error_and_is_not_called_again_at_once() {
    let old = OldTable::make().await;
    old.put(ada("ada@example.com")).await;
    for fault in [Fault::Cut, Fault::Hang, Fault::Answer(500, "{}".to_owned())] {
        let migrate = old.function(&[]).await;
        old.world.store.set_fault(fault);
        old.world.store.forget_requests();
        for _ in 0..3 {
            let failed = migrate.invoke(&sign_in("ada@example.com", PASSWORD)).await;
            let Invocation::Error(text, _) = failed else {
                panic!("{failed:?}");
            };
            assert_eq!(text, "Internal Server Error");
        }
        assert!(
            old.world.store.requests().len() <= 2,
            "no call for each of the three attempts"
        );
        old.world.store.set_fault(Fault::None);
    }
}

#[tokio::test]
async fn a_refusal_by_an_endpoint_does_not_affect_other_users() {
    let world = World::start().await;
    let known = r#"{"username":"ada","email":"ada@example.com","email_verified":true,"password_matches":true}"#;
    for (status, refused, cools) in [
        (400, true, false),
        (401, true, false),
        (403, true, false),
        (404, true, false),
        (422, true, false),
        (423, true, false),
        (429, true, false),
        (301, false, false),
        (405, false, false),
        (408, false, true),
        (500, false, true),
        (503, false, true),
    ] {
        let (server, asked) = endpoint((status, known)).await;
        let migrate = migrate_from(&world, &server).await;
        let event = sign_in("locked@example.com", PASSWORD);
        for _ in 0..2 {
            if refused {
                assert_eq!(moved(&migrate, &event).await, None, "{status}");
            } else {
                assert!(migrate.invoke(&event).await.is_failure(), "{status}");
            }
        }
        let asked = asked.lock().unwrap().len();
        assert_eq!(asked, if cools { 1 } else { 2 }, "{status}");
    }
}

/// An endpoint answers `ada` with this status and body, and has a record of every other user.
async fn endpoint_with_a_bad_record(status: u16, bad: String) -> Server {
    let handler = move |body: String| {
        let question: Value = serde_json::from_str(&body).unwrap();
        let name = question["username"].as_str().unwrap();
        let record = json!({"username": name, "email": name, "email_verified": true, "password_matches": true});
        let answer = match name {
            "ada@example.com" => (status, bad.clone()),
            _ => (200, record.to_string()),
        };
        async move {
            let status = axum::http::StatusCode::from_u16(answer.0).unwrap();
            (status, answer.1)
        }
    };
    Server::start(axum::Router::new().route("/login", axum::routing::post(handler))).await
}

#[tokio::test]
async fn a_record_that_cannot_be_read_does_not_affect_other_users() {
    let world = World::start().await;
    let large = |bytes: usize| {
        let mut record = json!({"username": "ada@example.com", "email": "ada@example.com",
            "email_verified": true, "password_matches": true});
        record["portrait"] = json!("x".repeat(bytes));
        record.to_string()
    };
    for (case, status, bad, refused) in [
        ("too large", 200, large(70 * 1_024), false),
        ("malformed", 200, "{".to_owned(), false),
        ("a large page for a refusal", 403, large(70 * 1_024), true),
        (
            "a large page for an unknown user",
            404,
            large(70 * 1_024),
            true,
        ),
    ] {
        let server = endpoint_with_a_bad_record(status, bad).await;
        let migrate = migrate_from(&world, &server).await;
        let event = sign_in("ada@example.com", PASSWORD);
        if refused {
            assert_eq!(moved(&migrate, &event).await, None, "{case}");
        } else {
            assert!(migrate.invoke(&event).await.is_failure(), "{case}");
        }
        let other = moved(&migrate, &sign_in("grace@example.com", PASSWORD)).await;
        assert_eq!(other.as_deref(), CONFIRMED, "after {case}");
    }
    // An outage stays one, however long its page is.
    let server = endpoint_with_a_bad_record(503, large(70 * 1_024)).await;
    let migrate = migrate_from(&world, &server).await;
    for name in ["ada@example.com", "grace@example.com"] {
        let failed = migrate.invoke(&sign_in(name, PASSWORD)).await;
        assert!(failed.is_failure(), "{name}");
    }
}

#[tokio::test]
async fn a_row_that_postgresql_cannot_read_does_not_affect_other_users() {
    let world = World::start().await;
    let address = world.stack.postgres.clone();
    let client = postgres(&address).await;
    let fails = unique("fails").replace('-', "_");
    client
        .batch_execute(&format!(
            "CREATE FUNCTION {fails}(state text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'failed' USING ERRCODE = state; END $$;"
        ))
        .await
        .unwrap();
    // The name of a user is the SQLSTATE that reading the row fails with.
    let query = format!(
        "SELECT $1::text AS username, '{HASH}' AS password_hash, $1 AS email, \
         CASE WHEN $1 LIKE 'grace%' THEN true ELSE {fails}(left(upper($1), 5)) END AS email_verified"
    );
    let base = [
        ("LEGACY_SOURCE", "postgres"),
        ("LEGACY_SECRET", address.as_str()),
        ("LEGACY_QUERY", query.as_str()),
    ];
    let grace = sign_in("grace@example.com", PASSWORD);
    for (state, suspends) in [
        ("xx000", false),
        ("xx001", false),
        ("p0001", false),
        ("53200", true),
    ] {
        let migrate = world.function("migrate-user", &base).await;
        let event = sign_in(&format!("{state}@example.com"), PASSWORD);
        assert!(migrate.invoke(&event).await.is_failure(), "{state}");
        if suspends {
            assert!(migrate.invoke(&grace).await.is_failure(), "{state}");
        } else {
            let other = moved(&migrate, &grace).await;
            assert_eq!(other.as_deref(), CONFIRMED, "after {state}");
        }
    }
}

#[tokio::test]
async fn a_refusal_by_an_old_pool_does_not_affect_other_users() {
    let world = World::start().await;
    let cognito = &world.cognito;
    let base = [
        ("LEGACY_SOURCE", "cognito"),
        ("LEGACY_USER_POOL_ID", "us-east-1_Old"),
        ("LEGACY_APP_CLIENT_ID", "old-client"),
    ];
    let migrate = world.function("migrate-user", &base).await;
    let account = json!({"Username": "ada", "Enabled": true, "UserStatus": "CONFIRMED",
        "UserAttributes": [{"Name": "email", "Value": "ada@example.com"},
            {"Name": "email_verified", "Value": "true"}]});
    let tokens = json!({"AuthenticationResult": {"AccessToken": "t"}});
    let exception = |name: &str, message: &str| {
        let body = json!({"__type": name, "message": message}).to_string();
        Fault::Answer(400, body)
    };
    let event = sign_in("ada@example.com", PASSWORD);
    let works = async |what: &str| {
        cognito.set_fault(Fault::None);
        cognito.set_answer("AdminGetUser", account.clone());
        cognito.set_answer("AdminInitiateAuth", tokens.clone());
        let found = moved(&migrate, &event).await;
        assert_eq!(found.as_deref(), CONFIRMED, "after {what}");
    };
    works("nothing").await;
    for (name, message) in [
        ("UserLambdaValidationException", "PreAuthentication failed"),
        ("UnexpectedLambdaException", "x"),
        ("InvalidLambdaResponseException", "x"),
        ("InvalidParameterException", "1 validation error detected"),
        ("MFAMethodNotFoundException", "x"),
        ("NotAuthorizedException", "Password attempts exceeded"),
    ] {
        cognito.set_fault_for("AdminInitiateAuth", exception(name, message));
        assert_eq!(moved(&migrate, &event).await, None, "{name}");
        works(name).await;
    }
    let fault = exception("InvalidParameterException", "1 validation error detected");
    cognito.set_fault_for("AdminGetUser", fault);
    assert_eq!(moved(&migrate, &event).await, None, "an invalid name");
    works("an invalid name").await;
    // A failure that concerns all users is an error, not an unknown user.
    for (operation, name, message) in [
        (
            "AdminInitiateAuth",
            "InvalidParameterException",
            "Auth flow not enabled for this client",
        ),
        (
            "AdminInitiateAuth",
            "NotAuthorizedException",
            "Unable to verify secret hash for client x",
        ),
        ("AdminInitiateAuth", "ResourceNotFoundException", "x"),
        (
            "AdminGetUser",
            "ResourceNotFoundException",
            "User pool x does not exist.",
        ),
        ("AdminGetUser", "AccessDeniedException", "x"),
    ] {
        cognito.set_fault_for(operation, exception(name, message));
        assert!(
            migrate.invoke(&event).await.is_failure(),
            "{operation} {name}"
        );
        works(name).await;
    }
    // Calls are suspended only if the store is unavailable or throttles the function.
    cognito.set_fault_for(
        "AdminInitiateAuth",
        exception("TooManyRequestsException", "x"),
    );
    assert!(migrate.invoke(&event).await.is_failure());
    cognito.set_fault(Fault::None);
    cognito.forget_requests();
    assert!(
        migrate.invoke(&event).await.is_failure(),
        "calls are suspended"
    );
    assert_eq!(cognito.requests(), [], "calls are suspended");
}

#[tokio::test]
async fn failures_are_counted_and_limited() {
    let old = OldTable::make().await;
    old.put(ada("ada@example.com")).await;
    let table = old.world.stack.attempt_table.clone();
    let more = [
        ("ATTEMPT_TABLE", table.as_str()),
        ("FAILURES_PER_USER", "3"),
    ];
    let migrate = old.function(&more).await;
    let name = "ada@example.com";
    let mut blocked = false;
    // A new window may begin once during the attempts.
    for _ in 0..8 {
        assert_eq!(
            moved(&migrate, &sign_in(name, "wrong-password")).await,
            None
        );
        blocked = blocked || migrate.output().contains("too_many_failures");
    }
    assert!(blocked, "too many failures");
    assert_eq!(
        moved(&migrate, &sign_in("ADA@example.com", PASSWORD)).await,
        None,
        "names are counted without case"
    );
    // Concurrent guesses count too.
    let name = format!("{}@example.com", unique("burst"));
    let right = old.world.stack.attempt_table.clone();
    let more = [
        ("ATTEMPT_TABLE", right.as_str()),
        ("FAILURES_PER_USER", "3"),
    ];
    let mut processes = Vec::new();
    for _ in 0..7 {
        processes.push(old.function(&more).await);
    }
    let guess = sign_in(&name, "wrong-password");
    let guesses = processes.iter().map(|process| moved(process, &guess));
    futures_util::future::join_all(guesses).await;
    let looked = processes
        .iter()
        .filter(|process| process.output().contains("unknown_user"));
    // A new window may begin once during the attempts.
    assert!(looked.count() <= 6, "concurrent guesses");

    // The limit of all users; a right password takes its count back.
    let all = [("ATTEMPT_TABLE", right.as_str()), ("FAILURES_IN_ALL", "1")];
    let strict = old.function(&all).await;
    for _ in 0..3 {
        let name = format!("{}@example.com", unique("any"));
        assert_eq!(
            moved(&strict, &sign_in(&name, "wrong-password")).await,
            None
        );
    }
    assert!(strict.output().contains("too_many_failures_in_all"));

    let name = "ada@example.com";
    let failed = {
        old.world.store.set_fault(Fault::Cut);
        migrate.invoke(&sign_in(name, PASSWORD)).await
    };
    assert!(
        failed.is_failure(),
        "without the counter no password is checked"
    );
}

/// A separate table, because all tests share the row with the count of all users.
async fn own_attempt_table(world: &World) -> String {
    let attempts = unique("attempts");
    table_client(&world.stack)
        .await
        .create_table()
        .table_name(&attempts)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(text_attribute("id"))
        .key_schema(hash_key("id"))
        .send()
        .await
        .unwrap();
    attempts
}

#[tokio::test]
async fn guesses_at_one_name_do_not_lock_out_other_users() {
    let old = OldTable::make().await;
    old.put(ada("ada@example.com")).await;
    let attempts = own_attempt_table(&old.world).await;
    let migrate = old
        .function(&[
            ("ATTEMPT_TABLE", attempts.as_str()),
            ("FAILURES_PER_USER", "2"),
            ("FAILURES_IN_ALL", "6"),
        ])
        .await;
    let hammered = format!("{}@example.com", unique("hammered"));
    for _ in 0..12 {
        let guess = sign_in(&hammered, "wrong-password");
        assert_eq!(moved(&migrate, &guess).await, None);
    }
    let answer = moved(&migrate, &sign_in("ada@example.com", PASSWORD)).await;
    assert_eq!(answer.as_deref(), CONFIRMED, "another user");
    assert!(
        !migrate.output().contains("too_many_failures_in_all"),
        "{}",
        migrate.output()
    );
}

/// The SDK repeats a call whose response was lost, and a refund that fails costs the user one attempt, not the
/// migration.
#[tokio::test]
async fn a_failed_or_repeated_refund_does_not_stop_a_migration() {
    let old = OldTable::make().await;
    let table = own_attempt_table(&old.world).await;
    let more = [("ATTEMPT_TABLE", table.as_str())];
    let migrate = old.function(&more).await;
    // The third call to the table of attempts is the first refund: two counts precede it.
    for (what, lost) in [
        ("no response is lost", 3..3),
        ("one response is lost", 3..4),
        ("all are lost", 3..99),
    ] {
        let name = format!("{}@example.com", unique("refund"));
        old.put(ada(&name)).await;
        let calls = AtomicUsize::new(0);
        old.world.store.set_hook(Some(Box::new(move |operation| {
            operation == "UpdateItem" && lost.contains(&(calls.fetch_add(1, Ordering::SeqCst) + 1))
        })));
        old.world.store.forget_requests();
        let answer = moved(&migrate, &sign_in(&name, PASSWORD)).await;
        old.world.store.set_hook(None);
        assert_eq!(answer.as_deref(), CONFIRMED, "{what}");
        let operations = old.world.store.operations().into_iter();
        let updates = operations.filter(|operation| operation == "UpdateItem");
        let updates = updates.count();
        assert_eq!(updates > 4, what != "no response is lost", "{updates}");
        // A later attempt reads the count.
        let answer = moved(&migrate, &sign_in(&name, PASSWORD)).await;
        assert_eq!(answer.as_deref(), CONFIRMED, "after {what}");
    }
}
