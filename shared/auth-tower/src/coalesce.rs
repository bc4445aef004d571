//! One read of the store for all requests that wait for it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};

use auth::{
    AuthError, RevocationReader, Revocations, Secret, Unavailable, UnixSeconds, VerifiedClaims,
};
use auth_sessions::{RowKey, SessionId};
use tokio::sync::Mutex;

use crate::session::SessionTokens;

/// A [`RevocationReader`] that reads once for all concurrent requests with one credential.
///
/// A request takes the result of a read only if that read began after the request arrived. The guarantee of the store
/// stays: what was revoked before the request is in its result. A result of a read that was under way already could
/// lack a revocation that was acknowledged in the meantime, so such a read is never shared; the requests that arrive
/// during it share the next one.
pub struct Coalesced<R> {
    store: R,
    reads: Reads<Key, Result<Revocations, Unavailable>>,
}

/// [`SessionTokens`] that read once for all concurrent requests with one session, by the rule of [`Coalesced`].
pub struct CoalescedSessions<S> {
    store: S,
    reads: Reads<RowKey, Result<Secret, AuthError>>,
}

/// All parts of a credential that its revocations depend on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    issuer: String,
    subject: String,
    session: Option<String>,
    token: Option<String>,
    client: String,
    groups: Vec<String>,
}

impl Key {
    fn of(claims: &VerifiedClaims) -> Self {
        Self {
            issuer: claims.issuer_id().to_owned(),
            subject: claims.subject().to_owned(),
            session: claims.session().map(str::to_owned),
            token: claims.token_id().map(str::to_owned),
            client: claims.client_id().to_owned(),
            groups: claims.groups().to_vec(),
        }
    }
}

impl<R> Coalesced<R> {
    /// Reads from `store`.
    pub fn new(store: R) -> Self {
        let reads = Reads::new();
        Self { store, reads }
    }

    /// The store.
    pub fn store(&self) -> &R {
        &self.store
    }
}

impl<S> CoalescedSessions<S> {
    /// Reads from `store`.
    pub fn new(store: S) -> Self {
        let reads = Reads::new();
        Self { store, reads }
    }
}

impl<R: RevocationReader + Sync> RevocationReader for Coalesced<R> {
    async fn revocations(
        &self,
        claims: &VerifiedClaims,
        now: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        let read = self.store.revocations(claims, now);
        self.reads.share(Key::of(claims), read).await
    }
}

impl<S: SessionTokens> SessionTokens for CoalescedSessions<S> {
    fn access_token<'a>(
        &'a self,
        id: &'a str,
        now: UnixSeconds,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, AuthError>> + Send + 'a>> {
        Box::pin(async move {
            let key = SessionId::parse(id)?.row_key();
            let read = self.store.access_token(id, now);
            self.reads.share(key, read).await
        })
    }
}

/// The reads that requests wait for, by what they read.
struct Reads<K, T> {
    slots: Lock<HashMap<K, Slot<T>>>,
}

struct Slot<T> {
    state: Arc<State<T>>,
    /// The requests that use the slot. The last one removes it.
    requests: usize,
}

struct State<T> {
    /// The number of reads that have begun.
    begun: AtomicU64,
    /// The last read's number and result. Locked during a read: a request that is cancelled unlocks it, and the next one
    /// reads.
    last: Mutex<Option<(u64, T)>>,
}

impl<K: Clone + Eq + Hash, T: Clone> Reads<K, T> {
    fn new() -> Self {
        Self {
            slots: Lock::default(),
        }
    }

    /// The result of `read`, or of a read of the same key that began after this call.
    async fn share(&self, key: K, read: impl Future<Output = T>) -> T {
        let entered = self.enter(key);
        let state = &entered.state;
        let before = state.begun.load(Ordering::SeqCst);
        let mut last = state.last.lock().await;
        if let Some((number, result)) = &*last
            && *number > before
        {
            return result.clone();
        }
        let number = state.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let result = read.await;
        *last = Some((number, result.clone()));
        result
    }

    fn enter(&self, key: K) -> Entered<'_, K, T> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(key.clone()).or_insert_with(|| Slot {
            state: Arc::new(State {
                begun: AtomicU64::new(0),
                last: Mutex::new(None),
            }),
            requests: 0,
        });
        slot.requests += 1;
        Entered {
            state: Arc::clone(&slot.state),
            of: self,
            key,
        }
    }
}

/// A request that uses a slot.
struct Entered<'a, K: Eq + Hash, T> {
    of: &'a Reads<K, T>,
    key: K,
    state: Arc<State<T>>,
}

impl<K: Eq + Hash, T> Drop for Entered<'_, K, T> {
    fn drop(&mut self) {
        let mut slots = self.of.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get_mut(&self.key) else {
            return;
        };
        slot.requests -= 1;
        if slot.requests == 0 {
            let removed = slots.remove(&self.key);
            // Freed without the lock: other requests wait for it.
            drop(slots);
            drop(removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use auth::memory::MemoryRevocations;
    use auth::{Cause, ClaimsBuilder, DenyReason, Dependency, RevocationContext, RevocationWriter};
    use auth_sessions::{BrowserSession, MemoryBrowserSessions, SealedSessions, SealingKeys};
    use tokio::sync::Semaphore;

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    /// A store whose reads wait for a permit after they have read.
    struct Slow {
        store: MemoryRevocations,
        permits: Semaphore,
        count: AtomicU64,
        /// Whether the next read panics.
        panics: AtomicBool,
    }

    impl RevocationReader for Slow {
        async fn revocations(
            &self,
            claims: &VerifiedClaims,
            now: UnixSeconds,
        ) -> Result<Revocations, Unavailable> {
            let result = self.store.revocations(claims, now).await;
            self.count.fetch_add(1, Ordering::SeqCst);
            self.permits.acquire().await.unwrap().forget();
            assert!(
                !self.panics.swap(false, Ordering::SeqCst),
                "as the test wants"
            );
            result
        }
    }

    struct Fixture {
        reader: Arc<Coalesced<Slow>>,
        store: MemoryRevocations,
        claims: VerifiedClaims,
    }

    type Task = tokio::task::JoinHandle<Result<Revocations, Unavailable>>;

    impl Fixture {
        fn new() -> Self {
            let store = MemoryRevocations::default();
            let slow = Slow {
                store: store.clone(),
                permits: Semaphore::new(0),
                count: AtomicU64::new(0),
                panics: AtomicBool::new(false),
            };
            Self {
                reader: Arc::new(Coalesced::new(slow)),
                store,
                claims: ClaimsBuilder::user("ada", NOW).session(Some("s-1")).build(),
            }
        }

        fn ask(&self) -> Task {
            let (reader, claims) = (Arc::clone(&self.reader), self.claims.clone());
            tokio::spawn(async move { reader.revocations(&claims, NOW).await })
        }

        fn reads(&self) -> u64 {
            self.reader.store().count.load(Ordering::SeqCst)
        }

        async fn until_reads(&self, number: u64) {
            while self.reads() < number {
                tokio::task::yield_now().await;
            }
        }

        /// Runs every task that can run.
        async fn settle() {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }

        fn permit(&self, reads: usize) {
            self.reader.store().permits.add_permits(reads);
        }

        async fn revoke(&self) {
            let context = RevocationContext {
                reason: "logout",
                actor: "ada",
                at: NOW,
                refresh_token_ttl_seconds: 3_600,
            };
            let session = self.claims.user_ref();
            let session = session.session("s-1");
            self.store.revoke_session(&session, &context).await.unwrap();
        }
    }

    #[tokio::test]
    async fn requests_that_wait_share_the_next_read() {
        let fixture = Fixture::new();
        let first = fixture.ask();
        fixture.until_reads(1).await;
        let others: Vec<Task> = (0..100).map(|_| fixture.ask()).collect();
        Fixture::settle().await;
        assert_eq!(fixture.reads(), 1);
        fixture.permit(2);
        first.await.unwrap().unwrap();
        for other in others {
            other.await.unwrap().unwrap();
        }
        assert_eq!(fixture.reads(), 2, "one for the first, one for all others");
        assert!(fixture.reader.reads.slots.lock().unwrap().is_empty());
    }

    /// Fails if a request joins a read that began before it.
    #[tokio::test]
    async fn a_request_after_a_revocation_never_gets_an_earlier_read() {
        let fixture = Fixture::new();
        let before = fixture.ask();
        fixture.until_reads(1).await;
        fixture.revoke().await;
        let after = fixture.ask();
        Fixture::settle().await;
        fixture.permit(2);
        let before = before.await.unwrap().unwrap();
        assert_eq!(before.check(&fixture.claims), Ok(()));
        let after = after.await.unwrap().unwrap();
        let refused = Err(DenyReason::SessionRevoked);
        assert_eq!(after.check(&fixture.claims), refused);
    }

    #[tokio::test]
    async fn a_cancelled_read_holds_up_no_other() {
        let fixture = Fixture::new();
        let cancelled = fixture.ask();
        fixture.until_reads(1).await;
        let waiting = fixture.ask();
        Fixture::settle().await;
        cancelled.abort();
        fixture.until_reads(2).await;
        fixture.permit(1);
        let answer = tokio::time::timeout(Duration::from_secs(5), waiting).await;
        answer.unwrap().unwrap().unwrap();
        assert!(fixture.reader.reads.slots.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_read_that_panics_holds_up_no_other() {
        let fixture = Fixture::new();
        let panicking = fixture.ask();
        fixture.until_reads(1).await;
        let waiting = fixture.ask();
        Fixture::settle().await;
        let store = fixture.reader.store();
        store.panics.store(true, Ordering::SeqCst);
        fixture.permit(1);
        assert!(panicking.await.is_err());
        fixture.until_reads(2).await;
        fixture.permit(1);
        waiting.await.unwrap().unwrap();
        assert!(fixture.reader.reads.slots.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_failure_is_shared_and_not_kept() {
        let fixture = Fixture::new();
        fixture.store.set_available(false);
        let first = fixture.ask();
        fixture.until_reads(1).await;
        let others = [fixture.ask(), fixture.ask()];
        Fixture::settle().await;
        fixture.permit(2);
        let failed = Dependency::Revocations.unavailable(Cause::Other);
        assert_eq!(first.await.unwrap().unwrap_err(), failed);
        for other in others {
            assert_eq!(other.await.unwrap().unwrap_err(), failed);
        }
        assert_eq!(fixture.reads(), 2);
        fixture.store.set_available(true);
        fixture.permit(1);
        fixture.ask().await.unwrap().unwrap();
    }

    /// Requests of one credential, with many groups to free, end at the same moment in several threads.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nothing_remains_of_requests_that_have_ended() {
        let groups: Vec<String> = (0..300).map(|number| format!("group-{number}")).collect();
        let mut fixture = Fixture::new();
        let builder = ClaimsBuilder::user("ada", NOW).session(Some("s-1"));
        fixture.claims = builder.groups(groups.iter().map(String::as_str)).build();
        for round in 0..2_000 {
            let requests: Vec<Task> = (0..8).map(|_| fixture.ask()).collect();
            fixture.permit(8);
            for request in requests {
                request.await.unwrap().unwrap();
            }
            assert!(
                fixture.reader.reads.slots.lock().unwrap().is_empty(),
                "{round}"
            );
        }
    }

    #[tokio::test]
    async fn other_credentials_do_not_wait() {
        let fixture = Fixture::new();
        let held = fixture.ask();
        fixture.until_reads(1).await;
        let other = ClaimsBuilder::user("ada", NOW).session(Some("s-2")).build();
        let reader = Arc::clone(&fixture.reader);
        let other = tokio::spawn(async move { reader.revocations(&other, NOW).await });
        fixture.until_reads(2).await;
        fixture.permit(2);
        other.await.unwrap().unwrap();
        held.await.unwrap().unwrap();
    }

    /// Browser sessions, whose reads wait for a permit after they have read.
    struct SlowSessions {
        store: SealedSessions<MemoryBrowserSessions>,
        permits: Semaphore,
        count: AtomicU64,
    }

    impl SessionTokens for SlowSessions {
        fn access_token<'a>(
            &'a self,
            id: &'a str,
            now: UnixSeconds,
        ) -> Pin<Box<dyn Future<Output = Result<Secret, AuthError>> + Send + 'a>> {
            Box::pin(async move {
                let result = self.store.access_token(id, now).await;
                self.count.fetch_add(1, Ordering::SeqCst);
                self.permits.acquire().await.unwrap().forget();
                result
            })
        }
    }

    #[tokio::test]
    async fn requests_of_one_session_share_its_row_and_see_its_deletion() {
        let keys = r#"{"keys":[{"id":"k1","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}"#;
        let store = MemoryBrowserSessions::default();
        let sealed = SealedSessions::new(store, SealingKeys::from_json(keys).unwrap());
        let session = BrowserSession {
            access_token: Secret::new("token".to_owned()),
            refresh_token: None,
            expires_at: NOW.plus(60),
        };
        let id = sealed.create(&session, NOW).await.unwrap();
        let reader = Arc::new(CoalescedSessions::new(SlowSessions {
            store: sealed,
            permits: Semaphore::new(0),
            count: AtomicU64::new(0),
        }));
        let ask = || {
            let (reader, id) = (Arc::clone(&reader), id.clone());
            tokio::spawn(async move {
                let found = reader.access_token(id.expose(), NOW).await;
                found.map(|token| token.expose().to_owned())
            })
        };
        let count = || reader.store.count.load(Ordering::SeqCst);
        let first = ask();
        while count() < 1 {
            tokio::task::yield_now().await;
        }
        // Deleted after the first read, before all others.
        reader.store.store.delete(&id).await.unwrap();
        let others: Vec<_> = (0..50).map(|_| ask()).collect();
        Fixture::settle().await;
        reader.store.permits.add_permits(2);
        assert_eq!(first.await.unwrap().unwrap(), "token");
        for other in others {
            let refused = other.await.unwrap().unwrap_err();
            let unknown = matches!(refused, AuthError::Unauthorized(DenyReason::UnknownSession));
            assert!(unknown, "{refused}");
        }
        assert_eq!(count(), 2);
        assert!(reader.reads.slots.lock().unwrap().is_empty());
        assert!(reader.access_token("x", NOW).await.is_err());
        assert_eq!(count(), 2, "no read for a text that is no id");
    }
}
