//! Requests and answers of API Gateway's proxy integration, REST or HTTP API.
//! Source: AWS, "Input format" and "Output format of a Lambda function for proxy integration".

use std::borrow::Cow;
use std::collections::BTreeMap;

use auth::Reason;
use auth::headers::{RawMap, single_value, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Larger than any request of ours, smaller than any trouble.
const MAX_BODY_BYTES: usize = 16 * 1024;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields<'a> {
    #[serde(borrow)]
    http_method: Option<&'a RawValue>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    route_key: Option<&'a RawValue>,
    #[serde(borrow)]
    path_parameters: RawMap<'a>,
    #[serde(borrow)]
    request_context: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: RawMap<'a>,
    #[serde(borrow)]
    multi_value_headers: RawMap<'a>,
    #[serde(borrow)]
    cookies: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    is_base64_encoded: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RequestContext<'a> {
    #[serde(borrow)]
    http: RawMap<'a>,
    #[serde(borrow)]
    identity: RawMap<'a>,
    #[serde(borrow)]
    authorizer: Option<&'a RawValue>,
}

/// A request, its members unread until they are asked for. What is no request has none.
pub struct Request<'a> {
    fields: Fields<'a>,
    context: RequestContext<'a>,
}

/// Why a request, its body first of all, is none that we answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Not what was asked for.
    #[error("bad_request")]
    Malformed,
    /// More than 16 KB.
    #[error("body_too_large")]
    TooLarge,
}

impl BadRequest {
    /// The status that says so.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::TooLarge => 413,
        }
    }
}

impl<'a> Request<'a> {
    /// Reads an event.
    #[must_use]
    pub fn read(json: &'a RawValue) -> Self {
        let fields: Fields<'a> = serde_json::from_str(json.get()).unwrap_or_default();
        let context = fields
            .request_context
            .and_then(|context| serde_json::from_str(context.get()).ok())
            .unwrap_or_default();
        Self { fields, context }
    }

    /// `GET`; empty if the event names none.
    #[must_use]
    pub fn method(&self) -> Cow<'a, str> {
        let rest = self.fields.http_method.and_then(text);
        rest.or_else(|| self.context.http.values("method").next().and_then(text))
            .unwrap_or_default()
    }

    /// The route's template, such as `/users/{id}`; empty if the event names none.
    #[must_use]
    pub fn route(&self) -> Cow<'a, str> {
        let rest = self.fields.resource.and_then(text);
        let http = || {
            let key = self.fields.route_key.and_then(text)?;
            Some(Cow::Owned(key.split_once(' ')?.1.to_owned()))
        };
        rest.or_else(http).unwrap_or_default()
    }

    /// A parameter of the path with its escapes undone: an HTTP API has done that already, a REST
    /// API has not.
    #[must_use]
    pub fn path_parameter(&self, name: &str) -> Option<String> {
        let value = self.fields.path_parameters.values(name).next()?;
        let value = text(value)?;
        let decoded = match self.fields.route_key {
            Some(_) => value.into_owned(),
            None => percent_decode_str(&value).decode_utf8().ok()?.into_owned(),
        };
        (!decoded.is_empty()).then_some(decoded)
    }

    /// The one value of a header.
    ///
    /// # Errors
    /// [`Reason::MissingToken`] without any, [`Reason::AmbiguousToken`] if there are several.
    pub fn header(&self, name: &str) -> Result<Cow<'a, str>, Reason> {
        single_value(&self.fields.headers, &self.fields.multi_value_headers, name)
    }

    /// The one cookie of this name (RFC 6265 section 4.2): payload 2.0 lists them, the others
    /// have a header.
    ///
    /// # Errors
    /// [`Reason::MissingToken`] without any, [`Reason::AmbiguousToken`] if there are several.
    pub fn cookie(&self, name: &str) -> Result<String, Reason> {
        auth::headers::cookie(self.fields.cookies, self.header("cookie"), name)
    }

    /// Where the request comes from, by API Gateway's word.
    #[must_use]
    pub fn source_ip(&self) -> Option<Cow<'a, str>> {
        let rest = self.context.identity.values("sourceIp").next();
        rest.or_else(|| self.context.http.values("sourceIp").next())
            .and_then(text)
    }

    /// What the authorizer found out; empty for a request that came past it.
    #[must_use]
    pub fn authorizer(&self) -> Map<String, Value> {
        let context = self.context.authorizer.map(RawValue::get);
        let context: Map<String, Value> = context
            .and_then(|context| serde_json::from_str(context).ok())
            .unwrap_or_default();
        // HTTP APIs with payload 2.0 wrap it once more.
        match context.get("lambda") {
            Some(Value::Object(inner)) => inner.clone(),
            _ => context,
        }
    }

    /// The body as JSON; no body at all reads as `{}`.
    ///
    /// # Errors
    /// [`BadRequest`] if it is not an object of this kind.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, BadRequest> {
        let body = self.body()?;
        let json = if body.is_empty() {
            b"{}"
        } else {
            body.as_slice()
        };
        if json.len() > MAX_BODY_BYTES {
            return Err(BadRequest::TooLarge);
        }
        let value = serde_json::from_slice(json).map_err(|_| BadRequest::Malformed)?;
        // A list would fill the members in their order.
        if json.trim_ascii_start().starts_with(b"{") {
            Ok(value)
        } else {
            Err(BadRequest::Malformed)
        }
    }

    fn body(&self) -> Result<Vec<u8>, BadRequest> {
        let Some(body) = self.fields.body.filter(|body| body.get() != "null") else {
            return Ok(Vec::new());
        };
        let body = text(body).ok_or(BadRequest::Malformed)?;
        match self.fields.is_base64_encoded.map(RawValue::get) {
            None | Some("false" | "null") => Ok(body.into_owned().into_bytes()),
            Some("true") => STANDARD.decode(&*body).map_err(|_| BadRequest::Malformed),
            Some(_) => Err(BadRequest::Malformed),
        }
    }
}

/// A response with a JSON body that nobody may cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    status_code: u16,
    headers: BTreeMap<&'static str, String>,
    /// For what may stand in an answer more than once: `set-cookie`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    multi_value_headers: BTreeMap<&'static str, Vec<String>>,
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
    /// The headers that HTTP asks for with a status are there (RFC 9110 section 15).
    #[must_use]
    pub fn problem(status: u16, code: &str) -> Self {
        let title = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            413 => "Content Too Large",
            429 => "Too Many Requests",
            503 => "Service Unavailable",
            _ => "Error",
        };
        let response = Self::of_type(
            "application/problem+json; charset=utf-8",
            status,
            &json!({"title": title, "status": status, "code": code}),
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

    /// Makes the browser forget a cookie of ours.
    #[must_use]
    pub fn without_cookie(mut self, name: &str) -> Self {
        let cookies = self.multi_value_headers.entry("set-cookie").or_default();
        cookies.push(format!(
            "{name}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"
        ));
        self
    }

    fn of_type(content_type: &str, status_code: u16, body: &Value) -> Self {
        Self {
            status_code,
            headers: BTreeMap::new(),
            multi_value_headers: BTreeMap::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_parameters_are_decoded_once() {
        let rows = [
            ("a%40b", Some("a@b")),
            ("a%2540b", Some("a%40b")),
            ("a+b", Some("a+b")),
            ("%", Some("%")),
            ("%zz", Some("%zz")),
            ("%ff", None),
            ("", None),
        ];
        for (value, expected) in rows {
            let event = json!({"pathParameters": {"id": value}}).to_string();
            let event: Box<RawValue> = serde_json::from_str(&event).unwrap();
            let request = Request::read(&event);
            assert_eq!(request.path_parameter("id").as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn the_authorizers_context_in_both_forms() {
        for (event, sub) in [
            (json!({"requestContext": {"authorizer": {"sub": "u"}}}), "u"),
            (
                json!({"requestContext": {"authorizer": {"lambda": {"sub": "u"}}}}),
                "u",
            ),
            (json!({"requestContext": {"authorizer": null}}), ""),
            (json!({"requestContext": 7}), ""),
            (json!(null), ""),
        ] {
            let text: Box<RawValue> = serde_json::from_str(&event.to_string()).unwrap();
            let context = Request::read(&text).authorizer();
            let found = context.get("sub").and_then(Value::as_str);
            assert_eq!(found.unwrap_or_default(), sub, "{event}");
        }
    }
}
