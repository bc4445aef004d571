//! Every error of the API with its status and code: a closed list. Cognito's messages are not
//! forwarded.

use api_gateway::http::{RequestError, Response};
use auth::{Cause, Unavailable};
use auth_cognito::AccountError;

use crate::route::{Allowed, RouteError};

/// Why a request was rejected or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("no_such_route")]
    NoRoute,
    #[error("method_not_allowed")]
    MethodNotAllowed(Allowed),
    #[error("foreign_origin")]
    ForeignOrigin,
    #[error("no_authorizer_context")]
    NoContext,
    #[error(transparent)]
    BadRequest(#[from] RequestError),
    #[error("{}", .0.code())]
    Cognito(Outcome),
    /// Cognito, or a trigger, failed.
    #[error("{}", .0.code())]
    CognitoFailed(Outcome, #[source] Cause),
    /// A failed sign-in: the password is wrong, the name unknown or, unless
    /// `REVEAL_EXISTING_USERS` is set, the account not confirmed.
    #[error("invalid_credentials")]
    SignInRefused,
    /// The limiter of this function.
    #[error("too_many_requests")]
    TooManyAttempts,
    /// Requires the password, and the authenticator's code if one is enabled, or a recent sign-in.
    #[error("proof_needed")]
    ProofNeeded,
    /// The password is right, and must be replaced before a sign-in returns tokens.
    #[error("password_change_required")]
    PasswordChangeRequired,
    /// The new address or name breaks the rules of pre-sign-up.
    #[error("address_refused")]
    AddressRefused,
    /// The change was made, but other sessions may still be valid.
    #[error("sessions_not_ended")]
    SessionsNotEnded(#[source] Cause),
    #[error("cookie_too_large")]
    CookieTooLarge,
    /// No function would accept the token.
    #[error("token_too_large")]
    TokenTooLarge,
    /// The target group of a load balancer would drop cookies.
    #[error("multi_value_headers_needed")]
    MultiValueHeadersNeeded,
    /// A page could not be rendered.
    #[error("internal_error")]
    Internal,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A response, and the error that it reports in another form than [`ApiError::response`]: as a page, or with cookies.
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) problem: Option<ApiError>,
}

impl Answer {
    pub(crate) fn of(problem: ApiError, response: Response) -> Self {
        let problem = Some(problem);
        Self { response, problem }
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let problem = None;
        Self { response, problem }
    }
}

/// What a Cognito exception means to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Cognito rejects the request as malformed.
    BadRequest,
    /// The code is wrong or has expired.
    InvalidCode,
    /// The password does not meet the pool's policy.
    PasswordPolicy,
    /// The password was used before.
    PasswordReused,
    /// The user has no second factor of that kind.
    MfaNotSetUp,
    /// Wrong password, unknown or disabled user, or a revoked token: the response does not say
    /// which.
    InvalidCredentials,
    /// The address is not confirmed yet. Sign-in hides it unless `REVEAL_EXISTING_USERS` is set.
    UserNotConfirmed,
    /// The password is right, and must be reset.
    PasswordResetRequired,
    /// Rejected by a firewall, for example AWS WAF.
    Forbidden,
    /// The name or address belongs to another account.
    AlreadyTaken,
    /// Another request changed the same thing at the same time.
    Conflict,
    /// Cognito throttles.
    TooManyRequests,
    /// The pool's PreSignUp trigger rejects the name or address.
    SignUpRefused,
    /// A trigger failed.
    TriggerFailed,
    /// The code could not be sent.
    DeliveryFailed,
    /// Cognito did not answer, or is temporarily unable to.
    Unavailable,
    /// The configuration does not fit the pool, or the exception is unknown.
    Internal,
}

impl Outcome {
    /// The status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest
            | Self::InvalidCode
            | Self::PasswordPolicy
            | Self::PasswordReused
            | Self::MfaNotSetUp
            | Self::SignUpRefused => 400,
            Self::InvalidCredentials => 401,
            Self::UserNotConfirmed | Self::PasswordResetRequired | Self::Forbidden => 403,
            Self::AlreadyTaken | Self::Conflict => 409,
            Self::TooManyRequests => 429,
            Self::TriggerFailed | Self::DeliveryFailed => 502,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    /// The response's `code`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::InvalidCode => "invalid_code",
            Self::PasswordPolicy => "password_policy",
            Self::PasswordReused => "password_reused",
            Self::MfaNotSetUp => "mfa_not_set_up",
            Self::InvalidCredentials => "invalid_credentials",
            Self::UserNotConfirmed => "user_not_confirmed",
            Self::PasswordResetRequired => "password_reset_required",
            Self::Forbidden => "forbidden",
            Self::AlreadyTaken => "already_taken",
            Self::Conflict => "conflict",
            Self::TooManyRequests => "too_many_requests",
            Self::SignUpRefused => "sign_up_refused",
            Self::TriggerFailed => "trigger_failed",
            Self::DeliveryFailed => "delivery_failed",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal_error",
        }
    }
}

/// The text of every failed sign-in: it names each cause, because the response must not tell them
/// apart.
const SIGN_IN_REFUSED: &str = "The name or the password is wrong, or the account is not confirmed yet: \
    look for the code in your email.";

impl Outcome {
    /// This outcome, or `instead` if it is one of those that would reveal too much.
    pub(crate) fn hiding(self, telling: &[Self], instead: Self) -> Self {
        if telling.contains(&self) {
            instead
        } else {
            self
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(refused: AccountError) -> Self {
        Self::of_call(Outcome::from(&refused), &refused)
    }
}

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::UnknownPath => Self::NoRoute,
            RouteError::MethodNotAllowed(allowed) => Self::MethodNotAllowed(allowed),
        }
    }
}

impl ApiError {
    /// The error of a call to Cognito that tells the client `outcome`.
    pub(crate) fn of_call(outcome: Outcome, refused: &AccountError) -> Self {
        if outcome.status() >= 500 {
            Self::CognitoFailed(outcome, refused.cause)
        } else {
            Self::Cognito(outcome)
        }
    }

    /// The status, equal to the response's status.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::NoRoute => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::ForeignOrigin | Self::ProofNeeded | Self::PasswordChangeRequired => 403,
            Self::NoContext | Self::SignInRefused => 401,
            Self::BadRequest(bad) => bad.status(),
            Self::Cognito(outcome) | Self::CognitoFailed(outcome, _) => outcome.status(),
            Self::TooManyAttempts => 429,
            Self::AddressRefused => 400,
            Self::CookieTooLarge
            | Self::TokenTooLarge
            | Self::MultiValueHeadersNeeded
            | Self::Internal => 500,
            Self::SessionsNotEnded(_) | Self::Unavailable(_) => 503,
        }
    }

    pub(crate) fn response(self, password_policy: &str) -> Response {
        if let Self::MethodNotAllowed(allowed) = self {
            return Response::problem(405, &self.to_string()).with("allow", allowed.to_string());
        }
        if self == Self::Cognito(Outcome::PasswordPolicy) {
            return Response::problem_with(400, &self.to_string(), password_policy);
        }
        if self == Self::SignInRefused {
            return Response::problem_with(401, &self.to_string(), SIGN_IN_REFUSED);
        }
        if self.status() == 429 {
            return Response::problem(429, &self.to_string()).with("retry-after", "60");
        }
        if let Self::Unavailable(_) = self {
            // Only the log names the dependency.
            return Response::problem(503, "unavailable");
        }
        Response::problem(self.status(), &self.to_string())
    }
}
