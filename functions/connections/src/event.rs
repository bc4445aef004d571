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
    /// The authorizer's context; without one, or with another value than an object, no caller is known.
    #[serde(default)]
    pub(crate) authorizer: Value,
}

/// The connection, with the user from the authorizer's context.
pub(crate) fn connection(context: &RequestContext, now: UnixSeconds) -> Option<Connection> {
    let member = |name: &str| {
        let text = context.authorizer.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let time = |name: &str| member(name)?.parse().ok().map(UnixSeconds);
    // A context of an earlier authorizer lacks it. That authorizer has just accepted the token.
    let issued_at = match context.authorizer.get("issued_at") {
        None | Some(Value::Null) => now.plus(1),
        Some(_) => time("issued_at")?,
    };
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
        issued_at,
        connected_at: now,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_of_issue_that_cannot_be_read_is_not_one_that_is_missing() {
        let issued_at = |value: Option<Value>| {
            let mut authorizer =
                json!({"issuer": "p", "sub": "u", "client_id": "c", "auth_time": "7"});
            if let Some(value) = value {
                authorizer["issued_at"] = value;
            }
            let context =
                json!({"routeKey": "$connect", "connectionId": "i", "authorizer": authorizer});
            let context = serde_json::from_value(context).unwrap();
            connection(&context, UnixSeconds(9)).map(|connection| connection.issued_at.0)
        };
        assert_eq!(issued_at(Some(json!("8"))), Some(8));
        assert_eq!(issued_at(None), Some(10));
        assert_eq!(issued_at(Some(json!(null))), Some(10));
        for unreadable in [json!(""), json!("x"), json!("-8"), json!(8)] {
            assert_eq!(issued_at(Some(unreadable.clone())), None, "{unreadable}");
        }
    }
}
