//! An old user pool, in this account or, by a role, in another.

use auth::{Secret, Unavailable};
use auth_cognito::{LegacyAccount, LegacyPool, PasswordCheck, Trouble};
use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::types::AttributeValue;

use super::{Answer, LegacySource, MAX_USERS};
use crate::config::Rules;
use crate::user::{Credential, LegacyUser, attributes, normal, spellings};

pub(crate) struct Cognito {
    pool: LegacyPool,
    /// A pool that tells cases apart can't be asked for all spellings of a name. `gatehouse migrate
    /// check` writes this table of them; without it the usual ones are tried.
    spellings: Option<(aws_sdk_dynamodb::Client, String)>,
}

impl Cognito {
    pub(crate) async fn connect(
        sdk: &SdkConfig,
        (user_pool_id, app_client_id, secret): (String, String, Option<Secret>),
        region: Option<String>,
        role_arn: Option<String>,
        spellings_table: Option<String>,
    ) -> Self {
        let mut there = sdk.clone().into_builder();
        if let Some(region) = region {
            there = there.region(Region::new(region));
        }
        if let Some(role_arn) = role_arn {
            let role = aws_config::sts::AssumeRoleProvider::builder(role_arn)
                .session_name("gatehouse-migrate-user")
                .configure(sdk)
                .build()
                .await;
            let role = aws_sdk_dynamodb::config::SharedCredentialsProvider::new(role);
            there = there.credentials_provider(role);
        }
        let pool = LegacyPool::new(&there.build(), user_pool_id, app_client_id, secret);
        let spellings = spellings_table.map(|table| (super::dynamodb::client(sdk), table));
        Self { pool, spellings }
    }

    async fn known_spellings(
        &self,
        typed: &str,
        rules: &Rules,
    ) -> Result<Vec<String>, Unavailable> {
        let mut all = spellings(typed, rules.case_sensitive);
        let Some((client, table)) = &self.spellings else {
            return Ok(all);
        };
        let id = AttributeValue::S(normal(typed, rules.case_sensitive));
        let get = client.get_item().table_name(table).key("id", id);
        let row = get.send().await.map_err(|_| Unavailable::Legacy)?;
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
    ) -> Result<Vec<LegacyUser>, Unavailable> {
        let spellings = self.known_spellings(typed, rules).await?;
        let mut found: Vec<LegacyAccount> = Vec::new();
        let calls = spellings.iter().map(|spelling| self.pool.find(spelling));
        for account in futures_util::future::join_all(calls).await {
            let account = account.map_err(|_: Trouble| Unavailable::Legacy)?;
            // One user may answer to several spellings: by alias, or in a pool that has no cases.
            found.extend(account.filter(|new| {
                let id = new.attributes.get("sub");
                !found.iter().any(|known| known.attributes.get("sub") == id)
            }));
        }
        let users = found.into_iter().map(|account| LegacyUser {
            username: account.username,
            enabled: account.enabled,
            confirmed: account.confirmed,
            last_sign_in: i64::try_from(account.modified_at).ok(),
            must_reset: false,
            groups: Vec::new(),
            attributes: attributes(account.attributes, rules),
            credential: Credential::AtSource,
        });
        Ok(users.collect())
    }

    async fn check(&self, username: &str, password: &Secret) -> Result<Answer, Unavailable> {
        let answer = self.pool.check(username, password).await;
        Ok(match answer.map_err(|_: Trouble| Unavailable::Legacy)? {
            PasswordCheck::Right => Answer::Right,
            PasswordCheck::Wrong => Answer::Wrong,
            PasswordCheck::Challenged => Answer::Challenged,
            PasswordCheck::Unconfirmed => Answer::Unconfirmed,
            PasswordCheck::ResetRequired => Answer::ResetRequired,
        })
    }

    async fn groups(&self, user: &LegacyUser) -> Result<Vec<String>, Unavailable> {
        let groups = self.pool.groups(&user.username).await;
        groups.map_err(|_: Trouble| Unavailable::Legacy)
    }
}
