//! The results and errors of a logout: their words, statuses and log levels.

use api_gateway::http::{self, RequestError, Response};
use auth::{AuthError, Cause, DenyReason, Unavailable};
use runtime::log::Level;
use serde_json::json;

use crate::request::{Cookies, Scope};

/// The result of a logout.
pub(crate) struct LogoutOutcome {
    pub(crate) ended: Ended,
    pub(crate) cognito: CognitoOutcome,
    /// The page that deletes the hosted UI's cookie.
    pub(crate) logout_url: Option<String>,
}

/// What the logout revoked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The sessions of the request's scope.
    Scope(Scope),
    /// Nothing: only a refresh token was sent, and it was invalid.
    RefreshToken,
    /// Nothing: an earlier revocation covers the token, which then revokes no newer session; or the browser's session is
    /// over.
    Already,
}

/// The state of the sessions at Cognito.
#[derive(Clone, Copy)]
pub(crate) enum CognitoOutcome {
    /// Cognito was not called.
    NotAsked,
    /// The sessions are revoked.
    Ended,
    /// Cognito rejects the client's value: it is not a valid refresh token.
    Refused,
    /// Token revocation is disabled for the app client.
    Unsupported,
    /// Cognito did not respond, and the call was queued. The authorizer refuses the session
    /// already.
    Queued(Cause),
    /// Cognito did not respond, and the call could not be queued.
    Failed(Cause),
}

/// Why a logout failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogoutError {
    #[error("method_not_allowed")]
    MethodNotAllowed,
    #[error(transparent)]
    BadRequest(#[from] RequestError),
    /// A machine has no session; an administrator can revoke its client.
    #[error("no_user")]
    NoUser,
    /// A page of another origin sent the request.
    #[error("foreign_origin")]
    ForeignOrigin,
    #[error("{}", .0.as_str())]
    Unauthorized(DenyReason),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<DenyReason> for LogoutError {
    fn from(reason: DenyReason) -> Self {
        Self::Unauthorized(reason)
    }
}

impl From<AuthError> for LogoutError {
    fn from(refusal: AuthError) -> Self {
        match refusal {
            AuthError::Unauthorized(reason) => Self::Unauthorized(reason),
            AuthError::Unavailable(unavailable) => Self::Unavailable(unavailable),
        }
    }
}

impl Ended {
    fn as_str(self) -> &'static str {
        match self {
            Self::Scope(scope) => scope.as_str(),
            Self::RefreshToken => "refresh_token",
            Self::Already => "already",
        }
    }
}

impl LogoutOutcome {
    pub(crate) fn response(&self, cookies: &Cookies, request: &http::Request<'_>) -> Response {
        let mut body = json!({"ended": self.ended.as_str(), "cognito": self.cognito.as_str()});
        if let (Some(url), Some(members)) = (&self.logout_url, body.as_object_mut()) {
            members.insert("logout_url".to_owned(), url.as_str().into());
        }
        let response = Response::json(200, &body);
        let (access, refresh) = (&cookies.access, &cookies.refresh);
        if self.ended == Ended::Scope(Scope::Others) || !cookies.any() {
            return response;
        }
        let response = response.with("clear-site-data", "\"cache\", \"cookies\", \"storage\"");
        let response = match access {
            Some(name) => response.without_cookie(name),
            None => response,
        };
        let response = match &cookies.session {
            Some(name) => response.with_lax_cookie(name, "", 0),
            None => response,
        };
        match refresh {
            Some(name) => http::RefreshCookie(name).clear(response, request),
            None => response,
        }
    }
}

impl LogoutError {
    pub(crate) fn response(&self) -> Response {
        let status = match self {
            Self::MethodNotAllowed => {
                return Response::problem(405, "method_not_allowed").with("allow", "POST");
            }
            Self::BadRequest(bad) => bad.status(),
            Self::NoUser | Self::ForeignOrigin => 403,
            // Only the log names the failed check or dependency.
            Self::Unauthorized(_) => return Response::problem(401, "unauthorized"),
            Self::Unavailable(_) => return Response::problem(503, "unavailable"),
        };
        Response::problem(status, &self.to_string())
    }

    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Unavailable(_) => Level::Error,
            Self::MethodNotAllowed
            | Self::BadRequest(_)
            | Self::NoUser
            | Self::ForeignOrigin
            | Self::Unauthorized(_) => Level::Warn,
        }
    }
}

impl CognitoOutcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::Ended => "ended",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Queued(_) => "queued",
            Self::Failed(_) => "failed",
        }
    }

    pub(crate) fn level(self) -> Level {
        match self {
            Self::NotAsked | Self::Ended | Self::Refused => Level::Info,
            Self::Unsupported | Self::Queued(_) => Level::Warn,
            Self::Failed(_) => Level::Error,
        }
    }

    pub(crate) fn cause(self) -> Option<Cause> {
        match self {
            Self::NotAsked | Self::Ended | Self::Refused | Self::Unsupported => None,
            Self::Queued(cause) | Self::Failed(cause) => Some(cause),
        }
    }

    /// The worse outcome of two calls: the one that leaves more sessions valid at Cognito.
    pub(crate) fn worse(self, other: Self) -> Self {
        std::cmp::max_by_key(self, other, |outcome| match outcome {
            Self::NotAsked => 0,
            Self::Ended => 1,
            Self::Refused => 2,
            Self::Unsupported => 3,
            Self::Queued(_) => 4,
            Self::Failed(_) => 5,
        })
    }
}
