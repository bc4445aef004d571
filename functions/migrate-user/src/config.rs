//! Configuration of migrate-user from environment variables. `docs/configuration.md` has the table.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::Secret;
use auth::env::{ConfigError, Env};
use lambda::log::Level;

use crate::user::{Fields, is_standard_attribute};

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

/// The configuration of a source.
pub enum SourceConfig {
    /// An old user pool.
    Cognito {
        /// `LEGACY_USER_POOL_ID`.
        user_pool_id: String,
        /// `LEGACY_APP_CLIENT_ID`.
        app_client_id: String,
        /// `LEGACY_REGION`.
        region: Option<String>,
        /// `LEGACY_ROLE_ARN`.
        role_arn: Option<String>,
        /// `LEGACY_SPELLINGS_TABLE`.
        spellings_table: Option<String>,
        /// `LEGACY_CASE_SENSITIVE`.
        case_sensitive: Option<bool>,
    },
    /// A DynamoDB table.
    Dynamodb {
        /// `LEGACY_TABLE`.
        table: String,
        /// `LEGACY_TABLE_KEY`.
        key: String,
        /// `LEGACY_INDEX` and `LEGACY_INDEX_KEY`.
        index: Option<TableIndex>,
    },
    /// A PostgreSQL database; its connection string is the secret.
    Postgres {
        /// `LEGACY_QUERY`.
        query: String,
    },
    /// An HTTP sign-in endpoint.
    Http {
        /// `LEGACY_URL`.
        url: hyper::Uri,
    },
}

/// An index of the old store's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableIndex {
    /// The name of the index.
    pub name: String,
    /// Its partition key.
    pub key: String,
}

/// Which user is migrated if several users of the old store share a name, except for case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictRule {
    /// None of these users.
    Refuse,
    /// The only user who has verified the typed name, an e-mail address or a phone number.
    VerifiedWins,
    /// The user with the latest sign-in.
    LatestSignInWins,
}

/// Rules for migrated users.
pub struct Rules {
    /// `LEGACY_FIELDS`: the names of the fields that migrate-user reads.
    pub fields: Fields,
    /// `LEGACY_ATTRIBUTES`: attribute names of the old store, mapped to those of the pool.
    pub attributes: BTreeMap<String, String>,
    /// `LEGACY_GROUPS`: groups of the old store, mapped to those of the pool. Other groups are not assigned.
    pub groups: BTreeMap<String, String>,
    /// `REQUIRED_ATTRIBUTES`.
    pub required: Vec<String>,
    /// `USERNAME_CASE_SENSITIVE`, of the new pool.
    pub case_sensitive: bool,
    /// `USERNAME_IS_EMAIL`, of the new pool: Cognito requires that the e-mail address equals the name.
    pub username_is_email: bool,
    /// `ALLOW_WEAK_HASHES`.
    pub allow_weak_hashes: bool,
    /// `LEGACY_UNCONFIRMED` is `reset`: unconfirmed users are migrated and have to reset the password.
    pub takes_unconfirmed: bool,
    /// `LEGACY_CHALLENGES` is `reset`: so do users for whom the old pool requires a challenge.
    pub takes_challenged: bool,
    /// `PASSWORD_MIN_LENGTH`.
    pub min_length: u64,
    /// `PASSWORD_REQUIRES`.
    pub classes: Vec<CharacterClass>,
    /// `PASSWORD_CHANGE_ATTRIBUTE`: the custom attribute that is set if the new pool's policy would refuse the
    /// migrated password.
    pub change_attribute: Option<String>,
}

/// A character class that the new pool's policy may require.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CharacterClass {
    /// A to Z.
    Uppercase,
    /// a to z.
    Lowercase,
    /// 0 to 9.
    Numbers,
    /// Cognito's special characters.
    Symbols,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [&'static str] = &[
        "LEGACY_SOURCE",
        "LEGACY_SECRET_ARN",
        "LEGACY_SECRET",
        "LEGACY_USER_POOL_ID",
        "LEGACY_APP_CLIENT_ID",
        "LEGACY_REGION",
        "LEGACY_ROLE_ARN",
        "LEGACY_SPELLINGS_TABLE",
        "LEGACY_CASE_SENSITIVE",
        "LEGACY_TABLE",
        "LEGACY_TABLE_KEY",
        "LEGACY_INDEX",
        "LEGACY_INDEX_KEY",
        "LEGACY_QUERY",
        "LEGACY_URL",
        "LEGACY_FIELDS",
        "LEGACY_ATTRIBUTES",
        "LEGACY_GROUPS",
        "PENDING_GROUPS_TABLE",
        "LEGACY_UNCONFIRMED",
        "LEGACY_CHALLENGES",
        "REQUIRED_ATTRIBUTES",
        "USERNAME_CASE_SENSITIVE",
        "USERNAME_IS_EMAIL",
        "CONFLICT_RULE",
        "ALLOW_WEAK_HASHES",
        "PASSWORD_MIN_LENGTH",
        "PASSWORD_REQUIRES",
        "PASSWORD_CHANGE_ATTRIBUTE",
        "ATTEMPT_TABLE",
        "FAILURES_PER_USER",
        "FAILURES_IN_ALL",
        "REFUSAL_STEP_MS",
        "LOG_LEVEL",
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
        let rules = rules(&mut env);
        if pending_groups_table.is_none() && !rules.groups.is_empty() {
            env.problem("PENDING_GROUPS_TABLE", "is not set, and LEGACY_GROUPS is");
        }
        let sources = sources(&mut env, has_secret, true);
        let conflict_rule = conflict_rule(&mut env);
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
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}

/// The part of the configuration that pre-sign-up needs to look up names in the old store.
pub struct LookupConfig {
    pub(crate) sources: Vec<SourceConfig>,
    pub(crate) secret_arn: Option<String>,
    pub(crate) secret: Option<Secret>,
    pub(crate) rules: Rules,
}

impl LookupConfig {
    /// The variables that [`LookupConfig::read`] reads.
    pub const VARS: &'static [&'static str] = &[
        "LEGACY_SOURCE",
        "LEGACY_SECRET_ARN",
        "LEGACY_SECRET",
        "LEGACY_USER_POOL_ID",
        "LEGACY_APP_CLIENT_ID",
        "LEGACY_REGION",
        "LEGACY_ROLE_ARN",
        "LEGACY_SPELLINGS_TABLE",
        "LEGACY_CASE_SENSITIVE",
        "LEGACY_TABLE",
        "LEGACY_TABLE_KEY",
        "LEGACY_INDEX",
        "LEGACY_INDEX_KEY",
        "LEGACY_QUERY",
        "LEGACY_URL",
        "LEGACY_FIELDS",
        "USERNAME_CASE_SENSITIVE",
    ];

    /// Reads the configuration; `None` without a `LEGACY_SOURCE`, when no users are migrated.
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let (secret_arn, secret) = secret(env);
        let has_secret = secret_arn.is_some() || secret.is_some();
        let is_set = env.optional("LEGACY_SOURCE").is_some();
        let fields = fields(env);
        let case_sensitive = env.flag("USERNAME_CASE_SENSITIVE", false);
        let config = Self {
            sources: sources(env, has_secret, false),
            secret_arn,
            secret,
            rules: Rules {
                fields,
                attributes: BTreeMap::new(),
                groups: BTreeMap::new(),
                required: Vec::new(),
                case_sensitive,
                username_is_email: false,
                allow_weak_hashes: false,
                takes_unconfirmed: false,
                takes_challenged: false,
                min_length: 0,
                classes: Vec::new(),
                change_attribute: None,
            },
        };
        is_set.then_some(config)
    }
}

fn secret(env: &mut Env<'_>) -> (Option<String>, Option<Secret>) {
    let secret_arn = env.optional("LEGACY_SECRET_ARN");
    let secret = env.optional("LEGACY_SECRET").map(Secret::new);
    if secret_arn.is_some() && secret.is_some() {
        env.problem("LEGACY_SECRET", "and LEGACY_SECRET_ARN are both set");
    }
    (secret_arn, secret)
}

fn sources(env: &mut Env<'_>, has_secret: bool, required: bool) -> Vec<SourceConfig> {
    const NAME: &str = "LEGACY_SOURCE";
    // Read in any case: the variables of all sources are part of the configuration.
    let user_pool_id = env.optional("LEGACY_USER_POOL_ID");
    let app_client_id = env.optional("LEGACY_APP_CLIENT_ID");
    let region = env.optional("LEGACY_REGION");
    let role_arn = env.optional("LEGACY_ROLE_ARN");
    let spellings_table = env.optional("LEGACY_SPELLINGS_TABLE");
    let case_sensitive = env
        .optional("LEGACY_CASE_SENSITIVE")
        .map(|_| env.flag("LEGACY_CASE_SENSITIVE", true));
    let table = env.optional("LEGACY_TABLE");
    let key = env.optional("LEGACY_TABLE_KEY");
    let index = env.optional("LEGACY_INDEX");
    let index_key = env.optional("LEGACY_INDEX_KEY");
    let query = env.optional("LEGACY_QUERY");
    let url = env.optional("LEGACY_URL");
    let names = env.list(NAME).unwrap_or_default();
    if names.is_empty() && required {
        env.problem(NAME, "is not set");
    }
    let mut needed = |variable: &str, value: &Option<String>| {
        value.clone().unwrap_or_else(|| {
            env.problem(variable, "is not set");
            String::new()
        })
    };
    let mut sources = Vec::new();
    for name in &names {
        sources.push(match name.as_str() {
            "cognito" => SourceConfig::Cognito {
                user_pool_id: needed("LEGACY_USER_POOL_ID", &user_pool_id),
                app_client_id: needed("LEGACY_APP_CLIENT_ID", &app_client_id),
                region: region.clone(),
                role_arn: role_arn.clone(),
                spellings_table: spellings_table.clone(),
                case_sensitive,
            },
            "dynamodb" => SourceConfig::Dynamodb {
                table: needed("LEGACY_TABLE", &table),
                key: key.clone().unwrap_or_else(|| "username".to_owned()),
                index: index.clone().map(|index| {
                    let key = index_key.clone();
                    TableIndex {
                        name: index,
                        key: key.unwrap_or_else(|| "username_lower".to_owned()),
                    }
                }),
            },
            "postgres" => {
                if !has_secret {
                    needed("LEGACY_SECRET_ARN", &None);
                }
                let query = needed("LEGACY_QUERY", &query);
                SourceConfig::Postgres { query }
            }
            "http" => {
                if !has_secret {
                    needed("LEGACY_SECRET_ARN", &None);
                }
                let url = needed("LEGACY_URL", &url);
                SourceConfig::Http {
                    url: url.parse().unwrap_or_default(),
                }
            }
            _ => continue,
        });
    }
    if sources.len() != names.len() {
        env.problem(
            NAME,
            "names another source than cognito, dynamodb, postgres, http",
        );
    }
    let is_pool = |source: &SourceConfig| matches!(source, SourceConfig::Cognito { .. });
    if case_sensitive == Some(true) && spellings_table.is_none() && sources.iter().any(is_pool) {
        env.problem(
            "LEGACY_SPELLINGS_TABLE",
            "is not set, and LEGACY_CASE_SENSITIVE is: unusual spellings of a name would not be found",
        );
    }
    if query.is_some_and(|query| !query.contains("$1") || query.contains(';')) {
        env.problem("LEGACY_QUERY", "is not one query with `$1` for the name");
    }
    if url.is_some_and(|url| !is_private(&url)) {
        env.problem("LEGACY_URL", "is not an https:// address");
    }
    sources
}

/// Whether the connection is private: TLS, or the local machine.
fn is_private(url: &str) -> bool {
    let Ok(uri) = url.parse::<hyper::Uri>() else {
        return false;
    };
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => matches!(host, "127.0.0.1" | "localhost"),
        _ => false,
    }
}

fn conflict_rule(env: &mut Env<'_>) -> ConflictRule {
    match env.optional("CONFLICT_RULE").as_deref() {
        None | Some("refuse") => ConflictRule::Refuse,
        Some("verified-wins") => ConflictRule::VerifiedWins,
        Some("latest-sign-in-wins") => ConflictRule::LatestSignInWins,
        Some(_) => {
            let problem = "is not one of `refuse`, `verified-wins`, `latest-sign-in-wins`";
            env.problem("CONFLICT_RULE", problem);
            ConflictRule::Refuse
        }
    }
}

fn fields(env: &mut Env<'_>) -> Fields {
    let fields = map(env, "LEGACY_FIELDS");
    Fields::renamed(&fields).unwrap_or_else(|| {
        env.problem("LEGACY_FIELDS", "names an unknown field");
        Fields::default()
    })
}

pub(crate) fn rules(env: &mut Env<'_>) -> Rules {
    let fields = fields(env);
    let attributes = map(env, "LEGACY_ATTRIBUTES");
    let may_be_set = |name: &String| is_standard_attribute(name) || name.starts_with("custom:");
    if !attributes.values().all(may_be_set) {
        env.problem(
            "LEGACY_ATTRIBUTES",
            "maps to a name that is neither a standard attribute nor a `custom:` attribute",
        );
    }
    let groups = map(env, "LEGACY_GROUPS");
    let required = env.list("REQUIRED_ATTRIBUTES");
    let change_attribute = env.optional("PASSWORD_CHANGE_ATTRIBUTE");
    let is_custom = |name: &String| name.len() > 7 && name.starts_with("custom:");
    if change_attribute
        .as_ref()
        .is_some_and(|name| !is_custom(name))
    {
        env.problem("PASSWORD_CHANGE_ATTRIBUTE", "is not a `custom:` attribute");
    }
    Rules {
        fields,
        attributes,
        groups,
        required: required.unwrap_or_else(|| vec!["email".to_owned()]),
        case_sensitive: env.flag("USERNAME_CASE_SENSITIVE", false),
        username_is_email: env.flag("USERNAME_IS_EMAIL", false),
        allow_weak_hashes: env.flag("ALLOW_WEAK_HASHES", false),
        takes_unconfirmed: is_reset(env, "LEGACY_UNCONFIRMED"),
        takes_challenged: is_reset(env, "LEGACY_CHALLENGES"),
        min_length: env.number("PASSWORD_MIN_LENGTH", 8, 6..=99),
        classes: classes(env),
        change_attribute,
    }
}

fn map(env: &mut Env<'_>, name: &str) -> BTreeMap<String, String> {
    let Some(text) = env.optional(name) else {
        return BTreeMap::new();
    };
    serde_json::from_str(&text).unwrap_or_else(|_| {
        env.problem(name, "is not a JSON object of strings");
        BTreeMap::new()
    })
}

fn is_reset(env: &mut Env<'_>, name: &str) -> bool {
    match env.optional(name).as_deref() {
        None | Some("refuse") => false,
        Some("reset") => true,
        Some(_) => {
            env.problem(name, "is neither `refuse` nor `reset`");
            false
        }
    }
}

fn classes(env: &mut Env<'_>) -> Vec<CharacterClass> {
    const NAME: &str = "PASSWORD_REQUIRES";
    let names = env.list(NAME).unwrap_or_default();
    let classes: Vec<_> = names
        .iter()
        .filter_map(|name| match name.as_str() {
            "uppercase" => Some(CharacterClass::Uppercase),
            "lowercase" => Some(CharacterClass::Lowercase),
            "numbers" => Some(CharacterClass::Numbers),
            "symbols" => Some(CharacterClass::Symbols),
            _ => None,
        })
        .collect();
    if classes.len() != names.len() {
        env.problem(
            NAME,
            "is not a list of uppercase, lowercase, numbers, symbols",
        );
    }
    classes
}
