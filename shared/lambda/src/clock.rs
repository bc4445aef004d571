//! The one place that reads the time.

use std::time::{SystemTime, UNIX_EPOCH};

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
