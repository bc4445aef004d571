//! Refusals and failures: "no" and "don't know" never share a type.

use std::error::Error;

use crate::reason::DenyReason;

/// Why a request was not authorized: refused, or undecidable.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    /// The caller is refused: 401.
    #[error("refused: {}", .0.as_str())]
    Unauthorized(DenyReason),
    /// A dependency failed, so there is no decision: an error.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<DenyReason> for AuthError {
    fn from(reason: DenyReason) -> Self {
        Self::Unauthorized(reason)
    }
}

/// A dependency failed, so the answer is unknown: neither an Allow nor a Deny.
///
/// `Display` prints only the dependency's name. Neither member can hold a message, so the error may be
/// logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub struct Unavailable {
    /// The dependency that failed.
    pub dependency: Dependency,
    /// Why it failed.
    #[source]
    pub cause: Cause,
}

impl Unavailable {
    /// The dependency's name in logs, metrics and `docs/outcomes.md`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.dependency.as_str()
    }
}

/// What a function depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// An issuer's key set: it could not be fetched, and no trusted copy is left.
    Jwks,
    /// The revocation table.
    Revocations,
    /// The table of API keys.
    ApiKeys,
    /// The table of profiles.
    Profiles,
    /// The table of sessions.
    Sessions,
    /// The table of browser sessions.
    BrowserSessions,
    /// The table of connections, or the API that holds them.
    Connections,
    /// The table of attempts.
    Attempts,
    /// The table of pending groups.
    PendingGroups,
    /// The legacy user store.
    Legacy,
    /// The topic for security messages.
    Topic,
    /// Cognito.
    Cognito,
}

impl Dependency {
    /// The name of its failure in logs, metrics and `docs/outcomes.md`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jwks => "jwks_unavailable",
            Self::Revocations => "revocations_unavailable",
            Self::ApiKeys => "api_keys_unavailable",
            Self::Profiles => "profiles_unavailable",
            Self::Sessions => "sessions_unavailable",
            Self::BrowserSessions => "browser_sessions_unavailable",
            Self::Connections => "connections_unavailable",
            Self::Attempts => "attempts_unavailable",
            Self::PendingGroups => "pending_groups_unavailable",
            Self::Legacy => "legacy_unavailable",
            Self::Topic => "topic_unavailable",
            Self::Cognito => "cognito_unavailable",
        }
    }

    /// Its name in spans.
    #[must_use]
    pub fn name(self) -> &'static str {
        let failure = self.as_str();
        failure.strip_suffix("_unavailable").unwrap_or(failure)
    }

    /// The error that this dependency failed because of `cause`.
    #[must_use]
    pub fn unavailable(self, cause: Cause) -> Unavailable {
        Unavailable {
            dependency: self,
            cause,
        }
    }
}

/// Why a dependency failed: a closed list, which tells an operator where to look. `docs/outcomes.md`
/// says what to do about each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum Cause {
    /// No complete response in time.
    Timeout,
    /// The dependency rejects the rate of the calls, or their number.
    Throttled,
    /// The credentials or the permissions do not suffice.
    AccessDenied,
    /// The resource does not exist: a table, a queue, a user pool, a URL.
    NotFound,
    /// No connection, or one that broke before the response was complete.
    Connection,
    /// A response that cannot be used.
    Invalid,
    /// Another error of the dependency, or of the program.
    Other,
}

impl Cause {
    /// Every cause, for documents and tests that must list all.
    pub const ALL: &[Self] = &[
        Self::Timeout,
        Self::Throttled,
        Self::AccessDenied,
        Self::NotFound,
        Self::Connection,
        Self::Invalid,
        Self::Other,
    ];

    /// The name in logs and `docs/outcomes.md`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Throttled => "throttled",
            Self::AccessDenied => "access_denied",
            Self::NotFound => "not_found",
            Self::Connection => "connection",
            Self::Invalid => "invalid_response",
            Self::Other => "other",
        }
    }

    /// The cause in a chain of errors, if a dependency failed.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut link = Some(error);
        while let Some(error) = link {
            if let Some(cause) = error.downcast_ref() {
                return Some(*cause);
            }
            link = error.source();
        }
        None
    }

    /// The cause behind an HTTP response with `status` ([RFC 9110] section 15) that was not usable.
    ///
    /// [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=399 => Self::Invalid,
            401 | 403 | 407 => Self::AccessDenied,
            404 | 410 => Self::NotFound,
            408 | 504 => Self::Timeout,
            429 => Self::Throttled,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Wrapped {
        #[error(transparent)]
        Transparent(#[from] Unavailable),
        #[error("start")]
        Chain(#[source] Unavailable),
        #[error("call {0}")]
        Cause(u8, #[source] Cause),
        #[error("refused")]
        Refused,
    }

    #[test]
    fn the_cause_is_found_in_every_chain() {
        let failed = Dependency::Legacy.unavailable(Cause::NotFound);
        let rows: [(&(dyn Error + 'static), Option<Cause>); 7] = [
            (&Cause::Timeout, Some(Cause::Timeout)),
            (&failed, Some(Cause::NotFound)),
            (&Wrapped::Transparent(failed), Some(Cause::NotFound)),
            (&Wrapped::Chain(failed), Some(Cause::NotFound)),
            (&Wrapped::Cause(1, Cause::Throttled), Some(Cause::Throttled)),
            (&Wrapped::Refused, None),
            (&std::fmt::Error, None),
        ];
        for (error, expected) in rows {
            assert_eq!(Cause::of(error), expected, "{error:?}");
        }
    }
}
