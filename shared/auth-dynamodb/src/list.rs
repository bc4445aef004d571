//! Everything that is known about one user, for operators. Nothing on a request's way reads this.

use std::collections::BTreeMap;

use auth::revocation::RowKey;
use auth::{Unavailable, UnixSeconds};
use aws_sdk_dynamodb::types::AttributeValue;

use crate::pages::{self, Incomplete};
use crate::row::Unreadable;
use crate::user_row::UserRow;
use crate::write::{is_applied, text};
use crate::{DynamoRevocations, row};

/// A row as it stands in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// `user`, `session#...` or `token#...`: the row's sort key.
    pub of: String,
    /// Its other attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// Whether it has run out and only waits to be deleted.
    pub expired: bool,
}

impl DynamoRevocations {
    /// The row itself, if it is there.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] if it cannot be known.
    pub async fn mark(&self, key: &RowKey, now: UnixSeconds) -> Result<Option<Mark>, Unavailable> {
        let rows = self.rows(&[key]).await?;
        Ok(rows.get(key).map(|row| mark(row, now)))
    }

    /// What a user's row says, run out or not.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] if it cannot be known.
    pub async fn user_row(&self, key: &RowKey) -> Result<UserRow, Unavailable> {
        let rows = self.rows(&[key]).await?;
        let row = rows.get(key).map(UserRow::read).transpose();
        let row = row.map_err(|Unreadable| Unavailable::Revocations)?;
        Ok(row.unwrap_or_default())
    }

    /// All marks of a user, a session or a token of theirs, read consistently.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] if some could not be read.
    pub async fn marks_of_user(
        &self,
        issuer_id: &str,
        subject: &str,
        now: UnixSeconds,
    ) -> Result<Vec<Mark>, Unavailable> {
        let RowKey { partition, .. } = RowKey::user(issuer_id, subject);
        let rows = pages::partition(&self.client, &self.table, partition).await;
        let rows = rows.map_err(|Incomplete| Unavailable::Revocations)?;
        Ok(rows.iter().map(|row| mark(row, now)).collect())
    }
}

impl DynamoRevocations {
    /// Where the sweep through the pool's users was.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] if it cannot be known.
    pub async fn cursor(&self, user_pool_id: &str) -> Result<Option<String>, Unavailable> {
        let key = cursor_key(user_pool_id);
        let rows = self.rows(&[&key]).await?;
        let cursor = rows.get(&key).and_then(|row| row.get("cursor"));
        Ok(cursor.and_then(|cursor| cursor.as_s().ok()).cloned())
    }

    /// Remembers where the sweep is; `None` at its end.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless it is remembered.
    pub async fn set_cursor(
        &self,
        user_pool_id: &str,
        cursor: Option<&str>,
    ) -> Result<(), Unavailable> {
        let update = self.update(&cursor_key(user_pool_id));
        let update = match cursor {
            Some(cursor) => update
                .update_expression("SET #cursor = :cursor")
                .expression_attribute_values(":cursor", text(cursor)),
            None => update.update_expression("REMOVE #cursor"),
        };
        is_applied(update.expression_attribute_names("#cursor", "cursor"))
            .await
            .map(drop)
    }
}

/// The sweep's own row in the pool's partition.
fn cursor_key(user_pool_id: &str) -> RowKey {
    RowKey {
        sort: "sweep".to_owned(),
        ..RowKey::issuer(user_pool_id)
    }
}

fn mark(row: &row::Row, now: UnixSeconds) -> Mark {
    let text = |value: &AttributeValue| {
        let (text, number) = (value.as_s().ok(), value.as_n().ok());
        let flag = value.as_bool().ok().map(ToString::to_string);
        text.or(number).cloned().or(flag).unwrap_or_default()
    };
    Mark {
        of: row.get("sk").map(text).unwrap_or_default(),
        attributes: row
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "pk" | "sk"))
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        expired: row::is_expired(row, now) && !row.contains_key("disabled"),
    }
}
