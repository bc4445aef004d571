//! The environment variables of pre-token-generation, described in `docs/configuration.md`.

use std::path::PathBuf;

use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};
use usernames::Providers;

use crate::mapping::Mapping;

/// The compiled-in mapping.
const SHIPPED: &str = include_str!("../claims.json");

/// The configuration.
pub struct Config {
    /// The mapping in the file that `CLAIMS_FILE` names, otherwise in `claims.json` beside the
    /// binary, otherwise the compiled-in `functions/pre-token-generation/claims.json`.
    pub mapping: Mapping,
    /// `LINK_PROVIDERS`: the identity providers that are trusted to verify addresses, and for which
    /// domains.
    pub providers: Providers,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        Var::new(
            "CLAIMS_FILE",
            "`claims.json` beside the binary, else the compiled-in \
             `functions/pre-token-generation/claims.json`",
            "The claims that tokens get. See [rules.md](rules.md#roles-and-tenants).",
        ),
        Var::new(
            "LINK_PROVIDERS",
            "unset",
            "As pre-sign-up's: the providers that are trusted for an address when a claim is \
             derived from it.",
        ),
        vars::LOG_LEVEL,
        vars::METRICS_NAMESPACE,
        vars::STACK_NAME,
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration and the mapping.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let file = env.optional("CLAIMS_FILE").map(PathBuf::from);
        let text = match file.or_else(beside_the_binary) {
            Some(file) => std::fs::read_to_string(file).map_err(|error| vec![error.to_string()]),
            None => Ok(SHIPPED.to_owned()),
        };
        let mapping = text.and_then(|text| Mapping::parse(&text));
        let mapping = mapping.unwrap_or_else(|problems| {
            for problem in problems {
                env.problem("CLAIMS_FILE", &format!("is invalid: {problem}"));
            }
            Mapping::default()
        });
        let list = env.optional("LINK_PROVIDERS").unwrap_or_default();
        let providers = Providers::parse(&list).unwrap_or_else(|problem| {
            env.problem("LINK_PROVIDERS", problem);
            Providers::default()
        });
        let config = Self {
            mapping,
            providers,
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}

fn beside_the_binary() -> Option<PathBuf> {
    let file = std::env::current_exe().ok()?.parent()?.join("claims.json");
    file.is_file().then_some(file)
}
