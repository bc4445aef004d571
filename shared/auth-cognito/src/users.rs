//! Calls that an administrator makes to a user pool.

mod app_clients;
mod list;

use auth::{Cause, Dependency, Unavailable};
use aws_client::{Call, cause_of};
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::operation::admin_get_user::AdminGetUserOutput;
use aws_sdk_cognitoidentityprovider::types::{
    AttributeType, ProviderUserIdentifierType, UserStatusType,
};
use aws_types::SdkConfig;

pub use app_clients::AppClient;
pub use list::{Page, Profile, SignedUp};

use crate::{Client, LIMITS, client};

/// A tag that no pool has.
const HEARTBEAT_TAG: &str = "gatehouse-heartbeat";

/// A user of the pool. No `Debug`: the name is often an e-mail address.
#[derive(Clone)]
pub struct User {
    /// `sub`.
    pub subject: String,
    /// The user name for Cognito's calls.
    pub username: String,
    /// Whether the user is enabled.
    pub enabled: bool,
    /// When Cognito last changed the user, in seconds since 1970.
    pub modified_at: u64,
}

/// The state of an account. No `Debug`.
pub struct Standing {
    /// The time of its creation, in seconds since 1970.
    pub created_at: u64,
    /// Whether this is a local account that may sign in with its own password.
    pub is_confirmed: bool,
    /// Whether this is a sign-up that was not confirmed yet.
    pub is_unconfirmed: bool,
    /// Whether the user has a second factor.
    pub has_second_factor: bool,
}

/// Why a call to the pool failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserPoolError {
    /// There is no such user.
    NotFound,
    /// Cognito throttles.
    Throttled,
    /// No response, or an unexpected one.
    Unavailable(Cause),
}

impl From<UserPoolError> for Unavailable {
    fn from(error: UserPoolError) -> Self {
        Dependency::Cognito.unavailable(match error {
            UserPoolError::NotFound => Cause::NotFound,
            UserPoolError::Throttled => Cause::Throttled,
            UserPoolError::Unavailable(cause) => cause,
        })
    }
}

/// The users of one pool.
pub struct CognitoUsers {
    client: Client,
    user_pool_id: String,
}

impl CognitoUsers {
    /// The users of `user_pool_id`, with the endpoint, region and credentials of `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, user_pool_id: String) -> Self {
        Self {
            client: client(sdk, &LIMITS),
            user_pool_id,
        }
    }

    /// `AdminGetUser`: by user name, or by another identifier that the pool accepts (`sub`, alias).
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn get(&self, username: &str) -> Result<User, UserPoolError> {
        let user = self.described(username).await?;
        Ok(User {
            subject: subject(user.user_attributes())
                .ok_or(UserPoolError::Unavailable(Cause::Invalid))?,
            enabled: user.enabled(),
            modified_at: seconds(user.user_last_modified_date()),
            username: user.username,
        })
    }

    /// `AdminGetUser`: the state of the account with exactly this name.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn standing(&self, username: &str) -> Result<Standing, UserPoolError> {
        let user = self.described(username).await?;
        Ok(Standing {
            created_at: seconds(user.user_create_date()),
            is_confirmed: user.user_status() == Some(&UserStatusType::Confirmed),
            is_unconfirmed: user.user_status() == Some(&UserStatusType::Unconfirmed),
            has_second_factor: user
                .preferred_mfa_setting()
                .is_some_and(|preferred| !preferred.is_empty())
                || !user.user_mfa_setting_list().is_empty()
                || !user.mfa_options().is_empty(),
        })
    }

    /// `AdminGetUser`: the value of one attribute; `None` if the user does not have it.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn attribute(
        &self,
        username: &str,
        name: &str,
    ) -> Result<Option<String>, UserPoolError> {
        let user = self.described(username).await?;
        Ok(attribute_of(user.user_attributes(), name).map(str::to_owned))
    }

    /// `AdminUpdateUserAttributes`: deletes one attribute, by an empty value.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn delete_attribute(&self, username: &str, name: &str) -> Result<(), UserPoolError> {
        let empty = AttributeType::builder().name(name).value("").build();
        let empty = empty.map_err(|_| UserPoolError::Unavailable(Cause::Other))?;
        let call = self.client.admin_update_user_attributes();
        let call = call
            .user_pool_id(&self.user_pool_id)
            .username(username)
            .user_attributes(empty);
        call.send()
            .in_span(Dependency::Cognito)
            .await
            .map(drop)
            .map_err(|error| classify(&error))
    }

    /// `AdminDisableUser`.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn disable(&self, username: &str) -> Result<(), UserPoolError> {
        let call = self.client.admin_disable_user();
        let call = call.user_pool_id(&self.user_pool_id).username(username);
        call.send()
            .in_span(Dependency::Cognito)
            .await
            .map(drop)
            .map_err(|error| classify(&error))
    }

    /// `AdminEnableUser`.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn enable(&self, username: &str) -> Result<(), UserPoolError> {
        let call = self.client.admin_enable_user();
        let call = call.user_pool_id(&self.user_pool_id).username(username);
        call.send()
            .in_span(Dependency::Cognito)
            .await
            .map(drop)
            .map_err(|error| classify(&error))
    }

    /// `AdminDeleteUser`.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn delete(&self, username: &str) -> Result<(), UserPoolError> {
        let call = self.client.admin_delete_user();
        let call = call.user_pool_id(&self.user_pool_id).username(username);
        call.send()
            .in_span(Dependency::Cognito)
            .await
            .map(drop)
            .map_err(|error| classify(&error))
    }

    /// `AdminAddUserToGroup`. Does nothing if the user is in the group already.
    ///
    /// # Errors
    /// [`UserPoolError::NotFound`] if there is no such user or group, else [`UserPoolError`].
    pub async fn add_to_group(&self, username: &str, group: &str) -> Result<(), UserPoolError> {
        let call = self.client.admin_add_user_to_group();
        let call = call
            .user_pool_id(&self.user_pool_id)
            .username(username)
            .group_name(group);
        call.send()
            .in_span(Dependency::Cognito)
            .await
            .map(drop)
            .map_err(|error| classify(&error))
    }

    /// `AdminLinkProviderForUser`: from then on the user `subject` of the identity provider
    /// `provider` signs in as `username`.
    ///
    /// # Errors
    /// [`UserPoolError`]; also if that identity is linked already.
    pub async fn link(
        &self,
        username: &str,
        provider: &str,
        subject: &str,
    ) -> Result<(), UserPoolError> {
        let own = ProviderUserIdentifierType::builder()
            .provider_name("Cognito")
            .provider_attribute_value(username);
        let theirs = ProviderUserIdentifierType::builder()
            .provider_name(provider)
            .provider_attribute_name("Cognito_Subject")
            .provider_attribute_value(subject);
        let call = self.client.admin_link_provider_for_user();
        let call = call
            .user_pool_id(&self.user_pool_id)
            .destination_user(own.build())
            .source_user(theirs.build());
        call.send()
            .in_span(Dependency::Cognito)
            .await
            .map(drop)
            .map_err(|error| classify(&error))
    }

    /// `UntagResource`: removes a tag that the pool does not have. It changes nothing, and
    /// CloudTrail records it like any change.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn heartbeat(&self, user_pool_arn: &str) -> Result<(), UserPoolError> {
        let call = self.client.untag_resource().resource_arn(user_pool_arn);
        let call = call
            .tag_keys(HEARTBEAT_TAG)
            .send()
            .in_span(Dependency::Cognito)
            .await;
        call.map(drop).map_err(|error| classify(&error))
    }

    /// `AdminGetUser`. The pool has no user of a name that it cannot contain, with a space for instance.
    async fn described(&self, username: &str) -> Result<AdminGetUserOutput, UserPoolError> {
        let call = self.client.admin_get_user();
        let call = call.user_pool_id(&self.user_pool_id).username(username);
        let sent = call.send().in_span(Dependency::Cognito).await;
        sent.map_err(|error| match error.as_service_error() {
            Some(refused) if refused.is_invalid_parameter_exception() => UserPoolError::NotFound,
            _ => classify(&error),
        })
    }
}

fn subject(attributes: &[AttributeType]) -> Option<String> {
    attribute_of(attributes, "sub").map(str::to_owned)
}

fn attribute_of<'a>(attributes: &'a [AttributeType], name: &str) -> Option<&'a str> {
    attributes.iter().find(|one| one.name() == name)?.value()
}

pub(crate) fn seconds(time: Option<&aws_sdk_cognitoidentityprovider::primitives::DateTime>) -> u64 {
    time.and_then(|time| u64::try_from(time.secs()).ok())
        .unwrap_or(0)
}

pub(crate) fn classify<E: ProvideErrorMetadata>(error: &SdkError<E>) -> UserPoolError {
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code);
    let cause = cause_of(error);
    match code {
        Some("UserNotFoundException" | "ResourceNotFoundException") => UserPoolError::NotFound,
        _ if cause == Cause::Throttled => UserPoolError::Throttled,
        _ => UserPoolError::Unavailable(cause),
    }
}
