//! The pure core of Gatehouse: what a token is, who signed it, what was revoked, what follows.
//!
//! Nothing here reads a clock, an environment variable or a socket. Time and keys are arguments,
//! other processes are behind the traits in [`ports`], and no AWS SDK is known. A request walks
//! through the modules in this order:
//!
//! 1. [`bearer`] finds the token in an `Authorization` value;
//! 2. [`token`] takes it apart without believing it;
//! 3. [`jwks`] and [`key_cache`] hold the keys that an issuer publishes;
//! 4. [`verify`] turns an [`token::UnverifiedToken`] into [`claims::VerifiedClaims`];
//! 5. [`revocation`] says whether somebody ended that token, session or user;
//! 6. [`arn`] and [`policy`] write the answer that API Gateway understands.
//!
//! An API key takes the way over [`api_key`] instead of 2 to 4. [`mod@env`] reads configurations, through a lookup that it is given.

#![warn(missing_docs)]

mod address;
pub mod api_key;
pub mod arn;
pub mod bearer;
pub mod claims;
mod email;
pub mod env;
pub mod headers;
mod hex;
mod json;
pub mod jwks;
pub mod key_cache;
pub mod policy;
pub mod ports;
mod providers;
pub mod reason;
pub mod revocation;
pub mod route;
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
pub use email::is_email;
pub use env::{ConfigError, Env};
pub use hex::hex;
pub use jwks::{Algorithm, KeySet, VerifyingKey};
pub use key_cache::KeyCache;
pub use policy::{Effect, PolicyDocument};
pub use ports::{ApiKeyStore, KeySource, RevocationStore, Unavailable};
pub use providers::Providers;
pub use reason::{Reason, Refusal};
pub use revocation::Marks;
pub use secret::Secret;
pub use spelling::spellings;
pub use time::UnixSeconds;
pub use token::UnverifiedToken;
pub use verify::{Issuer, IssuerKind, ResourceAudience, TokenRules, Verifier};
