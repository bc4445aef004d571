//! What the core needs from other processes.

use std::future::Future;
use std::sync::Arc;

use crate::api_key::StoredKey;
use crate::claims::VerifiedClaims;
use crate::jwks::VerifyingKey;
use crate::reason::Refusal;
use crate::revocation::Marks;
use crate::time::UnixSeconds;
use crate::verify::Issuer;

/// A dependency failed: the answer is unknown. Never an Allow, never a Deny.
///
/// Displays only the dependency's name, so that it may be logged as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum Unavailable {
    /// The issuer's key set could not be fetched and no trusted copy is left.
    Jwks,
    /// The revocation table did not answer as it must.
    Revocations,
    /// The table of API keys did not answer as it must.
    ApiKeys,
    /// The table of profiles did not answer as it must.
    Profiles,
    /// The table of sessions did not answer as it must.
    Sessions,
    /// The table of connections, or the API that holds them, did not answer as it must.
    Connections,
    /// The table of attempts did not answer as it must.
    Attempts,
    /// The table of groups that are still to be given did not answer as it must.
    PendingGroups,
    /// The old store of users did not answer, or not as it must.
    Legacy,
    /// The topic for security messages did not take one.
    Topic,
    /// Cognito did not answer, or not as it must.
    Cognito,
}

impl Unavailable {
    /// The word that stands in logs, metrics and `docs/outcomes.md`.
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

/// Where the public keys of an issuer come from.
pub trait KeySource {
    /// The key that `issuer` publishes under `kid`.
    ///
    /// # Errors
    /// [`crate::Reason::UnknownKey`] if the issuer has no such key, [`Unavailable::Jwks`] if
    /// that cannot be known.
    fn key_for(
        &self,
        issuer: &Issuer,
        kid: &str,
        now: UnixSeconds,
    ) -> impl Future<Output = Result<Arc<VerifyingKey>, Refusal>> + Send;
}

/// Where revocations are kept.
pub trait RevocationStore {
    /// All marks that could void a token with these claims, read consistently: a mark whose
    /// write was acknowledged before this call is in the answer.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] whenever that cannot be promised.
    fn marks(
        &self,
        claims: &VerifiedClaims,
        now: UnixSeconds,
    ) -> impl Future<Output = Result<Marks, Unavailable>> + Send;
}

/// Where API keys are kept.
pub trait ApiKeyStore {
    /// The key in the row `id`, read consistently.
    ///
    /// # Errors
    /// [`crate::Reason::UnreadableMark`] if the row is none of ours, [`Unavailable::ApiKeys`]
    /// whenever it cannot be known.
    fn find(&self, id: &str) -> impl Future<Output = Result<Option<StoredKey>, Refusal>> + Send;
}
