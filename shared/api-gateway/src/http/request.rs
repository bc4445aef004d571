//! Reads requests tolerantly.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::bearer;
pub use crate::headers::Sender;
use crate::headers::{RawMap, sender, single_value, text, trim};
use auth::DenyReason;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Upper bound for request bodies.
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
    path: Option<&'a RawValue>,
    #[serde(borrow)]
    raw_path: Option<&'a RawValue>,
    #[serde(borrow)]
    query_string_parameters: RawMap<'a>,
    #[serde(borrow)]
    multi_value_query_string_parameters: RawMap<'a>,
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
    #[serde(borrow)]
    stage: Option<&'a RawValue>,
    #[serde(borrow)]
    path: Option<&'a RawValue>,
    #[serde(borrow)]
    elb: Option<&'a RawValue>,
}

/// A request whose members are read on demand. Malformed events yield an empty request.
pub struct Request<'a> {
    fields: Fields<'a>,
    context: RequestContext<'a>,
}

/// The form of a load balancer's events, which that of the response must follow.
/// Source: AWS, "Lambda functions as targets of Application Load Balancers", "Multi-value headers".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadBalancer {
    /// The target group has multi-value headers.
    MultiValue,
    /// It has not: each header has one value, also `Set-Cookie` of the response.
    SingleValue,
}

/// Why a request was rejected before it reached a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The body or a parameter is missing or malformed.
    #[error("bad_request")]
    Malformed,
    /// More than 16 KB.
    #[error("body_too_large")]
    TooLarge,
    /// The body has an unsupported media type.
    #[error("unsupported_media_type")]
    MediaType,
}

impl RequestError {
    /// The HTTP status of the response.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::TooLarge => 413,
            Self::MediaType => 415,
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

    /// The method, such as `GET`; empty if the event has none.
    #[must_use]
    pub fn method(&self) -> Cow<'a, str> {
        let rest = self.fields.http_method.and_then(text);
        rest.or_else(|| self.context.http.values("method").next().and_then(text))
            .unwrap_or_default()
    }

    /// The route's template, such as `/users/{id}`; empty if the event has none.
    #[must_use]
    pub fn route(&self) -> Cow<'a, str> {
        let rest = self.fields.resource.and_then(text);
        let http = || {
            let key = self.fields.route_key.and_then(text)?;
            Some(Cow::Owned(key.split_once(' ')?.1.to_owned()))
        };
        rest.or_else(http).unwrap_or_default()
    }

    /// The requested route, such as `/auth/login`: the template, if API Gateway matched one that is
    /// no catch-all and that ends the path; else the path, without the stage that an HTTP API puts
    /// before it. The path is not normalized: an additional slash makes a different path.
    #[must_use]
    pub fn target(&self) -> Cow<'a, str> {
        let path = self.fields.path.and_then(text);
        let path = path.or_else(|| self.fields.raw_path.and_then(text));
        let route = self.route();
        let is_literal = route.starts_with('/') && !route.contains(['{', '$']);
        match path {
            None => route,
            // A custom domain's base path precedes the route.
            Some(path) if is_literal && path.ends_with(&*route) => route,
            Some(path) => {
                let stage = self.context.stage.and_then(text).unwrap_or_default();
                let rest = path.strip_prefix('/').and_then(|rest| {
                    let rest = rest.strip_prefix(&*stage)?;
                    (self.fields.raw_path.is_some() && rest.starts_with('/')).then_some(rest)
                });
                match rest {
                    Some(rest) if !stage.is_empty() => Cow::Owned(rest.to_owned()),
                    _ => path,
                }
            }
        }
    }

    /// Whether the event is of payload format 2.0, whose path is `rawPath`.
    #[must_use]
    pub fn is_of_payload_2(&self) -> bool {
        self.fields.raw_path.is_some()
    }

    /// The load balancer that sent the event; `None` for API Gateway and function URLs.
    #[must_use]
    pub fn load_balancer(&self) -> Option<LoadBalancer> {
        self.context.elb?;
        // Each request has headers: `Host`, or `User-Agent` of a health check.
        Some(if self.fields.multi_value_headers.is_empty() {
            LoadBalancer::SingleValue
        } else {
            LoadBalancer::MultiValue
        })
    }

    /// The part of the client's path before the route: a stage, or a custom domain's base path.
    /// Empty if the route starts the path, or if the part has unusual characters.
    #[must_use]
    pub fn base_path(&self) -> String {
        let path = self.context.path.and_then(text);
        let path = path.or_else(|| self.fields.raw_path.and_then(text));
        let path = path.or_else(|| self.fields.path.and_then(text));
        let target = self.target();
        let base = path.as_deref().and_then(|path| {
            let base = path.strip_suffix(&*target)?;
            // Behind a load balancer or a catch-all the route is the whole path.
            let end = base.len() + target.find("/auth/")?;
            path.get(..end)
        });
        let is_plain = |base: &&str| {
            let part = |part: &str| {
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
                !part.is_empty() && part.bytes().all(plain)
            };
            base.strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(part))
        };
        base.filter(is_plain).unwrap_or_default().to_owned()
    }

    /// A query parameter, percent-decoded: only a load balancer sends it encoded.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        if self.load_balancer() == Some(LoadBalancer::MultiValue) {
            let lists = &self.fields.multi_value_query_string_parameters;
            let list = lists.values(name).next()?;
            let list: Vec<Cow<'_, str>> = serde_json::from_str(list.get()).ok()?;
            // The one that a load balancer sends without multi-value headers.
            return decode_form(list.last()?);
        }
        let value = self.fields.query_string_parameters.values(name).next()?;
        let value = text(value)?;
        match self.context.elb {
            None => Some(value.into_owned()),
            Some(_) => decode_form(&value),
        }
    }

    /// A path parameter, percent-decoded: a REST API sends it encoded, an HTTP API does not.
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

    /// The single value of a header.
    ///
    /// # Errors
    /// [`DenyReason::MissingToken`] without any, [`DenyReason::AmbiguousToken`] if there are several.
    pub fn header(&self, name: &str) -> Result<Cow<'a, str>, DenyReason> {
        single_value(&self.fields.headers, &self.fields.multi_value_headers, name)
    }

    /// The single cookie of this name (RFC 6265 section 4.2): payload 2.0 lists cookies, other
    /// events have a header.
    ///
    /// # Errors
    /// [`DenyReason::MissingToken`] without any, [`DenyReason::AmbiguousToken`] if there are several.
    pub fn cookie(&self, name: &str) -> Result<String, DenyReason> {
        crate::headers::cookie(self.fields.cookies, self.header("cookie"), name)
    }

    /// The bearer token, from `Authorization` or from the cookie of this name; two tokens are
    /// rejected.
    ///
    /// # Errors
    /// [`DenyReason::MissingToken`], [`DenyReason::AmbiguousToken`], or the token's own error.
    pub fn token(&self, cookie: Option<&str>) -> Result<String, DenyReason> {
        let header = self.header("authorization").and_then(|value| {
            let token = bearer::token_of(&value)?;
            Ok(token.to_owned())
        });
        let Some(name) = cookie else {
            return header;
        };
        let cookie = self.cookie(name).and_then(|value| {
            bearer::check(&value)?;
            Ok(value)
        });
        match (header, cookie) {
            (Err(DenyReason::MissingToken), other) | (other, Err(DenyReason::MissingToken)) => {
                other
            }
            (Ok(_), Ok(_)) => Err(DenyReason::AmbiguousToken),
            (Err(reason), _) | (_, Err(reason)) => Err(reason),
        }
    }

    /// The origin that the browser reports: `Origin` or, without it, `Sec-Fetch-Site`.
    #[must_use]
    pub fn sender(&self, known_origins: &[String]) -> Sender {
        let (origin, site) = (self.header("origin"), self.header("sec-fetch-site"));
        sender(&origin, &site, known_origins)
    }

    /// The source IP address that API Gateway reports or, behind a load balancer, the last address
    /// of `X-Forwarded-For`, which the load balancer adds.
    #[must_use]
    pub fn source_ip(&self) -> Option<Cow<'a, str>> {
        let rest = self.context.identity.values("sourceIp").next();
        let gateway = rest.or_else(|| self.context.http.values("sourceIp").next());
        gateway.and_then(text).or_else(|| {
            self.context.elb?;
            let addresses = self.header("x-forwarded-for").ok()?;
            let last = trim(addresses.rsplit(',').next()?).to_owned();
            (!last.is_empty()).then_some(Cow::Owned(last))
        })
    }

    /// The authorizer's context; empty if the request did not come through the authorizer.
    #[must_use]
    pub fn authorizer(&self) -> Map<String, Value> {
        let context = self.context.authorizer.map(RawValue::get);
        let context: Map<String, Value> = context
            .and_then(|context| serde_json::from_str(context).ok())
            .unwrap_or_default();
        // HTTP APIs with payload 2.0 wrap it in an object.
        match context.get("lambda") {
            Some(Value::Object(inner)) => inner.clone(),
            _ => context,
        }
    }

    /// The body as JSON; no body at all reads as `{}`.
    ///
    /// # Errors
    /// [`RequestError`] if it is not an object of this kind.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, RequestError> {
        let body = self.body()?;
        let json = if body.is_empty() {
            b"{}"
        } else {
            body.as_slice()
        };
        if json.len() > MAX_BODY_BYTES {
            return Err(RequestError::TooLarge);
        }
        let value = serde_json::from_slice(json).map_err(|_| RequestError::Malformed)?;
        // Serde would fill the members from an array in order.
        if json.trim_ascii_start().starts_with(b"{") {
            Ok(value)
        } else {
            Err(RequestError::Malformed)
        }
    }

    /// The body as JSON, if its media type is JSON; a missing body reads as `{}`. A page of another
    /// origin cannot send this type without a CORS preflight (Fetch, "CORS-safelisted
    /// request-header").
    ///
    /// # Errors
    /// [`RequestError`] if it has another type, or is not an object of this kind.
    pub fn typed_json<T: serde::de::DeserializeOwned>(&self) -> Result<T, RequestError> {
        if self.is_empty() || self.is_of_type("application/json") {
            self.json()
        } else {
            Err(RequestError::MediaType)
        }
    }

    /// Whether the body is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let body = self.fields.body.map(RawValue::get);
        matches!(body, None | Some("null" | "\"\""))
    }

    /// The fields of a URL-encoded HTML form.
    ///
    /// # Errors
    /// [`RequestError`] if the body is not such a form, or repeats a name.
    pub fn form(&self) -> Result<BTreeMap<String, String>, RequestError> {
        let body = self.body()?;
        if body.len() > MAX_BODY_BYTES {
            return Err(RequestError::TooLarge);
        }
        let body = String::from_utf8(body).map_err(|_| RequestError::Malformed)?;
        let mut fields = BTreeMap::new();
        for pair in body.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let field = decode_form(name).zip(decode_form(value));
            let (name, value) = field.ok_or(RequestError::Malformed)?;
            if fields.insert(name, value).is_some() {
                return Err(RequestError::Malformed);
            }
        }
        Ok(fields)
    }

    /// Whether the body is of this media type, in UTF-8 and not compressed (RFC 9110 section 8.3).
    #[must_use]
    pub fn is_of_type(&self, media_type: &str) -> bool {
        let encoding = self.header("content-encoding");
        if !matches!(
            encoding.as_deref(),
            Ok("identity") | Err(DenyReason::MissingToken)
        ) {
            return false;
        }
        let Ok(content_type) = self.header("content-type") else {
            return false;
        };
        let mut parts = content_type.split(';').map(trim);
        let is_type = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(media_type));
        is_type
            && parts.all(|parameter| {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                !name.eq_ignore_ascii_case("charset")
                    || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            })
    }

    fn body(&self) -> Result<Vec<u8>, RequestError> {
        let Some(body) = self.fields.body.filter(|body| body.get() != "null") else {
            return Ok(Vec::new());
        };
        let body = text(body).ok_or(RequestError::Malformed)?;
        match self.fields.is_base64_encoded.map(RawValue::get) {
            None | Some("false" | "null") => Ok(body.into_owned().into_bytes()),
            Some("true") => STANDARD.decode(&*body).map_err(|_| RequestError::Malformed),
            Some(_) => Err(RequestError::Malformed),
        }
    }
}

/// `application/x-www-form-urlencoded` (URL standard): `+` is a space.
fn decode_form(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
    fn reads_both_forms_of_the_authorizers_context() {
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
