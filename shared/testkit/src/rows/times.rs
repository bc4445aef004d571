//! The claims `exp`, `iat`, `nbf` and `auth_time`. All tables are for a verifier whose clock shows
//! `now` or slightly more.

use super::{TokenRow, accepted, refused, valid, with_member};

/// `nbf` is optional, the other three are required in a user's token.
const NAMES: [&str; 4] = ["exp", "iat", "auth_time", "nbf"];

/// A valid token whose claim `name` is this JSON text.
fn raw(name: &str, json: &str) -> String {
    let claims = valid().without(name).claims_json();
    let claims = with_member(&claims, &format!(r#""{name}":{json}"#));
    valid().build_raw(valid().header_json(), claims)
}

/// Times that are missing or not a `NumericDate` in the accepted range.
#[must_use]
pub fn invalid_times() -> Vec<TokenRow> {
    let values = [
        ("null", "null"),
        ("a string", "\"99999999999\""),
        ("a boolean", "true"),
        ("a list", "[99999999999]"),
        ("an object", "{}"),
        ("negative", "-1"),
        ("zero", "0"),
        ("negative zero", "-0.0"),
        ("too large a float", "1e300"),
        ("the largest 64-bit integer", "18446744073709551615"),
        ("the largest signed integer", "9223372036854775807"),
        ("above the largest signed integer", "9223372036854775808"),
    ];
    let all = |value: &'static str| NAMES.map(|name| raw(name, value));
    let invalid = values
        .into_iter()
        .flat_map(|(name, value)| all(value).map(|token| (name, token)));
    let missing =
        ["exp", "iat", "auth_time"].map(|name| ("missing", valid().without(name).build()));
    let mut rows = refused("invalid_claims", invalid.chain(missing));
    // Not a number of JSON in the range of a double, so not JSON to the parser.
    let infinite = all("1e400").map(|token| ("infinite", token));
    rows.extend(refused("malformed_token", infinite));
    rows
}

/// Times that contradict each other, and lifetimes that Cognito does not grant.
#[must_use]
pub fn contradictory_times(now: u64) -> Vec<TokenRow> {
    let rows = [
        (
            "lifetime of more than a day",
            valid().claim("exp", now + 90_000).build(),
        ),
        (
            "exp before iat",
            valid()
                .claim("iat", now - 10)
                .claim("exp", now - 20)
                .build(),
        ),
        (
            "auth_time in the future",
            valid().claim("auth_time", now + 600).build(),
        ),
        (
            "auth_time after iat",
            valid().claim("auth_time", now - 30).build(),
        ),
    ];
    refused("invalid_claims", rows)
}

/// Tokens that have expired.
#[must_use]
pub fn expired(now: u64) -> Vec<TokenRow> {
    let rows = [
        ("exp reached", valid().claim("exp", now).build()),
        ("exp passed", valid().claim("exp", now - 1).build()),
        (
            "exp with a fraction, passed",
            raw("exp", &format!("{}.9", now - 1)),
        ),
    ];
    refused("expired", rows)
}

/// Tokens that are not valid yet.
#[must_use]
pub fn not_yet_valid(now: u64) -> Vec<TokenRow> {
    let rows = [
        ("iat in the future", valid().claim("iat", now + 600).build()),
        ("nbf in the future", valid().claim("nbf", now + 600).build()),
    ];
    refused("not_yet_valid", rows)
}

/// Times that are accepted.
#[must_use]
pub fn valid_times(now: u64) -> Vec<TokenRow> {
    accepted([
        ("exp in the future", valid().claim("exp", now + 60).build()),
        (
            "exp with a fraction, in the future",
            raw("exp", &format!("{}.9", now + 60)),
        ),
        ("nbf in the past", valid().claim("nbf", now - 1).build()),
        ("without nbf", valid().without("nbf").build()),
    ])
}

/// A leeway of 60 s for every time.
#[must_use]
pub fn leeway_of_a_minute(now: u64) -> Vec<TokenRow> {
    let mut rows = accepted([
        ("exp within it", valid().claim("exp", now - 20).build()),
        ("iat within it", valid().claim("iat", now + 30).build()),
        ("nbf within it", valid().claim("nbf", now + 30).build()),
    ]);
    rows.extend(refused(
        "expired",
        [("exp outside of it", valid().claim("exp", now - 60).build())],
    ));
    rows.extend(refused(
        "not_yet_valid",
        [
            ("iat outside of it", valid().claim("iat", now + 600).build()),
            ("nbf outside of it", valid().claim("nbf", now + 600).build()),
        ],
    ));
    rows
}

/// A token that was issued at `iat` for a sign-in at that time.
#[must_use]
pub fn issued_at(iat: u64) -> String {
    valid().claim("iat", iat).claim("auth_time", iat).build()
}

/// The default leeway of 5 s for `iat` alone.
#[must_use]
pub fn iat_leeway(now: u64) -> Vec<TokenRow> {
    let mut rows = accepted([("iat slightly in the future", issued_at(now + 3))]);
    rows.extend(refused(
        "not_yet_valid",
        [
            ("iat too far in the future", issued_at(now + 60)),
            ("nbf in the future", valid().claim("nbf", now + 60).build()),
        ],
    ));
    rows.extend(refused(
        "expired",
        [("exp in the past", valid().claim("exp", now - 1).build())],
    ));
    let late = valid().claim("iat", now + 1).claim("auth_time", now + 3);
    rows.extend(refused(
        "invalid_claims",
        [("auth_time after iat", late.build())],
    ));
    rows
}
