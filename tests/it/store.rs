//! Case R18: writes that come late lower nothing. Written through the store's own crate into the
//! emulated table, judged by the built authorizer.

use auth::UnixSeconds;
use auth::revocation::RowKey;
use auth_dynamodb::{DynamoRevocations, Ending};
use auth_tests::{Stack, Verdict, environment, request_event};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Credentials;
use testkit::jwks_server::JwksServer;
use testkit::token::now;
use testkit::{Binary, FakeAws, Pool};

/// The SDK at the service under `url`.
pub(crate) async fn sdk(url: &str) -> SdkConfig {
    aws_config::ConfigLoader::default()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .endpoint_url(url)
        .region("us-east-1")
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .load()
        .await
}

/// A client that reads and writes rows by hand.
pub(crate) async fn table_client(stack: &Stack) -> Client {
    Client::new(&sdk(&stack.endpoint).await)
}

#[tokio::test]
async fn a_late_write_lowers_nothing() {
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
    // An older cutoff, from a time when refresh tokens were short: neither may count.
    end(now - 200_000, 3_600).await;
    assert_eq!(verdict(now - 150).await, Verdict::Unauthorized, "R18");
    assert_eq!(verdict(now - 90).await, Verdict::Allow, "R18");
    end(now - 80, 28_800).await;
    assert_eq!(
        verdict(now - 90).await,
        Verdict::Unauthorized,
        "a newer one counts"
    );
}
