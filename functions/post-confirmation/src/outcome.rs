//! What was done about a confirmation, in the words of the log.

use auth::{Cause, Unavailable};
use runtime::log::{self, Level};

/// The result for a confirmation that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Another trigger source, or no profiles are kept.
    NothingToDo,
    /// The revocation is written, and Cognito has signed the user out.
    SessionsEnded,
    /// The revocation is written, and the sign-out at Cognito is queued.
    SignOutQueued(Cause),
    /// The revocation is written, but neither Cognito nor the queue answered.
    SignOutFailed(Cause),
    /// The profile is written.
    ProfileMade,
    /// The sign-up is confirmed, but the profile is not written.
    NoProfile(Unavailable),
}

/// Why the trigger fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfirmationError {
    /// The event has no trigger source.
    NoTriggerEvent,
    /// The event lacks a member that is needed.
    IncompleteEvent,
    /// The revocation is not written.
    Unavailable(Unavailable),
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::NothingToDo => "nothing_to_do",
            Self::SessionsEnded => "sessions_ended",
            Self::SignOutQueued(_) => "sessions_ended_sign_out_queued",
            Self::SignOutFailed(_) => "sessions_ended_sign_out_failed",
            Self::ProfileMade => "profile_made",
            Self::NoProfile(unavailable) => unavailable.as_str(),
        }
    }

    pub(crate) fn level(self) -> Level {
        match self {
            Self::SignOutFailed(_) | Self::NoProfile(_) => Level::Error,
            Self::NothingToDo
            | Self::SessionsEnded
            | Self::SignOutQueued(_)
            | Self::ProfileMade => Level::Info,
        }
    }
}

impl From<Outcome> for log::Outcome<'static> {
    fn from(outcome: Outcome) -> Self {
        let cause = match outcome {
            Outcome::SignOutQueued(cause) | Outcome::SignOutFailed(cause) => Some(cause),
            Outcome::NoProfile(unavailable) => Some(unavailable.cause),
            Outcome::NothingToDo | Outcome::SessionsEnded | Outcome::ProfileMade => None,
        };
        Self {
            word: outcome.as_str(),
            cause,
        }
    }
}

impl From<ConfirmationError> for log::Outcome<'static> {
    fn from(error: ConfirmationError) -> Self {
        match error {
            ConfirmationError::NoTriggerEvent => "no_trigger_event".into(),
            ConfirmationError::IncompleteEvent => "incomplete_event".into(),
            ConfirmationError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<Unavailable> for ConfirmationError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}
