//! The session that a request belongs to, and sessions in responses.

use api_gateway::Caller;
use auth::UserRef;
use auth_dynamodb::Session;
use serde_json::{Value, json};

/// The session that a request belongs to.
pub(crate) struct CurrentSession<'a> {
    /// The user pool.
    pub(crate) issuer: &'a str,
    pub(crate) caller: &'a Caller,
    /// `origin_jti`.
    pub(crate) id: &'a str,
}

impl<'a> CurrentSession<'a> {
    pub(crate) fn user(&self) -> UserRef<'a> {
        UserRef {
            issuer: self.issuer,
            subject: &self.caller.subject,
        }
    }
}

/// A session in a response.
pub(crate) fn describe(session: &Session, current: &str) -> Value {
    json!({
        "id": session.id,
        "current": session.id == current,
        "device": session.device,
        "ip_hash": session.ip_hash,
        "signed_in_at": session.authenticated_at.0,
        "first_seen": session.first_seen.0,
        "last_seen": session.last_seen.0,
    })
}
