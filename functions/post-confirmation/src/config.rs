//! The configuration, read from the environment. `docs/configuration.md` has the table.

use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};

/// A valid configuration.
pub struct Config {
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `USERS_TABLE`: the table of profiles; no profiles are kept without it.
    pub users_table: Option<String>,
    /// `REFRESH_TOKEN_TTL_SECONDS`.
    pub refresh_token_ttl_seconds: u64,
    /// `CLOCK_LEEWAY_SECONDS`.
    pub leeway_seconds: u64,
    /// `RETRY_QUEUE_URL`: the queue for calls and revocations that failed.
    pub retry_queue_url: Option<String>,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::REVOCATION_TABLE,
        vars::USERS_TABLE,
        vars::REFRESH_TOKEN_TTL_SECONDS,
        vars::CLOCK_LEEWAY_SECONDS,
        Var::new(
            "RETRY_QUEUE_URL",
            "unset",
            "The SQS queue for a sign-out at Cognito, or a revocation, that failed after a \
             password reset; `logout-retry` retries it.",
        ),
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
            revocation_table: env.required("REVOCATION_TABLE"),
            users_table: env.optional("USERS_TABLE"),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            leeway_seconds: env.number("CLOCK_LEEWAY_SECONDS", 0, 0..=60),
            retry_queue_url: env.optional("RETRY_QUEUE_URL"),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}
