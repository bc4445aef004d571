//! The configuration that pre-sign-up shares.

use std::collections::BTreeMap;

use auth::Secret;
use env_config::{Env, Var, vars};

use super::sources::{SourceConfig, secret, sources};
use crate::rules::{Fields, Rules};

/// The part of the configuration that pre-sign-up needs to look up names in the old store.
pub struct LookupConfig {
    pub(crate) sources: Vec<SourceConfig>,
    pub(crate) secret_arn: Option<String>,
    pub(crate) secret: Option<Secret>,
    pub(crate) rules: Rules,
}

impl LookupConfig {
    /// The variables that [`LookupConfig::read`] reads, besides [`LEGACY_SOURCE`](super::LEGACY_SOURCE).
    pub const VARS: &'static [Var] = &[
        Var::new(
            "LEGACY_SECRET_ARN",
            "unset",
            "The source's secret in Secrets Manager: PostgreSQL's address, the endpoint's \
             signing key, or the old app client's secret.",
        ),
        Var::new(
            "LEGACY_SECRET",
            "unset",
            "The secret itself, for a source on this machine. Not together with \
             `LEGACY_SECRET_ARN`.",
        ),
        Var::new(
            "LEGACY_USER_POOL_ID",
            "required by `cognito`",
            "The old pool.",
        ),
        Var::new(
            "LEGACY_APP_CLIENT_ID",
            "required by `cognito`",
            "An app client of the old pool that allows `ADMIN_USER_PASSWORD_AUTH`.",
        ),
        Var::new("LEGACY_REGION", "this one", "The old pool's region."),
        Var::new(
            "LEGACY_ROLE_ARN",
            "unset",
            "The role to assume, for a pool of another account.",
        ),
        Var::new(
            "LEGACY_SPELLINGS_TABLE",
            "unset",
            "A table with the key `id` (the name in lower case) and the string set \
             `spellings`, as `gatehouse migrate check` writes it. A case-sensitive user pool \
             cannot be queried for all spellings of a name; without the table the usual ones \
             are tried.",
        ),
        Var::new(
            "LEGACY_CASE_SENSITIVE",
            "asked for by `DescribeUserPool`, if the function may",
            "Whether the old pool is case-sensitive. `true` requires `LEGACY_SPELLINGS_TABLE`: \
             without it the function does not start, because it could miss a second user of \
             the same name. `false`: no two names differ by case alone. Unknown: users with a \
             capital letter in their name are not migrated.",
        ),
        Var::new("LEGACY_TABLE", "required by `dynamodb`", "The old table."),
        Var::new(
            "LEGACY_TABLE_KEY",
            "`username`",
            "The old table's key; the partition key and the sort key, separated by a comma, if it has both.",
        ),
        Var::new(
            "LEGACY_INDEX",
            "unset",
            "An index by the name in lower case, to find every spelling. Users are read from the \
             table itself, so any projection will do.",
        ),
        Var::new("LEGACY_INDEX_KEY", "`username_lower`", "The index's key."),
        Var::new(
            "LEGACY_QUERY",
            "required by `postgres`",
            "One query with `$1` for the name in lower case, all spellings among its rows.",
        ),
        Var::new(
            "LEGACY_URL",
            "required by `http`",
            "The old endpoint, `https://`.",
        ),
        Var::new(
            "LEGACY_FIELDS",
            "the names themselves",
            "Other names for the fields with a meaning, a JSON object: `username`, \
             `password_hash`, `enabled`, `active`, `disabled`, `locked`, `blocked`, \
             `suspended`, `banned`, `deleted`, `status`, `confirmed`, \
             `must_reset`, `last_sign_in`, `password_matches`, `groups`.",
        ),
        vars::USERNAME_CASE_SENSITIVE,
    ];

    /// Reads the configuration; `None` without a `LEGACY_SOURCE`, when no users are migrated.
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let (secret_arn, secret) = secret(env);
        let has_secret = secret_arn.is_some() || secret.is_some();
        let is_set = env.optional("LEGACY_SOURCE").is_some();
        let fields = Fields::read(env);
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
