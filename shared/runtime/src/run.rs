//! The runtime loop around a handler.

use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;

use auth::{Cause, Secret};
use env_config::{ConfigError, Env};
use futures_util::FutureExt;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::events;
use crate::invocation::Invocation;
use crate::log::{self, Level};

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
pub trait Handler {
    /// The answer, as JSON.
    type Answer: Serialize;

    /// Whether events contain passwords: then their text is overwritten after the response.
    const WIPES_EVENTS: bool = false;

    /// Handles one event. `request_id` is Lambda's, for the log.
    fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> impl Future<Output = Result<Self::Answer, InvocationError>>;
}

/// Runs a function until Lambda stops it: `init` once, then its handler for every event.
///
/// An invalid configuration ends the process with all its problems in the log, and so does a failed
/// `init`. A panic in the handler is a [`InvocationError::Internal`]; the next event is handled as usual.
pub fn run<C, H, E, F>(config: Result<C, ConfigError>, init: impl FnOnce(C) -> F) -> ExitCode
where
    H: Handler,
    E: std::error::Error + Send + Sync + 'static,
    F: Future<Output = Result<H, E>>,
{
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        log::line(Level::Error, "panic", [("place", Value::from(place))]);
    }));
    events::install(Level::read(&mut Env::new(&env_config::process)));
    let config = match config {
        Ok(config) => config,
        Err(ConfigError(problems)) => {
            log::line(
                Level::Error,
                "refused to start: the configuration is invalid",
                [("problems", Value::from(problems))],
            );
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime
        .map_err(lambda_runtime::Error::from)
        .and_then(|runtime| {
            runtime.block_on(async {
                let handler = Arc::new(Box::pin(init(config)).await?);
                lambda_runtime::run(service_fn(move |event| {
                    let handler = Arc::clone(&handler);
                    async move { guarded(&*handler, event).await }
                }))
                .await
            })
        });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // From `init` or the runtime's own loop: it contains no event data.
            let cause = cause_of(error.as_ref());
            let error = ("error", Value::from(error.to_string()));
            let fields = std::iter::once(error).chain(log::cause(cause));
            log::line(Level::Error, "the runtime loop ended", fields);
            ExitCode::FAILURE
        }
    }
}

/// The cause in a chain of errors, if a dependency failed.
fn cause_of(error: &(dyn Error + 'static)) -> Option<Cause> {
    let mut error = Some(error);
    while let Some(link) = error {
        if let Some(cause) = link.downcast_ref() {
            return Some(*cause);
        }
        error = link.source();
    }
    None
}

async fn guarded<H: Handler>(
    handler: &H,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<H::Answer, InvocationError> {
    let (payload, context) = event.into_parts();
    let invocation = Invocation {
        request_id: context.request_id.clone(),
        trace_id: context.xray_trace_id,
    };
    let handling = Box::pin(handler.handle(&payload, &context.request_id));
    let handling = AssertUnwindSafe(handling).catch_unwind();
    let result = invocation.scope(handling).await;
    if H::WIPES_EVENTS {
        drop(Secret::new(Box::<str>::from(payload).into_string()));
    }
    result.unwrap_or(Err(InvocationError::Internal))
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
    fn a_failed_start_has_the_cause_of_its_dependency() {
        #[derive(Debug, thiserror::Error)]
        #[error("start")]
        struct StartError(#[source] auth::Unavailable);

        let failed = auth::Dependency::Legacy.unavailable(Cause::NotFound);
        assert_eq!(cause_of(&failed), Some(Cause::NotFound));
        assert_eq!(cause_of(&StartError(failed)), Some(Cause::NotFound));
        assert_eq!(cause_of(&std::fmt::Error), None);
    }

    #[test]
    fn errors_have_fixed_texts() {
        let text = |failure| Diagnostic::from(failure).error_message;
        assert_eq!(text(InvocationError::Unauthorized), "Unauthorized");
        assert_eq!(text(InvocationError::Internal), "Internal Server Error");
    }
}
