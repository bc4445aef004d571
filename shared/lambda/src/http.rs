//! Answers for API Gateway's proxy integration.
//! Source: AWS, "Output format of a Lambda function for proxy integration".

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

/// A response with a JSON body that nobody may cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    status_code: u16,
    headers: BTreeMap<&'static str, String>,
    body: String,
    is_base64_encoded: bool,
}

impl Response {
    /// `body` as JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::of_type("application/json; charset=utf-8", status, body)
    }

    /// Problem details (RFC 9457): the status says it all, `code` says which of our cases it is.
    #[must_use]
    pub fn problem(status: u16, title: &str, code: &str) -> Self {
        Self::of_type(
            "application/problem+json; charset=utf-8",
            status,
            &json!({"title": title, "status": status, "code": code}),
        )
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    fn of_type(content_type: &str, status_code: u16, body: &Value) -> Self {
        Self {
            status_code,
            headers: BTreeMap::new(),
            body: body.to_string(),
            is_base64_encoded: false,
        }
        .with("content-type", content_type)
        .with("cache-control", "no-store")
        .with("x-content-type-options", "nosniff")
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status_code
    }
}
