//! An old user pool, asked by whoever moves its users.

use std::collections::HashMap;
use std::time::Duration;

use auth::Secret;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::types::{AuthFlowType, UserStatusType};
use aws_types::SdkConfig;

use crate::accounts::secret_hash;
use crate::{client_with, is_about_secret};

/// Cognito gives a trigger five seconds, and there may be several calls.
const ATTEMPT: Duration = Duration::from_millis(1_500);
const OPERATION: Duration = Duration::from_millis(2_500);

/// A user pool that is to be left.
pub struct LegacyPool {
    client: Client,
    user_pool_id: String,
    app_client_id: String,
    app_client_secret: Option<Secret>,
}

/// A user of it. No `Debug`.
pub struct LegacyAccount {
    /// The name in the spelling that the pool knows.
    pub username: String,
    /// By name.
    pub attributes: HashMap<String, String>,
    /// Whether they may sign in.
    pub enabled: bool,
    /// Whether they have confirmed their address.
    pub confirmed: bool,
}

/// What the old pool says to a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// It is right.
    Right,
    /// It is not, or the user can't sign in.
    Wrong,
    /// It is right, and something else is missing: a second factor, a new password.
    Challenged,
    /// The user has not confirmed yet.
    Unconfirmed,
    /// An administrator has reset it.
    ResetRequired,
    /// The pool, or a trigger of it, lets this user alone not sign in.
    Refused,
}

/// Why the old pool said nothing of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyTrouble {
    /// It did not answer, failed, or is busy: the next user would fare no better.
    Down,
    /// It won't take such calls, whoever is asked for: no such pool, no permission, a client without the
    /// flow or the secret.
    Misconfigured,
    /// It refuses what it was told of this user.
    Refused,
}

impl LegacyPool {
    /// The pool `user_pool_id`, with the endpoint, region and credentials of `sdk`. The app client
    /// must allow `ADMIN_USER_PASSWORD_AUTH`.
    #[must_use]
    pub fn new(
        sdk: &SdkConfig,
        user_pool_id: String,
        app_client_id: String,
        app_client_secret: Option<Secret>,
    ) -> Self {
        Self {
            client: client_with(sdk, ATTEMPT, OPERATION, 2),
            user_pool_id,
            app_client_id,
            app_client_secret,
        }
    }

    /// `AdminGetUser`: the user with exactly this name; `None` if there is none.
    ///
    /// # Errors
    /// [`LegacyTrouble`].
    pub async fn find(&self, username: &str) -> Result<Option<LegacyAccount>, LegacyTrouble> {
        let call = self
            .client
            .admin_get_user()
            .user_pool_id(&self.user_pool_id)
            .username(username);
        let user = match call.send().await {
            Ok(user) => user,
            Err(error) => {
                return match code(&error) {
                    // A name that the pool could not have, with a joiner for instance, is nobody's.
                    Some("UserNotFoundException" | "InvalidParameterException") => Ok(None),
                    _ => Err(trouble(&error)),
                };
            }
        };
        let unconfirmed = user.user_status() == Some(&UserStatusType::Unconfirmed);
        Ok(Some(LegacyAccount {
            enabled: user.enabled(),
            confirmed: !unconfirmed,
            attributes: user
                .user_attributes
                .unwrap_or_default()
                .into_iter()
                .filter_map(|one| Some((one.name, one.value?)))
                .collect(),
            username: user.username,
        }))
    }

    /// `AdminListGroupsForUser`: the first sixty, more than a user may be in at most pools.
    ///
    /// # Errors
    /// [`LegacyTrouble`].
    pub async fn groups(&self, username: &str) -> Result<Vec<String>, LegacyTrouble> {
        let call = self
            .client
            .admin_list_groups_for_user()
            .user_pool_id(&self.user_pool_id)
            .username(username)
            .limit(60);
        let answer = call.send().await.map_err(|error| trouble(&error))?;
        let groups = answer.groups.unwrap_or_default().into_iter();
        Ok(groups.filter_map(|group| group.group_name).collect())
    }

    /// `DescribeUserPool`: whether two names may differ by case alone; `None` if that can't be known, for want
    /// of the permission mostly. A pool that was made without the setting tells cases apart.
    pub async fn is_case_sensitive(&self) -> Option<bool> {
        let call = self.client.describe_user_pool();
        let answer = call.user_pool_id(&self.user_pool_id).send().await.ok()?;
        let pool = answer.user_pool?;
        let configuration = pool.username_configuration;
        Some(configuration.is_none_or(|configuration| configuration.case_sensitive))
    }

    /// `AdminInitiateAuth`. The tokens that it brings are dropped.
    ///
    /// # Errors
    /// [`LegacyTrouble`], but for [`LegacyTrouble::Refused`], which is an answer.
    pub async fn check(
        &self,
        username: &str,
        password: &Secret,
    ) -> Result<PasswordCheck, LegacyTrouble> {
        let mut call = self
            .client
            .admin_initiate_auth()
            .user_pool_id(&self.user_pool_id)
            .client_id(&self.app_client_id)
            .auth_flow(AuthFlowType::AdminUserPasswordAuth)
            .auth_parameters("USERNAME", username)
            .auth_parameters("PASSWORD", password.expose());
        if let Some(secret) = &self.app_client_secret {
            let hash = secret_hash(secret, username, &self.app_client_id);
            call = call.auth_parameters("SECRET_HASH", hash);
        }
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => return refused(&error),
        };
        match (answer.challenge_name, answer.authentication_result) {
            (None, Some(_)) => Ok(PasswordCheck::Right),
            (Some(_), _) => Ok(PasswordCheck::Challenged),
            (None, None) => Err(LegacyTrouble::Misconfigured),
        }
    }
}

fn refused<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Result<PasswordCheck, LegacyTrouble> {
    let message = message(error);
    match code(error) {
        Some("NotAuthorizedException") if !is_about_secret(message) => Ok(PasswordCheck::Wrong),
        Some("UserNotFoundException") => Ok(PasswordCheck::Wrong),
        Some("UserNotConfirmedException") => Ok(PasswordCheck::Unconfirmed),
        Some("PasswordResetRequiredException") => Ok(PasswordCheck::ResetRequired),
        _ => match trouble(error) {
            LegacyTrouble::Refused => Ok(PasswordCheck::Refused),
            trouble @ (LegacyTrouble::Down | LegacyTrouble::Misconfigured) => Err(trouble),
        },
    }
}

/// Whose fault an exception is: Cognito's and its limits', the caller's, or one user's.
/// Source: AWS, `AdminInitiateAuth` and "Common Errors".
fn trouble<E: ProvideErrorMetadata>(error: &SdkError<E>) -> LegacyTrouble {
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let is_client_error = status.is_some_and(|status| (400..500).contains(&status));
    match code(error) {
        Some(
            "TooManyRequestsException"
            | "LimitExceededException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded"
            | "InternalErrorException"
            | "ServiceUnavailable",
        )
        | None => LegacyTrouble::Down,
        Some(_) if !is_client_error => LegacyTrouble::Down,
        // Of the secret, else it is an answer; to a call that asks for no password, of the permission.
        Some("NotAuthorizedException") => LegacyTrouble::Misconfigured,
        Some("InvalidParameterException") if message(error).contains("not enabled") => {
            LegacyTrouble::Misconfigured
        }
        Some(
            "CodeMismatchException"
            | "InvalidParameterException"
            | "InvalidPasswordException"
            | "MFAMethodNotFoundException"
            | "PasswordResetRequiredException"
            | "UnexpectedLambdaException"
            | "InvalidLambdaResponseException"
            | "UserLambdaValidationException"
            | "UserNotConfirmedException"
            | "UserNotFoundException",
        ) => LegacyTrouble::Refused,
        Some(_) => LegacyTrouble::Misconfigured,
    }
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

fn message<E: ProvideErrorMetadata>(error: &SdkError<E>) -> &str {
    let message = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::message);
    message.unwrap_or_default()
}
