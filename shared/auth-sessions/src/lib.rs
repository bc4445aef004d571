//! Browser sessions behind an opaque id.
//!
//! A browser holds a [`SessionId`], 256 random bits in a cookie. A store holds the row: the id's SHA-256 as its key, and
//! the tokens, sealed with AES-256-GCM. A copy of the table contains neither an id nor a token, and a row that was
//! changed, or moved to another key, does not open.
//!
//! 1. [`SealingKeys`] reads the keys from the text of a secret;
//! 2. [`BrowserSessions`] is the port to a store: [`MemoryBrowserSessions`] for one machine, and
//!    `auth_dynamodb::DynamoBrowserSessions` for several;
//! 3. [`SealedSessions`] joins both.
//!
//! This crate has no AWS SDK, clock or environment. Random bits are its only I/O.

#![warn(missing_docs)]

#[cfg(feature = "test-helpers")]
pub mod conformance;
mod id;
mod keys;
mod memory;
mod ports;
mod refresh;
mod seal;
mod sessions;

pub use id::{RowKey, SessionId};
pub use keys::{GENERATED, KeysError, MAX_KEYS, SealingKeys};
pub use memory::MemoryBrowserSessions;
pub use ports::{BrowserSessions, Lease, SealedSession};
pub use refresh::{NewTokens, REFRESH_POLLS, RefreshError};
pub use sessions::{BrowserSession, Found, Holder, LEASE_SECONDS, SealedSessions};
