//! Events of libraries (`tracing`) at WARN and above, as JSON lines.
//!
//! The SDK and the Lambda runtime pass requests, responses and errors to their events, so a line has no
//! field and no message of an event: only where in which library it happened. Spans and lower levels are
//! disabled at their call sites, so that a decision pays nothing for them.

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use crate::invocation;
use crate::log::{self, Level};

/// Writes the lines.
struct LibraryEvents;

/// Writes a line for every event from now on.
pub(crate) fn install() {
    // A second subscriber is refused: the first one does the same.
    let _ = tracing::subscriber::set_global_default(LibraryEvents);
}

fn is_written(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && *metadata.level() <= tracing::Level::WARN
}

impl Subscriber for LibraryEvents {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_written(metadata)
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_written(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let level = if *metadata.level() == tracing::Level::ERROR {
            Level::Error
        } else {
            Level::Warn
        };
        log::line(level, "library event", fields(metadata));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // No span is enabled.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What a line says about an event: only constants of the library, and the invocation's ids.
fn fields(metadata: &Metadata<'_>) -> impl Iterator<Item = (&'static str, Value)> {
    let invocation = invocation::current();
    let (request_id, trace_id) = invocation
        .map(|invocation| (Some(invocation.request_id), invocation.trace_id))
        .unwrap_or_default();
    [
        Some(("target", Value::from(metadata.target()))),
        metadata.line().map(|line| ("line", Value::from(line))),
        request_id.map(|id| ("request_id", Value::from(id))),
        trace_id.map(|id| ("trace_id", Value::from(id))),
    ]
    .into_iter()
    .flatten()
}
