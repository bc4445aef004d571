//! Late writes never lower a value. The tests write through the store's own crate into the
//! emulated table, and check the result with the built authorizer.

use std::collections::HashMap;

use auth::api_key::{NewKey, RANDOM_BYTES};
use auth::user_state::{Act, After, UserState};
use auth::{
    ClaimsBuilder, ClientRef, GroupRef, IssuerRef, KeptSession, OtherSessions, PasswordChange,
    REVOCATION_MARGIN_SECONDS, RevocationContext, RevocationReader, RevocationWriter, UnixSeconds,
    UserRef,
};
use auth_dynamodb::{DisplayedKey, DynamoApiKeys, DynamoRevocations};
use auth_tests::{Stack, Verdict, environment, request_event};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_sdk_dynamodb::types::AttributeValue;
use testkit::jwks_server::JwksServer;
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Binary, FakeAws, Pool};

/// The SDK's configuration for the service at `url`.
pub(crate) async fn sdk(url: &str) -> SdkConfig {
    aws_config::ConfigLoader::default()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .endpoint_url(url)
        .region("us-east-1")
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .load()
        .await
}

/// A client that reads and writes rows directly.
pub(crate) async fn table_client(stack: &Stack) -> Client {
    Client::new(&sdk(&stack.tables).await)
}

/// A user of the test's pool.
fn user_ref(subject: &str) -> UserRef<'_> {
    UserRef {
        issuer: Pool::ours().id,
        subject,
    }
}

/// The store over the stack's table.
pub(crate) async fn revocations(stack: &Stack) -> DynamoRevocations {
    DynamoRevocations::new(&sdk(&stack.tables).await, stack.table.clone())
}

#[tokio::test]
async fn written_rows_match_the_pure_function() {
    const TTL: u64 = 28_800;
    let stack = Stack::of_this_run();
    let store = revocations(&stack).await;
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    for number in 0..12 {
        let subject = crate::world::unique(&format!("pure-{number}"));
        let user = user_ref(&subject);
        let mut expected = UserState::default();
        for _ in 0..20 {
            let context = RevocationContext {
                reason: "test",
                actor: "test",
                at: UnixSeconds(now()),
                refresh_token_ttl_seconds: TTL,
            };
            let at = UnixSeconds(1_800_000_000 + below(40));
            let (session, since) =
                [("a", 1_800_000_005), ("b", 1_800_000_020)][usize::try_from(below(2)).unwrap()];
            let kind = below(7);
            let others = OtherSessions {
                not_before: at,
                kept: KeptSession {
                    session,
                    authenticated_at: UnixSeconds(since),
                },
                password_changed_at: (kind == 6).then_some(at),
            };
            let change = PasswordChange {
                changed_at: at,
                tolerance_seconds: 10,
            };
            let act = match kind {
                0 => Act::RevokeAll(at),
                1 => Act::PasswordChanged(change),
                2 => Act::RequireRefresh(at),
                3 => Act::Disable(at),
                4 => Act::Enable(at),
                _ => Act::RevokeOthers(others),
            };
            let written = match kind {
                0 => {
                    let revoked = store.revoke_user_sessions(&user, at, &context);
                    revoked.await.map(|()| true)
                }
                1 => {
                    let revoked =
                        store.revoke_sessions_before_password_change(&user, &change, &context);
                    revoked.await.map(|()| true)
                }
                2 => store
                    .require_refresh(&user, at, &context)
                    .await
                    .map(|()| true),
                3 => store.disable_user(&user, at, &context).await.map(|()| true),
                4 => store.enable_user(&user, at, &context).await.map(|()| true),
                _ => store.revoke_other_sessions(&user, &others, &context).await,
            };
            let after = expected.after(&act, context.at, TTL + REVOCATION_MARGIN_SECONDS);
            assert_eq!(written.unwrap(), after != After::TooLate, "{act:?}");
            if let After::Changed(new) = after {
                expected = new;
            }
            let row = store.user_row(&user).await.unwrap();
            assert_eq!(row, expected, "{act:?}");
        }
    }
}

#[tokio::test]
async fn the_table_does_what_every_store_does() {
    let store = revocations(&Stack::of_this_run()).await;
    let prefix = crate::world::unique("conformance");
    let deviations = auth::conformance::deviations(&store, &prefix, UnixSeconds(now())).await;
    assert_eq!(deviations.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn the_table_of_api_keys_does_what_every_store_does() {
    let stack = Stack::of_this_run();
    let table = stack.api_key_table.clone();
    let store = DynamoApiKeys::beside(&revocations(&stack).await, table);
    let mint = || {
        let mut random = [0; RANDOM_BYTES];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        NewKey::mint(&random)
    };
    let deviations = auth::conformance::api_keys::deviations(&store, mint, UnixSeconds(now()));
    assert_eq!(deviations.await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_crash_never_shortens_a_revocation() {
    let stack = Stack::of_this_run();
    let store = revocations(&stack).await;
    let relay = FakeAws::in_front_of(&stack.tables).await;
    let failing = DynamoRevocations::new(&sdk(&relay.url()).await, stack.table.clone());
    let subject = crate::world::unique("crash");
    let user = user_ref(&subject);
    let context = |at: u64| RevocationContext {
        reason: "test",
        actor: "test",
        at: UnixSeconds(at),
        refresh_token_ttl_seconds: 3_600,
    };
    let (old, now) = (now() - 90_000, now());
    store
        .revoke_user_sessions(&user, UnixSeconds(old), &context(old))
        .await
        .unwrap();
    // The first update fails its condition, because the row exists; the later ones do not reach the table.
    let mut row = store.user_row(&user).await.unwrap();
    for good in 0..3 {
        relay.set_fault_from(good, Fault::Answer(500, "{}".to_owned()));
        let revoked = failing
            .revoke_user_sessions(&user, UnixSeconds(now), &context(now))
            .await;
        row = store.user_row(&user).await.unwrap();
        let needed = row
            .not_before
            .unwrap()
            .plus(3_600 + REVOCATION_MARGIN_SECONDS);
        assert!(row.expires_at >= Some(needed), "{row:?}");
        assert_eq!(revoked.is_ok(), row.not_before == Some(UnixSeconds(now)));
    }
    assert_eq!(
        row.not_before,
        Some(UnixSeconds(now)),
        "the last run writes the row"
    );
}

#[tokio::test]
async fn a_revocation_by_a_clock_that_is_behind_has_the_tables_time() {
    let stack = Stack::of_this_run();
    let relay = FakeAws::in_front_of(&stack.tables).await;
    let store = DynamoRevocations::new(&sdk(&relay.url()).await, stack.table.clone());
    let own = now();
    let context = RevocationContext {
        reason: "test",
        actor: "test",
        at: UnixSeconds(own),
        refresh_token_ttl_seconds: 3_600,
    };
    // The table's clock, the time of the act, and the time that is written; in seconds after the function's clock.
    let rows = [
        (0, 0, 0),
        (240, 0, 240),
        (3, 0, 3),
        (240, 60, 300),
        // Ahead, as in a test of the past, or of an event elsewhere.
        (-240, 0, 0),
        (7_200, 0, 7_200),
        (90_000, 0, 0),
        (240, -30, -30),
        (240, 600, 600),
    ];
    for (table, act, expected) in rows {
        relay.set_clock(move || {
            let date = DateTime::from_secs(now().cast_signed() + table);
            date.fmt(DateTimeFormat::HttpDate).unwrap()
        });
        let moment = |offset: i64| UnixSeconds(own.checked_add_signed(offset).unwrap());
        let subject = crate::world::unique("behind");
        let user = user_ref(&subject);
        // The first write, and one that finds a row.
        for at in [act - 900, act] {
            let revoked = store.revoke_user_sessions(&user, moment(at), &context);
            revoked.await.unwrap();
        }
        let row = store.user_row(&user).await.unwrap();
        let is_expected = |written: UnixSeconds, expected: UnixSeconds| {
            let is_corrected = table > 2 && written.0 != expected.0;
            written == expected || is_corrected && written.plus(1) == expected
        };
        let written = row.not_before.unwrap();
        assert!(
            is_expected(written, moment(expected)),
            "{table} {act}: {written:?}"
        );

        let session = user.session("a-session");
        store.revoke_session(&session, &context).await.unwrap();
        let DisplayedKey { pk, sk } = (&session).into();
        let kept = own + 3_600 + REVOCATION_MARGIN_SECONDS;
        let later = if act == 0 { expected } else { table.max(0) };
        let needed = UnixSeconds(kept.checked_add_signed(later).unwrap());
        let written = time_of(&stack_row(&stack, &pk, &sk).await["expires_at"]);
        assert!(
            is_expected(written.unwrap(), needed),
            "{table}: {written:?}"
        );

        let pool = crate::world::unique("pool");
        let issuer = IssuerRef { issuer: &pool };
        let revoked = store.revoke_issuer(&issuer, moment(act), &context);
        revoked.await.unwrap();
        let group = GroupRef {
            issuer: &pool,
            group: "g",
        };
        let revoked = store.revoke_group_sessions(&group, moment(act), &context);
        revoked.await.unwrap();
        for sk in ["issuer", "groups"] {
            let written = stack_row(&stack, &pool, sk).await;
            let mut times = written.values().filter_map(time_of);
            let written = times.any(|written| is_expected(written, moment(expected)));
            assert!(written, "{sk} {table} {act}");
        }
    }
}

fn time_of(value: &AttributeValue) -> Option<UnixSeconds> {
    value.as_n().ok()?.parse().ok().map(UnixSeconds)
}

async fn stack_row(stack: &Stack, pk: &str, sk: &str) -> HashMap<String, AttributeValue> {
    let get = table_client(stack)
        .await
        .get_item()
        .table_name(&stack.table);
    let get = get.key("pk", AttributeValue::S(pk.to_owned()));
    let get = get.key("sk", AttributeValue::S(sk.to_owned()));
    let found = get.consistent_read(true).send().await.unwrap();
    found.item.unwrap()
}

/// Writes a row as an operator's script does.
async fn put_row(stack: &Stack, key: DisplayedKey, attributes: Vec<(&str, AttributeValue)>) {
    let put = table_client(stack)
        .await
        .put_item()
        .table_name(&stack.table);
    let put = put.item("pk", AttributeValue::S(key.pk));
    let mut put = put.item("sk", AttributeValue::S(key.sk));
    for (name, value) in attributes {
        put = put.item(name, value);
    }
    put.send().await.unwrap();
}

fn context_at(now: u64) -> RevocationContext<'static> {
    RevocationContext {
        reason: "test",
        actor: "test",
        at: UnixSeconds(now),
        refresh_token_ttl_seconds: 3_600,
    }
}

fn seconds(time: u64) -> AttributeValue {
    AttributeValue::N(time.to_string())
}

#[tokio::test]
async fn a_row_with_an_unreadable_expiry_can_be_changed_and_keeps_none() {
    let stack = Stack::of_this_run();
    let store = revocations(&stack).await;
    let now = now();
    let context = context_at(now);
    let expiries = [
        AttributeValue::N("1769000000.5".to_owned()),
        AttributeValue::N("-1".to_owned()),
        AttributeValue::S("2030-01-01".to_owned()),
        AttributeValue::Null(true),
    ];
    let others = OtherSessions {
        not_before: UnixSeconds(now),
        kept: KeptSession {
            session: "s",
            authenticated_at: UnixSeconds(now - 10),
        },
        password_changed_at: None,
    };
    let acts = [
        Act::RevokeAll(UnixSeconds(now)),
        // The row revokes that already.
        Act::RevokeAll(UnixSeconds(now - 200)),
        Act::RevokeOthers(others),
        Act::RequireRefresh(UnixSeconds(now)),
        Act::Disable(UnixSeconds(now)),
        Act::Enable(UnixSeconds(now)),
    ];
    for expiry in expiries {
        for act in &acts {
            let subject = crate::world::unique("odd");
            let user = user_ref(&subject);
            let row = vec![
                ("not_before", seconds(now - 100)),
                ("expires_at", expiry.clone()),
            ];
            put_row(&stack, (&user).into(), row).await;
            let changed = store.change_user(&user, act, &context).await;
            assert_eq!(changed, Ok(true), "{expiry:?} {act:?}");
            let row = store.user_row(&user).await.unwrap();
            assert_eq!(row.expires_at, None, "{expiry:?} {act:?}");
            assert!(row.not_before >= Some(UnixSeconds(now - 100)));
            assert_eq!(row.disabled, matches!(act, Act::Disable(_)));
        }
        // Such a row refuses every token, and stays so.
        for (name, value) in [
            ("not_before", AttributeValue::S("today".to_owned())),
            ("disabled", AttributeValue::Bool(false)),
        ] {
            let subject = crate::world::unique("odd");
            let user = user_ref(&subject);
            let row = vec![(name, value), ("expires_at", expiry.clone())];
            put_row(&stack, (&user).into(), row).await;
            let DisplayedKey { pk, sk } = (&user).into();
            let before = stack_row(&stack, &pk, &sk).await;
            let revoked = store.revoke_user_sessions(&user, UnixSeconds(now), &context);
            assert!(revoked.await.is_err(), "{name} {expiry:?}");
            assert_eq!(stack_row(&stack, &pk, &sk).await, before);
        }
    }
}

#[tokio::test]
async fn a_revocation_of_many_ends_an_operators_expiry() {
    let stack = Stack::of_this_run();
    let store = revocations(&stack).await;
    let now = now();
    let context = context_at(now);
    // What the row has: a time before, at and after the revocation's; an expiry that has passed, and one that is near.
    for before in [now - 100, now, now + 100] {
        for expiry in [now - 50, now + 1, now + 3_600] {
            let pool = crate::world::unique("pool");
            let issuer = IssuerRef { issuer: &pool };
            let client = ClientRef {
                issuer: &pool,
                client_id: "c",
            };
            let group = GroupRef {
                issuer: &pool,
                group: "g",
            };
            let row = |name| vec![(name, seconds(before)), ("expires_at", seconds(expiry))];
            let client_key = DisplayedKey {
                pk: format!("{pool}#client#c"),
                sk: "client".to_owned(),
            };
            let key = |sk: &str| DisplayedKey {
                pk: pool.clone(),
                sk: sk.to_owned(),
            };
            put_row(&stack, key("issuer"), row("not_before")).await;
            put_row(&stack, key("groups"), row("sessions#g")).await;
            put_row(&stack, client_key, row("not_before")).await;
            let revoked = store.revoke_issuer(&issuer, UnixSeconds(now), &context);
            revoked.await.unwrap();
            let revoked = store.revoke_client(&client, UnixSeconds(now), &context);
            revoked.await.unwrap();
            let revoked = store.revoke_group_sessions(&group, UnixSeconds(now), &context);
            revoked.await.unwrap();

            let written = format!("{before} {expiry}");
            for (pk, sk, name) in [
                (pool.clone(), "issuer", "not_before"),
                (format!("{pool}#client#c"), "client", "not_before"),
                (pool.clone(), "groups", "sessions#g"),
            ] {
                let row = stack_row(&stack, &pk, sk).await;
                assert!(!row.contains_key("expires_at"), "{sk} {written}");
                let expected = Some(UnixSeconds(before.max(now)));
                assert_eq!(time_of(&row[name]), expected, "{sk} {written}");
            }
            // A token of the time between is refused, also later.
            let token = ClaimsBuilder::user("ada", UnixSeconds(now - 10))
                .issuer_id(&pool)
                .client_id("c")
                .build();
            for at in [now, now + 4_000] {
                store.forget_shared();
                let found = store.revocations(&token, UnixSeconds(at)).await.unwrap();
                let expected = Some(UnixSeconds(before.max(now)));
                assert_eq!(found.issuer_not_before, expected, "{written}");
                assert_eq!(found.client_not_before, expected, "{written}");
                assert!(found.check(&token).is_err(), "{written}");
            }
        }
    }
}

#[tokio::test]
async fn unprocessed_keys_are_also_read_consistently() {
    let store = FakeAws::agreeable().await;
    let revocations = DynamoRevocations::new(&sdk(&store.url()).await, "table".to_owned());
    let user = user_ref("some-user");
    let DisplayedKey { pk, sk } = (&user).into();
    let keys = serde_json::json!([{"pk": {"S": pk}, "sk": {"S": sk}}]);
    let answer = serde_json::json!({
        "Responses": {"table": []}, "UnprocessedKeys": {"table": {"Keys": keys}},
    });
    store.set_answer("BatchGetItem", answer);
    assert!(
        revocations.user_row(&user).await.is_err(),
        "unprocessed keys are an error"
    );
    let requests = store.requests();
    assert!(requests.len() > 1);
    for (_, request) in requests {
        let asked = &request["RequestItems"]["table"];
        assert_eq!(asked["ConsistentRead"], true, "{asked}");
        assert_eq!(asked["Keys"], keys);
    }
}

#[tokio::test]
async fn late_writes_never_lower_a_value() {
    let stack = Stack::of_this_run();
    let pool = Pool::ours();
    let jwks = JwksServer::start(&pool.jwks()).await;
    let store = FakeAws::in_front_of(&stack.tables).await;
    let sdk = sdk(&store.url()).await;
    let revocations = DynamoRevocations::new(&sdk, stack.table.clone());
    let more = [("REVOCATION_TABLE", stack.table.as_str())];
    let environment = environment(&jwks.uri(), &stack.tables, &more);
    let authorizer = Binary::start("authorizer", &environment).await;

    let now = now();
    let subject = format!("late-{}", std::process::id());
    let user = user_ref(&subject);
    let revoke = async |not_before: u64, refresh_token_ttl_seconds: u64| {
        let context = RevocationContext {
            reason: "test",
            actor: "test",
            at: UnixSeconds(now),
            refresh_token_ttl_seconds,
        };
        let not_before = UnixSeconds(not_before);
        let revoked = revocations.revoke_user_sessions(&user, not_before, &context);
        revoked.await.unwrap();
    };
    let verdict = async |auth_time: u64| {
        let token = pool.access_token().claim("sub", subject.as_str());
        let token = token.claim("auth_time", auth_time).build();
        let event = request_event(&format!("Bearer {token}"));
        auth_tests::verdict(&authorizer.invoke(&event).await)
    };

    revoke(now - 100, 28_800).await;
    assert_eq!(verdict(now - 150).await, Verdict::Unauthorized);
    assert_eq!(verdict(now - 90).await, Verdict::Allow);
    // An older revocation with a shorter lifetime: neither of its values may replace the newer ones.
    revoke(now - 200_000, 3_600).await;
    assert_eq!(verdict(now - 150).await, Verdict::Unauthorized);
    assert_eq!(verdict(now - 90).await, Verdict::Allow);
    revoke(now - 80, 28_800).await;
    assert_eq!(
        verdict(now - 90).await,
        Verdict::Unauthorized,
        "a newer revocation applies"
    );
}
