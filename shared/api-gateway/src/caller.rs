//! The caller of a function behind the authorizer, from the authorizer's context.

use auth::UnixSeconds;
use serde_json::Value;

use crate::http::Request;

/// A user of our pool, as the authorizer's context describes them.
pub struct Caller {
    /// `sub`.
    pub subject: String,
    /// The app client of the sign-in.
    pub client_id: String,
    /// `origin_jti`, if the token has one.
    pub session: Option<String>,
    /// The time of authentication.
    pub authenticated_at: UnixSeconds,
}

impl Caller {
    /// `None` if the request did not come through the authorizer, or if the token is of another
    /// issuer than `user_pool_id`: the same id may be a different user there.
    #[must_use]
    pub fn of(request: &Request<'_>, user_pool_id: &str) -> Option<Self> {
        let context = request.authorizer();
        // REST APIs convert numbers to strings, HTTP APIs do not.
        let member = |name: &str| match context.get(name)? {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        if member("issuer")? != user_pool_id {
            return None;
        }
        Some(Self {
            subject: member("sub")?,
            client_id: member("client_id")?,
            session: member("session"),
            authenticated_at: UnixSeconds(member("auth_time")?.parse().ok()?),
        })
    }
}
