//! Log lines: one JSON object each, on standard output, which Lambda collects.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use auth::{Cause, Unavailable};
use env_config::Env;
use serde::Serialize;
use serde_json::{Value, json};

use crate::invocation;

/// How much is logged: `LOG_LEVEL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Failures only.
    Error,
    /// Refusals too.
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
                env.problem("LOG_LEVEL", "is not one of `ERROR`, `WARN`, `INFO`");
                Self::Info
            }
        }
    }

    /// The level's name in a log line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
        }
    }
}

/// Reads the variables of log lines and metrics, so that an invalid one stops the start.
pub fn read(env: &mut Env<'_>) -> Level {
    MetricsTarget::read(env);
    Level::read(env)
}

/// The maximal number of lines about refusals per second and process.
const REFUSALS_PER_SECOND: u64 = 100;

/// Limits the log lines of a flood of refusals: the next line with the same reason has the number
/// of lines that were dropped.
#[derive(Default)]
pub struct Refusals(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    second: u64,
    lines: u64,
    uncounted: HashMap<String, u64>,
}

impl Refusals {
    /// How many events a line written now stands for; `None` if no line is to be written. Only
    /// warnings, which is the level of refusals, are limited.
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

/// Writes one line, with the current invocation's `request_id` and X-Ray's `trace_id`. Values must be safe to log:
/// words from closed lists, numbers, our own ids. JSON escapes the rest, so no value can start a new line.
pub fn line(level: Level, message: &str, fields: impl IntoIterator<Item = (&'static str, Value)>) {
    write(composed(level, message, fields, None));
}

/// The same, with the member `_aws`, as JSON.
pub(crate) fn line_with_metrics(
    level: Level,
    message: &str,
    fields: impl IntoIterator<Item = (&'static str, Value)>,
    metrics: &str,
) {
    write(composed(level, message, fields, Some(metrics)));
}

fn write(mut line: Vec<u8>) {
    line.push(b'\n');
    // A failure to log cannot be reported, and no decision depends on it.
    let _ = std::io::stdout().lock().write_all(&line);
}

/// The line as JSON, without a tree of its members: it is written for every decision.
pub(crate) fn composed(
    level: Level,
    message: &str,
    fields: impl IntoIterator<Item = (&'static str, Value)>,
    metrics: Option<&str>,
) -> Vec<u8> {
    const USUAL_BYTES: usize = 600;
    let mut line = Line(Vec::with_capacity(USUAL_BYTES));
    line.text("level", level.as_str());
    line.text("message", message);
    let (mut has_request_id, mut has_metrics) = (false, metrics.is_some());
    for (name, value) in fields {
        has_request_id |= name == "request_id";
        has_metrics |= name == METRICS;
        line.member(name, &value);
    }
    if let Some(metrics) = metrics {
        line.name(METRICS);
        line.0.extend_from_slice(metrics.as_bytes());
    }
    if has_metrics {
        for (name, value) in MetricsTarget::of_process().dimensions() {
            line.text(name, value);
        }
    }
    invocation::current(|invocation| {
        if !has_request_id {
            line.text("request_id", &invocation.request_id);
        }
        if let Some(trace_id) = &invocation.trace_id {
            line.text("trace_id", trace_id);
        }
    });
    let Line(mut line) = line;
    line.push(b'}');
    line
}

/// The member that makes members of a line metrics.
const METRICS: &str = "_aws";

/// A JSON object without its end.
struct Line(Vec<u8>);

impl Line {
    fn name(&mut self, name: &str) {
        let Self(line) = self;
        line.push(if line.is_empty() { b'{' } else { b',' });
        json_into(line, name);
        line.push(b':');
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        json_into(&mut self.0, value);
    }

    fn member(&mut self, name: &str, value: &Value) {
        self.name(name);
        json_into(&mut self.0, value);
    }
}

/// Appends `value`. Neither a string nor a [`Value`] fails, and memory takes every byte.
fn json_into<T: Serialize + ?Sized>(line: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(line, value);
}

/// A number in a log line that is a metric.
#[derive(Clone, Copy)]
pub struct Measure {
    /// The member of the line.
    pub name: &'static str,
    /// Its unit, as spelled by CloudWatch.
    pub unit: &'static str,
    /// Another member of the line, used as a dimension.
    pub by: Option<&'static str>,
}

/// The `_aws` member that makes a log line count as the metric `metric`, with the dimension
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

/// The `_aws` members of lines that count as one metric, of which only the time differs.
pub(crate) struct MetricText(String);

impl MetricText {
    /// As [`metric`].
    pub(crate) fn new(metric: &'static str, dimension: &'static str) -> Self {
        let member = self::metric(metric, dimension, 0);
        let directives = member.get("CloudWatchMetrics");
        Self(directives.map_or_else(|| "[]".to_owned(), Value::to_string))
    }

    /// The member for a line of this second.
    pub(crate) fn at(&self, now_seconds: u64) -> String {
        let Self(directives) = self;
        let milliseconds = now_seconds.saturating_mul(1000);
        format!(r#"{{"Timestamp":{milliseconds},"CloudWatchMetrics":{directives}}}"#)
    }
}

/// The `_aws` member that makes members of a log line metrics, with the dimensions of
/// [`MetricsTarget`].
/// Source: AWS, "CloudWatch embedded metric format specification".
#[must_use]
pub fn metrics(measures: &[Measure], now_seconds: u64) -> Value {
    metrics_in(MetricsTarget::of_process(), measures, now_seconds)
}

/// The members that count an event: `count` as the metric `metric` by `dimension`, another member of the line, and as
/// the metric `Failures` if it failed because a dependency did. The cause is a member too.
///
/// `Failures` has no dimension of its own, so that one metric of a function covers every outcome of this kind; alarms
/// read it. An event whose line is no error was answered, and does not count.
pub fn counted(
    metric: &'static str,
    dimension: &'static str,
    count: u64,
    (level, cause): (Level, Option<Cause>),
) -> impl Iterator<Item = (&'static str, Value)> {
    let measure = |name, by| Measure {
        name,
        unit: "Count",
        by,
    };
    let mut measures = vec![measure(metric, Some(dimension))];
    let mut members = vec![(metric, Value::from(count))];
    if level == Level::Error && cause.is_some() {
        measures.push(measure(FAILURES, None));
        members.push((FAILURES, Value::from(count)));
    }
    let metrics = metrics(&measures, crate::clock::unix_seconds());
    members.push(("_aws", metrics));
    members.into_iter().chain(self::cause(cause))
}

const FAILURES: &str = "Failures";

fn metrics_in(target: &MetricsTarget, measures: &[Measure], now_seconds: u64) -> Value {
    let directives = measures.iter().map(|measure| {
        let names = target.dimensions().map(|(name, _)| name);
        let dimensions: Vec<&str> = names.chain(measure.by).collect();
        json!({
            "Namespace": target.namespace,
            "Dimensions": [dimensions],
            "Metrics": [{"Name": measure.name, "Unit": measure.unit}],
        })
    });
    json!({
        "Timestamp": now_seconds.saturating_mul(1000),
        "CloudWatchMetrics": directives.collect::<Vec<_>>(),
    })
}

/// Where CloudWatch counts the metrics: their namespace, and the dimensions that all of them have.
#[derive(Debug, PartialEq, Eq)]
pub struct MetricsTarget {
    namespace: String,
    /// The dimension `stack`.
    stack: Option<String>,
    /// The dimension `function`: the name that Lambda sets.
    function: Option<String>,
}

impl MetricsTarget {
    const DEFAULT_NAMESPACE: &str = "Gatehouse";
    /// CloudWatch allows 255; the metric filters of a stack add its name, which has up to 128.
    const MAX_NAMESPACE_BYTES: usize = 126;

    /// Reads `METRICS_NAMESPACE` and `STACK_NAME`.
    pub fn read(env: &mut Env<'_>) -> Self {
        const NAMESPACE: &str = "METRICS_NAMESPACE";
        const STACK: &str = "STACK_NAME";
        let namespace = env.optional(NAMESPACE);
        let is_namespace = |text: &String| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/#".contains(&byte);
            text.len() <= Self::MAX_NAMESPACE_BYTES
                && text.bytes().all(fits)
                && !text.starts_with("AWS/")
        };
        if !namespace.iter().all(is_namespace) {
            env.problem(NAMESPACE, "is not a namespace of metrics");
        }
        let stack = env.optional(STACK);
        let is_name = |text: &String| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            text.len() <= 128 && text.bytes().all(fits)
        };
        if !stack.iter().all(is_name) {
            env.problem(STACK, "is not the name of a stack");
        }
        Self {
            namespace: namespace.unwrap_or_else(|| Self::DEFAULT_NAMESPACE.to_owned()),
            stack,
            function: None,
        }
    }

    /// By the variables of this process, which are read once.
    fn of_process() -> &'static Self {
        static TARGET: OnceLock<MetricsTarget> = OnceLock::new();
        TARGET.get_or_init(|| Self {
            function: invocation::function_name().map(str::to_owned),
            ..Self::read(&mut Env::new(&env_config::process))
        })
    }

    /// Names and values of the dimensions, which are members of the line too.
    fn dimensions(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let stack = self.stack.as_deref().map(|stack| ("stack", stack));
        let function = self.function.as_deref().map(|name| ("function", name));
        stack.into_iter().chain(function)
    }
}

/// A word from the function's closed list and, if a dependency failed, the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// The word.
    pub word: &'a str,
    /// Why a dependency failed.
    pub cause: Option<Cause>,
}

impl<'a> Outcome<'a> {
    /// The outcome `word` of a failure of a dependency.
    #[must_use]
    pub fn failed(word: &'a str, cause: Cause) -> Self {
        let cause = Some(cause);
        Self { word, cause }
    }
}

impl<'a> From<&'a str> for Outcome<'a> {
    fn from(word: &'a str) -> Self {
        Self { word, cause: None }
    }
}

impl From<Unavailable> for Outcome<'_> {
    fn from(unavailable: Unavailable) -> Self {
        Self::failed(unavailable.as_str(), unavailable.cause)
    }
}

/// The member that a line has if a dependency failed.
#[must_use]
pub fn cause(cause: Option<Cause>) -> Option<(&'static str, Value)> {
    cause.map(|cause| ("cause", Value::from(cause.as_str())))
}

/// The line about a part of an event that failed, while the event's own line has another outcome.
pub fn failure(message: &str, because: Cause) {
    line(Level::Error, message, cause(Some(because)));
}

/// Adds the outcome of an event to the span of its invocation. [`outcome`] and [`request`] do it, too. Of a batch, the
/// span has the outcome of the first event that failed, else of the last event.
pub fn record_outcome<'a>(outcome: impl Into<Outcome<'a>>) {
    let outcome = outcome.into();
    record(outcome, outcome.cause.is_some());
}

/// The same, for an event that failed for another reason than a dependency.
pub fn record_failure<'a>(outcome: impl Into<Outcome<'a>>) {
    record(outcome.into(), true);
}

fn record(outcome: Outcome<'_>, has_failed: bool) {
    if !invocation::takes_outcome(has_failed) {
        return;
    }
    invocation::record("outcome", outcome.word);
    if let Some(cause) = outcome.cause {
        invocation::record("cause", cause.as_str());
    }
}

/// Adds the reason of an outcome, a word from the function's closed list, to the span of the invocation.
pub fn record_reason(reason: &str) {
    invocation::record("reason", reason);
}

/// The line about one event, counted as the metric `metric` by the outcome's word.
pub fn outcome<'a>(
    level: Level,
    message: &str,
    metric: &'static str,
    outcome: impl Into<Outcome<'a>>,
    request_id: &str,
) {
    let outcome = outcome.into();
    record(outcome, level == Level::Error);
    let fields = [
        ("outcome", Value::from(outcome.word)),
        ("request_id", Value::from(request_id)),
    ];
    let counted = counted(metric, "outcome", 1, (level, outcome.cause));
    line(level, message, fields.into_iter().chain(counted));
}

/// The line about one request to our API, counted as the metric `Requests` by the outcome's word.
pub fn request<'a>(
    level: Level,
    what: &str,
    outcome: impl Into<Outcome<'a>>,
    request_id: &str,
    began: Instant,
) {
    request_to(None, level, what, outcome, request_id, began);
}

/// The same, with the route, a word from the function's closed list; `None` if the request names none of them.
pub fn request_to<'a>(
    route: Option<&str>,
    level: Level,
    what: &str,
    outcome: impl Into<Outcome<'a>>,
    request_id: &str,
    began: Instant,
) {
    let outcome = outcome.into();
    record_outcome(outcome);
    let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let route = route.map(|route| ("route", Value::from(route)));
    let fields = [
        ("outcome", Value::from(outcome.word)),
        ("request_id", Value::from(request_id)),
        ("duration_us", Value::from(took_us)),
    ];
    let counted = counted("Requests", "outcome", 1, (level, outcome.cause));
    line(level, what, route.into_iter().chain(fields).chain(counted));
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    #[test]
    fn a_line_is_one_json_object_whatever_its_values_are() {
        let hostile = "a\"b\\c\nd\u{2028}e\u{0}";
        let fields = || [("outcome", Value::from(hostile)), ("n", json!([1, null]))];
        let line = composed(Level::Warn, hostile, fields(), None);
        assert!(!line.contains(&b'\n'));
        let line: Value = serde_json::from_slice(&line).unwrap();
        let expected =
            json!({"level": "WARN", "message": hostile, "outcome": hostile, "n": [1, null]});
        assert_eq!(line, expected);

        let with_tree = fields()
            .into_iter()
            .chain([(METRICS, metric("N", "by", 7))]);
        let with_tree = composed(Level::Info, "x", with_tree, None);
        let metrics = MetricText::new("N", "by").at(7);
        let with_text = composed(Level::Info, "x", fields(), Some(&metrics));
        let [with_text, with_tree] =
            [with_text, with_tree].map(|line| serde_json::from_slice::<Value>(&line).unwrap());
        assert_eq!(with_text, with_tree);
    }

    #[test]
    fn a_flood_of_refusals_is_logged_in_few_lines_with_the_full_count() {
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
        assert_eq!(counted, 1_002, "every event is counted");
    }

    fn target(variables: &[(&str, &str)]) -> Result<MetricsTarget, env_config::ConfigError> {
        let lookup = |name: &str| {
            let mut named = variables.iter().filter(|(known, _)| *known == name);
            named.next().map(|(_, value)| (*value).to_owned())
        };
        let mut env = Env::new(&lookup);
        let target = MetricsTarget::read(&mut env);
        env.finish(target)
    }

    #[test]
    fn metrics_have_the_namespace_and_the_dimensions_stack_and_function() {
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
        let members = |target: &MetricsTarget| {
            let made = metrics_in(target, &measures, 7);
            assert_eq!(made["Timestamp"], 7_000);
            let directives = made["CloudWatchMetrics"].as_array().unwrap().clone();
            let all = directives.into_iter();
            let all = all.map(|it| (it["Namespace"].clone(), it["Dimensions"].clone()));
            all.unzip::<Value, Value, Vec<_>, Vec<_>>()
        };
        let (namespaces, dimensions) = members(&target(&[]).unwrap());
        assert_eq!(namespaces, ["Gatehouse", "Gatehouse"]);
        assert_eq!(dimensions, [json!([["outcome"]]), json!([[]])]);
        let variables = [("METRICS_NAMESPACE", "Team/Auth"), ("STACK_NAME", "prod-1")];
        let deployed = MetricsTarget {
            function: Some("prod-1-SweepFunction-1".to_owned()),
            ..target(&variables).unwrap()
        };
        let (namespaces, dimensions) = members(&deployed);
        assert_eq!(namespaces, ["Team/Auth", "Team/Auth"]);
        assert_eq!(
            dimensions,
            [
                json!([["stack", "function", "outcome"]]),
                json!([["stack", "function"]])
            ]
        );
        let values: Vec<_> = deployed.dimensions().collect();
        assert_eq!(
            values,
            [("stack", "prod-1"), ("function", "prod-1-SweepFunction-1")]
        );
    }

    #[test]
    fn a_namespace_that_cloudwatch_refuses_stops_the_start() {
        let long = "x".repeat(127);
        for invalid in ["AWS/Lambda", "a b", "\u{fc}", "a:b", "a\"b", &long] {
            let problems = target(&[("METRICS_NAMESPACE", invalid)]).unwrap_err();
            assert!(problems.0[0].starts_with("METRICS_NAMESPACE"), "{invalid}");
        }
        for invalid in ["a_b", "a b", "\""] {
            assert!(target(&[("STACK_NAME", invalid)]).is_err(), "{invalid}");
        }
        for valid in ["Gatehouse", "AWSome", "team/auth#1", &long[1..]] {
            assert!(target(&[("METRICS_NAMESPACE", valid)]).is_ok(), "{valid}");
        }
    }

    #[test]
    fn an_outcome_has_a_cause_only_if_a_dependency_failed() {
        let failed = auth::Dependency::Sessions.unavailable(Cause::Throttled);
        let outcome = Outcome::from(failed);
        assert_eq!(outcome.word, "sessions_unavailable");
        assert_eq!(cause(outcome.cause), Some(("cause", "throttled".into())));
        assert_eq!(cause(Outcome::from("done").cause), None);
    }

    #[test]
    fn an_event_counts_as_a_failure_if_a_dependency_failed_it() {
        for (level, cause, failures) in [
            (Level::Error, Some(Cause::Timeout), Some(2)),
            // Answered all the same: a call that was queued.
            (Level::Warn, Some(Cause::Timeout), None),
            // A failure that a client can cause, such as tokens too large for cookies.
            (Level::Error, None, None),
            (Level::Info, None, None),
        ] {
            let members: Map<String, Value> = counted("Requests", "outcome", 2, (level, cause))
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            assert_eq!(members["Requests"], 2);
            let counted = members.get("Failures").and_then(Value::as_u64);
            assert_eq!(counted, failures, "{level:?} {cause:?}");
            assert_eq!(members.contains_key("cause"), cause.is_some());
            let directives = members["_aws"]["CloudWatchMetrics"].as_array().unwrap();
            let by = |at: usize| {
                (
                    &directives[at]["Metrics"][0]["Name"],
                    &directives[at]["Dimensions"],
                )
            };
            assert_eq!(by(0), (&json!("Requests"), &json!([["outcome"]])));
            assert_eq!(directives.len(), 1 + usize::from(failures.is_some()));
            if failures.is_some() {
                assert_eq!(by(1), (&json!("Failures"), &json!([[]])));
            }
        }
    }
}
