//! `gatehouse status`: everything that was ended of a user.

use auth_dynamodb::Mark;
use clap::Args;
use serde_json::{Value, json};

use crate::operator::{Operator, Printed, in_words};

/// Whose marks to show.
#[derive(Args)]
pub(crate) struct Status {
    /// The user's name at Cognito, an alias of it, or `sub`.
    user: String,
    /// The name is a `sub`: Cognito isn't asked, as for a user who was deleted.
    #[arg(long)]
    sub: bool,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Status {
    /// Looks.
    ///
    /// # Errors
    /// A text about what kept it from seeing.
    pub(crate) async fn run(self) -> Result<Printed, String> {
        let operator = Operator::from_environment().await?;
        let subject = if self.sub {
            self.user
        } else {
            let user = operator.users.get(&self.user).await;
            user.map_err(in_words)?.subject
        };
        let pool = &operator.user_pool_id;
        let marks = operator
            .revocations
            .marks_of_user(pool, &subject, operator.now)
            .await
            .map_err(|unavailable| unavailable.to_string())?;
        let rows = marks.into_iter().map(describe).collect();
        Ok(Printed::new(rows, self.json))
    }
}

fn describe(mark: Mark) -> Value {
    let mut row = json!({"of": mark.of, "expired": mark.expired});
    if let Some(members) = row.as_object_mut() {
        let attributes = mark.attributes.into_iter();
        members.extend(attributes.map(|(name, value)| (name, Value::from(value))));
    }
    row
}
