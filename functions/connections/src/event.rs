//! An event of a WebSocket API, and the connection that it is about.

use auth::UnixSeconds;
use auth_dynamodb::Connection;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) request_context: RequestContext,
    /// Absent for `$disconnect`.
    pub(crate) headers: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestContext {
    pub(crate) route_key: String,
    pub(crate) connection_id: String,
    #[serde(default)]
    pub(crate) authorizer: Map<String, Value>,
}

/// The connection, with the user from the authorizer's context.
pub(crate) fn connection(context: &RequestContext, now: UnixSeconds) -> Option<Connection> {
    let member = |name: &str| {
        let text = context.authorizer.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let time = |name: &str| member(name)?.parse().ok().map(UnixSeconds);
    let key_id = member("key_id");
    Some(Connection {
        id: context.connection_id.clone(),
        issuer_id: member("issuer")?,
        subject: member("sub")?,
        client_id: member("client_id")?,
        session: member("session"),
        is_of_api_key: key_id.is_some(),
        token_id: key_id.or_else(|| member("token_id")),
        authenticated_at: time("auth_time")?,
        // A context of an earlier authorizer lacks it. That authorizer has just accepted the token.
        issued_at: time("issued_at").unwrap_or(now.plus(1)),
        connected_at: now,
    })
}
