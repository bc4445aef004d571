//! What became of a request: the words of the log, and the status.

use auth::Unavailable;
use runtime::log::{self, Level};

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Opened,
    /// The session was revoked while the connection was opened.
    EndedMeanwhile,
    Closed,
    /// A route without the authorizer, or a request that bypassed it.
    NoAuthorizerContext,
    BadRequest,
    NoSuchRoute,
}

impl Outcome {
    /// The outcome's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::EndedMeanwhile => "ended_meanwhile",
            Self::Closed => "closed",
            Self::NoAuthorizerContext => "no_authorizer_context",
            Self::BadRequest => "bad_request",
            Self::NoSuchRoute => "no_such_route",
        }
    }

    /// The status; API Gateway opens a connection for 200 only.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Opened | Self::Closed => 200,
            Self::BadRequest => 400,
            Self::EndedMeanwhile | Self::NoAuthorizerContext => 401,
            Self::NoSuchRoute => 404,
        }
    }
}

/// The level and the outcome of a result, for the log.
pub(crate) fn line(result: &Result<Outcome, Unavailable>) -> (Level, log::Outcome<'static>) {
    match result {
        Ok(outcome) if outcome.status() == 200 => (Level::Info, outcome.as_str().into()),
        Ok(outcome) => (Level::Warn, outcome.as_str().into()),
        Err(unavailable) => (Level::Error, (*unavailable).into()),
    }
}
