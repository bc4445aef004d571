//! The WebSocket routes `$connect` and `$disconnect`: record the user of each connection, so that
//! revoking a session closes it.
//!
//! The authorizer read the revocations before it allowed `$connect`. A revocation written since
//! then found no connection to close, so this function reads them again after it has written the
//! connection's row: either it sees the revocation, or close-connections sees the row.

mod config;
mod event;
mod outcome;
mod subprotocol;

use std::process::ExitCode;
use std::time::Instant;

use auth::{Unavailable, UnixSeconds};
use auth_dynamodb::{Connection, ConnectionTable, DynamoRevocations};
use aws_client::SdkConfig;
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, clock};
use serde::Serialize;
use serde_json::value::RawValue;

pub use config::Config;

use crate::event::{Event, connection};
use crate::outcome::Outcome;
use crate::subprotocol::subprotocol;

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

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        Connections::connect,
    )
}

impl Connections {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// Never fails.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_client::sdk_config_in_lambda();
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

    async fn route(&self, event: Option<&Event>) -> Result<Outcome, Unavailable> {
        let Some(Event {
            request_context, ..
        }) = event
        else {
            return Ok(Outcome::BadRequest);
        };
        let now = clock::now();
        let connection = connection(request_context, now);
        match (request_context.route_key.as_str(), connection) {
            ("$connect", Some(connection)) => self.open(&connection, now).await,
            ("$connect", None) => Ok(Outcome::NoAuthorizerContext),
            ("$disconnect", Some(connection)) => {
                self.table.remove(&connection).await?;
                Ok(Outcome::Closed)
            }
            // The row's expiry suffices.
            ("$disconnect", None) => Ok(Outcome::Closed),
            _ => Ok(Outcome::NoSuchRoute),
        }
    }

    async fn open(
        &self,
        connection: &Connection,
        now: UnixSeconds,
    ) -> Result<Outcome, Unavailable> {
        self.table.put(connection).await?;
        // A cached revocation of the client or the issuer may be older than the row, and then nothing would close the
        // connection.
        self.revocations.forget_shared();
        let is_over = self.revocations.is_revoked(connection, now);
        if !is_over.await? {
            return Ok(Outcome::Opened);
        }
        self.table.remove(connection).await?;
        Ok(Outcome::EndedMeanwhile)
    }
}

impl Handler for Connections {
    type Answer = Answer;

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Answer, InvocationError> {
        let began = Instant::now();
        let event: Option<Event> = serde_json::from_str(event.get()).ok();
        let result = self.route(event.as_ref()).await;
        let (level, outcome) = outcome::line(&result);
        if level <= self.log_level {
            log::request(level, "connection", outcome, request_id, began);
        }
        let status_code = result.map_err(|_| InvocationError::Internal)?.status();
        let protocol = event.filter(|_| status_code == 200);
        let protocol = protocol.and_then(|event| subprotocol(&event.headers?));
        Ok(Answer {
            status_code,
            headers: protocol.map(|protocol| Headers { protocol }),
        })
    }
}
