//! The configuration of the sources of users.

use auth::Secret;
use env_config::Env;

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
        /// `LEGACY_TABLE_KEY`: the partition key, and the sort key if the table has one.
        key: Vec<String>,
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

pub(super) fn secret(env: &mut Env<'_>) -> (Option<String>, Option<Secret>) {
    let secret_arn = env.optional("LEGACY_SECRET_ARN");
    let secret = env.optional("LEGACY_SECRET").map(Secret::new);
    if secret_arn.is_some() && secret.is_some() {
        env.problem("LEGACY_SECRET", "and LEGACY_SECRET_ARN are both set");
    }
    (secret_arn, secret)
}

pub(super) fn sources(env: &mut Env<'_>, has_secret: bool, required: bool) -> Vec<SourceConfig> {
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
    let key = env.list("LEGACY_TABLE_KEY");
    let key = key.unwrap_or_else(|| vec!["username".to_owned()]);
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
                key: key.clone(),
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
    if !(1..=2).contains(&key.len()) {
        env.problem("LEGACY_TABLE_KEY", "is not one attribute, or two");
    }
    if key.len() > 1 && index.is_none() {
        env.problem(
            "LEGACY_INDEX",
            "is not set, and LEGACY_TABLE_KEY has a sort key: a name alone finds no row",
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
