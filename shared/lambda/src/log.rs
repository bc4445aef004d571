//! Log lines: one JSON object each, on standard output, where Lambda collects them.

use std::io::Write;
use std::time::Instant;

use auth::Env;
use serde_json::{Map, Value, json};

/// How much is logged: `LOG_LEVEL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only what failed.
    Error,
    /// Also who was refused.
    Warn,
    /// Every decision.
    Info,
}

impl Level {
    /// Reads `LOG_LEVEL`: `ERROR`, `WARN` or `INFO`, the default.
    pub fn read(env: &mut Env<'_>) -> Self {
        match env.optional("LOG_LEVEL").as_deref() {
            None | Some("INFO") => Self::Info,
            Some("WARN") => Self::Warn,
            Some("ERROR") => Self::Error,
            Some(_) => {
                env.problem("LOG_LEVEL", "is none of `ERROR`, `WARN`, `INFO`");
                Self::Info
            }
        }
    }

    /// Its name in a log line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
        }
    }
}

/// Writes one line. What goes in must be fit for a log: words from closed lists, numbers, ids of
/// ours. JSON escapes the rest, so no value can begin a line of its own.
pub fn line(level: Level, message: &str, fields: impl IntoIterator<Item = (&'static str, Value)>) {
    let mut line = Map::new();
    line.insert("level".to_owned(), level.as_str().into());
    line.insert("message".to_owned(), message.into());
    line.extend(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    );
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    // Nobody is left to be told that the log is gone, and no decision depends on it.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// The `_aws` member that makes a log line count as the metric `metric`, one for each value of
/// `dimension`, another member of the line.
/// Source: AWS, "CloudWatch embedded metric format specification".
#[must_use]
pub fn metric(metric: &str, dimension: &str, now_seconds: u64) -> Value {
    json!({
        "Timestamp": now_seconds.saturating_mul(1000),
        "CloudWatchMetrics": [{
            "Namespace": "Gatehouse",
            "Dimensions": [[dimension]],
            "Metrics": [{"Name": metric, "Unit": "Count"}],
        }],
    })
}

/// The line about one event that a function was called with, which counts as the metric `metric` by
/// `outcome`, a word from the function's closed list.
pub fn outcome(level: Level, message: &str, metric: &'static str, outcome: &str, request_id: &str) {
    line(
        level,
        message,
        [
            ("outcome", Value::from(outcome)),
            ("request_id", Value::from(request_id)),
            (metric, Value::from(1)),
            (
                "_aws",
                self::metric(metric, "outcome", crate::clock::unix_seconds()),
            ),
        ],
    );
}

/// The line about one request to an API of ours, which counts as the metric `Requests` by
/// `outcome`, a word from the function's closed list.
pub fn request(level: Level, what: &str, outcome: &str, request_id: &str, began: Instant) {
    let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let now = crate::clock::unix_seconds();
    line(
        level,
        what,
        [
            ("outcome", Value::from(outcome)),
            ("request_id", Value::from(request_id)),
            ("duration_us", Value::from(took_us)),
            ("Requests", Value::from(1)),
            ("_aws", metric("Requests", "outcome", now)),
        ],
    );
}
