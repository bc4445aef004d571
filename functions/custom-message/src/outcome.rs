//! Whether there is a message for an event, in the words of the log.

use runtime::log::Level;

/// The word for an event with a message.
pub(crate) const MESSAGE: &str = "message";

/// Why an event has no message: Cognito sends the pool's default text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoMessageError {
    /// The trigger source or the request is missing or malformed.
    NoTriggerEvent,
    /// The trigger source is unknown.
    UnknownSource,
    /// The placeholder of the code is missing or unknown.
    NoCode,
    /// The placeholder of the user's name is missing.
    NoUsername,
    /// A user who is confirmed, or must set a new password, cannot sign up again.
    NotUnconfirmed,
    /// The template engine failed.
    Template,
    /// The message violates Cognito's rules.
    Rules,
    /// The template engine panicked.
    Panic,
}

impl NoMessageError {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoTriggerEvent => "no_trigger_event",
            Self::UnknownSource => "unknown_source",
            Self::NoCode => "no_code",
            Self::NoUsername => "no_username",
            Self::NotUnconfirmed => "not_unconfirmed",
            Self::Template => "template",
            Self::Rules => "rules",
            Self::Panic => "panic",
        }
    }

    pub(crate) fn level(self) -> Level {
        match self {
            Self::Template | Self::Rules | Self::Panic => Level::Error,
            Self::NoTriggerEvent
            | Self::UnknownSource
            | Self::NoCode
            | Self::NoUsername
            | Self::NotUnconfirmed => Level::Warn,
        }
    }
}
