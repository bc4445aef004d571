//! `/readyz` reaches every store that a decision may need.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use auth::memory::MemoryRevocations;
use auth::{AuthError, Cause, DenyReason, Dependency, Secret, UnixSeconds};
use auth_tower::SessionTokens;
use forward_auth::Store;

use super::serve;
use super::store::over;

/// A store of browser sessions that has none, and may be away.
struct Sessions(Arc<AtomicBool>);

impl SessionTokens for Sessions {
    fn access_token<'a>(
        &'a self,
        _: &'a str,
        _: UnixSeconds,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, AuthError>> + Send + 'a>> {
        let error = match self.0.load(Ordering::SeqCst) {
            true => Dependency::BrowserSessions
                .unavailable(Cause::Timeout)
                .into(),
            false => DenyReason::UnknownSession.into(),
        };
        Box::pin(async move { Err(error) })
    }
}

#[tokio::test]
async fn a_server_without_its_sessions_is_not_ready() {
    let is_away = Arc::new(AtomicBool::new(false));
    let store = Store::Memory(MemoryRevocations::default());
    let sessions = Sessions(Arc::clone(&is_away));
    let server = serve(over(store, Some(Box::new(sessions)), &[])).await;
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    is_away.store(true, Ordering::SeqCst);
    let unready = async {
        loop {
            let reply = server.get("/readyz").await;
            if reply.status == 503 {
                break reply.body;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let body = tokio::time::timeout(Duration::from_secs(5), unready).await;
    assert_eq!(body.unwrap(), "browser_sessions_unavailable\n");
}

/// A store of browser sessions that counts its reads, and takes a while for each.
struct Slow(Arc<AtomicUsize>);

impl SessionTokens for Slow {
    fn access_token<'a>(
        &'a self,
        _: &'a str,
        _: UnixSeconds,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, AuthError>> + Send + 'a>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Err(DenyReason::UnknownSession.into())
        })
    }
}

#[tokio::test]
async fn checks_at_once_read_the_stores_once() {
    let reads = Arc::new(AtomicUsize::new(0));
    let store = Store::Memory(MemoryRevocations::default());
    let sessions = Slow(Arc::clone(&reads));
    let server = serve(over(store, Some(Box::new(sessions)), &[])).await;
    let checks = (0..8).map(|_| server.get("/readyz"));
    for reply in futures_util::future::join_all(checks).await {
        assert_eq!(reply.status, 200);
    }
    assert_eq!(reads.load(Ordering::SeqCst), 1);
}
