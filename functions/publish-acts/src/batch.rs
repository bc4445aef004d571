//! A batch of log lines, as a subscription of CloudWatch Logs sends it.
//! Source: AWS, "Using subscription filters with Lambda".

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use runtime::Act;
use runtime::audit::USE_AFTER_REVOCATION;
use serde::Deserialize;

/// The longest batch that is unpacked, in bytes: an asynchronous invocation has 1 MB at most, and
/// log lines compress to a tenth.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    awslogs: Packed<'a>,
}

#[derive(Deserialize)]
struct Packed<'a> {
    data: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    message_type: String,
    #[serde(default)]
    log_events: Vec<LogEvent>,
}

#[derive(Deserialize)]
struct LogEvent {
    /// Milliseconds since 1970.
    timestamp: u64,
    message: String,
}

/// The acts of an event, each once; `None` if it is not a batch of log lines.
///
/// A client that keeps sending one revoked token is one act with a count.
pub(crate) fn acts(event: &str) -> Option<Vec<Act>> {
    let event: Event<'_> = serde_json::from_str(event).ok()?;
    let packed = STANDARD.decode(event.awslogs.data).ok()?;
    let mut text = Vec::new();
    let mut unpacked = GzDecoder::new(&*packed).take(MAX_BYTES);
    unpacked.read_to_end(&mut text).ok()?;
    let batch: Batch = serde_json::from_slice(&text).ok()?;
    // A control message tests whether the function can be invoked.
    if batch.message_type != "DATA_MESSAGE" {
        return Some(Vec::new());
    }
    let mut acts: Vec<Act> = Vec::new();
    for line in batch.log_events {
        let Some(act) = Act::of_line(&line.message, line.timestamp / 1_000) else {
            continue;
        };
        let known = acts.iter_mut().find(|known| is_same(known, &act));
        match known {
            Some(known) if known.id == act.id => {}
            Some(known) => known.count = known.count.saturating_add(act.count),
            None => acts.push(act),
        }
    }
    Some(acts)
}

fn is_same(known: &Act, act: &Act) -> bool {
    if known.kind != act.kind {
        return false;
    }
    let is_use = act.kind == USE_AFTER_REVOCATION;
    known.id == act.id || (is_use && (&known.actor, &known.outcome) == (&act.actor, &act.outcome))
}
