//! Syntax check for e-mail addresses.

/// Whether `text` has a local part and a domain of several labels ([RFC 5321 section 2.3]). Only a
/// message can show that the mailbox exists.
///
/// [RFC 5321 section 2.3]: https://www.rfc-editor.org/rfc/rfc5321#section-2.3
#[must_use]
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_domain_char = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
    !local.is_empty()
        && !local.contains(char::is_control)
        && domain.contains('.')
        && !domain.starts_with(['.', '-'])
        && !domain.ends_with(['.', '-'])
        && !domain.contains("..")
        && domain.chars().all(is_domain_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_the_syntax_of_addresses() {
        for good in ["a@b.c", "a+b&c%d@example.com", "\"x y\"@sub.example.org"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "a", "@b.c", "a@b", "a@.b", "a@b..c", "a@b.c.", "a@b/c.d", "a@b .c", "a\n@b.c",
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }
}
