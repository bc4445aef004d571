#![doc = include_str!("../README.md")]
//!
//! # A token's way through this crate
//!
//! 1. [`UnverifiedToken`] parses it without trusting it;
//! 2. [`KeySet`] and [`key_cache`] hold the keys that an issuer publishes;
//! 3. [`Verifier`] turns the token into [`VerifiedClaims`];
//! 4. [`Revocations`] says whether that token, its session or its user was revoked.
//!
//! A [`RevocationWriter`] writes revocations; [`user_state`] has the rules by which a user's change.
//!
//! For API keys, [`api_key`] replaces steps 1 to 3. [`Callers`] executes all steps over the ports.

#![warn(missing_docs)]

pub mod api_key;
mod caller;
mod claims;
#[cfg(feature = "test-helpers")]
mod claims_builder;
#[cfg(feature = "test-helpers")]
pub mod conformance;
mod error;
mod json;
mod jwks;
pub mod key_cache;
pub mod memory;
mod oidc_claims;
mod ports;
mod reason;
mod refs;
mod revocation;
mod secret;
mod time;
mod token;
mod unverified_claims;
pub mod user_state;
mod verify;

pub use caller::{ApiKeys, Callers, Credential};
pub use claims::{MAX_ID_BYTES, Principal, TokenUse, VerifiedClaims, subject_hash};
#[cfg(feature = "test-helpers")]
pub use claims_builder::ClaimsBuilder;
pub use error::{AuthError, Cause, Dependency, Unavailable};
pub use jwks::{Algorithm, KeySet, KeySetError, MAX_KEY_SET_BYTES, VerifyingKey};
pub use ports::{
    ApiKeyStore, ApiKeyWriter, KeySource, OwnCalls, RevocationReader, RevocationWriter,
};
pub use reason::DenyReason;
pub use refs::{ClientRef, GroupRef, IssuerRef, SessionRef, TokenRef, UserRef};
pub use revocation::{
    KeptSession, OtherSessions, PasswordChange, REVOCATION_MARGIN_SECONDS, RevocationContext,
    Revocations, UserRevocation,
};
pub use secret::Secret;
pub use time::UnixSeconds;
pub use token::{LARGEST_MAX_TOKEN_BYTES, MAX_TOKEN_BYTES, UnverifiedToken};
pub use verify::{
    IAT_LEEWAY_SECONDS, Issuer, IssuerKind, LARGEST_MAX_LIFETIME_SECONDS, MAX_IAT_LEEWAY_SECONDS,
    MAX_LIFETIME_SECONDS, ResourceAudience, TokenRules, TrustedIssuer, Verifier, verify,
};
