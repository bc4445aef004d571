//! Support for tests: keys, tokens, and fakes of the services around a function.
//!
//! A leaf crate for development only. It depends on no other crate of this workspace, so that a bug
//! in one of them is not hidden by the same bug here.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

pub mod aws;
pub mod binary;
pub mod dynamodb;
pub mod events;
pub mod http;
pub mod iam;
pub mod jwks_server;
pub mod keys;
pub mod pool;
pub mod report;
pub mod rows;
pub mod runtime_api;
pub mod server;
pub mod spans;
pub mod token;

pub use aws::FakeAws;
pub use binary::{Binary, HttpBinary, Invocation};
pub use dynamodb::DynamoDbLocal;
pub use keys::SigningKey;
pub use pool::Pool;
pub use token::{TokenBuilder, now};
