//! The WebSocket routes `$connect` and `$disconnect`: remembers whose connection it is, so that
//! ending a session closes it.
//!
//! The authorizer asked for marks before it let `$connect` through. One that was written since
//! found no connection to close, so they are asked for once more, when the connection's row is
//! there: either we see the mark now, or its writer's stream sees the row.

use std::time::Instant;

use auth::env::{ConfigError, Env};
use auth::{Unavailable, UnixSeconds};
use auth_dynamodb::{Connection, ConnectionTable, DynamoRevocations};
use lambda::log::{self, Level};
use lambda::{Failure, Handler, clock};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The subprotocol that stands before a token.
const BEARER: &str = "bearer";
/// The longest name of a subprotocol that is handed back.
const MAX_SUBPROTOCOL_BYTES: usize = 128;

/// What it reads from its environment. `docs/configuration.md` has the table.
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
    pub const VARS: &'static [&'static str] =
        &["REVOCATION_TABLE", "CONNECTION_TABLE", "LOG_LEVEL"];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
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

/// The function.
pub struct Connections {
    revocations: DynamoRevocations,
    table: ConnectionTable,
    log_level: Level,
}

/// What a WebSocket API reads of an answer: the status, and the subprotocol, which it hands on.
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
    /// Absent at `$disconnect`.
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
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table);
        revocations.prime().await;
        Ok(Self {
            table: ConnectionTable::beside(&revocations, config.connection_table),
            revocations,
            log_level: config.log_level,
        })
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
            // A route without the authorizer, or a request that slipped past it.
            ("$connect", None) => Ok((401, "no_authorizer_context")),
            ("$disconnect", Some(connection)) => {
                self.table.remove(&connection).await?;
                Ok((200, "closed"))
            }
            // The row's own end will do.
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
        // The token passed the authorizer a moment ago: what it was issued before is not asked.
        let is_over = self.revocations.is_over(connection, now.plus(1), now);
        if !is_over.await? {
            return Ok((200, "opened"));
        }
        self.table.remove(connection).await?;
        Ok((401, "ended_meanwhile"))
    }
}

/// Whose connection it is, by the authorizer's word.
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

/// The subprotocol to speak, of those that the client offers: a browser ends a connection whose server
/// chose none of them. A token stands after `bearer` and is never chosen; a client that offers its own
/// subprotocol beside it gets that one.
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

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Answer, Failure> {
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
        let (status_code, _) = result.map_err(|_| Failure::Internal)?;
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
    fn a_subprotocol_is_chosen_and_never_the_token() {
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
