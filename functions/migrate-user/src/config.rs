//! Configuration of migrate-user from environment variables. `docs/configuration.md` has the table.

mod lookup;
mod sources;

use std::time::Duration;

use auth::Secret;
use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};

use self::sources::{secret, sources};
use crate::rules::{ConflictRule, Rules};

pub use self::lookup::LookupConfig;
pub use self::sources::SourceConfig;
pub(crate) use self::sources::TableIndex;

/// A valid configuration.
pub struct Config {
    /// `LEGACY_SOURCE`: the sources of users, in the order in which they are read.
    pub sources: Vec<SourceConfig>,
    /// `LEGACY_SECRET_ARN`: the ARN of the sources' secret in Secrets Manager.
    pub secret_arn: Option<String>,
    /// `LEGACY_SECRET`: the secret itself, for a source on the local machine.
    pub secret: Option<Secret>,
    /// `CONFLICT_RULE`.
    pub conflict_rule: ConflictRule,
    /// Rules for migrated users.
    pub rules: Rules,
    /// Limits of failures; `None` if failures are not counted.
    pub failures: Option<FailureLimits>,
    /// `PENDING_GROUPS_TABLE`: the table of groups that post-authentication assigns.
    pub pending_groups_table: Option<String>,
    /// `REFUSAL_STEP_MS`: refusals are sent at multiples of this duration.
    pub refusal_step: Duration,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

/// Limits of failures within five minutes.
pub struct FailureLimits {
    /// `ATTEMPT_TABLE`: the table of the counts.
    pub table: String,
    /// `FAILURES_PER_USER`.
    pub per_user: u64,
    /// `FAILURES_IN_ALL`.
    pub in_all: u64,
}

/// The old store.
pub const LEGACY_SOURCE: Var = Var::new(
    "LEGACY_SOURCE",
    "required",
    "Where users come from: `cognito`, `dynamodb`, `postgres`, `http`, or several in order, \
     comma-separated. See [migration.md](migration.md).",
);

impl Config {
    /// The variables that [`Config::from_lookup`] reads, besides [`LookupConfig::VARS`].
    pub const VARS: &'static [Var] = &[
        LEGACY_SOURCE,
        Var::new(
            "LEGACY_ATTRIBUTES",
            "standard attributes under their own names",
            "A JSON object from the old store's names to the pool's, `custom:` included. \
             Attributes that are neither standard nor mapped are not migrated.",
        ),
        Var::new(
            "LEGACY_GROUPS",
            "unset",
            "A JSON object from the old store's groups to the pool's. Groups not listed are \
             not granted.",
        ),
        vars::PENDING_GROUPS_TABLE.with_default("unset; required with `LEGACY_GROUPS`"),
        Var::new(
            "LEGACY_UNCONFIRMED",
            "`refuse`",
            "Users who never confirmed: `refuse`, or `reset` to migrate them with a password \
             to be reset.",
        ),
        Var::new(
            "LEGACY_CHALLENGES",
            "`refuse`",
            "Users whom the old pool asks for more than a password: `refuse`, or `reset` to migrate \
             them with a password to be reset.",
        ),
        Var::new(
            "REQUIRED_ATTRIBUTES",
            "`email`",
            "Users without these attributes are not migrated.",
        ),
        Var::new(
            "USERNAME_IS_EMAIL",
            "`false`",
            "As the new pool: names are e-mail addresses. A user whose address differs from \
             the typed name is not migrated, because Cognito would refuse it; a password is \
             reset only with a verified e-mail address, because the pool of the template sends \
             codes by email only.",
        ),
        Var::new(
            "CONFLICT_RULE",
            "`refuse`",
            "If several users share a name: `refuse`, `verified-wins` (the user who has \
             verified that very address or number), `latest-sign-in-wins` (not with \
             `cognito`).",
        ),
        Var::new(
            "ALLOW_WEAK_HASHES",
            "`false`",
            "Accept salted MD5, single rounds of SHA (`{SSHA}` and its variants included), and \
             digests repeated fewer than 1,000 times.",
        ),
        Var::new(
            "PASSWORD_MIN_LENGTH",
            "`8`",
            "As the new pool's policy: a user with a shorter password is migrated, and the \
             password should be changed.",
        ),
        Var::new(
            "PASSWORD_REQUIRES",
            "unset",
            "The character classes that the new pool's policy requires, a list of `uppercase`, \
             `lowercase`, `numbers`, `symbols`. A user without them is treated as one with a short \
             password.",
        ),
        Var::new(
            "PASSWORD_CHANGE_ATTRIBUTE",
            "unset",
            "A `custom:` attribute of the new pool that is `true` for users migrated with such \
             a password.",
        ),
        Var::new(
            "ATTEMPT_TABLE",
            "unset",
            "The table that counts failures: Cognito's own lockout does not cover these users.",
        ),
        Var::new(
            "FAILURES_PER_USER",
            "`10`",
            "Failures for one name in five minutes; after that the name is treated as unknown.",
        ),
        Var::new(
            "FAILURES_IN_ALL",
            "`10000`",
            "Failures for all names together in five minutes; after that no user is migrated until the five \
             minutes are over, and each attempt is logged as an error.",
        ),
        Var::new(
            "REFUSAL_STEP_MS",
            "`500`",
            "Refusals are returned at a multiple of this many milliseconds (25 to 2000), \
             independent of the work done.",
        ),
        vars::LOG_LEVEL,
        vars::METRICS_NAMESPACE,
        vars::STACK_NAME,
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems, in one error.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let (secret_arn, secret) = secret(&mut env);
        let has_secret = secret_arn.is_some() || secret.is_some();
        let table = env.optional("ATTEMPT_TABLE");
        let per_user = env.number("FAILURES_PER_USER", 10, 1..=1_000_000);
        let in_all = env.number("FAILURES_IN_ALL", 10_000, 1..=1_000_000_000);
        let pending_groups_table = env.optional("PENDING_GROUPS_TABLE");
        let rules = Rules::read(&mut env);
        if pending_groups_table.is_none() && !rules.groups.is_empty() {
            env.problem("PENDING_GROUPS_TABLE", "is not set, and LEGACY_GROUPS is");
        }
        let sources = sources(&mut env, has_secret, true);
        let conflict_rule = ConflictRule::read(&mut env);
        let is_pool = |source: &SourceConfig| matches!(source, SourceConfig::Cognito { .. });
        if conflict_rule == ConflictRule::LatestSignInWins && sources.iter().any(is_pool) {
            env.problem(
                "CONFLICT_RULE",
                "is `latest-sign-in-wins`, and a user pool doesn't tell when users signed in",
            );
        }
        let step = env.number("REFUSAL_STEP_MS", 500, 25..=2_000);
        let config = Self {
            sources,
            secret_arn,
            secret,
            conflict_rule,
            rules,
            refusal_step: Duration::from_millis(step),
            pending_groups_table,
            failures: table.map(|table| FailureLimits {
                table,
                per_user,
                in_all,
            }),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}
