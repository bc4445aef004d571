//! Why a request was refused or failed: the words, statuses and log levels.

use api_gateway::http::{RequestError, Response};
use auth::Unavailable;
use runtime::log::Level;

/// Why a request was refused or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionsError {
    #[error("no_authorizer_context")]
    NoContext,
    #[error("no_session")]
    NoSession,
    #[error("no_such_route")]
    NoRoute,
    #[error("unknown_session")]
    UnknownSession,
    #[error(transparent)]
    BadRequest(#[from] RequestError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl SessionsError {
    pub(crate) fn response(&self) -> Response {
        let status = match self {
            Self::NoContext => 401,
            Self::NoSession => 403,
            Self::NoRoute | Self::UnknownSession => 404,
            Self::BadRequest(bad) => bad.status(),
            // Only the log names the dependency.
            Self::Unavailable(_) => return Response::problem(503, "unavailable"),
        };
        Response::problem(status, &self.to_string())
    }

    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Unavailable(_) => Level::Error,
            Self::NoContext
            | Self::NoSession
            | Self::NoRoute
            | Self::UnknownSession
            | Self::BadRequest(_) => Level::Warn,
        }
    }
}
