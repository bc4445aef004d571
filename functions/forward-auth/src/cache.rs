//! Remembers allowed decisions for `DECISION_CACHE_SECONDS`, which is then the bound between a logout and the first
//! refusal.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use auth::Credential;
use auth_tower::{Caller, Presented};
use aws_lc_rs::digest::{Context, SHA256};
use runtime::clock;

/// The largest number of remembered decisions. Further ones are not remembered.
const MAX_ENTRIES: usize = 10_000;

/// The hash of a credential and of all that a remembered decision depends on.
pub(crate) type Key = [u8; 32];

/// The key for a request that presents this, with this method, host and route.
pub(crate) fn key(presented: &Presented<'_>, request: [&str; 3]) -> Key {
    let (kind, text): (_, &str) = match presented {
        Presented::Credential(Credential::Token(text)) => ("token", text),
        Presented::Credential(Credential::Cookie(text)) => ("cookie", text),
        Presented::Credential(Credential::ApiKey(text)) => ("api key", text),
        Presented::Session(id) => ("session", id),
    };
    let mut context = Context::new(&SHA256);
    for part in [kind, text].into_iter().chain(request) {
        // The length before each part: no two lists of parts have the same bytes.
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut key = Key::default();
    let hash = context.finish();
    for (to, from) in key.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    key
}

/// Allowed decisions. A refusal or a failure is never remembered.
pub(crate) struct DecisionCache {
    kept_for: Duration,
    entries: Mutex<HashMap<Key, Entry>>,
}

struct Entry {
    caller: Caller,
    began: Moment,
}

/// A time by both clocks. The monotonic one may stand still while a process is frozen or its machine sleeps, and the wall
/// clock may be set back: a bound must hold by each.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) monotonic: Instant,
    wall: Duration,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: clock::since_epoch(),
        }
    }
}

impl Entry {
    /// Whether it counts at this time: for `kept_for` by both clocks, and never after the credential's expiry. A wall
    /// clock that was set back before its beginning ends it, because its age is unknown.
    fn is_valid(&self, at: Moment, kept_for: Duration) -> bool {
        let age = at.wall.checked_sub(self.began.wall);
        at.monotonic.duration_since(self.began.monotonic) < kept_for
            && age.is_some_and(|age| age < kept_for)
            && at.wall.as_secs() < self.caller.expires_at().0
    }
}

impl DecisionCache {
    /// A cache for this time. Zero: it remembers nothing.
    pub(crate) fn new(kept_for: Duration) -> Self {
        Self {
            kept_for,
            entries: Mutex::default(),
        }
    }

    pub(crate) fn kept_for(&self) -> Duration {
        self.kept_for
    }

    pub(crate) fn is_on(&self) -> bool {
        !self.kept_for.is_zero()
    }

    /// The caller of a remembered decision.
    pub(crate) fn find(&self, key: &Key, at: Moment) -> Option<Caller> {
        let entries = self.locked();
        let entry = entries.get(key)?;
        entry
            .is_valid(at, self.kept_for)
            .then(|| entry.caller.clone())
    }

    /// Remembers an allowed decision that began at `began`: its reads may be as old as that.
    pub(crate) fn remember(&self, key: Key, caller: &Caller, began: Moment) {
        let caller = caller.clone();
        let entry = Entry { caller, began };
        let mut entries = self.locked();
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, entry| entry.is_valid(began, self.kept_for));
        }
        if entries.len() < MAX_ENTRIES {
            entries.insert(key, entry);
        }
    }

    /// Forgets every decision.
    pub(crate) fn clear(&self) {
        self.locked().clear();
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use auth::{ClaimsBuilder, UnixSeconds};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn caller(expires_in: u64) -> Caller {
        let claims = ClaimsBuilder::user("ada", NOW).expires_at(NOW.plus(expires_in));
        Caller::from(claims.build())
    }

    fn start() -> Moment {
        Moment {
            monotonic: Instant::now(),
            wall: Duration::from_millis(NOW.0 * 1_000 + 700),
        }
    }

    impl Moment {
        /// So many milliseconds later by the monotonic clock, and by the wall clock.
        fn after(self, monotonic: u64, wall: i64) -> Self {
            let by = Duration::from_millis(wall.unsigned_abs());
            Self {
                monotonic: self.monotonic + Duration::from_millis(monotonic),
                wall: match wall {
                    0.. => self.wall + by,
                    _ => self.wall.checked_sub(by).unwrap(),
                },
            }
        }
    }

    #[test]
    fn an_entry_ends_after_its_seconds_and_with_its_token() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let began = start();
        let is_found = |key: &Key, at: u64| {
            let at = began.after(at, at.cast_signed());
            cache.find(key, at).is_some()
        };
        cache.remember([1; 32], &caller(3_600), began);
        cache.remember([2; 32], &caller(3), began);
        assert!(is_found(&[1; 32], 4_999));
        assert!(!is_found(&[1; 32], 5_000), "the bound");
        assert!(is_found(&[2; 32], 2_299));
        assert!(!is_found(&[2; 32], 2_300), "`exp`");
        assert!(!is_found(&[3; 32], 0));
        cache.clear();
        assert!(!is_found(&[1; 32], 0));
    }

    #[test]
    fn no_clock_prolongs_an_entry() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let began = start();
        cache.remember([1; 32], &caller(3_600), began);
        for (monotonic, wall, is_found) in [
            (4_999, 4_999, true),
            // The process was frozen, and the monotonic clock stood.
            (1, 5_000, false),
            (0, 3_000_000, false),
            // The wall clock was set back, first by less than the entry's age.
            (4_999, 1_000, true),
            (5_000, 1_000, false),
            (5_000, 0, false),
            (4_000, -1, false),
            (1, -3_600_000, false),
            // And forward.
            (1, 6_000, false),
        ] {
            let found = cache.find(&[1; 32], began.after(monotonic, wall)).is_some();
            assert_eq!(found, is_found, "{monotonic} {wall}");
        }
    }

    #[test]
    fn a_panic_with_the_lock_does_not_stop_later_requests() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let began = start();
        cache.remember([1; 32], &caller(3_600), began);
        let panicked = std::thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let _entries = cache.locked();
                panic!("while the lock is held");
            });
            holder.join().is_err()
        });
        assert!(panicked && cache.entries.is_poisoned());
        assert!(cache.find(&[1; 32], began).is_some());
        cache.clear();
        assert!(cache.find(&[1; 32], began).is_none());
    }

    #[test]
    fn a_full_cache_drops_what_has_ended_and_takes_no_more() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let began = start();
        let caller = caller(3_600);
        let numbered = |number: usize| {
            let mut key = Key::default();
            key[..8].copy_from_slice(&number.to_be_bytes());
            key
        };
        for number in 0..=MAX_ENTRIES {
            cache.remember(numbered(number), &caller, began);
        }
        assert_eq!(cache.locked().len(), MAX_ENTRIES);
        assert!(cache.find(&numbered(MAX_ENTRIES), began).is_none());
        let later = began.after(5_000, 5_000);
        cache.remember(numbered(0), &caller, later);
        assert_eq!(cache.locked().len(), 1);
    }

    #[test]
    fn every_part_makes_another_key() {
        let token = |text| Presented::Credential(Credential::Token(Cow::Borrowed(text)));
        let cookie = Presented::Credential(Credential::Cookie(Cow::Borrowed("a")));
        let api_key = Presented::Credential(Credential::ApiKey(Cow::Borrowed("a")));
        let base = key(&token("a"), ["GET", "h", "/x"]);
        for (credential, request) in [
            (token("b"), ["GET", "h", "/x"]),
            (cookie, ["GET", "h", "/x"]),
            (api_key, ["GET", "h", "/x"]),
            (Presented::Session("a".to_owned()), ["GET", "h", "/x"]),
            (token("a"), ["PUT", "h", "/x"]),
            (token("a"), ["GET", "i", "/x"]),
            (token("a"), ["GET", "h", "/y"]),
            (token("a"), ["GET", "h/", "x"]),
            (token("aGET"), ["", "h", "/x"]),
        ] {
            assert_ne!(key(&credential, request), base);
        }
        assert_eq!(key(&token("a"), ["GET", "h", "/x"]), base);
    }
}
