//! What became of a user, in the words of the log: the closed list of docs/outcomes.md.

use std::collections::{BTreeMap, BTreeSet};

use auth::{Dependency, Unavailable};
use runtime::clock;
use runtime::log::{self, Level};
use serde_json::Value;

use crate::hash::HashError;
use crate::source::SourceError;

/// The outcome of an event.
pub(crate) enum Outcome {
    Migrated(MigratedUser),
    NotMigrated(NotMigratedError),
}

/// A migrated user.
pub(crate) struct MigratedUser {
    pub(crate) attributes: BTreeMap<String, String>,
    /// Groups, by the new pool's names. They are not part of the response.
    pub(crate) groups: Vec<String>,
    /// The names of attributes that are not migrated, because the pool would refuse their values.
    pub(crate) left_behind: BTreeSet<String>,
    pub(crate) next: Next,
}

impl MigratedUser {
    /// Logs which attributes are not migrated. Only their names: values are personal data.
    pub(crate) fn log_left_behind(&self, request_id: &str) {
        let names = self.left_behind.iter().map(String::as_str);
        let fields = [
            ("attributes", Value::from(names.collect::<Vec<_>>())),
            ("request_id", Value::from(request_id)),
            ("AttributesLeftBehind", Value::from(self.left_behind.len())),
            (
                "_aws",
                log::metric("AttributesLeftBehind", "message", clock::unix_seconds()),
            ),
        ];
        log::line(Level::Warn, "attributes stay behind", fields);
    }
}

/// What a migrated user has to do about the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Nothing,
    /// Choose a new password after the sign-in: the pool's policy would refuse this one.
    Change,
    /// Reset the password before the sign-in, by a code sent to a verified address or number.
    Reset,
}

/// Why the user was not migrated: the closed list of docs/outcomes.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotMigratedError {
    /// The trigger source is missing or unknown.
    NothingToDo,
    /// The name or the password is missing, or Cognito would not accept it.
    Malformed,
    /// There were too many recent failures for this user.
    TooManyFailures,
    /// There were too many recent failures of all users together, as when an attacker also guesses names.
    TooManyFailuresInAll,
    /// The sources have no user of that name.
    Unknown,
    /// Several users share the name, and the rule does not single out one of them.
    Ambiguous,
    /// The user may not sign in.
    Disabled,
    /// The user's `status` is unknown, so the user may not sign in either. `gatehouse migrate check` lists such values;
    /// the log does not, because any text may be in that field.
    UnknownStatus,
    /// The user is unconfirmed.
    Unconfirmed,
    /// The old pool requires a challenge besides the password.
    Challenged,
    /// The password is wrong.
    WrongPassword,
    /// The hash is unusable.
    Hash(HashError),
    /// The old store has no password of this user.
    NoPassword,
    /// A required attribute of the new pool is missing.
    MissingAttribute,
    /// The password has to be reset, but the user has no verified address or number for the code.
    NotVerified,
    /// The store, or a trigger of the old pool, refuses this user.
    Refused,
    /// The e-mail address differs from the typed name, in a pool whose user names are addresses.
    OtherAddress,
}

/// Why the user is not migrated, or the failure of a dependency.
#[derive(Clone, Copy)]
pub(crate) enum MigrateError {
    NotMigrated(NotMigratedError),
    Unavailable(Unavailable),
}

impl From<NotMigratedError> for MigrateError {
    fn from(reason: NotMigratedError) -> Self {
        Self::NotMigrated(reason)
    }
}

impl From<Unavailable> for MigrateError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

impl From<SourceError> for MigrateError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Down(cause) | SourceError::Unusable(cause) => {
                Self::Unavailable(Dependency::Legacy.unavailable(cause))
            }
            SourceError::Refused => Self::NotMigrated(NotMigratedError::Refused),
            SourceError::TooMany => Self::NotMigrated(NotMigratedError::Ambiguous),
        }
    }
}

impl NotMigratedError {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NothingToDo => "nothing_to_do",
            Self::Malformed => "malformed",
            Self::TooManyFailures => "too_many_failures",
            Self::TooManyFailuresInAll => "too_many_failures_in_all",
            Self::Unknown => "unknown_user",
            Self::Ambiguous => "ambiguous",
            Self::Disabled => "disabled",
            Self::UnknownStatus => "unknown_status",
            Self::Unconfirmed => "unconfirmed",
            Self::Challenged => "challenged",
            Self::WrongPassword => "wrong_password",
            Self::Hash(unusable) => unusable.as_str(),
            Self::NoPassword => "no_password",
            Self::MissingAttribute => "missing_attribute",
            Self::NotVerified => "not_verified",
            Self::Refused => "refused_by_store",
            Self::OtherAddress => "other_address",
        }
    }
}

impl Outcome {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Migrated(moved) => match moved.next {
                Next::Nothing => "moved",
                Next::Change => "moved_to_change",
                Next::Reset => "moved_to_reset",
            },
            Self::NotMigrated(reason) => reason.as_str(),
        }
    }

    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Migrated(_) => Level::Info,
            Self::NotMigrated(NotMigratedError::TooManyFailuresInAll) => Level::Error,
            Self::NotMigrated(_) => Level::Warn,
        }
    }
}
