//! What it reads from its environment. `docs/configuration.md` has the table.

use auth::env::{ConfigError, Env};
use lambda::log::Level;

use crate::address::Domains;

/// The configuration.
pub struct Config {
    /// `ALLOWED_EMAIL_DOMAINS`; empty for all.
    pub allowed: Domains,
    /// `DENIED_EMAIL_DOMAINS`. It wins.
    pub denied: Domains,
    /// `LINK_PROVIDERS`: the identity providers, by their names in the pool, whose word on an address
    /// is taken when an account of that address is looked for.
    pub link_providers: Vec<String>,
    /// `USERNAME_CASE_SENSITIVE`, as the pool's `UsernameConfiguration`.
    pub case_sensitive: bool,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [&'static str] = &[
        "ALLOWED_EMAIL_DOMAINS",
        "DENIED_EMAIL_DOMAINS",
        "LINK_PROVIDERS",
        "USERNAME_CASE_SENSITIVE",
        "LOG_LEVEL",
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            allowed: domains(&mut env, "ALLOWED_EMAIL_DOMAINS"),
            denied: domains(&mut env, "DENIED_EMAIL_DOMAINS"),
            link_providers: env.list("LINK_PROVIDERS").unwrap_or_default(),
            case_sensitive: env.flag("USERNAME_CASE_SENSITIVE", false),
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}

fn domains(env: &mut Env<'_>, name: &str) -> Domains {
    let list = env.list(name).unwrap_or_default();
    Domains::parse(&list).unwrap_or_else(|_| {
        env.problem(
            name,
            "holds what is neither like example.com nor like *.example.com",
        );
        Domains::default()
    })
}
