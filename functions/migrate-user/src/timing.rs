//! Equalizes the response times of refusals.
//!
//! Known and unknown users, hashes of different cost and several sources take different times. So a refusal is
//! sent at the end of a period, a multiple of the step, and later periods are never shorter than earlier ones.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auth::{Cause, Dependency, Secret, Unavailable};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::hash::{PasswordHash, PasswordMatch};

/// The hash that is computed for unknown users until a known user's hash has been computed.
const FIRST_DUMMY: &str = "$2b$10$abcdefghijklmnopqrstuuv2PaxZO.gRiMKu8gyyycqlaX6nT7pjC";
/// The latest time of a refusal, so that it is sent within the trigger's budget.
const LAST: Duration = Duration::from_millis(3_900);
/// The longest period that applies to later refusals: a store that was slow once must not slow them all down.
const LONGEST_FLOOR: Duration = Duration::from_secs(2);

/// Computes when refusals are sent.
pub(crate) struct Refusals {
    step: Duration,
    /// The longest period in this process, up to [`LONGEST_FLOOR`].
    floor: Mutex<Duration>,
}

impl Refusals {
    pub(crate) fn every(step: Duration) -> Self {
        Self {
            step,
            floor: Mutex::new(step),
        }
    }

    /// The time at which a refusal is sent if its work ends now.
    pub(crate) fn moment(&self, began: Instant) -> Instant {
        began + self.period(began.elapsed())
    }

    fn period(&self, took: Duration) -> Duration {
        let steps = took.as_millis() / self.step.as_millis().max(1) + 1;
        let end = self.step * u32::try_from(steps).unwrap_or(u32::MAX);
        let mut floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        if end <= LONGEST_FLOOR {
            *floor = end.max(*floor);
        }
        end.max(*floor).min(LAST)
    }
}

/// Computes hashes on blocking threads, so that the timers of the event loop keep running.
pub(crate) struct Hashing {
    /// Permits one hash at a time: the memory limit is for one.
    turns: Arc<Semaphore>,
    /// The slowest hash of a known user and its time; it is also computed for unknown users.
    slowest: Mutex<(Secret, Duration)>,
}

impl Hashing {
    pub(crate) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(1)),
            slowest: Mutex::new((Secret::new(FIRST_DUMMY.to_owned()), Duration::ZERO)),
        }
    }

    /// Verifies the password against a known user's hash. Keeps the hash if it took longer than all before.
    pub(crate) async fn fit(
        &self,
        text: &Secret,
        hash: PasswordHash,
        password: &Secret,
    ) -> Result<PasswordMatch, Unavailable> {
        let (fit, took) = self.compute(hash, password).await?;
        let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        if took > slowest.1 {
            *slowest = (text.clone(), took);
        }
        Ok(fit)
    }

    /// Computes the slowest known hash, so that this takes as long as a wrong password.
    pub(crate) async fn equalize_timing(&self, password: &Secret) -> Result<(), Unavailable> {
        let text = {
            let slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
            slowest.0.clone()
        };
        if let Ok(hash) = PasswordHash::parse(text.expose(), true) {
            std::hint::black_box(self.compute(hash, password).await?);
        }
        Ok(())
    }

    async fn compute(
        &self,
        hash: PasswordHash,
        password: &Secret,
    ) -> Result<(PasswordMatch, Duration), Unavailable> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| Dependency::Legacy.unavailable(Cause::Other))?;
        let password = password.clone();
        let computing = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let fit = hash.verify(&password);
            // Held until the hash is computed, even after the caller has timed out.
            drop(turn);
            (fit, began.elapsed())
        });
        computing
            .await
            .map_err(|_| Dependency::Legacy.unavailable(Cause::Other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_periods_are_multiples_of_the_step_and_never_shrink() {
        let refusals = Refusals::every(Duration::from_millis(500));
        let period = |took| {
            let period = refusals.period(Duration::from_millis(took));
            period.as_millis()
        };
        assert_eq!(period(1), 500);
        assert_eq!(period(499), 500);
        assert_eq!(period(501), 1_000);
        assert_eq!(period(1), 1_000, "not shorter than the period before");
        assert_eq!(period(3_200), 3_500);
        assert_eq!(
            period(1),
            1_000,
            "a slow store has no effect on later refusals"
        );
        assert_eq!(period(3_950), 3_900, "within the budget");
    }

    #[tokio::test]
    async fn timers_run_while_a_hash_is_computed() {
        let hashing = Hashing::new();
        let password = Secret::new("another".to_owned());
        let hash = PasswordHash::parse(&FIRST_DUMMY.replace("$10$", "$13$"), false);
        let computing = hashing.fit(&password, hash.ok().unwrap(), &password);
        let limit = Duration::from_millis(20);
        let began = Instant::now();
        assert!(tokio::time::timeout(limit, computing).await.is_err());
        assert!(began.elapsed() < Duration::from_millis(300));
    }

    #[tokio::test]
    async fn the_slowest_hash_is_kept() {
        let hashing = Hashing::new();
        let password = Secret::new("another".to_owned());
        for cost in ["$05$", "$08$", "$04$"] {
            let text = FIRST_DUMMY.replace("$10$", cost);
            let hash = PasswordHash::parse(&text, false).ok().unwrap();
            let fit = hashing.fit(&Secret::new(text), hash, &password).await;
            assert_eq!(fit, Ok(PasswordMatch::Mismatch));
        }
        let slowest = hashing.slowest.lock().unwrap();
        assert!(slowest.0.expose().starts_with("$2b$08$"));
    }
}
