//! Tokens that Cognito has just handed over: how they reach the client, and whose they are.

use auth::UnixSeconds;
use auth_cognito::Tokens;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda::http::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::Cookies;
use crate::outcome::Problem;

/// Browsers drop a longer one, name and attributes included.
const MAX_COOKIE_BYTES: usize = 4_096;

/// What an access token says of its session. Not verified: it comes from Cognito itself over TLS, or is
/// compared with what the authorizer verified (OpenID Connect Core section 3.1.3.7, item 6).
#[derive(Deserialize)]
pub(crate) struct UnverifiedSession {
    pub(crate) sub: String,
    pub(crate) username: Option<String>,
    pub(crate) origin_jti: Option<String>,
    pub(crate) auth_time: u64,
    pub(crate) iat: u64,
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

/// Hands tokens to the client: as members of the body, or in cookies that no script can read.
pub(crate) fn response(
    tokens: &Tokens,
    mut body: Map<String, Value>,
    cookies: Option<&Cookies>,
    refresh_token_ttl_seconds: u64,
) -> Result<Response, Problem> {
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
    let mut response = Response::json(200, &Value::Object(body));
    let refresh = tokens.refresh.as_deref();
    let pairs = [
        (
            &cookies.access,
            Some(tokens.access.as_str()),
            tokens.expires_in,
        ),
        (&cookies.refresh, refresh, refresh_token_ttl_seconds),
    ];
    for (name, value, max_age) in pairs {
        let Some(value) = value else { continue };
        if name.len() + value.len() + 1 > MAX_COOKIE_BYTES {
            return Err(Problem::CookieTooLarge);
        }
        response = response.with_cookie(name, value, max_age);
    }
    Ok(response)
}

/// Makes a browser forget them.
pub(crate) fn without_cookies(response: Response, cookies: Option<&Cookies>) -> Response {
    match cookies {
        None => response,
        Some(cookies) => response
            .without_cookie(&cookies.access)
            .without_cookie(&cookies.refresh),
    }
}
