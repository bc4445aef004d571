//! Revocations of groups: those of an issuer share one row, which is cached like the issuer's.

use std::fmt::Write;

use auth::{Cause, Dependency, GroupRef, RevocationContext, Unavailable, UnixSeconds};

use crate::DynamoRevocations;
use crate::key::RowKey;
use crate::row::{GroupScope, Groups, RowError, group_attribute, number, text};
use crate::table_clock::TableClock;
use crate::write::is_applied_by;

/// The number of expired entries that one write removes: no valid token is affected by them.
const REMOVED_AT_ONCE: usize = 50;

/// An attribute of the row: a group with the time of its revocation.
struct Entry {
    name: String,
    at: UnixSeconds,
}

impl DynamoRevocations {
    /// Writes the group's entry. Entries older than any refresh token are removed, which keeps the
    /// row small.
    pub(crate) async fn revoke_group(
        &self,
        group: &GroupRef<'_>,
        scope: GroupScope,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let key = RowKey::groups(group.issuer);
        let rows = self.rows(&[&key]).await?;
        let groups = rows.get(&key).map(Groups::read).transpose();
        let Groups(groups) = groups
            .map_err(|RowError| Dependency::Revocations.unavailable(Cause::Invalid))?
            .unwrap_or_default();
        let name = group_attribute(scope, group.group);
        let needless = |at: UnixSeconds| at.plus(context.kept_seconds()) < context.at;
        let old = groups
            .into_iter()
            .map(|(name, at)| Entry { name, at })
            .filter(|other| other.name != name && needless(other.at))
            .take(REMOVED_AT_ONCE)
            .collect::<Vec<_>>();
        let clock = TableClock::of(context);
        let mut entry = Entry { name, at };
        let written = self.raise_group(&key, &entry, &old, (context, &clock));
        let mut is_written = written.await?;
        if !is_written && !old.is_empty() {
            // An entry that was to be removed has changed, or this one has.
            let written = self.raise_group(&key, &entry, &[], (context, &clock));
            is_written = written.await?;
        }
        if !is_written {
            self.keep_for_good(&key).await?;
        }
        match clock.behind(at) {
            0 => Ok(()),
            behind => {
                entry.at = at.plus(behind);
                let written = self.raise_group(&key, &entry, &[], (context, &clock));
                written.await.map(drop)
            }
        }
    }

    async fn raise_group(
        &self,
        key: &RowKey,
        entry: &Entry,
        old: &[Entry],
        (context, clock): (&RevocationContext<'_>, &TableClock),
    ) -> Result<bool, Unavailable> {
        let mut expression = "SET #group = :at, reason = :reason, actor = :actor, \
                              updated_at = :now REMOVE expires_at"
            .to_owned();
        let mut condition = "(attribute_not_exists(#group) OR #group < :at)".to_owned();
        let mut update = self
            .update(key)
            .expression_attribute_names("#group", &entry.name)
            .expression_attribute_values(":at", number(entry.at))
            .expression_attribute_values(":reason", text(context.reason))
            .expression_attribute_values(":actor", text(context.actor))
            .expression_attribute_values(":now", number(context.at));
        for (index, other) in old.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(expression, ", #old{index}");
            let _ = write!(condition, " AND #old{index} = :old{index}");
            update = update
                .expression_attribute_names(format!("#old{index}"), &other.name)
                .expression_attribute_values(format!(":old{index}"), number(other.at));
        }
        let update = update
            .update_expression(expression)
            .condition_expression(condition);
        is_applied_by(update, clock).await
    }
}
