//! Values of the `Authorization` header (RFC 6750 section 2.1).

use serde_json::{Value, json};

/// A value of the header in an event, which need not be a string.
pub struct AuthorizationRow {
    /// What is special about the value.
    pub name: &'static str,
    /// The value.
    pub value: Value,
    /// Why the value is refused; `None` if it holds the token.
    pub refused: Option<&'static str>,
}

/// Values around `token`.
#[must_use]
pub fn authorization_values(token: &str) -> Vec<AuthorizationRow> {
    let (start, end) = token.split_at(9);
    let accepted = [
        ("one space", json!(format!("Bearer {token}"))),
        ("two spaces", json!(format!("Bearer  {token}"))),
        ("scheme in lower case", json!(format!("bearer {token}"))),
        ("scheme in upper case", json!(format!("BEARER {token}"))),
    ];
    let missing = [
        ("null", json!(null)),
        ("empty", json!("")),
        ("scheme only", json!("Bearer")),
        ("scheme and space only", json!("Bearer ")),
    ];
    let ambiguous = [
        ("a number", json!(7)),
        ("a list", json!([format!("Bearer {token}")])),
    ];
    let malformed = [
        ("token without scheme", json!(token)),
        ("another scheme", json!(format!("Basic {token}"))),
        (
            "two credentials",
            json!(format!("Bearer {token}, Bearer {token}")),
        ),
        ("two tokens", json!(format!("Bearer {token} {token}"))),
        ("leading space", json!(format!(" Bearer {token}"))),
        ("trailing space", json!(format!("Bearer {token} "))),
        ("trailing newline", json!(format!("Bearer {token}\n"))),
        ("tab as separator", json!(format!("Bearer\t{token}"))),
        ("trailing NUL", json!(format!("Bearer {token}\u{0}"))),
        ("NUL inside", json!(format!("Bearer {start}\u{0}{end}"))),
    ];
    let row = |refused| {
        move |(name, value)| AuthorizationRow {
            name,
            value,
            refused,
        }
    };
    let rows = accepted.into_iter().map(row(None));
    rows.chain(missing.into_iter().map(row(Some("missing_token"))))
        .chain(ambiguous.into_iter().map(row(Some("ambiguous_token"))))
        .chain(malformed.into_iter().map(row(Some("malformed_token"))))
        .collect()
}
