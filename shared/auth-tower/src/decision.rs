//! The results of a decision.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use api_gateway::Effect;
use auth::{AuthError, Cause, DenyReason, Unavailable, VerifiedClaims};

/// The caller of an allowed request: its verified claims. Clones are cheap.
///
/// [`crate::AuthLayer`] puts it into the request's extensions; with the feature `axum` it is an extractor.
#[derive(Clone)]
pub struct Caller(pub(crate) Arc<VerifiedClaims>);

impl Deref for Caller {
    type Target = VerifiedClaims;

    fn deref(&self) -> &VerifiedClaims {
        &self.0
    }
}

impl From<VerifiedClaims> for Caller {
    fn from(claims: VerifiedClaims) -> Self {
        Self(Arc::new(claims))
    }
}

/// The decision about a known caller.
pub struct Decision {
    /// Allow or Deny.
    pub effect: Effect,
    /// The reason for a Deny that no Cedar policy made.
    pub reason: Option<DenyReason>,
    /// The caller.
    pub caller: Caller,
}

/// Why there is no decision about a known caller.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum Refusal {
    /// The caller is refused: 401.
    Unauthorized(DenyReason),
    /// A revocation covers the credential of the caller with this hash of issuer and `sub`: 401.
    Revoked(DenyReason, String),
    /// A dependency failed: 503.
    Unavailable(#[from] Unavailable),
    /// The time limit was exceeded: 503.
    OutOfTime,
}

impl Refusal {
    /// The refusal of a known caller.
    pub(crate) fn of(reason: DenyReason, claims: &VerifiedClaims) -> Self {
        if reason.is_revocation() {
            Self::Revoked(reason, claims.subject_hash())
        } else {
            Self::Unauthorized(reason)
        }
    }

    /// The name in logs, metrics and `docs/outcomes.md`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unauthorized(reason) | Self::Revoked(reason, _) => reason.as_str(),
            Self::Unavailable(unavailable) => unavailable.as_str(),
            Self::OutOfTime => "out_of_time",
        }
    }

    /// Why a dependency failed, if one did.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Unavailable(unavailable) => Some(unavailable.cause),
            Self::Unauthorized(_) | Self::Revoked(..) | Self::OutOfTime => None,
        }
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unauthorized(reason) => Self::Unauthorized(reason),
            AuthError::Unavailable(unavailable) => Self::Unavailable(unavailable),
        }
    }
}

impl From<DenyReason> for Refusal {
    fn from(reason: DenyReason) -> Self {
        Self::Unauthorized(reason)
    }
}

/// What became known during a decision, also one that failed.
#[derive(Default)]
pub struct Trace {
    pub(crate) issuer: OnceLock<Arc<str>>,
    pub(crate) odd_expiry: OnceLock<()>,
}

impl Trace {
    /// The short name of the configured issuer that the credential names, which a refused token does not prove.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.get().map(|id| &**id)
    }

    /// Whether a row has an expiry that DynamoDB ignores ([`auth::Revocations::odd_expiry`]).
    #[must_use]
    pub fn odd_expiry(&self) -> bool {
        self.odd_expiry.get().is_some()
    }
}
