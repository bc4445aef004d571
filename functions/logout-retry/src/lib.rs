//! Makes those calls to Cognito again that failed at a logout. Our APIs are closed already: this
//! ends the refresh token, and what Cognito itself would still answer.
//!
//! A message that fails comes again by the queue's own clock, and in the end goes to the
//! dead-letter queue, whose alarm tells somebody.

use auth::Unavailable;
use auth::env::{ConfigError, Env};
use auth_cognito::{CognitoSignOut, SignOut, SignOutTask};
use lambda::log::{self, Level};
use lambda::sqs::{self, Answer};
use lambda::{Failure, Handler, clock};
use serde_json::Value;
use serde_json::value::RawValue;

/// What it reads from its environment. `docs/configuration.md` has the table.
pub struct Config {
    /// `USER_POOL_ID`.
    pub user_pool_id: String,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [&'static str] = &["USER_POOL_ID", "LOG_LEVEL"];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            user_pool_id: env.user_pool_id(),
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}

/// The function.
pub struct LogoutRetry {
    cognito: CognitoSignOut,
    log_level: Level,
}

impl LogoutRetry {
    /// Makes the client.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        Ok(Self {
            cognito: CognitoSignOut::new(&sdk, config.user_pool_id),
            log_level: config.log_level,
        })
    }

    /// Whether the call was made, and the word for it.
    async fn carry_out(&self, message: &str) -> (bool, &'static str) {
        let Ok(task) = serde_json::from_str::<SignOutTask>(message) else {
            return (false, "unreadable");
        };
        match self.cognito.carry_out(&task).await {
            Ok(SignOut::Done) => (true, "ended"),
            Ok(SignOut::Unsupported) => (true, "unsupported"),
            Err(_) => (false, "failed"),
        }
    }
}

impl Handler for LogoutRetry {
    type Answer = Answer;

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Answer, Failure> {
        let messages = sqs::messages(event).ok_or(Failure::Internal)?;
        let mut answer = Answer::default();
        for message in &messages {
            let (done, outcome) = self.carry_out(&message.body).await;
            let level = if done { Level::Info } else { Level::Error };
            if !done {
                answer.again(message);
            }
            if level <= self.log_level {
                let now = clock::unix_seconds();
                log::line(
                    level,
                    "sign-out at Cognito, once more",
                    [
                        ("outcome", Value::from(outcome)),
                        ("request_id", Value::from(request_id)),
                        ("LogoutRetries", Value::from(1)),
                        ("_aws", log::metric("LogoutRetries", "outcome", now)),
                    ],
                );
            }
        }
        Ok(answer)
    }
}
