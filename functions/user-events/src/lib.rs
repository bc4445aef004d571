//! What is done to users by whatever way, the console, the CLI, anybody's SDK: Cognito's calls as
//! CloudTrail records them and EventBridge delivers them, in any order and more than once.
//!
//! Each one ends what it has to end, updates the profile and is told to whoever watches. A record
//! that cannot be acted on, because it names nobody, goes to the dead-letter queue: nothing is
//! guessed.
//! Source: AWS, "Amazon Cognito user pools information in CloudTrail"; platform notes in
//! docs/tokens.md.

mod action;
mod config;
mod record;
mod topic;

use auth::revocation::RowKey;
use auth::{Unavailable, UnixSeconds};
use auth_cognito::CognitoUsers;
use auth_dynamodb::{DynamoRevocations, Ending, Profiles, Status};
use lambda::log::{self, Level};
use lambda::sqs::{self, Answer};
use lambda::{Failure, Handler, clock};
use serde_json::Value;
use serde_json::value::RawValue;

use action::{Action, Effect};
pub use config::Config;
use record::{Origin, Record};
use topic::Topic;

/// Seconds by which the record of a password change and our own API, which made that very change,
/// may tell its time differently.
const TOLERANCE: u64 = 10;

/// The function.
pub struct UserEvents {
    origin: Origin,
    revocations: DynamoRevocations,
    profiles: Option<Profiles>,
    users: CognitoUsers,
    topic: Option<Topic>,
    outdate_on_group_change: bool,
    refresh_token_ttl_seconds: u64,
    log_level: Level,
}

/// What became of a record.
enum Outcome {
    Applied(Action),
    /// None of ours, or nothing to do.
    Ignored(&'static str),
}

/// Why a record has to come again.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Problem {
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
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table);
        revocations.prime().await;
        let profiles = config.users_table;
        let topic = config.security_topic_arn;
        Ok(Self {
            profiles: profiles.map(|table| Profiles::beside(&revocations, table)),
            revocations,
            users: CognitoUsers::new(&sdk, config.user_pool_id.clone()),
            topic: topic.map(|arn| Topic::new(&sdk, arn)),
            origin: Origin {
                account_id: config.account_id,
                user_pool_id: config.user_pool_id,
            },
            outdate_on_group_change: config.outdate_on_group_change,
            refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
            log_level: config.log_level,
        })
    }

    async fn apply(&self, json: &str, now: UnixSeconds) -> Result<Outcome, Problem> {
        let record: Record = serde_json::from_str(json).map_err(|_| Problem::Unreadable)?;
        if let Some(why) = record.is_foreign(&self.origin) {
            return Ok(Outcome::Ignored(why));
        }
        let Some(action) = Action::of(record.event_name()) else {
            return Ok(Outcome::Ignored("nothing_to_do"));
        };
        if action.effect == Effect::OutdateForGroups && !self.outdate_on_group_change {
            return Ok(Outcome::Ignored("nothing_to_do"));
        }
        let subject = self.subject(&record).await?;
        let at = record.at(now);
        self.mark(&subject, &action, at, now).await?;
        self.note(&subject, action.effect, at).await?;
        if let Some(topic) = &self.topic {
            let pool = &self.origin.user_pool_id;
            topic.publish(&action, pool, &subject, at, &record).await?;
        }
        Ok(Outcome::Applied(action))
    }

    /// Whom the record is about: its own word, else Cognito's for the name in it.
    async fn subject(&self, record: &Record) -> Result<String, Problem> {
        if let Some(subject) = record.subject() {
            return Ok(subject.to_owned());
        }
        let name = record.username().ok_or(Problem::NoSubject)?;
        match self.users.get(name).await {
            Ok(user) => Ok(user.subject),
            Err(auth_cognito::Trouble::NotFound) => Err(Problem::NoSubject),
            Err(trouble) => Err(Unavailable::from(trouble).into()),
        }
    }

    async fn mark(
        &self,
        subject: &str,
        action: &Action,
        at: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let key = RowKey::user(&self.origin.user_pool_id, subject);
        let ending = Ending {
            reason: action.kind,
            actor: "cognito",
            at: now,
            refresh_token_ttl_seconds: self.refresh_token_ttl_seconds,
        };
        let store = &self.revocations;
        match action.effect {
            Effect::Disable | Effect::Delete => store.disable_user(&key, at, &ending).await,
            Effect::Enable => store.enable_user(&key, at, &ending).await,
            Effect::EndSessions => store.end_user(&key, at, &ending).await,
            Effect::ChangePassword => {
                store
                    .end_user_for_change(&key, at, TOLERANCE, &ending)
                    .await
            }
            Effect::Outdate | Effect::OutdateForGroups => {
                store.outdate_tokens(&key, at, &ending).await
            }
        }
    }

    async fn note(
        &self,
        subject: &str,
        effect: Effect,
        at: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let status = match effect {
            Effect::Disable => Status::Disabled,
            Effect::Enable => Status::Confirmed,
            Effect::Delete => Status::Deleted,
            Effect::EndSessions
            | Effect::ChangePassword
            | Effect::Outdate
            | Effect::OutdateForGroups => return Ok(()),
        };
        match &self.profiles {
            Some(profiles) => profiles.set_status(subject, status, at).await,
            None => Ok(()),
        }
    }

    /// Applies one record and logs what became of it.
    async fn handle_one(&self, json: &str, request_id: &str) -> Result<(), Problem> {
        let now = UnixSeconds(clock::unix_seconds());
        let result = self.apply(json, now).await;
        let (level, outcome, kind) = match &result {
            Ok(Outcome::Applied(action)) => (Level::Info, "applied".to_owned(), action.kind),
            Ok(Outcome::Ignored(why)) => (Level::Info, (*why).to_owned(), "-"),
            Err(problem) => (Level::Error, problem.to_string(), "-"),
        };
        if level <= self.log_level {
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

impl Handler for UserEvents {
    type Answer = Answer;

    /// A batch from the queue, or one event from EventBridge itself.
    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Answer, Failure> {
        let mut answer = Answer::default();
        match sqs::messages(event) {
            Some(messages) => {
                for message in &messages {
                    if self.handle_one(&message.body, request_id).await.is_err() {
                        answer.again(message);
                    }
                }
            }
            None => {
                let handled = self.handle_one(event.get(), request_id).await;
                handled.map_err(|_| Failure::Internal)?;
            }
        }
        Ok(answer)
    }
}
