//! The result of a run, with the words of the log.

use auth::Unavailable;
use runtime::log::Level;
use serde::Serialize;

/// The result of a run.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Disabled users that were read.
    pub seen: u64,
    /// Revocations that were missing.
    pub written: u64,
    /// Users whose rows are malformed.
    pub unreadable: u64,
    /// Whether the run reached the end of the list, and of the daily comparison if it was due; else the next run
    /// continues with the list, or repeats the comparison.
    pub finished: bool,
    /// Users who were disabled here but enabled in the pool.
    pub enabled: u64,
    /// App clients whose sessions can outlive their revocations; `None` if Cognito did not answer.
    pub outliving: Option<u64>,
}

/// What a run found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An event was missed: an operator should check the event delivery.
    RevocationsWereMissing,
    /// Only a row that Gatehouse did not write is malformed.
    RowsAreUnreadable,
    UsersWereLockedOut,
    NotFinished,
    NothingMissing,
    Unavailable(Unavailable),
}

impl From<&Result<Run, Unavailable>> for Outcome {
    fn from(result: &Result<Run, Unavailable>) -> Self {
        match result {
            Ok(run) if run.written > 0 => Self::RevocationsWereMissing,
            Ok(run) if run.unreadable > 0 => Self::RowsAreUnreadable,
            Ok(run) if run.enabled > 0 => Self::UsersWereLockedOut,
            Ok(run) if !run.finished => Self::NotFinished,
            Ok(_) => Self::NothingMissing,
            Err(unavailable) => Self::Unavailable(*unavailable),
        }
    }
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RevocationsWereMissing => "marks_were_missing",
            Self::RowsAreUnreadable => "rows_are_unreadable",
            Self::UsersWereLockedOut => "users_were_locked_out",
            Self::NotFinished => "not_finished",
            Self::NothingMissing => "nothing_missing",
            Self::Unavailable(unavailable) => unavailable.as_str(),
        }
    }

    pub(crate) fn level(self) -> Level {
        match self {
            Self::RevocationsWereMissing | Self::UsersWereLockedOut => Level::Warn,
            Self::NotFinished | Self::NothingMissing => Level::Info,
            Self::RowsAreUnreadable | Self::Unavailable(_) => Level::Error,
        }
    }
}
