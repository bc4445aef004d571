//! The results of a request: the words of logs and metrics, and the status of the response.

use auth::{Cause, DenyReason};
use auth_tower::{Caller, Refusal};
use http::StatusCode;
use runtime::decision_log;
use runtime::log::Level;

/// The result of one request for a decision.
pub enum Outcome {
    /// The request may go on.
    Allowed(Caller),
    /// A policy denies, or another rule about a known caller: `reason`, a word of `docs/outcomes.md`.
    Denied {
        /// The word.
        reason: &'static str,
        /// The caller.
        caller: Caller,
    },
    /// The caller is not identified, or a dependency failed.
    Refused(Refusal),
    /// No phantom token could be signed.
    NotSigned,
    /// `POST /logout` revoked the session of this caller.
    LoggedOut(Caller),
    /// `POST /logout` with a cookie, by a page of another origin.
    ForeignOrigin,
    /// The proxy did not report the original request.
    InvalidOriginal,
    /// The headers of the request exceed their limit.
    HeadersTooLarge,
}

/// A policy, and no other rule, denies.
pub(crate) const DENIED: &str = "denied";

impl Outcome {
    /// The reason in logs, metrics and `docs/outcomes.md`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Allowed(_) => "allowed",
            Self::Denied { reason, .. } => reason,
            Self::Refused(refusal) => refusal.as_str(),
            Self::NotSigned => "phantom_token_not_signed",
            Self::LoggedOut(_) => "logged_out",
            Self::ForeignOrigin => DenyReason::ForeignOrigin.as_str(),
            Self::InvalidOriginal => "invalid_original_request",
            Self::HeadersTooLarge => "headers_too_large",
        }
    }

    /// The outcome in logs and metrics: the class of the reason.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Allowed(_) | Self::LoggedOut(_) => "allowed",
            Self::Denied { .. } | Self::ForeignOrigin => "denied",
            Self::Refused(Refusal::Unauthorized(_) | Refusal::Revoked(..)) => "unauthorized",
            Self::Refused(Refusal::Unavailable(_) | Refusal::OutOfTime) | Self::NotSigned => {
                "error"
            }
            Self::InvalidOriginal | Self::HeadersTooLarge => "invalid",
        }
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Allowed(_) => StatusCode::OK,
            Self::LoggedOut(_) => StatusCode::NO_CONTENT,
            Self::Denied { .. } | Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::Refused(refusal) => refusal.status(),
            Self::NotSigned => StatusCode::SERVICE_UNAVAILABLE,
            Self::InvalidOriginal => StatusCode::BAD_REQUEST,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }

    pub(crate) fn level(&self) -> Level {
        match self.word() {
            "allowed" => Level::Info,
            "error" => Level::Error,
            _ => Level::Warn,
        }
    }

    /// Why a dependency failed, if one did.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match self {
            Self::Refused(refusal) => refusal.cause(),
            Self::Allowed(_)
            | Self::LoggedOut(_)
            | Self::Denied { .. }
            | Self::ForeignOrigin
            | Self::NotSigned
            | Self::InvalidOriginal
            | Self::HeadersTooLarge => None,
        }
    }

    pub(crate) fn caller(&self) -> decision_log::Caller<'_> {
        match (self, self.known()) {
            (_, Some(caller)) => decision_log::Caller::Known(caller),
            (Self::Refused(Refusal::Revoked(_, hash)), None) => decision_log::Caller::Revoked(hash),
            (_, None) => decision_log::Caller::Unknown,
        }
    }

    /// The caller, if it is known.
    pub(crate) fn known(&self) -> Option<&Caller> {
        match self {
            Self::Allowed(caller) | Self::LoggedOut(caller) | Self::Denied { caller, .. } => {
                Some(caller)
            }
            Self::Refused(_)
            | Self::ForeignOrigin
            | Self::NotSigned
            | Self::InvalidOriginal
            | Self::HeadersTooLarge => None,
        }
    }
}
