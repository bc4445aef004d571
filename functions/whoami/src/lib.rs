//! A sample backend: returns the authorizer's context about the caller.
//!
//! It shows what every backend behind the authorizer must do: refuse requests without the
//! authorizer's context. Then a route without an authorizer, or a gateway that bypasses it, exposes
//! nothing.

use lambda::http::Response;
use lambda::{Handler, InvocationError};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The function's handler.
pub struct Whoami;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    request_context: RequestContext,
}

#[derive(Deserialize)]
struct RequestContext {
    authorizer: Map<String, Value>,
}

impl Handler for Whoami {
    type Answer = Response;

    async fn handle(&self, event: &RawValue, _: &str) -> Result<Response, InvocationError> {
        Ok(answer(event))
    }
}

fn answer(event: &RawValue) -> Response {
    let context = serde_json::from_str::<Event>(event.get())
        .map(|event| event.request_context.authorizer)
        .unwrap_or_default();
    match context.get("principalId").and_then(Value::as_str) {
        Some(principal) if !principal.is_empty() => {
            Response::json(200, &json!({"principal": principal, "context": context}))
        }
        _ => Response::problem(401, "no_authorizer_context"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_without_the_authorizers_context() {
        let rows = [
            (
                r#"{"requestContext":{"authorizer":{"principalId":"u","sub":"u"}}}"#,
                200,
            ),
            (
                r#"{"requestContext":{"authorizer":{"principalId":""}}}"#,
                401,
            ),
            (r#"{"requestContext":{"authorizer":{"sub":"u"}}}"#, 401),
            (r#"{"requestContext":{"authorizer":null}}"#, 401),
            (r#"{"requestContext":{}}"#, 401),
            ("{}", 401),
            ("null", 401),
        ];
        for (event, status) in rows {
            let event: Box<RawValue> = serde_json::from_str(event).unwrap();
            assert_eq!(answer(&event).status(), status, "{event}");
        }
    }
}
