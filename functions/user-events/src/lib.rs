//! Reacts to Cognito calls made outside Gatehouse (console, CLI, SDKs), as recorded by CloudTrail
//! and delivered by EventBridge: unordered, at least once.
//!
//! Each record revokes what it has to, updates the profile and is published to a topic; a record of
//! Gatehouse's own call revokes only. A record without a subject goes to the dead-letter queue: the function does not guess.
//! Source: AWS, "Amazon Cognito user pools information in CloudTrail"; platform notes in
//! docs/tokens.md.

mod action;
mod apply;
mod config;
mod outcome;
mod record;
mod revoke;
mod target;
mod topic;

use std::process::ExitCode;

use auth::{Cause, OwnCalls, RevocationWriter, Unavailable};
use auth_cognito::CognitoUsers;
use auth_dynamodb::{DynamoRevocations, Profiles, SessionTable};
use aws_client::SdkConfig;
use runtime::log::{self, Level};
use runtime::{BatchResponse, Handler, InvocationError, clock, sqs};
use serde_json::Value;
use serde_json::value::RawValue;

pub use config::Config;

use crate::outcome::{EventError, Ignored, Outcome};
use crate::record::Origin;
use crate::topic::Topic;

/// The function, over a store of revocations.
pub struct UserEvents<R = DynamoRevocations> {
    origin: Origin,
    revocations: R,
    profiles: Option<Profiles>,
    sessions: Option<SessionTable>,
    users: CognitoUsers,
    topic: Option<Topic>,
    own_role_arns: Vec<String>,
    reporting_role_arns: Vec<String>,
    outdate_on_group_change: bool,
    refresh_token_ttl_seconds: u64,
    log_level: Level,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        UserEvents::connect,
    )
}

impl UserEvents {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_client::sdk_config_in_lambda();
        let events = Self::new(&sdk, config);
        events.revocations.warm_up().await;
        Ok(events)
    }

    /// The function over the services that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: &SdkConfig, mut config: Config) -> Self {
        let table = std::mem::take(&mut config.revocation_table);
        let revocations = DynamoRevocations::new(sdk, table);
        let profiles = config.users_table.take();
        let sessions = config.session_table.take();
        Self {
            profiles: profiles.map(|table| Profiles::beside(&revocations, table)),
            sessions: sessions.map(|table| SessionTable::beside(&revocations, table)),
            ..Self::over(sdk, config, revocations)
        }
    }
}

impl<R: RevocationWriter + OwnCalls> UserEvents<R> {
    /// The function over this store and the services that `sdk` leads to, without the tables of profiles and sessions.
    #[must_use]
    pub fn over(sdk: &SdkConfig, config: Config, revocations: R) -> Self {
        let topic = config.security_topic_arn;
        Self {
            profiles: None,
            sessions: None,
            revocations,
            users: CognitoUsers::new(sdk, config.user_pool_id.clone()),
            topic: topic.map(|arn| Topic::new(sdk, arn)),
            origin: Origin {
                account_id: config.account_id,
                user_pool_id: config.user_pool_id,
            },
            own_role_arns: config.own_role_arns,
            reporting_role_arns: config.reporting_role_arns,
            outdate_on_group_change: config.outdate_on_group_change,
            refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
            log_level: config.log_level,
        }
    }

    /// Applies one record and logs its outcome.
    async fn handle_one(&self, json: &str, request_id: &str) -> Result<(), EventError> {
        let now = clock::now();
        let result = self.apply(json, now).await;
        let (level, outcome, kind) = match &result {
            Ok(outcome) => (outcome.level(), outcome.as_str().to_owned(), outcome.kind()),
            Err(problem) => (Level::Error, problem.to_string(), "-"),
        };
        let cause = result.as_ref().err();
        let cause = cause.and_then(|problem| Cause::of(problem));
        let recorded = log::Outcome {
            word: &outcome,
            cause,
        };
        match &result {
            Ok(_) => log::record_outcome(recorded),
            Err(_) => log::record_failure(recorded),
        }
        // An alarm rings if this line is missing.
        let is_heartbeat = matches!(&result, Ok(Outcome::Ignored(Ignored::Heartbeat)));
        if is_heartbeat || level <= self.log_level {
            let fields = [
                ("outcome", Value::from(outcome)),
                ("kind", Value::from(kind)),
                ("request_id", Value::from(request_id)),
                ("UserEvents", Value::from(1)),
                ("_aws", log::metric("UserEvents", "outcome", now.0)),
            ];
            log::line(
                level,
                "user event",
                fields.into_iter().chain(log::cause(cause)),
            );
        }
        result.map(drop)
    }
}

impl<R: RevocationWriter + OwnCalls> Handler for UserEvents<R> {
    type Answer = BatchResponse;

    /// A batch from the queue, or one event from EventBridge itself.
    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<BatchResponse, InvocationError> {
        let mut answer = BatchResponse::default();
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
