//! Reads users from the records of an old store.

use auth::Secret;
use serde_json::{Map, Value};

use crate::attributes::attributes;
use crate::rules::Rules;
use crate::status::Status;
use crate::user::{Bar, Credential, LegacyUser};
use crate::values::{list, moment, text, truth, truth_or_time};

impl LegacyUser {
    /// Parses a record of an old store; `None` for a record without a name.
    pub(crate) fn from_record(record: &Map<String, Value>, rules: &Rules) -> Option<Self> {
        let fields = &rules.fields;
        // A value that is unclear neither admits a user nor spares a reset.
        let is_or_absent = |name: &str| record.get(name).is_none_or(truth_or_time);
        let status = Status::of(record.get(&fields.status));
        let is_ended = |name: &str| match record.get(name) {
            // A column such as `deleted_at` is a time or null.
            None | Some(Value::Null) => false,
            Some(value) => truth(value, true),
        };
        let is_disabled = [&fields.enabled, &fields.active]
            .into_iter()
            .any(|name| !is_or_absent(name))
            || [
                &fields.disabled,
                &fields.locked,
                &fields.blocked,
                &fields.suspended,
                &fields.banned,
                &fields.deleted,
            ]
            .into_iter()
            .any(|name| is_ended(name));
        let bar = match &status {
            _ if is_disabled => Some(Bar::Disabled),
            Status::Barred => Some(Bar::Disabled),
            Status::Unknown(text) => Some(Bar::UnknownStatus(text.clone())),
            Status::Good | Status::Unconfirmed | Status::ToReset => None,
        };
        let credential = match (
            record.get(&fields.password_matches),
            record.get(&fields.password_hash),
        ) {
            (Some(matches), _) => Credential::Checked(matches == &Value::Bool(true)),
            (None, Some(Value::String(hash))) => Credential::Hash(Secret::new(hash.clone())),
            // Keycloak's credentials and other hashes are JSON objects.
            (None, Some(hash @ (Value::Object(_) | Value::Array(_)))) => {
                Credential::Hash(Secret::new(hash.to_string()))
            }
            (None, Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None) => {
                Credential::None
            }
        };
        let values = record.iter().filter_map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            Some((name.clone(), text))
        });
        let (attributes, left_behind) = attributes(values, rules);
        Some(Self {
            username: text(record.get(&fields.username)?)?,
            attributes,
            left_behind,
            bar,
            confirmed: is_or_absent(&fields.confirmed) && status != Status::Unconfirmed,
            last_sign_in: record.get(&fields.last_sign_in).and_then(moment),
            must_reset: status == Status::ToReset
                || record
                    .get(&fields.must_reset)
                    .is_some_and(|value| truth(value, true)),
            groups: record.get(&fields.groups).map(list).unwrap_or_default(),
            credential,
        })
    }
}
