//! An old user pool, in the same account or, with an IAM role, in another account.

use auth::Secret;
use auth_cognito::{LegacyAccount, LegacyPool, PasswordCheck};
use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::types::AttributeValue;

use super::{Answer, LegacySource, MAX_USERS, SourceError};
use crate::config::Rules;
use crate::user::{Credential, LegacyUser, attributes, normal, spellings};

pub(crate) struct Cognito {
    pool: LegacyPool,
    /// A case-sensitive pool has no query for all spellings of a name. `gatehouse migrate check` writes this
    /// table of spellings; without the table the usual spellings are tried.
    spellings: Option<(aws_sdk_dynamodb::Client, String)>,
    /// Whether the pool is case-sensitive, if the operator has configured it.
    case_sensitive: Option<bool>,
}

/// The old pool, and how to reach it.
pub(crate) struct OldPool {
    pub(crate) user_pool_id: String,
    pub(crate) app_client_id: String,
    pub(crate) app_client_secret: Option<Secret>,
    pub(crate) region: Option<String>,
    pub(crate) role_arn: Option<String>,
}

impl Cognito {
    pub(crate) async fn connect(sdk: &SdkConfig, pool: OldPool) -> Self {
        let mut there = sdk.clone().into_builder();
        if let Some(region) = pool.region {
            there = there.region(Region::new(region));
        }
        if let Some(role_arn) = pool.role_arn {
            let role = aws_config::sts::AssumeRoleProvider::builder(role_arn)
                .session_name("gatehouse-migrate-user")
                .configure(sdk)
                .build()
                .await;
            let role = aws_sdk_dynamodb::config::SharedCredentialsProvider::new(role);
            there = there.credentials_provider(role);
        }
        let pool = LegacyPool::new(
            &there.build(),
            pool.user_pool_id,
            pool.app_client_id,
            pool.app_client_secret,
        );
        Self {
            pool,
            spellings: None,
            case_sensitive: None,
        }
    }

    pub(crate) fn with_spellings(
        self,
        sdk: &SdkConfig,
        table: Option<String>,
        case_sensitive: Option<bool>,
    ) -> Self {
        Self {
            spellings: table.map(|table| (super::dynamodb::client(sdk), table)),
            case_sensitive,
            ..self
        }
    }

    /// Whether the pool may have names in unusual spellings and no table lists them.
    pub(crate) async fn hides_spellings(&self) -> bool {
        if self.spellings.is_some() {
            return false;
        }
        match self.case_sensitive {
            Some(case_sensitive) => case_sensitive,
            None => self.pool.is_case_sensitive().await == Some(true),
        }
    }

    async fn known_spellings(
        &self,
        typed: &str,
        rules: &Rules,
    ) -> Result<Vec<String>, SourceError> {
        if self.case_sensitive == Some(false) {
            return Ok(vec![typed.to_owned()]);
        }
        let mut all = spellings(typed, rules.case_sensitive);
        let Some((client, table)) = &self.spellings else {
            return Ok(all);
        };
        let id = AttributeValue::S(normal(typed, rules.case_sensitive));
        let get = client.get_item().table_name(table).key("id", id);
        let row = get
            .send()
            .await
            .map_err(|error| super::dynamodb::classify(&error))?;
        let row = row.item.unwrap_or_default();
        if let Some(AttributeValue::Ss(more)) = row.get("spellings") {
            for spelling in more.iter().take(MAX_USERS) {
                if !all.contains(spelling) {
                    all.push(spelling.clone());
                }
            }
        }
        Ok(all)
    }
}

impl LegacySource for Cognito {
    async fn find(
        &self,
        typed: &str,
        _: Option<&Secret>,
        rules: &Rules,
    ) -> Result<Vec<LegacyUser>, SourceError> {
        let spellings = self.known_spellings(typed, rules).await?;
        let mut found: Vec<LegacyAccount> = Vec::new();
        let calls = spellings.iter().map(|spelling| self.pool.find(spelling));
        for account in futures_util::future::join_all(calls).await {
            let account = account?;
            // Several spellings may be one user: by an alias, or in a case-insensitive pool.
            found.extend(account.filter(|new| {
                let id = new.attributes.get("sub");
                !found.iter().any(|known| known.attributes.get("sub") == id)
            }));
        }
        let users = found.into_iter().map(|account| {
            let (attributes, left_behind) = attributes(account.attributes, rules);
            LegacyUser {
                username: account.username,
                enabled: account.enabled,
                confirmed: account.confirmed,
                // A pool only records when a user was modified, and users can modify themselves.
                last_sign_in: None,
                must_reset: false,
                groups: Vec::new(),
                attributes,
                left_behind,
                credential: Credential::AtSource,
            }
        });
        Ok(users.collect())
    }

    async fn check(&self, username: &str, password: &Secret) -> Result<Answer, SourceError> {
        let answer = self.pool.check(username, password).await;
        Ok(match answer? {
            PasswordCheck::Right => Answer::Right,
            PasswordCheck::Wrong => Answer::Wrong,
            PasswordCheck::Challenged => Answer::Challenged,
            PasswordCheck::Unconfirmed => Answer::Unconfirmed,
            PasswordCheck::ResetRequired => Answer::ResetRequired,
            PasswordCheck::Refused => Answer::Refused,
        })
    }

    async fn groups(&self, user: &LegacyUser) -> Result<Vec<String>, SourceError> {
        Ok(self.pool.groups(&user.username).await?)
    }
}
