//! Lenient parser for the Lambda authorizer events of every kind of API.
//!
//! The types replace those of `aws_lambda_events`, which rejects events that API Gateway does send:
//! a header with a line break, a `null` among the values. Here, a member of an unexpected type
//! counts as absent, and an absent member leads to a refusal.
//! Source: AWS, "Input to an API Gateway Lambda authorizer"; "AWS Lambda authorizers" for HTTP
//! APIs; "`AWS_LAMBDA` authorization" for AppSync.

use std::borrow::Cow;
use std::collections::BTreeMap;

use api_gateway::headers::{RawMap, Sender, single_value, text};
use api_gateway::{ArnError, MethodArn, bearer, headers, path};
use auth::DenyReason;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::{ApiKeyHeader, TokenSource, TokenSources};

/// The kind of API that sent the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// REST API, `TOKEN` authorizer.
    Token,
    /// REST API, `REQUEST` authorizer, or HTTP API with payload 1.0.
    Request,
    /// WebSocket API, `$connect`.
    WebSocket,
    /// HTTP API with payload 2.0.
    Http,
    /// AppSync.
    AppSync,
}

/// An event whose members are parsed on demand.
pub struct Event<'a> {
    kind: Kind,
    fields: Fields<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    authorization_token: Option<&'a RawValue>,
    #[serde(borrow)]
    method_arn: Option<&'a RawValue>,
    #[serde(borrow)]
    route_arn: Option<&'a RawValue>,
    #[serde(borrow)]
    route_key: Option<&'a RawValue>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: RawMap<'a>,
    #[serde(borrow)]
    multi_value_headers: RawMap<'a>,
    #[serde(borrow)]
    query_string_parameters: RawMap<'a>,
    #[serde(borrow)]
    multi_value_query_string_parameters: RawMap<'a>,
    #[serde(borrow)]
    path_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    cookies: Option<&'a RawValue>,
    #[serde(borrow)]
    request_context: Option<&'a RawValue>,
    #[serde(borrow)]
    request_headers: Option<&'a RawValue>,
}

/// A caller's credential. No `Debug`: it is a secret.
pub enum Credential<'a> {
    /// A bearer token that the client put into the request.
    Token(Cow<'a, str>),
    /// A bearer token from a cookie, which a browser adds to requests of any page.
    Cookie(Cow<'a, str>),
    /// An API key.
    ApiKey(Cow<'a, str>),
}

/// The `Authorization` scheme for API keys.
const API_KEY_SCHEME: &str = "ApiKey";

/// The API method that the client called.
pub struct Method<'e> {
    /// The parsed ARN; `None` for AppSync.
    pub arn: Option<MethodArn<'e>>,
    /// `GET`, or `$connect`.
    pub verb: Cow<'e, str>,
    /// The route's template, if the event contains it.
    pub template: Option<Cow<'e, str>>,
    /// The path, if Cedar policies need it.
    pub path: Path,
}

/// The client's path.
#[derive(Debug, PartialEq, Eq)]
pub enum Path {
    /// The template suffices, or the event has no path.
    Unasked,
    /// The normalized path.
    Plain(String),
    /// The path is ambiguous.
    Unclear,
}

impl Method<'_> {
    /// The route's template if the event contains it, otherwise the path; for a WebSocket, the
    /// verb.
    #[must_use]
    pub fn route(&self) -> &str {
        match (&self.template, &self.path) {
            (Some(template), _) => template,
            (None, Path::Plain(path)) => path,
            (None, Path::Unasked | Path::Unclear) => &self.verb,
        }
    }
}

impl<'a> Event<'a> {
    /// Parses an event. Any other JSON gives an event without members, which is refused later.
    #[must_use]
    pub fn read(json: &'a RawValue) -> Self {
        let fields: Fields<'a> = serde_json::from_str(json.get()).unwrap_or_default();
        let kind = fields.kind();
        Self { kind, fields }
    }

    /// The kind of API that sent the event.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The only credential: a token, or an API key if API keys are enabled.
    ///
    /// # Errors
    /// No credential, several, or a malformed one.
    pub fn credential(
        &self,
        sources: &TokenSources,
        api_keys: Option<&ApiKeyHeader>,
    ) -> Result<Credential<'a>, DenyReason> {
        let key = api_keys.map_or(Err(DenyReason::MissingToken), |header| self.api_key(header));
        match key {
            Err(DenyReason::MissingToken) => self.token(sources),
            Err(reason) => Err(reason),
            Ok(_) if self.has_token_too(sources, api_keys) => Err(DenyReason::AmbiguousToken),
            Ok(key) => Ok(Credential::ApiKey(key)),
        }
    }

    fn api_key(&self, header: &ApiKeyHeader) -> Result<Cow<'a, str>, DenyReason> {
        let value = match (self.kind, header) {
            (Kind::Token | Kind::AppSync, ApiKeyHeader::Named(_)) => Err(DenyReason::MissingToken),
            (Kind::Token | Kind::AppSync, ApiKeyHeader::Authorization) => {
                self.authorization_token()
            }
            (_, ApiKeyHeader::Authorization) => self.header("authorization"),
            (_, ApiKeyHeader::Named(name)) => self.header(name),
        }?;
        match header {
            ApiKeyHeader::Named(_) if value.is_empty() => Err(DenyReason::MissingToken),
            ApiKeyHeader::Named(_) => Ok(value),
            ApiKeyHeader::Authorization if bearer::has_scheme(&value, API_KEY_SCHEME) => {
                bearer::credential_of(&value, API_KEY_SCHEME).map(|key| Cow::Owned(key.to_owned()))
            }
            ApiKeyHeader::Authorization => Err(DenyReason::MissingToken),
        }
    }

    /// Whether a request with an API key also has a value in any place of a token.
    fn has_token_too(&self, sources: &TokenSources, api_keys: Option<&ApiKeyHeader>) -> bool {
        let web_socket = self.kind == Kind::WebSocket;
        let is_the_key_itself = |source: TokenSource| {
            source == TokenSource::Header && api_keys == Some(&ApiKeyHeader::Authorization)
        };
        match self.kind {
            Kind::Token | Kind::AppSync => false,
            Kind::Request | Kind::Http | Kind::WebSocket => {
                let mut places = sources
                    .to_try(web_socket)
                    .chain(sources.must_be_empty(web_socket))
                    .filter(|source| !is_the_key_itself(*source));
                (self.may_be_a_token_event() && self.authorization_token().is_ok())
                    || places.any(|source| {
                        self.token_from(source, sources) != Err(DenyReason::MissingToken)
                    })
            }
        }
    }

    /// The token, from the only source that has one.
    ///
    /// # Errors
    /// No token, several, or a value that is not a bearer token.
    pub fn token(&self, sources: &TokenSources) -> Result<Credential<'a>, DenyReason> {
        match self.kind {
            Kind::Token => token_in(self.authorization_token()?).map(Credential::Token),
            Kind::AppSync => {
                // AppSync's clients send the token without a scheme.
                let value = self.authorization_token()?;
                let token = match bearer::check(&value) {
                    Ok(()) => Ok(value),
                    Err(_) => token_in(value),
                };
                token.map(Credential::Token)
            }
            Kind::Request | Kind::Http | Kind::WebSocket => self.token_of_request(sources),
        }
    }

    fn token_of_request(&self, sources: &TokenSources) -> Result<Credential<'a>, DenyReason> {
        let web_socket = self.kind == Kind::WebSocket;
        let mut found = None;
        let mut of_a_cookie = false;
        for source in sources.to_try(web_socket) {
            match (self.token_from(source, sources), &found) {
                (Err(DenyReason::MissingToken), _) => {}
                (Err(reason), _) => return Err(reason),
                (Ok(_), Some(_)) => return Err(DenyReason::AmbiguousToken),
                (Ok(token), None) => {
                    found = Some(token);
                    of_a_cookie = source == TokenSource::Cookie;
                }
            }
        }
        if let Some(source) = sources.must_be_empty(web_socket)
            && self.token_from(source, sources) != Err(DenyReason::MissingToken)
        {
            return Err(DenyReason::AmbiguousToken);
        }
        // An event with both is ambiguous.
        if self.may_be_a_token_event() {
            match (self.authorization_token().and_then(token_in), &found) {
                (Ok(one), Some(other)) if one != *other => return Err(DenyReason::AmbiguousToken),
                (Ok(one), _) => found = Some(one),
                (Err(_), _) => {}
            }
        }
        let token = found.ok_or(DenyReason::MissingToken)?;
        Ok(if of_a_cookie {
            Credential::Cookie(token)
        } else {
            Credential::Token(token)
        })
    }

    fn token_from(
        &self,
        source: TokenSource,
        sources: &TokenSources,
    ) -> Result<Cow<'a, str>, DenyReason> {
        match source {
            TokenSource::Header => token_in(self.header("authorization")?),
            TokenSource::Query => {
                let value = single_value(
                    &self.fields.query_string_parameters,
                    &self.fields.multi_value_query_string_parameters,
                    "access_token",
                )?;
                bearer::check(&value).map(|()| value)
            }
            TokenSource::Cookie => {
                let value = self.cookie(&sources.cookie)?;
                bearer::check(&value).map(|()| Cow::Owned(value))
            }
            TokenSource::Subprotocol => {
                // `new WebSocket(url, ["bearer", token])`
                let offered = self.header("sec-websocket-protocol")?;
                let mut offered = offered.split(',').map(str::trim);
                match (offered.next(), offered.next(), offered.next()) {
                    (Some("bearer"), Some(token), None) => {
                        bearer::check(token).map(|()| Cow::Owned(token.to_owned()))
                    }
                    (Some("bearer"), _, _) => Err(DenyReason::AmbiguousToken),
                    _ => Err(DenyReason::MissingToken),
                }
            }
        }
    }

    /// An event without a type may be of either kind.
    fn may_be_a_token_event(&self) -> bool {
        self.fields.r#type.is_none() && self.fields.version.is_none()
    }

    fn authorization_token(&self) -> Result<Cow<'a, str>, DenyReason> {
        let value = self.fields.authorization_token.and_then(text);
        value.ok_or(DenyReason::MissingToken)
    }

    fn header(&self, name: &str) -> Result<Cow<'a, str>, DenyReason> {
        single_value(&self.fields.headers, &self.fields.multi_value_headers, name)
    }

    fn cookie(&self, name: &str) -> Result<String, DenyReason> {
        headers::cookie(self.fields.cookies, self.header("cookie"), name)
    }

    /// Whether a page of another origin opens this WebSocket. Clients that send no `Origin` are not
    /// browsers.
    #[must_use]
    pub fn is_from_elsewhere(&self, allowed_origins: &[String]) -> bool {
        if self.kind != Kind::WebSocket || allowed_origins.is_empty() {
            return false;
        }
        match self.header("origin") {
            Ok(origin) => !allowed_origins.iter().any(|allowed| *allowed == origin),
            Err(DenyReason::MissingToken) => false,
            Err(_) => true,
        }
    }

    /// Whether a page of an unknown origin may have sent this state-changing request, to which the
    /// browser adds the cookie. True also if the browser does not report the origin.
    #[must_use]
    pub fn may_be_forged(&self, verb: &str, allowed_origins: &[String]) -> bool {
        let reads_only = matches!(verb, "GET" | "HEAD" | "OPTIONS");
        if reads_only || self.kind == Kind::WebSocket {
            return false;
        }
        let (origin, site) = (self.header("origin"), self.header("sec-fetch-site"));
        headers::sender(&origin, &site, allowed_origins) != Sender::Known
    }

    /// The ARN of the method that the client called, for [`Event::method`].
    #[must_use]
    pub fn method_arn(&self) -> Cow<'a, str> {
        let arn = match self.kind {
            Kind::Http => self.fields.route_arn,
            Kind::Token | Kind::Request | Kind::WebSocket | Kind::AppSync => self.fields.method_arn,
        };
        arn.and_then(text).unwrap_or_default()
    }

    /// The method that the client called. A policy that names a route must apply to every request
    /// to it: without a template, or with one that does not fix the path, the path is used too.
    ///
    /// # Errors
    /// [`ArnError`] if the event names no valid method.
    pub fn method<'e>(&self, method_arn: &'e str) -> Result<Method<'e>, ArnError>
    where
        'a: 'e,
    {
        if self.kind == Kind::AppSync {
            return Ok(Method {
                arn: None,
                verb: Cow::Borrowed("POST"),
                template: Some(Cow::Borrowed("/graphql")),
                path: Path::Unasked,
            });
        }
        let arn = MethodArn::parse(method_arn)?;
        let template = match self.kind {
            Kind::Request => self.fields.resource.and_then(text),
            Kind::Http => self
                .fields
                .route_key
                .and_then(text)
                .and_then(|key| Some(key.split_once(' ')?.1.to_owned()))
                .map(Cow::Owned),
            Kind::Token | Kind::WebSocket | Kind::AppSync => None,
        };
        let template: Option<Cow<'e, str>> = template.filter(|route| route.starts_with('/'));
        let is_open = template.as_deref().is_none_or(path::is_open);
        let path = match arn.untrusted_path().filter(|_| is_open) {
            Some(path) => path::normalize_path(path).map_or(Path::Unclear, Path::Plain),
            None => Path::Unasked,
        };
        Ok(Method {
            verb: Cow::Borrowed(arn.verb()),
            arn: Some(arn),
            template,
            path,
        })
    }

    /// The values of the route's parameters, which the client chooses.
    #[must_use]
    pub fn path_parameters(&self) -> Vec<(String, String)> {
        let parameters: Option<BTreeMap<String, String>> = self
            .fields
            .path_parameters
            .and_then(|parameters| serde_json::from_str(parameters.get()).ok());
        parameters.into_iter().flatten().collect()
    }

    /// The client's IP address, as API Gateway reports it.
    #[must_use]
    pub fn source_ip(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Context {
            identity: Option<Source>,
            http: Option<Source>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Source {
            source_ip: Option<String>,
        }

        let context: Context = serde_json::from_str(self.fields.request_context?.get()).ok()?;
        let source = context.identity.or(context.http)?;
        source.source_ip
    }
}

impl Fields<'_> {
    fn kind(&self) -> Kind {
        let named = self.r#type.and_then(text);
        let version = self.version.and_then(text);
        let has = |member: Option<&RawValue>| member.and_then(text).is_some();
        match (named.as_deref(), version.as_deref()) {
            (Some("TOKEN"), _) => Kind::Token,
            (_, Some("2.0")) => Kind::Http,
            (Some("REQUEST"), _) => self.request_kind(),
            _ if has(self.route_arn) => Kind::Http,
            _ if has(self.authorization_token) && !has(self.method_arn) && self.is_app_sync() => {
                Kind::AppSync
            }
            _ if has(self.authorization_token) && self.headers.is_empty() => Kind::Token,
            _ => self.request_kind(),
        }
    }

    fn request_kind(&self) -> Kind {
        let arn = self.method_arn.and_then(text);
        if arn.is_some_and(|arn| arn.ends_with("/$connect")) {
            Kind::WebSocket
        } else {
            Kind::Request
        }
    }

    /// AppSync's events have neither a type nor a method, but a GraphQL query.
    fn is_app_sync(&self) -> bool {
        let context: Option<RawMap<'_>> = self
            .request_context
            .and_then(|context| serde_json::from_str(context.get()).ok());
        let query = context.is_some_and(|context| context.values("queryString").next().is_some());
        self.r#type.is_none() && (self.request_headers.is_some() || query)
    }
}

fn token_in(authorization: Cow<'_, str>) -> Result<Cow<'_, str>, DenyReason> {
    match authorization {
        Cow::Borrowed(value) => bearer::token_of(value).map(Cow::Borrowed),
        Cow::Owned(value) => bearer::token_of(&value).map(|token| Cow::Owned(token.to_owned())),
    }
}
