//! Closes WebSocket connections after a revocation. It reads the stream of the revocation table, so
//! it covers revocations by logout, administrators, events and the operator's tool.
//!
//! The stream redelivers a failed record and all later ones.
//! Source: AWS, "Using AWS Lambda with Amazon DynamoDB" (partial batch responses).

mod close;
mod config;
mod event;

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use auth::Unavailable;
use auth_dynamodb::{ConnectionTable, DynamoRevocations};
use aws_client::Limits;
use aws_client::SdkConfig;
use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::config::Builder;
use runtime::log::{self, Level, Outcome};
use runtime::{BatchResponse, Handler, InvocationError};
use serde_json::value::RawValue;

pub use config::Config;

use crate::event::{Batch, Reach};

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_secs(5),
    attempts: 4,
    first_backoff: Duration::from_secs(1),
};

/// The function's handler.
pub struct CloseConnections {
    revocations: DynamoRevocations,
    table: ConnectionTable,
    api: Client,
    log_level: Level,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        CloseConnections::connect,
    )
}

impl CloseConnections {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// Never fails.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_client::sdk_config_in_lambda();
        let closing = Self::new(&sdk, config);
        closing.revocations.warm_up().await;
        Ok(closing)
    }

    /// The function over the services that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        let revocations = DynamoRevocations::new(sdk, config.revocation_table);
        let api = Builder::from(&aws_client::with_limits(sdk, &LIMITS));
        let api = api.endpoint_url(config.connections_url).build();
        Self {
            table: ConnectionTable::beside(&revocations, config.connection_table),
            revocations,
            api: Client::from_conf(api),
            log_level: config.log_level,
        }
    }
}

impl Handler for CloseConnections {
    type Answer = BatchResponse;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<BatchResponse, InvocationError> {
        let began = Instant::now();
        let batch: Batch =
            serde_json::from_str(event.get()).map_err(|_| InvocationError::Internal)?;
        // Cached revocations of clients and issuers may be out of date.
        self.revocations.forget_shared();
        // Revocations are read in their current state, so one pass for each reach suffices.
        let mut seen = HashSet::new();
        let (mut users, mut shared) = (Vec::new(), Vec::new());
        for (at, record) in batch.records.iter().enumerate() {
            match Reach::of(&record.dynamodb.keys).filter(|reach| seen.insert(*reach)) {
                Some(Reach::User(partition)) => users.push((at, partition)),
                Some(Reach::Shared(keys)) => shared.push((at, keys)),
                None => {}
            }
        }
        let mut failed = None;
        let mut report = |at: usize, result: Result<u64, Unavailable>| {
            let (level, outcome) = match result {
                Ok(0) => return,
                Ok(_) => (Level::Info, Outcome::from("closed")),
                Err(unavailable) => (Level::Error, unavailable.into()),
            };
            if level <= self.log_level {
                log::request(level, "close connections", outcome, request_id, began);
            }
            if result.is_err() {
                failed = Some(failed.map_or(at, |first: usize| first.min(at)));
            }
        };
        // First the users: they take a few reads each, the others a scan.
        for (at, partition) in users {
            report(at, self.act_on_user(partition).await);
        }
        let rows: Vec<_> = shared.iter().map(|(_, keys)| *keys).collect();
        let result = self.act_on_shared(&rows).await;
        if let Some((at, _)) = shared.first() {
            report(*at, result);
        }
        // The stream continues from the first failed record; processing later ones again is
        // harmless.
        let mut response = BatchResponse::default();
        if let Some(record) = failed.and_then(|at| batch.records.get(at)) {
            response.continue_from(&record.dynamodb.sequence_number);
        }
        Ok(response)
    }
}
