//! migrate-user: which users are migrated, and with which attributes.

use serde_json::{Value, json};
use testkit::Binary;

use crate::migrate_user::{
    CONFIRMED, OldTable, PASSWORD, RESET, ada, forgot, moved, sign_in, with,
};

async fn attributes(migrate: &Binary, event: &Value) -> Value {
    let answer = migrate.invoke(event).await.answer();
    answer["response"]["userAttributes"].clone()
}

#[tokio::test]
async fn a_right_password_migrates_a_user_regardless_of_the_policy() {
    let old = OldTable::make().await;
    let strict = [
        ("PASSWORD_MIN_LENGTH", "30"),
        ("PASSWORD_REQUIRES", "uppercase,numbers"),
        ("PASSWORD_CHANGE_ATTRIBUTE", "custom:password_is_old"),
    ];
    let migrate = old.function(&strict).await;
    for (name, row, expected) in [
        ("verified", json!({}), CONFIRMED),
        ("unverified", json!({"email_verified": false}), CONFIRMED),
        ("reset", json!({"must_reset": true}), RESET),
        (
            "stranded",
            json!({"must_reset": true, "email_verified": false}),
            None,
        ),
        (
            "phone",
            json!({"must_reset": true, "email_verified": false, "phone_number": "+15551234567",
                "phone_number_verified": true}),
            RESET,
        ),
        (
            "bad phone",
            json!({"must_reset": true, "email_verified": false, "phone_number": "555 123",
                "phone_number_verified": true}),
            None,
        ),
    ] {
        let name = format!("{}@example.com", name.replace(' ', "-"));
        let user = with(ada(&name), json!({"email": name}));
        old.put(with(user, row.clone())).await;
        let event = sign_in(&name, PASSWORD);
        let found = moved(&migrate, &event).await;
        assert_eq!(found.as_deref(), expected, "{row}");
        assert_eq!(moved(&migrate, &sign_in(&name, "wrong")).await, None);
        if expected == CONFIRMED {
            let attributes = attributes(&migrate, &event).await;
            assert_eq!(attributes["custom:password_is_old"], "true", "{row}");
        }
    }
    let output = migrate.output();
    assert!(output.contains("moved_to_change"), "{output}");

    // Where names are addresses, the pool sends codes by email only.
    let by_email = old.function(&[("USERNAME_IS_EMAIL", "true")]).await;
    for (name, expected) in [("phone@example.com", None), ("reset@example.com", RESET)] {
        for event in [sign_in(name, PASSWORD), forgot(name)] {
            assert_eq!(
                moved(&by_email, &event).await.as_deref(),
                expected,
                "{name}"
            );
        }
    }
    assert!(
        moved(&migrate, &forgot("phone@example.com"))
            .await
            .is_some()
    );

    // A passphrase that bcrypt truncated: the new pool uses all of it.
    let hash = "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui";
    let long = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored";
    let migrate = old.function(&[]).await;
    for (verified, expected) in [(true, RESET), (false, CONFIRMED)] {
        let row = json!({"password_hash": hash, "email_verified": verified});
        old.put(with(ada("long@example.com"), row)).await;
        let found = moved(&migrate, &sign_in("long@example.com", long)).await;
        assert_eq!(
            found.as_deref(),
            expected,
            "truncated by bcrypt, verified: {verified}"
        );
    }
}

#[tokio::test]
async fn attributes_that_the_pool_would_refuse_are_not_migrated() {
    let old = OldTable::make().await;
    let names = json!({"born": "birthdate", "verified_at": "email_verified"}).to_string();
    let migrate = old.function(&[("LEGACY_ATTRIBUTES", names.as_str())]).await;
    let good = json!({"email": "ada@example.com", "email_verified": "true"});
    for (name, row, more) in [
        ("a", json!({"phone_number": "(555) 123-4567"}), json!({})),
        ("b", json!({"phone_number": "0171 123456"}), json!({})),
        (
            "c",
            json!({"phone_number": "+15551234567", "phone_number_verified": 1}),
            json!({"phone_number": "+15551234567", "phone_number_verified": "true"}),
        ),
        ("d", json!({"phone_number": "+1555123456789012"}), json!({})),
        (
            "e",
            json!({"phone_number": "", "phone_number_verified": true}),
            json!({}),
        ),
        (
            "f",
            json!({"birthdate": "1985-04-12T00:00:00.000Z"}),
            json!({}),
        ),
        (
            "g",
            json!({"born": "1985-04-12"}),
            json!({"birthdate": "1985-04-12"}),
        ),
        ("h", json!({"birthdate": "1985-02-29"}), json!({})),
        ("i", json!({"birthdate": "12.04.1985"}), json!({})),
        (
            "j",
            json!({"updated_at": "2024-01-01T00:00:00Z"}),
            json!({}),
        ),
        (
            "k",
            json!({"updated_at": 1_700_000_000}),
            json!({"updated_at": "1700000000"}),
        ),
        ("l", json!({"updated_at": -1}), json!({})),
        ("m", json!({"nickname": "a\u{0}b"}), json!({})),
        ("n", json!({"name": "Ada\nLovelace"}), json!({})),
        (
            "o",
            json!({"name": "   ", "family_name": "Ünïcode"}),
            json!({"family_name": "Ünïcode"}),
        ),
        ("p", json!({"email": " Ada@example.com "}), json!({})),
        (
            "q",
            json!({"email_verified": false, "verified_at": "2024-01-01 10:00:00"}),
            json!({}),
        ),
        (
            "r",
            json!({"sub": "x", "cognito:groups": "y", "role": "z", "custom:role": "w"}),
            json!({}),
        ),
    ] {
        let name = format!("{name}@example.com");
        old.put(with(ada(&name), row.clone())).await;
        let expected = with(good.clone(), more);
        let found = attributes(&migrate, &sign_in(&name, PASSWORD)).await;
        assert_eq!(found, expected, "{row}");
    }
    for (name, row) in [
        ("s", json!({"email": "not-an-address"})),
        ("t", json!({"email": "a b@example.com"})),
        ("u", json!({"email": "\u{7}@example.com"})),
    ] {
        let name = format!("{name}@example.com");
        old.put(with(ada(&name), row.clone())).await;
        let found = moved(&migrate, &sign_in(&name, PASSWORD)).await;
        assert_eq!(found, None, "{row}");
    }
    let output = migrate.output();
    assert!(
        output.contains("\"attributes\":[\"birthdate\"]"),
        "{output}"
    );
    assert!(
        output.contains("\"attributes\":[\"phone_number\"]"),
        "{output}"
    );
    for value in ["123-4567", "1985", "Lovelace", "not-an-address"] {
        assert!(!output.contains(value), "not logged: {value}");
    }
}
