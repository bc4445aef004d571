//! migrate-user: which users are migrated, with which attributes, and what responses reveal.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, FakeAws};

use crate::migrate_user::{
    CONFIRMED, HASH, OldTable, PASSWORD, RESET, ada, forgot, moved, sign_in, with,
};
use crate::migrate_user_sources::{endpoint, migrate_from};
use crate::world::World;

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

#[tokio::test]
async fn users_whose_address_is_not_the_name_are_refused_where_names_are_addresses() {
    let old = OldTable::make().await;
    let by_name = old.function(&[]).await;
    let by_email = old.function(&[("USERNAME_IS_EMAIL", "true")]).await;
    old.put(with(
        ada("victim@corp.example"),
        json!({"email": "attacker@evil.example"}),
    ))
    .await;
    old.put(with(ada("Ada@Example.com"), json!({}))).await;
    for event in [
        sign_in("victim@corp.example", PASSWORD),
        forgot("victim@corp.example"),
    ] {
        assert_eq!(moved(&by_email, &event).await, None, "names are addresses");
        assert!(
            moved(&by_name, &event).await.is_some(),
            "names are not addresses"
        );
    }
    assert!(by_email.output().contains("other_address"));
    let event = sign_in("ada@EXAMPLE.com", PASSWORD);
    assert_eq!(moved(&by_email, &event).await.as_deref(), CONFIRMED);
}

#[tokio::test]
async fn only_a_verified_typed_name_wins_a_conflict() {
    let old = OldTable::make().await;
    let rule = [("CONFLICT_RULE", "verified-wins")];
    let migrate = old.function(&rule).await;
    let twins = async |name: &str, twin: Value| {
        let victim = json!({"email": name, "email_verified": false});
        old.put(with(ada(name), victim)).await;
        old.put(with(ada(&name.to_uppercase()), twin)).await;
        moved(&migrate, &sign_in(name, PASSWORD)).await
    };
    let address = json!({"email": "twin@evil.example"});
    assert_eq!(twins("a@x.example", address).await, None, "another address");
    let phone = json!({"email": "b@x.example", "email_verified": false,
        "phone_number": "+15551234567", "phone_number_verified": true});
    assert_eq!(twins("b@x.example", phone).await, None, "a phone number");
    let none = json!({"email": null});
    assert_eq!(twins("c@x.example", none).await, None, "no address");
    let own = json!({"email": "d@x.example"});
    assert_eq!(twins("d@x.example", own).await.as_deref(), CONFIRMED);
    let number = json!({"email": "e@x.example", "email_verified": false,
        "phone_number": "+15551234567", "phone_number_verified": true});
    old.put(with(ada("+15551234567"), number)).await;
    let event = sign_in("+15551234567", PASSWORD);
    assert_eq!(moved(&migrate, &event).await.as_deref(), CONFIRMED);
}

#[tokio::test]
async fn too_many_users_of_a_name_are_not_migrated() {
    let world = World::start().await;
    let address = world.stack.postgres.clone();
    let query = format!(
        "SELECT 'ada@example.com' AS username, '{HASH}' AS password_hash, \
         'ada@example.com' AS email, n = 1 AS email_verified \
         FROM generate_series(1, split_part($1, '@', 1)::int) AS n"
    );
    let more = [
        ("LEGACY_SOURCE", "postgres"),
        ("LEGACY_SECRET", address.as_str()),
        ("LEGACY_QUERY", query.as_str()),
        ("CONFLICT_RULE", "verified-wins"),
    ];
    let migrate = world.function("migrate-user", &more).await;
    for (name, expected) in [("1", CONFIRMED), ("33", None), ("400", None)] {
        let found = moved(&migrate, &sign_in(name, PASSWORD)).await;
        assert_eq!(found.as_deref(), expected, "{name} users");
    }
    // A name that the query cannot take is refused, and does not suspend calls for other users.
    assert_eq!(
        moved(&migrate, &sign_in("ada", PASSWORD)).await,
        None,
        "not a number"
    );
    assert!(migrate.output().contains("refused_by_store"));
    let found = moved(&migrate, &sign_in("1", PASSWORD)).await;
    assert_eq!(found.as_deref(), CONFIRMED, "the next user");
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

/// Nothing says whether the old pool is case-sensitive: `McDonald` may be another user than `mcdonald`.
#[tokio::test]
async fn names_with_capitals_stay_while_the_case_of_a_pool_is_unknown() {
    let world = World::start().await;
    let cognito = &world.cognito;
    let base = [
        ("LEGACY_SOURCE", "cognito"),
        ("LEGACY_USER_POOL_ID", "us-east-1_Old"),
        ("LEGACY_APP_CLIENT_ID", "old-client"),
    ];
    let account = |name: &str| {
        json!({"Username": name, "Enabled": true, "UserStatus": "CONFIRMED", "UserAttributes": [
            {"Name": "sub", "Value": "old-sub"}, {"Name": "email", "Value": "ada@example.com"},
            {"Name": "email_verified", "Value": "true"},
        ]})
    };
    cognito.set_answer(
        "AdminInitiateAuth",
        json!({"AuthenticationResult": {"AccessToken": "t"}}),
    );
    let event = sign_in("ada@example.com", PASSWORD);
    let refused = |name: &str| Fault::Answer(400, json!({"__type": name}).to_string());
    for fault in [
        refused("AccessDeniedException"),
        refused("NotAuthorizedException"),
        refused("TooManyRequestsException"),
        Fault::Cut,
    ] {
        cognito.set_fault_for("DescribeUserPool", fault);
        let migrate = world.function("migrate-user", &base).await;
        for (name, expected) in [
            ("Ada@example.com", None),
            ("ADA@EXAMPLE.COM", None),
            ("ada@Example.com", None),
            ("ada@example.com", CONFIRMED),
        ] {
            cognito.set_answer("AdminGetUser", account(name));
            let found = moved(&migrate, &event).await;
            assert_eq!(found.as_deref(), expected, "{name}");
            let found = moved(&migrate, &forgot("ada@example.com")).await;
            assert_eq!(found.is_some(), expected.is_some(), "{name}");
        }
        let output = migrate.output();
        assert!(output.contains("DescribeUserPool"), "{output}");
        assert!(output.contains("\"ambiguous\""), "{output}");
    }

    // The pool says it later, the operator says it, or a table lists the spellings.
    cognito.set_answer("AdminGetUser", account("Ada@example.com"));
    cognito.set_fault_for("DescribeUserPool", Fault::Cut);
    let migrate = world.function("migrate-user", &base).await;
    let pool = |cases: bool| json!({"UserPool": {"Id": "us-east-1_Old", "UsernameConfiguration": {"CaseSensitive": cases}}});
    cognito.set_fault(Fault::None);
    cognito.set_answer("DescribeUserPool", pool(true));
    assert_eq!(moved(&migrate, &event).await, None);
    cognito.set_answer("DescribeUserPool", pool(false));
    assert_eq!(moved(&migrate, &event).await.as_deref(), CONFIRMED);
    cognito.set_fault_for("DescribeUserPool", Fault::Cut);
    let said = [&base[..], &[("LEGACY_CASE_SENSITIVE", "false")]].concat();
    let migrate = world.function("migrate-user", &said).await;
    assert_eq!(moved(&migrate, &event).await.as_deref(), CONFIRMED);
}

#[tokio::test]
async fn a_case_sensitive_pool_requires_a_table_of_spellings() {
    let cognito = FakeAws::agreeable().await;
    let url = cognito.url();
    let environment = |more: &[(&str, &str)]| -> Vec<(String, String)> {
        let base = [
            ("LEGACY_SOURCE", "cognito"),
            ("LEGACY_USER_POOL_ID", "us-east-1_Old"),
            ("LEGACY_APP_CLIENT_ID", "old-client"),
            ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", url.as_str()),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_REGION", "us-east-1"),
        ];
        let all = base.iter().chain(more);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let pool = |configuration: Value| json!({"UserPool": {"Id": "us-east-1_Old", "UsernameConfiguration": configuration}});
    for configuration in [json!({"CaseSensitive": true}), Value::Null] {
        cognito.set_answer("DescribeUserPool", pool(configuration));
        let all = environment(&[]);
        let all: Vec<(&str, String)> = all
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        let output = Binary::start_refused("migrate-user", &all).await;
        assert!(output.contains("LEGACY_SPELLINGS_TABLE"), "{output}");
    }
    // (the configuration of the pool, LEGACY_CASE_SENSITIVE, the maximum number of spellings)
    for (configuration, said, spellings) in [
        (json!({"CaseSensitive": true}), Some("false"), 1),
        (json!({"CaseSensitive": false}), None, 4),
    ] {
        cognito.set_answer("DescribeUserPool", pool(configuration));
        let more: Vec<(&str, &str)> = said
            .map(|said| ("LEGACY_CASE_SENSITIVE", said))
            .into_iter()
            .collect();
        let all = environment(&more);
        let all: Vec<(&str, String)> = all
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        let migrate = Binary::start("migrate-user", &all).await;
        let missing = json!({"__type": "UserNotFoundException"}).to_string();
        cognito.set_fault_for("AdminGetUser", Fault::Answer(400, missing));
        cognito.forget_requests();
        assert_eq!(moved(&migrate, &sign_in("ada", PASSWORD)).await, None);
        let asked = cognito.requests();
        let asked = asked.iter().filter(|(name, _)| name == "AdminGetUser");
        assert!(asked.count() <= spellings, "{spellings}");
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
