//! `gatehouse enable`: lets a disabled user sign in again, in the pool and in the table.

use auth::{RevocationContext, RevocationWriter, UserRef};
use auth_cognito::User;
use auth_dynamodb::{DisplayedKey, Profiles};
use clap::Args;
use serde_json::{Value, json};

use crate::audit_trail::{self, Acted, OperatorAct, Steps};
use crate::operator::{Operator, Printed, in_words};

/// The user to enable. Earlier revocations stay in force: the user signs in again.
#[derive(Args)]
pub(crate) struct Enable {
    /// The user's name at Cognito, an alias of it, or `sub`.
    user: String,
    /// The reason, for the record.
    #[arg(long, default_value = "operator")]
    reason: String,
    /// The name of the operator, for the record.
    #[arg(long, default_value = "cli")]
    actor: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Enable {
    /// Runs the command.
    ///
    /// # Errors
    /// A text about a failure before any call.
    pub(crate) async fn run(self) -> Result<Acted, String> {
        let operator = Operator::from_environment().await?;
        let found = operator.users.get(&self.user).await.map_err(in_words);
        let id = found.as_ref().map_or(&self.user, |user| &user.subject);
        let target = audit_trail::target(&operator.user_pool_id, id);
        let mut steps = Steps::default();
        let result = match found {
            Ok(user) => self.enable(&operator, &user, &mut steps).await,
            Err(problem) => Err(problem),
        };
        Ok(Acted {
            act: OperatorAct {
                act: "enable_user",
                actor: self.actor,
                target: Some(target),
                outcome: result.as_ref().map_or("failed", |_| steps.outcome()),
            },
            failed_steps: steps.failed,
            result: result.map(|row| Printed::new(vec![row], self.json)),
        })
    }

    /// An error is that of the first step. Each later step needs the one before it.
    async fn enable(
        &self,
        operator: &Operator,
        user: &User,
        steps: &mut Steps,
    ) -> Result<Value, String> {
        operator
            .users
            .enable(&user.username)
            .await
            .map_err(in_words)?;
        let target = UserRef {
            issuer: &operator.user_pool_id,
            subject: &user.subject,
        };
        let at = operator.time().plus(1);
        let context = RevocationContext {
            reason: &self.reason,
            actor: &self.actor,
            at,
            refresh_token_ttl_seconds: crate::revoke::longest_ttl(),
        };
        let store = &operator.revocations;
        let enabled = store.enable_user(&target, at, &context).await;
        let in_table = steps.word(enabled, "enabled");
        let mut in_profile = "not_asked";
        let table = env_config::process("USERS_TABLE").filter(|_| steps.failed.is_empty());
        if let Some(table) = table {
            let profiles = Profiles::beside(store, table);
            let noted = profiles.enabled(&user.subject, at);
            in_profile = steps.word(noted.await, "enabled");
        }
        let DisplayedKey { pk, sk } = (&target).into();
        Ok(json!({
            "enabled": "user",
            "pk": pk,
            "sk": sk,
            "cognito": "enabled",
            "table": in_table,
            "profile": in_profile,
        }))
    }
}
