//! The configuration, read from the environment. `docs/configuration.md` has the table.

use env_config::{ConfigError, Env, Var, vars};
use migrate_user::{LEGACY_SOURCE, LookupConfig};
use runtime::log::{self, Level};
use usernames::{Domains, Providers};

/// The configuration.
pub struct Config {
    /// `ALLOWED_EMAIL_DOMAINS`; empty for all.
    pub allowed: Domains,
    /// `DENIED_EMAIL_DOMAINS`. Takes precedence over the allowed domains.
    pub denied: Domains,
    /// `SIGN_UP_GUARD`: whether addresses, names and domains are checked.
    pub guards: bool,
    /// `LINK_PROVIDERS`: the identity providers, by their names in the pool, that are trusted to
    /// verify addresses when an account is linked, and the domains for which each is trusted.
    pub link_providers: Providers,
    /// `LEGACY_SOURCE` and the variables of its sources: the old store, whose users are not all
    /// migrated yet.
    pub legacy: Option<LookupConfig>,
    /// `USERNAME_CASE_SENSITIVE`, as in the pool's `UsernameConfiguration`.
    pub case_sensitive: bool,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads, besides [`LookupConfig::VARS`].
    pub const VARS: &'static [Var] = &[
        usernames::vars::ALLOWED_EMAIL_DOMAINS,
        usernames::vars::DENIED_EMAIL_DOMAINS,
        usernames::vars::SIGN_UP_GUARD,
        Var::new(
            "LINK_PROVIDERS",
            "unset",
            "Identity providers, by their names in the pool, whose users join the account of \
             their verified address, and the domains for which each is authoritative: \
             `Google=gmail.com,example.com;Oidc=example.com`. See \
             [sign-up.md](sign-up.md#one-person-one-account).",
        ),
        vars::LOG_LEVEL,
        vars::METRICS_NAMESPACE,
        vars::STACK_NAME,
        LEGACY_SOURCE.with_default("unset: no old store"),
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            allowed: Domains::read(&mut env, "ALLOWED_EMAIL_DOMAINS"),
            denied: Domains::read(&mut env, "DENIED_EMAIL_DOMAINS"),
            guards: env.flag("SIGN_UP_GUARD", true),
            link_providers: providers(&mut env),
            legacy: LookupConfig::read(&mut env),
            case_sensitive: env.flag("USERNAME_CASE_SENSITIVE", false),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}

fn providers(env: &mut Env<'_>) -> Providers {
    const NAME: &str = "LINK_PROVIDERS";
    let list = env.optional(NAME).unwrap_or_default();
    Providers::parse(&list).unwrap_or_else(|problem| {
        env.problem(NAME, problem);
        Providers::default()
    })
}
