//! The environment variables of logout-retry, described in `docs/configuration.md`.

use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};

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
    /// `RETRY_QUEUE_URL`: the queue for a sign-out that failed after a password reset.
    pub retry_queue_url: Option<String>,
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
        Var::new(
            "RETRY_QUEUE_URL",
            "unset",
            "The SQS queue for a sign-out at Cognito that failed after a password reset; \
             `logout-retry` retries it. Unset: the message is repeated as a whole, and resets the \
             password again.",
        ),
        vars::APP_CLIENT_SECRET_ARN,
        vars::LOG_LEVEL,
        vars::METRICS_NAMESPACE,
        vars::STACK_NAME,
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
            retry_queue_url: env.optional("RETRY_QUEUE_URL"),
            app_client_secret_arn: env.optional("APP_CLIENT_SECRET_ARN"),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}
