//! Suspends the calls to stores that do not answer.

use std::sync::Mutex;

use auth::UnixSeconds;
use runtime::clock;

use crate::source::SourceError;

/// Seconds without calls to a store that did not answer: Cognito invokes the trigger three times in a row.
const COOL_DOWN_SECONDS: u64 = 5;

/// The state of the calls to all stores.
pub(crate) struct CircuitBreaker {
    /// The time from which the stores may be called again.
    cooling_until: Mutex<UnixSeconds>,
}

impl CircuitBreaker {
    pub(crate) fn new() -> Self {
        Self {
            cooling_until: Mutex::new(UnixSeconds(0)),
        }
    }

    /// Calls a store, unless it has just failed to answer. A refused user or an invalid record does not suspend the
    /// calls: otherwise a single client could keep all users out.
    pub(crate) async fn call<T>(
        &self,
        asking: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let now = UnixSeconds(clock::unix_seconds());
        let is_cooling = |until: UnixSeconds| now < until && until <= now.plus(COOL_DOWN_SECONDS);
        if self
            .cooling_until
            .lock()
            .is_ok_and(|until| is_cooling(*until))
        {
            return Err(SourceError::Down);
        }
        let answer = asking.await;
        if matches!(answer, Err(SourceError::Down)) {
            let failed_at = UnixSeconds(clock::unix_seconds());
            if let Ok(mut until) = self.cooling_until.lock() {
                *until = failed_at.plus(COOL_DOWN_SECONDS);
            }
        }
        answer
    }
}
