//! The revocation store: one DynamoDB table, read by key, written by monotone updates.
//!
//! ARCHITECTURE.md ("The table") describes the rows. Reading and writing are separate modules that
//! share the client and its time limits.

#![warn(missing_docs)]

mod address_hash;
mod api_keys;
mod attempts;
mod browser_sessions;
mod calls;
mod checksum;
mod connections;
mod groups;
mod key;
mod list;
mod pages;
mod pending_groups;
mod profiles;
mod read;
mod row;
mod server_time;
mod sessions;
mod table_clock;
mod user_row;
mod write;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use auth::UnixSeconds;
use aws_client::Limits;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_types::SdkConfig;

pub use address_hash::address_hash;
pub use api_keys::DynamoApiKeys;
pub use attempts::AttemptTable;
pub use browser_sessions::DynamoBrowserSessions;
pub use connections::{Connection, ConnectionTable, SharedRevocation};
pub use key::DisplayedKey;
pub use list::{DisabledRow, RevocationRow, SweepState};
pub use pending_groups::{Left, LeftFor, PendingGroups};
pub use profiles::{Profiles, Status};
pub use read::{ClientSession, ClientUser};
pub use sessions::{Session, SessionTable};

use crate::checksum::ChecksumInterceptor;
use crate::key::RowKey;
use crate::row::SharedRevocations;

/// The limits for one read or write: a request waits for it.
const LIMITS: Limits = Limits {
    // Longer than an attempt, which is what limits a connection: the SDK has a pool for each value, and requests
    // should find the connection that `WARM_UP` has opened.
    connect: WARM_UP_CONNECT,
    attempt: Duration::from_millis(250),
    operation: Duration::from_millis(800),
    attempts: 3,
    first_backoff: Duration::from_millis(20),
};
const WARM_UP_CONNECT: Duration = Duration::from_secs(3);
/// The limits for the first connection of a process, which includes the TLS handshake.
const WARM_UP: Limits = Limits {
    connect: WARM_UP_CONNECT,
    attempt: Duration::from_secs(3),
    operation: Duration::from_secs(3),
    ..LIMITS
};
/// Seconds for which a client-wide or issuer-wide revocation may be cached.
const SHARED_CACHE_SECONDS: u64 = 5;

/// Revocations in a DynamoDB table.
pub struct DynamoRevocations {
    client: Client,
    table: String,
    /// Cached by the client's row, which contains the issuer: few entries, and none that a caller
    /// could invent.
    shared: Mutex<HashMap<RowKey, (UnixSeconds, SharedRevocations)>>,
}

impl DynamoRevocations {
    /// The store in `table`. The endpoint, region and credentials are those of `sdk`; the time
    /// limits are the store's own, because the SDK's defaults do not fit a request.
    #[must_use]
    pub fn new(sdk: &SdkConfig, table: String) -> Self {
        Self {
            client: client(sdk),
            table,
            shared: Mutex::default(),
        }
    }
}

/// A client with the limits above.
fn client(sdk: &SdkConfig) -> Client {
    let config = Builder::from(&aws_client::with_limits(sdk, &LIMITS));
    Client::from_conf(config.interceptor(ChecksumInterceptor).build())
}
