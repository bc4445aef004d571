//! Where users come from: one trait, four sources, asked in order.

mod cognito;
mod dynamodb;
mod http;
mod postgres;

use auth::{Secret, Unavailable};
use auth_cognito::LegacyTrouble;
use aws_config::SdkConfig;

use crate::config::{Rules, SourceConfig};
use crate::user::LegacyUser;

pub(crate) use cognito::Cognito;
pub(crate) use dynamodb::Dynamodb;
pub(crate) use http::Http;
pub(crate) use postgres::Postgres;

/// Rows of one name that are looked at.
const MAX_USERS: usize = 32;

/// Why a source has not said who is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceError {
    /// It did not answer, failed, or is busy: it is left alone for a while.
    Down,
    /// It answered, and the answer can't be used: its set-up, or this user's record, is broken.
    Unusable,
    /// It refuses this user.
    Refused,
    /// There are more users of that name than are looked at.
    TooMany,
}

impl From<LegacyTrouble> for SourceError {
    fn from(trouble: LegacyTrouble) -> Self {
        match trouble {
            LegacyTrouble::Down => Self::Down,
            LegacyTrouble::Misconfigured => Self::Unusable,
            LegacyTrouble::Refused => Self::Refused,
        }
    }
}

/// An old store of users.
pub(crate) trait LegacySource {
    /// Everybody who may be meant by what was typed, in every spelling. The password is for a source
    /// that takes both at once; `None` for a forgotten one.
    async fn find(
        &self,
        typed: &str,
        password: Option<&Secret>,
        rules: &Rules,
    ) -> Result<Vec<LegacyUser>, SourceError>;

    /// What the source says to a user's password, if it has to be asked
    /// ([`crate::user::Credential::AtSource`]). One that never has to says no.
    async fn check(&self, _username: &str, _password: &Secret) -> Result<Answer, SourceError> {
        Ok(Answer::Wrong)
    }

    /// A user's groups. Mostly they came with the record.
    async fn groups(&self, user: &LegacyUser) -> Result<Vec<String>, SourceError> {
        Ok(user.groups.clone())
    }
}

/// What a source says to a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is right.
    Right,
    /// It is not.
    Wrong,
    /// It may be right, and something is missing that this move can't bring along.
    Challenged,
    /// It may be right; the user never confirmed.
    Unconfirmed,
    /// It has to be another.
    ResetRequired,
    /// This user may not sign in there.
    Refused,
}

/// One of them.
pub(crate) enum Source {
    Cognito(Cognito),
    Dynamodb(Dynamodb),
    Postgres(Box<Postgres>),
    Http(Box<Http>),
}

impl Source {
    pub(crate) async fn connect(
        config: SourceConfig,
        secret: Option<&Secret>,
        sdk: &SdkConfig,
    ) -> Result<Self, Unavailable> {
        let secret = || secret.cloned().ok_or(Unavailable::Legacy);
        Ok(match config {
            SourceConfig::Cognito {
                user_pool_id,
                app_client_id,
                region,
                role_arn,
                spellings_table,
                case_sensitive,
            } => {
                let pool = (user_pool_id, app_client_id, secret().ok());
                let source = Cognito::connect(sdk, pool, region, role_arn).await;
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
