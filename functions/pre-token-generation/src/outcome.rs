//! What was done about a token, in the words of the log.

use crate::mapping::UnfitValueError;

/// The result for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Another trigger source, or the token of a machine.
    NothingToDo,
    /// The mapping has no claim for the user.
    NoClaims,
    /// The token gets claims.
    ClaimsAdded,
}

/// Why Cognito issues no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimsError {
    /// The event has no trigger source.
    NoTriggerEvent,
    /// The event's version cannot change access tokens.
    EventVersion,
    /// The request is missing or malformed.
    IncompleteEvent,
    /// A token cannot contain a value.
    UnfitValue,
    /// The event cannot be written as JSON.
    Unwritable,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NothingToDo => "nothing_to_do",
            Self::NoClaims => "no_claims",
            Self::ClaimsAdded => "claims_added",
        }
    }
}

impl ClaimsError {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoTriggerEvent => "no_trigger_event",
            Self::EventVersion => "event_version",
            Self::IncompleteEvent => "incomplete_event",
            Self::UnfitValue => "unfit_value",
            Self::Unwritable => "unwritable",
        }
    }
}

impl From<UnfitValueError> for ClaimsError {
    fn from(_: UnfitValueError) -> Self {
        Self::UnfitValue
    }
}
