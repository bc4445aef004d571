//! Reads users from the records of an old store.

use auth::Secret;
use serde_json::{Map, Value};

use crate::attributes::attributes;
use crate::rules::Rules;
use crate::user::{Credential, LegacyUser};
use crate::values::{list, moment, text, truth, truth_or_time};

impl LegacyUser {
    /// Parses a record of an old store; `None` for a record without a name.
    pub(crate) fn from_record(record: &Map<String, Value>, rules: &Rules) -> Option<Self> {
        let fields = &rules.fields;
        // A value that is unclear neither admits a user nor spares a reset.
        let is_or_absent = |name: &str| record.get(name).is_none_or(truth_or_time);
        let status = record.get(&fields.status).and_then(Value::as_str);
        // Statuses by which systems bar users from signing in. Other statuses have no effect.
        let is_barred = status.is_some_and(|status| {
            let status = status.trim().to_ascii_lowercase();
            [
                "disabled",
                "inactive",
                "locked",
                "blocked",
                "suspended",
                "deleted",
                "banned",
            ]
            .contains(&status.as_str())
        });
        let is_ended = |name: &str| match record.get(name) {
            // A column such as `deleted_at` is a time or null.
            None | Some(Value::Null) => false,
            Some(value) => truth(value, true),
        };
        let enabled = is_or_absent(&fields.enabled)
            && !is_ended(&fields.disabled)
            && !is_ended(&fields.locked)
            && !is_ended(&fields.deleted)
            && !is_barred;
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
            enabled,
            confirmed: is_or_absent(&fields.confirmed),
            last_sign_in: record.get(&fields.last_sign_in).and_then(moment),
            must_reset: record
                .get(&fields.must_reset)
                .is_some_and(|value| truth(value, true)),
            groups: record.get(&fields.groups).map(list).unwrap_or_default(),
            credential,
        })
    }
}
