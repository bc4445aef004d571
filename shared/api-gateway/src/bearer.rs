//! Parser for the value of the `Authorization` header.

use auth::DenyReason;

/// The token in `Bearer <token>` ([RFC 6750 section 2.1]).
///
/// # Errors
/// As [`credential_of`].
///
/// [RFC 6750 section 2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
pub fn token_of(authorization: &str) -> Result<&str, DenyReason> {
    credential_of(authorization, "bearer")
}

/// The credential after `scheme`: the scheme in any case, one or more spaces, then a single
/// `b64token`, of the characters of a compact JWS alone, and nothing else ([RFC 9110 section 11.4], [RFC 6750 section 2.1]).
///
/// # Errors
/// [`DenyReason::MissingToken`] without a credential, [`DenyReason::MalformedToken`] for any other value,
/// such as another scheme, two credentials in one value or a control character.
///
/// [RFC 6750 section 2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
/// [RFC 9110 section 11.4]: https://www.rfc-editor.org/rfc/rfc9110#section-11.4
pub fn credential_of<'a>(authorization: &'a str, scheme: &str) -> Result<&'a str, DenyReason> {
    if authorization.is_empty() {
        return Err(DenyReason::MissingToken);
    }
    if !has_scheme(authorization, scheme) {
        return Err(DenyReason::MalformedToken);
    }
    let rest = authorization.get(scheme.len()..).unwrap_or_default();
    let credential = rest.trim_start_matches(' ');
    if credential.is_empty() {
        return Err(DenyReason::MissingToken);
    }
    if credential.len() == rest.len() {
        return Err(DenyReason::MalformedToken);
    }
    check(credential).map(|()| credential)
}

/// Whether the value begins with this scheme, in any case.
#[must_use]
pub fn has_scheme(authorization: &str, scheme: &str) -> bool {
    authorization
        .get(..scheme.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Checks a value that should consist of a token only, as in a query parameter or a cookie.
///
/// # Errors
/// [`DenyReason::MissingToken`] if it is empty, [`DenyReason::MalformedToken`] if it contains a character
/// that tokens cannot contain.
pub fn check(token: &str) -> Result<(), DenyReason> {
    if token.is_empty() {
        Err(DenyReason::MissingToken)
    } else if all_fit(token.as_bytes()) {
        Ok(())
    } else {
        Err(DenyReason::MalformedToken)
    }
}

/// The characters of a compact JWS: base64url and dots ([RFC 7515 section 3.1]).
///
/// [RFC 7515 section 3.1]: https://www.rfc-editor.org/rfc/rfc7515#section-3.1
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// [`is_token_byte`] for each byte, precomputed: a token has about a thousand bytes.
static TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &mut [bool] = &mut table;
    let mut byte = 0;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = is_token_byte(byte);
        byte = byte.wrapping_add(1);
        rest = others;
    }
    table
};

fn fits(byte: u8) -> bool {
    TOKEN_BYTES.get(usize::from(byte)) == Some(&true)
}

/// Checks eight bytes at a time, without a branch for each.
fn all_fit(bytes: &[u8]) -> bool {
    let (eights, rest) = bytes.as_chunks::<8>();
    let all = |eight: &[u8; 8]| eight.iter().fold(true, |all, byte| all & fits(*byte));
    eights.iter().all(all) && rest.iter().all(|byte| fits(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_base64url_and_dots_only() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            assert_eq!(fits(byte), expected, "{byte:#x}");
        }
    }

    #[test]
    fn accepts_one_bearer_token_and_nothing_else() {
        use DenyReason::{MalformedToken, MissingToken};
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

    #[test]
    fn other_schemes_follow_the_same_rules() {
        use DenyReason::{MalformedToken, MissingToken};
        let rows = [
            ("ApiKey gh_a", Ok("gh_a")),
            ("apikey  gh_a", Ok("gh_a")),
            ("ApiKey", Err(MissingToken)),
            ("ApiKeygh_a", Err(MalformedToken)),
            ("ApiKey a b", Err(MalformedToken)),
            ("Bearer gh_a", Err(MalformedToken)),
            ("\u{c4}piKey gh_a", Err(MalformedToken)),
        ];
        for (value, expected) in rows {
            assert_eq!(credential_of(value, "ApiKey"), expected, "{value:?}");
            let starts = value.to_ascii_lowercase().starts_with("apikey");
            assert_eq!(has_scheme(value, "ApiKey"), starts, "{value:?}");
        }
    }

    /// Every byte of a value counts, also those after the last whole group of eight.
    #[test]
    fn checks_every_character_of_a_bare_token() {
        assert_eq!(check(""), Err(DenyReason::MissingToken));
        for length in 1..20 {
            let good = "a".repeat(length);
            assert_eq!(check(&good), Ok(()), "{length}");
            for at in 0..length {
                for bad in [" ", "\0", "=", "+", "/", ",", "\n", "\u{e9}"] {
                    let text = format!("{}{bad}{}", &good[..at], &good[at + 1..]);
                    assert_eq!(check(&text), Err(DenyReason::MalformedToken), "{text:?}");
                }
            }
        }
    }
}
