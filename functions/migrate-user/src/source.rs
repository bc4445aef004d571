//! The sources of users: one trait and four implementations, queried in order.

mod cognito;
mod dynamodb;
mod http;
mod postgres;

use auth::{Cause, Dependency, Secret, Unavailable};
use auth_cognito::LegacyPoolError;
use auth_secrets::SecretError;
use aws_client::SdkConfig;
use runtime::log::{self, Level};

use crate::config::SourceConfig;
use crate::rules::Rules;
use crate::user::LegacyUser;

pub(crate) use cognito::{Cognito, OldPool};
pub(crate) use dynamodb::Dynamodb;
pub(crate) use http::Http;
pub(crate) use postgres::Postgres;

/// The maximum number of rows that are read for one name.
const MAX_USERS: usize = 32;

/// Why a source did not return users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceError {
    /// The source did not answer, failed, or is busy: no calls are made for a while.
    Down(Cause),
    /// The answer is unusable: the source's set-up, or this user's record, is invalid.
    Unusable(Cause),
    /// The source refuses this user.
    Refused,
    /// There are more users of that name than are read.
    TooMany,
}

impl From<LegacyPoolError> for SourceError {
    fn from(error: LegacyPoolError) -> Self {
        match error {
            LegacyPoolError::Down(cause) => Self::Down(cause),
            LegacyPoolError::Misconfigured(cause) => Self::Unusable(cause),
            LegacyPoolError::Refused => Self::Refused,
        }
    }
}

impl SourceError {
    /// Why the source failed; `None` if it answered.
    pub(crate) fn cause(self) -> Option<Cause> {
        match self {
            Self::Down(cause) | Self::Unusable(cause) => Some(cause),
            Self::Refused | Self::TooMany => None,
        }
    }

    /// A record that cannot be read.
    pub(crate) const UNREADABLE: Self = Self::Unusable(Cause::Invalid);
}

/// An old store of users.
pub(crate) trait LegacySource {
    /// Finds all users whose name matches the typed name, in every spelling. The password is for a source that
    /// takes both in one call; `None` for a forgotten one.
    async fn find(
        &self,
        typed: &str,
        password: Option<&Secret>,
        rules: &Rules,
    ) -> Result<Vec<LegacyUser>, SourceError>;

    /// Checks a user's password at the source, if only the source can do so
    /// ([`crate::user::Credential::AtSource`]). The default is that the password is wrong.
    async fn check(&self, _username: &str, _password: &Secret) -> Result<Answer, SourceError> {
        Ok(Answer::Wrong)
    }

    /// A user's groups. By default those of the record.
    async fn groups(&self, user: &LegacyUser) -> Result<Vec<String>, SourceError> {
        Ok(user.groups.clone())
    }
}

/// The result of checking a password at the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The password is right.
    Right,
    /// The password is wrong.
    Wrong,
    /// The password may be right, but the source requires a challenge, which the migration cannot answer.
    Challenged,
    /// The password may be right, but the user is unconfirmed.
    Unconfirmed,
    /// The source requires a password reset.
    ResetRequired,
    /// The source does not let this user sign in.
    Refused,
}

/// A configured source.
pub(crate) enum Source {
    Cognito(Cognito),
    Dynamodb(Dynamodb),
    Postgres(Box<Postgres>),
    Http(Box<Http>),
}

impl Source {
    /// Reads the sources' secret and creates their clients.
    ///
    /// # Errors
    /// [`Unavailable`] if the secret is invalid, or cannot be read.
    pub(crate) async fn connect_all(
        configs: Vec<SourceConfig>,
        secret_arn: Option<String>,
        secret: Option<Secret>,
        sdk: &SdkConfig,
    ) -> Result<Vec<Self>, Unavailable> {
        let secret = match &secret_arn {
            None => secret,
            Some(arn) => {
                let secret = auth_secrets::read(sdk, arn).await;
                let legacy = |SecretError(cause)| Dependency::Legacy.unavailable(cause);
                Some(secret.map_err(legacy)?)
            }
        };
        let mut sources = Vec::new();
        for config in configs {
            sources.push(Self::connect(config, secret.as_ref(), sdk).await?);
        }
        Ok(sources)
    }

    async fn connect(
        config: SourceConfig,
        secret: Option<&Secret>,
        sdk: &SdkConfig,
    ) -> Result<Self, Unavailable> {
        // The configuration has no secret.
        let missing = Dependency::Legacy.unavailable(Cause::NotFound);
        let secret = || secret.cloned().ok_or(missing);
        Ok(match config {
            SourceConfig::Cognito {
                user_pool_id,
                app_client_id,
                region,
                role_arn,
                spellings_table,
                case_sensitive,
            } => {
                let pool = OldPool {
                    user_pool_id,
                    app_client_id,
                    app_client_secret: secret().ok(),
                    region,
                    role_arn,
                };
                let source = Cognito::connect(sdk, pool).await;
                Self::Cognito(source.with_spellings(sdk, spellings_table, case_sensitive))
            }
            SourceConfig::Dynamodb { table, key, index } => {
                Self::Dynamodb(Dynamodb::new(sdk, table, key, index))
            }
            SourceConfig::Postgres { query } => {
                Self::Postgres(Box::new(Postgres::new(&secret()?, &query)?))
            }
            SourceConfig::Http { url } => Self::Http(Box::new(Http::new(url, secret()?)?)),
        })
    }
}

/// Refuses an old pool that is case-sensitive, without a table of spellings.
///
/// # Errors
/// [`Unavailable`] for such a pool.
pub(crate) async fn refuse_hidden_spellings(sources: &[Source]) -> Result<(), Unavailable> {
    for source in sources {
        if let Source::Cognito(pool) = source
            && pool.hides_spellings().await
        {
            let problem = "the old pool is case-sensitive: set LEGACY_SPELLINGS_TABLE, or \
                LEGACY_CASE_SENSITIVE to `false` if no two of its names differ by case alone";
            log::line(Level::Error, problem, []);
            return Err(Dependency::Legacy.unavailable(Cause::Other));
        }
    }
    Ok(())
}

impl LegacySource for Source {
    async fn find(
        &self,
        typed: &str,
        password: Option<&Secret>,
        rules: &Rules,
    ) -> Result<Vec<LegacyUser>, SourceError> {
        match self {
            Self::Cognito(source) => source.find(typed, password, rules).await,
            Self::Dynamodb(source) => source.find(typed, password, rules).await,
            Self::Postgres(source) => source.find(typed, password, rules).await,
            Self::Http(source) => source.find(typed, password, rules).await,
        }
    }

    async fn check(&self, username: &str, password: &Secret) -> Result<Answer, SourceError> {
        match self {
            Self::Cognito(source) => source.check(username, password).await,
            Self::Dynamodb(source) => source.check(username, password).await,
            Self::Postgres(source) => source.check(username, password).await,
            Self::Http(source) => source.check(username, password).await,
        }
    }

    async fn groups(&self, user: &LegacyUser) -> Result<Vec<String>, SourceError> {
        match self {
            Self::Cognito(source) => source.groups(user).await,
            Self::Dynamodb(source) => source.groups(user).await,
            Self::Postgres(source) => source.groups(user).await,
            Self::Http(source) => source.groups(user).await,
        }
    }
}
