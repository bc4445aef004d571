//! Phantom tokens: short-lived JWTs that tell a backend who the caller is.
//!
//! A gateway verifies the caller's own credential and its revocations, and passes on a [`Minter`]'s JWT in its
//! place: for one audience, valid for seconds, shaped as an access token of [RFC 9068]. The credential itself never
//! reaches a backend. `docs/phantom-tokens.md` says what a backend must check, and why it was built this way.
//!
//! [`SigningKeys`] holds the key pairs: it reads their document, publishes the JWK set and decides which key signs.
//! This crate reads no clock, file, socket or environment variable; only random numbers come from the system.
//!
//! # Examples
//! ```
//! use auth::UnixSeconds;
//! use auth_phantom::{DEFAULT_TTL_SECONDS, Minter, SigningAlgorithm, SigningKeys};
//!
//! # let claims = testkit_claims();
//! let now = UnixSeconds(1_800_000_000);
//! let keys = SigningKeys::first(SigningAlgorithm::Es256, now)?;
//! let minter = Minter::new("https://auth.example.com".to_owned(), keys, DEFAULT_TTL_SECONDS)?;
//! let token = minter.mint(&claims, "orders", now)?;
//! assert_eq!(token.split('.').count(), 3);
//! assert!(minter.jwks().starts_with(r#"{"keys":[{"#));
//! # fn testkit_claims() -> auth::VerifiedClaims {
//! #     auth::ClaimsBuilder::user("ada", UnixSeconds(1_800_000_000)).build()
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Neither type implements `Debug`:
//! ```compile_fail,E0277
//! # let keys = auth_phantom::SigningKeys::from_json("").ok();
//! println!("{keys:?}");
//! ```
//!
//! [RFC 9068]: https://www.rfc-editor.org/rfc/rfc9068

#![warn(missing_docs)]

mod audiences;
mod document;
mod issuer;
mod keys;
mod mint;

pub use audiences::{Audiences, AudiencesError};
pub use document::{MAX_DOCUMENT_BYTES, MAX_KEYS, SigningKeysError};
pub use keys::{
    JWKS_MAX_AGE_SECONDS, KeyInfo, KeyState, PUBLISH_SECONDS, RELOAD_SECONDS, RETIRE_SECONDS,
    RotationError, STORE_SECONDS, SigningAlgorithm, SigningKeys,
};
pub use mint::{
    DEFAULT_TTL_SECONDS, MAX_CLAIMS_BYTES, MAX_TTL_SECONDS, MIN_TTL_SECONDS, MintError, Minter,
    MinterError,
};
