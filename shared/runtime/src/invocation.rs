//! The invocation that the current task handles, for lines and spans that are written far from its handler.

use std::future::Future;

use lambda_runtime::Context;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Span};

use crate::InvocationError;

/// The ids of one invocation.
#[derive(Clone)]
pub(crate) struct Invocation {
    /// Lambda's request id.
    pub(crate) request_id: String,
    /// X-Ray's trace id, if Lambda sent one.
    pub(crate) trace_id: Option<String>,
}

tokio::task_local! {
    static INVOCATION: Invocation;
}

impl Invocation {
    pub(crate) fn of(context: &Context) -> Self {
        let header = context.xray_trace_id.as_deref();
        Self {
            request_id: context.request_id.clone(),
            trace_id: header.and_then(trace_id).map(str::to_owned),
        }
    }

    /// Runs `handling` as this invocation, in its span.
    ///
    /// The span's `result` is `answered`, `unauthorized`, `refused` or `failed`; [`record_outcome`] adds the
    /// function's own words.
    pub(crate) async fn scope<T>(
        self,
        span: Span,
        handling: impl Future<Output = Result<T, InvocationError>>,
    ) -> Result<T, InvocationError> {
        let result = INVOCATION
            .scope(self, handling)
            .instrument(span.clone())
            .await;
        if !span.is_disabled() {
            let word = match &result {
                Ok(_) => "answered",
                Err(InvocationError::Unauthorized) => "unauthorized",
                Err(InvocationError::Refused(_)) => "refused",
                Err(InvocationError::Internal) => "failed",
            };
            span.record("result", word);
            if word == "failed" {
                span.record("otel.status_code", "ERROR");
            }
        }
        result
    }

    pub(crate) fn span(&self) -> Span {
        let function = || crate::log::function_name().unwrap_or("function");
        tracing::info_span!(
            target: "gatehouse",
            "invocation",
            otel.name = function(),
            otel.kind = "server",
            otel.status_code = Empty,
            function = function(),
            request_id = self.request_id,
            trace_id = self.trace_id,
            result = Empty,
            outcome = Empty,
            reason = Empty,
            cause = Empty,
        )
    }
}

/// The current invocation; `None` during init, and in tasks that outlive an invocation.
pub(crate) fn current() -> Option<Invocation> {
    INVOCATION.try_with(Clone::clone).ok()
}

/// Adds `value`, a word from a closed list, to the current invocation's span: as its `outcome`, `reason` or
/// `cause`.
pub(crate) fn record(field: &'static str, value: &str) {
    // Without a subscriber for spans, this is a load of a constant's address.
    if LevelFilter::current() >= LevelFilter::INFO {
        Span::current().record(field, value);
    }
}

/// The trace id in X-Ray's header, such as `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=..;Sampled=1`.
/// The header may also contain what a client sent: only an id is taken from it.
/// Source: AWS X-Ray, "Tracing header".
fn trace_id(header: &str) -> Option<&str> {
    let mut parts = header.split(';').map(str::trim);
    let root = parts.find_map(|part| part.strip_prefix("Root="))?;
    let has_form = root.len() == 35
        && root.bytes().enumerate().all(|(at, byte)| match at {
            0 => byte == b'1',
            1 | 10 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    has_form.then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_is_taken_from_the_header() {
        const ID: &str = "1-5759e988-bd862e3fe1be46a994272793";
        let root = format!("Root={ID}");
        for header in [
            root.clone(),
            format!("{root};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=25:3b7a:0"),
            format!("Self=1-67891234-12456789abcdef012345678; {root} ;mail=ada@example.com"),
        ] {
            assert_eq!(trace_id(&header), Some(ID), "{header}");
        }
        for header in [
            "",
            "Root=",
            ID,
            "root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=2-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a99427279",
            "Root=1-5759e988-bd862e3fe1be46a9942727930",
            "Root=1-5759e988-bd862e3fe1be46a99427279g",
            "Root=1-5759e988bd862e3fe1be46a994272793--",
            "Root=1-ada@example.com-1234567890123456789",
            "Root=1-5759e988-bd862e3fe1be46a99427279\u{e9}",
        ] {
            assert_eq!(trace_id(header), None, "{header}");
        }
    }
}
