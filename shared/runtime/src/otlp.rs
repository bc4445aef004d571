//! Sends spans by OTLP over HTTP, mostly to the collector of an OpenTelemetry layer on this machine.
//!
//! Spans are kept until the invocation's response is sent, and sent before the next event is fetched: a batch in
//! the background would be frozen with the process. Sending never fails an invocation, and takes at most
//! [`LIMIT`]; spans that could not be sent are dropped, and so are those of calls outside of an invocation.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auth::Cause;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanId, SpanKind, TracerProvider};
use opentelemetry_aws::trace::XrayPropagator;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    SdkTracerProvider, Span as SdkSpan, SpanData, SpanExporter as _, SpanProcessor,
};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};

use crate::log::{self, Level};
use crate::{clock, events, invocation};

/// How long sending may take after an invocation.
const LIMIT: Duration = Duration::from_millis(100);

/// For how long nothing is sent after a failure: a collector that hangs must not delay every invocation.
const PAUSE_SECONDS: u64 = 10;

/// The maximal number of spans that are kept.
const MAX_SPANS: usize = 1_000;

/// The spans of the current invocation that have ended.
#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl Ended {
    fn take(&self) -> Vec<SpanData> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut SdkSpan, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        // A call during init belongs to no trace: it would be one of its own, sampled whatever X-Ray decides.
        if span.parent_span_id == SpanId::INVALID && span.span_kind != SpanKind::Server {
            return;
        }
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() < MAX_SPANS {
            spans.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends what [`Ended`] has.
pub(crate) struct Export {
    ended: Ended,
    exporter: SpanExporter,
    /// How long sending may take.
    limit: Duration,
    /// Nothing is sent before this second.
    resumes_at: AtomicU64,
}

impl Export {
    /// Sends the spans that have ended, or drops them.
    pub(crate) async fn flush(&self) {
        let spans = self.ended.take();
        let now = clock::unix_seconds();
        if spans.is_empty() || now < self.resumes_at.load(Ordering::Relaxed) {
            return;
        }
        let cause = match tokio::time::timeout(self.limit, self.exporter.export(spans)).await {
            Ok(Ok(())) => return,
            Ok(Err(_)) => Cause::Connection,
            Err(_) => Cause::Timeout,
        };
        self.resumes_at
            .store(now.saturating_add(PAUSE_SECONDS), Ordering::Relaxed);
        log::line(Level::Warn, "could not send spans", log::cause(Some(cause)));
    }
}

/// Sends spans from now on to `endpoint`, such as `http://localhost:4318`; `None` if it is not an address of that
/// form.
pub(crate) fn install(endpoint: &str, level: Level) -> Option<Export> {
    let (subscriber, export) = subscriber(endpoint, level, LIMIT)?;
    // A second subscriber is refused: the first one does the same.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Some(export)
}

fn subscriber(
    endpoint: &str,
    level: Level,
    limit: Duration,
) -> Option<(impl Subscriber + use<>, Export)> {
    // A collector elsewhere would need TLS and credentials, and adds its distance to each invocation.
    let address = endpoint.trim_end_matches('/');
    if !address.starts_with("http://") {
        return None;
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{address}/v1/traces"))
        // [`Export::flush`] has the limit.
        .with_timeout(limit * 2)
        .build();
    let mut exporter = exporter.ok()?;
    let function = invocation::function_name().unwrap_or("gatehouse");
    let resource = Resource::builder().with_service_name(function).build();
    exporter.set_resource(&resource);
    let ended = Ended::default();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_span_processor(ended.clone())
        .build();
    let is_ours = FilterFn::new(|metadata| metadata.is_span() && metadata.target() == TARGET);
    let spans = OpenTelemetryLayer::new(provider.tracer(TARGET))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(is_ours.with_max_level_hint(LevelFilter::INFO));
    let most_verbose = events::most_verbose(level);
    let is_written = FilterFn::new(move |metadata| events::is_written(metadata, most_verbose));
    let lines = Lines.with_filter(is_written.with_max_level_hint(LevelFilter::WARN));
    let subscriber = tracing_subscriber::registry().with(spans).with(lines);
    let resumes_at = AtomicU64::default();
    Some((
        subscriber,
        Export {
            ended,
            exporter,
            limit,
            resumes_at,
        },
    ))
}

/// The target of our own spans.
const TARGET: &str = "gatehouse";

/// Writes libraries' events as the subscriber of [`events`] does.
struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        events::write(event.metadata());
    }
}

/// Makes `span` a child of the segment in X-Ray's header, with the same decision whether it is sampled. Other
/// members of the header may be a client's, and are dropped.
pub(crate) fn continue_trace(span: &Span, header: Option<&str>) {
    const KNOWN: [&str; 3] = ["Root=", "Parent=", "Sampled="];
    let is_known = |part: &&str| KNOWN.iter().any(|name| part.starts_with(name));
    let parts = header.unwrap_or_default().split(';').map(str::trim);
    let known: Vec<&str> = parts.filter(is_known).collect();
    let carrier = HashMap::from([("x-amzn-trace-id".to_owned(), known.join(";"))]);
    let parent = XrayPropagator::default().extract_with_context(&Context::new(), &carrier);
    // A disabled span has no parent.
    let _ = span.set_parent(parent);
}

#[cfg(test)]
mod tests {
    use lambda_runtime::{Context as LambdaContext, LambdaEvent};
    use serde_json::value::RawValue;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tracing::instrument::WithSubscriber;

    use super::*;
    use crate::run::guarded;
    use crate::{Handler, InvocationError};

    const TRACE_ID: [u8; 16] = 0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793_u128.to_be_bytes();
    const PARENT: [u8; 8] = 0x5399_5c3f_42cd_8ad8_u64.to_be_bytes();

    /// Far more than an export takes, also on a busy machine; only a failing test waits so long.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A collector: one request, whose body it returns.
    async fn receive(listener: &TcpListener) -> (TcpStream, String, Vec<u8>) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            let read = stream.read_buf(&mut request).await.unwrap();
            assert_ne!(read, 0, "the request ended early");
            let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&request[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().unwrap())
            });
            if request.len() >= end + 4 + length.unwrap() {
                let body = request.split_off(end + 4);
                return (stream, head, body);
            }
        }
    }

    fn has(body: &[u8], part: &[u8]) -> bool {
        body.windows(part.len()).any(|window| window == part)
    }

    fn context(sampled: u8) -> LambdaContext {
        let mut context = LambdaContext::default();
        context.request_id = "request-1".to_owned();
        context.xray_trace_id = Some(format!(
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled={sampled};mail=hunter2"
        ));
        context
    }

    /// Calls a dependency whose library has a span, and fails.
    struct Failing;

    impl Handler for Failing {
        type Answer = ();

        async fn handle(&self, _: &RawValue, _: &str) -> Result<(), InvocationError> {
            let call =
                tracing::info_span!(target: "gatehouse", "dependency", dependency = "sessions");
            call.in_scope(|| {
                let _library = tracing::error_span!("POST", authorization = "hunter2").entered();
                tracing::error!(token = "hunter2", "hunter2");
            });
            log::record_outcome("sessions_unavailable");
            Err(InvocationError::Internal)
        }
    }

    async fn invoke(context: &LambdaContext) {
        let event = serde_json::from_str(r#"{"token": "hunter2"}"#).unwrap();
        let event = LambdaEvent::new(event, context.clone());
        assert!(guarded(&Failing, event).await.is_err());
    }

    async fn collector() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, format!("http://{address}"))
    }

    /// How many connections were opened until now: the listener accepts them in their order.
    async fn connections_before_ours(listener: &TcpListener) -> usize {
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await;
        let ours = ours.unwrap().local_addr().unwrap();
        let mut others = 0;
        loop {
            let (_, peer) = listener.accept().await.unwrap();
            if peer == ours {
                return others;
            }
            others += 1;
        }
    }

    fn block_on(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE * 2, test).await });
        ended.expect("the test ends");
    }

    #[test]
    fn spans_continue_the_trace_of_the_invocation_and_have_no_content() {
        block_on(async {
            let (listener, endpoint) = collector().await;
            let (subscriber, export) = subscriber(&endpoint, Level::Info, PATIENCE).unwrap();
            invoke(&context(1)).with_subscriber(subscriber).await;
            let answer = async {
                let (mut stream, head, body) = receive(&listener).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                (head, body)
            };
            let ((head, body), ()) = tokio::join!(answer, export.flush());
            assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
            let traces = body.windows(16).filter(|bytes| *bytes == TRACE_ID);
            assert_eq!(traces.count(), 2, "the invocation and its call");
            assert!(has(&body, &PARENT), "the parent is Lambda's segment");
            for word in [
                "request-1",
                "1-5759e988-bd862e3fe1be46a994272793",
                "dependency",
                "sessions",
                "sessions_unavailable",
                "failed",
            ] {
                assert!(has(&body, word.as_bytes()), "{word}");
            }
            assert!(!has(&body, b"hunter2"));
            assert!(!has(&body, b"POST"), "a library's span");
            assert!(!has(&body, b"otlp.rs"), "a place in the sources");
            assert_eq!(export.resumes_at.load(Ordering::Relaxed), 0);
        });
    }

    #[test]
    fn a_trace_that_is_not_sampled_sends_nothing() {
        block_on(async {
            let (listener, endpoint) = collector().await;
            let (subscriber, export) = subscriber(&endpoint, Level::Info, PATIENCE).unwrap();
            invoke(&context(0)).with_subscriber(subscriber).await;
            export.flush().await;
            assert_eq!(connections_before_ours(&listener).await, 0);
        });
    }

    /// Without the limit, the first export would wait for as long as the collector hangs.
    #[test]
    fn a_collector_that_hangs_delays_one_invocation_by_the_limit() {
        block_on(async {
            let (listener, endpoint) = collector().await;
            let limit = Duration::from_millis(50);
            let (subscriber, export) = subscriber(&endpoint, Level::Info, limit).unwrap();
            let invoked = async {
                invoke(&context(1)).await;
                export.flush().await;
                let paused = export.resumes_at.load(Ordering::Relaxed);
                assert!(paused > 0, "nothing is sent for a while");
                invoke(&context(1)).await;
                export.flush().await;
                assert_eq!(export.resumes_at.load(Ordering::Relaxed), paused);
            };
            invoked.with_subscriber(subscriber).await;
            assert!(export.ended.take().is_empty(), "they were dropped");
            // It accepts connections and never answers: only the first invocation has opened one, in time or not.
            let others = connections_before_ours(&listener).await;
            assert!(others <= 1, "{others}");
        });
    }

    #[test]
    fn calls_during_init_are_no_traces_of_their_own() {
        block_on(async {
            let (listener, endpoint) = collector().await;
            let (subscriber, export) = subscriber(&endpoint, Level::Info, PATIENCE).unwrap();
            let init_and_invocation = async {
                drop(tracing::info_span!(target: "gatehouse", "dependency", otel.kind = "client"));
                invoke(&context(0)).await;
            };
            init_and_invocation.with_subscriber(subscriber).await;
            export.flush().await;
            assert_eq!(connections_before_ours(&listener).await, 0);
        });
    }

    /// An invocation without X-Ray's header is the root of a trace.
    #[test]
    fn an_invocation_without_a_trace_is_kept_by_the_sampler() {
        block_on(async {
            let (_, endpoint) = collector().await;
            let (subscriber, export) = subscriber(&endpoint, Level::Info, PATIENCE).unwrap();
            let mut context = context(1);
            context.xray_trace_id = None;
            invoke(&context).with_subscriber(subscriber).await;
            assert_eq!(export.ended.take().len(), 2, "it and its call");
        });
    }

    #[test]
    fn a_failed_event_of_a_batch_gives_the_span_its_outcome() {
        struct Batch;

        impl Handler for Batch {
            type Answer = ();

            async fn handle(&self, _: &RawValue, _: &str) -> Result<(), InvocationError> {
                log::record_outcome("first");
                log::record_outcome(log::Outcome::failed("second", Cause::Throttled));
                log::record_outcome("third");
                Ok(())
            }
        }

        block_on(async {
            let (subscriber, export) =
                subscriber("http://127.0.0.1:1", Level::Info, LIMIT).unwrap();
            let event = LambdaEvent::new(serde_json::from_str("{}").unwrap(), context(1));
            let invoked = guarded(&Batch, event).with_subscriber(subscriber).await;
            assert!(invoked.is_ok());
            let spans = export.ended.take();
            let last = |name: &str| {
                let mut of_name = spans[0].attributes.iter().rev();
                let found = of_name.find(|attribute| attribute.key.as_str() == name);
                found.map(|attribute| attribute.value.to_string())
            };
            assert_eq!(last("outcome").as_deref(), Some("second"));
            assert_eq!(last("cause").as_deref(), Some("throttled"));
        });
    }

    #[test]
    fn a_collector_that_refuses_is_reported_as_a_failure() {
        block_on(async {
            let (listener, endpoint) = collector().await;
            drop(listener);
            let (subscriber, export) = subscriber(&endpoint, Level::Info, PATIENCE).unwrap();
            invoke(&context(1)).with_subscriber(subscriber).await;
            export.flush().await;
            assert!(export.resumes_at.load(Ordering::Relaxed) > 0);
        });
    }

    #[test]
    fn only_an_http_address_is_an_endpoint() {
        for endpoint in [
            "",
            "localhost:4318",
            "https://collector.example.com",
            "http://",
            "http://a b",
        ] {
            assert!(
                subscriber(endpoint, Level::Info, LIMIT).is_none(),
                "{endpoint}"
            );
        }
    }

    #[test]
    fn spans_that_are_not_sent_do_not_grow_without_bound() {
        let (subscriber, export) = subscriber("http://127.0.0.1:1", Level::Info, LIMIT).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..MAX_SPANS + 5 {
                drop(tracing::info_span!(target: "gatehouse", "invocation", otel.kind = "server"));
            }
        });
        assert_eq!(export.ended.take().len(), MAX_SPANS);
    }
}
