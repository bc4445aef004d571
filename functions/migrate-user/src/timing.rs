//! What makes one refusal take as long as another.
//!
//! Known and unknown users, hashes of different cost and several sources take different times. So nobody who
//! is refused hears of it before the end of a stretch, and no stretch is shorter than one that was needed
//! before.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auth::{Secret, Unavailable};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::hash::{Fit, PasswordHash};

/// What an unknown user costs until a known one has shown what users cost here.
const FIRST_DUMMY: &str = "$2b$10$abcdefghijklmnopqrstuuv2PaxZO.gRiMKu8gyyycqlaX6nT7pjC";
/// The last moment of a refusal, so that it comes before the trigger's own time is up.
const LAST: Duration = Duration::from_millis(3_900);
/// The longest stretch that later refusals are held to: a store that was slow once doesn't make them slow for ever.
const LONGEST_FLOOR: Duration = Duration::from_secs(2);

/// When refusals are answered.
pub(crate) struct Refusals {
    step: Duration,
    /// The longest that one has taken in this process.
    floor: Mutex<Duration>,
}

impl Refusals {
    pub(crate) fn every(step: Duration) -> Self {
        Self {
            step,
            floor: Mutex::new(step),
        }
    }

    /// The moment at which a refusal is answered whose work is done now.
    pub(crate) fn moment(&self, began: Instant) -> Instant {
        began + self.stretch(began.elapsed())
    }

    fn stretch(&self, took: Duration) -> Duration {
        let steps = took.as_millis() / self.step.as_millis().max(1) + 1;
        let end = self.step * u32::try_from(steps).unwrap_or(u32::MAX);
        let mut floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        if end <= LONGEST_FLOOR {
            *floor = end.max(*floor);
        }
        end.max(*floor).min(LAST)
    }
}

/// Hashes, computed beside the event loop, so that its timers keep running.
pub(crate) struct Hashing {
    /// One at a time: memory is measured for one.
    turns: Arc<Semaphore>,
    /// The dearest hash of a known user, and how long it took: what an unknown one is made to cost.
    dearest: Mutex<(Secret, Duration)>,
}

impl Hashing {
    pub(crate) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(1)),
            dearest: Mutex::new((Secret::new(FIRST_DUMMY.to_owned()), Duration::ZERO)),
        }
    }

    /// Whether the password fits a known user's hash, whose text is kept if it is dearer than those before.
    pub(crate) async fn fit(
        &self,
        text: &Secret,
        hash: PasswordHash,
        password: &Secret,
    ) -> Result<Fit, Unavailable> {
        let (fit, took) = self.compute(hash, password).await?;
        let mut dearest = self.dearest.lock().unwrap_or_else(PoisonError::into_inner);
        if took > dearest.1 {
            *dearest = (text.clone(), took);
        }
        Ok(fit)
    }

    /// Takes as long as a wrong password of the dearest user would.
    pub(crate) async fn spend(&self, password: &Secret) -> Result<(), Unavailable> {
        let text = {
            let dearest = self.dearest.lock().unwrap_or_else(PoisonError::into_inner);
            dearest.0.clone()
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
    ) -> Result<(Fit, Duration), Unavailable> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| Unavailable::Legacy)?;
        let password = password.clone();
        let computing = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let fit = hash.verify(&password);
            // Held even if nobody waits any more.
            drop(turn);
            (fit, began.elapsed())
        });
        computing.await.map_err(|_| Unavailable::Legacy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_end_on_a_grid_that_only_rises() {
        let refusals = Refusals::every(Duration::from_millis(500));
        let stretch = |took| {
            let stretch = refusals.stretch(Duration::from_millis(took));
            stretch.as_millis()
        };
        assert_eq!(stretch(1), 500);
        assert_eq!(stretch(499), 500);
        assert_eq!(stretch(501), 1_000);
        assert_eq!(stretch(1), 1_000, "as long as the one before");
        assert_eq!(stretch(3_200), 3_500);
        assert_eq!(
            stretch(1),
            1_000,
            "not as long as a store that was slow once"
        );
        assert_eq!(stretch(3_950), 3_900, "within the budget");
    }

    #[tokio::test]
    async fn a_hash_stops_no_timer() {
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
    async fn the_dearest_hash_is_kept() {
        let hashing = Hashing::new();
        let password = Secret::new("another".to_owned());
        for cost in ["$05$", "$08$", "$04$"] {
            let text = FIRST_DUMMY.replace("$10$", cost);
            let hash = PasswordHash::parse(&text, false).ok().unwrap();
            let fit = hashing.fit(&Secret::new(text), hash, &password).await;
            assert_eq!(fit, Ok(Fit::Wrong));
        }
        let dearest = hashing.dearest.lock().unwrap();
        assert!(dearest.0.expose().starts_with("$2b$08$"));
    }
}
