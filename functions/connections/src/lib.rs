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

/// A WebSocket API reads the status alone.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    status_code: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    request_context: RequestContext,
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

    async fn route(&self, event: &RawValue) -> Result<(u16, &'static str), Unavailable> {
        let Ok(Event { request_context }) = serde_json::from_str(event.get()) else {
            return Ok((400, "bad_request"));
        };
        let now = UnixSeconds(clock::unix_seconds());
        let connection = connection(&request_context, now);
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
        let issuer = (connection.issuer_id.as_str(), connection.client_id.as_str());
        let whose = (connection.subject.as_str(), connection.session.as_deref());
        let marks = self
            .revocations
            .marks_of_session(issuer, whose, now)
            .await?;
        let since = connection.authenticated_at;
        // The token passed the authorizer a moment ago: what it was issued before is not asked.
        let checked = marks.check_session(connection.session.as_deref(), since, now.plus(1));
        if checked.is_ok() {
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
    Some(Connection {
        id: context.connection_id.clone(),
        issuer_id: member("issuer")?,
        subject: member("sub")?,
        client_id: member("client_id")?,
        session: member("session"),
        authenticated_at: UnixSeconds(member("auth_time")?.parse().ok()?),
        connected_at: now,
    })
}

impl Handler for Connections {
    type Answer = Answer;

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Answer, Failure> {
        let began = Instant::now();
        let result = self.route(event).await;
        let (level, outcome) = match result {
            Ok((200, outcome)) => (Level::Info, outcome),
            Ok((_, outcome)) => (Level::Warn, outcome),
            Err(unavailable) => (Level::Error, unavailable.as_str()),
        };
        if level <= self.log_level {
            log::request(level, "connection", outcome, request_id, began);
        }
        let (status_code, _) = result.map_err(|_| Failure::Internal)?;
        Ok(Answer { status_code })
    }
}
