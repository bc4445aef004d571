//! What it reads from its environment. `docs/configuration.md` has the table.

use addresses::Domains;
use auth::Providers;
use auth::env::{ConfigError, Env};
use lambda::log::Level;
use migrate_user::LookupConfig;

/// The configuration.
pub struct Config {
    /// `ALLOWED_EMAIL_DOMAINS`; empty for all.
    pub allowed: Domains,
    /// `DENIED_EMAIL_DOMAINS`. It wins.
    pub denied: Domains,
    /// `SIGN_UP_GUARD`: whether addresses and names are looked at, and domains count.
    pub guards: bool,
    /// `LINK_PROVIDERS`: the identity providers, by their names in the pool, whose word on an address
    /// is taken when an account of that address is looked for, and the domains for which it is.
    pub link_providers: Providers,
    /// `LEGACY_SOURCE` and the variables of its sources: the old store whose users are still to be
    /// moved.
    pub legacy: Option<LookupConfig>,
    /// `USERNAME_CASE_SENSITIVE`, as the pool's `UsernameConfiguration`.
    pub case_sensitive: bool,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads, beside [`LookupConfig::VARS`].
    pub const VARS: &'static [&'static str] = &[
        "ALLOWED_EMAIL_DOMAINS",
        "DENIED_EMAIL_DOMAINS",
        "SIGN_UP_GUARD",
        "LINK_PROVIDERS",
        "LOG_LEVEL",
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            allowed: Domains::read(&mut env, "ALLOWED_EMAIL_DOMAINS"),
            denied: Domains::read(&mut env, "DENIED_EMAIL_DOMAINS"),
            guards: env.flag("SIGN_UP_GUARD", true),
            link_providers: providers(&mut env),
            legacy: LookupConfig::read(&mut env),
            case_sensitive: env.flag("USERNAME_CASE_SENSITIVE", false),
            log_level: Level::read(&mut env),
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
