//! Cognito's PostConfirmation trigger. A password reset revokes all earlier sessions, and a confirmed sign-up
//! creates the user's profile.
//!
//! The event is returned unchanged, including members that AWS may add.
//! Source: AWS, "Post confirmation Lambda trigger".

mod config;
mod outcome;
mod reset;
mod user;

use std::process::ExitCode;

use auth::{RevocationWriter, Unavailable};
use auth_dynamodb::{DynamoRevocations, Profiles};
use auth_sqs::RetryQueue;
use aws_client::SdkConfig;
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, TriggerEvent, clock};
use serde_json::value::RawValue;

pub use crate::config::Config;
use crate::outcome::{ConfirmationError, Outcome};
use crate::reset::PasswordReset;
use crate::user::User;

/// The function, over a store of revocations.
pub struct PostConfirmation<R = DynamoRevocations> {
    reset: PasswordReset<R>,
    profiles: Option<Profiles>,
    log_level: Level,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        PostConfirmation::connect,
    )
}

impl PostConfirmation {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_client::sdk_config_in_lambda();
        let confirmation = Self::new(sdk, config);
        confirmation.reset.revocations.warm_up().await;
        Ok(confirmation)
    }

    /// The function over the services that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: SdkConfig, mut config: Config) -> Self {
        let table = std::mem::take(&mut config.revocation_table);
        let revocations = DynamoRevocations::new(&sdk, table);
        let profiles = config.users_table.take();
        Self {
            profiles: profiles.map(|table| Profiles::beside(&revocations, table)),
            ..Self::over(sdk, config, revocations)
        }
    }
}

impl<R: RevocationWriter> PostConfirmation<R> {
    /// The function over this store and the services that `sdk` leads to, without the table of profiles.
    #[must_use]
    pub fn over(sdk: SdkConfig, config: Config, revocations: R) -> Self {
        let retry_queue = config.retry_queue_url;
        Self {
            profiles: None,
            reset: PasswordReset {
                retry_queue: retry_queue.map(|url| RetryQueue::new(&sdk, url)),
                sdk,
                revocations,
                refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
                leeway_seconds: config.leeway_seconds,
            },
            log_level: config.log_level,
        }
    }

    async fn confirmed(&self, event: &RawValue) -> Result<Outcome, ConfirmationError> {
        let event = TriggerEvent::parse(event).ok_or(ConfirmationError::NoTriggerEvent)?;
        let source = event.source().ok_or(ConfirmationError::NoTriggerEvent)?;
        let user = || User::read(&event).ok_or(ConfirmationError::IncompleteEvent);
        match &*source {
            "PostConfirmation_ConfirmForgotPassword" => {
                Ok(self.reset.revoke_sessions(&user()?).await?)
            }
            "PostConfirmation_ConfirmSignUp" => match &self.profiles {
                None => Ok(Outcome::NothingToDo),
                Some(profiles) => Ok(make_profile(profiles, &user()?).await),
            },
            _ => Ok(Outcome::NothingToDo),
        }
    }
}

/// Cognito has confirmed the account before it invokes this trigger. An error would tell the client that the
/// confirmation failed.
async fn make_profile(profiles: &Profiles, user: &User) -> Outcome {
    let now = clock::now();
    let email = user.email.as_deref();
    let made = profiles.confirmed(&user.subject, email, now).await;
    made.map_or_else(Outcome::NoProfile, |()| Outcome::ProfileMade)
}

impl<R: RevocationWriter> Handler for PostConfirmation<R> {
    type Answer = Box<RawValue>;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<Box<RawValue>, InvocationError> {
        let result = self.confirmed(event).await;
        let (level, outcome) = match result {
            Ok(outcome) => (outcome.level(), log::Outcome::from(outcome)),
            Err(error) => (Level::Error, error.into()),
        };
        if level <= self.log_level {
            log::outcome(
                level,
                "post confirmation",
                "Confirmations",
                outcome,
                request_id,
            );
        }
        match result {
            Ok(_) => Ok(event.to_owned()),
            Err(_) => Err(InvocationError::Internal),
        }
    }
}
