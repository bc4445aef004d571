//! Events of libraries (`tracing`) at WARN and above, as JSON lines.
//!
//! The SDK and the Lambda runtime pass requests, responses and errors to their events, so a line has no
//! field and no message of an event: only where in which library it happened. Spans, ours too, and lower levels
//! are disabled at their call sites, so that a decision pays nothing for them.

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use crate::log::{self, Level};

/// Writes the lines.
struct LibraryEvents {
    most_verbose: tracing::Level,
}

/// Writes a line for every event from now on, as far as `LOG_LEVEL` allows.
pub(crate) fn install(level: Level) {
    let most_verbose = most_verbose(level);
    // A second subscriber is refused: the first one does the same.
    let _ = tracing::subscriber::set_global_default(LibraryEvents { most_verbose });
}

/// The lowest level of the events that are written.
pub(crate) fn most_verbose(level: Level) -> tracing::Level {
    match level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn | Level::Info => tracing::Level::WARN,
    }
}

/// The Lambda runtime reports every error that a handler returns, so every 401 too. The function's
/// own line, which is limited, reports it already.
const HANDLER_ERRORS: &str = "lambda_runtime::layers::panic";

pub(crate) fn is_written(metadata: &Metadata<'_>, most_verbose: tracing::Level) -> bool {
    metadata.is_event() && *metadata.level() <= most_verbose && metadata.target() != HANDLER_ERRORS
}

pub(crate) fn write(metadata: &Metadata<'_>) {
    let level = if *metadata.level() == tracing::Level::ERROR {
        Level::Error
    } else {
        Level::Warn
    };
    log::line(level, "library event", fields(metadata));
}

impl Subscriber for LibraryEvents {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_written(metadata, self.most_verbose)
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_written(metadata, self.most_verbose) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        write(event.metadata());
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

/// What a line says about an event: only constants of the library.
fn fields(metadata: &Metadata<'_>) -> impl Iterator<Item = (&'static str, Value)> {
    [
        Some(("target", Value::from(metadata.target()))),
        metadata.line().map(|line| ("line", Value::from(line))),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::invocation::Invocation;

    /// Keeps the fields that [`LibraryEvents`] writes.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<Value>>>);

    impl Subscriber for Kept {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            is_written(metadata, tracing::Level::WARN)
        }

        fn event(&self, event: &Event<'_>) {
            let line = log::composed(Level::Warn, "x", fields(event.metadata()), None);
            let mut line: serde_json::Map<String, Value> = serde_json::from_slice(&line).unwrap();
            line.retain(|name, _| !["level", "message", "line"].contains(&name.as_str()));
            self.0.lock().unwrap().push(Value::Object(line));
        }

        fn new_span(&self, attributes: &Attributes<'_>) -> Id {
            panic!("an enabled span: {attributes:?}");
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_line_has_the_ids_of_the_invocation_and_nothing_of_the_event() {
        let kept = Kept::default();
        let warned = async {
            let _span = tracing::error_span!("call", password = "hunter2").entered();
            tracing::info!("hunter2");
            tracing::warn!(password = "hunter2", "hunter2");
            tracing::error!(target: HANDLER_ERRORS, "hunter2");
            Ok(())
        };
        let target = module_path!();
        let invocation = Invocation {
            request_id: "r-1".to_owned(),
            trace_id: Some("t-1".to_owned()),
            has_failed: false.into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        tracing::subscriber::with_default(kept.clone(), || {
            let span = tracing::Span::none();
            runtime.block_on(invocation.scope(span, warned)).unwrap();
            tracing::error!("hunter2");
        });
        let inside = serde_json::json!({"target": target, "request_id": "r-1", "trace_id": "t-1"});
        let outside = serde_json::json!({ "target": target });
        assert_eq!(*kept.0.lock().unwrap(), [inside, outside]);
    }
}
