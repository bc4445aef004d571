//! A user of an old store, and the attributes that the new pool receives.

use std::collections::{BTreeMap, BTreeSet};

use auth::Secret;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;
use usernames::is_email;

use crate::config::{ConflictRule, Rules};

/// Cognito's maximum length of an attribute value, in characters.
const MAX_ATTRIBUTE_CHARS: usize = 2_048;

/// The standard attributes of OpenID Connect that every pool has, without `sub`.
const STANDARD: &[&str] = &[
    "address",
    "birthdate",
    "email",
    "email_verified",
    "family_name",
    "gender",
    "given_name",
    "locale",
    "middle_name",
    "name",
    "nickname",
    "phone_number",
    "phone_number_verified",
    "picture",
    "preferred_username",
    "profile",
    "updated_at",
    "website",
    "zoneinfo",
];

pub(crate) fn is_standard_attribute(name: &str) -> bool {
    STANDARD.contains(&name)
}

/// A user of an old store. No `Debug`.
pub(crate) struct LegacyUser {
    /// The user name in the old store's spelling.
    pub(crate) username: String,
    /// Attributes, by the pool's names.
    pub(crate) attributes: BTreeMap<String, String>,
    /// The pool's names of attributes that are not migrated, because the pool would refuse their values.
    pub(crate) left_behind: BTreeSet<String>,
    /// Whether the user may sign in.
    pub(crate) enabled: bool,
    /// Whether the user is confirmed.
    pub(crate) confirmed: bool,
    /// The time of the last sign-in, or the closest time that the store records; seconds since 1970.
    pub(crate) last_sign_in: Option<i64>,
    /// Whether the old store requires a password reset.
    pub(crate) must_reset: bool,
    /// The user's groups, by the old store's names.
    pub(crate) groups: Vec<String>,
    /// How to verify the user's password.
    pub(crate) credential: Credential,
}

/// How to verify a user's password.
pub(crate) enum Credential {
    /// With this hash.
    Hash(Secret),
    /// The source has checked the password, with this result.
    Checked(bool),
    /// With a further call to the source.
    AtSource,
    /// The old store has no password of this user.
    None,
}

/// The old store's names of the fields that migrate-user reads.
pub struct Fields {
    username: String,
    password_hash: String,
    enabled: String,
    disabled: String,
    locked: String,
    deleted: String,
    status: String,
    confirmed: String,
    must_reset: String,
    last_sign_in: String,
    password_matches: String,
    groups: String,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            username: "username".to_owned(),
            password_hash: "password_hash".to_owned(),
            enabled: "enabled".to_owned(),
            disabled: "disabled".to_owned(),
            locked: "locked".to_owned(),
            deleted: "deleted".to_owned(),
            status: "status".to_owned(),
            confirmed: "confirmed".to_owned(),
            must_reset: "must_reset".to_owned(),
            last_sign_in: "last_sign_in".to_owned(),
            password_matches: "password_matches".to_owned(),
            groups: "groups".to_owned(),
        }
    }
}

impl Fields {
    pub(crate) fn username(&self) -> &str {
        &self.username
    }

    /// The default names with replacements; `None` if a replacement is for an unknown field.
    pub(crate) fn renamed(names: &BTreeMap<String, String>) -> Option<Self> {
        let mut fields = Self::default();
        for (meaning, name) in names {
            let field = match meaning.as_str() {
                "username" => &mut fields.username,
                "password_hash" => &mut fields.password_hash,
                "enabled" => &mut fields.enabled,
                "disabled" => &mut fields.disabled,
                "locked" => &mut fields.locked,
                "deleted" => &mut fields.deleted,
                "status" => &mut fields.status,
                "confirmed" => &mut fields.confirmed,
                "must_reset" => &mut fields.must_reset,
                "last_sign_in" => &mut fields.last_sign_in,
                "password_matches" => &mut fields.password_matches,
                "groups" => &mut fields.groups,
                _ => return None,
            };
            name.clone_into(field);
        }
        Some(fields)
    }
}

impl LegacyUser {
    /// Parses a record of an old store; `None` for a record without a name.
    pub(crate) fn from_record(record: &Map<String, Value>, rules: &Rules) -> Option<Self> {
        let fields = &rules.fields;
        let is =
            |name: &str, default: bool| record.get(name).map_or(default, |v| truth(v, default));
        let status = record.get(&fields.status).and_then(Value::as_str);
        // Statuses by which systems bar users from signing in. Other statuses have no effect.
        let is_barred = status.is_some_and(|status| {
            let status = status.to_ascii_lowercase();
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
        let enabled = is(&fields.enabled, true)
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
            confirmed: is(&fields.confirmed, true),
            last_sign_in: record.get(&fields.last_sign_in).and_then(moment),
            must_reset: is(&fields.must_reset, false),
            groups: record.get(&fields.groups).map(list).unwrap_or_default(),
            credential,
        })
    }

    /// Whether the user has an address or a number, verified by the old store, to which Cognito could send a code.
    /// A pool whose user names are addresses sends codes by email only.
    pub(crate) fn is_verified(&self, username_is_email: bool) -> bool {
        self.has_verified("email_verified")
            || !username_is_email && self.has_verified("phone_number_verified")
    }

    fn has_verified(&self, name: &str) -> bool {
        self.attributes
            .get(name)
            .is_some_and(|value| value == "true")
    }

    /// Whether `name` itself is a verified address or number of the user.
    fn owns(&self, name: &str, case_sensitive: bool) -> bool {
        let is = |attribute: &str| {
            let value = self.attributes.get(attribute);
            value.is_some_and(|value| normal(value, case_sensitive) == normal(name, case_sensitive))
        };
        is("email") && self.has_verified("email_verified")
            || is("phone_number") && self.has_verified("phone_number_verified")
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// A list of strings, or a comma-separated string.
fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        Value::String(items) => items
            .split(',')
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// Parses a boolean in the forms of many systems. Returns `unclear` for other values.
fn truth(value: &Value, unclear: bool) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => true,
            "false" | "f" | "no" | "n" | "0" | "" => false,
            _ => unclear,
        },
        Value::Null => false,
        Value::Array(_) | Value::Object(_) => unclear,
    }
}

/// Seconds since 1970, as a number or in ISO 8601.
fn moment(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok().or_else(|| {
            let text = text.replace(' ', "T");
            let formats = [DateTimeFormat::DateTimeWithOffset, DateTimeFormat::DateTime];
            let mut times = formats.into_iter();
            // A time without a zone, as databases write it, is UTC.
            let with_zone = format!("{text}Z");
            times
                .find_map(|format| DateTime::from_str(&text, format).ok())
                .or_else(|| DateTime::from_str(&with_zone, DateTimeFormat::DateTime).ok())
                .map(|time| time.secs())
        }),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The attributes for the pool: standard attributes under their own names, others as mapped, and `…_verified`
/// only if the old store has verified them. The second value has the names of attributes that are left out,
/// because Cognito would refuse the whole user for their values.
pub(crate) fn attributes(
    values: impl IntoIterator<Item = (String, String)>,
    rules: &Rules,
) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let mut attributes = BTreeMap::new();
    let mut left_behind = BTreeSet::new();
    for (name, value) in values {
        let mapped = rules.attributes.get(&name);
        let Some(name) = mapped.or_else(|| Some(&name).filter(|name| is_standard_attribute(name)))
        else {
            continue;
        };
        if value.trim().is_empty() {
            continue;
        }
        if name == "email_verified" || name == "phone_number_verified" {
            if is_yes(&value) {
                attributes.insert(name.clone(), "true".to_owned());
            }
            continue;
        }
        match fit_for_pool(name, value, rules) {
            Some(value) => {
                attributes.insert(name.clone(), value);
            }
            None => {
                left_behind.insert(name.clone());
            }
        }
    }
    // Only an attribute with a value can be verified.
    for (verified, of) in [
        ("email_verified", "email"),
        ("phone_number_verified", "phone_number"),
    ] {
        if !attributes.contains_key(of) {
            attributes.remove(verified);
        }
    }
    left_behind.retain(|name| !attributes.contains_key(name));
    (attributes, left_behind)
}

/// Whether a value means "verified": a boolean, or the time of the verification.
fn is_yes(value: &str) -> bool {
    let value = value.trim();
    truth(&Value::from(value), false)
        || value.contains('-') && moment(&Value::from(value)).is_some_and(|time| time > 0)
}

/// The value in the form that the pool accepts; `None` if the pool would refuse it.
/// Source: AWS, "Working with user attributes", and OpenID Connect Core section 5.1.
fn fit_for_pool(name: &str, value: String, rules: &Rules) -> Option<String> {
    let value = match name {
        "email" | "phone_number" | "birthdate" | "updated_at" => value.trim().to_owned(),
        _ => value,
    };
    if value.chars().count() > MAX_ATTRIBUTE_CHARS || value.contains(char::is_control) {
        return None;
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_fit = match name {
        "email" => is_email(&value) && !value.contains(char::is_whitespace),
        // E.164.
        "phone_number" => value.strip_prefix('+').is_some_and(|number| {
            digits(number) && (2..=15).contains(&number.len()) && !number.starts_with('0')
        }),
        "birthdate" => is_date(&value),
        "updated_at" => digits(&value) && value.len() <= 15,
        _ => true,
    };
    is_fit.then(|| match name {
        "email" => normal(&value, rules.case_sensitive),
        _ => value,
    })
}

/// `YYYY-MM-DD`; the year may be 0000.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let number = |text: &str, length: usize| {
        let is_number = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| is_number)
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2))
    else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// Normalizes a name or an address as the new pool compares it.
pub(crate) fn normal(name: &str, case_sensitive: bool) -> String {
    let name: String = name.nfc().collect();
    if case_sensitive {
        name
    } else {
        name.to_lowercase().nfc().collect()
    }
}

/// The usual spellings of a name in a case-sensitive store.
pub(crate) fn spellings(typed: &str, case_sensitive: bool) -> Vec<String> {
    if case_sensitive {
        return vec![typed.to_owned()];
    }
    usernames::spellings(typed, &normal(typed, false))
}

/// Selects the user for `name`; `None` if the rule does not single out one user. Considers all users of the name,
/// so that the result does not depend on who signs in first.
pub(crate) fn decide(
    mut users: Vec<LegacyUser>,
    name: &str,
    rule: ConflictRule,
    case_sensitive: bool,
) -> Option<LegacyUser> {
    if users.len() < 2 {
        return users.pop();
    }
    match rule {
        ConflictRule::Refuse => None,
        ConflictRule::VerifiedWins => {
            // A verified address other than the typed name proves nothing about this name.
            let mut owners = users
                .into_iter()
                .filter(|user| user.owns(name, case_sensitive));
            let first = owners.next();
            first.filter(|_| owners.next().is_none())
        }
        ConflictRule::LatestSignInWins => {
            if users.iter().any(|user| user.last_sign_in.is_none()) {
                return None;
            }
            users.sort_by_key(|user| user.last_sign_in);
            let last = users.pop()?;
            let before = users.pop()?;
            (last.last_sign_in > before.last_sign_in).then_some(last)
        }
    }
}
