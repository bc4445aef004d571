//! What the authorizer reads from its environment. `docs/configuration.md` has the table.

use auth::env::{ConfigError, Env};
use auth::{Issuer, TokenRules, TokenUse};
use auth_jwks::KeyLocation;

use crate::context::ContextClaim;

/// A configuration that holds. There is no other way to get one.
pub struct Config {
    /// The issuers and where their keys are.
    pub issuers: Vec<(Issuer, KeyLocation)>,
    /// What a token must be.
    pub rules: TokenRules,
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `CONTEXT_CLAIMS`: what the backend gets to see.
    pub context_claims: Vec<ContextClaim>,
    /// `LOG_LEVEL`: which decisions are logged.
    pub log_level: lambda::log::Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads, besides [`auth_jwks::config::VARS`].
    pub const VARS: &'static [&'static str] = &[
        "TOKEN_USE",
        "RESOURCE_AUDIENCE",
        "CLOCK_LEEWAY_SECONDS",
        "REQUIRE_SESSION",
        "REVOCATION_TABLE",
        "CONTEXT_CLAIMS",
        "LOG_LEVEL",
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            issuers: auth_jwks::config::issuers(&mut env),
            rules: rules(&mut env),
            revocation_table: env.required("REVOCATION_TABLE"),
            context_claims: context_claims(&mut env),
            log_level: lambda::log::Level::read(&mut env),
        };
        env.finish(config)
    }
}

fn rules(env: &mut Env<'_>) -> TokenRules {
    let token_uses = match env.optional("TOKEN_USE").as_deref() {
        None | Some("access") => vec![TokenUse::Access],
        Some("id") => vec![TokenUse::Id],
        Some("any") => vec![TokenUse::Access, TokenUse::Id],
        Some(_) => {
            env.problem("TOKEN_USE", "is none of `access`, `id`, `any`");
            Vec::new()
        }
    };
    TokenRules {
        token_uses,
        resource_audience: env.optional("RESOURCE_AUDIENCE"),
        leeway_seconds: env.number("CLOCK_LEEWAY_SECONDS", 0, 0..=60),
        require_session: env.flag("REQUIRE_SESSION", true),
        expired_for_seconds: 0,
    }
}

fn context_claims(env: &mut Env<'_>) -> Vec<ContextClaim> {
    let Some(names) = env.list("CONTEXT_CLAIMS") else {
        return ContextClaim::ALL.to_vec();
    };
    names
        .iter()
        .filter_map(|name| {
            let known = ContextClaim::ALL
                .iter()
                .find(|claim| claim.as_str() == name);
            if known.is_none() {
                env.problem("CONTEXT_CLAIMS", "names a claim that is not known");
            }
            known.copied()
        })
        .collect()
}
