//! The environment variables of post-authentication, described in `docs/configuration.md`.

use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};

/// A valid configuration.
pub struct Config {
    /// `PENDING_GROUPS_TABLE`.
    pub pending_groups_table: String,
    /// `USERNAME_CASE_SENSITIVE`, equal to the pool's `UsernameConfiguration`.
    pub case_sensitive: bool,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::PENDING_GROUPS_TABLE,
        vars::USERNAME_CASE_SENSITIVE,
        vars::LOG_LEVEL,
        vars::METRICS_NAMESPACE,
        vars::STACK_NAME,
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            pending_groups_table: env.required("PENDING_GROUPS_TABLE"),
            case_sensitive: env.flag("USERNAME_CASE_SENSITIVE", false),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}
