//! The revocation store: one DynamoDB table, read by point reads, written by monotone updates.
//!
//! The rows are described in ARCHITECTURE.md ("The table"). Reading and writing stand in a
//! module each; what both have in common is the client and its budget.

#![warn(missing_docs)]

mod api_keys;
mod attempts;
mod calls;
mod checksum;
mod connections;
mod groups;
mod list;
mod pages;
mod pending_groups;
mod profiles;
mod read;
mod row;
mod server_time;
mod sessions;
pub mod user_row;
mod write;

#[cfg(test)]
mod interleavings;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use auth::UnixSeconds;
use auth::revocation::RowKey;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Builder, StalledStreamProtectionConfig};
use aws_types::SdkConfig;

pub use api_keys::DynamoApiKeys;
pub use attempts::AttemptTable;
pub use connections::{Connection, ConnectionTable};
pub use list::{DisabledRow, Mark, SweepState};
pub use pending_groups::{Left, LeftFor, PendingGroups};
pub use profiles::{Profiles, Status};
pub use row::GroupCutoff;
pub use sessions::{Session, SessionTable};
pub use write::Ending;

use crate::checksum::ChecksumInterceptor;
use crate::row::Cutoffs;

/// One read with its retries, everything included.
const OPERATION: Duration = Duration::from_millis(800);
const ATTEMPT: Duration = Duration::from_millis(250);
const CONNECT: Duration = Duration::from_millis(300);
/// The first connection of a process has the TLS handshake and its entropy to pay for.
const PRIMING: Duration = Duration::from_secs(3);
const ATTEMPTS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(20);
/// Seconds that a client-wide or issuer-wide cutoff may be remembered.
const CUTOFF_CACHE_SECONDS: u64 = 5;

/// Revocations in a DynamoDB table.
pub struct DynamoRevocations {
    client: Client,
    table: String,
    /// By the client's row, which names the issuer too: few, and none that a caller could make up.
    cutoffs: Mutex<HashMap<RowKey, (UnixSeconds, Cutoffs)>>,
}

impl DynamoRevocations {
    /// The store in `table`. The endpoint, region and credentials are those of `sdk`; the time
    /// limits are the store's own, because the SDK has none that fit a request.
    #[must_use]
    pub fn new(sdk: &SdkConfig, table: String) -> Self {
        Self {
            client: client(sdk),
            table,
            cutoffs: Mutex::default(),
        }
    }
}

/// A client with the budget above.
fn client(sdk: &SdkConfig) -> Client {
    let config = Builder::from(sdk)
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_attempt_timeout(ATTEMPT)
                .operation_timeout(OPERATION)
                .build(),
        )
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_initial_backoff(FIRST_BACKOFF),
        )
        // Every attempt has its own limit.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .interceptor(ChecksumInterceptor)
        .build();
    Client::from_conf(config)
}
