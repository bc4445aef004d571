//! One read of the store for all requests that wait for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};

use auth::{RevocationReader, Revocations, Unavailable, UnixSeconds, VerifiedClaims};
use tokio::sync::Mutex;

/// A [`RevocationReader`] that reads once for all concurrent requests with one credential.
///
/// A request takes the result of a read only if that read began after the request arrived. The guarantee of the store
/// stays: what was revoked before the request is in its result. A result of a read that was under way already could
/// lack a revocation that was acknowledged in the meantime, so such a read is never shared; the requests that arrive
/// during it share the next one.
pub struct Coalesced<R> {
    store: R,
    slots: Lock<HashMap<Key, Shared>>,
}

/// A slot and the number of requests that use it.
#[derive(Default)]
struct Shared {
    slot: Arc<Slot>,
    users: usize,
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

#[derive(Default)]
struct Slot {
    /// The number of reads that have begun.
    begun: AtomicU64,
    /// Held during a read. A request that is cancelled releases it, and the next one reads.
    last: Mutex<Option<Read>>,
}

struct Read {
    number: u64,
    result: Result<Revocations, Unavailable>,
}

impl<R> Coalesced<R> {
    /// Reads from `store`.
    pub fn new(store: R) -> Self {
        Self {
            store,
            slots: Lock::default(),
        }
    }

    /// The store.
    pub fn store(&self) -> &R {
        &self.store
    }

    fn enter(&self, key: &Key) -> Entered<'_, R> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = match slots.get_mut(key) {
            Some(shared) => shared,
            None => slots.entry(key.clone()).or_default(),
        };
        shared.users += 1;
        let slot = Arc::clone(&shared.slot);
        Entered {
            of: self,
            key: key.clone(),
            slot,
        }
    }
}

/// A request's use of a slot, which is removed with the last one.
struct Entered<'a, R> {
    of: &'a Coalesced<R>,
    key: Key,
    slot: Arc<Slot>,
}

impl<R> Drop for Entered<'_, R> {
    fn drop(&mut self) {
        let mut slots = self.of.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Not by the number of `Arc`s: this one is dropped only after the lock is released.
        if let Some(shared) = slots.get_mut(&self.key) {
            shared.users -= 1;
            if shared.users == 0 {
                slots.remove(&self.key);
            }
        }
    }
}

impl<R: RevocationReader + Sync> RevocationReader for Coalesced<R> {
    async fn revocations(
        &self,
        claims: &VerifiedClaims,
        now: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        let entered = self.enter(&Key::of(claims));
        let slot = &entered.slot;
        let before = slot.begun.load(Ordering::SeqCst);
        let mut last = slot.last.lock().await;
        if let Some(read) = last.as_ref().filter(|read| read.number > before) {
            return read.result.clone();
        }
        let number = slot.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let result = self.store.revocations(claims, now).await;
        *last = Some(Read {
            number,
            result: result.clone(),
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use auth::memory::MemoryRevocations;
    use auth::{Cause, ClaimsBuilder, DenyReason, Dependency, RevocationContext, RevocationWriter};
    use tokio::sync::Semaphore;

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    /// A store whose reads wait for a permit after they have read.
    struct Slow {
        store: MemoryRevocations,
        permits: Semaphore,
        reads: AtomicU64,
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
            self.reads.fetch_add(1, Ordering::SeqCst);
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
                reads: AtomicU64::new(0),
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
            self.reader.store().reads.load(Ordering::SeqCst)
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
        assert!(fixture.reader.slots.lock().unwrap().is_empty());
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
        assert!(fixture.reader.slots.lock().unwrap().is_empty());
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
        assert!(fixture.reader.slots.lock().unwrap().is_empty());
    }

    /// Of two requests that end together, each may still hold the slot's memory when the other leaves. Fails if that
    /// counts.
    #[test]
    fn requests_that_end_together_leave_no_slot() {
        let fixture = Fixture::new();
        let key = Key::of(&fixture.claims);
        let (first, second) = (fixture.reader.enter(&key), fixture.reader.enter(&key));
        let slots = || fixture.reader.slots.lock().unwrap().len();
        let memory_of_first = Arc::clone(&first.slot);
        drop(first);
        assert_eq!(slots(), 1, "the second request still uses it");
        drop(second);
        assert_eq!(slots(), 0);
        drop(memory_of_first);
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
}
