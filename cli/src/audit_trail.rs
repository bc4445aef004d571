//! `gatehouse audit-trail`: exports the acts that a stack's log groups hold, and adds the operator's.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::time::Duration;

use auth::{Cause, Unavailable, subject_hash};
use aws_client::{Limits, with_limits};
use aws_lc_rs::rand;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::primitives::{DateTime, DateTimeFormat};
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use clap::Args;
use runtime::audit::TERM;
use runtime::{Act, clock};
use serde_json::{Value, json};

use crate::operator::{Printed, failed, required};

/// The log groups of the functions that write acts: the stack's output `AuditLogGroups`.
const GROUPS: &str = "AUDIT_LOG_GROUPS";
/// The log group of the operator's own acts: the stack's output `OperatorLogGroup`.
const GROUP: &str = "OPERATOR_LOG_GROUP";

/// For a page of lines, which CloudWatch Logs may search for a while. It throttles quick readers.
const READ: Limits = Limits {
    connect: Duration::from_secs(2),
    attempt: Duration::from_secs(30),
    operation: Duration::from_secs(120),
    attempts: 8,
    first_backoff: Duration::from_millis(500),
};
const WRITE: Limits = Limits {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_secs(3),
    attempts: 2,
    first_backoff: Duration::from_millis(100),
};
/// For both calls that write an act.
const WRITE_ALL: Duration = Duration::from_secs(5);

/// Which acts to export. One JSON object a line, oldest first.
#[derive(Args)]
pub(crate) struct AuditTrail {
    /// Acts since then: an age (90m, 24h, 7d), a day (2026-11-26) or a time
    /// (2026-11-26T10:00:00Z).
    #[arg(long, value_parser = time)]
    since: u64,
    /// Acts before then; the default is now.
    #[arg(long, value_parser = time)]
    until: Option<u64>,
    /// With --until: how much later than its act a line may have been written. Records of CloudTrail wait in queues
    /// for up to 19 days, if the function cannot process them and an operator sends them again. All other lines are
    /// written within seconds; a shorter time than the default makes the search quicker.
    #[arg(long, value_parser = age, default_value = "20d")]
    max_delay: u64,
    /// Only acts of this kind, such as `disable_user`; may be repeated.
    #[arg(long)]
    kind: Vec<String>,
    /// Only acts with this hash as the actor or the target.
    #[arg(long)]
    of: Option<String>,
}

/// The acts, each once.
pub(crate) struct Trail(Vec<Act>);

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, act) in self.0.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{}", exported(act))?;
        }
        Ok(())
    }
}

/// The act with its time in words.
fn exported(act: &Act) -> Value {
    let mut line = act.to_json();
    let at = i64::try_from(act.at).unwrap_or(i64::MAX);
    let time = DateTime::from_secs(at).fmt(DateTimeFormat::DateTime);
    if let (Ok(time), Some(line)) = (time, line.as_object_mut()) {
        line.insert("time".to_owned(), time.into());
    }
    line
}

impl AuditTrail {
    /// Reads every group to its end: the trail must have no gap.
    ///
    /// # Errors
    /// A text about the failure.
    pub(crate) async fn run(self) -> Result<Trail, String> {
        let groups = required(GROUPS)?;
        let groups: Vec<&str> = groups.split(',').map(str::trim).collect();
        if groups.iter().any(|group| group.is_empty()) {
            return Err(format!("{GROUPS} has an empty element"));
        }
        let sdk = aws_client::sdk_config().await;
        let client = Client::new(&with_limits(&sdk, &READ));
        let mut acts: BTreeMap<_, Act> = BTreeMap::new();
        for group in groups {
            let found = self.of_group(&client, group).await;
            for act in found.map_err(|cause| format!("{group}: {cause}"))? {
                let key = (act.id.clone(), act.kind.clone());
                let is_first = acts.get(&key).is_none_or(|known| act.at < known.at);
                if self.is_wanted(&act) && is_first {
                    acts.insert(key, act);
                }
            }
        }
        let mut acts: Vec<Act> = acts.into_values().collect();
        acts.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(Trail(acts))
    }

    async fn of_group(&self, client: &Client, group: &str) -> Result<Vec<Act>, String> {
        let search = client
            .filter_log_events()
            .log_group_name(group)
            .filter_pattern(TERM)
            .start_time(milliseconds(self.since))
            .set_end_time(
                self.until
                    .map(|until| milliseconds(until.saturating_add(self.max_delay))),
            );
        let mut pages = search.into_paginator().send();
        let mut acts = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| aws_client::cause_of(&error).as_str().to_owned())?;
            for event in page.events() {
                let at = event.timestamp().and_then(|at| u64::try_from(at).ok());
                let at = at.unwrap_or_default() / 1_000;
                acts.extend(Act::of_line(event.message().unwrap_or_default(), at));
            }
        }
        Ok(acts)
    }

    fn is_wanted(&self, act: &Act) -> bool {
        let is_in_time = act.at >= self.since && self.until.is_none_or(|until| act.at < until);
        let is_of = |hash: &String| act.actor == *hash || act.target == *hash;
        is_in_time
            && (self.kind.is_empty() || self.kind.contains(&act.kind))
            && self.of.as_ref().is_none_or(is_of)
    }
}

fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

/// Seconds, from minutes, hours or days.
fn age(text: &str) -> Result<u64, String> {
    let units = [("m", 60), ("h", 3_600), ("d", 86_400)];
    let seconds = units.into_iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(seconds)
    });
    seconds.ok_or_else(|| "expected an age (90m, 24h, 7d)".to_owned())
}

/// A time in seconds since 1970, from a time, a day or an age.
fn time(text: &str) -> Result<u64, String> {
    let problem = || "expected an age (90m, 24h, 7d), a day or a time in UTC".to_owned();
    if text.ends_with(['m', 'h', 'd']) {
        let age = age(text).map_err(|_| problem())?;
        return Ok(clock::unix_seconds().saturating_sub(age));
    }
    let day = format!("{text}T00:00:00Z");
    let text = if text.contains('T') { text } else { &day };
    let time = DateTime::from_str(text, DateTimeFormat::DateTime).map_err(|_| problem())?;
    u64::try_from(time.secs()).map_err(|_| problem())
}

/// A command that ran, and the act that it was.
pub(crate) struct Acted {
    /// What is printed. A key's secret is in it and nowhere else, so it comes before the act is recorded.
    pub(crate) result: Result<Printed, String>,
    /// The steps that failed although the act had begun.
    pub(crate) failed_steps: Vec<String>,
    pub(crate) act: OperatorAct,
}

/// The steps of an act, each of which may fail after others were done.
#[derive(Default)]
pub(crate) struct Steps {
    /// The failed ones, as texts.
    pub(crate) failed: Vec<String>,
}

impl Steps {
    /// The word for a step in the printed row: `done` if it succeeded.
    pub(crate) fn word<T>(
        &mut self,
        step: Result<T, Unavailable>,
        done: &'static str,
    ) -> &'static str {
        match step {
            Ok(_) => done,
            Err(unavailable) => {
                self.failed.push(failed(unavailable));
                "failed"
            }
        }
    }

    /// The outcome of the act, as of `/admin`: parts of an incomplete one may be done.
    pub(crate) fn outcome(&self) -> &'static str {
        if self.failed.is_empty() {
            "done"
        } else {
            "incomplete"
        }
    }
}

/// What an operator did, or tried.
pub(crate) struct OperatorAct {
    /// A word from the closed list of docs/operations.md.
    pub(crate) act: &'static str,
    /// The operator, as they name themselves.
    pub(crate) actor: String,
    /// [`target`], if the act has one.
    pub(crate) target: Option<String>,
    /// `done`, `incomplete`, `failed` or `dry_run`.
    pub(crate) outcome: &'static str,
}

/// The hash of a user, client or issuer: the same as in the functions' lines.
pub(crate) fn target(issuer: &str, id: &str) -> String {
    subject_hash(issuer, id)
}

impl OperatorAct {
    /// Records the act: on standard error, because standard output is the command's result, and in
    /// `OPERATOR_LOG_GROUP` if it is set, from which it reaches the topic and the trail.
    pub(crate) async fn record(self) {
        let at = clock::unix_seconds();
        let line = json!({
            "message": TERM,
            "id": id(at),
            "source": "operator",
            "act": self.act,
            "actor": if is_word(&self.actor) { self.actor } else { subject_hash("", &self.actor) },
            "target": self.target.as_deref().unwrap_or("-"),
            "outcome": self.outcome,
            "at": at,
        });
        let mut errors = std::io::stderr();
        // A closed standard error must not keep the act from its log group.
        let _ = writeln!(errors, "{line}");
        let Ok(group) = required(GROUP) else {
            return;
        };
        let written = tokio::time::timeout(WRITE_ALL, write(&group, &line, at)).await;
        if let Err(cause) = written.unwrap_or_else(|_| Err(Cause::Timeout.as_str().to_owned())) {
            let _ = writeln!(errors, "the act is not in the log group {group}: {cause}");
        }
    }
}

/// An operator's own word, which is written as it is; an address, or a name with a space, is not.
fn is_word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(fits)
}

fn id(at: u64) -> String {
    let mut bytes = [0; 16];
    // Without random numbers the act is told of all the same, under its time.
    if rand::fill(&mut bytes).is_err() {
        return at.to_string();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the line of an act at `at` into a stream of its own, so that no two commands share one.
async fn write(group: &str, line: &Value, at: u64) -> Result<(), String> {
    let sdk = aws_client::sdk_config().await;
    let client = Client::new(&with_limits(&sdk, &WRITE));
    let stream = line["id"].as_str().unwrap_or_default();
    let created = client.create_log_stream().log_group_name(group);
    let created = created.log_stream_name(stream).send().await;
    created.map_err(|error| aws_client::cause_of(&error).as_str().to_owned())?;
    let event = InputLogEvent::builder()
        .timestamp(milliseconds(at))
        .message(line.to_string())
        .build()
        .map_err(|error| error.to_string())?;
    let put = client.put_log_events().log_group_name(group);
    let put = put.log_stream_name(stream).log_events(event).send().await;
    let put = put.map_err(|error| aws_client::cause_of(&error).as_str().to_owned())?;
    // CloudWatch Logs accepts the call and drops the line, if it is hours ahead or weeks old.
    match put.rejected_log_events_info() {
        None => Ok(()),
        Some(_) => Err("the clock of this computer is wrong".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_days_and_ages() {
        assert_eq!(time("2026-11-26T10:00:00Z"), Ok(1_795_687_200));
        assert_eq!(time("2026-11-26"), Ok(1_795_651_200));
        let now = clock::unix_seconds();
        for (text, age) in [("90m", 5_400), ("24h", 86_400), ("7d", 604_800)] {
            let found = time(text).unwrap();
            assert!((now - age..=now - age + 2).contains(&found), "{text}");
        }
        for text in [
            "",
            "d",
            "-1d",
            "1.5h",
            "yesterday",
            "2026-13-01",
            "1969-01-01",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_and_names_with_spaces_are_no_words() {
        for word in ["cli", "ticket-9", "o.brien", "A_1"] {
            assert!(is_word(word), "{word}");
        }
        for text in ["", "ada@example.com", "Ada Lovelace", "j\u{fc}rgen"] {
            assert!(!is_word(text), "{text}");
        }
    }
}
