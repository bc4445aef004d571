//! Reacts to Cognito calls made outside Gatehouse (console, CLI, SDKs), as recorded by CloudTrail
//! and delivered by EventBridge: unordered, at least once.
//!
//! Each record revokes what it has to, updates the profile and is published to a topic. A record
//! without a subject goes to the dead-letter queue: the function does not guess.
//! Source: AWS, "Amazon Cognito user pools information in CloudTrail"; platform notes in
//! docs/tokens.md.

mod action;
mod config;
mod record;
mod topic;

use auth::{
    ClientRef, GroupRef, IssuerRef, PasswordChange, RevocationContext, RevocationWriter,
    Unavailable, UnixSeconds, UserRef,
};
use auth_cognito::CognitoUsers;
use auth_dynamodb::{DynamoRevocations, Profiles, SessionTable, Status};
use aws_config::SdkConfig;
use runtime::log::{self, Level};
use runtime::sqs::{self, Answer};
use runtime::{Handler, InvocationError, clock};
use serde_json::Value;
use serde_json::value::RawValue;

use action::{Action, Effect, Kind};
pub use config::Config;
use record::{Origin, Record};
use topic::{Target, Topic};

/// Maximal difference, in seconds, between the times of a password change made by our own API and
/// of its record.
const TOLERANCE: u64 = 10;

/// The outcome of user-sweep's hourly call.
const HEARTBEAT: &str = "heartbeat";

/// The function.
pub struct UserEvents {
    origin: Origin,
    revocations: DynamoRevocations,
    profiles: Option<Profiles>,
    sessions: Option<SessionTable>,
    users: CognitoUsers,
    topic: Option<Topic>,
    outdate_on_group_change: bool,
    refresh_token_ttl_seconds: u64,
    log_level: Level,
}

/// The outcome of a record.
enum Outcome {
    Applied(Action),
    /// Foreign, or nothing to do.
    Ignored(&'static str),
}

/// Why a record must be retried.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum EventError {
    #[error("no_subject")]
    NoSubject,
    #[error("unreadable")]
    Unreadable,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl UserEvents {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let events = Self::new(&sdk, config);
        events.revocations.warm_up().await;
        Ok(events)
    }

    /// The function over the services that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        let revocations = DynamoRevocations::new(sdk, config.revocation_table);
        let profiles = config.users_table;
        let sessions = config.session_table;
        let topic = config.security_topic_arn;
        Self {
            profiles: profiles.map(|table| Profiles::beside(&revocations, table)),
            sessions: sessions.map(|table| SessionTable::beside(&revocations, table)),
            revocations,
            users: CognitoUsers::new(sdk, config.user_pool_id.clone()),
            topic: topic.map(|arn| Topic::new(sdk, arn)),
            origin: Origin {
                account_id: config.account_id,
                user_pool_id: config.user_pool_id,
            },
            outdate_on_group_change: config.outdate_on_group_change,
            refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
            log_level: config.log_level,
        }
    }

    async fn apply(&self, json: &str, now: UnixSeconds) -> Result<Outcome, EventError> {
        let record: Record = serde_json::from_str(json).map_err(|_| EventError::Unreadable)?;
        if let Some(why) = record.is_foreign(&self.origin) {
            return Ok(Outcome::Ignored(why));
        }
        if record.is_heartbeat() {
            return Ok(Outcome::Ignored(HEARTBEAT));
        }
        let Some(action) = Action::of(record.event_name()) else {
            return Ok(Outcome::Ignored("nothing_to_do"));
        };
        let by_groups = matches!(
            action.effect,
            Effect::RequireRefreshForGroups | Effect::RequireRefreshOfGroup
        );
        if by_groups && !self.outdate_on_group_change {
            return Ok(Outcome::Ignored("nothing_to_do"));
        }
        let is_unsigned = record.event_name() == "RevokeToken";
        if is_unsigned && self.is_own_call(&record).await? {
            return Ok(Outcome::Ignored("own_call"));
        }
        let target = match self.target(&action, &record).await {
            // Every holder of a refresh token can make this call, and the revoked session cannot be
            // refreshed: no alarm.
            Err(EventError::NoSubject) if is_unsigned => return Ok(Outcome::Ignored("no_subject")),
            target => target?,
        };
        if action.about() == Kind::User && !record.names_pool() && !self.knows(&target, now).await?
        {
            return Ok(Outcome::Ignored("unknown_user"));
        }
        let at = record.at(now);
        self.revoke(&target, &action, at, now).await?;
        self.set_profile_status(&target, action.effect, at).await?;
        if let Some(topic) = &self.topic {
            let target = Target {
                user_pool_id: &self.origin.user_pool_id,
                member: member(action.about()),
                value: &target,
            };
            topic.publish(&action, &target, at, &record).await?;
        }
        Ok(Outcome::Applied(action))
    }

    /// Whether our logout made this call: it has already revoked the session itself.
    async fn is_own_call(&self, record: &Record) -> Result<bool, Unavailable> {
        let Some(request_id) = record.request_id() else {
            return Ok(false);
        };
        let pool = &self.origin.user_pool_id;
        self.revocations.is_own_call(pool, request_id).await
    }

    /// The record's user: a `sub` or a name.
    async fn target(&self, action: &Action, record: &Record) -> Result<String, EventError> {
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
            Err(auth_cognito::UserPoolError::NotFound) => Err(EventError::NoSubject),
            Err(error) => Err(Unavailable::from(error).into()),
        }
    }

    /// Whether the user of a record without a pool belongs to this pool: has a profile or has
    /// signed in here, both of which outlive the user's deletion, or is in the pool.
    async fn knows(&self, subject: &str, now: UnixSeconds) -> Result<bool, Unavailable> {
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
            Err(auth_cognito::UserPoolError::NotFound) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn revoke(
        &self,
        target: &str,
        action: &Action,
        at: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let pool = &self.origin.user_pool_id;
        let user = self.user_ref(target);
        let context = RevocationContext {
            reason: action.kind,
            actor: "cognito",
            at: now,
            refresh_token_ttl_seconds: self.refresh_token_ttl_seconds,
        };
        let store = &self.revocations;
        match action.effect {
            Effect::Disable => store.disable_user(&user, at, &context).await,
            Effect::Delete => store.delete_user(&user, at, &context).await,
            Effect::Enable => store.enable_user(&user, at, &context).await,
            Effect::RevokeSessions => store.revoke_user_sessions(&user, at, &context).await,
            Effect::ChangePassword => {
                let change = PasswordChange {
                    changed_at: at,
                    tolerance_seconds: TOLERANCE,
                };
                store
                    .revoke_sessions_before_password_change(&user, &change, &context)
                    .await
            }
            Effect::RequireRefresh | Effect::RequireRefreshForGroups => {
                store.require_refresh(&user, at, &context).await
            }
            Effect::RequireRefreshOfGroup => {
                let group = GroupRef {
                    issuer: pool,
                    group: target,
                };
                store.require_refresh_of_group(&group, at, &context).await
            }
            Effect::RevokeProvider => {
                // Cognito keeps the users of a provider in a group of this name.
                let group = format!("{pool}_{target}");
                let group = GroupRef {
                    issuer: pool,
                    group: &group,
                };
                store.revoke_group_sessions(&group, at, &context).await
            }
            Effect::RevokeClient => {
                let client = ClientRef {
                    issuer: pool,
                    client_id: target,
                };
                store.revoke_client(&client, at, &context).await
            }
            Effect::RevokeIssuer => {
                let issuer = IssuerRef { issuer: pool };
                store.revoke_issuer(&issuer, at, &context).await
            }
            Effect::TellOfUser | Effect::Tell => Ok(()),
        }
    }

    fn user_ref<'a>(&'a self, subject: &'a str) -> UserRef<'a> {
        UserRef {
            issuer: &self.origin.user_pool_id,
            subject,
        }
    }

    async fn set_profile_status(
        &self,
        subject: &str,
        effect: Effect,
        at: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let status = match effect {
            Effect::Disable => Status::Disabled,
            Effect::Enable => Status::Confirmed,
            Effect::Delete => Status::Deleted,
            Effect::RevokeSessions
            | Effect::ChangePassword
            | Effect::RequireRefresh
            | Effect::RequireRefreshForGroups
            | Effect::RequireRefreshOfGroup
            | Effect::RevokeProvider
            | Effect::RevokeClient
            | Effect::RevokeIssuer
            | Effect::TellOfUser
            | Effect::Tell => return Ok(()),
        };
        match &self.profiles {
            Some(profiles) => profiles.set_status(subject, status, at).await,
            None => Ok(()),
        }
    }

    /// Applies one record and logs its outcome.
    async fn handle_one(&self, json: &str, request_id: &str) -> Result<(), EventError> {
        let now = UnixSeconds(clock::unix_seconds());
        let result = self.apply(json, now).await;
        let (level, outcome, kind) = match &result {
            Ok(Outcome::Applied(action)) => (Level::Info, "applied".to_owned(), action.kind),
            Ok(Outcome::Ignored(why @ ("no_subject" | "unknown_user"))) => {
                (Level::Warn, (*why).to_owned(), "-")
            }
            Ok(Outcome::Ignored(why)) => (Level::Info, (*why).to_owned(), "-"),
            Err(problem) => (Level::Error, problem.to_string(), "-"),
        };
        // An alarm rings if this line is missing.
        let is_heartbeat = matches!(&result, Ok(Outcome::Ignored(HEARTBEAT)));
        if is_heartbeat || level <= self.log_level {
            log::line(
                level,
                "user event",
                [
                    ("outcome", Value::from(outcome)),
                    ("kind", Value::from(kind)),
                    ("request_id", Value::from(request_id)),
                    ("UserEvents", Value::from(1)),
                    ("_aws", log::metric("UserEvents", "outcome", now.0)),
                ],
            );
        }
        result.map(drop)
    }
}

/// The member of a message that holds the action's target.
fn member(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "sub",
        Kind::Group => "group",
        Kind::Provider => "provider",
        Kind::Client => "client_id",
        Kind::Pool => "pool",
    }
}

impl Handler for UserEvents {
    type Answer = Answer;

    /// A batch from the queue, or one event from EventBridge itself.
    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Answer, InvocationError> {
        let mut answer = Answer::default();
        match sqs::messages(event) {
            Some(messages) => {
                for message in &messages {
                    if self.handle_one(&message.body, request_id).await.is_err() {
                        answer.retry(message);
                    }
                }
            }
            None => {
                let handled = self.handle_one(event.get(), request_id).await;
                handled.map_err(|_| InvocationError::Internal)?;
            }
        }
        Ok(answer)
    }
}
