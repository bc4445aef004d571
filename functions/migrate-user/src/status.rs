//! A user's `status`: a word of many systems, or a boolean.
//!
//! Only a status that is known to admit users does so. A store has a status in order to bar some of its users, and each
//! store has its own words for that.

use serde_json::Value;

/// Statuses with which users may sign in.
const GOOD: &[&str] = &[
    // Cognito, Okta, GitLab, Kratos and most others.
    "active",
    "activated",
    "approved",
    "confirmed",
    "enabled",
    "normal",
    "ok",
    "registered",
    "valid",
    "verified",
];

/// Statuses with which users may sign in once they have chosen another password.
const TO_RESET: &[&str] = &[
    // Cognito.
    "forcechangepassword",
    "resetrequired",
    // Okta.
    "passwordexpired",
    "recovery",
];

/// Statuses of users who have not confirmed their address.
const UNCONFIRMED: &[&str] = &["unconfirmed", "unverified"];

/// Statuses that bar users. Others do too, as unknown ones.
const BARRED: &[&str] = &[
    "archived",
    "banned",
    "blocked",
    "canceled",
    "cancelled",
    "closed",
    "compromised",
    "deactivated",
    "deleted",
    "denied",
    "deprovisioned",
    "disabled",
    "expired",
    "frozen",
    "inactive",
    "invited",
    "locked",
    "lockedout",
    "new",
    "pending",
    "provisioned",
    "rejected",
    "removed",
    "revoked",
    "staged",
    "suspended",
    "terminated",
];

/// Longer texts are no words: they are cut off in reports.
const MAX_CHARS: usize = 32;

/// What a status says about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The user may sign in, as without a status.
    Good,
    /// The address is unconfirmed.
    Unconfirmed,
    /// The password has to be reset.
    ToReset,
    /// The user may not sign in.
    Barred,
    /// Its meaning is unknown: the user may not sign in. The text is for the operator.
    Unknown(String),
}

impl Status {
    /// The status of a record.
    pub(crate) fn of(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null | Value::Bool(true)) => Self::Good,
            Some(Value::Bool(false)) => Self::Barred,
            Some(Value::Number(number)) if number.as_f64() == Some(1.0) => Self::Good,
            Some(Value::Number(number)) if number.as_f64() == Some(0.0) => Self::Barred,
            Some(Value::Number(number)) => Self::Unknown(number.to_string()),
            Some(Value::String(text)) => Self::of_text(text),
            Some(Value::Array(_)) => Self::Unknown("a list".to_owned()),
            Some(Value::Object(_)) => Self::Unknown("an object".to_owned()),
        }
    }

    fn of_text(text: &str) -> Self {
        let text = text.trim();
        // `LOCKED_OUT`, `Locked out` and `locked-out` are one word.
        let word = text.replace([' ', '_', '-'], "").to_ascii_lowercase();
        let word = word.as_str();
        match word {
            _ if text.is_empty() => Self::Good,
            "true" | "t" | "yes" | "y" | "on" | "1" => Self::Good,
            "false" | "f" | "no" | "n" | "off" | "0" => Self::Barred,
            _ if GOOD.contains(&word) => Self::Good,
            _ if TO_RESET.contains(&word) => Self::ToReset,
            _ if UNCONFIRMED.contains(&word) => Self::Unconfirmed,
            _ if BARRED.contains(&word) => Self::Barred,
            _ => {
                let plain = text.chars().filter(|c| !c.is_control());
                Self::Unknown(plain.take(MAX_CHARS).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_good_status_admits() {
        use Status::{Barred, Good, ToReset, Unconfirmed};
        let unknown = |text: &str| Status::Unknown(text.to_owned());
        for (value, expected) in [
            (json!(null), Good),
            (json!(""), Good),
            (json!("   "), Good),
            // Drupal.
            (json!(1), Good),
            (json!(0), Barred),
            (json!(1.0), Good),
            (json!(0.0), Barred),
            (json!("1"), Good),
            (json!("0"), Barred),
            (json!(true), Good),
            (json!(false), Barred),
            (json!("Yes"), Good),
            (json!("off "), Barred),
            (json!(2), unknown("2")),
            (json!(-1), unknown("-1")),
            (json!("10"), unknown("10")),
            // Okta.
            (json!("ACTIVE"), Good),
            (json!("RECOVERY"), ToReset),
            (json!("PASSWORD_EXPIRED"), ToReset),
            (json!("STAGED"), Barred),
            (json!("PROVISIONED"), Barred),
            (json!("LOCKED_OUT"), Barred),
            (json!("SUSPENDED"), Barred),
            (json!("DEPROVISIONED"), Barred),
            // Cognito.
            (json!("CONFIRMED"), Good),
            (json!("UNCONFIRMED"), Unconfirmed),
            (json!("FORCE_CHANGE_PASSWORD"), ToReset),
            (json!("RESET_REQUIRED"), ToReset),
            (json!("ARCHIVED"), Barred),
            (json!("COMPROMISED"), Barred),
            (json!("UNKNOWN"), unknown("UNKNOWN")),
            // Others.
            (json!(" Active "), Good),
            (json!("Locked out"), Barred),
            (json!("deactivated"), Barred),
            (json!("closed"), Barred),
            (json!("archived"), Barred),
            (json!("deleted"), Barred),
            (
                json!("blocked_pending_approval"),
                unknown("blocked_pending_approval"),
            ),
            (json!("vip"), unknown("vip")),
            (json!("\u{430}ctive"), unknown("\u{430}ctive")),
            (json!("a\nb"), unknown("ab")),
            (json!("x".repeat(99)), unknown(&"x".repeat(32))),
            (json!([]), unknown("a list")),
            (json!({"$numberInt": "1"}), unknown("an object")),
        ] {
            assert_eq!(Status::of(Some(&value)), expected, "{value}");
        }
        assert_eq!(Status::of(None), Good);
    }
}
