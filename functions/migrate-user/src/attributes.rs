//! The attributes that the new pool receives.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use usernames::{is_email, normalize};

use crate::rules::{Rules, is_standard_attribute};
use crate::values::{moment, truth};

/// Cognito's maximum length of an attribute value, in characters.
const MAX_ATTRIBUTE_CHARS: usize = 2_048;

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
        "email" => normalize(&value, rules.case_sensitive),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verified_is_a_boolean_or_the_time_of_the_verification() {
        for (value, expected) in [
            ("true", true),
            ("Y    ", true),
            ("2023-11-14T22:13:20Z", true),
            ("2023-11-14 22:13:20+00", true),
            ("2023-11-14", true),
            ("false", false),
            ("pending", false),
            // A number may be anything.
            ("1700000000", false),
            ("1700000000.5", false),
            ("-1", false),
            ("-62135596800", false),
            ("0001-01-01T00:00:00Z", false),
            ("1970-01-01", false),
            ("0000-00-00", false),
            ("", false),
        ] {
            assert_eq!(is_yes(value), expected, "{value:?}");
        }
    }
}
