//! What admin reads from its environment. `docs/configuration.md` has the table.

use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};

/// A valid configuration. [`Config::from_lookup`] is the only way to get one.
pub struct Config {
    /// `USER_POOL_ID`.
    pub user_pool_id: String,
    /// `APP_CLIENT_IDS`: the app clients that may be revoked.
    pub client_ids: Vec<String>,
    /// `ADMIN_GROUP`.
    pub admin_group: String,
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `USERS_TABLE`: the table of profiles; no profiles are kept without it.
    pub users_table: Option<String>,
    /// `REFRESH_TOKEN_TTL_SECONDS`.
    pub refresh_token_ttl_seconds: u64,
    /// `CLOCK_LEEWAY_SECONDS`.
    pub leeway_seconds: u64,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::USER_POOL_ID,
        vars::APP_CLIENT_IDS,
        Var::new(
            "ADMIN_GROUP",
            "`admins`",
            "The pool's group of administrators. `policies/default.cedar` names it too.",
        ),
        vars::REVOCATION_TABLE,
        vars::USERS_TABLE,
        vars::REFRESH_TOKEN_TTL_SECONDS,
        vars::CLOCK_LEEWAY_SECONDS,
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
            client_ids: env.app_client_ids(),
            admin_group: env
                .optional("ADMIN_GROUP")
                .unwrap_or_else(|| "admins".to_owned()),
            revocation_table: env.required("REVOCATION_TABLE"),
            users_table: env.optional("USERS_TABLE"),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            leeway_seconds: env.number("CLOCK_LEEWAY_SECONDS", 0, 0..=60),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}
