//! Users by what they have in common (`ListUsers`).

use auth::{Cause, Dependency};
use aws_client::Call;
use aws_sdk_cognitoidentityprovider::operation::list_users::ListUsersOutput;
use aws_sdk_cognitoidentityprovider::operation::list_users::builders::ListUsersFluentBuilder;
use aws_sdk_cognitoidentityprovider::types::{UserStatusType, UserType};

use super::{CognitoUsers, User, UserPoolError, attribute_of, classify, seconds, subject};

/// Users in a page of [`CognitoUsers::disabled`], Cognito's maximum.
pub(crate) const PAGE: i32 = 60;

/// The maximal number of pages that [`CognitoUsers::find`] reads.
const PAGES: usize = 5;

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

/// One page of users.
pub struct Page<T> {
    /// The users on it.
    pub users: Vec<T>,
    /// The start of the next page.
    pub next: Option<String>,
}

/// A user who has signed up but not confirmed. No `Debug`.
pub struct SignedUp {
    /// The user name for Cognito's calls.
    pub username: String,
    /// The time of its creation, in seconds since 1970.
    pub created_at: u64,
}

impl CognitoUsers {
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

    /// `ListUsers`: the user with this `sub`, which is not every user's name.
    ///
    /// # Errors
    /// [`UserPoolError::NotFound`] if the pool has none, else [`UserPoolError`].
    pub async fn by_subject(&self, subject: &str) -> Result<User, UserPoolError> {
        let call = self.matching(&equals("sub", subject)).limit(1);
        let page = call
            .send()
            .in_span(Dependency::Cognito)
            .await
            .map_err(|error| classify(&error))?;
        let user = page.users().first().ok_or(UserPoolError::NotFound)?;
        user_of(user, subject.to_owned()).ok_or(UserPoolError::Unavailable(Cause::Invalid))
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

    /// `ListUsers`: the page of the users that match, which begins at `next`.
    async fn list(
        &self,
        filter: &str,
        next: Option<String>,
    ) -> Result<ListUsersOutput, UserPoolError> {
        let call = self.matching(filter).set_pagination_token(next);
        call.send()
            .in_span(Dependency::Cognito)
            .await
            .map_err(|error| classify(&error))
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
