//! Log lines: one JSON object each, on standard output, where Lambda collects them.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};
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

/// Lines about refusals that a process writes in a second.
const REFUSALS_PER_SECOND: u64 = 100;

/// Keeps a flood of refusals from being a flood of lines: what is not written is counted by the next
/// line of its reason.
#[derive(Default)]
pub struct Refusals(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    second: u64,
    lines: u64,
    uncounted: HashMap<String, u64>,
}

impl Refusals {
    /// How many events a line written now stands for; `None` if none is to be written. Only warnings,
    /// which is what refusals are logged as, are limited.
    pub fn count(&self, level: Level, reason: &str, now_seconds: u64) -> Option<u64> {
        if level != Level::Warn {
            return Some(1);
        }
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.second != now_seconds {
            counted.second = now_seconds;
            counted.lines = 0;
        }
        counted.lines += 1;
        let is_written = counted.lines <= REFUSALS_PER_SECOND;
        if !is_written {
            *counted.uncounted.entry(reason.to_owned()).or_default() += 1;
            return None;
        }
        let before = counted.uncounted.remove(reason).unwrap_or_default();
        Some(before + 1)
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
    if line.contains_key("_aws")
        && let Some(name) = function_name()
    {
        line.insert(FUNCTION.to_owned(), name.into());
    }
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    // Nobody is left to be told that the log is gone, and no decision depends on it.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// A number of a log line that counts as a metric.
#[derive(Clone, Copy)]
pub struct Measure {
    /// The line's member.
    pub name: &'static str,
    /// Its unit, as CloudWatch spells it.
    pub unit: &'static str,
    /// Another member of the line, by whose values it is told apart.
    pub by: Option<&'static str>,
}

/// The `_aws` member that makes a log line count as the metric `metric`, one for each value of
/// `dimension`, another member of the line. See [`metrics`].
#[must_use]
pub fn metric(metric: &'static str, dimension: &'static str, now_seconds: u64) -> Value {
    let measure = Measure {
        name: metric,
        unit: "Count",
        by: Some(dimension),
    };
    metrics(&[measure], now_seconds)
}

/// The `_aws` member that makes members of a log line count as metrics, each for this function alone
/// (dimension `function`): another stack's functions have other names.
/// Source: AWS, "CloudWatch embedded metric format specification".
#[must_use]
pub fn metrics(measures: &[Measure], now_seconds: u64) -> Value {
    metrics_of(function_name().is_some(), measures, now_seconds)
}

fn metrics_of(on_lambda: bool, measures: &[Measure], now_seconds: u64) -> Value {
    let directives = measures.iter().map(|measure| {
        let dimensions: Vec<&str> = on_lambda
            .then_some(FUNCTION)
            .into_iter()
            .chain(measure.by)
            .collect();
        json!({
            "Namespace": "Gatehouse",
            "Dimensions": [dimensions],
            "Metrics": [{"Name": measure.name, "Unit": measure.unit}],
        })
    });
    json!({
        "Timestamp": now_seconds.saturating_mul(1000),
        "CloudWatchMetrics": directives.collect::<Vec<_>>(),
    })
}

/// The member and the dimension that tells functions apart.
const FUNCTION: &str = "function";

/// The function's name, which Lambda sets; a name that SAM makes begins with the stack's.
fn function_name() -> Option<&'static str> {
    static NAME: OnceLock<Option<String>> = OnceLock::new();
    let name = NAME.get_or_init(|| crate::env::process("AWS_LAMBDA_FUNCTION_NAME"));
    name.as_deref().filter(|name| !name.is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_few_lines_and_a_whole_count() {
        let refusals = Refusals::default();
        let mut counted = 0;
        let mut lines = 0;
        for number in 0..1_000 {
            let reason = if number % 2 == 0 {
                "expired"
            } else {
                "no_session"
            };
            let count = refusals.count(Level::Warn, reason, 7);
            lines += u64::from(count.is_some());
            counted += count.unwrap_or(0);
        }
        assert_eq!((lines, counted), (REFUSALS_PER_SECOND, REFUSALS_PER_SECOND));
        assert_eq!(refusals.count(Level::Error, "unavailable", 7), Some(1));
        for reason in ["expired", "no_session"] {
            counted += refusals.count(Level::Warn, reason, 8).unwrap();
        }
        assert_eq!(counted, 1_002, "none is lost");
    }

    #[test]
    fn metrics_are_told_apart_by_function() {
        let measures = [
            Measure {
                name: "MissingMarks",
                unit: "Count",
                by: Some("outcome"),
            },
            Measure {
                name: "SweepAge",
                unit: "Seconds",
                by: None,
            },
        ];
        let of = |on_lambda| metrics_of(on_lambda, &measures, 7);
        let dimensions = |aws: &Value| {
            let directives = aws["CloudWatchMetrics"].as_array().unwrap().clone();
            let all = directives.iter().map(|it| it["Dimensions"].clone());
            all.collect::<Vec<_>>()
        };
        assert_eq!(of(true)["Timestamp"], 7_000);
        assert_eq!(
            dimensions(&of(true)),
            [json!([["function", "outcome"]]), json!([["function"]])]
        );
        assert_eq!(dimensions(&of(false)), [json!([["outcome"]]), json!([[]])]);
    }
}
