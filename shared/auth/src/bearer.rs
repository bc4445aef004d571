//! The `Authorization` header's value.

use crate::reason::Reason;

/// The token in `Bearer <token>` (RFC 6750 section 2.1): the scheme in any case, one or more
/// spaces, then a single `b64token` and nothing behind it.
///
/// # Errors
/// [`Reason::MissingToken`] if there is none, [`Reason::MalformedToken`] for anything else, such
/// as another scheme, two credentials in one value or a control character.
pub fn token_of(authorization: &str) -> Result<&str, Reason> {
    const SCHEME: &str = "bearer";
    if authorization.is_empty() {
        return Err(Reason::MissingToken);
    }
    let (scheme, rest) = authorization
        .split_at_checked(SCHEME.len())
        .ok_or(Reason::MalformedToken)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(Reason::MalformedToken);
    }
    let token = rest.trim_start_matches(' ');
    if token.is_empty() {
        return Err(Reason::MissingToken);
    }
    if token.len() == rest.len() {
        return Err(Reason::MalformedToken);
    }
    check(token).map(|()| token)
}

/// Checks a value that should be nothing but a token, as in a query or a cookie.
///
/// # Errors
/// [`Reason::MissingToken`] if it is empty, [`Reason::MalformedToken`] if it holds a character
/// that no token has.
pub fn check(token: &str) -> Result<(), Reason> {
    if token.is_empty() {
        Err(Reason::MissingToken)
    } else if token.bytes().all(is_token_byte) {
        Ok(())
    } else {
        Err(Reason::MalformedToken)
    }
}

/// The characters of a compact JWS: base64url and dots (RFC 7515 section 3.1).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        use Reason::{MalformedToken, MissingToken};
        let rows = [
            ("Bearer a.b-c_9", Ok("a.b-c_9")),
            ("bearer a", Ok("a")),
            ("BEARER a", Ok("a")),
            ("Bearer  a", Ok("a")),
            ("", Err(MissingToken)),
            ("Bearer", Err(MissingToken)),
            ("Bearer ", Err(MissingToken)),
            ("Bearer\ta", Err(MalformedToken)),
            (" Bearer a", Err(MalformedToken)),
            ("Bearer a ", Err(MalformedToken)),
            ("Bearer a\n", Err(MalformedToken)),
            ("Bearer a\0", Err(MalformedToken)),
            ("Bearer a b", Err(MalformedToken)),
            ("Bearer a, Bearer b", Err(MalformedToken)),
            ("Bearera", Err(MalformedToken)),
            ("Basic YTpi", Err(MalformedToken)),
            ("a.b.c", Err(MalformedToken)),
            ("Bearer\u{a0}a", Err(MalformedToken)),
            ("Beare\u{212a}", Err(MalformedToken)),
            ("Bearer a=", Err(MalformedToken)),
        ];
        for (value, expected) in rows {
            assert_eq!(token_of(value), expected, "{value:?}");
        }
    }
}
