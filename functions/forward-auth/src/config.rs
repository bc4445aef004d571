//! The environment variables, described in `docs/configuration.md`.

mod credentials;
mod phantom;
mod requests;
mod variables;

use std::time::Duration;

use api_gateway::routes::Route;
use auth::{Issuer, MAX_TOKEN_BYTES, TokenRules};
use auth_cedar::CedarPolicies;
use auth_jwks::KeyLocation;
use auth_tower::{Challenges, Places};
use env_config::{BrowserSessionSettings, ConfigError, Env, Var};
use http::HeaderName;
use runtime::LogRules;

use crate::dialect::{ClientAddress, Dialect};
use crate::identity::Identity;
use crate::phantom::PhantomSettings;

/// A valid configuration: [`Config::from_lookup`] rejects all others.
pub struct Config {
    /// The issuers and the locations of their keys.
    pub issuers: Vec<(Issuer, KeyLocation)>,
    /// The requirements for tokens.
    pub token_rules: TokenRules,
    /// `MAX_TOKEN_BYTES`.
    pub max_token_bytes: usize,
    /// `REVOCATION_STORE` and `REVOCATION_TABLE`.
    pub store: StoreChoice,
    /// `API_KEY_TABLE`; without it, API keys are not accepted.
    pub api_key_table: Option<String>,
    /// Where requests have their credentials.
    pub places: Places,
    /// The policies of `POLICIES_DIR`.
    pub policies: CedarPolicies,
    /// The routes of `ROUTES_FILE`.
    pub routes: Vec<Route>,
    /// The table and the keys of browser sessions, if `TOKEN_SOURCES` names them.
    pub sessions: Option<BrowserSessionSettings>,
    /// Phantom tokens, if `PHANTOM_ISSUER` is set.
    pub phantom: Option<PhantomSettings>,
    /// All other settings.
    pub settings: Settings,
}

/// Settings for reading requests and writing responses.
pub struct Settings {
    /// `PROXY_DIALECT`.
    pub dialect: Dialect,
    /// `CLIENT_ADDRESS_HEADER` and `TRUSTED_HOPS`.
    pub client_address: Option<ClientAddress>,
    /// `CREDENTIAL_HEADER`: the header that is read in place of `Authorization`.
    pub credential_header: Option<HeaderName>,
    /// `IDENTITY_HEADERS`.
    pub identity: Vec<Identity>,
    /// `RESOURCE_METADATA`.
    pub challenges: Challenges,
    /// `DECISION_CACHE_SECONDS`.
    pub cache: Duration,
    /// Which decisions are logged.
    pub log: LogRules,
}

/// Where revocations are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// In this DynamoDB table.
    DynamoDb(String),
    /// In this process, for as long as a refresh token lives, in seconds.
    Memory(u64),
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads, besides [`auth_jwks::config::VARS`].
    pub const VARS: &'static [Var] = variables::VARS;

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let mut issuers = auth_jwks::config::issuers(&mut env);
        auth_jwks::config::add_trusted(&mut env, &mut issuers);
        let pool = env.optional("USER_POOL_ID").unwrap_or_default();
        let token_rules = auth_jwks::config::token_rules(&mut env);
        let max_token_bytes = env.number("MAX_TOKEN_BYTES", 8_192, 1_024..=10_240);
        let store = store(&mut env);
        let api_key_table = env.optional("API_KEY_TABLE");
        if api_key_table.is_some() && matches!(store, StoreChoice::Memory(_)) {
            env.problem(
                "API_KEY_TABLE",
                "cannot be set with REVOCATION_STORE=memory",
            );
        }
        let api_key = credentials::api_key_place(&mut env).filter(|_| api_key_table.is_some());
        let sessions = BrowserSessionSettings::read(&mut env);
        let places = credentials::places(&mut env, api_key, sessions.as_ref());
        if places.session.is_some() && matches!(store, StoreChoice::Memory(_)) {
            // Other functions revoke browser sessions, in a table that this process would not read.
            env.problem(
                "TOKEN_SOURCES",
                "cannot name sessions with REVOCATION_STORE=memory",
            );
        }
        let phantom = phantom::settings(&mut env, &issuers);
        let routes = requests::routes(&mut env);
        let dialect = requests::dialect(&mut env);
        let settings = Settings {
            dialect: dialect.unwrap_or(Dialect::Nginx),
            client_address: requests::client_address(&mut env),
            credential_header: credentials::credential_header(&mut env),
            identity: requests::identity(&mut env),
            challenges: requests::challenges(&mut env)?,
            cache: Duration::from_secs(env.number("DECISION_CACHE_SECONDS", 0, 0..=60)),
            log: LogRules::read(&mut env),
        };
        let Some(policies) = requests::policies(&mut env, &pool) else {
            return Err(env.into_error());
        };
        if policies.uses_address() && settings.client_address.is_none() {
            // Without an address a rule that forbids one would not apply.
            env.problem(
                "CLIENT_ADDRESS_HEADER",
                "must be set: a rule uses `source_ip`",
            );
        }
        env.finish(Self {
            issuers,
            token_rules,
            max_token_bytes: usize::try_from(max_token_bytes).unwrap_or(MAX_TOKEN_BYTES),
            store,
            api_key_table,
            sessions: sessions.filter(|_| places.session.is_some()),
            places,
            policies,
            routes,
            phantom,
            settings,
        })
    }
}

fn store(env: &mut Env<'_>) -> StoreChoice {
    const NAME: &str = "REVOCATION_STORE";
    let ttl = env.refresh_token_ttl_seconds();
    match env.optional(NAME).as_deref() {
        None | Some("dynamodb") => StoreChoice::DynamoDb(env.required("REVOCATION_TABLE")),
        Some("memory") => {
            if env.optional("REVOCATION_TABLE").is_some() {
                env.problem(
                    "REVOCATION_TABLE",
                    "cannot be set with REVOCATION_STORE=memory",
                );
            }
            StoreChoice::Memory(ttl)
        }
        Some(_) => {
            env.problem(NAME, "is neither `dynamodb` nor `memory`");
            StoreChoice::Memory(ttl)
        }
    }
}

#[cfg(test)]
mod tests;
