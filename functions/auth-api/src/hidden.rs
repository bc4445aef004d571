//! Errors of Cognito that a response must not reveal, because they depend on whether an account
//! exists.

use auth_cognito::AccountError;
use runtime::log::{self, Level};

use crate::exceptions::limits_one_user;
use crate::outcome::{ApiError, Outcome};

/// Logs, for the operator, the exception that a response hides.
pub(crate) fn log_hidden(refused: &AccountError) {
    let exception = refused.exception.as_deref();
    let text = "the response hides a Cognito exception";
    log::line(Level::Warn, text, [("exception", exception.into())]);
}

/// Gives the same response for a wrong or expired code, an unknown name, an account that is already
/// confirmed and a limit of one user: the difference would reveal whether an account exists.
pub(crate) fn about_a_code(refused: &AccountError) -> ApiError {
    if limits_one_user(refused) {
        log_hidden(refused);
        return ApiError::Cognito(Outcome::InvalidCode);
    }
    let telling = [
        Outcome::InvalidCredentials,
        Outcome::AlreadyTaken,
        Outcome::BadRequest,
        Outcome::UserNotConfirmed,
        Outcome::PasswordResetRequired,
    ];
    let outcome = Outcome::from(refused).hiding(&telling, Outcome::InvalidCode);
    ApiError::of_call(outcome, refused)
}

/// Gives the same response as if an email was sent for an unknown name, nothing to send, no
/// address, a delivery failure and a limit of one user.
pub(crate) fn silently(sent: Result<(), AccountError>) -> Result<(), ApiError> {
    let Err(refused) = sent else {
        return Ok(());
    };
    let ordinary = [
        Outcome::InvalidCredentials,
        Outcome::BadRequest,
        Outcome::UserNotConfirmed,
    ];
    let of_one_user = [
        Outcome::PasswordResetRequired,
        Outcome::AlreadyTaken,
        Outcome::InvalidCode,
        Outcome::DeliveryFailed,
        Outcome::TriggerFailed,
    ];
    let outcome = Outcome::from(&refused);
    if limits_one_user(&refused) || of_one_user.contains(&outcome) {
        log_hidden(&refused);
        return Ok(());
    }
    if ordinary.contains(&outcome) {
        Ok(())
    } else {
        Err(ApiError::of_call(outcome, &refused))
    }
}
