//! The results of a decision, and why there may be none: the words of logs and metrics.

use api_gateway::{Effect, IamPolicy};
use auth::{AuthError, Cause, DenyReason, Unavailable, VerifiedClaims};
use serde_json::value::RawValue;

/// The decision about a known caller.
pub struct Decision {
    /// Allow or Deny.
    pub effect: Effect,
    /// The reason for a Deny that no Cedar policy made.
    pub reason: Option<DenyReason>,
    /// The response, in the format of the API that sent the event.
    pub answer: Box<RawValue>,
    /// The caller's claims.
    pub claims: VerifiedClaims,
}

/// The authorization of a request.
pub(crate) struct Authorization {
    /// Allow or Deny for this request.
    pub(crate) effect: Effect,
    /// The reason for a Deny that no Cedar policy made.
    pub(crate) reason: Option<DenyReason>,
    /// The IAM policy; `None` for AppSync, which has no methods that a policy could name.
    pub(crate) policy: Option<IamPolicy>,
}

/// Why the authorizer returned no policy.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum AuthorizeError {
    /// The caller was refused, or a dependency failed.
    Refused(#[from] AuthError),
    /// A revocation covers the credential of the caller with this hash of issuer and `sub`, for the log line.
    Revoked(DenyReason, String),
    /// The event names no valid API method.
    Event(#[from] api_gateway::ArnError),
    /// `openapi.yaml` does not contain the route of the request, or not in this spelling: no policy
    /// can cover it.
    UnknownRoute,
    /// The response would exceed API Gateway's limit.
    AnswerTooLarge,
    /// The decision exceeded its time limit.
    OutOfTime,
}

impl AuthorizeError {
    /// The name in logs, metrics and `docs/outcomes.md`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Refused(AuthError::Unauthorized(reason)) | Self::Revoked(reason, _) => {
                reason.as_str()
            }
            Self::Refused(AuthError::Unavailable(dependency)) => dependency.as_str(),
            Self::Event(_) => "invalid_method_arn",
            Self::UnknownRoute => "unknown_route",
            Self::AnswerTooLarge => "answer_too_large",
            Self::OutOfTime => "out_of_time",
        }
    }

    /// Why a dependency failed, if one did.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Refused(AuthError::Unavailable(unavailable)) => Some(unavailable.cause),
            Self::Refused(AuthError::Unauthorized(_))
            | Self::Revoked(..)
            | Self::Event(_)
            | Self::UnknownRoute
            | Self::AnswerTooLarge
            | Self::OutOfTime => None,
        }
    }
}

impl AuthorizeError {
    /// The refusal of a caller whose revocations do not allow the request.
    pub(crate) fn refused(reason: DenyReason, claims: &VerifiedClaims) -> Self {
        if !reason.is_revocation() {
            return reason.into();
        }
        Self::Revoked(reason, claims.subject_hash())
    }
}

impl From<Unavailable> for AuthorizeError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Refused(unavailable.into())
    }
}

impl From<DenyReason> for AuthorizeError {
    fn from(reason: DenyReason) -> Self {
        Self::Refused(reason.into())
    }
}
