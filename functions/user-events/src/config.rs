//! What user-events reads from its environment. `docs/configuration.md` has the table.

use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};

/// A valid configuration. [`Config::from_lookup`] is the only way to get one.
pub struct Config {
    /// `USER_POOL_ID`.
    pub user_pool_id: String,
    /// `ACCOUNT_ID`: the AWS account whose records count.
    pub account_id: String,
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `USERS_TABLE`: the table of profiles; no profiles are kept without it.
    pub users_table: Option<String>,
    /// `SESSION_TABLE`: sign-ins, which identify a user whom the pool has already deleted.
    pub session_table: Option<String>,
    /// `SECURITY_TOPIC_ARN`: the topic to notify; no notifications without it.
    pub security_topic_arn: Option<String>,
    /// `OWN_ROLE_ARNS`: the roles whose calls are not reported, because users and strangers cause
    /// them through Gatehouse.
    pub own_role_arns: Vec<String>,
    /// `REPORTING_ROLE_ARNS`: the roles whose calls are applied and not reported.
    pub reporting_role_arns: Vec<String>,
    /// `OUTDATE_ON_GROUP_CHANGE`.
    pub outdate_on_group_change: bool,
    /// `REFRESH_TOKEN_TTL_SECONDS`.
    pub refresh_token_ttl_seconds: u64,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::USER_POOL_ID,
        Var::new(
            "ACCOUNT_ID",
            "required",
            "The AWS account whose records are processed.",
        ),
        vars::REVOCATION_TABLE,
        vars::USERS_TABLE,
        Var::new(
            "SESSION_TABLE",
            "unset",
            "The DynamoDB table of sessions: shows whether a deleted user was known here if a \
             record names no pool.",
        ),
        Var::new(
            "SECURITY_TOPIC_ARN",
            "unset",
            "The SNS topic to which each action is published, with the attribute `kind` to \
             filter on.",
        ),
        Var::new(
            "OWN_ROLE_ARNS",
            "unset",
            "The roles of Gatehouse's own functions, comma-separated. A call that CloudTrail \
             records in one of them revokes, but neither changes the profile nor is published, \
             because any user or stranger can cause it. The template names all but `/admin`'s.",
        ),
        Var::new(
            "REPORTING_ROLE_ARNS",
            "unset",
            "The roles of functions that report their acts themselves (admin): their calls are \
             applied, and not reported a second time.",
        ),
        Var::new(
            "OUTDATE_ON_GROUP_CHANGE",
            "`true`",
            "Refuse tokens that were issued before a change of their user's groups, or of a \
             group that they name; a refresh brings new ones.",
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
            account_id: env.required("ACCOUNT_ID"),
            revocation_table: env.required("REVOCATION_TABLE"),
            users_table: env.optional("USERS_TABLE"),
            session_table: env.optional("SESSION_TABLE"),
            security_topic_arn: env.optional("SECURITY_TOPIC_ARN"),
            own_role_arns: env.list("OWN_ROLE_ARNS").unwrap_or_default(),
            reporting_role_arns: env.list("REPORTING_ROLE_ARNS").unwrap_or_default(),
            outdate_on_group_change: env.flag("OUTDATE_ON_GROUP_CHANGE", true),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}
