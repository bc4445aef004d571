//! An old user pool, asked by whoever moves its users.

use std::collections::HashMap;
use std::time::Duration;

use auth::Secret;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::types::{AuthFlowType, UserStatusType};
use aws_types::SdkConfig;

use crate::accounts::{Refused, secret_hash};
use crate::client_with;
use crate::users::{Trouble, seconds, trouble};

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
    /// When the pool last changed the user, in seconds since 1970: it doesn't tell of sign-ins.
    pub modified_at: u64,
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
    /// [`Trouble`].
    pub async fn find(&self, username: &str) -> Result<Option<LegacyAccount>, Trouble> {
        let call = self
            .client
            .admin_get_user()
            .user_pool_id(&self.user_pool_id)
            .username(username);
        let user = match call.send().await.map_err(|error| trouble(&error)) {
            Ok(user) => user,
            Err(Trouble::NotFound) => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        let unconfirmed = user.user_status() == Some(&UserStatusType::Unconfirmed);
        Ok(Some(LegacyAccount {
            enabled: user.enabled(),
            confirmed: !unconfirmed,
            modified_at: seconds(user.user_last_modified_date()),
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
    /// [`Trouble`].
    pub async fn groups(&self, username: &str) -> Result<Vec<String>, Trouble> {
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

    /// `AdminInitiateAuth`. The tokens that it brings are dropped.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn check(&self, username: &str, password: &Secret) -> Result<PasswordCheck, Trouble> {
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
            Err(error) => return refused(&Refused::from(error)),
        };
        match (answer.challenge_name, answer.authentication_result) {
            (None, Some(_)) => Ok(PasswordCheck::Right),
            (Some(_), _) => Ok(PasswordCheck::Challenged),
            (None, None) => Err(Trouble::Unavailable),
        }
    }
}

fn refused(refused: &Refused) -> Result<PasswordCheck, Trouble> {
    match refused.exception.as_deref() {
        Some("NotAuthorizedException" | "UserNotFoundException") => Ok(PasswordCheck::Wrong),
        Some("UserNotConfirmedException") => Ok(PasswordCheck::Unconfirmed),
        Some("PasswordResetRequiredException") => Ok(PasswordCheck::ResetRequired),
        Some("TooManyRequestsException" | "LimitExceededException" | "ThrottlingException") => {
            Err(Trouble::Throttled)
        }
        _ => Err(Trouble::Unavailable),
    }
}
