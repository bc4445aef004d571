//! Calls that revoke sessions.

use std::ops::Not;

use auth::{Cause, Dependency, Secret, Unavailable};
use aws_client::{Call, cause_of, unavailable};
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::operation::RequestId;
use aws_sdk_cognitoidentityprovider::operation::admin_reset_user_password::AdminResetUserPasswordError;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::{Client, LIMITS, client, is_about_secret};

/// Upper bound for a Cognito refresh token.
const MAX_REFRESH_TOKEN_BYTES: usize = 8_192;

/// The state of a session at Cognito after an attempt to revoke it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignOut {
    /// Revoked, by this call or an earlier one.
    Done,
    /// The app client has token revocation turned off; only a global sign-out would help.
    Unsupported,
    /// Cognito will reject this call now and later: the value is not a refresh token of the client,
    /// or the client's secret is missing or wrong.
    Refused,
}

/// A call that Cognito answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The state of the session.
    pub outcome: SignOut,
    /// The request's id (`requestID` in CloudTrail's record), for calls whose record does not
    /// distinguish our own from those of other programs: `RevokeToken` is not signed.
    pub request_id: Option<String>,
}

impl From<SignOut> for Made {
    /// A call whose record names our own role.
    fn from(outcome: SignOut) -> Self {
        Self {
            outcome,
            request_id: None,
        }
    }
}

/// A call that revokes sessions and may have to be retried: the message of the retry queue.
///
/// No `Debug`: it may hold a refresh token.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SignOutTask {
    /// [`CognitoSignOut::sign_out_everywhere`].
    SignOutEverywhere {
        /// The user.
        username: String,
    },
    /// [`CognitoSignOut::reset_password`]. [`SignOutTask::next`] follows.
    ResetPassword {
        /// The user.
        username: String,
    },
    /// [`CognitoSignOut::revoke_refresh_token`].
    RevokeRefreshToken {
        /// The app client of the token.
        client_id: String,
        /// The token.
        refresh_token: String,
        /// Whether the client is the one with the secret.
        #[serde(default)]
        with_secret: bool,
        /// Whether CloudTrail's record of the call has to make the user's tokens outdated: the session may have tokens
        /// that nothing else revokes. Then the call is not noted as Gatehouse's own.
        #[serde(default, skip_serializing_if = "Not::not")]
        record_revokes: bool,
    },
}

impl SignOutTask {
    /// The task that follows this one. It is repeated by itself: a second reset would undo a password that the user has
    /// set after the first.
    #[must_use]
    pub fn next(&self) -> Option<Self> {
        match self {
            // Cognito's reset ends no session that the password began.
            Self::ResetPassword { username } => Some(Self::SignOutEverywhere {
                username: username.clone(),
            }),
            Self::SignOutEverywhere { .. } | Self::RevokeRefreshToken { .. } => None,
        }
    }
}

/// Revokes sessions in one user pool.
pub struct CognitoSignOut {
    client: Client,
    user_pool_id: String,
    app_client_secret: Option<Secret>,
}

impl CognitoSignOut {
    /// Calls for the pool `user_pool_id`, with the endpoint, region and credentials of `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, user_pool_id: String) -> Self {
        Self {
            client: client(sdk, &LIMITS),
            user_pool_id,
            app_client_secret: None,
        }
    }

    /// Adds the secret of the app client, for the calls that require it.
    #[must_use]
    pub fn with_secret(self, app_client_secret: Option<Secret>) -> Self {
        Self {
            app_client_secret,
            ..self
        }
    }

    /// Makes the call of `task`, not that of the task which follows.
    ///
    /// # Errors
    /// [`Unavailable`] if it must be retried.
    pub async fn execute(&self, task: &SignOutTask) -> Result<Made, Unavailable> {
        match task {
            SignOutTask::SignOutEverywhere { username } => {
                Ok(self.sign_out_everywhere(username).await?.into())
            }
            SignOutTask::ResetPassword { username } => {
                self.reset_password(username).await?;
                Ok(SignOut::Done.into())
            }
            SignOutTask::RevokeRefreshToken {
                client_id,
                refresh_token,
                with_secret,
                record_revokes: _,
            } => {
                let secret = self.app_client_secret.as_ref().filter(|_| *with_secret);
                self.revoke_refresh_token((client_id, secret), refresh_token)
                    .await
            }
        }
    }

    /// `RevokeToken`: revokes this refresh token and all tokens issued for it.
    ///
    /// # Errors
    /// [`Unavailable`] if the token may still be valid.
    pub async fn revoke_refresh_token(
        &self,
        (client_id, secret): (&str, Option<&Secret>),
        refresh_token: &str,
    ) -> Result<Made, Unavailable> {
        if !may_be_a_refresh_token(refresh_token) {
            return Ok(SignOut::Refused.into());
        }
        let call = self
            .client
            .revoke_token()
            .client_id(client_id)
            .set_client_secret(secret.map(|secret| secret.expose().to_owned()))
            .token(refresh_token);
        let answer = call.send().in_span(Dependency::Cognito).await;
        if let Err(error) = &answer
            && let Some(error) = error.as_service_error()
        {
            // With a valid secret, which the operator is to configure, a retry succeeds.
            if secret.is_some() && is_about_our_secret(error) {
                return Err(Dependency::Cognito.unavailable(Cause::AccessDenied));
            }
            if is_final_refusal(error) {
                return Ok(SignOut::Refused.into());
            }
        }
        let request_id = answer.as_ref().ok().and_then(RequestId::request_id);
        Ok(Made {
            request_id: request_id.map(ToOwned::to_owned),
            outcome: settled(answer)?,
        })
    }

    /// `AdminUserGlobalSignOut`: revokes all sessions of a user.
    ///
    /// # Errors
    /// [`Unavailable`] if some may still be valid.
    pub async fn sign_out_everywhere(&self, username: &str) -> Result<SignOut, Unavailable> {
        let call = self
            .client
            .admin_user_global_sign_out()
            .user_pool_id(&self.user_pool_id)
            .username(username);
        settled(call.send().in_span(Dependency::Cognito).await)
    }

    /// `AdminResetUserPassword`: invalidates the password, and Cognito sends the user a code for a
    /// new one.
    ///
    /// # Errors
    /// [`Unavailable`] if the password may still be valid.
    pub async fn reset_password(&self, username: &str) -> Result<(), Unavailable> {
        let call = self
            .client
            .admin_reset_user_password()
            .user_pool_id(&self.user_pool_id)
            .username(username);
        let reset = call.send().in_span(Dependency::Cognito).await;
        let is_gone = |error: &AdminResetUserPasswordError| error.is_user_not_found_exception();
        match reset {
            Err(error) if !error.as_service_error().is_some_and(is_gone) => {
                Err(unavailable(Dependency::Cognito)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Whether Cognito could have issued this token: other values must not use up the quota that
/// sign-ins share.
#[must_use]
pub fn may_be_a_refresh_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_REFRESH_TOKEN_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether Cognito's error for `RevokeToken` is about the given token, and permanent.
/// `NotAuthorizedException` means that the token is already revoked, unless the app client's secret
/// is missing or wrong.
/// Source: AWS, `RevokeToken`, errors.
fn is_final_refusal(error: &impl ProvideErrorMetadata) -> bool {
    match error.code() {
        Some(
            "InvalidParameterException" | "UnauthorizedException" | "UnsupportedTokenTypeException",
        ) => true,
        _ => is_about_our_secret(error),
    }
}

/// Whether the app client's secret is missing or wrong.
fn is_about_our_secret(error: &impl ProvideErrorMetadata) -> bool {
    error.code() == Some("NotAuthorizedException")
        && is_about_secret(error.message().unwrap_or_default())
}

/// Reads a result by its error code: a deleted user needs no sign-out.
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
        _ => Err(Dependency::Cognito.unavailable(cause_of(&error))),
    }
}
