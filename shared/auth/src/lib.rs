#![doc = include_str!("../README.md")]
//!
//! # A request's way through this crate
//!
//! 1. [`bearer`] extracts the token from an `Authorization` value;
//! 2. [`UnverifiedToken`] parses it without trusting it;
//! 3. [`KeySet`] and [`key_cache`] hold the keys that an issuer publishes;
//! 4. [`Verifier`] turns the token into [`VerifiedClaims`];
//! 5. [`Revocations`] says whether that token, its session or its user was revoked;
//! 6. [`MethodArn`] and [`IamPolicy`] build the response for API Gateway.
//!
//! For API keys, [`api_key`] replaces steps 2 to 4. [`mod@env`] reads configurations through a
//! lookup function that the caller passes.

#![warn(missing_docs)]

mod address;
pub mod api_key;
mod arn;
pub mod bearer;
mod claims;
#[cfg(feature = "test-helpers")]
mod claims_builder;
mod email;
pub mod env;
pub mod headers;
mod hex;
mod iam_policy;
mod json;
mod jwks;
pub mod key_cache;
#[cfg(feature = "test-helpers")]
pub mod memory;
pub mod path;
mod ports;
mod providers;
mod reason;
mod refs;
mod revocation;
pub mod routes;
mod secret;
mod spelling;
mod time;
mod token;
mod verify;

pub use address::address_hash;
pub use arn::{ArnError, MethodArn};
pub use claims::{MAX_ID_BYTES, Principal, TokenUse, VerifiedClaims, subject_hash};
#[cfg(feature = "test-helpers")]
pub use claims_builder::ClaimsBuilder;
pub use email::is_email;
pub use hex::hex;
pub use iam_policy::{Effect, IamPolicy};
pub use jwks::{Algorithm, KeySet, KeySetError, MAX_KEY_SET_BYTES, VerifyingKey};
pub use ports::{ApiKeyStore, KeySource, RevocationReader, Unavailable};
pub use providers::Providers;
pub use reason::{AuthError, DenyReason};
pub use refs::{ClientRef, GroupRef, IssuerRef, SessionRef, TokenRef, UserRef};
pub use revocation::{REVOCATION_MARGIN_SECONDS, Revocations, UserRevocation};
pub use secret::Secret;
pub use spelling::spellings;
pub use time::UnixSeconds;
pub use token::{LARGEST_MAX_TOKEN_BYTES, MAX_TOKEN_BYTES, UnverifiedToken};
pub use verify::{
    IAT_LEEWAY_SECONDS, Issuer, IssuerKind, LARGEST_MAX_LIFETIME_SECONDS, MAX_IAT_LEEWAY_SECONDS,
    MAX_LIFETIME_SECONDS, ResourceAudience, TokenRules, TrustedIssuer, Verifier, verify,
};
