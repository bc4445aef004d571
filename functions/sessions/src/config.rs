//! What sessions reads from its environment. `docs/configuration.md` has the table.

use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};

/// A valid configuration. [`Config::from_lookup`] is the only way to get one.
pub struct Config {
    /// `USER_POOL_ID`.
    pub user_pool_id: String,
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `SESSION_TABLE`.
    pub session_table: String,
    /// `REFRESH_TOKEN_TTL_SECONDS`.
    pub refresh_token_ttl_seconds: u64,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::USER_POOL_ID,
        vars::REVOCATION_TABLE,
        Var::new(
            "SESSION_TABLE",
            "required",
            "The DynamoDB table of sessions.",
        ),
        vars::REFRESH_TOKEN_TTL_SECONDS,
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
            revocation_table: env.required("REVOCATION_TABLE"),
            session_table: env.required("SESSION_TABLE"),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}
