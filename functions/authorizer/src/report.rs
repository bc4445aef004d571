//! One line for each decision, which counts as a metric too. Nothing of the client's is in it.

use std::time::Duration;

use auth::{Effect, Refusal};
use lambda::log::{self, Level};
use serde_json::Value;

use crate::{Decision, Rejection};

/// Logs a decision if the level asks for it.
pub(crate) fn report(
    decision: &Result<Decision, Rejection>,
    at_most: Level,
    request_id: &str,
    took: Duration,
) {
    let (level, outcome, reason) = match decision {
        Ok(decision) if decision.effect == Effect::Allow => {
            (Level::Info, "allowed", "allowed".to_owned())
        }
        Ok(_) => (Level::Warn, "denied", "denied".to_owned()),
        Err(Rejection::Refused(Refusal::Unauthorized(reason))) => {
            (Level::Warn, "unauthorized", reason.as_str().to_owned())
        }
        Err(
            failed @ (Rejection::Refused(Refusal::Unavailable(_))
            | Rejection::Event(_)
            | Rejection::AnswerTooLarge
            | Rejection::OutOfTime),
        ) => (Level::Error, "error", failed.to_string()),
    };
    if level > at_most {
        return;
    }
    let now = lambda::clock::unix_seconds();
    log::line(
        level,
        "decision",
        [
            ("outcome", Value::from(outcome)),
            ("reason", Value::from(reason)),
            ("request_id", Value::from(request_id)),
            (
                "duration_us",
                Value::from(took.as_micros().min(u64::MAX.into()) as u64),
            ),
            ("Decisions", Value::from(1)),
            ("_aws", log::metric("Decisions", "reason", now)),
        ],
    );
}
