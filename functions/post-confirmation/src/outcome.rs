//! What was done about a confirmation, in the words of the log.

use auth::Unavailable;
use runtime::log::Level;

/// The result for a confirmation that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Another trigger source, or no profiles are kept.
    NothingToDo,
    /// The revocation is written, and Cognito has signed the user out.
    SessionsEnded,
    /// The revocation is written, and the sign-out at Cognito is queued.
    SignOutQueued,
    /// The revocation is written, but neither Cognito nor the queue answered.
    SignOutFailed,
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
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NothingToDo => "nothing_to_do",
            Self::SessionsEnded => "sessions_ended",
            Self::SignOutQueued => "sessions_ended_sign_out_queued",
            Self::SignOutFailed => "sessions_ended_sign_out_failed",
            Self::ProfileMade => "profile_made",
            Self::NoProfile(unavailable) => unavailable.as_str(),
        }
    }

    pub(crate) fn level(self) -> Level {
        match self {
            Self::SignOutFailed | Self::NoProfile(_) => Level::Error,
            Self::NothingToDo | Self::SessionsEnded | Self::SignOutQueued | Self::ProfileMade => {
                Level::Info
            }
        }
    }
}

impl ConfirmationError {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoTriggerEvent => "no_trigger_event",
            Self::IncompleteEvent => "incomplete_event",
            Self::Unavailable(unavailable) => unavailable.as_str(),
        }
    }
}

impl From<Unavailable> for ConfirmationError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}
