//! The pure core of Gatehouse: parses and verifies tokens, and checks revocations.
//!
//! This crate reads no clock, environment variable or socket, uses no AWS SDK, and knows neither API
//! Gateway nor a table. Time and keys are arguments; other processes are behind the traits in
//! [`ports`]. A token passes through the modules in this order:
//!
//! 1. [`token`] parses it without trusting it;
//! 2. [`jwks`] and [`key_cache`] hold the keys that an issuer publishes;
//! 3. [`verify`] turns an [`token::UnverifiedToken`] into [`claims::VerifiedClaims`];
//! 4. [`revocation`] checks whether that token, its session or its user was revoked.
//!
//! For API keys, [`api_key`] replaces steps 1 to 3.

#![warn(missing_docs)]

pub mod api_key;
pub mod claims;
pub mod error;
mod json;
pub mod jwks;
pub mod key_cache;
pub mod ports;
pub mod reason;
pub mod refs;
pub mod revocation;
pub mod secret;
pub mod time;
pub mod token;
pub mod verify;

pub use api_key::{PresentedKey, StoredKey};
pub use claims::{Principal, TokenUse, VerifiedClaims, subject_hash};
pub use error::{AuthError, Cause, Dependency, Unavailable};
pub use jwks::{Algorithm, KeySet, VerifyingKey};
pub use key_cache::KeyCache;
pub use ports::{ApiKeyStore, KeySource, RevocationReader};
pub use reason::DenyReason;
pub use refs::{ClientRef, GroupRef, IssuerRef, SessionRef, TokenRef, UserRef};
pub use revocation::Revocations;
pub use secret::Secret;
pub use time::UnixSeconds;
pub use token::UnverifiedToken;
pub use verify::{Issuer, IssuerKind, ResourceAudience, TokenRules, Verifier};
