//! Rules for when an issuer's keys may be used and when they must be fetched, without I/O.
//!
//! All ages use the wall clock, because a Lambda environment can be frozen for hours and a
//! monotonic clock may not advance meanwhile.

use std::sync::Arc;

use crate::error::Cause;
use crate::jwks::{KeySet, VerifyingKey};
use crate::time::UnixSeconds;

/// Keys older than this are fetched again, so that a key that the issuer withdrew stops working.
pub const REFRESH_AFTER_SECONDS: u64 = 60 * 60;
/// Keys older than this are not used at all, even if the issuer cannot be reached.
pub const TRUST_FOR_SECONDS: u64 = 24 * 60 * 60;
/// After a fetch that failed, or that did not find the key that it was for: the time without another fetch, regardless of
/// the `kid`s that tokens name. Times are whole seconds, so it may end up to a second earlier.
pub const COOL_DOWN_SECONDS: u64 = 10;
/// The same while there is no set that may be used: then no token can be verified, and a fetch is the only way out.
pub const COLD_COOL_DOWN_SECONDS: u64 = 2;
/// Seconds by which the time of a caller may be before the time of the last fetch: it was read before it waited.
const WAITED_SECONDS: u64 = 5;

/// What to do about a `kid`.
pub enum Lookup {
    /// Use this key.
    Found(Arc<VerifyingKey>),
    /// Fetch the set, record the result, and look the key up again.
    Fetch,
    /// Like `Fetch`, but this key is still trusted and needs no long wait.
    Refresh,
    /// The issuer has no such key.
    Unknown,
    /// Whether the issuer has it cannot be known now, because the last fetch failed.
    Unavailable(Cause),
}

/// The last good key set of one issuer, and the time of the last fetch.
#[derive(Default)]
pub struct KeyCache {
    keys: KeySet,
    fetched_at: Option<UnixSeconds>,
    tried_at: Option<UnixSeconds>,
    /// Why the last fetch failed, if it did.
    last_failure: Option<Cause>,
    pinned: bool,
}

impl KeyCache {
    /// A cache of keys from the configuration: never fetched, never stale.
    #[must_use]
    pub fn pinned(keys: KeySet) -> Self {
        Self {
            keys,
            pinned: true,
            ..Self::default()
        }
    }

    /// Whether there is a set that may be used.
    #[must_use]
    pub fn is_trusted(&self, now: UnixSeconds) -> bool {
        let age = self.fetched_at.and_then(|moment| age(moment, now));
        self.pinned || age.is_some_and(|age| age < TRUST_FOR_SECONDS)
    }

    /// What to do about `kid`.
    #[must_use]
    pub fn lookup(&self, kid: &str, now: UnixSeconds) -> Lookup {
        let key = self.keys.get(kid).cloned();
        if self.pinned {
            return key.map_or(Lookup::Unknown, Lookup::Found);
        }
        let age = |moment: Option<UnixSeconds>| moment.and_then(|moment| age(moment, now));
        let trusted = age(self.fetched_at).is_some_and(|age| age < TRUST_FOR_SECONDS);
        let cool_down = if trusted {
            COOL_DOWN_SECONDS
        } else {
            COLD_COOL_DOWN_SECONDS
        };
        let may_fetch = age(self.tried_at).is_none_or(|age| age >= cool_down);
        let fresh = age(self.fetched_at).is_some_and(|age| age < REFRESH_AFTER_SECONDS);
        match key {
            Some(key) if fresh => Lookup::Found(key),
            Some(_) if may_fetch && trusted => Lookup::Refresh,
            _ if may_fetch => Lookup::Fetch,
            Some(key) if trusted => Lookup::Found(key),
            None if trusted => Lookup::Unknown,
            _ => self.unavailable(),
        }
    }

    /// What to do about `kid` right after a fetch, successful or not. Never [`Lookup::Fetch`] or
    /// [`Lookup::Refresh`].
    #[must_use]
    pub fn lookup_after_fetch(&self, kid: &str, now: UnixSeconds) -> Lookup {
        let age = self.fetched_at.and_then(|moment| age(moment, now));
        let trusted = age.is_some_and(|age| age < TRUST_FOR_SECONDS);
        match self.keys.get(kid) {
            Some(key) if trusted => Lookup::Found(Arc::clone(key)),
            None if trusted && self.last_failure.is_none() => Lookup::Unknown,
            _ => self.unavailable(),
        }
    }

    /// Records a key set whose fetch began at `now`; it replaces the old set as a whole.
    ///
    /// If callers waited for a `kid` that it does not contain, the cool-down begins: more such
    /// tokens do not cause more fetches.
    pub fn fetched<'a>(
        &mut self,
        keys: KeySet,
        wanted: impl IntoIterator<Item = &'a str>,
        now: UnixSeconds,
    ) {
        let missed = wanted.into_iter().any(|kid| keys.get(kid).is_none());
        self.keys = keys;
        self.fetched_at = Some(now);
        self.tried_at = missed.then_some(now);
        self.last_failure = None;
    }

    /// Records that a fetch which ended at `now` returned no usable set. The old set stays and the cool-down
    /// begins.
    pub fn failed(&mut self, cause: Cause, now: UnixSeconds) {
        self.tried_at = Some(now);
        self.last_failure = Some(cause);
    }

    /// Records why a fetch that no request caused has failed. The next request may fetch at once.
    pub fn failed_early(&mut self, cause: Cause) {
        self.last_failure = Some(cause);
    }

    fn unavailable(&self) -> Lookup {
        Lookup::Unavailable(self.last_failure.unwrap_or(Cause::Other))
    }
}

/// Whether a caller may use the result of a fetch that began at `began`. A fetch ends within seconds: an older one was
/// frozen with its process, and what it returns is no answer to this caller.
#[must_use]
pub fn is_current(began: UnixSeconds, now: UnixSeconds) -> bool {
    age(began, now).is_some_and(|age| age <= WAITED_SECONDS)
}

/// Seconds from `moment` to `now`. If the clock was set back, every age is unknown, and the issuer is asked again.
fn age(moment: UnixSeconds, now: UnixSeconds) -> Option<u64> {
    let is_earlier = || {
        moment
            .since(now)
            .is_some_and(|ahead| ahead <= WAITED_SECONDS)
    };
    now.since(moment).or_else(|| is_earlier().then_some(0))
}

#[cfg(test)]
mod tests {
    use testkit::SigningKey;

    use super::*;

    const DAY: u64 = 24 * 60 * 60;
    const START: u64 = 1_700_000_000;

    fn keys(kid: &str) -> KeySet {
        let document = serde_json::json!({"keys": [SigningKey::ed25519().jwk(kid)]});
        KeySet::parse(document.to_string().as_bytes()).unwrap()
    }

    #[track_caller]
    fn check(lookup: &Lookup, expected: &str) {
        let name = match lookup {
            Lookup::Found(_) => "found",
            Lookup::Fetch => "fetch",
            Lookup::Refresh => "refresh",
            Lookup::Unknown => "unknown",
            Lookup::Unavailable(_) => "unavailable",
        };
        assert_eq!(name, expected);
    }

    fn at(seconds: u64) -> UnixSeconds {
        UnixSeconds(START + seconds)
    }

    #[test]
    fn a_failed_fetch_of_a_cold_cache_starts_a_short_cool_down() {
        let mut cache = KeyCache::default();
        check(&cache.lookup("a", at(0)), "fetch");
        cache.failed(Cause::Timeout, at(0));
        check(&cache.lookup_after_fetch("a", at(0)), "unavailable");
        check(&cache.lookup("a", at(1)), "unavailable");
        check(&cache.lookup("a", at(2)), "fetch");
    }

    #[test]
    fn the_cause_of_a_failed_fetch_is_kept_until_the_next_one() {
        let cause = |lookup| match lookup {
            Lookup::Unavailable(cause) => Some(cause),
            Lookup::Found(_) | Lookup::Fetch | Lookup::Refresh | Lookup::Unknown => None,
        };
        let mut cache = KeyCache::default();
        cache.failed(Cause::Connection, at(0));
        assert_eq!(cause(cache.lookup("a", at(1))), Some(Cause::Connection));
        cache.failed(Cause::NotFound, at(10));
        let after = cache.lookup_after_fetch("a", at(10));
        assert_eq!(cause(after), Some(Cause::NotFound));
    }

    #[test]
    fn unknown_kids_cause_one_fetch_per_cool_down() {
        let mut cache = KeyCache::default();
        cache.fetched(keys("a"), None, at(0));
        check(&cache.lookup("a", at(1)), "found");
        check(&cache.lookup("b", at(1)), "fetch");
        cache.fetched(keys("a"), Some("b"), at(1));
        check(&cache.lookup_after_fetch("b", at(1)), "unknown");
        check(&cache.lookup("c", at(10)), "unknown");
        check(&cache.lookup("a", at(10)), "found");
        check(&cache.lookup("b", at(11)), "fetch");
        cache.fetched(keys("b"), Some("b"), at(11));
        check(&cache.lookup_after_fetch("b", at(11)), "found");
        check(&cache.lookup("a", at(11)), "fetch");
    }

    #[test]
    fn keys_are_refreshed_after_an_hour_and_trusted_for_a_day() {
        let mut cache = KeyCache::default();
        cache.fetched(keys("a"), None, at(0));
        check(&cache.lookup("a", at(3_599)), "found");
        check(&cache.lookup("a", at(3_600)), "refresh");
        assert!(cache.is_trusted(at(DAY - 1)) && !cache.is_trusted(at(DAY)));
        cache.failed(Cause::Timeout, at(REFRESH_AFTER_SECONDS));
        let now = at(REFRESH_AFTER_SECONDS);
        check(&cache.lookup_after_fetch("a", now), "found");
        check(&cache.lookup("a", at(REFRESH_AFTER_SECONDS + 9)), "found");
        check(&cache.lookup("b", at(REFRESH_AFTER_SECONDS + 9)), "unknown");
        check(&cache.lookup("b", at(REFRESH_AFTER_SECONDS + 10)), "fetch");
        // An issuer that did not answer may have this key.
        check(&cache.lookup_after_fetch("b", now), "unavailable");
        cache.failed(Cause::Timeout, at(DAY - 1));
        check(&cache.lookup("a", at(DAY - 1)), "found");
        check(&cache.lookup("a", at(DAY)), "unavailable");
        check(&cache.lookup_after_fetch("a", at(DAY)), "unavailable");
        check(&cache.lookup("a", at(DAY + 1)), "fetch");
    }

    #[test]
    fn a_clock_jump_causes_only_a_fetch() {
        let mut cache = KeyCache::default();
        cache.fetched(keys("a"), Some("b"), at(3_600));
        check(&cache.lookup("a", at(0)), "fetch");
        check(&cache.lookup("b", at(0)), "fetch");
        cache.fetched(keys("a"), Some("a"), at(0));
        check(&cache.lookup("a", at(0)), "found");
        check(&cache.lookup("a", at(DAY)), "fetch");
        cache.failed(Cause::Timeout, at(DAY));
        check(&cache.lookup_after_fetch("a", at(DAY)), "unavailable");
        check(&cache.lookup("a", UnixSeconds(0)), "fetch");
        check(&cache.lookup("a", UnixSeconds(u64::MAX)), "fetch");
    }

    #[test]
    fn a_caller_that_waited_for_a_fetch_uses_its_result() {
        let mut cache = KeyCache::default();
        cache.fetched(keys("a"), Some("b"), at(10));
        check(&cache.lookup("a", at(9)), "found");
        check(&cache.lookup("b", at(9)), "unknown");
        check(&cache.lookup("b", at(5)), "unknown");
        check(&cache.lookup_after_fetch("a", at(5)), "found");
        assert!(cache.is_trusted(at(5)));
        check(&cache.lookup("a", at(4)), "fetch");
        assert!(!cache.is_trusted(at(4)));
        check(&cache.lookup_after_fetch("a", at(4)), "unavailable");
    }

    #[test]
    fn a_fetch_that_was_frozen_is_no_answer() {
        for (began, now, expected) in [
            (0, 0, true),
            (0, 5, true),
            (5, 0, true),
            (0, 6, false),
            (6, 0, false),
        ] {
            assert_eq!(is_current(at(began), at(now)), expected, "{began} {now}");
        }
    }

    #[test]
    fn a_set_without_a_key_that_a_caller_waits_for_starts_the_cool_down() {
        let mut cache = KeyCache::default();
        cache.fetched(keys("a"), ["a", "b"], at(0));
        check(&cache.lookup("c", at(9)), "unknown");
        cache.fetched(keys("a"), ["a"], at(9));
        check(&cache.lookup("c", at(9)), "fetch");
    }

    #[test]
    fn a_failure_without_a_request_begins_no_cool_down() {
        let mut cache = KeyCache::default();
        cache.failed_early(Cause::Timeout);
        let after = cache.lookup_after_fetch("a", at(0));
        assert!(matches!(after, Lookup::Unavailable(Cause::Timeout)));
        check(&cache.lookup("a", at(0)), "fetch");
    }

    #[test]
    fn pinned_keys_never_expire() {
        let cache = KeyCache::pinned(keys("a"));
        check(&cache.lookup("a", UnixSeconds(0)), "found");
        check(&cache.lookup("a", UnixSeconds(u64::MAX)), "found");
        check(&cache.lookup("b", at(0)), "unknown");
    }
}
