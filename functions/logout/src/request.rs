//! Parser for logout requests.

use api_gateway::http;
use serde::Deserialize;

/// The request body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    #[serde(default)]
    pub(crate) scope: Scope,
    pub(crate) refresh_token: Option<RefreshToken>,
    /// Whether a repetition of the request would have nothing but the refresh token to identify the session.
    #[serde(skip)]
    pub(crate) has_no_other_credential: bool,
}

/// The sessions to revoke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// The token's session.
    #[default]
    Session,
    /// All sessions of the user.
    All,
    /// All sessions of the user except the token's.
    Others,
}

impl Scope {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::All => "all",
            Self::Others => "others",
        }
    }
}

/// A refresh token: opaque, secret, no `Debug`.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct RefreshToken(pub(crate) String);

/// The names of the cookies that hold tokens or a session's id, if the deployment uses cookies.
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    /// The cookie of the access or ID token.
    pub access: Option<String>,
    /// The cookie of the refresh token.
    pub refresh: Option<String>,
    /// The cookie of a browser session's id.
    pub session: Option<String>,
}

impl Cookies {
    /// Whether the browser's cookies authenticate requests.
    pub(crate) fn any(&self) -> bool {
        self.access.is_some() || self.refresh.is_some() || self.session.is_some()
    }
}

/// The refresh token from its cookie.
pub(crate) fn refresh_cookie(event: &http::Request<'_>, cookies: &Cookies) -> Option<RefreshToken> {
    let name = cookies.refresh.as_ref()?;
    let value = http::RefreshCookie(name).read(event).ok()?;
    (!value.is_empty()).then_some(RefreshToken(value))
}

/// Whether the browser reports a page of an origin that is not allowed. Without a list of origins,
/// all origins are allowed.
pub(crate) fn is_from_elsewhere(event: &http::Request<'_>, allowed_origins: &[String]) -> bool {
    !allowed_origins.is_empty() && event.sender(allowed_origins) == http::Sender::Foreign
}
