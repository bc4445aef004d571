//! Responses.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{LoadBalancer, Request};

const SET_COOKIE: &str = "set-cookie";

/// A response that must not be cached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    status_code: u16,
    /// A load balancer's reason phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'static str, String>,
    /// Headers that may occur more than once: `set-cookie`; to a load balancer with multi-value headers all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    multi_value_headers: BTreeMap<&'static str, Vec<String>>,
    /// The cookies in payload 2.0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    body: String,
    is_base64_encoded: bool,
}

impl Response {
    /// `body` as JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::of_type("application/json; charset=utf-8", status, body)
    }

    /// Problem details (RFC 9457): `code` names the cause within the status. Includes the headers
    /// that HTTP requires for a status (RFC 9110 section 15).
    #[must_use]
    pub fn problem(status: u16, code: &str) -> Self {
        let title = reason_phrase(status);
        let response = Self::of_type(
            "application/problem+json; charset=utf-8",
            status,
            json!({"title": title, "status": status, "code": code}),
        );
        match status {
            401 => response.with("www-authenticate", "Bearer"),
            429 | 503 => response.with("retry-after", "1"),
            _ => response,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    /// Deletes a cookie in the browser.
    #[must_use]
    pub fn without_cookie(self, name: &str) -> Self {
        self.with_cookie(name, "", 0)
    }

    /// Sets a cookie that no script can read and no other site can send (RFC 6265bis section 5.6).
    #[must_use]
    pub fn with_cookie(self, name: &str, value: &str, max_age_seconds: u64) -> Self {
        self.with_cookie_at("/", name, value, max_age_seconds)
    }

    /// The same for requests to `path` and below.
    #[must_use]
    pub fn with_cookie_at(self, path: &str, name: &str, value: &str, max_age_seconds: u64) -> Self {
        self.set_cookie(format!(
            "{name}={value}; Path={path}; Secure; HttpOnly; SameSite=Strict; Max-Age={max_age_seconds}"
        ))
    }

    /// Sets a cookie that no script can read, and that the browser also sends when the user follows a link from another
    /// site: with GET alone, as `SameSite=Lax` says.
    #[must_use]
    pub fn with_lax_cookie(self, name: &str, value: &str, max_age_seconds: u64) -> Self {
        self.set_cookie(format!(
            "{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age_seconds}"
        ))
    }

    fn set_cookie(mut self, cookie: String) -> Self {
        let cookies = self.multi_value_headers.entry(SET_COOKIE).or_default();
        cookies.push(cookie);
        self
    }

    /// The response in the format that the sender of the request reads. HTTP APIs with payload 2.0 and function URLs take
    /// cookies from a separate list, and ignore headers with several values. A load balancer reads `multiValueHeaders`
    /// alone if its target group has multi-value headers, otherwise `headers` alone: several cookies do not fit then, and
    /// the response is an error instead.
    #[must_use]
    pub fn in_answer_to(mut self, request: &Request<'_>) -> Self {
        if request.is_of_payload_2() {
            let cookies = self.multi_value_headers.remove(SET_COOKIE);
            self.cookies.extend(cookies.unwrap_or_default());
        }
        match request.load_balancer() {
            None => self,
            Some(LoadBalancer::MultiValue) => {
                for (name, value) in std::mem::take(&mut self.headers) {
                    self.multi_value_headers.insert(name, vec![value]);
                }
                self.described()
            }
            Some(LoadBalancer::SingleValue) => {
                let cookies = self.multi_value_headers.remove(SET_COOKIE);
                let mut cookies = cookies.into_iter().flatten();
                if let Some(cookie) = cookies.next() {
                    self.headers.insert(SET_COOKIE, cookie);
                }
                match cookies.next() {
                    None => self.described(),
                    Some(_) => Self::multi_value_headers_needed().described(),
                }
            }
        }
    }

    /// The error of a function that sets cookies, in a target group without multi-value headers.
    #[must_use]
    pub fn multi_value_headers_needed() -> Self {
        Self::problem(500, "multi_value_headers_needed")
    }

    fn described(mut self) -> Self {
        let status = self.status_code;
        self.status_description = Some(format!("{status} {}", reason_phrase(status)));
        self
    }

    /// An HTML page.
    #[must_use]
    pub fn html(status: u16, page: String) -> Self {
        Self::of_type("text/html; charset=utf-8", status, page)
    }

    /// [`Response::problem`] with a text for people.
    #[must_use]
    pub fn problem_with(status: u16, code: &str, detail: &str) -> Self {
        Self::problem(status, code).with_member("detail", detail)
    }

    /// Adds a member to a body that is a JSON object.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: &str) -> Self {
        if let Ok(Value::Object(mut body)) = serde_json::from_str(&self.body) {
            body.insert(name.to_owned(), value.into());
            self.body = Value::Object(body).to_string();
        }
        self
    }

    fn of_type(content_type: &str, status_code: u16, body: impl ToString) -> Self {
        Self {
            status_code,
            status_description: None,
            headers: BTreeMap::new(),
            multi_value_headers: BTreeMap::new(),
            cookies: Vec::new(),
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

/// The reason phrase of a status that the functions send.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Error",
    }
}
