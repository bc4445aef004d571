//! An old user pool, in the same account or, with an IAM role, in another account.

use std::sync::atomic::{AtomicBool, Ordering};

use auth::{Dependency, Secret};
use auth_cognito::{LegacyAccount, LegacyPool, PasswordCheck};
use aws_client::Call;
use aws_client::SdkConfig;
use aws_config::Region;
use aws_sdk_dynamodb::types::AttributeValue;
use runtime::log::{self, Level};

use super::{Answer, LegacySource, MAX_USERS, SourceError};
use crate::attributes::attributes;
use crate::rules::Rules;
use crate::user::{Bar, Credential, LegacyUser, spellings};
use usernames::normalize;

pub(crate) struct Cognito {
    pool: LegacyPool,
    /// A case-sensitive pool has no query for all spellings of a name. `gatehouse migrate check` writes this
    /// table of spellings; without the table the usual spellings are tried.
    spellings: Option<(aws_sdk_dynamodb::Client, String)>,
    /// Whether the pool is case-sensitive, if the operator has configured it.
    case_sensitive: Option<bool>,
    /// Whether neither the operator nor the pool has said so, and no table lists the spellings.
    is_unknown: AtomicBool,
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
            is_unknown: AtomicBool::new(false),
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

    /// Whether the pool has names in unusual spellings and no table lists them. If that cannot be
    /// known, users with capital letters in their names are not migrated: another user could have
    /// the same name in small letters.
    pub(crate) async fn hides_spellings(&self) -> bool {
        if self.spellings.is_some() {
            return false;
        }
        if let Some(case_sensitive) = self.case_sensitive {
            return case_sensitive;
        }
        let Ok(answer) = self.pool.is_case_sensitive().await else {
            self.is_unknown.store(true, Ordering::Relaxed);
            let problem = "whether the old pool is case-sensitive is unknown, so users with capital \
                letters in their names are not migrated: permit cognito-idp:DescribeUserPool, or set \
                LEGACY_CASE_SENSITIVE";
            log::line(Level::Error, problem, []);
            return false;
        };
        answer == Some(true)
    }

    /// Whether one of these users may share the name with a user in a spelling that was not found.
    /// Asks the pool again: at the start it may have been busy.
    async fn may_be_ambiguous(&self, found: &[LegacyAccount]) -> bool {
        let has_capitals =
            |account: &LegacyAccount| account.username.to_lowercase() != account.username;
        if !self.is_unknown.load(Ordering::Relaxed) || !found.iter().any(has_capitals) {
            return false;
        }
        match self.pool.is_case_sensitive().await {
            Ok(Some(true)) | Err(_) => true,
            Ok(Some(false) | None) => {
                self.is_unknown.store(false, Ordering::Relaxed);
                false
            }
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
        let id = AttributeValue::S(normalize(typed, rules.case_sensitive));
        let get = client.get_item().table_name(table).key("id", id);
        let row = get
            .send()
            .in_span(Dependency::Legacy)
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
        if self.may_be_ambiguous(&found).await {
            return Err(SourceError::TooMany);
        }
        let users = found.into_iter().map(|account| {
            let (attributes, left_behind) = attributes(account.attributes, rules);
            LegacyUser {
                username: account.username,
                bar: (!account.enabled).then_some(Bar::Disabled),
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
