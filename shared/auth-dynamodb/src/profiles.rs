//! The application's table of users, synchronized with the user pool.

use auth::{Dependency, Unavailable, UnixSeconds};
use aws_client::Call;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;

use crate::DynamoRevocations;
use crate::row::{number, text};
use crate::write::is_applied;

/// The user's status in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Signed up and confirmed; or disabled and enabled again.
    Confirmed,
    /// Disabled.
    Disabled,
    /// Deleted: only the id remains, so that the application can clean up.
    Deleted,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "CONFIRMED",
            Self::Disabled => "DISABLED",
            Self::Deleted => "DELETED",
        }
    }
}

/// Profiles in a DynamoDB table with the key `sub`.
pub struct Profiles {
    client: Client,
    table: String,
}

impl Profiles {
    /// The profiles in `table`, over the connection of `revocations`.
    #[must_use]
    pub fn beside(revocations: &DynamoRevocations, table: String) -> Self {
        Self {
            client: revocations.client.clone(),
            table,
        }
    }

    /// Creates the profile of a user who has just confirmed. An existing one is not changed.
    ///
    /// # Errors
    /// [`Unavailable`] unless the profile exists.
    pub async fn confirmed(
        &self,
        subject: &str,
        email: Option<&str>,
        at: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let mut expression = "SET created_at = :at, status_at = :at, #status = :status".to_owned();
        let mut update = self.update(subject, Status::Confirmed, at);
        if let Some(email) = email {
            expression.push_str(", email = :email");
            update = update.expression_attribute_values(":email", text(email));
        }
        let update = update
            .update_expression(expression)
            .condition_expression("attribute_not_exists(#status)");
        finish(update).await
    }

    /// Stores a change that happened `at`, unless a later one is stored already. A deletion is final, so it precedes
    /// no other change: one whose time seems earlier, by another clock, is stored too.
    ///
    /// # Errors
    /// [`Unavailable`] unless it was stored.
    pub async fn set_status(
        &self,
        subject: &str,
        status: Status,
        at: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let (expression, condition) = match status {
            Status::Deleted => (
                "SET status_at = :at, #status = :status REMOVE email",
                "attribute_not_exists(#status) OR #status <> :deleted",
            ),
            Status::Confirmed | Status::Disabled => (
                "SET status_at = :at, #status = :status",
                "attribute_not_exists(status_at) OR \
                 (status_at <= :at AND #status <> :deleted)",
            ),
        };
        let update = self
            .update(subject, status, at)
            .update_expression(expression)
            .condition_expression(condition)
            .expression_attribute_values(":deleted", text(Status::Deleted.as_str()));
        finish(update).await
    }

    /// Stores that the user was enabled `at`, unless a later change is stored already. A deletion that is stored has
    /// failed: Cognito has just enabled the user.
    ///
    /// # Errors
    /// [`Unavailable`] unless it was stored.
    pub async fn enabled(&self, subject: &str, at: UnixSeconds) -> Result<(), Unavailable> {
        let update = self
            .update(subject, Status::Confirmed, at)
            .update_expression("SET status_at = :at, #status = :status")
            .condition_expression("attribute_not_exists(status_at) OR status_at <= :at");
        finish(update).await
    }

    /// Whether this user has, or had, a profile.
    ///
    /// # Errors
    /// [`Unavailable`] if the table could not be read.
    pub async fn knows(&self, subject: &str) -> Result<bool, Unavailable> {
        let read = self.client.get_item().table_name(&self.table);
        let read = read.key("sub", text(subject)).consistent_read(true);
        let answer = read
            .send()
            .in_span(Dependency::Profiles)
            .await
            .map_err(aws_client::unavailable(Dependency::Profiles))?;
        Ok(answer.item.is_some())
    }

    fn update(&self, subject: &str, status: Status, at: UnixSeconds) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("sub", text(subject))
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", text(status.as_str()))
            .expression_attribute_values(":at", number(at))
    }
}

async fn finish(update: UpdateItemFluentBuilder) -> Result<(), Unavailable> {
    let applied = is_applied(update, Dependency::Profiles).await;
    applied.map(drop)
}
