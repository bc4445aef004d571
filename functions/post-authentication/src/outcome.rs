//! What was done about a sign-in, in the words of the log.

use auth::{Cause, Unavailable};
use auth_cognito::UserPoolError;
use runtime::log;

/// The result for a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Another trigger source, or no groups are pending for the user.
    NothingToDo,
    /// The user is federated: migrated users are not.
    NotLocal,
    /// The user is in the groups.
    GroupsGiven,
}

/// Why the groups were not, or not all, assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupsError {
    /// The event is not Cognito's, or is incomplete.
    NoTriggerEvent,
    /// The migration did not create this user.
    AnotherUser,
    /// The pool does not have one of the groups.
    UnknownGroup,
    /// The time budget is used up.
    TimeIsUp,
    /// A dependency failed.
    Unavailable(Unavailable),
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NothingToDo => "nothing_to_do",
            Self::NotLocal => "not_local",
            Self::GroupsGiven => "groups_given",
        }
    }
}

impl From<GroupsError> for log::Outcome<'static> {
    fn from(error: GroupsError) -> Self {
        match error {
            GroupsError::NoTriggerEvent => "no_trigger_event".into(),
            GroupsError::AnotherUser => "another_user".into(),
            GroupsError::UnknownGroup => "unknown_group".into(),
            GroupsError::TimeIsUp => Self::failed("time_is_up", Cause::Timeout),
            GroupsError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<Unavailable> for GroupsError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

impl From<UserPoolError> for GroupsError {
    fn from(error: UserPoolError) -> Self {
        Self::Unavailable(error.into())
    }
}
