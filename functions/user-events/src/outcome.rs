//! What became of a record: the words of the log and of the metric.

use auth::Unavailable;
use runtime::log::Level;

use crate::action::Action;

/// The outcome of a record.
pub(crate) enum Outcome {
    Applied(Action),
    /// A call of our own: revoked only.
    AppliedOwn(Action),
    Ignored(Ignored),
}

/// Why a record is ignored: it is foreign, or there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    OtherSource,
    OtherAccount,
    OtherRegion,
    OtherUserPool,
    FailedCall,
    /// user-sweep's hourly call.
    Heartbeat,
    NothingToDo,
    /// A call that our logout made.
    OwnCall,
    NoSubject,
    UnknownUser,
}

/// Why a record must be retried.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum EventError {
    #[error("no_subject")]
    NoSubject,
    #[error("unreadable")]
    Unreadable,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Outcome {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::AppliedOwn(_) => "applied_own_call",
            Self::Ignored(why) => why.as_str(),
        }
    }

    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Ignored(Ignored::NoSubject | Ignored::UnknownUser) => Level::Warn,
            Self::Applied(_) | Self::AppliedOwn(_) | Self::Ignored(_) => Level::Info,
        }
    }

    /// The word of the call; `-` if it was ignored.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Applied(action) | Self::AppliedOwn(action) => action.kind,
            Self::Ignored(_) => "-",
        }
    }
}

impl Ignored {
    fn as_str(self) -> &'static str {
        match self {
            Self::OtherSource => "other_source",
            Self::OtherAccount => "other_account",
            Self::OtherRegion => "other_region",
            Self::OtherUserPool => "other_user_pool",
            Self::FailedCall => "failed_call",
            Self::Heartbeat => "heartbeat",
            Self::NothingToDo => "nothing_to_do",
            Self::OwnCall => "own_call",
            Self::NoSubject => "no_subject",
            Self::UnknownUser => "unknown_user",
        }
    }
}
