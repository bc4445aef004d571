//! The runtime loop around a handler.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;

use auth::{Cause, Secret};
use env_config::{ConfigError, Env, Var};
use futures_util::FutureExt;
#[cfg(feature = "otlp")]
use lambda_runtime::tower::{ServiceExt, layer::layer_fn};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
#[cfg(feature = "otlp")]
use lambda_runtime::{LambdaInvocation, Service};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::events;
use crate::invocation::Invocation;
use crate::log::{self, Level};
#[cfg(feature = "otlp")]
use crate::otlp::Export;

/// How an invocation may fail. The texts are fixed: API Gateway compares the first one exactly,
/// Cognito shows them to users, and both end up in logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvocationError {
    /// The caller is refused; API Gateway answers 401.
    Unauthorized,
    /// The trigger refuses, and Cognito shows this text to the caller.
    Refused(&'static str),
    /// An error; API Gateway answers 500 and caches nothing.
    Internal,
}

impl From<InvocationError> for Diagnostic {
    fn from(failure: InvocationError) -> Self {
        let (error_type, error_message) = match failure {
            InvocationError::Unauthorized => ("Unauthorized", "Unauthorized"),
            InvocationError::Refused(text) => ("Refused", text),
            InvocationError::Internal => ("InternalError", "Internal Server Error"),
        };
        Self {
            error_type: error_type.to_owned(),
            error_message: error_message.to_owned(),
        }
    }
}

/// Handles the events of a function.
pub trait Handler: Send + Sync {
    /// The answer, as JSON.
    type Answer: Serialize + Send;

    /// Whether events contain passwords: then their text is overwritten after the response.
    const WIPES_EVENTS: bool = false;

    /// Handles one event. `request_id` is Lambda's, for the log.
    fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> impl Future<Output = Result<Self::Answer, InvocationError>> + Send;
}

/// Runs a function until Lambda stops it: `init` once, then its handler for every event.
///
/// An invalid configuration ends the process with all its problems in the log, and so does a failed
/// `init`. A panic in the handler is a [`InvocationError::Internal`]; the next event is handled as usual.
pub fn run<C, H, E, F>(config: Result<C, ConfigError>, init: impl FnOnce(C) -> F) -> ExitCode
where
    H: Handler + 'static,
    E: std::error::Error + Send + Sync + 'static,
    F: Future<Output = Result<H, E>>,
{
    report_panics();
    let level = Level::read(&mut Env::new(&env_config::process));
    let endpoint = env_config::process(ENDPOINT);
    #[cfg(feature = "otlp")]
    let export = install(level, endpoint.as_deref());
    #[cfg(not(feature = "otlp"))]
    install(level, endpoint.as_deref());
    let Some(config) = valid(config) else {
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime
        .map_err(lambda_runtime::Error::from)
        .and_then(|runtime| {
            runtime.block_on(async {
                let handler = Arc::new(Box::pin(init(config)).await?);
                let service = service_fn(move |event| {
                    let handler = Arc::clone(&handler);
                    async move { guarded(&*handler, event).await }
                });
                #[cfg(feature = "otlp")]
                if let Some(export) = export {
                    return run_and_send(service, export).await;
                }
                as_task(lambda_runtime::run(service)).await
            })
        });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // From `init` or the runtime's own loop: it contains no event data.
            let cause = Cause::of(error.as_ref());
            let error = ("error", Value::from(error.to_string()));
            let fields = std::iter::once(error).chain(log::cause(cause));
            log::line(Level::Error, "the runtime loop ended", fields);
            ExitCode::FAILURE
        }
    }
}

/// Runs `work` as a task: each wake-up of the future that the runtime blocks on is a system call, and that of a task
/// is not. A panic of `work` is one of the caller.
async fn as_task<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(output) => output,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Nothing cancels the task.
            Err(_) => std::process::abort(),
        },
    }
}

/// Prepares the log of a process that is not a Lambda function, and returns its configuration. An invalid one is `None`,
/// with all its problems in the log. Such a process sends no spans.
pub fn prepare<C>(config: Result<C, ConfigError>) -> Option<C> {
    report_panics();
    events::install(Level::read(&mut Env::new(&env_config::process)));
    valid(config)
}

/// Logs where a panic happened. Its message may contain a secret.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        log::line(Level::Error, "panic", [("place", Value::from(place))]);
    }));
}

fn valid<C>(config: Result<C, ConfigError>) -> Option<C> {
    match config {
        Ok(config) => Some(config),
        Err(ConfigError(problems)) => {
            log::line(
                Level::Error,
                "refused to start: the configuration is invalid",
                [("problems", Value::from(problems))],
            );
            None
        }
    }
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The variables that [`run`] reads for every function, besides `LOG_LEVEL`.
pub const VARS: &[Var] = &[
    Var::new(
        ENDPOINT,
        "unset: no spans are sent",
        "The `http://` address of an OpenTelemetry collector, mostly that of a layer: `http://localhost:4318`. Only in \
         builds with the feature `otlp`. See [operations.md](operations.md#opentelemetry).",
    ),
    Var::new(
        "OTEL_TRACES_SAMPLER",
        "`parentbased_always_on`",
        "Which traces are sent, by OpenTelemetry's names: by default those that X-Ray samples; `always_on` sends all.",
    ),
];

/// Installs the subscriber for libraries' events and, if spans are to be sent, for spans.
#[cfg(feature = "otlp")]
fn install(level: Level, endpoint: Option<&str>) -> Option<Arc<Export>> {
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) else {
        events::install(level);
        return None;
    };
    let export = crate::otlp::install(endpoint, level);
    if export.is_none() {
        events::install(level);
        let name = ("name", Value::from(ENDPOINT));
        log::line(
            Level::Warn,
            "no spans are sent: not an http:// address",
            [name],
        );
    }
    export.map(Arc::new)
}

#[cfg(not(feature = "otlp"))]
fn install(level: Level, endpoint: Option<&str>) {
    events::install(level);
    if endpoint.is_some_and(|endpoint| !endpoint.is_empty()) {
        let name = ("name", Value::from(ENDPOINT));
        log::line(
            Level::Warn,
            "no spans are sent: built without the feature `otlp`",
            [name],
        );
    }
}

/// Runs the loop, and sends the spans of each invocation once its response is sent.
#[cfg(feature = "otlp")]
async fn run_and_send<S, A>(service: S, export: Arc<Export>) -> Result<(), lambda_runtime::Error>
where
    S: Service<LambdaEvent<Box<RawValue>>, Response = A, Error = InvocationError>,
    S::Future: Future<Output = Result<A, InvocationError>>,
    A: Serialize,
{
    let send = layer_fn(move |invocations| {
        let export = Arc::clone(&export);
        ServiceExt::<LambdaInvocation>::then(invocations, move |sent: Result<(), _>| async move {
            export.flush().await;
            sent
        })
    });
    lambda_runtime::Runtime::new(service)
        .layer(send)
        .run()
        .await
}

pub(crate) async fn guarded<H: Handler>(
    handler: &H,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<H::Answer, InvocationError> {
    let (payload, context) = event.into_parts();
    let handling = Box::pin(handler.handle(&payload, &context.request_id));
    let handling = AssertUnwindSafe(handling).catch_unwind();
    let handling = handling.map(|result| result.unwrap_or(Err(InvocationError::Internal)));
    let invocation = Invocation::of(&context);
    let span = invocation.span();
    #[cfg(feature = "otlp")]
    crate::otlp::continue_trace(&span, context.xray_trace_id.as_deref());
    let result = invocation.scope(span, handling).await;
    if H::WIPES_EVENTS {
        drop(Secret::new(Box::<str>::from(payload).into_string()));
    }
    result
}

#[cfg(test)]
mod tests {
    use lambda_runtime::Context;

    use super::*;

    struct FaultyHandler;

    impl Handler for FaultyHandler {
        type Answer = u8;

        async fn handle(&self, event: &RawValue, _: &str) -> Result<u8, InvocationError> {
            assert_ne!(event.get(), "\"panic\"", "a secret");
            Ok(7)
        }
    }

    fn event(json: &str) -> LambdaEvent<Box<RawValue>> {
        LambdaEvent::new(serde_json::from_str(json).unwrap(), Context::default())
    }

    #[test]
    fn a_panic_fails_only_its_own_invocation() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let outcome = guarded(&FaultyHandler, event("\"panic\"")).await;
            assert_eq!(outcome, Err(InvocationError::Internal));
            assert_eq!(guarded(&FaultyHandler, event("1")).await, Ok(7));
        });
    }

    #[test]
    fn a_panic_of_the_loop_is_not_turned_into_a_text() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert_eq!(runtime.block_on(as_task(async { 7 })), 7);
        let panics = || runtime.block_on(as_task(async { panic!("a secret") }));
        let panic = std::panic::catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"a secret"));
    }

    #[test]
    fn errors_have_fixed_texts() {
        let text = |failure| Diagnostic::from(failure).error_message;
        assert_eq!(text(InvocationError::Unauthorized), "Unauthorized");
        assert_eq!(text(InvocationError::Internal), "Internal Server Error");
    }
}
