//! The log line about one request, which the metric `Logouts` counts by its reason.

use std::time::Instant;

use auth::Cause;
use runtime::clock;
use runtime::log::{self, Level};
use serde_json::Value;

use crate::Logout;
use crate::outcome::{LogoutError, LogoutOutcome};

/// What the line says about the outcome of a request.
pub(crate) struct Report {
    level: Level,
    /// A word of the closed list of outcomes.
    reason: String,
    cause: Option<Cause>,
    /// The outcome in the audit trail.
    act_is_done: bool,
}

impl Report {
    pub(crate) fn of(result: &Result<LogoutOutcome, LogoutError>) -> Self {
        match result {
            Ok(done) => Self {
                level: done.cognito.level(),
                reason: done.cognito.as_str().to_owned(),
                cause: done.cognito.cause(),
                act_is_done: true,
            },
            Err(problem) => Self {
                level: problem.level(),
                reason: problem.to_string(),
                cause: Cause::of(problem),
                act_is_done: false,
            },
        }
    }

    /// The outcome of the act in the audit trail.
    pub(crate) fn act(&self) -> &str {
        if self.act_is_done {
            "done"
        } else {
            &self.reason
        }
    }
}

impl<R, B> Logout<R, B> {
    /// Writes the line, unless it is one of a flood of refusals.
    pub(crate) fn report(&self, report: Report, status: u16, request_id: &str, began: Instant) {
        let Report {
            level,
            reason,
            cause,
            ..
        } = report;
        log::record_outcome(log::Outcome {
            word: &reason,
            cause,
        });
        log::record_reason(&reason);
        let count = self.refusals.count(level, &reason, clock::unix_seconds());
        if let Some(count) = count
            && level <= self.settings.log_level
        {
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            let fields = [
                ("status", Value::from(status)),
                ("reason", Value::from(reason)),
                ("request_id", Value::from(request_id)),
                ("duration_us", Value::from(took)),
            ];
            let counted = log::counted("Logouts", "reason", count, (level, cause));
            log::line(level, "logout", fields.into_iter().chain(counted));
        }
    }
}
