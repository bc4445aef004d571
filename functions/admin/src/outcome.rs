//! Why a request was refused or failed: the words, statuses and log levels.

use api_gateway::http::{RequestError, Response};
use auth::{Cause, Unavailable};
use auth_cognito::UserPoolError;
use runtime::log::Level;

/// Why a request was refused or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error("no_authorizer_context")]
    NoContext,
    #[error("not_an_administrator")]
    NotAdmin,
    #[error("no_such_route")]
    NoRoute,
    #[error(transparent)]
    BadRequest(#[from] RequestError),
    #[error("unknown_client")]
    UnknownClient,
    #[error("unknown_user")]
    UnknownUser,
    #[error("too_many_requests")]
    Throttled,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The outcome of an act that has begun and of which a later step has failed: parts of it may be done. The function's
/// own line has the step. Operators get a mail for it, as for `done`, because no other message tells of those parts.
pub(crate) const INCOMPLETE: &str = "incomplete";

/// A request that was not answered as asked.
pub(crate) struct Failure {
    pub(crate) problem: AdminError,
    /// Whether something may have been changed.
    pub(crate) has_begun: bool,
}

impl From<AdminError> for Failure {
    fn from(problem: AdminError) -> Self {
        let has_begun = false;
        Self { problem, has_begun }
    }
}

impl From<UserPoolError> for AdminError {
    fn from(error: UserPoolError) -> Self {
        match error {
            UserPoolError::NotFound => Self::UnknownUser,
            UserPoolError::Throttled => Self::Throttled,
            UserPoolError::Unavailable(_) => Self::Unavailable(error.into()),
        }
    }
}

impl AdminError {
    pub(crate) fn cause(&self) -> Option<Cause> {
        if let Self::Unavailable(unavailable) = self {
            Some(unavailable.cause)
        } else {
            None
        }
    }

    pub(crate) fn response(&self) -> Response {
        let status = match self {
            Self::NoContext => 401,
            Self::NotAdmin => 403,
            Self::NoRoute | Self::UnknownClient | Self::UnknownUser => 404,
            Self::BadRequest(bad) => bad.status(),
            Self::Throttled => 429,
            // Only the log names the dependency.
            Self::Unavailable(_) => return Response::problem(503, "unavailable"),
        };
        Response::problem(status, &self.to_string())
    }

    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Unavailable(_) => Level::Error,
            Self::NoContext
            | Self::NotAdmin
            | Self::NoRoute
            | Self::BadRequest(_)
            | Self::UnknownClient
            | Self::UnknownUser
            | Self::Throttled => Level::Warn,
        }
    }
}
