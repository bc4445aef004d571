//! Interfaces to other processes that the core depends on.

use std::future::Future;
use std::sync::Arc;

use crate::api_key::StoredKey;
use crate::claims::VerifiedClaims;
use crate::error::{AuthError, Unavailable};
use crate::jwks::VerifyingKey;
use crate::revocation::Revocations;
use crate::time::UnixSeconds;
use crate::verify::Issuer;

/// Source of an issuer's public keys.
pub trait KeySource {
    /// The key that `issuer` publishes under `kid`.
    ///
    /// # Errors
    /// [`crate::DenyReason::UnknownKey`] if the issuer has no such key, [`Unavailable`] if its
    /// key set is not available.
    fn key_for(
        &self,
        issuer: &Issuer,
        kid: &str,
        now: UnixSeconds,
    ) -> impl Future<Output = Result<Arc<VerifyingKey>, AuthError>> + Send;
}

/// Reads revocations.
pub trait RevocationReader {
    /// All revocations that may apply to a token with these claims, by consistent reads: the result
    /// contains every revocation whose write was acknowledged before this call.
    ///
    /// # Errors
    /// [`Unavailable`] whenever that cannot be guaranteed.
    fn revocations(
        &self,
        claims: &VerifiedClaims,
        now: UnixSeconds,
    ) -> impl Future<Output = Result<Revocations, Unavailable>> + Send;
}

/// Reads API keys.
pub trait ApiKeyStore {
    /// The key in the row `id`, by a consistent read.
    ///
    /// # Errors
    /// [`crate::DenyReason::UnreadableRevocation`] if Gatehouse did not write the row,
    /// [`Unavailable`] if it could not be read.
    fn find(&self, id: &str) -> impl Future<Output = Result<Option<StoredKey>, AuthError>> + Send;
}
