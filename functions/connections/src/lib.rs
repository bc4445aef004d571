//! The WebSocket routes `$connect` and `$disconnect`: record the user of each connection, so that
//! revoking a session closes it.
//!
//! The authorizer read the revocations before it allowed `$connect`. A revocation written since
//! then found no connection to close, so this function reads them again after it has written the
//! connection's row: either it sees the revocation, or close-connections sees the row.

use std::time::Instant;

use auth::{Unavailable, UnixSeconds};
use auth_dynamodb::{Connection, ConnectionTable, DynamoRevocations};
use aws_config::SdkConfig;
use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, clock};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The subprotocol that precedes a token.
const BEARER: &str = "bearer";
/// The longest name of a subprotocol that is returned.
const MAX_SUBPROTOCOL_BYTES: usize = 128;

/// The environment variables, described in `docs/configuration.md`.
pub struct Config {
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `CONNECTION_TABLE`.
    pub connection_table: String,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::REVOCATION_TABLE,
        vars::CONNECTION_TABLE,
        vars::LOG_LEVEL,
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            revocation_table: env.required("REVOCATION_TABLE"),
            connection_table: env.required("CONNECTION_TABLE"),
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}

/// The function's handler.
pub struct Connections {
    revocations: DynamoRevocations,
    table: ConnectionTable,
    log_level: Level,
}

/// The parts of the response that a WebSocket API uses: the status, and the subprotocol.
/// Source: AWS, "Set up a $connect route that requires a WebSocket subprotocol".
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers>,
}

#[derive(Debug, Serialize)]
struct Headers {
    #[serde(rename = "Sec-WebSocket-Protocol")]
    protocol: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    request_context: RequestContext,
    /// Absent for `$disconnect`.
    headers: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    route_key: String,
    connection_id: String,
    #[serde(default)]
    authorizer: Map<String, Value>,
}

impl Connections {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// Never fails.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let connections = Self::new(&sdk, config);
        connections.revocations.warm_up().await;
        Ok(connections)
    }

    /// The function over the services that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        let revocations = DynamoRevocations::new(sdk, config.revocation_table);
        Self {
            table: ConnectionTable::beside(&revocations, config.connection_table),
            revocations,
            log_level: config.log_level,
        }
    }

    async fn route(&self, event: Option<&Event>) -> Result<(u16, &'static str), Unavailable> {
        let Some(Event {
            request_context, ..
        }) = event
        else {
            return Ok((400, "bad_request"));
        };
        let now = UnixSeconds(clock::unix_seconds());
        let connection = connection(request_context, now);
        match (request_context.route_key.as_str(), connection) {
            ("$connect", Some(connection)) => self.open(&connection, now).await,
            // A route without the authorizer, or a request that bypassed it.
            ("$connect", None) => Ok((401, "no_authorizer_context")),
            ("$disconnect", Some(connection)) => {
                self.table.remove(&connection).await?;
                Ok((200, "closed"))
            }
            // The row's expiry suffices.
            ("$disconnect", None) => Ok((200, "closed")),
            _ => Ok((404, "no_such_route")),
        }
    }

    async fn open(
        &self,
        connection: &Connection,
        now: UnixSeconds,
    ) -> Result<(u16, &'static str), Unavailable> {
        self.table.put(connection).await?;
        // The authorizer has just accepted the token, so its time of issue is not checked.
        let is_over = self.revocations.is_revoked(connection, now.plus(1), now);
        if !is_over.await? {
            return Ok((200, "opened"));
        }
        self.table.remove(connection).await?;
        Ok((401, "ended_meanwhile"))
    }
}

/// The connection, with the user from the authorizer's context.
fn connection(context: &RequestContext, now: UnixSeconds) -> Option<Connection> {
    let member = |name: &str| {
        let text = context.authorizer.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
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
        authenticated_at: UnixSeconds(member("auth_time")?.parse().ok()?),
        connected_at: now,
    })
}

/// Chooses one of the subprotocols that the client offers: a browser closes a connection whose
/// server chose none of them. The token follows `bearer` and is never chosen; if the client also
/// offers an application's subprotocol, that one is chosen.
fn subprotocol(headers: &Map<String, Value>) -> Option<String> {
    let is_token = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !name.is_empty() && name.len() <= MAX_SUBPROTOCOL_BYTES && name.bytes().all(allowed)
    };
    let offered = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"))
        .find_map(|(_, value)| value.as_str())?;
    let mut offered = offered.split(',').map(str::trim);
    let mut has_bearer = false;
    while let Some(name) = offered.next() {
        if name == BEARER {
            has_bearer = true;
            offered.next();
        } else if is_token(name) {
            return Some(name.to_owned());
        }
    }
    has_bearer.then(|| BEARER.to_owned())
}

impl Handler for Connections {
    type Answer = Answer;

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Answer, InvocationError> {
        let began = Instant::now();
        let event: Option<Event> = serde_json::from_str(event.get()).ok();
        let result = self.route(event.as_ref()).await;
        let (level, outcome) = match result {
            Ok((200, outcome)) => (Level::Info, outcome),
            Ok((_, outcome)) => (Level::Warn, outcome),
            Err(unavailable) => (Level::Error, unavailable.as_str()),
        };
        if level <= self.log_level {
            log::request(level, "connection", outcome, request_id, began);
        }
        let (status_code, _) = result.map_err(|_| InvocationError::Internal)?;
        let protocol = event.filter(|_| status_code == 200);
        let protocol = protocol.and_then(|event| subprotocol(&event.headers?));
        Ok(Answer {
            status_code,
            headers: protocol.map(|protocol| Headers { protocol }),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn chooses_a_subprotocol_but_never_the_token() {
        let long = "x".repeat(129);
        let rows = [
            ("bearer, eyJ.e30.c2ln", Some("bearer")),
            (
                "bearer,eyJ.e30.c2ln,graphql-transport-ws",
                Some("graphql-transport-ws"),
            ),
            (
                "graphql-transport-ws, bearer, eyJ.e30.c2ln",
                Some("graphql-transport-ws"),
            ),
            (
                "graphql-transport-ws, graphql-ws",
                Some("graphql-transport-ws"),
            ),
            ("bearer", Some("bearer")),
            ("bearer, eyJ.e30.c2ln, a\r\nset-cookie: x", Some("bearer")),
            ("", None),
            (",", None),
            (&long, None),
        ];
        for (offered, chosen) in rows {
            for name in ["Sec-WebSocket-Protocol", "sec-websocket-protocol"] {
                let headers = json!({"Host": "x", name: offered});
                let headers = headers.as_object().unwrap();
                assert_eq!(subprotocol(headers).as_deref(), chosen, "{offered}");
            }
        }
        for odd in [json!({}), json!({"Sec-WebSocket-Protocol": 7})] {
            assert_eq!(subprotocol(odd.as_object().unwrap()), None, "{odd}");
        }
    }
}
