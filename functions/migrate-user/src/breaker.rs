//! Suspends the calls to stores that do not answer.

use std::sync::Mutex;

use auth::{Cause, UnixSeconds};
use runtime::clock;

use crate::source::SourceError;

/// Seconds without calls to a store that did not answer: Cognito invokes the trigger three times in a row.
const COOL_DOWN_SECONDS: u64 = 5;

/// After a store has failed, it is not called for a while.
struct Cooling {
    /// The time from which the stores may be called again.
    until: UnixSeconds,
    /// Why the store failed.
    cause: Cause,
}

/// The state of the calls to all stores.
pub(crate) struct CircuitBreaker {
    cooling: Mutex<Cooling>,
}

impl CircuitBreaker {
    pub(crate) fn new() -> Self {
        Self {
            cooling: Mutex::new(Cooling {
                until: UnixSeconds(0),
                cause: Cause::Other,
            }),
        }
    }

    /// Calls a store, unless it has just failed to answer. A refused user or an invalid record does not suspend the
    /// calls: otherwise a single client could keep all users out.
    pub(crate) async fn call<T>(
        &self,
        asking: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let now = clock::now();
        if let Ok(Cooling { until, cause }) = self.cooling.lock().as_deref()
            && now < *until
            && *until <= now.plus(COOL_DOWN_SECONDS)
        {
            return Err(SourceError::Down(*cause));
        }
        let answer = asking.await;
        if let Err(SourceError::Down(cause)) = answer {
            let failed_at = clock::now();
            if let Ok(mut cooling) = self.cooling.lock() {
                *cooling = Cooling {
                    until: failed_at.plus(COOL_DOWN_SECONDS),
                    cause,
                };
            }
        }
        answer
    }
}
