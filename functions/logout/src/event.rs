//! The proxy event of API Gateway, REST or HTTP API, as far as logout looks at it.
//! Source: AWS, "Input format of a Lambda function for proxy integration".

use std::borrow::Cow;

use auth::headers::{RawMap, single_value, text};
use auth::{Reason, bearer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Problem;

/// Larger than any request of ours, smaller than any trouble.
const MAX_BODY_BYTES: usize = 16 * 1024;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields<'a> {
    #[serde(borrow)]
    http_method: Option<&'a RawValue>,
    #[serde(borrow)]
    request_context: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: RawMap<'a>,
    #[serde(borrow)]
    multi_value_headers: RawMap<'a>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    is_base64_encoded: Option<&'a RawValue>,
}

/// An HTTP request.
pub(crate) struct Event<'a> {
    fields: Fields<'a>,
}

/// What the client asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    #[serde(default)]
    pub(crate) scope: Scope,
    pub(crate) refresh_token: Option<RefreshToken>,
}

/// Which sessions to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// The one of the token.
    #[default]
    Session,
    /// All of the user's.
    All,
}

/// A refresh token: opaque, secret, no `Debug`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct RefreshToken(pub(crate) String);

impl<'a> Event<'a> {
    pub(crate) fn read(json: &'a RawValue) -> Self {
        Self {
            fields: serde_json::from_str(json.get()).unwrap_or_default(),
        }
    }

    pub(crate) fn is_post(&self) -> bool {
        #[derive(Deserialize)]
        struct Context<'a> {
            #[serde(borrow)]
            http: Http<'a>,
        }
        #[derive(Deserialize)]
        struct Http<'a> {
            #[serde(borrow)]
            method: Cow<'a, str>,
        }

        let rest = self.fields.http_method.and_then(text);
        let http = || {
            let context = self.fields.request_context?;
            let context: Context<'_> = serde_json::from_str(context.get()).ok()?;
            Some(context.http.method)
        };
        rest.or_else(http).is_some_and(|method| method == "POST")
    }

    pub(crate) fn bearer_token(&self) -> Result<String, Reason> {
        let value = single_value(
            &self.fields.headers,
            &self.fields.multi_value_headers,
            "authorization",
        )?;
        bearer::token_of(&value).map(str::to_owned)
    }

    /// The body; none at all asks for the default.
    pub(crate) fn request(&self) -> Result<Request, Problem> {
        let body = self.body()?;
        let json = if body.is_empty() {
            b"{}"
        } else {
            body.as_slice()
        };
        if json.len() > MAX_BODY_BYTES {
            return Err(Problem::TooLarge);
        }
        let request: Request = serde_json::from_slice(json).map_err(|_| Problem::BadRequest)?;
        // A list would fill the members in their order.
        if json.trim_ascii_start().starts_with(b"{") {
            Ok(request)
        } else {
            Err(Problem::BadRequest)
        }
    }

    fn body(&self) -> Result<Vec<u8>, Problem> {
        let Some(body) = self.fields.body.filter(|body| body.get() != "null") else {
            return Ok(Vec::new());
        };
        let body = text(body).ok_or(Problem::BadRequest)?;
        match self.fields.is_base64_encoded.map(RawValue::get) {
            None | Some("false" | "null") => Ok(body.into_owned().into_bytes()),
            Some("true") => STANDARD.decode(&*body).map_err(|_| Problem::BadRequest),
            Some(_) => Err(Problem::BadRequest),
        }
    }
}
