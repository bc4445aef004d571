//! `gatehouse status`: shows all revocations of a user.

use auth::UserRef;
use auth_dynamodb::RevocationRow;
use clap::Args;
use serde_json::{Value, json};

use crate::operator::{Operator, Printed, failed, in_words};

/// The user whose revocations to show.
#[derive(Args)]
pub(crate) struct Status {
    /// The user's name at Cognito, an alias of it, or `sub`.
    user: String,
    /// The name is a `sub`: does not ask Cognito, as for a deleted user.
    #[arg(long)]
    sub: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Status {
    /// Runs the command.
    ///
    /// # Errors
    /// A text about the failure.
    pub(crate) async fn run(self) -> Result<Printed, String> {
        let operator = Operator::from_environment().await?;
        let subject = if self.sub {
            self.user
        } else {
            let user = operator.users.get(&self.user).await;
            user.map_err(in_words)?.subject
        };
        let user = UserRef {
            issuer: &operator.user_pool_id,
            subject: &subject,
        };
        let rows = operator
            .revocations
            .revocations_of_user(&user, operator.now)
            .await
            .map_err(failed)?;
        let rows = rows.into_iter().map(describe).collect();
        Ok(Printed::new(rows, self.json))
    }
}

fn describe(row: RevocationRow) -> Value {
    let mut described = json!({"of": row.of, "expired": row.expired});
    if let Some(members) = described.as_object_mut() {
        let attributes = row.attributes.into_iter();
        members.extend(attributes.map(|(name, value)| (name, Value::from(value))));
    }
    described
}
