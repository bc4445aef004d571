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
const MAX_DECISIONS: usize = 10_000;
/// The largest number of them for one credential, whose owner chooses the paths.
const MAX_DECISIONS_OF_ONE: usize = 100;
/// The most memory that the claims of all remembered callers may take, in bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// A full cache is searched for ended decisions at most so often.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

type Hash = [u8; 32];

/// What a remembered decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    credential: Hash,
    request: Hash,
}

/// The key for a request that presents this, with this method, host and route.
pub(crate) fn key(presented: &Presented<'_>, request: [&str; 3]) -> Key {
    let (kind, text): (_, &str) = match presented {
        Presented::Credential(Credential::Token(text)) => ("token", text),
        Presented::Credential(Credential::Cookie(text)) => ("cookie", text),
        Presented::Credential(Credential::Session(token)) => ("session token", token.expose()),
        Presented::Credential(Credential::ApiKey(text)) => ("api key", text),
        Presented::Session(id) => ("session", id),
    };
    Key {
        credential: hash(&[kind, text]),
        request: hash(&request),
    }
}

fn hash(parts: &[&str]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        // The length before each part: no two lists of parts have the same bytes.
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut hash = Hash::default();
    for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    hash
}

/// Allowed decisions. A refusal or a failure is never remembered.
pub(crate) struct DecisionCache {
    kept_for: Duration,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    callers: HashMap<Hash, OfCaller>,
    /// The number of decisions of all callers.
    decisions: usize,
    /// The memory of all callers' claims.
    bytes: usize,
    swept: Option<Instant>,
}

/// The decisions about one credential, which have the claims in common.
struct OfCaller {
    caller: Caller,
    bytes: usize,
    /// When each began, by the hash of its request.
    decisions: HashMap<Hash, Moment>,
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

impl Moment {
    /// Whether a decision about this caller that began at this time still counts at `at`: for `kept_for` by both clocks,
    /// and never after the credential's expiry. A wall clock that was set back before the beginning ends it, because its
    /// age is unknown.
    fn counts(self, caller: &Caller, at: Self, kept_for: Duration) -> bool {
        let age = at.wall.checked_sub(self.wall);
        at.monotonic.duration_since(self.monotonic) < kept_for
            && age.is_some_and(|age| age < kept_for)
            && at.wall.as_secs() < caller.expires_at().0
    }
}

impl Kept {
    fn remember(&mut self, key: Key, caller: &Caller, began: Moment, kept_for: Duration) {
        let held = self.callers.get(&key.credential);
        // The row of an API key or of a session has changed: its other decisions have other claims.
        if held.is_some_and(|held| *held.caller != **caller) {
            self.forget(&key.credential);
        }
        let bytes = match self.callers.get_mut(&key.credential) {
            Some(held) => {
                if held.decisions.len() >= MAX_DECISIONS_OF_ONE {
                    self.decisions -= held.drop_ended(began, kept_for);
                }
                if held.decisions.len() >= MAX_DECISIONS_OF_ONE {
                    return;
                }
                0
            }
            None => caller.memory_bytes(),
        };
        let is_full =
            |kept: &Self| kept.decisions >= MAX_DECISIONS || kept.bytes + bytes > MAX_BYTES;
        if is_full(self) {
            self.sweep(began, kept_for);
        }
        if is_full(self) {
            return;
        }
        let held = self.callers.entry(key.credential).or_insert_with(|| {
            let (caller, bytes) = (caller.clone(), caller.memory_bytes());
            self.bytes += bytes;
            OfCaller {
                caller,
                bytes,
                decisions: HashMap::new(),
            }
        });
        let replaced = held.decisions.insert(key.request, began);
        self.decisions += usize::from(replaced.is_none());
    }

    /// Drops all decisions about a credential.
    fn forget(&mut self, credential: &Hash) {
        if let Some(dropped) = self.callers.remove(credential) {
            self.decisions -= dropped.decisions.len();
            self.bytes -= dropped.bytes;
        }
    }

    /// Drops ended decisions, unless that was done a moment ago.
    fn sweep(&mut self, at: Moment, kept_for: Duration) {
        let since = self.swept.map(|swept| at.monotonic.duration_since(swept));
        if since.is_some_and(|since| since < SWEEP_EVERY) {
            return;
        }
        self.swept = Some(at.monotonic);
        let (mut decisions, mut bytes) = (0, 0);
        self.callers.retain(|_, held| {
            held.drop_ended(at, kept_for);
            let stays = !held.decisions.is_empty();
            if stays {
                decisions += held.decisions.len();
                bytes += held.bytes;
            }
            stays
        });
        (self.decisions, self.bytes) = (decisions, bytes);
    }
}

impl OfCaller {
    /// Drops ended decisions, and returns their number.
    fn drop_ended(&mut self, at: Moment, kept_for: Duration) -> usize {
        let before = self.decisions.len();
        let caller = &self.caller;
        self.decisions
            .retain(|_, began| began.counts(caller, at, kept_for));
        before - self.decisions.len()
    }
}

impl DecisionCache {
    /// A cache for this time. Zero: it remembers nothing.
    pub(crate) fn new(kept_for: Duration) -> Self {
        Self {
            kept_for,
            kept: Mutex::default(),
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
        let kept = self.locked();
        let held = kept.callers.get(&key.credential)?;
        let began = held.decisions.get(&key.request)?;
        let counts = began.counts(&held.caller, at, self.kept_for);
        counts.then(|| held.caller.clone())
    }

    /// Remembers an allowed decision that began at `began`: its reads may be as old as that.
    pub(crate) fn remember(&self, key: Key, caller: &Caller, began: Moment) {
        let kept_for = self.kept_for;
        self.locked().remember(key, caller, began, kept_for);
    }

    /// Forgets every decision.
    pub(crate) fn clear(&self) {
        *self.locked() = Kept::default();
    }

    fn locked(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The key of a request of one of several credentials.
    fn numbered(credential: usize, request: usize) -> Key {
        let hash = |number: usize| {
            let mut hash = Hash::default();
            hash[..8].copy_from_slice(&number.to_be_bytes());
            hash
        };
        Key {
            credential: hash(credential),
            request: hash(request),
        }
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
        cache.remember(numbered(1, 1), &caller(3_600), began);
        cache.remember(numbered(2, 2), &caller(3), began);
        assert!(is_found(&numbered(1, 1), 4_999));
        assert!(!is_found(&numbered(1, 1), 5_000), "the bound");
        assert!(is_found(&numbered(2, 2), 2_299));
        assert!(!is_found(&numbered(2, 2), 2_300), "`exp`");
        assert!(!is_found(&numbered(3, 3), 0));
        cache.clear();
        assert!(!is_found(&numbered(1, 1), 0));
    }

    #[test]
    fn no_clock_prolongs_an_entry() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let began = start();
        cache.remember(numbered(1, 1), &caller(3_600), began);
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
            let found = cache
                .find(&numbered(1, 1), began.after(monotonic, wall))
                .is_some();
            assert_eq!(found, is_found, "{monotonic} {wall}");
        }
    }

    #[test]
    fn a_panic_with_the_lock_does_not_stop_later_requests() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let began = start();
        cache.remember(numbered(1, 1), &caller(3_600), began);
        let panicked = std::thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let _kept = cache.locked();
                panic!("while the lock is held");
            });
            holder.join().is_err()
        });
        assert!(panicked && cache.kept.is_poisoned());
        assert!(cache.find(&numbered(1, 1), began).is_some());
        cache.clear();
        assert!(cache.find(&numbered(1, 1), began).is_none());
    }

    #[test]
    fn a_full_cache_drops_ended_decisions_and_takes_no_more() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let began = start();
        let caller = caller(3_600);
        let each = MAX_DECISIONS_OF_ONE;
        for number in 0..=MAX_DECISIONS {
            cache.remember(numbered(number / each, number), &caller, began);
        }
        let last = numbered(MAX_DECISIONS / each, MAX_DECISIONS);
        assert_eq!(cache.locked().decisions, MAX_DECISIONS);
        assert!(cache.find(&last, began).is_none());
        // It was searched just now.
        let soon = began.after(999, 5_000);
        cache.remember(last, &caller, soon);
        assert_eq!(cache.locked().decisions, MAX_DECISIONS);
        let later = began.after(5_000, 5_000);
        cache.remember(last, &caller, later);
        assert!(cache.find(&last, later).is_some());
        assert_eq!(cache.locked().decisions, 1);
        assert_eq!(cache.locked().bytes, caller.memory_bytes());
    }

    #[test]
    fn one_credential_does_not_fill_the_cache() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let (began, caller) = (start(), caller(3_600));
        for number in 0..=MAX_DECISIONS_OF_ONE {
            cache.remember(numbered(1, number), &caller, began);
        }
        cache.remember(numbered(2, 0), &caller, began);
        assert_eq!(cache.locked().decisions, MAX_DECISIONS_OF_ONE + 1);
        assert!(
            cache
                .find(&numbered(1, MAX_DECISIONS_OF_ONE), began)
                .is_none()
        );
        assert!(cache.find(&numbered(2, 0), began).is_some());
        // Its claims are there once.
        assert_eq!(cache.locked().bytes, 2 * caller.memory_bytes());
        let later = began.after(5_000, 5_000);
        cache.remember(numbered(1, 0), &caller, later);
        assert!(cache.find(&numbered(1, 0), later).is_some());
        assert_eq!(cache.locked().decisions, 2);
    }

    #[test]
    fn large_claims_have_a_bound_in_bytes() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let groups: Vec<String> = (0..300).map(|number| format!("{number:020}")).collect();
        let groups = groups.iter().map(String::as_str);
        let claims = ClaimsBuilder::user("ada", NOW).expires_at(NOW.plus(60));
        let caller = Caller::from(claims.groups(groups).build());
        assert!(caller.memory_bytes() > 300 * 44);
        for number in 0..2_000 {
            cache.remember(numbered(number, 0), &caller, start());
        }
        let kept = cache.locked();
        assert!(kept.bytes <= MAX_BYTES);
        assert_eq!(kept.decisions, MAX_BYTES / caller.memory_bytes());
        assert_eq!(kept.callers.len(), kept.decisions);
    }

    #[test]
    fn a_credential_with_other_claims_begins_anew() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let began = start();
        cache.remember(numbered(1, 1), &caller(3_600), began);
        cache.remember(numbered(1, 2), &caller(60), began);
        assert!(cache.find(&numbered(1, 1), began).is_none());
        let found = cache.find(&numbered(1, 2), began).unwrap();
        assert_eq!(found.expires_at(), NOW.plus(60));
        assert_eq!(cache.locked().decisions, 1);
        assert_eq!(cache.locked().bytes, found.memory_bytes());
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
