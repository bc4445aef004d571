//! Closes WebSocket connections after a revocation. It reads the stream of the revocation table, so
//! it covers revocations by logout, administrators, events and the operator's tool.
//!
//! The stream redelivers a failed record and all later ones.
//! Source: AWS, "Using AWS Lambda with Amazon DynamoDB" (partial batch responses).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use auth::{Unavailable, UnixSeconds};
use auth_dynamodb::{Connection, ConnectionTable, DynamoRevocations};
use aws_config::SdkConfig;
use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::config::retry::RetryConfig;
use aws_sdk_apigatewaymanagement::config::timeout::TimeoutConfig;
use aws_sdk_apigatewaymanagement::config::{Builder, StalledStreamProtectionConfig};
use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, clock};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const OPERATION: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 4;

/// The environment variables, described in `docs/configuration.md`.
pub struct Config {
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `CONNECTION_TABLE`.
    pub connection_table: String,
    /// `CONNECTIONS_URL`: the WebSocket API's stage, for its management calls.
    pub connections_url: String,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::REVOCATION_TABLE,
        vars::CONNECTION_TABLE,
        Var::new(
            "CONNECTIONS_URL",
            "required",
            "The WebSocket API's stage, \
             `https://<api>.execute-api.<region>.amazonaws.com/<stage>`, for its management \
             calls.",
        ),
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
            connections_url: env.required("CONNECTIONS_URL"),
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}

/// The function's handler.
pub struct CloseConnections {
    revocations: DynamoRevocations,
    table: ConnectionTable,
    api: Client,
    log_level: Level,
}

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    dynamodb: Change,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    keys: Keys,
    sequence_number: String,
}

#[derive(Deserialize)]
struct Keys {
    pk: Text,
    sk: Text,
}

#[derive(Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

/// The users whose connections a revocation may cover.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Reach<'a> {
    /// All users: a revocation of a client or an issuer. The table is not indexed by these, so all
    /// connections are checked.
    All,
    /// The user with this partition key.
    User(&'a str),
}

impl<'a> Reach<'a> {
    /// `None` for a row that covers no connection: the sweep's cursor, in the issuer's partition; groups, by which
    /// connections are not stored; records of Gatehouse's own calls.
    fn of(Keys { pk, sk }: &'a Keys) -> Option<Self> {
        match sk.text.as_str() {
            "sweep" | "groups" | "call" => None,
            "client" | "issuer" => Some(Self::All),
            _ => Some(Self::User(&pk.text)),
        }
    }
}

/// The record from which the stream continues.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    batch_item_failures: Vec<Item>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    item_identifier: String,
}

impl CloseConnections {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// Never fails.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let closing = Self::new(&sdk, config);
        closing.revocations.warm_up().await;
        Ok(closing)
    }

    /// The function over the services that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        let revocations = DynamoRevocations::new(sdk, config.revocation_table);
        let api = Builder::from(sdk)
            .endpoint_url(config.connections_url)
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(OPERATION)
                    .build(),
            )
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self {
            table: ConnectionTable::beside(&revocations, config.connection_table),
            revocations,
            api: Client::from_conf(api),
            log_level: config.log_level,
        }
    }

    /// Closes the connections that a revocation covers, and returns their number.
    async fn act_on(&self, reach: Reach<'_>) -> Result<u64, Unavailable> {
        let now = UnixSeconds(clock::unix_seconds());
        let connections = match reach {
            Reach::All => self.table.all(now).await?,
            Reach::User(partition) => self.table.in_partition(partition, now).await?,
        };
        let mut result = Ok(0);
        for connection in &connections {
            // A failure does not prevent closing the others.
            match (self.close_if_ended(connection, now).await, &mut result) {
                (Ok(true), Ok(closed)) => *closed += 1,
                (Ok(_), _) => {}
                (Err(unavailable), _) => result = Err(unavailable),
            }
        }
        result
    }

    async fn close_if_ended(
        &self,
        connection: &Connection,
        now: UnixSeconds,
    ) -> Result<bool, Unavailable> {
        let issued_at = connection.connected_at;
        let is_over = self
            .revocations
            .is_revoked(connection, issued_at, now)
            .await?;
        if is_over {
            self.close(connection).await?;
        }
        Ok(is_over)
    }

    /// A connection that no longer exists counts as closed.
    async fn close(&self, connection: &Connection) -> Result<(), Unavailable> {
        let call = self.api.delete_connection().connection_id(&connection.id);
        match call.send().await {
            Ok(_) => {}
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_gone_exception()) => {}
            Err(_) => return Err(Unavailable::Connections),
        }
        self.table.remove(connection).await
    }
}

impl Handler for CloseConnections {
    type Answer = Answer;

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Answer, InvocationError> {
        let began = Instant::now();
        let batch: Batch =
            serde_json::from_str(event.get()).map_err(|_| InvocationError::Internal)?;
        // Cached revocations of clients and issuers may be out of date.
        self.revocations.forget_shared();
        // Revocations are read in their current state, so one pass for each reach suffices.
        let mut seen = HashSet::new();
        let mut failed = None;
        for record in &batch.records {
            let Some(reach) = Reach::of(&record.dynamodb.keys) else {
                continue;
            };
            if !seen.insert(reach) {
                continue;
            }
            let result = self.act_on(reach).await;
            let (level, outcome) = match result {
                Ok(0) => continue,
                Ok(_) => (Level::Info, "closed"),
                Err(unavailable) => (Level::Error, unavailable.as_str()),
            };
            if level <= self.log_level {
                log::request(level, "close connections", outcome, request_id, began);
            }
            if result.is_err() {
                failed.get_or_insert(&record.dynamodb.sequence_number);
            }
        }
        // The stream continues from the first failed record; processing later ones again is
        // harmless.
        Ok(Answer {
            batch_item_failures: failed
                .map(|number| Item {
                    item_identifier: number.clone(),
                })
                .into_iter()
                .collect(),
        })
    }
}
