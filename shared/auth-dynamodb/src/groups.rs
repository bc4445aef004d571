//! Revocations of groups: those of an issuer share one row, which is cached like the issuer's.

use std::fmt::Write;

use auth::Unavailable;
use auth::UnixSeconds;
use auth::revocation::RowKey;

use crate::DynamoRevocations;
use crate::row::{GroupCutoff, Groups, RowError, group_attribute};
use crate::write::{Ending, is_applied, number, text};

/// The number of expired entries that one write removes: no valid token is affected by them.
const REMOVED_AT_ONCE: usize = 50;

impl DynamoRevocations {
    /// Revokes tokens that contain `group`: issued, or of sessions authenticated, up to `at`.
    /// Entries older than any refresh token are removed, which keeps the row small.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn end_group(
        &self,
        issuer_id: &str,
        (cutoff, group): (GroupCutoff, &str),
        at: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let key = RowKey::groups(issuer_id);
        let rows = self.rows(&[&key]).await?;
        let groups = rows.get(&key).map(Groups::read).transpose();
        let Groups(groups) = groups
            .map_err(|RowError| Unavailable::Revocations)?
            .unwrap_or_default();
        let name = group_attribute(cutoff, group);
        let needless = |at: UnixSeconds| at.plus(ending.kept_seconds()) < ending.at;
        let old = groups
            .into_iter()
            .filter(|(other, at)| *other != name && needless(*at))
            .take(REMOVED_AT_ONCE)
            .collect::<Vec<_>>();
        if self.raise_group(&key, (&name, at), &old, ending).await? || old.is_empty() {
            return Ok(());
        }
        // An entry that was to be removed has changed, or this one has.
        self.raise_group(&key, (&name, at), &[], ending)
            .await
            .map(drop)
    }

    async fn raise_group(
        &self,
        key: &RowKey,
        (name, at): (&str, UnixSeconds),
        old: &[(String, UnixSeconds)],
        ending: &Ending<'_>,
    ) -> Result<bool, Unavailable> {
        let mut expression = "SET #group = :at, reason = :reason, actor = :actor, \
                              updated_at = :now"
            .to_owned();
        let mut condition = "(attribute_not_exists(#group) OR #group < :at)".to_owned();
        let mut update = self
            .update(key)
            .expression_attribute_names("#group", name)
            .expression_attribute_values(":at", number(at))
            .expression_attribute_values(":reason", text(ending.reason))
            .expression_attribute_values(":actor", text(ending.actor))
            .expression_attribute_values(":now", number(ending.at));
        for (index, (other, at)) in old.iter().enumerate() {
            let verb = if index == 0 { " REMOVE" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(expression, "{verb} #old{index}");
            let _ = write!(condition, " AND #old{index} = :old{index}");
            update = update
                .expression_attribute_names(format!("#old{index}"), other)
                .expression_attribute_values(format!(":old{index}"), number(*at));
        }
        let update = update
            .update_expression(expression)
            .condition_expression(condition);
        is_applied(update).await
    }
}
