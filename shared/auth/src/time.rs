//! Points in time as JWTs represent them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Whole seconds since 1970-01-01T00:00:00Z, ignoring leap seconds ([RFC 7519 section 2],
/// `NumericDate`).
///
/// Deserialization accepts only a positive number below 2^53. A fraction is cut off: a token that
/// expires at 100.9 is expired at 100, not at 101.
///
/// [RFC 7519 section 2]: https://www.rfc-editor.org/rfc/rfc7519#section-2
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

/// The first integer that an IEEE double cannot distinguish from its neighbour.
const TOO_LARGE: u64 = 1 << 53;

impl UnixSeconds {
    /// The time `seconds` later; saturates at the maximum.
    #[must_use]
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this time, or `None` if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }
}

impl<'de> Deserialize<'de> for UnixSeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let date = NumericDate {
            rounded: f64::floor,
        };
        deserializer.deserialize_any(date)
    }
}

/// [`UnixSeconds`] rounded up: a token that is not valid before 100.1 is not valid at 100.
pub(crate) struct RoundedUp(pub(crate) UnixSeconds);

impl<'de> Deserialize<'de> for RoundedUp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let date = NumericDate { rounded: f64::ceil };
        deserializer.deserialize_any(date).map(Self)
    }
}

struct NumericDate {
    rounded: fn(f64) -> f64,
}

impl Visitor<'_> for NumericDate {
    type Value = UnixSeconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds since 1970")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<UnixSeconds, E> {
        if (1..TOO_LARGE).contains(&value) {
            Ok(UnixSeconds(value))
        } else {
            Err(E::custom("time out of range"))
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the range is checked and the fraction is rounded away"
    )]
    fn visit_f64<E: Error>(self, value: f64) -> Result<UnixSeconds, E> {
        if value >= 1.0 && value < TOO_LARGE as f64 {
            Ok(UnixSeconds((self.rounded)(value) as u64))
        } else {
            Err(E::custom("time out of range"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_positive_numeric_dates_only() {
        let rows = [
            ("1", Some(1)),
            ("1700000000", Some(1_700_000_000)),
            ("100.9", Some(100)),
            ("1.7e9", Some(1_700_000_000)),
            ("9007199254740991", Some(9_007_199_254_740_991)),
            ("9007199254740992", None),
            ("9007199254740992.0", None),
            ("18446744073709551615", None),
            ("18446744073709551616", None),
            ("1e300", None),
            ("1e400", None),
            ("0", None),
            ("-0", None),
            ("-0.0", None),
            ("0.9", None),
            ("-5", None),
            ("null", None),
            ("true", None),
            ("\"1700000000\"", None),
            ("[1]", None),
            ("{}", None),
        ];
        for (json, expected) in rows {
            let read = serde_json::from_str::<UnixSeconds>(json).ok();
            assert_eq!(read, expected.map(UnixSeconds), "{json}");
        }
    }

    #[test]
    fn fractions_are_rounded_against_the_token() {
        for (json, floor, ceiling) in [("100.9", 100, 101), ("100.0", 100, 100), ("100", 100, 100)]
        {
            let cut: UnixSeconds = serde_json::from_str(json).unwrap();
            let RoundedUp(up) = serde_json::from_str(json).unwrap();
            assert_eq!((cut.0, up.0), (floor, ceiling), "{json}");
        }
        assert!(serde_json::from_str::<RoundedUp>("9007199254740992").is_err());
    }
}
