//! What became of a message: the words and levels of the log.

use auth::Cause;
use auth_cognito::SignOut;
use runtime::log::{self, Level};

/// The result of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The revocation is written.
    Revoked,
    /// The revocation was moved to the queue that keeps it for longer.
    PutOff(Cause),
    /// The password is reset; the sign-out failed and is a message of its own now.
    Queued(Cause),
    /// The sessions are revoked at Cognito.
    Ended,
    /// Token revocation is disabled for the app client.
    Unsupported,
    /// Cognito refuses the call; a retry would be refused again.
    Refused,
    /// The task failed.
    Failed(Cause),
    /// The message is not a task.
    Unreadable,
}

impl Outcome {
    /// The word in the log.
    fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "marked",
            Self::PutOff(_) => "put_off",
            Self::Queued(_) => "queued",
            Self::Ended => "ended",
            Self::Unsupported => "unsupported",
            Self::Refused => "refused",
            Self::Failed(_) => "failed",
            Self::Unreadable => "unreadable",
        }
    }

    pub(crate) fn level(self) -> Level {
        match self {
            Self::Revoked | Self::Ended | Self::Unsupported | Self::Refused => Level::Info,
            Self::PutOff(_) | Self::Queued(_) => Level::Warn,
            Self::Failed(_) | Self::Unreadable => Level::Error,
        }
    }

    /// Whether the queue redelivers the message.
    pub(crate) fn is_retried(self) -> bool {
        match self {
            Self::Failed(_) | Self::Unreadable => true,
            Self::Revoked
            | Self::PutOff(_)
            | Self::Queued(_)
            | Self::Ended
            | Self::Unsupported
            | Self::Refused => false,
        }
    }
}

impl From<Outcome> for log::Outcome<'static> {
    fn from(outcome: Outcome) -> Self {
        let cause = match outcome {
            Outcome::PutOff(cause) | Outcome::Queued(cause) | Outcome::Failed(cause) => Some(cause),
            Outcome::Revoked
            | Outcome::Ended
            | Outcome::Unsupported
            | Outcome::Refused
            | Outcome::Unreadable => None,
        };
        Self {
            word: outcome.as_str(),
            cause,
        }
    }
}

impl From<SignOut> for Outcome {
    fn from(outcome: SignOut) -> Self {
        match outcome {
            SignOut::Done => Self::Ended,
            SignOut::Unsupported => Self::Unsupported,
            SignOut::Refused => Self::Refused,
        }
    }
}
