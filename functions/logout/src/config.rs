//! What logout reads from its environment. `docs/configuration.md` has the table.

use auth::Issuer;
use auth::env::{ConfigError, Env};
use auth_jwks::KeyLocation;
use lambda::log::Level;

/// Cognito's bounds on a refresh token's life: 60 minutes and 10 years.
const REFRESH_TOKEN_TTL: std::ops::RangeInclusive<u64> = 3_600..=315_360_000;
const THIRTY_DAYS: u64 = 30 * 24 * 60 * 60;

/// A configuration that holds. There is no other way to get one.
pub struct Config {
    /// The issuers and where their keys are.
    pub issuers: Vec<(Issuer, KeyLocation)>,
    /// `USER_POOL_ID`.
    pub user_pool_id: String,
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `REFRESH_TOKEN_TTL_SECONDS`: how long a session can bring new tokens.
    pub refresh_token_ttl_seconds: u64,
    /// `CLOCK_LEEWAY_SECONDS`.
    pub leeway_seconds: u64,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads, besides [`auth_jwks::config::VARS`].
    pub const VARS: &'static [&'static str] = &[
        "REVOCATION_TABLE",
        "REFRESH_TOKEN_TTL_SECONDS",
        "CLOCK_LEEWAY_SECONDS",
        "LOG_LEVEL",
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let issuers = auth_jwks::config::issuers(&mut env);
        let config = Self {
            user_pool_id: env.optional("USER_POOL_ID").unwrap_or_default(),
            issuers,
            revocation_table: env.required("REVOCATION_TABLE"),
            refresh_token_ttl_seconds: env.number(
                "REFRESH_TOKEN_TTL_SECONDS",
                THIRTY_DAYS,
                REFRESH_TOKEN_TTL,
            ),
            leeway_seconds: env.number("CLOCK_LEEWAY_SECONDS", 0, 0..=60),
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}
