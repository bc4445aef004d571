//! What a record is about: a user, by `sub`, or something that the pool has by name.

use auth::{Unavailable, UnixSeconds, UserRef};
use auth_cognito::UserPoolError;

use crate::UserEvents;
use crate::action::{Action, Kind};
use crate::outcome::EventError;
use crate::record::Record;

impl<R: Sync> UserEvents<R> {
    /// The record's user: a `sub` or a name.
    pub(crate) async fn target(
        &self,
        action: &Action,
        record: &Record,
    ) -> Result<String, EventError> {
        let name = match action.about() {
            Kind::User => return self.subject(record).await,
            Kind::Group => record.parameter("groupName"),
            Kind::Provider => record.parameter("providerName"),
            Kind::Client => record.parameter("clientId"),
            Kind::Pool => Some(self.origin.user_pool_id.as_str()),
        };
        // These calls are signed, and their records name the pool.
        let name = name.filter(|_| record.names_pool());
        name.map(str::to_owned).ok_or(EventError::NoSubject)
    }

    /// The user of the record: its own `sub`, else the one that Cognito has for its name. The name
    /// in a record without a pool may be of another pool's user.
    async fn subject(&self, record: &Record) -> Result<String, EventError> {
        if let Some(subject) = record.subject() {
            return Ok(subject.to_owned());
        }
        let name = record.username().filter(|_| record.names_pool());
        let name = name.ok_or(EventError::NoSubject)?;
        match self.users.get(name).await {
            Ok(user) => Ok(user.subject),
            Err(UserPoolError::NotFound) => Err(EventError::NoSubject),
            Err(error) => Err(Unavailable::from(error).into()),
        }
    }

    /// Whether the user of a record without a pool belongs to this pool: has a profile or has
    /// signed in here, both of which outlive the user's deletion, or is in the pool.
    pub(crate) async fn knows(&self, subject: &str, now: UnixSeconds) -> Result<bool, Unavailable> {
        if let Some(profiles) = &self.profiles
            && profiles.knows(subject).await?
        {
            return Ok(true);
        }
        let user = self.user_ref(subject);
        if let Some(sessions) = &self.sessions
            && !sessions.of_user(&user, now).await?.is_empty()
        {
            return Ok(true);
        }
        match self.users.by_subject(subject).await {
            Ok(_) => Ok(true),
            Err(UserPoolError::NotFound) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn user_ref<'a>(&'a self, subject: &'a str) -> UserRef<'a> {
        UserRef {
            issuer: &self.origin.user_pool_id,
            subject,
        }
    }
}
