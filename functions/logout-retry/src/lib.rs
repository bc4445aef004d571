//! Retries Cognito calls that failed during logout. Our APIs already refuse the session: this
//! revokes the refresh token, and Cognito's own API stops accepting the session. It also writes
//! revocations that could not be written when a password was changed.
//!
//! The queue redelivers a message that fails, and finally moves it to the dead-letter queue, whose
//! alarm notifies an operator. A revocation that fails moves to a separate queue, which keeps it
//! for longer than the queue of refresh tokens may.

use auth::{
    KeptSession, OtherSessions, RevocationContext, RevocationWriter, Secret, Unavailable,
    UnixSeconds, UserRef,
};
use auth_cognito::{CognitoSignOut, SignOut, SignOutTask};
use auth_dynamodb::DynamoRevocations;
use auth_sqs::{LateRevocation, RetryQueue};
use aws_config::SdkConfig;
use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};
use runtime::sqs::{self, Answer, Message};
use runtime::{Handler, InvocationError, clock};
use serde_json::value::RawValue;

/// The configuration, read from the environment. `docs/configuration.md` has the table.
pub struct Config {
    /// `USER_POOL_ID`.
    pub user_pool_id: String,
    /// `REVOCATION_TABLE`: the table for late revocations; without it they stay in the queue.
    pub revocation_table: Option<String>,
    /// `REFRESH_TOKEN_TTL_SECONDS`.
    pub refresh_token_ttl_seconds: u64,
    /// `LATE_MARK_QUEUE_URL`: the queue for revocations that still cannot be written. It keeps them
    /// for longer than a refresh token is valid; without it they stay in their queue.
    pub late_revocation_queue_url: Option<String>,
    /// `APP_CLIENT_SECRET_ARN`: the secret of the app client, if it has one.
    pub app_client_secret_arn: Option<String>,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::USER_POOL_ID,
        vars::REVOCATION_TABLE.with_default("unset: late revocations stay in the queue"),
        vars::REFRESH_TOKEN_TTL_SECONDS,
        Var::new(
            "LATE_MARK_QUEUE_URL",
            "unset",
            "The SQS queue for revocations that cannot be written yet. Unset: they stay in the \
             queue that delivered them.",
        ),
        vars::APP_CLIENT_SECRET_ARN,
        vars::LOG_LEVEL,
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            user_pool_id: env.user_pool_id(),
            revocation_table: env.optional("REVOCATION_TABLE"),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            late_revocation_queue_url: env.optional("LATE_MARK_QUEUE_URL"),
            app_client_secret_arn: env.optional("APP_CLIENT_SECRET_ARN"),
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}

/// The function.
pub struct LogoutRetry {
    cognito: CognitoSignOut,
    revocations: Option<DynamoRevocations>,
    late_revocations: Option<LateRevocations>,
    user_pool_id: String,
    refresh_token_ttl_seconds: u64,
    log_level: Level,
}

/// The queue of revocations that still cannot be written.
struct LateRevocations {
    url: String,
    queue: RetryQueue,
}

impl LogoutRetry {
    /// Creates the clients, and reads the app client's secret.
    ///
    /// # Errors
    /// [`auth_secrets::SecretError`].
    pub async fn connect(config: Config) -> Result<Self, auth_secrets::SecretError> {
        let sdk = aws_config::load_from_env().await;
        let arn = config.app_client_secret_arn.as_deref();
        let secret = auth_secrets::read_if_any(&sdk, arn).await?;
        Ok(Self::new(&sdk, config, secret))
    }

    /// The function over the services that `sdk` leads to, with the app client's secret.
    #[must_use]
    pub fn new(sdk: &SdkConfig, config: Config, secret: Option<Secret>) -> Self {
        let table = config.revocation_table;
        let late_revocations = config.late_revocation_queue_url.map(|url| LateRevocations {
            queue: RetryQueue::new(sdk, url.clone()),
            url,
        });
        Self {
            cognito: CognitoSignOut::new(sdk, config.user_pool_id.clone()).with_secret(secret),
            late_revocations,
            revocations: table.map(|table| DynamoRevocations::new(sdk, table)),
            user_pool_id: config.user_pool_id,
            refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
            log_level: config.log_level,
        }
    }

    /// Whether the task is done, and its word for the log.
    async fn execute(&self, message: &Message<'_>) -> (bool, &'static str) {
        if let Ok(revocation) = serde_json::from_str::<LateRevocation>(&message.body) {
            return match (self.write(&revocation).await, &self.late_revocations) {
                (Ok(()), _) => (true, "marked"),
                (Err(_), Some(late)) if !message.is_from(&late.url) => {
                    if late.queue.send(&revocation).await {
                        (true, "put_off")
                    } else {
                        (false, "failed")
                    }
                }
                (Err(_), _) => (false, "failed"),
            };
        }
        let Ok(task) = serde_json::from_str::<SignOutTask>(&message.body) else {
            return (false, "unreadable");
        };
        let Ok(made) = self.cognito.execute(&task).await else {
            return (false, "failed");
        };
        if let (Some(id), Some(revocations)) = (&made.request_id, &self.revocations) {
            let now = UnixSeconds(clock::unix_seconds());
            // Without this note CloudTrail's record of the call makes tokens outdated that a
            // refresh would replace.
            let _ = revocations.note_call(&self.user_pool_id, id, now).await;
        }
        match made.outcome {
            SignOut::Done => (true, "ended"),
            SignOut::Unsupported => (true, "unsupported"),
            // A retry would be refused again.
            SignOut::Refused => (true, "refused"),
        }
    }
}

impl LogoutRetry {
    /// Writes a revocation as of its original time: later sign-ins stay valid.
    async fn write(&self, revocation: &LateRevocation) -> Result<(), Unavailable> {
        let revocations = self.revocations.as_ref().ok_or(Unavailable::Revocations)?;
        let LateRevocation::RevokeSessions {
            subject,
            not_before,
            kept,
            changed_at,
            reason,
        } = revocation;
        let context = RevocationContext {
            reason,
            actor: subject,
            at: UnixSeconds(clock::unix_seconds()),
            refresh_token_ttl_seconds: self.refresh_token_ttl_seconds,
        };
        let user = UserRef {
            issuer: &self.user_pool_id,
            subject,
        };
        let not_before = UnixSeconds(*not_before);
        if let Some(kept) = kept {
            let others = OtherSessions {
                not_before,
                kept: KeptSession {
                    session: &kept.session,
                    authenticated_at: UnixSeconds(kept.authenticated_at),
                },
                password_changed_at: changed_at.map(UnixSeconds),
            };
            let written = revocations.revoke_other_sessions(&user, &others, &context);
            // Not written: the kept session was revoked too, so there is nothing to keep.
            if written.await? {
                return Ok(());
            }
        }
        revocations
            .revoke_user_sessions(&user, not_before, &context)
            .await
    }
}

impl Handler for LogoutRetry {
    type Answer = Answer;

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Answer, InvocationError> {
        let messages = sqs::messages(event).ok_or(InvocationError::Internal)?;
        let mut answer = Answer::default();
        for message in &messages {
            let (done, outcome) = self.execute(message).await;
            let level = match (done, outcome) {
                (true, "put_off") => Level::Warn,
                (true, _) => Level::Info,
                (false, _) => Level::Error,
            };
            if !done {
                answer.retry(message);
            }
            if level <= self.log_level {
                log::outcome(level, "logout retry", "LogoutRetries", outcome, request_id);
            }
        }
        Ok(answer)
    }
}
