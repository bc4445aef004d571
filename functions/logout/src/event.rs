//! What a client asks of logout.

use auth::{Reason, bearer};
use lambda::http;
use serde::Deserialize;

use crate::config::Cookies;

/// The body.
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
    /// All of the user's but the one of the token.
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
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct RefreshToken(pub(crate) String);

/// The token, from `Authorization` or from its cookie; two of them are a refusal.
pub(crate) fn token(event: &http::Request<'_>, cookies: &Cookies) -> Result<String, Reason> {
    let header = event.header("authorization").and_then(|value| {
        let token = bearer::token_of(&value)?;
        Ok(token.to_owned())
    });
    let Some(name) = &cookies.access else {
        return header;
    };
    let cookie = event.cookie(name).and_then(|value| {
        bearer::check(&value)?;
        Ok(value)
    });
    match (header, cookie) {
        (Err(Reason::MissingToken), other) | (other, Err(Reason::MissingToken)) => other,
        (Ok(_), Ok(_)) => Err(Reason::AmbiguousToken),
        (Err(reason), _) | (_, Err(reason)) => Err(reason),
    }
}

/// The refresh token in its cookie.
pub(crate) fn refresh_cookie(event: &http::Request<'_>, cookies: &Cookies) -> Option<RefreshToken> {
    let name = cookies.refresh.as_ref()?;
    let value = event.cookie(name).ok()?;
    (!value.is_empty()).then_some(RefreshToken(value))
}

/// Whether a page of another site sends this request, as far as a browser says so: `Origin`, and
/// `Sec-Fetch-Site` where there is none. Without a list of origins nobody is foreign.
pub(crate) fn is_from_elsewhere(event: &http::Request<'_>, allowed_origins: &[String]) -> bool {
    if allowed_origins.is_empty() {
        return false;
    }
    match event.header("origin") {
        Ok(origin) => !allowed_origins.iter().any(|allowed| *allowed == origin),
        Err(Reason::MissingToken) => {
            let site = event.header("sec-fetch-site");
            !matches!(
                site.as_deref(),
                Ok("same-origin" | "same-site" | "none") | Err(Reason::MissingToken)
            )
        }
        Err(_) => true,
    }
}
