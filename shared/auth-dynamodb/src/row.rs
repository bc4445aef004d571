//! Interprets the rows of the table.

use std::collections::HashMap;
use std::sync::Arc;

use auth::UnixSeconds;
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

#[cfg(test)]
mod tests {
    use auth::{Revocations, UserRevocation};
    use serde_json::{Value, json};

    use super::*;
    use crate::user_row::add_user;

    const NOW: UnixSeconds = UnixSeconds(1_000);

    /// A row whose numbers are DynamoDB's and whose other values are as in JSON; `null` is an unexpected type.
    fn row(attributes: &Value) -> Row {
        let attribute = |value: &Value| match value {
            Value::Bool(value) => AttributeValue::Bool(*value),
            Value::Number(value) => AttributeValue::N(value.to_string()),
            Value::String(value) => AttributeValue::S(value.clone()),
            Value::Null | Value::Array(_) | Value::Object(_) => AttributeValue::Null(true),
        };
        let attributes = attributes.as_object().into_iter().flatten();
        attributes
            .map(|(name, value)| (name.clone(), attribute(value)))
            .collect()
    }

    fn of_user(attributes: &Value) -> Revocations {
        let mut revocations = Revocations::default();
        add_user(&mut revocations, &row(attributes), NOW);
        revocations
    }

    #[test]
    fn a_users_row_revokes_what_it_says() {
        let up_to = |not_before, except: Option<&str>| Revocations {
            user_not_before: Some(UserRevocation {
                not_before: UnixSeconds(not_before),
                except_session: except.map(str::to_owned),
            }),
            ..Revocations::default()
        };
        let disabled = Revocations {
            user_disabled: true,
            ..Revocations::default()
        };
        let outdated = Revocations {
            tokens_not_before: Some(UnixSeconds(8)),
            ..Revocations::default()
        };
        for (attributes, expected) in [
            (json!({"not_before": 7}), up_to(7, None)),
            (
                json!({"not_before": 7, "except_session": "s-1"}),
                up_to(7, Some("s-1")),
            ),
            (
                json!({"not_before": 7, "expires_at": 1_001}),
                up_to(7, None),
            ),
            (
                json!({"not_before": 7, "expires_at": 1_000}),
                Revocations::default(),
            ),
            // A row with an unreadable expiry is active.
            (json!({"not_before": 7, "expires_at": null}), up_to(7, None)),
            (json!({"tokens_not_before": 8}), outdated),
            (json!({"disabled": true}), disabled.clone()),
            (json!({"disabled": true, "expires_at": 1}), disabled),
            // An enabled user.
            (
                json!({"disabled": false, "status_at": 9}),
                Revocations::default(),
            ),
            (json!({"status_at": 9}), Revocations::default()),
        ] {
            assert_eq!(of_user(&attributes), expected, "{attributes}");
        }
    }

    #[test]
    fn a_users_row_that_is_not_understood_refuses() {
        let unreadable = Revocations {
            unreadable: true,
            ..Revocations::default()
        };
        for attributes in [
            json!({}),
            json!({"disabled": false}),
            json!({"expires_at": 2_000}),
            json!({"not_before": 7, "disabled": null}),
            json!({"not_before": 7, "disabled": "true"}),
            json!({"not_before": 7, "except_session": null}),
            json!({"not_before": 7, "except_session": 1}),
            json!({"not_before": "7"}),
            json!({"not_before": -7}),
            json!({"not_before": 7, "tokens_not_before": null}),
            json!({"status_at": 9, "not_before": 7.5}),
            json!({"status_at": 9, "disabled": 1}),
        ] {
            assert_eq!(of_user(&attributes), unreadable, "{attributes}");
        }
    }

    #[test]
    fn a_row_is_expired_from_its_expiry_on() {
        for (attributes, expired, odd) in [
            (json!({"expires_at": 999}), true, false),
            (json!({"expires_at": 1_000}), true, false),
            (json!({"expires_at": 1_001}), false, false),
            (json!({}), false, false),
            (json!({"expires_at": "999"}), false, true),
            (json!({"expires_at": null}), false, true),
            // A thousand years of 366 days, and a second more.
            (json!({"expires_at": 31_622_401_000_u64}), false, false),
            (json!({"expires_at": 31_622_401_001_u64}), false, true),
        ] {
            assert_eq!(is_expired(&row(&attributes), NOW), expired, "{attributes}");
            assert_eq!(has_odd_expiry(&row(&attributes), NOW), odd, "{attributes}");
        }
    }

    #[test]
    fn the_time_of_a_client_or_issuer_is_required() {
        let read = |attributes: &Value| not_before(&row(attributes), NOW).ok();
        for (attributes, expected) in [
            (json!({"not_before": 7}), Some(Some(UnixSeconds(7)))),
            (
                json!({"not_before": 7, "expires_at": 1_001}),
                Some(Some(UnixSeconds(7))),
            ),
            (json!({"not_before": 7, "expires_at": 1_000}), Some(None)),
            (json!({}), None),
            (json!({"expires_at": 1}), None),
            (json!({"not_before": "7"}), None),
        ] {
            assert_eq!(read(&attributes), expected, "{attributes}");
        }
    }

    #[test]
    fn a_group_has_two_revocations() {
        let attributes = json!({
            "pk": "pool", "sk": "groups", "reason": "incident", "updated_at": 5,
            "tokens#a": 1, "tokens#b": 3, "sessions#a": 7, "sessions#": 9,
        });
        let groups = Groups::read(&row(&attributes)).ok().unwrap_or_default();
        assert_eq!(groups.0.len(), 4);
        let latest = |scope, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            groups.latest(scope, &names).map(|at| at.0)
        };
        assert_eq!(latest(GroupScope::Tokens, &["a"]), Some(1));
        assert_eq!(latest(GroupScope::Tokens, &["b", "a", "c"]), Some(3));
        assert_eq!(latest(GroupScope::Sessions, &["a", "b"]), Some(7));
        assert_eq!(latest(GroupScope::Sessions, &["b"]), None);
        assert_eq!(latest(GroupScope::Sessions, &[""]), Some(9));
        assert_eq!(latest(GroupScope::Tokens, &[]), None);
        assert_eq!(
            Groups::default().latest(GroupScope::Tokens, &["a".to_owned()]),
            None
        );
        for wrong in [json!({"tokens#a": "1"}), json!({"sessions#a": null})] {
            assert!(Groups::read(&row(&wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rows_key_has_two_texts() {
        let key = key_of(&row(&json!({"pk": "p", "sk": "s", "not_before": 1})));
        assert!(key.is_some_and(|key| key.partition == "p" && key.sort == "s"));
        for incomplete in [
            json!({"pk": "p"}),
            json!({"sk": "s"}),
            json!({"pk": 1, "sk": "s"}),
        ] {
            assert!(key_of(&row(&incomplete)).is_none(), "{incomplete}");
        }
    }
}
