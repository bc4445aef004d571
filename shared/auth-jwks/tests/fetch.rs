//! Fetches from a key server that counts requests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use auth::{AuthError, Issuer, KeySource, UnixSeconds};
use auth_jwks::{HttpsKeys, KeyLocation};
use testkit::jwks_server::JwksServer;
use testkit::server::Fault;
use testkit::{Pool, token::now};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

fn issuer() -> Issuer {
    Issuer::user_pool("pool".into(), "https://issuer.example".to_owned(), vec![])
}

fn keys(server: &JwksServer) -> HttpsKeys {
    let location = KeyLocation::Uri(server.uri().parse().unwrap());
    HttpsKeys::new([(issuer().url, location)])
}

#[tokio::test]
async fn concurrent_callers_share_one_fetch() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    server.set_fault(Fault::Slow(50));
    let keys = Arc::new(keys(&server));
    let tasks: Vec<_> = (0..500)
        .map(|_| {
            let keys = Arc::clone(&keys);
            tokio::spawn(async move {
                let now = UnixSeconds(now());
                keys.key_for(&issuer(), Pool::ours().access_kid, now)
                    .await
                    .is_ok()
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert_eq!(server.fetches(), 1, "concurrent requests share a fetch");
}

#[tokio::test]
async fn a_cancelled_caller_does_not_block_the_next_fetch() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    let keys = keys(&server);
    let now = UnixSeconds(now());
    server.set_fault(Fault::Hang);
    {
        let issuer = issuer();
        let first = keys.key_for(&issuer, Pool::ours().access_kid, now);
        let patience = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(patience, first).await.is_err());
    }
    server.set_fault(Fault::None);
    assert!(
        keys.key_for(&issuer(), Pool::ours().access_kid, now)
            .await
            .is_ok(),
        "the next request fetches again"
    );
}

#[tokio::test]
async fn fetches_from_a_hanging_server_time_out() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    server.set_fault(Fault::Hang);
    let keys = keys(&server);
    let outcome = keys.key_for(&issuer(), "x", UnixSeconds(now())).await;
    assert!(
        matches!(outcome, Err(AuthError::Unavailable(_))),
        "a fetch that hangs is an outage"
    );
    assert_eq!(server.fetches(), 2, "two attempts");
}

/// The hourly refresh of a key that is still trusted times out before a second attempt.
#[tokio::test]
async fn a_trusted_key_stays_usable_while_its_refresh_hangs() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    let keys = keys(&server);
    keys.prefetch(UnixSeconds(now() - 2 * 60 * 60)).await;
    server.set_fault(Fault::Hang);
    let kid = Pool::ours().access_kid;
    let outcome = keys.key_for(&issuer(), kid, UnixSeconds(now())).await;
    assert!(outcome.is_ok());
    assert_eq!(server.fetches(), 2, "the first fetch and one attempt");
}

/// An idle connection could break while the function is frozen.
#[tokio::test]
async fn each_fetch_opens_a_new_connection() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    let uri: http::Uri = server.uri().parse().unwrap();
    let address = uri.authority().unwrap().to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut server = TcpStream::connect(&address).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let counting = format!("http://127.0.0.1:{port}/jwks.json");
    let location = KeyLocation::Uri(counting.parse().unwrap());
    let keys = HttpsKeys::new([(issuer().url, location)]);
    for (fetches, hours) in [(1, 0), (2, 2), (3, 4)] {
        let now = UnixSeconds(now()).plus(hours * 3600);
        let key = keys.key_for(&issuer(), Pool::ours().access_kid, now).await;
        assert!(key.is_ok());
        assert_eq!(server.fetches(), fetches);
        assert_eq!(connections.load(Ordering::SeqCst), fetches);
    }
}
