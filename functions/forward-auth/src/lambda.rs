//! The Lambda function: events of a function URL (payload format 2.0) and of an ALB target.
//! Source: AWS, "Invoking Lambda function URLs", request and response payload format; "Lambda functions as targets" of
//! Application Load Balancers.

use std::collections::BTreeMap;
use std::process::ExitCode;

use auth::{ApiKeyStore, KeySource, RevocationReader};
use env_config::ConfigError;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use runtime::{Handler, InvocationError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::config::Config;
use crate::dialect::Dialect;
use crate::phantom::WAITED_READ;
use crate::service::ForwardAuth;

/// Runs the Lambda function. See [`crate::server::run`] for the server.
#[must_use]
pub fn run_in_lambda(config: Result<Config, ConfigError>) -> ExitCode {
    runtime::run(config, ForwardAuth::connect_in_lambda)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    request_context: Context,
    // A function URL's.
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    // A load balancer's.
    http_method: Option<String>,
    path: Option<String>,
    query_string_parameters: Option<BTreeMap<String, String>>,
    multi_value_query_string_parameters: Option<BTreeMap<String, Vec<String>>>,
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    // Both.
    headers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Context {
    http: Option<Http>,
    elb: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

/// What invoked the function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    FunctionUrl,
    /// A target group, with or without multi-value headers.
    LoadBalancer {
        multi_value: bool,
    },
}

/// The response, in the format of the source. No `Debug`: `X-Auth-Token` is a credential.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LambdaAnswer {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    body: String,
    is_base64_encoded: bool,
}

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> Handler for ForwardAuth<K, R, A> {
    type Answer = LambdaAnswer;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<LambdaAnswer, InvocationError> {
        let event = serde_json::from_str(event.get()).ok();
        let request = event.and_then(|event: Event| event.request(self.dialect()));
        let (source, parts) = request.ok_or(InvocationError::Internal)?;
        // A frozen process runs no background task.
        self.follow_keys(WAITED_READ).await;
        let answer = self.answer(&parts, Some(request_id)).await;
        Ok(written(source, answer))
    }
}

impl Event {
    /// The request, unless it is not a valid one of HTTP.
    fn request(self, dialect: Dialect) -> Option<(Source, Parts)> {
        let (source, method, target) = match (&self.request_context.http, &self.request_context.elb)
        {
            (Some(http), None) => {
                let query = self
                    .raw_query_string
                    .clone()
                    .filter(|query| !query.is_empty());
                let path = self.raw_path.clone()?;
                (
                    Source::FunctionUrl,
                    http.method.clone(),
                    target(&path, query),
                )
            }
            (None, Some(_)) => {
                let multi_value = self.multi_value_headers.is_some();
                let source = Source::LoadBalancer { multi_value };
                let path = self.path.clone()?;
                (
                    source,
                    self.http_method.clone()?,
                    target(&path, self.query()),
                )
            }
            _ => return None,
        };
        let request = Request::builder().method(method.as_str()).uri(target);
        let mut parts = request.body(()).ok()?.into_parts().0;
        parts.headers = self.header_map(source, dialect)?;
        Some((source, parts))
    }

    /// A load balancer passes parameters as the client sent them, still escaped.
    fn query(&self) -> Option<String> {
        let single = self.query_string_parameters.iter().flatten();
        let several = self.multi_value_query_string_parameters.iter().flatten();
        let several =
            several.flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let pairs: Vec<String> = single
            .chain(several)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("&"))
    }

    fn header_map(self, source: Source, dialect: Dialect) -> Option<HeaderMap> {
        let mut map = HeaderMap::new();
        let mut add = |name: &str, value: &str| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
            Some(())
        };
        for (name, value) in self.headers.iter().flatten() {
            // A function URL joins repeated headers by commas. In a target a comma is valid, but not before its start.
            let is_target = dialect
                .target_header()
                .is_some_and(|target| name.eq_ignore_ascii_case(target));
            if source == Source::FunctionUrl && is_target {
                for part in repeated(value) {
                    add(name, part)?;
                }
            } else {
                add(name, value)?;
            }
        }
        let several = self.multi_value_headers.iter().flatten();
        for (name, value) in
            several.flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
        {
            add(name, value)?;
        }
        if let Some(cookies) = self.cookies.filter(|cookies| !cookies.is_empty()) {
            add("cookie", &cookies.join("; "))?;
        }
        Some(map)
    }
}

fn target(path: &str, query: Option<String>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// The values that were joined: a comma before a slash or a scheme may separate two targets, so they count as two, and
/// the request is refused.
fn repeated(value: &str) -> Vec<&str> {
    for start in [",/", ", /", ",http", ", http"] {
        if let Some(at) = value.find(start) {
            return vec![
                value.get(..at).unwrap_or_default(),
                value.get(at + 1..).unwrap_or_default(),
            ];
        }
    }
    vec![value]
}

fn written(source: Source, answer: Answer) -> LambdaAnswer {
    let (parts, body) = answer.into_parts();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts.headers.iter();
    let headers: BTreeMap<String, String> = headers
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    let (headers, multi_value_headers) = match source {
        Source::LoadBalancer { multi_value: true } => {
            let lists = headers.into_iter().map(|(name, value)| (name, vec![value]));
            (None, Some(lists.collect()))
        }
        Source::LoadBalancer { multi_value: false } | Source::FunctionUrl => (Some(headers), None),
    };
    let reason = parts.status.canonical_reason().unwrap_or_default();
    let description = format!("{} {reason}", parts.status.as_u16());
    LambdaAnswer {
        status_code: parts.status.as_u16(),
        status_description: Some(description).filter(|_| source != Source::FunctionUrl),
        headers,
        multi_value_headers,
        body,
        is_base64_encoded: false,
    }
}
