//! migrate-user: what it does with a password: hashing, the time of a refusal, and wiping.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::migrate_user::{CONFIRMED, HASH, OldTable, PASSWORD, ada, moved, sign_in, with};
use crate::migrate_user_sources::{endpoint, migrate_from};
use crate::world::World;

#[tokio::test]
async fn hashes_in_the_forms_of_exports_are_verified() {
    let world = World::start().await;
    let known = include_str!("../../functions/migrate-user/tests/hashes.json");
    let known: Vec<Value> = serde_json::from_str(known).unwrap();
    for row in known.iter().filter(|row| {
        let system = row["system"].as_str().unwrap();
        [
            "Keycloak argon2",
            "Firebase, base64url",
            "Spring {bcrypt}",
            "Okta bcrypt",
        ]
        .contains(&system)
    }) {
        let hash = row["hash"].as_str().unwrap();
        // The hash as a JSON object and as a string.
        let objects = serde_json::from_str::<Value>(hash).ok();
        for hash in objects.into_iter().chain([json!(hash)]) {
            let record = json!({"username": "ada", "email": "ada@example.com",
                "email_verified": true, "password_hash": hash});
            let answer: &'static str = record.to_string().leak();
            let (server, _) = endpoint((200, answer)).await;
            let migrate = migrate_from(&world, &server).await;
            let password = row["password"].as_str().unwrap();
            let found = moved(&migrate, &sign_in("ada", password)).await;
            assert_eq!(found.as_deref(), CONFIRMED, "{row}");
            assert_eq!(moved(&migrate, &sign_in("ada", "wrong")).await, None);
        }
    }
}

#[tokio::test]
async fn refusals_are_sent_at_multiples_of_the_step() {
    let old = OldTable::make().await;
    let migrate = old.function(&[("REFUSAL_STEP_MS", "500")]).await;
    let sha = "$5$rounds=5000$abcdefgh$gHjxKhdwiaFGueB8uiBwmuhLmOI6/6UU.k7kBosOqsB";
    let rows = [
        ("bcrypt", json!({})),
        ("sha", json!({"password_hash": sha})),
        (
            "costly",
            json!({"password_hash": HASH.replace("$05$", "$31$")}),
        ),
        ("disabled", json!({"enabled": false})),
        ("none", json!({"password_hash": null})),
    ];
    for (name, row) in rows {
        old.put(with(ada(&format!("{name}@example.com")), row))
            .await;
    }
    for name in [
        "bcrypt", "sha", "costly", "disabled", "none", "unknown", "sha", "unknown",
    ] {
        let event = sign_in(&format!("{name}@example.com"), "wrong-password");
        let began = Instant::now();
        assert_eq!(moved(&migrate, &event).await, None);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(499), "{name} {took:?}");
    }
    let event = sign_in("bcrypt@example.com", PASSWORD);
    assert_eq!(moved(&migrate, &event).await.as_deref(), CONFIRMED);
}

#[tokio::test]
async fn a_long_password_is_refused_before_hashing() {
    let old = OldTable::make().await;
    let migrate = old.function(&[]).await;
    let hash = "$6$rounds=656000$saltstring$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.";
    old.put(with(
        ada("slow@example.com"),
        json!({"password_hash": hash}),
    ))
    .await;
    let event = sign_in("slow@example.com", &"\u{1f511}".repeat(256));
    let began = Instant::now();
    assert_eq!(moved(&migrate, &event).await, None, "refused");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(migrate.output().contains("hash_too_costly"));
}

#[tokio::test]
async fn passwords_are_wiped_from_memory() {
    let old = OldTable::make().await;
    old.put(ada("ada@example.com")).await;
    let migrate = old.function(&[]).await;
    let secret = "Sesame-of-this-very-test-1906";
    assert_eq!(
        moved(&migrate, &sign_in("ada@example.com", secret)).await,
        None
    );
    // The next events overwrite the buffer of the connection.
    for _ in 0..3 {
        assert_eq!(
            moved(&migrate, &sign_in("bob@example.com", "another-one")).await,
            None
        );
    }
    assert_eq!(migrate.copies_in_memory(secret), 0);
}
