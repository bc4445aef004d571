//! Detects that a caller's clock is behind the table's: the time of its revocation would then cover too little.

use auth::{RevocationContext, UnixSeconds};
use aws_client::ServerDate;

/// Seconds by which the clocks may differ: both are read to the second.
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
    at: UnixSeconds,
}

impl TableClock {
    /// For a write of an act that the caller began at `context.at` by its clock.
    pub(crate) fn of(context: &RevocationContext<'_>) -> Self {
        Self {
            date: ServerDate::default(),
            at: context.at,
        }
    }

    /// Keeps the time of the table's response.
    pub(crate) fn date(&self) -> ServerDate {
        self.date.clone()
    }

    /// Seconds by which an act at `time` by the caller's clock must be later, by the table's last response. Zero if the
    /// caller's clock is right or ahead, or if `time` is not the present.
    ///
    /// The clocks are compared when the response arrives: the time since the act began is not taken for a difference. A
    /// caller that took its time from the table, as an operator's tool does, is behind by no more than that.
    pub(crate) fn behind(&self, time: UnixSeconds) -> u64 {
        let (earlier, later) = NOW;
        let is_now = time.plus(earlier) >= self.at && time <= self.at.plus(later);
        let (Some(ahead), Some(date)) = (self.date.ahead(), self.date.seen()) else {
            return 0;
        };
        let behind = date.since(self.at).unwrap_or(0).min(ahead);
        if is_now && (TOLERANCE..=LARGEST).contains(&behind) {
            behind
        } else {
            0
        }
    }
}
