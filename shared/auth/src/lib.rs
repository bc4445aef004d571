//! The pure core of Gatehouse: parses and verifies tokens, checks revocations, builds policies.
//!
//! This crate reads no clock, environment variable or socket and uses no AWS SDK. Time and keys are
//! arguments; other processes are behind the traits in [`ports`]. A request passes through the
//! modules in this order:
//!
//! 1. [`bearer`] extracts the token from an `Authorization` value;
//! 2. [`token`] parses it without trusting it;
//! 3. [`jwks`] and [`key_cache`] hold the keys that an issuer publishes;
//! 4. [`verify`] turns an [`token::UnverifiedToken`] into [`claims::VerifiedClaims`];
//! 5. [`revocation`] checks whether that token, its session or its user was revoked;
//! 6. [`arn`] and [`iam_policy`] build the response for API Gateway.
//!
//! For API keys, [`api_key`] replaces steps 2 to 4. [`mod@env`] reads configurations through a
//! lookup function that the caller passes.

#![warn(missing_docs)]

mod address;
pub mod api_key;
pub mod arn;
pub mod bearer;
pub mod claims;
#[cfg(feature = "test-helpers")]
mod claims_builder;
mod email;
pub mod env;
pub mod headers;
mod hex;
pub mod iam_policy;
mod json;
pub mod jwks;
pub mod key_cache;
#[cfg(feature = "test-helpers")]
pub mod memory;
pub mod path;
pub mod ports;
mod providers;
pub mod reason;
pub mod refs;
pub mod revocation;
pub mod routes;
pub mod secret;
mod spelling;
pub mod time;
pub mod token;
pub mod verify;

pub use address::address_hash;
pub use api_key::{PresentedKey, StoredKey};
pub use arn::MethodArn;
pub use claims::{Principal, TokenUse, VerifiedClaims, subject_hash};
#[cfg(feature = "test-helpers")]
pub use claims_builder::ClaimsBuilder;
pub use email::is_email;
pub use env::{ConfigError, Env};
pub use hex::hex;
pub use iam_policy::{Effect, IamPolicy};
pub use jwks::{Algorithm, KeySet, VerifyingKey};
pub use key_cache::KeyCache;
pub use ports::{ApiKeyStore, KeySource, RevocationReader, Unavailable};
pub use providers::Providers;
pub use reason::{AuthError, DenyReason};
pub use refs::{ClientRef, GroupRef, IssuerRef, SessionRef, TokenRef, UserRef};
pub use revocation::Revocations;
pub use secret::Secret;
pub use spelling::spellings;
pub use time::UnixSeconds;
pub use token::UnverifiedToken;
pub use verify::{
    Issuer, IssuerKind, ResourceAudience, TokenRules, TrustedIssuer, Verifier, verify,
};
