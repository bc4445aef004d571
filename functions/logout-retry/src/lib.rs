//! Retries Cognito calls that failed during logout. Our APIs already refuse the session: this
//! revokes the refresh token, and Cognito's own API stops accepting the session. It also writes
//! revocations that could not be written when a password was changed.
//!
//! The queue redelivers a message that fails, and finally moves it to the dead-letter queue, whose
//! alarm notifies an operator. A revocation that fails moves to a separate queue, which keeps it
//! for longer than the queue of refresh tokens may.

mod config;
mod late_revocation;
mod outcome;
mod sign_out;

use std::process::ExitCode;

use auth::{RevocationWriter, Secret};
use auth_cognito::{CognitoSignOut, SignOutTask};
use auth_dynamodb::DynamoRevocations;
use auth_sqs::{LateRevocation, RetryQueue};
use aws_client::SdkConfig;
use runtime::log::{self, Level};
use runtime::sqs::{self, Message};
use runtime::{BatchResponse, Handler, InvocationError};
use serde_json::value::RawValue;

pub use config::Config;
use late_revocation::LateRevocations;
use outcome::Outcome;

/// The function, over a store of revocations.
pub struct LogoutRetry<R = DynamoRevocations> {
    cognito: CognitoSignOut,
    revocations: Option<R>,
    late_revocations: Option<LateRevocations>,
    retry_queue: Option<RetryQueue>,
    user_pool_id: String,
    refresh_token_ttl_seconds: u64,
    log_level: Level,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        LogoutRetry::connect,
    )
}

impl LogoutRetry {
    /// Creates the clients, and reads the app client's secret.
    ///
    /// # Errors
    /// [`auth_secrets::SecretError`].
    pub async fn connect(config: Config) -> Result<Self, auth_secrets::SecretError> {
        let sdk = aws_client::sdk_config_in_lambda();
        let arn = config.app_client_secret_arn.as_deref();
        let secret = auth_secrets::read_if_any(&sdk, arn).await?;
        Ok(Self::new(&sdk, config, secret))
    }

    /// The function over the services that `sdk` leads to, with the app client's secret.
    #[must_use]
    pub fn new(sdk: &SdkConfig, mut config: Config, secret: Option<Secret>) -> Self {
        let table = config.revocation_table.take();
        let revocations = table.map(|table| DynamoRevocations::new(sdk, table));
        Self::over(sdk, config, revocations, secret)
    }
}

impl<R: RevocationWriter> LogoutRetry<R> {
    /// The function over this store, if it has one, and the services that `sdk` leads to, with the app client's secret.
    #[must_use]
    pub fn over(
        sdk: &SdkConfig,
        config: Config,
        revocations: Option<R>,
        secret: Option<Secret>,
    ) -> Self {
        let late_revocations = config.late_revocation_queue_url.map(|url| LateRevocations {
            queue: RetryQueue::new(sdk, url.clone()),
            url,
        });
        Self {
            cognito: CognitoSignOut::new(sdk, config.user_pool_id.clone()).with_secret(secret),
            late_revocations,
            retry_queue: config.retry_queue_url.map(|url| RetryQueue::new(sdk, url)),
            revocations,
            user_pool_id: config.user_pool_id,
            refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
            log_level: config.log_level,
        }
    }

    async fn execute(&self, message: &Message<'_>) -> Outcome {
        if let Ok(revocation) = serde_json::from_str::<LateRevocation>(&message.body) {
            self.revoke(&revocation, message).await
        } else if let Ok(task) = serde_json::from_str::<SignOutTask>(&message.body) {
            self.sign_out(&task).await
        } else {
            Outcome::Unreadable
        }
    }
}

impl<R: RevocationWriter> Handler for LogoutRetry<R> {
    type Answer = BatchResponse;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<BatchResponse, InvocationError> {
        let messages = sqs::messages(event).ok_or(InvocationError::Internal)?;
        let mut answer = BatchResponse::default();
        for message in &messages {
            let outcome = self.execute(message).await;
            if outcome.is_retried() {
                answer.retry(message);
            }
            let level = outcome.level();
            if level <= self.log_level {
                log::outcome(level, "logout retry", "LogoutRetries", outcome, request_id);
            }
        }
        Ok(answer)
    }
}
