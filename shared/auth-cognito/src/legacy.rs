//! An old user pool, read while its users are migrated.

use std::collections::HashMap;
use std::time::Duration;

use auth::{Cause, Dependency, Secret};
use aws_client::{Call, Limits, cause_of};
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::types::{AuthFlowType, UserStatusType};
use aws_types::SdkConfig;

use crate::accounts::secret_hash;
use crate::{client, is_about_secret};

/// Cognito gives a trigger five seconds, and there may be several calls.
const LIMITS: Limits = Limits {
    attempt: Duration::from_millis(1_500),
    operation: Duration::from_millis(2_500),
    attempts: 2,
    ..crate::LIMITS
};

/// The user pool to migrate from.
pub struct LegacyPool {
    client: Client,
    user_pool_id: String,
    app_client_id: String,
    app_client_secret: Option<Secret>,
}

/// One of its users. No `Debug`.
pub struct LegacyAccount {
    /// The name in the pool's spelling.
    pub username: String,
    /// The attributes, by name.
    pub attributes: HashMap<String, String>,
    /// Whether the user is enabled.
    pub enabled: bool,
    /// Whether the user has confirmed the address.
    pub confirmed: bool,
}

/// The old pool's result for a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// The password is right.
    Right,
    /// The password is wrong, or the user cannot sign in.
    Wrong,
    /// The password is right, but another step is required: a second factor, a new password.
    Challenged,
    /// The user has not confirmed yet.
    Unconfirmed,
    /// An administrator has reset the password.
    ResetRequired,
    /// The pool, or one of its triggers, does not let this user sign in.
    Refused,
}

/// Why a call to the old pool failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyPoolError {
    /// It did not answer, failed, or is busy: calls for other users would fail too.
    Down(Cause),
    /// It rejects such calls for every user: no such pool, no permission, or a client without the
    /// flow or the secret.
    Misconfigured(Cause),
    /// It rejects the parameters for this user.
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
            client: client(sdk, &LIMITS),
            user_pool_id,
            app_client_id,
            app_client_secret,
        }
    }

    /// `AdminGetUser`: the user with exactly this name; `None` if the pool has no such user.
    ///
    /// # Errors
    /// [`LegacyPoolError`].
    pub async fn find(&self, username: &str) -> Result<Option<LegacyAccount>, LegacyPoolError> {
        let call = self
            .client
            .admin_get_user()
            .user_pool_id(&self.user_pool_id)
            .username(username);
        let user = match call.send().in_span(Dependency::Legacy).await {
            Ok(user) => user,
            Err(error) => {
                return match code(&error) {
                    // A name that the pool cannot contain, with a joiner for instance, has no user.
                    Some("UserNotFoundException" | "InvalidParameterException") => Ok(None),
                    _ => Err(classify(&error)),
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

    /// `AdminListGroupsForUser`: the first sixty, more than most pools allow per user.
    ///
    /// # Errors
    /// [`LegacyPoolError`].
    pub async fn groups(&self, username: &str) -> Result<Vec<String>, LegacyPoolError> {
        let call = self
            .client
            .admin_list_groups_for_user()
            .user_pool_id(&self.user_pool_id)
            .username(username)
            .limit(60);
        let answer = call
            .send()
            .in_span(Dependency::Legacy)
            .await
            .map_err(|error| classify(&error))?;
        let groups = answer.groups.unwrap_or_default().into_iter();
        Ok(groups.filter_map(|group| group.group_name).collect())
    }

    /// `DescribeUserPool`: whether names are case-sensitive; `None` for a response without the pool.
    /// A pool that was created without the setting is case-sensitive.
    ///
    /// # Errors
    /// [`LegacyPoolError`], mostly because the permission is missing.
    pub async fn is_case_sensitive(&self) -> Result<Option<bool>, LegacyPoolError> {
        let call = self.client.describe_user_pool();
        let answer = call
            .user_pool_id(&self.user_pool_id)
            .send()
            .in_span(Dependency::Legacy)
            .await;
        let pool = answer.map_err(|error| classify(&error))?.user_pool;
        Ok(pool.map(|pool| {
            let configuration = pool.username_configuration;
            configuration.is_none_or(|configuration| configuration.case_sensitive)
        }))
    }

    /// `AdminInitiateAuth`. The tokens are discarded.
    ///
    /// # Errors
    /// [`LegacyPoolError`], except [`LegacyPoolError::Refused`], which counts as a result.
    pub async fn check(
        &self,
        username: &str,
        password: &Secret,
    ) -> Result<PasswordCheck, LegacyPoolError> {
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
        let answer = match call.send().in_span(Dependency::Legacy).await {
            Ok(answer) => answer,
            Err(error) => return refused(&error),
        };
        match (answer.challenge_name, answer.authentication_result) {
            (None, Some(_)) => Ok(PasswordCheck::Right),
            (Some(_), _) => Ok(PasswordCheck::Challenged),
            (None, None) => Err(LegacyPoolError::Misconfigured(Cause::Invalid)),
        }
    }
}

fn refused<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Result<PasswordCheck, LegacyPoolError> {
    let message = message(error);
    match code(error) {
        Some("NotAuthorizedException") if !is_about_secret(message) => Ok(PasswordCheck::Wrong),
        Some("UserNotFoundException") => Ok(PasswordCheck::Wrong),
        Some("UserNotConfirmedException") => Ok(PasswordCheck::Unconfirmed),
        Some("PasswordResetRequiredException") => Ok(PasswordCheck::ResetRequired),
        _ => match classify(error) {
            LegacyPoolError::Refused => Ok(PasswordCheck::Refused),
            error @ (LegacyPoolError::Down(_) | LegacyPoolError::Misconfigured(_)) => Err(error),
        },
    }
}

/// The cause of an exception: Cognito and its quotas, the caller, or one user.
/// Source: AWS, `AdminInitiateAuth` and "Common Errors".
fn classify<E: ProvideErrorMetadata>(error: &SdkError<E>) -> LegacyPoolError {
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let is_client_error = status.is_some_and(|status| (400..500).contains(&status));
    let cause = cause_of(error);
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
        | None => LegacyPoolError::Down(cause),
        Some(_) if !is_client_error => LegacyPoolError::Down(cause),
        // About the secret, else it is a result; for a call without a password, about the
        // permission.
        Some("NotAuthorizedException") => LegacyPoolError::Misconfigured(cause),
        Some("InvalidParameterException") if message(error).contains("not enabled") => {
            LegacyPoolError::Misconfigured(cause)
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
        ) => LegacyPoolError::Refused,
        Some(_) => LegacyPoolError::Misconfigured(cause),
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
