//! Remembers allowed decisions for `DECISION_CACHE_SECONDS`, which is then the bound between a logout and the first
//! refusal.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use auth::{Credential, UnixSeconds};
use auth_tower::{Caller, Presented};
use aws_lc_rs::digest::{Context, SHA256};

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
    until: Instant,
}

impl Entry {
    /// Whether it counts at this time, by both clocks: a machine that was asleep may have a monotonic clock that stood.
    fn is_valid(&self, at: Instant, now: UnixSeconds) -> bool {
        at < self.until && now < self.caller.expires_at()
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
    pub(crate) fn find(&self, key: &Key, at: Instant, now: UnixSeconds) -> Option<Caller> {
        let entries = self.locked();
        let entry = entries.get(key)?;
        entry.is_valid(at, now).then(|| entry.caller.clone())
    }

    /// Remembers an allowed decision that began at `began`: its reads may be as old as that.
    pub(crate) fn remember(&self, key: Key, caller: &Caller, began: Instant, now: UnixSeconds) {
        let entry = Entry {
            caller: caller.clone(),
            until: began + self.kept_for,
        };
        let mut entries = self.locked();
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, entry| entry.is_valid(began, now));
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

    use auth::ClaimsBuilder;

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn caller(expires_in: u64) -> Caller {
        let claims = ClaimsBuilder::user("ada", NOW).expires_at(NOW.plus(expires_in));
        Caller::from(claims.build())
    }

    #[test]
    fn an_entry_ends_after_its_seconds_and_with_its_token() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let began = Instant::now();
        let second = |number| (began + Duration::from_secs(number), NOW.plus(number));
        let is_found = |key: &Key, (at, now)| cache.find(key, at, now).is_some();
        cache.remember([1; 32], &caller(3_600), began, NOW);
        cache.remember([2; 32], &caller(3), began, NOW);
        assert!(is_found(&[1; 32], second(4)));
        assert!(!is_found(&[1; 32], second(5)), "the bound");
        assert!(is_found(&[2; 32], second(2)));
        assert!(!is_found(&[2; 32], second(3)), "`exp`");
        assert!(!is_found(&[3; 32], second(0)));
        cache.clear();
        assert!(!is_found(&[1; 32], second(0)));
    }

    #[test]
    fn a_full_cache_drops_what_has_ended_and_takes_no_more() {
        let cache = DecisionCache::new(Duration::from_secs(5));
        let began = Instant::now();
        let caller = caller(3_600);
        let numbered = |number: usize| {
            let mut key = Key::default();
            key[..8].copy_from_slice(&number.to_be_bytes());
            key
        };
        for number in 0..=MAX_ENTRIES {
            cache.remember(numbered(number), &caller, began, NOW);
        }
        assert_eq!(cache.locked().len(), MAX_ENTRIES);
        assert!(cache.find(&numbered(MAX_ENTRIES), began, NOW).is_none());
        let later = began + Duration::from_secs(5);
        cache.remember(numbered(0), &caller, later, NOW.plus(5));
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
