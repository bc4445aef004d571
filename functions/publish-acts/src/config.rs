//! What publish-acts reads from its environment. `docs/configuration.md` has the table.

use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};

/// A valid configuration.
pub struct Config {
    /// `SECURITY_TOPIC_ARN`.
    pub security_topic_arn: String,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        Var::new(
            "SECURITY_TOPIC_ARN",
            "required",
            "The SNS topic to which each act is published, with the attributes `kind`, `source` \
             and `outcome` to filter on.",
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
            security_topic_arn: env.required("SECURITY_TOPIC_ARN"),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}
