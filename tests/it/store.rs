//! Late writes never lower a value. The tests write through the store's own crate into the
//! emulated table, and check the result with the built authorizer.

use auth::UnixSeconds;
use auth::revocation::{MARGIN_SECONDS, RowKey};
use auth_dynamodb::user_row::{Act, After, UserRow};
use auth_dynamodb::{DynamoRevocations, Ending};
use auth_tests::{Stack, Verdict, environment, request_event};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Credentials;
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
    Client::new(&sdk(&stack.endpoint).await)
}

/// The store over the stack's table.
pub(crate) async fn revocations(stack: &Stack) -> DynamoRevocations {
    DynamoRevocations::new(&sdk(&stack.endpoint).await, stack.table.clone())
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
    for user in 0..12 {
        let subject = crate::world::unique(&format!("pure-{user}"));
        let key = RowKey::user(Pool::ours().id, &subject);
        let mut expected = UserRow::default();
        for _ in 0..20 {
            let ending = Ending {
                reason: "test",
                actor: "test",
                at: UnixSeconds(now()),
                refresh_token_ttl_seconds: TTL,
            };
            let at = UnixSeconds(1_800_000_000 + below(40));
            let (session, since) =
                [("a", 1_800_000_005), ("b", 1_800_000_020)][usize::try_from(below(2)).unwrap()];
            let spared = (session, UnixSeconds(since));
            let kind = below(7);
            let act = match kind {
                0 => Act::EndAll(at),
                1 => Act::PasswordChanged { at, tolerance: 10 },
                2 => Act::Outdate(at),
                3 => Act::Disable(at),
                4 => Act::Enable(at),
                _ => Act::EndOthers {
                    not_before: at,
                    session,
                    since: UnixSeconds(since),
                    changed_at: (kind == 6).then_some(at),
                },
            };
            let written = match kind {
                0 => store.end_user(&key, at, &ending).await.map(|()| true),
                1 => {
                    let ended = store.end_user_for_change(&key, at, 10, &ending);
                    ended.await.map(|()| true)
                }
                2 => store.outdate_tokens(&key, at, &ending).await.map(|()| true),
                3 => store.disable_user(&key, at, &ending).await.map(|()| true),
                4 => store.enable_user(&key, at, &ending).await.map(|()| true),
                5 => store.end_other_sessions(&key, at, spared, &ending).await,
                _ => {
                    let ended =
                        store.end_other_sessions_for_change(&key, (at, at), spared, &ending);
                    ended.await
                }
            };
            let after = expected.after(&act, ending.at, TTL + MARGIN_SECONDS);
            assert_eq!(written.unwrap(), after != After::TooLate, "{act:?}");
            if let After::Changed(new) = after {
                expected = new;
            }
            let row = store.user_row(&key).await.unwrap();
            assert_eq!(row, expected, "{act:?}");
        }
    }
}

#[tokio::test]
async fn a_crash_never_shortens_a_revocation() {
    let stack = Stack::of_this_run();
    let store = revocations(&stack).await;
    let relay = FakeAws::in_front_of(&stack.endpoint).await;
    let failing = DynamoRevocations::new(&sdk(&relay.url()).await, stack.table.clone());
    let key = RowKey::user(Pool::ours().id, &crate::world::unique("crash"));
    let ending = |at: u64| Ending {
        reason: "test",
        actor: "test",
        at: UnixSeconds(at),
        refresh_token_ttl_seconds: 3_600,
    };
    let (old, now) = (now() - 90_000, now());
    store
        .end_user(&key, UnixSeconds(old), &ending(old))
        .await
        .unwrap();
    // The first update fails its condition, because the row exists; the later ones do not reach the table.
    let mut row = store.user_row(&key).await.unwrap();
    for good in 0..3 {
        relay.set_fault_from(good, Fault::Answer(500, "{}".to_owned()));
        let ended = failing.end_user(&key, UnixSeconds(now), &ending(now)).await;
        row = store.user_row(&key).await.unwrap();
        let needed = row.not_before.unwrap().plus(3_600 + MARGIN_SECONDS);
        assert!(row.expires_at >= Some(needed), "{row:?}");
        assert_eq!(ended.is_ok(), row.not_before == Some(UnixSeconds(now)));
    }
    assert_eq!(
        row.not_before,
        Some(UnixSeconds(now)),
        "the last run writes the row"
    );
}

#[tokio::test]
async fn unprocessed_keys_are_also_read_consistently() {
    let store = FakeAws::agreeable().await;
    let revocations = DynamoRevocations::new(&sdk(&store.url()).await, "table".to_owned());
    let key = RowKey::user(Pool::ours().id, "some-user");
    let keys = serde_json::json!([{"pk": {"S": key.partition}, "sk": {"S": key.sort}}]);
    let answer = serde_json::json!({
        "Responses": {"table": []}, "UnprocessedKeys": {"table": {"Keys": keys}},
    });
    store.set_answer("BatchGetItem", answer);
    assert!(
        revocations.user_row(&key).await.is_err(),
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
    let store = FakeAws::in_front_of(&stack.endpoint).await;
    let sdk = sdk(&store.url()).await;
    let revocations = DynamoRevocations::new(&sdk, stack.table.clone());
    let more = [("REVOCATION_TABLE", stack.table.as_str())];
    let environment = environment(&jwks.uri(), &stack.endpoint, &more);
    let authorizer = Binary::start("authorizer", &environment).await;

    let now = now();
    let subject = format!("late-{}", std::process::id());
    let key = RowKey::user(pool.id, &subject);
    let end = async |not_before: u64, refresh_token_ttl_seconds: u64| {
        let ending = Ending {
            reason: "test",
            actor: "test",
            at: UnixSeconds(now),
            refresh_token_ttl_seconds,
        };
        let ended = revocations.end_user(&key, UnixSeconds(not_before), &ending);
        ended.await.unwrap();
    };
    let verdict = async |auth_time: u64| {
        let token = pool.access_token().claim("sub", subject.as_str());
        let token = token.claim("auth_time", auth_time).build();
        let event = request_event(&format!("Bearer {token}"));
        auth_tests::verdict(&authorizer.invoke(&event).await)
    };

    end(now - 100, 28_800).await;
    assert_eq!(verdict(now - 150).await, Verdict::Unauthorized);
    assert_eq!(verdict(now - 90).await, Verdict::Allow);
    // An older revocation with a shorter lifetime: neither of its values may replace the newer ones.
    end(now - 200_000, 3_600).await;
    assert_eq!(verdict(now - 150).await, Verdict::Unauthorized);
    assert_eq!(verdict(now - 90).await, Verdict::Allow);
    end(now - 80, 28_800).await;
    assert_eq!(
        verdict(now - 90).await,
        Verdict::Unauthorized,
        "a newer revocation applies"
    );
}
