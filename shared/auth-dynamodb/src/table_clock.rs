//! Detects that a caller's clock is behind the table's: the time of its revocation would then cover too little.

use std::time::Instant;

use auth::{RevocationContext, UnixSeconds};
use aws_client::ServerDate;

/// Seconds by which the clocks may differ: both are read to the second, and the response travels.
const TOLERANCE: u64 = 2;
/// The largest difference that is corrected, in seconds: a token lives for a day at most, so a function whose clock is
/// further behind accepts none. The signature of a request is no bound, because the SDK corrects its time.
const LARGEST: u64 = 24 * 60 * 60;
/// Seconds before and after the caller's time in which an act's time is taken from the caller's clock. It may include
/// `CLOCK_LEEWAY_SECONDS`, at most 60, and be read a moment earlier. Other times are those of an event elsewhere.
const NOW: (u64, u64) = (2, 62);

/// The clocks of a caller and of the table during one write.
pub(crate) struct TableClock {
    date: ServerDate,
    began: Instant,
    own: UnixSeconds,
}

impl TableClock {
    /// For a write that begins now, at `context.at` by the caller's clock.
    pub(crate) fn of(context: &RevocationContext<'_>) -> Self {
        Self {
            date: ServerDate::default(),
            began: Instant::now(),
            own: context.at,
        }
    }

    /// Keeps the time of the table's response.
    pub(crate) fn date(&self) -> ServerDate {
        self.date.clone()
    }

    /// Seconds by which an act at `time` by the caller's clock must be later, by the table's last response. Zero if the
    /// caller's clock is right or ahead, or if `time` is not the present.
    pub(crate) fn behind(&self, time: UnixSeconds) -> u64 {
        let (earlier, later) = NOW;
        let is_now = time.plus(earlier) >= self.own && time <= self.own.plus(later);
        let Some(date) = self.date.seen().filter(|_| is_now) else {
            return 0;
        };
        let waited = self.began.elapsed().as_secs() + 1;
        match date.since(self.own.plus(waited)) {
            Some(ahead) if (TOLERANCE..=LARGEST).contains(&ahead) => {
                date.since(self.own).unwrap_or(0)
            }
            Some(_) | None => 0,
        }
    }
}
