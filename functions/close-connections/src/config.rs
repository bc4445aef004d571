//! What close-connections reads from its environment. `docs/configuration.md` has the table.

use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};

/// A valid configuration.
pub struct Config {
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `CONNECTION_TABLE`.
    pub connection_table: String,
    /// `CONNECTIONS_URL`: the WebSocket API's stage, for its management calls.
    pub connections_url: String,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::REVOCATION_TABLE,
        vars::CONNECTION_TABLE,
        Var::new(
            "CONNECTIONS_URL",
            "required",
            "The WebSocket API's stage, \
             `https://<api>.execute-api.<region>.amazonaws.com/<stage>`, for its management \
             calls.",
        ),
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
            revocation_table: env.required("REVOCATION_TABLE"),
            connection_table: env.required("CONNECTION_TABLE"),
            connections_url: env.required("CONNECTIONS_URL"),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}
