//! A table that is slow or does not respond, and requests that share its reads.

use std::time::{Duration, Instant};

use auth::{Callers, Verifier};
use auth_dynamodb::{DynamoApiKeys, DynamoRevocations};
use auth_jwks::HttpsKeys;
use auth_tower::{Coalesced, Gate, SessionTokens};
use forward_auth::{ForwardAuth, Store};
use runtime::clock;
use testkit::server::Fault;
use testkit::{FakeAws, Pool};
use tokio::io::AsyncWriteExt;

use super::{Running, bearer, config, good, read, serve};

/// A forward-auth over these stores.
pub(crate) fn over(
    store: Store,
    sessions: Option<Box<dyn SessionTokens>>,
    variables: &[(&str, &str)],
) -> ForwardAuth {
    let config = config(variables);
    let (issuers, locations) = auth_jwks::config::split(config.issuers);
    let mut places = config.places;
    places.session = sessions.as_ref().map(|_| "__Host-session".to_owned());
    let gate: Gate<HttpsKeys, Store, DynamoApiKeys> = Gate {
        callers: Callers {
            verifier: Verifier::new(issuers, config.token_rules),
            keys: HttpsKeys::new(locations),
            revocations: store,
            api_keys: None,
            max_token_bytes: config.max_token_bytes,
            clock: clock::now,
        },
        policies: config.policies,
        routes: config.routes,
        places,
        sessions,
    };
    ForwardAuth::new(gate, config.settings, None, None)
}

async fn start() -> (FakeAws, Running) {
    let table = FakeAws::start().await;
    let reader = DynamoRevocations::new(&table.sdk(), "revocations".to_owned());
    reader.warm_up().await;
    let store = Store::DynamoDb(Coalesced::new(reader));
    let server = serve(over(store, None, &[])).await;
    (table, server)
}

/// The head of a request for a decision.
fn head(token: &str) -> String {
    format!(
        "GET /auth HTTP/1.1\r\nHost: a\r\nX-Original-Method: GET\r\nX-Original-Host: a\r\nX-Original-URI: /x\r\n{token}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_during_a_shared_read_hold_up_no_other() {
    let (table, server) = start().await;
    let token = good();
    assert_eq!(server.ask("GET", "/x", &[&token]).await.status, 200);
    table.set_fault(Fault::Slow(100));
    let head = head(&token);
    let mut streams = Vec::new();
    for _ in 0..40 {
        let mut stream = server.connection().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    // The first, which may be the one that reads, and every other.
    let mut at = 0;
    streams.retain(|_| {
        at += 1;
        at % 2 == 0
    });
    for mut stream in streams {
        let reply = tokio::time::timeout(Duration::from_secs(5), read(&mut stream)).await;
        assert_eq!(reply.unwrap().unwrap().status, 200);
    }
    assert!(table.requests().len() < 20, "{}", table.requests().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_hangs_is_an_error_in_time_and_nothing_else_waits() {
    let (table, server) = start().await;
    let token = good();
    assert_eq!(server.ask("GET", "/x", &[&token]).await.status, 200);
    table.set_fault(Fault::Hang);
    let began = Instant::now();
    let asking = (0..50).map(|number| {
        let session = Pool::ours().access_token();
        // Ten requests for each of five sessions.
        let session = session.claim("origin_jti", format!("session-{}", number % 5));
        let token = bearer(&session.build());
        let server = &server;
        async move { server.ask("GET", "/x", &[&token]).await }
    });
    let healthy = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (status, began) = (server.get("/healthz").await.status, Instant::now());
        let anonymous = server.ask("GET", "/x", &[]).await.status;
        (status, anonymous, began.elapsed())
    };
    let (replies, (health, anonymous, took)) =
        tokio::join!(futures_util::future::join_all(asking), healthy);
    assert_eq!((health, anonymous), (200, 401));
    assert!(took < Duration::from_millis(500), "{took:?}");
    for reply in replies {
        assert_eq!(reply.status, 503);
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.header("x-auth-subject"), None);
    }
    assert!(began.elapsed() < Duration::from_secs(4), "2.5 s, and some");
    assert_eq!(server.get("/readyz").await.status, 503);
    table.set_fault(Fault::None);
    assert_eq!(server.ask("GET", "/x", &[&token]).await.status, 200);
}
