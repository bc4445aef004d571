//! A `tracing` span for each call of a dependency. It has words from closed lists only: never a key, a name, a
//! message or a part of a request.

use std::any::type_name;
use std::future::Future;
use std::pin::Pin;

use auth::{Cause, Dependency};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::cause_of;

/// The maximal length of an error code in a span.
const MAX_CODE: usize = 80;

/// A call of the SDK.
pub trait Call:
    Future<Output = Result<Self::Answer, SdkError<Self::Refusal, HttpResponse>>>
{
    /// What the service answers.
    type Answer;
    /// The errors of the operation.
    type Refusal: ProvideErrorMetadata;

    /// Makes the call in a span of its own, named after the operation: `outcome` is `done`, `refused` (the service
    /// does not do this, such as a condition that failed) or `failed`, with the `cause`. `exception` is the
    /// service's error code. A span without an outcome was abandoned: the function did not wait any longer.
    fn in_span(self, dependency: Dependency) -> impl Future<Output = Self::Output>
    where
        Self: Sized,
    {
        in_named_span(dependency.name(), Box::pin(self))
    }

    /// [`Self::in_span`], for a service that has no [`Dependency`].
    fn in_span_of(self, dependency: &'static str) -> impl Future<Output = Self::Output>
    where
        Self: Sized,
    {
        in_named_span(dependency, Box::pin(self))
    }
}

impl<F, T, E> Call for F
where
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    E: ProvideErrorMetadata,
{
    type Answer = T;
    type Refusal = E;
}

/// On the heap, because a call of the SDK is a future of tens of kilobytes, which every future around it would move.
async fn in_named_span<C: Call>(dependency: &'static str, call: Pin<Box<C>>) -> C::Output {
    let span = span(dependency, operation::<C::Refusal>);
    let answer = call.instrument(span.clone()).await;
    if !span.is_disabled() {
        match &answer {
            Ok(_) => done(&span),
            Err(error) => record_error(&span, error),
        }
    }
    answer
}

/// Makes a call that is not the SDK's in a span of its own, like [`Call::in_span`].
pub async fn in_span<T, E>(
    dependency: Dependency,
    operation: &'static str,
    call: impl Future<Output = Result<T, E>>,
    cause: impl Fn(&E) -> Option<Cause>,
) -> Result<T, E> {
    let span = span(dependency.name(), || operation);
    let answer = call.instrument(span.clone()).await;
    if !span.is_disabled() {
        match &answer {
            Ok(_) => done(&span),
            Err(error) => match cause(error) {
                Some(cause) => failed(&span, cause),
                None => refused(&span),
            },
        }
    }
    answer
}

fn span(dependency: &'static str, operation: impl Fn() -> &'static str) -> Span {
    // The macro evaluates its fields only if the span is enabled.
    tracing::info_span!(
        target: "gatehouse",
        "dependency",
        dependency,
        operation = operation(),
        otel.name = operation(),
        otel.kind = "client",
        otel.status_code = Empty,
        outcome = Empty,
        cause = Empty,
        exception = Empty,
    )
}

/// The operation of an error's type: `BatchGetItem` of `BatchGetItemError`.
fn operation<E>() -> &'static str {
    let name = type_name::<E>();
    let name = name.rsplit("::").next().unwrap_or(name);
    name.strip_suffix("Error").unwrap_or(name)
}

fn done(span: &Span) {
    span.record("outcome", "done");
}

fn refused(span: &Span) {
    span.record("outcome", "refused");
}

fn failed(span: &Span, cause: Cause) {
    span.record("outcome", "failed");
    span.record("cause", cause.as_str());
    span.record("otel.status_code", "ERROR");
}

fn record_error<E: ProvideErrorMetadata>(span: &Span, error: &SdkError<E, HttpResponse>) {
    let cause = cause_of(error);
    let SdkError::ServiceError(answer) = error else {
        return failed(span, cause);
    };
    if let Some(code) = answer.err().code().filter(|code| is_code(code)) {
        span.record("exception", code);
    }
    if cause == Cause::Other && answer.raw().status().is_client_error() {
        refused(span);
    } else {
        failed(span, cause);
    }
}

/// Whether a text is a code and not a message.
fn is_code(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_';
    text.len() <= MAX_CODE && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex};

    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;
    use tracing::field::{Field, Visit};
    use tracing::instrument::WithSubscriber;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Keeps every span: its parent's name, and all values.
    #[derive(Clone, Default)]
    struct Spans(Arc<Mutex<Kept>>);

    #[derive(Default)]
    struct Kept {
        all: Vec<(&'static str, Option<&'static str>, BTreeMap<String, String>)>,
        entered: Vec<Id>,
    }

    struct Values<'a>(&'a mut BTreeMap<String, String>);

    impl Visit for Values<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            let text = format!("{value:?}");
            let text = text.trim_matches('"').to_owned();
            self.0.insert(field.name().to_owned(), text);
        }
    }

    fn index(id: &Id) -> usize {
        usize::try_from(id.into_u64()).unwrap() - 1
    }

    impl Subscriber for Spans {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "gatehouse"
        }

        fn new_span(&self, span: &Attributes<'_>) -> Id {
            let mut kept = self.0.lock().unwrap();
            let parent = kept.entered.last().map(|id| kept.all[index(id)].0);
            let mut values = BTreeMap::new();
            span.record(&mut Values(&mut values));
            kept.all.push((span.metadata().name(), parent, values));
            Id::from_u64(kept.all.len() as u64)
        }

        fn record(&self, span: &Id, values: &Record<'_>) {
            let mut kept = self.0.lock().unwrap();
            values.record(&mut Values(&mut kept.all[index(span)].2));
        }

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, _: &Event<'_>) {}

        fn enter(&self, span: &Id) {
            self.0.lock().unwrap().entered.push(span.clone());
        }

        fn exit(&self, _: &Id) {
            self.0.lock().unwrap().entered.pop();
        }
    }

    #[derive(Debug)]
    struct GetItemError(ErrorMetadata);

    impl ProvideErrorMetadata for GetItemError {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    type Error = SdkError<GetItemError, HttpResponse>;

    fn service_error(code: &str, status: u16) -> Error {
        let metadata = ErrorMetadata::builder().code(code);
        let metadata = metadata.message("no user ada@example.com").build();
        let status = StatusCode::try_from(status).unwrap();
        let response = HttpResponse::new(status, SdkBody::from("ada@example.com"));
        SdkError::service_error(GetItemError(metadata), response)
    }

    /// The span of a call, without what every span has.
    fn span_of(call: impl Future<Output = Result<(), Error>>) -> String {
        let spans = Spans::default();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        let invocation = tracing::subscriber::with_default(
            spans.clone(),
            || tracing::info_span!(target: "gatehouse", "invocation"),
        );
        let calling = async {
            let call = call.in_span(Dependency::Sessions);
            drop(tokio::time::timeout(std::time::Duration::ZERO, call).await);
        };
        let calling = calling.instrument(invocation);
        runtime.block_on(calling.with_subscriber(spans.clone()));
        let kept = spans.0.lock().unwrap();
        let [(_, None, _), ("dependency", Some("invocation"), values)] = &kept.all[..] else {
            panic!("not a span in the invocation's");
        };
        assert!(!format!("{values:?}").contains("ada"), "{values:?}");
        let mut values = values.clone();
        assert_eq!(values.remove("dependency").unwrap(), "sessions");
        assert_eq!(values.remove("operation").unwrap(), "GetItem");
        assert_eq!(values.remove("otel.name").unwrap(), "GetItem");
        assert_eq!(values.remove("otel.kind").unwrap(), "client");
        let values = values.iter().map(|(name, value)| format!("{name}={value}"));
        values.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_call_has_a_span_with_its_outcome_and_no_content() {
        let failed = |cause: &str, code: &str| {
            format!("cause={cause} {code}otel.status_code=ERROR outcome=failed")
        };
        let rows = [
            (
                service_error("ConditionalCheckFailedException", 400),
                "exception=ConditionalCheckFailedException outcome=refused".to_owned(),
            ),
            (
                service_error("ThrottlingException", 400),
                failed("throttled", "exception=ThrottlingException "),
            ),
            (
                service_error("InternalServerError", 500),
                failed("other", "exception=InternalServerError "),
            ),
            (
                service_error("no ada@example.com", 503),
                failed("other", ""),
            ),
            (service_error(&"A".repeat(81), 503), failed("other", "")),
            (
                SdkError::timeout_error("ada@example.com"),
                failed("timeout", ""),
            ),
        ];
        for (error, expected) in rows {
            assert_eq!(span_of(async { Err(error) }), expected);
        }
        assert_eq!(span_of(async { Ok(()) }), "outcome=done");
        assert_eq!(span_of(std::future::pending()), "", "an abandoned call");
    }

    #[test]
    fn other_calls_have_the_same_span() {
        let refused = |cause: Option<Cause>| {
            let spans = Spans::default();
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let call = in_span(
                Dependency::Legacy,
                "POST",
                async { Err::<(), _>(()) },
                |()| cause,
            );
            let answer = runtime
                .unwrap()
                .block_on(call.with_subscriber(spans.clone()));
            assert!(answer.is_err());
            let kept = spans.0.lock().unwrap();
            let values = kept.all.first().unwrap().2.clone();
            [values["operation"].clone(), values["outcome"].clone()]
        };
        assert_eq!(refused(None), ["POST", "refused"]);
        assert_eq!(refused(Some(Cause::Timeout)), ["POST", "failed"]);
    }

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn no_call_of_the_sdk_is_without_a_span() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut files = Vec::new();
        sources(&root.join("functions"), &mut files);
        sources(&root.join("shared"), &mut files);
        let mut calls = 0;
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let text: String = text.split_whitespace().collect();
            for (at, call) in text.match_indices(concat!(".send", "()")) {
                let is_paged = text[..at].ends_with(".items()");
                let rest = &text[at + call.len()..];
                assert!(
                    is_paged || rest.starts_with(".in_span"),
                    "{}",
                    file.display()
                );
                calls += usize::from(!is_paged);
            }
            let paged = text.matches(concat!("into_paginator", "()")).count();
            let spans = text.matches(concat!(".try_collect()", ".in_span(")).count();
            assert_eq!(paged, spans, "{}", file.display());
        }
        assert!(calls > 40, "{calls}");
    }
}
