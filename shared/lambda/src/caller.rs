//! Who calls a function behind the authorizer, by the authorizer's word.

use auth::UnixSeconds;
use serde_json::Value;

use crate::http::Request;

/// A user of our pool, as the authorizer's context names them.
pub struct Caller {
    /// `sub`.
    pub subject: String,
    /// The app client that signed them in.
    pub client_id: String,
    /// `origin_jti`, if the token has one.
    pub session: Option<String>,
    /// When they signed in.
    pub authenticated_at: UnixSeconds,
}

impl Caller {
    /// `None` if the request came past the authorizer, or if the token is of another issuer than
    /// `user_pool_id`: an id is somebody else's there.
    #[must_use]
    pub fn of(request: &Request<'_>, user_pool_id: &str) -> Option<Self> {
        let context = request.authorizer();
        // REST APIs make texts of numbers, HTTP APIs don't.
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
