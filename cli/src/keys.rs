//! `gatehouse keys`: creates, lists and revokes API keys.

use auth::api_key::{NewKey, RANDOM_BYTES, StoredKey};
use auth::{
    ApiKeyStore, ApiKeyWriter, AuthError, RevocationContext, RevocationWriter, UnixSeconds, UserRef,
};
use auth_dynamodb::DynamoApiKeys;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::audit_trail::{self, Acted, OperatorAct};
use crate::operator::{Operator, Printed, failed, required};

const DAY: u64 = 24 * 60 * 60;

/// Manage API keys. The tables are those of the authorizer's environment variables `API_KEY_TABLE`
/// and `REVOCATION_TABLE`; revocations are written under `USER_POOL_ID`.
#[derive(Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Create a key and print it. It cannot be printed again.
    Create {
        /// The key's owner: a user's `sub`, or any other name. Disabling the user revokes the key
        /// too.
        #[arg(long)]
        owner: String,
        /// A scope of the key, such as `orders/read`; may be repeated.
        #[arg(long)]
        scope: Vec<String>,
        /// The lifetime in days.
        #[arg(long, default_value = "90", value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: u64,
        /// The value of the API Gateway key whose usage plan counts the key's requests.
        #[arg(long)]
        usage_plan_key: Option<String>,
    },
    /// List all keys, without their secrets.
    List {
        /// Only keys of this owner.
        #[arg(long)]
        owner: Option<String>,
    },
    /// Revoke a key: the next request with it is refused.
    Revoke {
        /// The key's id, the part between `gh_` and the next `_`.
        id: String,
        /// The reason, for the record.
        #[arg(long, default_value = "operator")]
        reason: String,
    },
}

impl Keys {
    /// Runs the command.
    ///
    /// # Errors
    /// A text about a failure before any call.
    pub(crate) async fn run(self) -> Result<Acted, String> {
        let operator = Operator::from_environment().await?;
        let table = required("API_KEY_TABLE")?;
        let store = DynamoApiKeys::beside(&operator.revocations, table);
        let (act, id) = match &self.command {
            Command::Create { owner, .. } => ("create_key", Some(owner.clone())),
            Command::Revoke { id, .. } => ("revoke_key", Some(id.clone())),
            Command::List { .. } => ("list_keys", None),
        };
        let json = self.json;
        let result = self.execute(&operator, &store).await;
        // The owner, who is the caller of requests with the key; the key itself, if it was not found.
        let row = result.as_ref().ok().and_then(|rows| rows.first());
        let owner = row.and_then(|row| row["owner"].as_str());
        let id = id.map(|id| owner.unwrap_or(&id).to_owned());
        Ok(Acted {
            failed_steps: Vec::new(),
            act: OperatorAct {
                act,
                actor: "cli".to_owned(),
                target: id.map(|id| audit_trail::target(&operator.user_pool_id, &id)),
                outcome: result.as_ref().map_or("failed", |_| "done"),
            },
            result: result.map(|rows| Printed::new(rows, json)),
        })
    }

    async fn execute(
        self,
        operator: &Operator,
        store: &DynamoApiKeys,
    ) -> Result<Vec<Value>, String> {
        Ok(match self.command {
            Command::Create {
                owner,
                scope,
                days,
                usage_plan_key,
            } => {
                let now = operator.now;
                let key = mint()?;
                let stored = StoredKey {
                    owner,
                    scope: scope.join(" "),
                    created_at: now,
                    expires_at: now.plus(days * DAY),
                    usage_plan_key,
                    salt: key.salt.clone(),
                    hash: key.hash.clone(),
                };
                let put = store.put(&key.id, &stored).await;
                put.map_err(failed)?;
                vec![describe(&key.id, &stored, Some(("key", key.text.into())))]
            }
            Command::List { owner } => {
                let keys = store.list().await.map_err(failed)?;
                keys.iter()
                    .filter(|(_, key)| owner.as_ref().is_none_or(|owner| key.owner == *owner))
                    .map(|(id, key)| describe(id, key, None))
                    .collect()
            }
            Command::Revoke { id, reason } => {
                let found = store.find(&id).await;
                let key = found
                    .map_err(|error| match error {
                        AuthError::Unauthorized(_) => error.to_string(),
                        AuthError::Unavailable(unavailable) => failed(unavailable),
                    })?
                    .ok_or("there is no key with this id")?;
                let owner = UserRef {
                    issuer: &operator.user_pool_id,
                    subject: &key.owner,
                };
                let context = RevocationContext {
                    reason: &reason,
                    actor: "cli",
                    at: operator.now,
                    // The revocation outlives the key.
                    refresh_token_ttl_seconds: key.expires_at.since(operator.now).unwrap_or(0),
                };
                operator
                    .revocations
                    .revoke_token(&owner.token(&id), &context)
                    .await
                    .map_err(failed)?;
                let revoked_at = Value::from(operator.now.0);
                vec![describe(&id, &key, Some(("revoked_at", revoked_at)))]
            }
        })
    }
}

fn mint() -> Result<NewKey, String> {
    let mut random = [0; RANDOM_BYTES];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| "the system's random number generator failed")?;
    Ok(NewKey::mint(&random))
}

fn describe(id: &str, key: &StoredKey, more: Option<(&str, Value)>) -> Value {
    let UnixSeconds(created_at) = key.created_at;
    let UnixSeconds(expires_at) = key.expires_at;
    let members = [
        ("id", Value::from(id)),
        ("owner", key.owner.as_str().into()),
        ("scope", key.scope.as_str().into()),
        ("created_at", created_at.into()),
        ("expires_at", expires_at.into()),
    ];
    members.into_iter().chain(more).collect()
}
