//! The name in a greeting: the only text from the user.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Limits for the name in a greeting, in characters and in words: a longer one may be an attacker's
/// message.
const MAX_NAME_CHARS: usize = 32;
const MAX_NAME_WORDS: usize = 4;

/// Whether a name consists of letters and their marks, spaces, apostrophes, hyphens, and full stops
/// after initials. A mail client would turn `example.com` into a link, and other characters suggest
/// an injection.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let mut chars = name.chars().peekable();
    let mut marks = 0;
    let mut count = 0;
    while let Some(c) = chars.next() {
        count += 1;
        let group = c.general_category_group();
        marks = if group == GeneralCategoryGroup::Mark {
            marks + 1
        } else {
            0
        };
        let plain = match c {
            ' ' | '\'' | '\u{2019}' | '-' => true,
            '.' => chars.peek().is_none_or(|next| *next == ' '),
            _ => matches!(
                group,
                GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark
            ),
        };
        // More marks on one letter than any script uses: they would cover adjacent lines.
        if !plain || marks > 3 || count > MAX_NAME_CHARS {
            return false;
        }
    }
    count > 0 && name.split(' ').filter(|word| !word.is_empty()).count() <= MAX_NAME_WORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_shown() {
        for (name, is_plain) in [
            ("Ada", true),
            ("Ada K. Lovelace-King", true),
            ("O'Neil", true),
            ("\u{5bf}\u{5d0}\u{5b8}", true),
            ("J. R. R. Tolkien", true),
            ("", false),
            ("example.com", false),
            ("Ada <b>", false),
            ("Call 555", false),
            ("one two three four five", false),
            ("a\u{301}\u{301}\u{301}\u{301}", false),
            ("abcdefghijklmnopqrstuvwxyzabcdefg", false),
        ] {
            assert_eq!(is_plain_name(name), is_plain, "{name:?}");
        }
    }
}
