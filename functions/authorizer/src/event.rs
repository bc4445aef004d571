//! Lenient parser for the Lambda authorizer events of every kind of API.
//!
//! The types replace those of `aws_lambda_events`, which rejects events that API Gateway does send:
//! a header with a line break, a `null` among the values. Here, a member of an unexpected type
//! counts as absent, and an absent member leads to a refusal.
//! Source: AWS, "Input to an API Gateway Lambda authorizer"; "AWS Lambda authorizers" for HTTP
//! APIs; "`AWS_LAMBDA` authorization" for AppSync.

use std::borrow::Cow;
use std::net::IpAddr;

use api_gateway::MethodArn;
use api_gateway::headers::{self, RawMap, single_value, text};
use api_gateway::routes::{self, Parameter};
use auth::DenyReason;
use serde::Deserialize;
use serde_json::value::RawValue;

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

    /// An event without a type may be of either kind.
    pub(crate) fn may_be_a_token_event(&self) -> bool {
        self.fields.r#type.is_none() && self.fields.version.is_none()
    }

    pub(crate) fn authorization_token(&self) -> Result<Cow<'a, str>, DenyReason> {
        let value = self.fields.authorization_token.and_then(text);
        value.ok_or(DenyReason::MissingToken)
    }

    pub(crate) fn header(&self, name: &str) -> Result<Cow<'a, str>, DenyReason> {
        single_value(&self.fields.headers, &self.fields.multi_value_headers, name)
    }

    pub(crate) fn cookie(&self, name: &str) -> Result<String, DenyReason> {
        headers::cookie(self.fields.cookies, self.header("cookie"), name)
    }

    pub(crate) fn query(&self, name: &str) -> Result<Cow<'a, str>, DenyReason> {
        single_value(
            &self.fields.query_string_parameters,
            &self.fields.multi_value_query_string_parameters,
            name,
        )
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

    /// The route's template; only HTTP APIs and REST APIs name it.
    pub(crate) fn template(&self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::Request => self.fields.resource.and_then(text),
            Kind::Http => self
                .fields
                .route_key
                .and_then(text)
                .and_then(|key| Some(key.split_once(' ')?.1.to_owned()))
                .map(Cow::Owned),
            Kind::Token | Kind::WebSocket | Kind::AppSync => None,
        }
    }

    /// The values of the parameters of `template`, percent-decoded once; the client chooses them. A REST API sends them
    /// encoded, an HTTP API does not. `None` if one is missing, or if two programs could read it differently.
    pub(crate) fn path_parameters(&self, template: &str) -> Option<Vec<(String, String)>> {
        let sent: RawMap<'_> = self
            .fields
            .path_parameters
            .and_then(|parameters| serde_json::from_str(parameters.get()).ok())
            .unwrap_or_default();
        let is_decoded = self.kind == Kind::Http || self.fields.version.is_some();
        let value_of = |parameter: Parameter<'_>| {
            let mut values = sent.values(parameter.name);
            let value = values.next().and_then(text)?;
            // Of two members with one name programs read different ones.
            let is_single = values.next().is_none();
            let is_clear = !(is_decoded && value.contains('%'));
            let decoded = parameter.decode(&value)?;
            (is_single && is_clear).then(|| (parameter.name.to_owned(), decoded))
        };
        routes::parameters_of(template).map(value_of).collect()
    }

    /// The client's IP address, as API Gateway reports it; `None` without a valid one.
    #[must_use]
    pub fn source_ip(&self) -> Option<IpAddr> {
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
        source.source_ip?.parse().ok()
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

    /// Only a WebSocket's ARN has no path. A path of a REST API may end in `/$connect`, too: the client chooses it.
    fn request_kind(&self) -> Kind {
        let arn = self.method_arn.and_then(text).unwrap_or_default();
        let without_path =
            |arn| MethodArn::parse(arn).is_ok_and(|arn| arn.untrusted_path().is_none());
        if arn.ends_with("/$connect") && without_path(&arn) {
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
