//! Calls to Cognito: those that end sessions there, those that users make for themselves, and an
//! administrator's.
//!
//! Never linked by the authorizer, which must not be able to make them.

#![warn(missing_docs)]

mod accounts;
mod legacy;
mod users;

use std::time::Duration;

use auth::{Secret, Unavailable};
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::retry::RetryConfig;
use aws_sdk_cognitoidentityprovider::config::timeout::TimeoutConfig;
use aws_sdk_cognitoidentityprovider::config::{Builder, StalledStreamProtectionConfig};
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

pub use accounts::{Account, Challenge, CognitoAccounts, Refused, SignIn, Tokens};
pub use legacy::{LegacyAccount, LegacyPool, LegacyTrouble, PasswordCheck};
pub use users::{CognitoUsers, Page, Profile, Standing, Trouble, User};

const OPERATION: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 3;
/// Longer than any refresh token of Cognito's.
const MAX_REFRESH_TOKEN_BYTES: usize = 8_192;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// What is known of a session at Cognito after we tried to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignOut {
    /// It is over, by this call or an earlier one.
    Done,
    /// The app client has token revocation turned off; only a global sign-out would help.
    Unsupported,
    /// Cognito won't take this call, now or later: what it was given is no refresh token of the
    /// client's, or the client's secret is missing or wrong.
    Refused,
}

/// A call that ends sessions and may have to be made again: what goes through the retry queue.
///
/// No `Debug`: it may hold a refresh token.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SignOutTask {
    /// [`CognitoSignOut::sign_out_everywhere`].
    SignOutEverywhere {
        /// Whom.
        username: String,
    },
    /// [`CognitoSignOut::revoke_refresh_token`].
    RevokeRefreshToken {
        /// Whose it is.
        client_id: String,
        /// The token.
        refresh_token: String,
        /// Whether the client is the one with the secret.
        #[serde(default)]
        with_secret: bool,
    },
}

/// Ends sessions in one user pool.
pub struct CognitoSignOut {
    client: Client,
    user_pool_id: String,
    app_client_secret: Option<Secret>,
}

impl CognitoSignOut {
    /// For the pool `user_pool_id`, with the endpoint, region and credentials of `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, user_pool_id: String) -> Self {
        Self {
            client: client(sdk),
            user_pool_id,
            app_client_secret: None,
        }
    }

    /// With the secret of the app client, for the calls that ask for it.
    #[must_use]
    pub fn with_secret(self, app_client_secret: Option<Secret>) -> Self {
        Self {
            app_client_secret,
            ..self
        }
    }

    /// Makes the call that `task` is about.
    ///
    /// # Errors
    /// [`Unavailable::Cognito`] if it has to be made again.
    pub async fn carry_out(&self, task: &SignOutTask) -> Result<SignOut, Unavailable> {
        match task {
            SignOutTask::SignOutEverywhere { username } => self.sign_out_everywhere(username).await,
            SignOutTask::RevokeRefreshToken {
                client_id,
                refresh_token,
                with_secret,
            } => {
                let secret = self.app_client_secret.as_ref().filter(|_| *with_secret);
                self.revoke_refresh_token((client_id, secret), refresh_token)
                    .await
            }
        }
    }

    /// `RevokeToken`: this refresh token and everything that came of it.
    ///
    /// # Errors
    /// [`Unavailable::Cognito`] if it may still work.
    pub async fn revoke_refresh_token(
        &self,
        (client_id, secret): (&str, Option<&Secret>),
        refresh_token: &str,
    ) -> Result<SignOut, Unavailable> {
        if !may_be_a_refresh_token(refresh_token) {
            return Ok(SignOut::Refused);
        }
        let call = self
            .client
            .revoke_token()
            .client_id(client_id)
            .set_client_secret(secret.map(|secret| secret.expose().to_owned()))
            .token(refresh_token);
        let answer = call.send().await;
        if let Err(error) = &answer
            && let Some(error) = error.as_service_error()
            && is_final_refusal(error)
        {
            return Ok(SignOut::Refused);
        }
        settled(answer)
    }

    /// `AdminUserGlobalSignOut`: every session of a user.
    ///
    /// # Errors
    /// [`Unavailable::Cognito`] if some may still work.
    pub async fn sign_out_everywhere(&self, username: &str) -> Result<SignOut, Unavailable> {
        let call = self
            .client
            .admin_user_global_sign_out()
            .user_pool_id(&self.user_pool_id)
            .username(username);
        settled(call.send().await)
    }
}

/// Whether Cognito could have issued this: nothing else is worth a call of a quota that sign-ins share.
#[must_use]
pub fn may_be_a_refresh_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_REFRESH_TOKEN_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether Cognito's answer to `RevokeToken` is about what it was given, and will not change. That the
/// user may not (`NotAuthorizedException`) means that the token is over, unless it is our client's secret
/// that is missing or wrong.
/// Source: AWS, `RevokeToken`, errors.
fn is_final_refusal(error: &impl ProvideErrorMetadata) -> bool {
    match error.code() {
        Some(
            "InvalidParameterException" | "UnauthorizedException" | "UnsupportedTokenTypeException",
        ) => true,
        Some("NotAuthorizedException") => is_about_secret(error.message().unwrap_or_default()),
        _ => false,
    }
}

/// Whether Cognito's words are about the app client's secret, which only its operator can mend.
pub(crate) fn is_about_secret(message: &str) -> bool {
    message.to_ascii_lowercase().contains("secret")
}

/// A client whose time limits fit a request: the SDK has none of its own.
fn client(sdk: &SdkConfig) -> Client {
    client_with(sdk, ATTEMPT, OPERATION, ATTEMPTS)
}

fn client_with(sdk: &SdkConfig, attempt: Duration, operation: Duration, attempts: u32) -> Client {
    let config = Builder::from(sdk)
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_attempt_timeout(attempt)
                .operation_timeout(operation)
                .build(),
        )
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(attempts)
                .with_initial_backoff(FIRST_BACKOFF),
        )
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    Client::from_conf(config)
}

/// Reads an answer by its error code: somebody who is gone already needs no signing out.
fn settled<T, E>(answer: Result<T, SdkError<E>>) -> Result<SignOut, Unavailable>
where
    E: ProvideErrorMetadata,
{
    let Err(error) = answer else {
        return Ok(SignOut::Done);
    };
    match error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
    {
        Some("NotAuthorizedException" | "UserNotFoundException") => Ok(SignOut::Done),
        Some("UnsupportedOperationException") => Ok(SignOut::Unsupported),
        _ => Err(Unavailable::Cognito),
    }
}
