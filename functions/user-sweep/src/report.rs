//! The line about a run, whose metrics the alarms read.

use auth::{Unavailable, UserRef, subject_hash};
use auth_dynamodb::SweepState;
use runtime::clock;
use runtime::log::{self, Level, Measure};
use serde_json::Value;

use crate::outcome::{Outcome, Run};

/// Writes the line about a run.
pub(crate) fn report(result: &Result<Run, Unavailable>, state: &SweepState, request_id: &str) {
    let outcome = Outcome::from(result);
    let cause = result.as_ref().err().map(|failed| failed.cause);
    log::record_outcome(log::Outcome {
        word: outcome.as_str(),
        cause,
    });
    let now = clock::now();
    let run = result.as_ref().ok();
    let count = |of: fn(&Run) -> u64| Value::from(run.map_or(0, of));
    let measure = |name, unit, by| Measure { name, unit, by };
    let mut measures = vec![measure("MissingMarks", "Count", Some("outcome"))];
    let mut fields = vec![
        ("outcome", Value::from(outcome.as_str())),
        ("seen", count(|run| run.seen)),
        ("enabled", count(|run| run.enabled)),
        ("unreadable", count(|run| run.unreadable)),
        ("request_id", Value::from(request_id)),
        ("MissingMarks", count(|run| run.written)),
    ];
    // Until the first pass is complete: the time since its start.
    if let Some(since) = state.passed_at.or(state.began_at) {
        measures.push(measure("SweepAge", "Seconds", None));
        fields.push(("SweepAge", now.since(since).unwrap_or(0).into()));
    }
    if let Some(clients) = run.and_then(|run| run.outliving) {
        measures.push(measure("OutlivingClients", "Count", None));
        fields.push(("OutlivingClients", clients.into()));
    }
    fields.push(("_aws", log::metrics(&measures, now.0)));
    fields.extend(log::cause(cause));
    // Alarms read this line's metrics, so no `LOG_LEVEL` turns it off.
    log::line(outcome.level(), "sweep", fields);
}

/// Tells an operator of a row that Gatehouse did not write.
pub(crate) fn log_malformed(user: &UserRef<'_>, request_id: &str) {
    let hash = subject_hash(user.issuer, user.subject);
    let fields = [
        ("subject_hash", Value::from(hash)),
        ("request_id", Value::from(request_id)),
    ];
    log::line(Level::Error, "the row of a user is malformed", fields);
}
