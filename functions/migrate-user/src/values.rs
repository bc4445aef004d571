//! Values of an old store's records, in the forms of many systems.

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use serde_json::Value;

/// Text that is not empty, or a number.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// A list of strings, or a comma-separated string.
pub(crate) fn list(value: &Value) -> Vec<String> {
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
pub(crate) fn truth(value: &Value, unclear: bool) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => true,
            "false" | "f" | "no" | "n" | "off" | "0" | "" => false,
            _ => unclear,
        },
        Value::Null => false,
        Value::Array(_) | Value::Object(_) => unclear,
    }
}

/// Parses a boolean that may be a time, as a column such as `confirmed_at` is: any time after 1970 is true. Other
/// values that are unclear are false.
pub(crate) fn truth_or_time(value: &Value) -> bool {
    truth(value, moment(value).is_some_and(|seconds| seconds > 0))
}

/// Seconds since 1970, as a number or in ISO 8601.
pub(crate) fn moment(value: &Value) -> Option<i64> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn booleans_have_the_forms_of_many_systems() {
        for (value, expected) in [
            (json!(true), Some(true)),
            (json!(false), Some(false)),
            (json!(1), Some(true)),
            (json!(0), Some(false)),
            (json!("T"), Some(true)),
            (json!("Yes"), Some(true)),
            (json!("no"), Some(false)),
            (json!("On"), Some(true)),
            (json!("OFF"), Some(false)),
            (json!(""), Some(false)),
            (json!(null), Some(false)),
            (json!("perhaps"), None),
            (json!([]), None),
        ] {
            let found = [false, true].map(|unclear| truth(&value, unclear));
            assert_eq!(
                found,
                [expected.unwrap_or(false), expected.unwrap_or(true)],
                "{value}"
            );
        }
    }

    #[test]
    fn an_unclear_boolean_is_true_only_as_a_time() {
        for (value, expected) in [
            (json!(true), true),
            (json!("yes"), true),
            (json!("on"), true),
            (json!(1), true),
            (json!(1_700_000_000), true),
            (json!("1700000000"), true),
            (json!("2023-11-14T22:13:20Z"), true),
            (json!("2023-11-14 22:13:20"), true),
            (json!(false), false),
            (json!("off"), false),
            (json!("disabled"), false),
            (json!("pending"), false),
            (json!("1970-01-01T00:00:00Z"), false),
            (json!("0000-00-00 00:00:00"), false),
            (json!("-5"), false),
            (json!(""), false),
            (json!(0), false),
            (json!(null), false),
            (json!([]), false),
            (json!({}), false),
        ] {
            assert_eq!(truth_or_time(&value), expected, "{value}");
        }
    }

    #[test]
    fn times_are_seconds_or_iso_8601() {
        for (value, expected) in [
            (json!(1_700_000_000), Some(1_700_000_000)),
            (json!("1700000000"), Some(1_700_000_000)),
            (json!("2023-11-14T22:13:20Z"), Some(1_700_000_000)),
            (json!("2023-11-14T23:13:20+01:00"), Some(1_700_000_000)),
            (json!("2023-11-14 22:13:20"), Some(1_700_000_000)),
            (json!("yesterday"), None),
            (json!(true), None),
        ] {
            assert_eq!(moment(&value), expected, "{value}");
        }
    }

    #[test]
    fn lists_are_arrays_or_separated_by_commas() {
        assert_eq!(list(&json!(["a", 1, null, ""])), ["a", "1"]);
        assert_eq!(list(&json!(" a, ,b")), ["a", "b"]);
        assert_eq!(list(&json!({"a": 1})), Vec::<String>::new());
    }
}
