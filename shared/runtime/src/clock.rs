//! The only place that reads the wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth::UnixSeconds;

/// The time by the wall clock, in whole seconds. Times before 1970 are 0, which makes every token
/// invalid.
#[must_use]
pub fn now() -> UnixSeconds {
    UnixSeconds(unix_seconds())
}

/// Whole seconds since 1970 by the wall clock; 0 before that, which makes every token invalid.
#[must_use]
pub fn unix_seconds() -> u64 {
    since_epoch().as_secs()
}

/// The time since 1970 by the wall clock; zero before that.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "other code gets the time as an argument"
)]
pub fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Returns once the wall clock is past `second`, or after two seconds.
///
/// A revocation covers its whole second. A handler that responds after this second guarantees that
/// the caller's next sign-in is later than the revocation.
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
