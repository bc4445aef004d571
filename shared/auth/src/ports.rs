//! Interfaces to other processes that the core depends on.

use std::future::Future;
use std::sync::Arc;

use crate::api_key::StoredKey;
use crate::claims::VerifiedClaims;
use crate::jwks::VerifyingKey;
use crate::reason::AuthError;
use crate::revocation::Revocations;
use crate::time::UnixSeconds;
use crate::verify::Issuer;

/// A dependency failed, so the answer is unknown: neither an Allow nor a Deny.
///
/// `Display` prints only the dependency's name, so the error may be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum Unavailable {
    /// The issuer's key set could not be fetched, and no trusted copy is left.
    Jwks,
    /// The revocation table did not give a valid response.
    Revocations,
    /// The table of API keys did not give a valid response.
    ApiKeys,
    /// The table of profiles did not give a valid response.
    Profiles,
    /// The table of sessions did not give a valid response.
    Sessions,
    /// The table of connections, or the API that holds them, did not give a valid response.
    Connections,
    /// The table of attempts did not give a valid response.
    Attempts,
    /// The table of pending groups did not give a valid response.
    PendingGroups,
    /// The legacy user store did not give a valid response.
    Legacy,
    /// The topic for security messages did not accept a message.
    Topic,
    /// Cognito did not give a valid response.
    Cognito,
}

impl Unavailable {
    /// The name in logs, metrics and `docs/outcomes.md`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jwks => "jwks_unavailable",
            Self::Revocations => "revocations_unavailable",
            Self::ApiKeys => "api_keys_unavailable",
            Self::Profiles => "profiles_unavailable",
            Self::Sessions => "sessions_unavailable",
            Self::Connections => "connections_unavailable",
            Self::Attempts => "attempts_unavailable",
            Self::PendingGroups => "pending_groups_unavailable",
            Self::Legacy => "legacy_unavailable",
            Self::Topic => "topic_unavailable",
            Self::Cognito => "cognito_unavailable",
        }
    }
}

/// Source of an issuer's public keys.
pub trait KeySource {
    /// The key that `issuer` publishes under `kid`.
    ///
    /// # Errors
    /// [`crate::DenyReason::UnknownKey`] if the issuer has no such key, [`Unavailable::Jwks`] if its
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
    /// [`Unavailable::Revocations`] whenever that cannot be guaranteed.
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
    /// [`Unavailable::ApiKeys`] if it could not be read.
    fn find(&self, id: &str) -> impl Future<Output = Result<Option<StoredKey>, AuthError>> + Send;
}
