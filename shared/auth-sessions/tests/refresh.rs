//! Refreshes of one session: several at once, failures of the issuer and of the store, and a logout in between.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use auth::{AuthError, Cause, DenyReason, Dependency, Secret, Unavailable, UnixSeconds};
use auth_sessions::{
    BrowserSession, BrowserSessions, LEASE_SECONDS, Lease, MemoryBrowserSessions, NewTokens,
    RefreshError, RowKey, SealedSession, SealedSessions, SealingKeys, SessionId,
};

const NOW: u64 = 1_800_000_000;
const LOST: Unavailable = Unavailable {
    dependency: Dependency::BrowserSessions,
    cause: Cause::Timeout,
};

/// A store that executes every write, but loses the responses to the first ones.
#[derive(Clone, Default)]
struct Lossy {
    inner: MemoryBrowserSessions,
    /// How many responses to `replace` are lost, and whether these are executed.
    lost: Arc<AtomicU32>,
    executed: bool,
}

impl BrowserSessions for Lossy {
    async fn find(&self, key: &RowKey) -> Result<Option<SealedSession>, AuthError> {
        self.inner.find(key).await
    }

    async fn create(
        &self,
        key: &RowKey,
        row: &SealedSession,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        self.inner.create(key, row, now).await
    }

    async fn replace(&self, key: &RowKey, row: &SealedSession) -> Result<bool, Unavailable> {
        let less = |left: u32| left.checked_sub(1);
        let is_lost = self
            .lost
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        if is_lost.is_ok() {
            if self.executed {
                self.inner.replace(key, row).await?;
            }
            return Err(LOST);
        }
        self.inner.replace(key, row).await
    }

    async fn lease(
        &self,
        key: &RowKey,
        version: u64,
        lease: &Lease,
        now: UnixSeconds,
    ) -> Result<bool, Unavailable> {
        self.inner.lease(key, version, lease, now).await
    }

    async fn delete(&self, key: &RowKey) -> Result<(), Unavailable> {
        self.inner.delete(key).await
    }
}

/// A session `a0`, `r0`, and an issuer that takes each refresh token once.
struct World {
    sessions: SealedSessions<Lossy>,
    id: SessionId,
    time: AtomicU64,
    exchanges: AtomicU32,
    current: AtomicU32,
}

impl World {
    async fn with(store: Lossy) -> Self {
        let key = r#"{"keys":[{"id":"k","key":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}]}"#;
        let sessions = SealedSessions::new(store, SealingKeys::from_json(key).unwrap());
        let session = BrowserSession {
            access_token: Secret::new("a0".to_owned()),
            refresh_token: Some(Secret::new("r0".to_owned())),
            expires_at: UnixSeconds(NOW + 1_000),
        };
        let id = sessions.create(&session, UnixSeconds(NOW)).await.unwrap();
        Self {
            sessions,
            id,
            time: AtomicU64::new(NOW),
            exchanges: AtomicU32::new(0),
            current: AtomicU32::new(0),
        }
    }

    fn now(&self) -> UnixSeconds {
        UnixSeconds(self.time.load(Ordering::SeqCst))
    }

    /// The issuer: a refresh token that is not the current one is refused.
    async fn exchange(&self, refresh: Secret) -> Result<NewTokens, &'static str> {
        self.exchanges.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let current = self.current.load(Ordering::SeqCst);
        if refresh.expose() != format!("r{current}") {
            return Err("reuse");
        }
        self.current.store(current + 1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Ok(NewTokens {
            access_token: Secret::new(format!("a{}", current + 1)),
            refresh_token: Some(Secret::new(format!("r{}", current + 1))),
        })
    }

    async fn refresh(&self) -> Result<BrowserSession, RefreshError<&'static str>> {
        self.refresh_by(|refresh| self.exchange(refresh)).await
    }

    async fn refresh_by<X: Future<Output = Result<NewTokens, &'static str>>>(
        &self,
        exchange: impl FnOnce(Secret) -> X,
    ) -> Result<BrowserSession, RefreshError<&'static str>> {
        let pause = || async { tokio::task::yield_now().await };
        self.sessions
            .refresh(&self.id, || self.now(), pause, exchange)
            .await
    }

    /// The tokens in the store.
    async fn stored(&self) -> (String, String) {
        let found = self.sessions.find(&self.id, self.now()).await.unwrap();
        tokens(&found.session)
    }
}

fn tokens(session: &BrowserSession) -> (String, String) {
    let refresh = session.refresh_token.as_ref().map(Secret::expose);
    (
        session.access_token.expose().to_owned(),
        refresh.unwrap_or_default().to_owned(),
    )
}

fn pair(number: u32) -> (String, String) {
    (format!("a{number}"), format!("r{number}"))
}

#[tokio::test]
async fn of_several_refreshes_at_once_one_exchanges_and_all_succeed() {
    let world = World::with(Lossy::default()).await;
    let (a, b, c, d, e) = tokio::join!(
        world.refresh(),
        world.refresh(),
        world.refresh(),
        world.refresh(),
        world.refresh(),
    );
    for result in [a, b, c, d, e] {
        let session = result.unwrap_or_else(|_| panic!("a refresh failed"));
        assert_eq!(tokens(&session), pair(1));
    }
    assert_eq!(world.exchanges.load(Ordering::SeqCst), 1);
    // The next one is another refresh.
    let session = world
        .refresh()
        .await
        .unwrap_or_else(|_| panic!("a refresh failed"));
    assert_eq!((tokens(&session), world.stored().await), (pair(2), pair(2)));
}

#[tokio::test]
async fn a_lost_response_of_the_store_does_not_end_the_session() {
    for (lost, executed) in [(1, true), (2, true), (1, false), (2, false)] {
        let store = Lossy {
            executed,
            ..Lossy::default()
        };
        let world = World::with(store.clone()).await;
        store.lost.store(lost, Ordering::SeqCst);
        let session = world.refresh().await;
        let session = session.unwrap_or_else(|_| panic!("{lost} {executed}"));
        assert_eq!((tokens(&session), world.stored().await), (pair(1), pair(1)));
    }
    // A store that stays away: an error, and the session is as it was.
    let store = Lossy::default();
    let world = World::with(store.clone()).await;
    store.lost.store(3, Ordering::SeqCst);
    let failed = world.refresh().await;
    assert!(matches!(failed, Err(RefreshError::Unavailable(LOST))));
    assert_eq!(world.stored().await, pair(0));
    // The lease was returned: the next request exchanges at once, while the issuer still accepts the old token.
    let before = world.exchanges.load(Ordering::SeqCst);
    let _ = world.refresh().await;
    assert_eq!(world.exchanges.load(Ordering::SeqCst), before + 1);
}

#[tokio::test]
async fn a_lost_response_of_the_issuer_does_not_end_the_session() {
    let world = World::with(Lossy::default()).await;
    let lost = world.refresh_by(async |_| Err("timeout")).await;
    let Err(RefreshError::Exchange("timeout", session)) = lost else {
        panic!("the issuer's error is returned");
    };
    assert_eq!(tokens(&session), pair(0));
    // The lease was returned: the next attempt need not wait.
    let session = world
        .refresh()
        .await
        .unwrap_or_else(|_| panic!("a refresh failed"));
    assert_eq!(tokens(&session), pair(1));
}

#[tokio::test]
async fn a_request_that_stops_holds_the_session_for_the_lease_only() {
    let world = World::with(Lossy::default()).await;
    let found = world.sessions.find(&world.id, world.now()).await.unwrap();
    let lease = world.sessions.lease(&found, world.now()).await.unwrap();
    assert!(lease.is_some());
    let busy = world.refresh().await;
    assert!(matches!(busy, Err(RefreshError::Busy)));
    assert_eq!(world.exchanges.load(Ordering::SeqCst), 0);
    world.time.fetch_add(LEASE_SECONDS, Ordering::SeqCst);
    let session = world
        .refresh()
        .await
        .unwrap_or_else(|_| panic!("a refresh failed"));
    assert_eq!(tokens(&session), pair(1));
}

#[tokio::test]
async fn a_refresh_that_outlived_its_lease_returns_the_tokens_of_the_next() {
    let world = World::with(Lossy::default()).await;
    // While this one waits for the issuer, its lease ends, and another refresh succeeds.
    let slow = |outcome: fn() -> Result<NewTokens, &'static str>| {
        let world = &world;
        move |_: Secret| async move {
            world.time.fetch_add(LEASE_SECONDS, Ordering::SeqCst);
            assert!(world.refresh().await.is_ok());
            outcome()
        }
    };
    let session = world.refresh_by(slow(|| Err("reuse"))).await;
    let session = session.unwrap_or_else(|_| panic!("a refresh failed"));
    assert_eq!(tokens(&session), pair(1));
    let late = || {
        Ok(NewTokens {
            access_token: Secret::new("late".to_owned()),
            refresh_token: None,
        })
    };
    let session = world.refresh_by(slow(late)).await;
    let session = session.unwrap_or_else(|_| panic!("a refresh failed"));
    assert_eq!((tokens(&session), world.stored().await), (pair(2), pair(2)));
}

#[tokio::test]
async fn a_logout_in_between_is_not_undone() {
    let world = World::with(Lossy::default()).await;
    let meanwhile = |refresh| async {
        world.sessions.delete(&world.id).await.unwrap();
        world.exchange(refresh).await
    };
    let deleted = world.refresh_by(meanwhile).await;
    let Err(RefreshError::Deleted(new)) = deleted else {
        panic!("new tokens of a deleted session must be revoked");
    };
    assert_eq!(new.refresh_token.as_ref().map(Secret::expose), Some("r1"));
    let gone = world.refresh().await;
    assert!(matches!(
        gone,
        Err(RefreshError::Refused(DenyReason::UnknownSession))
    ));
}

#[tokio::test]
async fn an_issuer_that_does_not_rotate_keeps_its_refresh_token() {
    let world = World::with(Lossy::default()).await;
    let kept = async |_| {
        Ok(NewTokens {
            access_token: Secret::new("a1".to_owned()),
            refresh_token: None,
        })
    };
    let session = world
        .refresh_by(kept)
        .await
        .unwrap_or_else(|_| panic!("a refresh failed"));
    let expected = ("a1".to_owned(), "r0".to_owned());
    assert_eq!(
        (tokens(&session), world.stored().await),
        (expected.clone(), expected)
    );
}
