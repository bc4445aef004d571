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

/// Parses a boolean in the forms of many systems, also padded as in fixed-width columns. An empty list or object is
/// false, as Keycloak's `requiredActions` is. Returns `unclear` for other values.
pub(crate) fn truth(value: &Value, unclear: bool) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => true,
            "false" | "f" | "no" | "n" | "off" | "0" | "" => false,
            _ => unclear,
        },
        Value::Null => false,
        Value::Array(items) => !items.is_empty() && unclear,
        Value::Object(members) => !members.is_empty() && unclear,
    }
}

/// Parses a boolean that may be a time, as a column such as `confirmed_at` is: any time after 1970 is true. Other
/// values that are unclear are false.
pub(crate) fn truth_or_time(value: &Value) -> bool {
    // The zero time of Go and .NET is the year 1; -1 is true in Access.
    let is_before_1970 = value.as_f64().is_some_and(|number| number < -1.0);
    !is_before_1970 && truth(value, moment(value).is_some_and(|seconds| seconds > 0))
}

/// Seconds since 1970, as a number, in ISO 8601 or as a `$date`.
pub(crate) fn moment(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => whole_seconds(&number.to_string()),
        Value::String(text) => {
            let text = text.trim();
            whole_seconds(text).or_else(|| iso_8601(text))
        }
        Value::Object(members) => mongodb_date(members.get("$date")?),
        Value::Null | Value::Bool(_) | Value::Array(_) => None,
    }
}

/// A number of seconds; a fraction is cut off.
fn whole_seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    whole.parse().ok().filter(|_| is_fraction)
}

/// A date, or a date and a time with or without a zone, in the forms of databases and languages. Without a zone it is
/// UTC.
fn iso_8601(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, offset) = if rest.is_empty() {
        ("00:00:00", "Z".to_owned())
    } else {
        time_and_offset(rest.strip_prefix(['T', 't', ' '])?)?
    };
    let time = format!("{date}T{time}{offset}");
    let time = DateTime::from_str(&time, DateTimeFormat::DateTimeWithOffset).ok()?;
    Some(time.secs())
}

/// The time of day, and its offset as RFC 3339 has it.
fn time_and_offset(text: &str) -> Option<(&str, String)> {
    if let Some(at) = text.rfind(['+', '-']) {
        let (time, offset) = text.split_at_checked(at)?;
        let offset = match offset.len() {
            // `+HH`
            3 => format!("{offset}:00"),
            // `+HHMM`
            5 => {
                let (hours, minutes) = offset.split_at_checked(3)?;
                format!("{hours}:{minutes}")
            }
            _ => offset.to_owned(),
        };
        return Some((time.trim_end(), offset));
    }
    let mut zones = ["Z", "z", "UTC", "GMT"].into_iter();
    let time = zones.find_map(|zone| text.strip_suffix(zone));
    Some((time.unwrap_or(text).trim_end(), "Z".to_owned()))
}

/// A `$date`: ISO 8601, or milliseconds since 1970.
/// Source: "`MongoDB` Extended JSON (v2)", type `Date`.
fn mongodb_date(date: &Value) -> Option<i64> {
    let milliseconds: i64 = match date {
        Value::String(text) => return iso_8601(text),
        Value::Number(number) => number.as_i64()?,
        Value::Object(long) => long.get("$numberLong")?.as_str()?.parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) => return None,
    };
    Some(milliseconds.div_euclid(1_000))
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
            (json!("true "), Some(true)),
            (json!("N    "), Some(false)),
            (json!("\tyes\n"), Some(true)),
            (json!("     "), Some(false)),
            (json!([]), Some(false)),
            (json!({}), Some(false)),
            (json!("perhaps"), None),
            (json!(["UPDATE_PASSWORD"]), None),
            (json!([false]), None),
            (json!({"a": false}), None),
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
            (json!("2023-11-14"), true),
            (json!("2023-11-14 22:13:20+00"), true),
            (json!("2023-11-14T22:13:20+0000"), true),
            (json!("2023-11-14 22:13:20 UTC"), true),
            (json!("1700000000.5"), true),
            (json!(1_700_000_000.5), true),
            (json!({"$date": "2023-11-14T22:13:20.000Z"}), true),
            (json!({"$date": {"$numberLong": "1700000000000"}}), true),
            // Access.
            (json!(-1), true),
            (json!("true "), true),
            (json!(false), false),
            (json!("false"), false),
            (json!("N    "), false),
            // The zero time of Go and .NET.
            (json!(-62_135_596_800_i64), false),
            (json!(-2), false),
            (json!(-1.5), false),
            (json!("-62135596800"), false),
            (json!("0001-01-01T00:00:00Z"), false),
            (json!("0001-01-01"), false),
            (json!({"$date": {"$numberLong": "-62135596800000"}}), false),
            (json!("off"), false),
            (json!("disabled"), false),
            (json!("pending"), false),
            (json!("1970-01-01T00:00:00Z"), false),
            (json!("1970-01-01"), false),
            (json!("1970-01-01 00:00:00+00"), false),
            (json!("1970-01-01 01:00:00+01"), false),
            (json!("1969-12-31 23:59:59 UTC"), false),
            (json!("1970-01-01T00:00:00.000+0000"), false),
            (json!({"$date": "1970-01-01T00:00:00Z"}), false),
            (json!({"$date": {"$numberLong": "0"}}), false),
            (json!({"$date": 0}), false),
            (json!({"$date": null}), false),
            (json!("0000-00-00"), false),
            (json!("0000-00-00 00:00:00"), false),
            (json!("0000-00-00 00:00:00+00"), false),
            (json!("0000-00-00T00:00:00.000Z"), false),
            (json!("0044-03-15 BC"), false),
            (json!("infinity"), false),
            (json!("-5"), false),
            (json!("-5.5"), false),
            (json!("0.0"), false),
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
            // Padded, as in fixed-width columns.
            (json!("1700000000  "), Some(1_700_000_000)),
            (json!("2023-11-14 22:13:20  "), Some(1_700_000_000)),
            // Fractions.
            (json!("1700000000.5"), Some(1_700_000_000)),
            (json!(1_700_000_000.5), Some(1_700_000_000)),
            (json!("2023-11-14T22:13:20.123Z"), Some(1_700_000_000)),
            (json!("2023-11-14 22:13:20.123456"), Some(1_700_000_000)),
            (json!("2023-11-14 22:13:20.123456+00"), Some(1_700_000_000)),
            (json!("2023-11-14T22:13:20.1234567Z"), Some(1_700_000_000)),
            // A date alone.
            (json!("2023-11-14"), Some(1_699_920_000)),
            (json!("2023-11-14  "), Some(1_699_920_000)),
            // Zones.
            (json!("2023-11-14t22:13:20z"), Some(1_700_000_000)),
            (json!("2023-11-14 22:13:20+00"), Some(1_700_000_000)),
            (json!("2023-11-14 17:13:20-05"), Some(1_700_000_000)),
            (json!("2023-11-14T22:13:20+0000"), Some(1_700_000_000)),
            (json!("2023-11-15T03:43:20+0530"), Some(1_700_000_000)),
            (json!("2023-11-15 03:43:20+05:30"), Some(1_700_000_000)),
            (json!("2023-11-14 23:13:20 +0100"), Some(1_700_000_000)),
            (json!("2023-11-14 22:13:20 UTC"), Some(1_700_000_000)),
            (json!("2023-11-14 22:13:20.5 UTC"), Some(1_700_000_000)),
            (json!("2023-11-14T22:13:20 Z"), Some(1_700_000_000)),
            (json!("2023-11-14 22:13:20 GMT"), Some(1_700_000_000)),
            // MongoDB.
            (
                json!({"$date": "2023-11-14T22:13:20.123Z"}),
                Some(1_700_000_000),
            ),
            (
                json!({"$date": {"$numberLong": "1700000000123"}}),
                Some(1_700_000_000),
            ),
            (json!({"$date": 1_700_000_000_123_i64}), Some(1_700_000_000)),
            (json!({"$date": {"$numberLong": "-1"}}), Some(-1)),
            // Before 1970.
            (json!(-62_135_596_800_i64), Some(-62_135_596_800)),
            (json!("0001-01-01T00:00:00Z"), Some(-62_135_596_800)),
            (json!("1969-12-31"), Some(-86_400)),
            (json!("yesterday"), None),
            (json!("2023-11"), None),
            (json!("2023-11-1\u{e9}"), None),
            (json!("2023-11-14\u{e9}"), None),
            (json!("2023-02-29"), None),
            (json!("2023-11-14T"), None),
            (json!("2023-11-14 25:00:00"), None),
            (json!("2023-11-14 22:13:20+"), None),
            (json!("2023-11-14 22:13:20+0"), None),
            (json!("2023-11-14 22:13:20+000"), None),
            (json!("2023-11-14 22:13:20+0\u{e9}0"), None),
            (json!("2023-11-14 22:13:20+25"), None),
            (json!("2023-11-14 22:13:20 CET"), None),
            (json!("2023-11-14 22:13:20Z+00"), None),
            (json!("2023-11-14 BC"), None),
            (json!("0000-00-00"), None),
            (json!("1700000000."), None),
            (json!("1700000000.5.5"), None),
            (json!("1700000000,5"), None),
            (json!(".5"), None),
            (json!(1e300), None),
            (json!({"$date": true}), None),
            (json!({"$date": {"$numberLong": "now"}}), None),
            (json!({"$numberLong": "1700000000"}), None),
            (json!({}), None),
            (json!([]), None),
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
