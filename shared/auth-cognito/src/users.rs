//! Calls that an administrator makes to a user pool.

use auth::{Cause, Dependency, Unavailable};
use aws_client::cause_of;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::operation::admin_get_user::AdminGetUserOutput;
use aws_sdk_cognitoidentityprovider::operation::list_users::ListUsersOutput;
use aws_sdk_cognitoidentityprovider::operation::list_users::builders::ListUsersFluentBuilder;
use aws_sdk_cognitoidentityprovider::types::{
    AttributeType, ExplicitAuthFlowsType, OAuthFlowType, ProviderUserIdentifierType, TimeUnitsType,
    UserStatusType, UserType,
};
use aws_types::SdkConfig;

use crate::{Client, LIMITS, client};

/// Users in a page of [`CognitoUsers::disabled`], Cognito's maximum.
const PAGE: i32 = 60;
/// A tag that no pool has.
const HEARTBEAT_TAG: &str = "gatehouse-heartbeat";
/// The maximal number of pages that [`CognitoUsers::find`] reads.
const PAGES: usize = 5;

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

/// What decides who owns an account. No `Debug`.
pub struct Profile {
    /// The user name for Cognito's calls.
    pub username: String,
    /// Whether the user is enabled.
    pub enabled: bool,
    /// `UserStatus`.
    status: Option<UserStatusType>,
    email_verified: bool,
}

impl Profile {
    /// Whether this is a local account of the pool whose address is verified, by its owner or by an
    /// administrator.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        let ours = [
            UserStatusType::Confirmed,
            UserStatusType::ResetRequired,
            UserStatusType::ForceChangePassword,
        ];
        self.email_verified
            && self
                .status
                .as_ref()
                .is_some_and(|status| ours.contains(status))
    }
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

/// One page of users.
pub struct Page<T> {
    /// The users on it.
    pub users: Vec<T>,
    /// The start of the next page.
    pub next: Option<String>,
}

/// An app client and its refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppClient {
    /// Its name; its id if it has none.
    pub name: String,
    /// The lifetime of its refresh tokens in seconds; `None` if it gets none, because only machines
    /// use it.
    pub refresh_token_seconds: Option<u64>,
    /// Whether tokens name a session that can be revoked (`EnableTokenRevocation`).
    pub revokes_tokens: bool,
}

/// A user who has signed up but not confirmed. No `Debug`.
pub struct SignedUp {
    /// The user name for Cognito's calls.
    pub username: String,
    /// The time of its creation, in seconds since 1970.
    pub created_at: u64,
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

    /// `AdminDisableUser`.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn disable(&self, username: &str) -> Result<(), UserPoolError> {
        let call = self.client.admin_disable_user();
        let call = call.user_pool_id(&self.user_pool_id).username(username);
        call.send()
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
            .await
            .map(drop)
            .map_err(|error| classify(&error))
    }

    /// `ListUsers`: all users whose `attribute`, `username` or `email`, is `value`, as the pool
    /// compares.
    ///
    /// # Errors
    /// [`UserPoolError`]; also if there are more than a few pages of them.
    pub async fn find(&self, attribute: &str, value: &str) -> Result<Vec<Profile>, UserPoolError> {
        let filter = equals(attribute, value);
        let mut profiles = Vec::new();
        let mut next = None;
        // A page may be empty without being the last.
        for _ in 0..PAGES {
            let page = self.list(&filter, next).await?;
            profiles.extend(page.users().iter().filter_map(|user| {
                Some(Profile {
                    username: user.username()?.to_owned(),
                    enabled: user.enabled(),
                    status: user.user_status().cloned(),
                    email_verified: attribute_of(user.attributes(), "email_verified")
                        == Some("true"),
                })
            }));
            next = page.pagination_token().map(str::to_owned);
            if next.is_none() {
                return Ok(profiles);
            }
        }
        Err(UserPoolError::Unavailable(Cause::Invalid))
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
            .await
            .map(drop)
            .map_err(|error| classify(&error))
    }

    /// `ListUsers`: the user with this `sub`, which is not every user's name.
    ///
    /// # Errors
    /// [`UserPoolError::NotFound`] if the pool has none, else [`UserPoolError`].
    pub async fn by_subject(&self, subject: &str) -> Result<User, UserPoolError> {
        let call = self.matching(&equals("sub", subject)).limit(1);
        let page = call.send().await.map_err(|error| classify(&error))?;
        let user = page.users().first().ok_or(UserPoolError::NotFound)?;
        user_of(user, subject.to_owned()).ok_or(UserPoolError::Unavailable(Cause::Invalid))
    }

    /// `UntagResource`: removes a tag that the pool does not have. It changes nothing, and
    /// CloudTrail records it like any change.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn heartbeat(&self, user_pool_arn: &str) -> Result<(), UserPoolError> {
        let call = self.client.untag_resource().resource_arn(user_pool_arn);
        let call = call.tag_keys(HEARTBEAT_TAG).send().await;
        call.map(drop).map_err(|error| classify(&error))
    }

    /// `ListUserPoolClients`: the ids of the pool's app clients.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn client_ids(&self) -> Result<Vec<String>, UserPoolError> {
        let call = self.client.list_user_pool_clients();
        let call = call.user_pool_id(&self.user_pool_id).max_results(PAGE);
        let mut pages = call.into_paginator().items().send();
        let mut ids = Vec::new();
        while let Some(client) = pages.next().await {
            let client = client.map_err(|error| classify(&error))?;
            ids.extend(client.client_id);
        }
        Ok(ids)
    }

    /// `DescribeUserPoolClient`: the lifetime of an app client's refresh tokens.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn app_client(&self, client_id: &str) -> Result<AppClient, UserPoolError> {
        let call = self.client.describe_user_pool_client();
        let call = call.user_pool_id(&self.user_pool_id).client_id(client_id);
        let answer = call.send().await.map_err(|error| classify(&error))?;
        let client = answer
            .user_pool_client()
            .ok_or(UserPoolError::Unavailable(Cause::Invalid))?;
        let unit = client
            .token_validity_units()
            .and_then(|units| units.refresh_token());
        let seconds = match unit {
            Some(TimeUnitsType::Seconds) => 1,
            Some(TimeUnitsType::Minutes) => 60,
            Some(TimeUnitsType::Hours) => 3_600,
            // Cognito's default, also used for an unknown unit.
            _ => 86_400,
        };
        let validity = u64::try_from(client.refresh_token_validity()).unwrap_or_default();
        // AWS: "If you don't specify a value", or with 0, it is 30 days.
        let (validity, seconds) = if validity == 0 {
            (30, 86_400)
        } else {
            (validity, seconds)
        };
        let signs_in = client
            .explicit_auth_flows()
            .iter()
            .any(|flow| !matches!(flow, ExplicitAuthFlowsType::AllowRefreshTokenAuth));
        let only_machines = client.allowed_o_auth_flows() == [OAuthFlowType::ClientCredentials];
        Ok(AppClient {
            name: client.client_name().unwrap_or(client_id).to_owned(),
            refresh_token_seconds: (signs_in || !only_machines)
                .then(|| validity.saturating_mul(seconds)),
            revokes_tokens: client.enable_token_revocation().unwrap_or(false),
        })
    }

    /// `ListUsers`: a page of unconfirmed users; `next` of the previous page is its start.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn unconfirmed(&self, next: Option<String>) -> Result<Page<SignedUp>, UserPoolError> {
        let filter = equals("cognito:user_status", "UNCONFIRMED");
        let page = self.list(&filter, next).await?;
        // Protects other users if Cognito did not apply the filter.
        let users = page
            .users()
            .iter()
            .filter(|user| user.user_status() == Some(&UserStatusType::Unconfirmed));
        let users = users.filter_map(|user| {
            Some(SignedUp {
                username: user.username()?.to_owned(),
                created_at: seconds(user.user_create_date()),
            })
        });
        Ok(Page {
            users: users.collect(),
            next: page.pagination_token().map(str::to_owned),
        })
    }

    /// `ListUsers`: a page of the disabled users that have a `sub`; `next` of the previous page is
    /// its start.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn disabled(&self, next: Option<String>) -> Result<Page<User>, UserPoolError> {
        let page = self.list(&equals("status", "Disabled"), next).await?;
        let users = page.users().iter();
        let users = users.filter_map(|user| user_of(user, subject(user.attributes())?));
        Ok(Page {
            users: users.collect(),
            next: page.pagination_token().map(str::to_owned),
        })
    }

    /// `AdminGetUser`.
    async fn described(&self, username: &str) -> Result<AdminGetUserOutput, UserPoolError> {
        let call = self.client.admin_get_user();
        let call = call.user_pool_id(&self.user_pool_id).username(username);
        call.send().await.map_err(|error| classify(&error))
    }

    /// `ListUsers`: the page of the users that match, which begins at `next`.
    async fn list(
        &self,
        filter: &str,
        next: Option<String>,
    ) -> Result<ListUsersOutput, UserPoolError> {
        let call = self.matching(filter).set_pagination_token(next);
        call.send().await.map_err(|error| classify(&error))
    }

    fn matching(&self, filter: &str) -> ListUsersFluentBuilder {
        let call = self.client.list_users().user_pool_id(&self.user_pool_id);
        call.filter(filter).limit(PAGE)
    }
}

/// A filter of `ListUsers`.
/// Source: AWS, "Searching for user accounts": a backslash escapes characters that would end the
/// string.
fn equals(attribute: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{attribute} = \"{value}\"")
}

fn user_of(user: &UserType, subject: String) -> Option<User> {
    Some(User {
        subject,
        username: user.username()?.to_owned(),
        enabled: user.enabled(),
        modified_at: seconds(user.user_last_modified_date()),
    })
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
