//! Calls that users make to a user pool for themselves, authorized by a password, a code or an
//! access token and not by our IAM permissions.
//!
//! Each call is made once. A retry of a call whose response was lost would use up a code, count as
//! a wrong password or replay a refresh token.

mod mfa;
mod profile;
mod sign_in;
mod sign_up;

use std::time::Duration;

use auth::{Cause, Secret};
use aws_client::{Limits, cause_of};
use aws_lc_rs::hmac;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use profile::Account;
pub use sign_in::{Challenge, SignIn, Tokens};

use crate::client;

/// A sign-in may wait for triggers, each of which may take five seconds.
const LIMITS: Limits = Limits {
    attempt: Duration::from_secs(8),
    operation: Duration::from_secs(8),
    attempts: 1,
    ..crate::LIMITS
};

/// Calls to one user pool for one of its app clients.
pub struct CognitoAccounts {
    client: Client,
    app_client_id: String,
    app_client_secret: Option<Secret>,
}

/// A call that failed. No `Debug`: Cognito's messages contain user names.
pub struct AccountError {
    /// The exception's name; `None` without a response, or if it is not Cognito's.
    pub exception: Option<String>,
    /// Cognito's message. For comparison only, never to be shown or logged.
    pub message: String,
    /// Why the call failed, for the log.
    pub cause: Cause,
}

impl<E: ProvideErrorMetadata> From<SdkError<E>> for AccountError {
    fn from(error: SdkError<E>) -> Self {
        let service = error.as_service_error();
        let text = |member: fn(&E) -> Option<&str>| service.and_then(member).map(str::to_owned);
        Self {
            exception: text(|error| error.code()),
            message: text(|error| error.message()).unwrap_or_default(),
            cause: cause_of(&error),
        }
    }
}

impl AccountError {
    /// Whether Cognito says that the given credential is invalid or revoked. `false` if Cognito is
    /// busy, or rejects the app client's secret: then the credential's state is unknown.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self.exception.as_deref() {
            Some("NotAuthorizedException") => !self.is_about_secret(),
            Some(
                "InvalidParameterException"
                | "RefreshTokenReuseException"
                | "UserNotFoundException"
                | "UnsupportedTokenTypeException",
            ) => true,
            _ => false,
        }
    }

    /// Whether Cognito rejects the app client's secret, which only the operator can correct. The
    /// exception is that of a wrong password.
    #[must_use]
    pub fn is_about_secret(&self) -> bool {
        self.exception.as_deref() == Some("NotAuthorizedException")
            && crate::is_about_secret(&self.message)
    }

    /// A call without a readable response: its effect is unknown.
    #[must_use]
    pub fn unanswered(cause: Cause) -> Self {
        Self {
            exception: None,
            message: String::new(),
            cause,
        }
    }

    /// A response without a part that is needed.
    fn unreadable() -> Self {
        Self::unanswered(Cause::Invalid)
    }
}

impl CognitoAccounts {
    /// Calls for the users of `app_client_id`, with the endpoint and region of `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, app_client_id: String, app_client_secret: Option<Secret>) -> Self {
        Self {
            client: client(sdk, &LIMITS),
            app_client_id,
            app_client_secret,
        }
    }

    fn secret_hash(&self, username: &str) -> Option<String> {
        let secret = self.app_client_secret.as_ref()?;
        Some(secret_hash(secret, username, &self.app_client_id))
    }
}

/// The proof that a request comes from an app client with a secret.
/// Source: AWS, "Computing secret hash values".
pub(crate) fn secret_hash(secret: &Secret, username: &str, app_client_id: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(username.as_bytes());
    context.update(app_client_id.as_bytes());
    STANDARD.encode(context.sign())
}
