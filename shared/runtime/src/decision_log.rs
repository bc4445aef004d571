//! Logs one line per decision, which also updates a metric. It contains no data from the client.
//!
//! Lines are omitted because allowed requests are sampled and refusals are rate-limited. Omitted
//! decisions are counted: the next line with the same reason includes them, so that the metric
//! stays exact.
//!
//! The line about a revoked credential is an act too: it has a limit of its own, is written at every
//! `LOG_LEVEL`, and counts the uses by its own caller.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use auth::{Cause, Revocations, VerifiedClaims};
use env_config::Env;
use serde_json::Value;

use crate::audit;
use crate::clock::unix_seconds;
use crate::log::{self, Level, MetricText};
use crate::uses::Uses;

/// Log settings.
#[derive(Clone, Copy, Debug)]
pub struct LogRules {
    /// `LOG_LEVEL`.
    pub level: Level,
    /// `LOG_ALLOWED_PERCENT`: the share of allowed requests that are logged.
    pub allowed_percent: u64,
    /// `LOG_REFUSALS_PER_SECOND`: the maximum number of lines about refusals per second and
    /// process, which limits the cost of an attack.
    pub refusals_per_second: u64,
}

impl LogRules {
    /// Reads `LOG_LEVEL`, `LOG_ALLOWED_PERCENT`, `LOG_REFUSALS_PER_SECOND` and the variables of metrics.
    pub fn read(env: &mut Env<'_>) -> Self {
        Self {
            level: log::read(env),
            allowed_percent: env.number("LOG_ALLOWED_PERCENT", 100, 0..=100),
            refusals_per_second: env.number("LOG_REFUSALS_PER_SECOND", 100, 0..=10_000),
        }
    }
}

/// Writes the decision log of one process.
pub struct DecisionLog {
    rules: LogRules,
    state: Mutex<State>,
    metric: OnceLock<MetricText>,
}

/// The caller of a decision.
#[derive(Clone, Copy)]
pub enum Caller<'a> {
    /// Not identified.
    Unknown,
    /// Identified.
    Known(&'a VerifiedClaims),
    /// The caller with this hash used a revoked credential.
    Revoked(&'a str),
}

/// What a decision's line says.
#[derive(Clone, Copy)]
pub struct Decided<'a> {
    /// INFO for an allowed request, WARN for a refused one, ERROR for a failure.
    pub level: Level,
    /// A word from the function's closed list.
    pub outcome: &'static str,
    /// The same, by which the metric counts.
    pub reason: &'static str,
    /// Why a dependency failed.
    pub cause: Option<Cause>,
    /// The caller.
    pub caller: Caller<'a>,
    /// The configured issuer that the credential names.
    pub issuer: Option<&'a str>,
    /// The request's id, if the platform gave it one.
    pub request_id: Option<&'a str>,
    /// The duration of the decision.
    pub took: Duration,
}

#[derive(Default)]
struct State {
    /// Decisions not yet included in a line, by reason.
    uncounted: HashMap<&'static str, u64>,
    allowed: u64,
    second: u64,
    refusals_this_second: u64,
    uses: Uses,
}

impl DecisionLog {
    /// A log by these rules.
    #[must_use]
    pub fn new(rules: LogRules) -> Self {
        Self {
            rules,
            state: Mutex::default(),
            metric: OnceLock::new(),
        }
    }

    /// Writes the decision's line if one is due, and adds the outcome to the invocation's span.
    pub fn report(&self, decided: &Decided<'_>) {
        let Decided {
            level,
            outcome,
            reason,
            cause,
            ..
        } = *decided;
        log::record_outcome(log::Outcome {
            word: outcome,
            cause,
        });
        log::record_reason(reason);
        let now = unix_seconds();
        let (count, uses) = match decided.caller {
            Caller::Revoked(subject_hash) => {
                let Some((count, uses)) = self.count_use(reason, subject_hash, now) else {
                    return;
                };
                (count, Some(uses))
            }
            Caller::Known(_) | Caller::Unknown => {
                let Some(count) = self.count(level, reason, now) else {
                    return;
                };
                (count, None)
            }
        };
        // The hash correlates the lines about one caller without logging the caller's id.
        let subject_hash = match decided.caller {
            Caller::Known(claims) => claims.subject_hash().into(),
            Caller::Revoked(subject_hash) => subject_hash.into(),
            Caller::Unknown => Value::Null,
        };
        let act = uses.map(|uses| {
            let kind = (audit::TERM, Value::from(audit::USE_AFTER_REVOCATION));
            [kind, (audit::USES, Value::from(uses))]
        });
        let request_id = decided.request_id.map(|id| ("request_id", Value::from(id)));
        let fields = [
            ("outcome", Value::from(outcome)),
            ("reason", Value::from(reason)),
            ("issuer", decided.issuer.into()),
            ("subject_hash", subject_hash),
            (
                "duration_us",
                Value::from(u64::try_from(decided.took.as_micros()).unwrap_or(u64::MAX)),
            ),
            ("Decisions", Value::from(count)),
        ];
        let metrics = self
            .metric
            .get_or_init(|| MetricText::new("Decisions", "reason"));
        log::line_with_metrics(
            level,
            "decision",
            fields
                .into_iter()
                .chain(request_id)
                .chain(act.into_iter().flatten())
                .chain(log::cause(cause)),
            &metrics.at(now),
        );
    }

    /// Logs that DynamoDB will not delete a row at the intended time, because its `expires_at` is
    /// not in epoch seconds. The row still counts as active.
    pub fn log_invalid_expiry(&self, revocations: &Revocations) {
        if revocations.odd_expiry {
            self.log_odd_expiry();
        }
    }

    /// The same, for a caller that has found such a row.
    pub fn log_odd_expiry(&self) {
        let now = unix_seconds();
        if let Some(count) = self.count(Level::Warn, "odd_expiry", now) {
            log::line(
                Level::Warn,
                "expires_at of a revocation is not in epoch seconds",
                [
                    ("kind", Value::from("odd_expiry")),
                    ("OddMarks", Value::from(count)),
                    ("_aws", log::metric("OddMarks", "kind", now)),
                ],
            );
        }
    }

    /// The numbers of decisions, and of uses of a revoked credential by this caller, that a line written now includes;
    /// `None` if no line is due.
    fn count_use(&self, reason: &'static str, caller: &str, now: u64) -> Option<(u64, u64)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state.uncounted.entry(reason).or_default() += 1;
        let uses = state.uses.count(reason, caller, now)?;
        Some((state.uncounted.remove(reason)?, uses))
    }

    /// The number of decisions that a line written now includes; `None` if no line is due.
    fn count(&self, level: Level, reason: &'static str, now: u64) -> Option<u64> {
        if level > self.rules.level {
            return None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state.uncounted.entry(reason).or_default() += 1;
        let write = match level {
            Level::Info => {
                let lines = |allowed: u64| allowed.wrapping_mul(self.rules.allowed_percent) / 100;
                let before = lines(state.allowed);
                state.allowed += 1;
                lines(state.allowed) > before
            }
            Level::Warn => {
                if state.second != now {
                    state.second = now;
                    state.refusals_this_second = 0;
                }
                state.refusals_this_second += 1;
                state.refusals_this_second <= self.rules.refusals_per_second
            }
            // Failures are rare, and operators must see each one.
            Level::Error => true,
        };
        if write {
            state.uncounted.remove(reason)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter(allowed_percent: u64, refusals_per_second: u64) -> DecisionLog {
        DecisionLog::new(LogRules {
            level: Level::Info,
            allowed_percent,
            refusals_per_second,
        })
    }

    #[test]
    fn sampled_lines_include_all_decisions() {
        for (percent, lines) in [(100, 1_000), (10, 100), (1, 10), (33, 330), (0, 0)] {
            let reporter = reporter(percent, 1);
            let counts: Vec<u64> = (0..1_000)
                .filter_map(|_| reporter.count(Level::Info, "allowed", 1))
                .collect();
            assert_eq!(counts.len(), lines, "{percent} %");
            if percent != 0 {
                assert_eq!(counts.iter().sum::<u64>(), 1_000, "{percent} %");
            }
        }
    }

    #[test]
    fn refusals_are_rate_limited_and_counted_exactly() {
        let reporter = reporter(100, 3);
        let flood = |second| -> Vec<u64> {
            (0..100)
                .filter_map(|_| reporter.count(Level::Warn, "expired", second))
                .collect()
        };
        assert_eq!(flood(1), [1, 1, 1]);
        assert_eq!(flood(2), [98, 1, 1]);
        let errors = (0..100).filter_map(|_| reporter.count(Level::Error, "jwks_unavailable", 2));
        assert_eq!(errors.count(), 100);
    }

    #[test]
    fn a_flood_of_other_refusals_hides_no_use_of_a_revoked_session() {
        let reporter = DecisionLog::new(LogRules {
            level: Level::Error,
            allowed_percent: 0,
            refusals_per_second: 0,
        });
        for _ in 0..100 {
            assert_eq!(reporter.count(Level::Warn, "expired", 1), None);
        }
        let used = |caller: &str, now: u64| reporter.count_use("session_revoked", caller, now);
        let of_ada: u64 = (0..40).filter_map(|_| used("ada", 1)).map(|it| it.1).sum();
        assert!(of_ada > 0, "written at once");
        let (decisions, uses) = used("bob", 2).unwrap();
        assert_eq!((decisions, uses), (41 - of_ada, 1), "Bob has used it once");
        let (decisions, uses) = used("ada", 2).unwrap();
        assert_eq!((decisions, of_ada + uses), (1, 41));
    }

    #[test]
    fn lines_below_the_log_level_are_omitted() {
        let reporter = DecisionLog::new(LogRules {
            level: Level::Warn,
            allowed_percent: 100,
            refusals_per_second: 10,
        });
        assert_eq!(reporter.count(Level::Info, "allowed", 1), None);
        assert_eq!(reporter.count(Level::Warn, "denied", 1), Some(1));
        assert_eq!(reporter.count(Level::Error, "out_of_time", 1), Some(1));
    }
}
