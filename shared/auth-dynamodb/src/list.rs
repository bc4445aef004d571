//! Everything that the table has about one user, for operators. Not used to authorize requests.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use auth::user_state::UserState;
use auth::{Cause, Dependency, Unavailable, UnixSeconds, UserRef};
use aws_client::{Call, Limits};
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::key::RowKey;
use crate::pages::{self, PageError};
use crate::row::{RowError, number, text};
use crate::write::is_applied;
use crate::{DynamoRevocations, LIMITS, row, user_row};

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationRow {
    /// `user`, `session#...` or `token#...`: the row's sort key.
    pub of: String,
    /// The other attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// Whether it has expired and awaits deletion.
    pub expired: bool,
}

impl DynamoRevocations {
    /// The contents of a user's row, expired or not.
    ///
    /// # Errors
    /// [`Unavailable`] if the table could not be read.
    pub async fn user_row(&self, user: &UserRef<'_>) -> Result<UserState, Unavailable> {
        let key = RowKey::from(user);
        let rows = self.rows(&[&key]).await?;
        let row = rows.get(&key).map(user_row::read).transpose();
        let row = row.map_err(|RowError| Dependency::Revocations.unavailable(Cause::Invalid))?;
        Ok(row.unwrap_or_default())
    }

    /// All revocations of a user and of the user's sessions and tokens, strongly consistent.
    ///
    /// # Errors
    /// [`Unavailable`] if some could not be read.
    pub async fn revocations_of_user(
        &self,
        user: &UserRef<'_>,
        now: UnixSeconds,
    ) -> Result<Vec<RevocationRow>, Unavailable> {
        let RowKey { partition, .. } = user.into();
        let rows = pages::partition(
            &self.client,
            Dependency::Revocations,
            &self.table,
            partition,
        )
        .await;
        let rows = rows.map_err(|PageError(cause)| Dependency::Revocations.unavailable(cause))?;
        Ok(rows.iter().map(|row| described(row, now)).collect())
    }
}

/// Rows that one request of a scan reads.
const SCANNED_AT_ONCE: i32 = 2_000;
/// Time limit of one request of a scan.
const PATIENT: Limits = Limits {
    connect: Duration::from_millis(300),
    attempt: Duration::from_secs(5),
    operation: Duration::from_secs(10),
    ..LIMITS
};

/// The position of the sweep through the pool's users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepState {
    /// The start of the next page; `None` between two passes.
    pub cursor: Option<String>,
    /// The start time of this pass, or of the next one.
    pub began_at: Option<UnixSeconds>,
    /// The start time of the last complete pass: users who were disabled before it have a
    /// revocation.
    pub passed_at: Option<UnixSeconds>,
    /// The time of the last comparison of the disabled users' rows with the pool.
    pub compared_at: Option<UnixSeconds>,
}

/// A row that disables a user.
pub struct DisabledRow {
    /// The user's `sub`.
    pub subject: String,
    /// The actor who disabled the user.
    pub disabled_by: String,
    /// The time of the disabling.
    pub status_at: UnixSeconds,
}

impl DynamoRevocations {
    /// The contents of these users' rows, expired or not, by user; `None` for one that is malformed, by which every
    /// token of the user is refused. At most 100, read together.
    ///
    /// # Errors
    /// [`Unavailable`] if one of them could not be read.
    pub async fn user_rows<'a>(
        &self,
        users: &HashSet<UserRef<'a>>,
    ) -> Result<HashMap<UserRef<'a>, Option<UserState>>, Unavailable> {
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        let keys = users.iter().map(|user| (RowKey::from(user), *user));
        let keys: HashMap<RowKey, UserRef<'a>> = keys.collect();
        let rows = self.rows(&keys.keys().collect::<Vec<_>>()).await?;
        let mut read = HashMap::new();
        for (key, user) in keys {
            if let Some(row) = rows.get(&key) {
                read.insert(user, user_row::read_as_active(row).ok());
            }
        }
        Ok(read)
    }

    /// The rows of all users of the pool who are disabled here, by an eventually consistent scan of
    /// the whole table. Excludes rows of deleted users, which expire, and of users whose `sub`
    /// cannot be derived from the key.
    ///
    /// # Errors
    /// [`Unavailable`] if some could not be read.
    pub async fn disabled_rows(&self, user_pool_id: &str) -> Result<Vec<DisabledRow>, Unavailable> {
        let RowKey { partition, .. } = RowKey::from(&UserRef {
            issuer: user_pool_id,
            subject: "x",
        });
        let prefix = partition.trim_end_matches('x');
        let scan = self
            .client
            .scan()
            .table_name(&self.table)
            .limit(SCANNED_AT_ONCE)
            .filter_expression("disabled = :true AND begins_with(pk, :prefix)")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":prefix", text(prefix));
        // No request waits for this.
        let patient = PATIENT.timeouts();
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let page = scan.clone().set_exclusive_start_key(next).customize();
            let page = page.config_override(Builder::new().timeout_config(patient.clone()));
            let page = page
                .send()
                .in_span(Dependency::Revocations)
                .await
                .map_err(aws_client::unavailable(Dependency::Revocations))?;
            found.extend(page.items.unwrap_or_default());
            next = page.last_evaluated_key;
            if next.is_none() {
                break;
            }
        }
        let mut rows = Vec::new();
        for row in found {
            let word = |name: &str| row.get(name).and_then(|value| value.as_s().ok());
            let subject = word("pk").and_then(|pk| pk.strip_prefix(prefix));
            let status_at = row::time(&row, "status_at").ok().flatten();
            // An unreadable expiry counts as none.
            let expires = matches!(row::time(&row, "expires_at"), Ok(Some(_)));
            if let (Some(subject), Some(status_at)) = (subject, status_at)
                && !subject.starts_with('~')
                && !expires
            {
                rows.push(DisabledRow {
                    subject: subject.to_owned(),
                    disabled_by: word("disabled_by").cloned().unwrap_or_default(),
                    status_at,
                });
            }
        }
        Ok(rows)
    }

    /// The position of the sweep through the pool's users.
    ///
    /// # Errors
    /// [`Unavailable`] if the table could not be read.
    pub async fn sweep_state(&self, user_pool_id: &str) -> Result<SweepState, Unavailable> {
        let key = RowKey::sweep(user_pool_id);
        let rows = self.rows(&[&key]).await?;
        let Some(row) = rows.get(&key) else {
            return Ok(SweepState::default());
        };
        let time = |name: &str| row::time(row, name).ok().flatten();
        let cursor = row.get("cursor").and_then(|cursor| cursor.as_s().ok());
        Ok(SweepState {
            cursor: cursor.cloned(),
            began_at: time("began_at"),
            passed_at: time("passed_at"),
            compared_at: time("compared_at"),
        })
    }

    /// Stores the position of the sweep.
    ///
    /// # Errors
    /// [`Unavailable`] unless it was stored.
    pub async fn set_sweep_state(
        &self,
        user_pool_id: &str,
        state: &SweepState,
    ) -> Result<(), Unavailable> {
        let values = [
            ("cursor", state.cursor.as_deref().map(text)),
            ("began_at", state.began_at.map(number)),
            ("passed_at", state.passed_at.map(number)),
            ("compared_at", state.compared_at.map(number)),
        ];
        let mut update = self.update(&RowKey::sweep(user_pool_id));
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        for (name, value) in values {
            update = update.expression_attribute_names(format!("#{name}"), name);
            match value {
                Some(value) => {
                    update = update.expression_attribute_values(format!(":{name}"), value);
                    set.push(format!("#{name} = :{name}"));
                }
                None => remove.push(format!("#{name}")),
            }
        }
        let mut expression = String::new();
        for (verb, parts) in [("SET", set), ("REMOVE", remove)] {
            if !parts.is_empty() {
                expression = format!("{expression} {verb} {}", parts.join(", "));
            }
        }
        is_applied(
            update.update_expression(expression.trim()),
            Dependency::Revocations,
        )
        .await
        .map(drop)
    }
}

fn described(row: &row::Row, now: UnixSeconds) -> RevocationRow {
    let text = |value: &AttributeValue| {
        let (text, number) = (value.as_s().ok(), value.as_n().ok());
        let flag = value.as_bool().ok().map(ToString::to_string);
        text.or(number).cloned().or(flag).unwrap_or_default()
    };
    RevocationRow {
        of: row.get("sk").map(text).unwrap_or_default(),
        attributes: row
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "pk" | "sk"))
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        expired: row::is_expired(row, now) && !row.contains_key("disabled"),
    }
}
