//! What a function records on the span of its invocation.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex};

use tracing::field::{Empty, Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Instrument, Metadata, Subscriber};
use tracing_core::span::Current;

/// The values on the span.
pub type Values = BTreeMap<String, String>;

/// Runs `handling` in the span of an invocation, and returns what it recorded there.
pub async fn recorded<T>(handling: impl Future<Output = T>) -> (T, Values) {
    let spans = Spans::default();
    let span = tracing::subscriber::with_default(spans.clone(), || {
        tracing::info_span!("invocation", outcome = Empty, reason = Empty, cause = Empty)
    });
    let handling = handling.instrument(span).with_subscriber(spans.clone());
    let handled = handling.await;
    let values = spans.0.lock().expect("a lock").values.clone();
    (handled, values)
}

/// Keeps the values of the first span.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    all: Vec<&'static Metadata<'static>>,
    entered: Vec<Id>,
    values: Values,
}

fn index(id: &Id) -> usize {
    usize::try_from(id.into_u64()).expect("an id") - 1
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut kept = self.0.lock().expect("a lock");
        kept.all.push(span.metadata());
        Id::from_u64(kept.all.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        if index(span) == 0 {
            values.record(&mut Recorder(&mut self.0.lock().expect("a lock").values));
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, span: &Id) {
        self.0.lock().expect("a lock").entered.push(span.clone());
    }

    fn exit(&self, _: &Id) {
        self.0.lock().expect("a lock").entered.pop();
    }

    fn current_span(&self) -> Current {
        let kept = self.0.lock().expect("a lock");
        match kept.entered.last() {
            Some(id) => Current::new(id.clone(), kept.all[index(id)]),
            None => Current::none(),
        }
    }
}

struct Recorder<'a>(&'a mut Values);

impl Visit for Recorder<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
