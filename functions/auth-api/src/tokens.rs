//! Tokens that Cognito has just issued: how they reach the client, and to which session they
//! belong.

use api_gateway::http::{RefreshCookie, Request, Response};
use auth::UnixSeconds;
use auth_cognito::Tokens;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::Cookies;
use crate::outcome::ApiError;

/// Browsers drop a longer cookie, name and attributes included.
const MAX_COOKIE_BYTES: usize = 4_096;

/// The claims of an access token about its session. Not verified: the token comes directly from
/// Cognito over TLS, or is compared with what the authorizer verified (OpenID Connect Core section
/// 3.1.3.7, item 6).
#[derive(Deserialize)]
pub(crate) struct UnverifiedSession {
    pub(crate) sub: String,
    pub(crate) username: Option<String>,
    pub(crate) origin_jti: Option<String>,
    pub(crate) auth_time: u64,
    pub(crate) iat: u64,
    #[serde(default)]
    pub(crate) exp: u64,
}

impl UnverifiedSession {
    pub(crate) fn of(access_token: &str) -> Option<Self> {
        let payload = access_token.split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        serde_json::from_slice(&payload).ok()
    }

    pub(crate) fn authenticated_at(&self) -> UnixSeconds {
        UnixSeconds(self.auth_time)
    }

    pub(crate) fn issued_at(&self) -> UnixSeconds {
        UnixSeconds(self.iat)
    }
}

/// Returns tokens to the client: as members of the body, or in cookies that no script can read.
pub(crate) fn response(
    tokens: &Tokens,
    mut body: Map<String, Value>,
    (cookies, http): (Option<&Cookies>, &Request<'_>),
    refresh_token_ttl_seconds: u64,
) -> Result<Response, ApiError> {
    body.insert("expires_in".to_owned(), tokens.expires_in.into());
    let Some(cookies) = cookies else {
        body.insert("access_token".to_owned(), tokens.access.as_str().into());
        body.insert("id_token".to_owned(), tokens.id.as_deref().into());
        body.insert("token_type".to_owned(), "Bearer".into());
        if let Some(refresh) = &tokens.refresh {
            body.insert("refresh_token".to_owned(), refresh.as_str().into());
        }
        return Ok(Response::json(200, &Value::Object(body)));
    };
    let response = Response::json(200, &Value::Object(body));
    fits(&cookies.access, &tokens.access)?;
    let response = response.with_cookie(&cookies.access, &tokens.access, tokens.expires_in);
    match &tokens.refresh {
        None => Ok(response),
        Some(refresh) => with_refresh_cookie(
            response,
            refresh,
            (cookies, http),
            refresh_token_ttl_seconds,
        ),
    }
}

fn fits(name: &str, value: &str) -> Result<(), ApiError> {
    if name.len() + value.len() + 1 > MAX_COOKIE_BYTES {
        return Err(ApiError::CookieTooLarge);
    }
    Ok(())
}

/// Sets the refresh token's cookie.
pub(crate) fn with_refresh_cookie(
    response: Response,
    refresh_token: &str,
    (cookies, http): (&Cookies, &Request<'_>),
    refresh_token_ttl_seconds: u64,
) -> Result<Response, ApiError> {
    fits(&cookies.refresh, refresh_token)?;
    let cookie = RefreshCookie(&cookies.refresh);
    Ok(cookie.set(response, http, refresh_token, refresh_token_ttl_seconds))
}

/// Deletes both cookies in the browser.
pub(crate) fn without_cookies(
    response: Response,
    cookies: Option<&Cookies>,
    http: &Request<'_>,
) -> Response {
    match cookies {
        None => response,
        Some(cookies) => {
            let response = response.without_cookie(&cookies.access);
            RefreshCookie(&cookies.refresh).clear(response, http)
        }
    }
}
