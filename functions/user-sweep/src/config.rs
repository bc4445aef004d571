//! What user-sweep reads from its environment. `docs/configuration.md` has the table.

use env_config::{ConfigError, Env, Var, vars};
use runtime::log::MetricsTarget;

/// A valid configuration.
pub struct Config {
    /// `USER_POOL_ID`.
    pub user_pool_id: String,
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `USERS_TABLE`: the table of profiles; no profiles are kept without it.
    pub users_table: Option<String>,
    /// `USER_POOL_ARN`: the pool for the call that proves that a trail exists; no such call without
    /// it.
    pub user_pool_arn: Option<String>,
    /// `REFRESH_TOKEN_TTL_SECONDS`.
    pub refresh_token_ttl_seconds: u64,
    /// `UNCONFIRMED_HOURS`: the age in hours at which an unconfirmed sign-up is deleted; 0 disables
    /// deletion.
    pub unconfirmed_hours: u64,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::USER_POOL_ID,
        vars::REVOCATION_TABLE,
        vars::USERS_TABLE,
        Var::new(
            "USER_POOL_ARN",
            "unset",
            "The pool's ARN, for the hourly call that shows that a trail exists \
             (`UntagResource` with a tag that the pool does not have). Unset: no call.",
        ),
        vars::REFRESH_TOKEN_TTL_SECONDS,
        Var::new(
            "UNCONFIRMED_HOURS",
            "`24`",
            "After how many hours a sign-up that was not confirmed is deleted, up to 8760. \
             `0`: never.",
        ),
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
            users_table: env.optional("USERS_TABLE"),
            user_pool_arn: env.optional("USER_POOL_ARN"),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            unconfirmed_hours: env.number("UNCONFIRMED_HOURS", 24, 0..=8_760),
        };
        MetricsTarget::read(&mut env);
        env.finish(config)
    }
}
