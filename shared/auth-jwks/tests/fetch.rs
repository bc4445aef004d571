//! Fetches from a key server that counts requests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auth::{AuthError, DenyReason, Issuer, KeySource, UnixSeconds};
use auth_jwks::{HttpsKeys, KeyLocation};
use futures_util::FutureExt;
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

/// Polls a caller once, and cancels it.
fn cancelled(keys: &HttpsKeys, kid: &str, at: UnixSeconds) {
    let issuer = issuer();
    let caller = keys.key_for(&issuer, kid, at);
    assert!(caller.now_or_never().is_none(), "it waits for a fetch");
}

#[tokio::test]
async fn a_fetch_outlives_its_callers() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    let keys = keys(&server);
    let (issuer, now) = (issuer(), UnixSeconds(now()));
    server.set_fault(Fault::Slow(50));
    for _ in 0..20 {
        cancelled(&keys, "unknown", now);
        tokio::task::yield_now().await;
    }
    let known = keys.key_for(&issuer, Pool::ours().access_kid, now);
    assert!(known.await.is_ok());
    assert_eq!(server.fetches(), 1);
    let unknown = keys.key_for(&issuer, "unknown", now);
    let refused = unknown.now_or_never().expect("no fetch");
    let reason = DenyReason::UnknownKey;
    assert!(matches!(refused, Err(AuthError::Unauthorized(it)) if it == reason));
}

/// A proxy's time limit may be shorter than a fetch.
#[tokio::test]
async fn the_hourly_refresh_needs_no_patient_caller() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    let keys = keys(&server);
    keys.prefetch(UnixSeconds(now() - 2 * 60 * 60)).await;
    server.set_fault(Fault::Slow(700));
    let kid = Pool::ours().access_kid;
    let at = UnixSeconds(now());
    cancelled(&keys, kid, at);
    // The key stays in use after half a second.
    let patient = keys.key_for(&issuer(), kid, at).await;
    assert!(patient.is_ok());
    let fresh = async {
        while keys.key_for(&issuer(), kid, at).now_or_never().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let patience = Duration::from_secs(30);
    assert!(tokio::time::timeout(patience, fresh).await.is_ok());
    assert_eq!(server.fetches(), 2, "one refresh");
}

#[tokio::test]
async fn valid_tokens_do_not_wait_for_the_fetch_of_an_unknown_key() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    let keys = keys(&server);
    let now = UnixSeconds(now());
    keys.prefetch(now).await;
    server.set_fault(Fault::Hang);
    cancelled(&keys, "unknown", now);
    let issuer = issuer();
    let known = keys.key_for(&issuer, Pool::ours().access_kid, now);
    assert!(known.now_or_never().is_some_and(|key| key.is_ok()));
    cancelled(&keys, "another", now);
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

fn is_unavailable<T>(outcome: &Result<T, AuthError>) -> bool {
    matches!(outcome, Err(AuthError::Unavailable(_)))
}

/// The time without another fetch begins when the fetch has ended: one that hangs takes as long as it.
#[tokio::test]
async fn after_a_server_hung_callers_fail_at_once() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    server.set_fault(Fault::Hang);
    let keys = keys(&server);
    let (issuer, at) = (issuer(), UnixSeconds(now()));
    assert!(is_unavailable(&keys.key_for(&issuer, "x", at).await));
    let next = keys.key_for(&issuer, "x", at.plus(2)).now_or_never();
    assert!(next.is_some_and(|outcome| is_unavailable(&outcome)));
}

/// It began without a request, as that of a readiness check.
#[tokio::test]
async fn a_failed_fetch_that_a_request_has_joined_is_not_repeated_at_once() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    server.set_fault(Fault::Hang);
    let keys = keys(&server);
    let (issuer, at) = (issuer(), UnixSeconds(now()));
    let checks = async { assert!(!keys.are_trusted(at).await) };
    let request = async { assert!(is_unavailable(&keys.key_for(&issuer, "x", at).await)) };
    tokio::join!(checks, request);
    assert_eq!(server.fetches(), 2, "two attempts of one fetch");
    let next = keys.key_for(&issuer, "x", at.plus(1)).now_or_never();
    assert!(next.is_some_and(|outcome| is_unavailable(&outcome)));
}

#[tokio::test]
async fn only_what_may_pass_is_tried_again() {
    for (status, attempts) in [(403, 1), (404, 1), (429, 1), (301, 1), (500, 2), (503, 2)] {
        let server = JwksServer::start(&Pool::ours().jwks()).await;
        server.set_fault(Fault::Answer(status, String::new()));
        let (keys, issuer) = (keys(&server), issuer());
        let outcome = keys.key_for(&issuer, "x", UnixSeconds(now())).await;
        assert!(is_unavailable(&outcome), "{status}");
        assert_eq!(server.fetches(), attempts, "{status}");
    }
}

#[tokio::test]
async fn a_refresh_that_hangs_delays_no_later_caller() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    let keys = keys(&server);
    keys.prefetch(UnixSeconds(now() - 2 * 60 * 60)).await;
    server.set_fault(Fault::Hang);
    let (issuer, kid, at) = (issuer(), Pool::ours().access_kid, UnixSeconds(now()));
    assert!(keys.key_for(&issuer, kid, at).await.is_ok());
    let next = keys.key_for(&issuer, kid, at).now_or_never();
    assert!(next.is_some_and(|key| key.is_ok()));
}

/// Waits until the server has been asked so many times.
async fn fetched(server: &JwksServer, fetches: usize) {
    let waiting = async {
        while server.fetches() < fetches {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let patience = Duration::from_secs(10);
    let waited = tokio::time::timeout(patience, waiting).await;
    assert!(waited.is_ok(), "{} of {fetches} fetches", server.fetches());
}

/// Lambda freezes a process between two invocations.
#[tokio::test]
async fn a_caller_does_not_wait_for_a_fetch_that_was_frozen() {
    let server = JwksServer::start(&Pool::ours().jwks()).await;
    let keys = keys(&server);
    let (issuer, kid, at) = (issuer(), Pool::ours().access_kid, UnixSeconds(now()));
    server.set_fault(Fault::Hang);
    cancelled(&keys, kid, at);
    fetched(&server, 1).await;
    server.set_fault(Fault::None);
    let later = at.plus(10 * 60);
    assert!(keys.key_for(&issuer, kid, later).await.is_ok());
    // The second attempt of the old fetch.
    fetched(&server, 3).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let fresh = later.plus(60 * 60 - 1);
    let key = keys.key_for(&issuer, kid, fresh).now_or_never();
    assert!(
        key.is_some_and(|key| key.is_ok()),
        "the keys of the new fetch"
    );
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
