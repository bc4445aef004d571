//! Interprets the rows of the table.

use std::collections::HashMap;
use std::sync::Arc;

use auth::user_state::{KeptSessionState, UserState};
use auth::{Revocations, UnixSeconds};
use aws_sdk_dynamodb::types::AttributeValue;

use crate::key::RowKey;

pub(crate) type Row = HashMap<String, AttributeValue>;

/// The revocations that affect more than one user.
#[derive(Clone, Default)]
pub(crate) struct SharedRevocations {
    pub(crate) client: Option<UnixSeconds>,
    pub(crate) issuer: Option<UnixSeconds>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) unreadable: bool,
}

/// The revocations of groups, by the attribute of the row ([`group_attribute`]).
#[derive(Default)]
pub(crate) struct Groups(pub(crate) HashMap<String, UnixSeconds>);

/// The claim that a group's revocation is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupScope {
    /// `iat`: tokens that contain the group are outdated, and a refresh brings new ones.
    Tokens,
    /// `auth_time`: the sessions of the group's members are revoked.
    Sessions,
}

/// The attribute of the row `groups` that holds a group's revocation time.
pub(crate) fn group_attribute(scope: GroupScope, group: &str) -> String {
    match scope {
        GroupScope::Tokens => format!("tokens#{group}"),
        GroupScope::Sessions => format!("sessions#{group}"),
    }
}

impl Groups {
    /// The latest revocation of any of `groups`.
    pub(crate) fn latest(&self, scope: GroupScope, groups: &[String]) -> Option<UnixSeconds> {
        if self.0.is_empty() {
            return None;
        }
        groups
            .iter()
            .filter_map(|group| self.0.get(&group_attribute(scope, group)))
            .max()
            .copied()
    }

    /// # Errors
    /// A value is not a time.
    pub(crate) fn read(row: &Row) -> Result<Self, RowError> {
        let is_revocation =
            |name: &&String| name.starts_with("tokens#") || name.starts_with("sessions#");
        let mut groups = HashMap::new();
        for name in row.keys().filter(is_revocation) {
            if let Some(at) = time(row, name)? {
                groups.insert(name.clone(), at);
            }
        }
        Ok(Self(groups))
    }
}

/// An attribute exists but has an unexpected type or value.
pub(crate) struct RowError;

/// The row's own key.
pub(crate) fn key_of(row: &Row) -> Option<RowKey> {
    let text = |name: &str| row.get(name)?.as_s().ok().cloned();
    Some(RowKey {
        partition: text("pk")?,
        sort: text("sk")?,
    })
}

/// Whether the row has passed its `expires_at` and awaits deletion, which DynamoDB may delay for
/// days. A row with an unreadable expiry is active.
pub(crate) fn is_expired(row: &Row, now: UnixSeconds) -> bool {
    matches!(time(row, "expires_at"), Ok(Some(expires_at)) if expires_at <= now)
}

/// Whether the row has an expiry that DynamoDB will ignore.
pub(crate) fn has_odd_expiry(row: &Row, now: UnixSeconds) -> bool {
    /// A thousand years: the row's writer meant milliseconds.
    const FAR: u64 = 1000 * 366 * 24 * 60 * 60;
    match time(row, "expires_at") {
        Ok(Some(expires_at)) => expires_at > now.plus(FAR),
        Ok(None) => false,
        Err(RowError) => true,
    }
}

/// Adds a user's row to the revocations.
pub(crate) fn add_user(revocations: &mut Revocations, row: &Row, now: UnixSeconds) {
    let disabled = match row.get("disabled") {
        None => Ok(false),
        Some(value) => value.as_bool().copied().map_err(|_| RowError),
    };
    let except_session = match row.get("except_session") {
        None => Ok(None),
        Some(value) => value.as_s().cloned().map(Some).map_err(|_| RowError),
    };
    let times = time(row, "not_before").and_then(|sessions| {
        let tokens = time(row, "tokens_not_before")?;
        Ok((sessions, tokens))
    });
    match (disabled, times, except_session) {
        // Gatehouse does not write such a row.
        (Ok(false), Ok((None, None)), _) if !row.contains_key("status_at") => {
            revocations.unreadable = true;
        }
        (Err(_), _, _) | (_, Err(_), _) | (_, _, Err(_)) => revocations.unreadable = true,
        (Ok(disabled), Ok((not_before, tokens)), Ok(except_session)) => {
            // Only the id of the kept session is needed, and a row with an unreadable expiry is active.
            let kept = except_session.map(|session| KeptSessionState {
                session,
                authenticated_at: UnixSeconds(0),
                password_changed_at: None,
            });
            let state = UserState {
                not_before,
                kept,
                tokens_not_before: tokens,
                disabled,
                status_at: None,
                expires_at: time(row, "expires_at").unwrap_or(None),
            };
            state.add_to(revocations, now);
        }
    }
}

/// The `not_before` of a client's or the issuer's row.
pub(crate) fn not_before(row: &Row, now: UnixSeconds) -> Result<Option<UnixSeconds>, RowError> {
    match time(row, "not_before")? {
        None => Err(RowError),
        Some(_) if is_expired(row, now) => Ok(None),
        not_before => Ok(not_before),
    }
}

/// A time in whole seconds, as DynamoDB writes numbers.
pub(crate) fn time(row: &Row, name: &str) -> Result<Option<UnixSeconds>, RowError> {
    match row.get(name) {
        None => Ok(None),
        Some(AttributeValue::N(text)) => text
            .parse()
            .map(|seconds| Some(UnixSeconds(seconds)))
            .map_err(|_| RowError),
        Some(_) => Err(RowError),
    }
}

pub(crate) fn number(time: UnixSeconds) -> AttributeValue {
    AttributeValue::N(time.0.to_string())
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
