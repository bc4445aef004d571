//! The members of request bodies that auth-api checks before Cognito sees them: names, passwords,
//! codes, tokens, attributes.

use std::collections::BTreeMap;

use api_gateway::http::RequestError;
use auth::Secret;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};
use usernames::normalize;

use crate::body::Attributes;

/// Cognito's longest user name, in characters.
const MAX_USERNAME_CHARS: usize = 128;
/// Cognito's longest password.
const MAX_PASSWORD_CHARS: usize = 256;
/// Upper bound for the answer to a challenge of the pool's own triggers.
const MAX_ANSWER_CHARS: usize = 2_048;
/// Cognito's longest confirmation code.
const MAX_CODE_CHARS: usize = 2_048;
/// Cognito's longest value of an attribute.
const MAX_ATTRIBUTE_CHARS: usize = 2_048;
/// Upper bound for a refresh token, in bytes.
const MAX_TOKEN_BYTES: usize = 8_192;
/// The length of Cognito's sessions, in characters.
const SESSION_CHARS: std::ops::RangeInclusive<usize> = 20..=4_096;

/// A user name as the pool compares it: one Unicode normal form, and one case unless the pool is
/// case-sensitive. Rejects a name that contains compatibility characters, because it looks like a
/// different name, and a name that Cognito's own pattern rejects.
pub(crate) fn username(
    username: Option<String>,
    email: Option<String>,
    case_sensitive: bool,
) -> Result<String, RequestError> {
    let ((Some(name), None) | (None, Some(name))) = (username, email) else {
        return Err(RequestError::Malformed);
    };
    normal_name(&name, case_sensitive)
}

pub(crate) fn normal_name(name: &str, case_sensitive: bool) -> Result<String, RequestError> {
    let name = challenged_name(name)?;
    if name.chars().any(is_other_form) || !name.nfc().eq(name.nfkc()) {
        return Err(RequestError::Malformed);
    }
    Ok(normalize(name, case_sensitive))
}

/// A name as Cognito gave it with a challenge, which must be returned unchanged: its pattern, in any normal form and
/// case.
pub(crate) fn challenged_name(name: &str) -> Result<&str, RequestError> {
    let fits = !name.is_empty() && name.chars().count() <= MAX_USERNAME_CHARS;
    if fits && name.chars().all(is_visible) {
        Ok(name)
    } else {
        Err(RequestError::Malformed)
    }
}

/// Whether the character is only another encoding of one other character, as the Kelvin sign is of
/// K.
fn is_other_form(c: char) -> bool {
    let mut form = std::iter::once(c).nfd();
    matches!((form.next(), form.next()), (Some(same), None) if same != c)
}

/// Cognito's pattern for names: letters, marks, symbols, numbers, punctuation.
fn is_visible(c: char) -> bool {
    !matches!(
        c.general_category_group(),
        GeneralCategoryGroup::Separator | GeneralCategoryGroup::Other
    )
}

/// A password that Cognito evaluates: 1 to 256 characters. Spaces inside it are kept, for
/// passphrases. Cognito rejects leading and trailing spaces with its password policy; at a sign-in
/// that error would be misleading, so the request itself is rejected.
/// Source: AWS, "Adding user pool password requirements".
pub(crate) fn password(password: &Secret) -> Result<&Secret, RequestError> {
    let text = password.expose();
    let fits = !text.is_empty() && text.chars().count() <= MAX_PASSWORD_CHARS;
    if fits && text.trim() == text {
        Ok(password)
    } else {
        Err(RequestError::Malformed)
    }
}

/// A code issued by Cognito or by an authenticator.
pub(crate) fn code(code: &Secret) -> Result<&Secret, RequestError> {
    let text = code.expose();
    let fits = !text.is_empty() && text.chars().count() <= MAX_CODE_CHARS;
    if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(code)
    } else {
        Err(RequestError::Malformed)
    }
}

/// An answer that the pool's own triggers compare, in words or as a code.
pub(crate) fn answer(answer: &Secret) -> Result<&Secret, RequestError> {
    let text = answer.expose();
    let fits = !text.is_empty() && text.chars().count() <= MAX_ANSWER_CHARS;
    if fits && !text.contains(char::is_control) {
        Ok(answer)
    } else {
        Err(RequestError::Malformed)
    }
}

pub(crate) fn session(session: &str) -> Result<&str, RequestError> {
    let fits = SESSION_CHARS.contains(&session.chars().count());
    if fits && session.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(session)
    } else {
        Err(RequestError::Malformed)
    }
}

/// A protocol value: visible ASCII and spaces (timestamps contain some), of bounded length.
pub(crate) fn token(token: &str) -> Result<&str, RequestError> {
    let fits = !token.is_empty() && token.len() <= MAX_TOKEN_BYTES;
    if fits && token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        Ok(token)
    } else {
        Err(RequestError::Malformed)
    }
}

/// The attributes, if all of them are on the list and within the length limit.
pub(crate) fn attributes(
    Attributes(attributes): Attributes,
    allowed: &[String],
) -> Result<BTreeMap<String, String>, RequestError> {
    let fits = |(name, value): (&String, &String)| {
        allowed.contains(name)
            && value.chars().count() <= MAX_ATTRIBUTE_CHARS
            && !value.contains(|c: char| c.is_control())
    };
    if attributes.iter().all(fits) {
        Ok(attributes)
    } else {
        Err(RequestError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_spaces_inside_passwords() {
        let rows = [
            ("correct horse battery staple", true),
            ("two  blanks", true),
            ("no\u{a0}break", true),
            ("tab\tinside", true),
            ("\u{1f4f1} phone", true),
            (" leading", false),
            ("trailing ", false),
            ("newline\n", false),
            ("\u{3000}wide", false),
            (" ", false),
            ("\t\n", false),
            ("", false),
        ];
        for (text, expected) in rows {
            let secret = Secret::new(text.to_owned());
            let found = password(&secret).map(Secret::expose).ok();
            assert_eq!(found, expected.then_some(text), "{text:?}");
        }
        let longest = |length: usize| Secret::new("x ".repeat(length / 2 - 1) + "xx");
        assert!(password(&longest(256)).is_ok());
        assert!(password(&longest(258)).is_err());
    }

    #[test]
    fn normalizes_names() {
        let rows = [
            ("Ada@Example.COM", Some("ada@example.com")),
            ("e\u{301}ve@example.com", Some("\u{e9}ve@example.com")),
            ("\u{c9}VE@example.com", Some("\u{e9}ve@example.com")),
            ("a+b&c%d@example.com", Some("a+b&c%d@example.com")),
            // A Kelvin sign, full-width letters, a ligature: each looks like other letters.
            ("\u{212a}ate@example.com", None),
            ("\u{ff41}da@example.com", None),
            ("\u{fb01}@example.com", None),
            ("a\u{200b}da@example.com", None),
            ("ada @example.com", None),
            ("ada\n", None),
            (" ", None),
            ("", None),
        ];
        for (name, expected) in rows {
            let found = normal_name(name, false).ok();
            assert_eq!(found.as_deref(), expected, "{name:?}");
        }
        assert_eq!(normal_name("Ada", true).ok().as_deref(), Some("Ada"));
        assert!(normal_name(&"\u{1f4f1}".repeat(128), false).is_ok());
        assert!(normal_name(&"x".repeat(129), false).is_err());
    }

    #[test]
    fn takes_names_of_challenges_unchanged() {
        let longest = "\u{1f4f1}".repeat(128);
        let too_long = "x".repeat(129);
        let rows = [
            ("zo\u{eb}", true),
            ("zoe\u{308}", true),
            ("Ada@Example.COM", true),
            ("\u{212a}ate", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("ada lovelace", false),
            ("a\u{200b}da", false),
            ("ada\n", false),
            ("", false),
        ];
        for (name, expected) in rows {
            let found = challenged_name(name).ok();
            assert_eq!(found, expected.then_some(name), "{name:?}");
        }
    }

    #[test]
    fn an_answer_is_text_without_control_characters() {
        let longest = "\u{1f4f1}".repeat(2_048);
        let too_long = "x".repeat(2_049);
        let rows = [
            ("42", true),
            ("New York", true),
            ("S\u{e3}o Paulo", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("New\nYork", false),
            ("New\tYork", false),
            ("\u{0}", false),
            ("\u{85}", false),
            ("", false),
        ];
        for (text, expected) in rows {
            let secret = Secret::new(text.to_owned());
            let found = answer(&secret).map(Secret::expose).ok();
            assert_eq!(found, expected.then_some(text), "{text:?}");
        }
    }
}
