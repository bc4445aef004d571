//! The one place that reads the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whole seconds since 1970 by the wall clock; 0 before that, which no token survives.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "everybody else is given the time"
)]
pub fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Returns once the wall clock is past `second`, or after two seconds.
///
/// A cutoff covers its whole second. Whoever answers after that second is over can promise that
/// the next sign-in is none of those which were ended.
pub async fn until_after(second: u64) {
    const STEP: Duration = Duration::from_millis(25);
    const STEPS: u32 = 80;
    for _ in 0..STEPS {
        if unix_seconds() > second {
            return;
        }
        tokio::time::sleep(STEP).await;
    }
}
