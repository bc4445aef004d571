//! migrate-user: one name and several users or spellings of it, and which of them is migrated.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, FakeAws};

use crate::migrate_user::{CONFIRMED, HASH, OldTable, PASSWORD, ada, forgot, moved, sign_in, with};
use crate::world::World;

#[tokio::test]
async fn the_conflict_rule_selects_one_of_the_users_of_a_name() {
    let old = OldTable::make().await;
    let refuse = old.function(&[]).await;
    let verified = old.function(&[("CONFLICT_RULE", "verified-wins")]).await;
    let latest = old
        .function(&[("CONFLICT_RULE", "latest-sign-in-wins")])
        .await;
    let other = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let pair = async |name: &str, first: Value, second: Value| {
        let capital = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        let first = with(json!({"email": name}), first);
        old.put(with(ada(&capital), first)).await;
        let second = with(json!({"password_hash": other, "email": name}), second);
        old.put(with(ada(name), second)).await;
    };
    pair(
        "bob@x.example",
        json!({"last_sign_in": 1_700_000_000}),
        json!({"email_verified": false, "last_sign_in": "2020-01-01T00:00:00Z"}),
    )
    .await;
    // Each password is right for one of the two users: the rule decides, not the password.
    for name in ["bob@x.example", "Bob@x.example", "BOB@X.EXAMPLE"] {
        for (migrate, expected) in [
            (&refuse, None),
            (&verified, CONFIRMED),
            (&latest, CONFIRMED),
        ] {
            assert_eq!(
                moved(migrate, &sign_in(name, PASSWORD)).await.as_deref(),
                expected,
                "{name}"
            );
        }
        for migrate in [&refuse, &verified, &latest] {
            assert_eq!(
                moved(migrate, &sign_in(name, "U*U")).await,
                None,
                "the other user's password: {name}"
            );
        }
        assert_eq!(
            moved(&refuse, &forgot(name)).await,
            None,
            "forgotten password"
        );
    }
    pair("eve@x.example", json!({}), json!({})).await;
    pair(
        "kim@x.example",
        json!({"last_sign_in": 5}),
        json!({"last_sign_in": 5}),
    )
    .await;
    pair(
        "dan@x.example",
        json!({"enabled": false, "last_sign_in": 9}),
        json!({"email_verified": false, "last_sign_in": 5}),
    )
    .await;
    for name in ["eve@x.example", "kim@x.example", "dan@x.example"] {
        for migrate in [&verified, &latest] {
            assert_eq!(
                moved(migrate, &sign_in(name, PASSWORD)).await,
                None,
                "{name}"
            );
        }
    }
    assert!(refuse.output().contains("\"ambiguous\""));
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
