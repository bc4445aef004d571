//! Checks addresses and names at sign-up and at a change.

#![warn(missing_docs)]

use auth::env::Env;
use auth::is_email;
use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;
use unicode_security::{GeneralSecurityProfile, RestrictionLevel, RestrictionLevelDetection};

/// RFC 5321 section 4.5.3.1.1.
const MAX_LOCAL_BYTES: usize = 64;
/// RFC 5321 section 4.5.3.1.3, without the angle brackets.
const MAX_ADDRESS_BYTES: usize = 254;
/// Cognito's longest user name.
const MAX_NAME_CHARS: usize = 128;

/// Why an address or a name is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Mail cannot be delivered to it, or it cannot be displayed.
    Malformed,
    /// It looks like a different one.
    LookAlike,
}

/// Domains of addresses: `example.com` for exactly that one, `*.example.com` for all its
/// subdomains.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    exact: Vec<String>,
    /// With a leading dot.
    below: Vec<String>,
}

impl Domains {
    /// Reads a list.
    ///
    /// # Errors
    /// The first entry that is not a domain.
    pub fn parse(list: &[String]) -> Result<Self, String> {
        let mut domains = Self::default();
        for entry in list {
            let (kind, name) = match entry.strip_prefix("*.") {
                Some(name) => (&mut domains.below, name),
                None => (&mut domains.exact, entry.as_str()),
            };
            // As in mail: ASCII, in lower case.
            let name = idna::domain_to_ascii_strict(name).map_err(|_| entry.clone())?;
            if !name.contains('.') {
                return Err(entry.clone());
            }
            kind.push(name);
        }
        let with_stop = |name: String| format!(".{name}");
        domains.below = domains.below.into_iter().map(with_stop).collect();
        Ok(domains)
    }

    /// Reads the list in the variable `name`; problems are reported to `env`.
    pub fn read(env: &mut Env<'_>, name: &str) -> Self {
        let list = env.list(name).unwrap_or_default();
        Self::parse(&list).unwrap_or_else(|_| {
            env.problem(
                name,
                "has an entry that is neither like example.com nor like *.example.com",
            );
            Self::default()
        })
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }

    /// Whether an address is in one of them. `email` must have passed [`check_email`].
    #[must_use]
    pub fn contain(&self, email: &str) -> bool {
        let domain = domain(email).to_ascii_lowercase();
        self.exact.contains(&domain) || self.below.iter().any(|end| domain.ends_with(end.as_str()))
    }
}

fn domain(email: &str) -> &str {
    email.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// Checks an e-mail address for a sign-up. Addresses outside of ASCII cannot be reached: Amazon SES
/// accepts no other local part, and other domains only in Punycode. The remaining look-alike is a
/// Punycode domain that is displayed as a different one.
/// Source: AWS, "Amazon SES API reference", `SendEmail`: "does not support the SMTPUTF8 extension".
///
/// # Errors
/// The fault of the address.
pub fn check_email(email: &str) -> Result<(), AddressError> {
    let local = email.rsplit_once('@').map_or("", |(local, _)| local);
    if !email.bytes().all(|byte| byte.is_ascii_graphic())
        || !is_email(email)
        || local.len() > MAX_LOCAL_BYTES
        || email.len() > MAX_ADDRESS_BYTES
    {
        return Err(AddressError::Malformed);
    }
    let (shown, valid) = idna::domain_to_unicode(domain(email));
    valid.map_err(|_| AddressError::Malformed)?;
    for label in shown.split('.') {
        check_text(label)?;
    }
    Ok(())
}

/// Checks a displayed name: a preferred user name, which may be an address, or words.
///
/// # Errors
/// The fault of the name.
pub fn check_shown_name(name: &str) -> Result<(), AddressError> {
    if name.contains('@') && check_email(name).is_ok() {
        return Ok(());
    }
    // Single spaces between words only.
    if name.starts_with(' ') || name.ends_with(' ') || name.contains("  ") {
        return Err(AddressError::Malformed);
    }
    check_name(&name.replace(' ', ""))
}

/// Checks a user name that is not an address.
/// Source: Unicode Technical Standard 39, sections 3 to 5.
///
/// # Errors
/// The fault of the name.
pub fn check_name(name: &str) -> Result<(), AddressError> {
    let visible = |c: char| c.is_ascii_graphic() || (!c.is_ascii() && c.identifier_allowed());
    let count = name.chars().count();
    if count == 0 || count > MAX_NAME_CHARS || !name.chars().all(visible) {
        return Err(AddressError::Malformed);
    }
    check_text(name)
}

fn check_text(text: &str) -> Result<(), AddressError> {
    // Signs such as `+` and `/` are in no identifier of UTS 39, but in many names: telephone
    // numbers, names of another provider. Plain ASCII cannot look like another script.
    if text.is_ascii() {
        return Ok(());
    }
    // A different encoding of the same text.
    if !text.nfkc().eq(text.chars()) {
        return Err(AddressError::LookAlike);
    }
    // A mixture of scripts that no language uses.
    if !text.check_restriction_level(RestrictionLevel::HighlyRestrictive) {
        return Err(AddressError::LookAlike);
    }
    // Letters of one other script that all look like ASCII.
    if skeleton(text).all(|c| c.is_ascii()) {
        return Err(AddressError::LookAlike);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_addresses() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longest = format!("a@{}.com", "b".repeat(252));
        for (email, verdict) in [
            ("ada@example.com", Ok(())),
            ("Ada.Lovelace+x&c%d@Example.co.uk", Ok(())),
            ("ada@xn--bcher-kva.example", Ok(())),
            ("", Err(AddressError::Malformed)),
            ("ada", Err(AddressError::Malformed)),
            ("ada@example", Err(AddressError::Malformed)),
            ("ada @example.com", Err(AddressError::Malformed)),
            ("ad\u{430}@example.com", Err(AddressError::Malformed)),
            ("ada@ex\u{430}mple.com", Err(AddressError::Malformed)),
            ("ada\u{200b}@example.com", Err(AddressError::Malformed)),
            ("ada@xn--a.example", Err(AddressError::Malformed)),
            (&long, Err(AddressError::Malformed)),
            (&longest, Err(AddressError::Malformed)),
            // apple.com in Cyrillic letters, and with only the first one Cyrillic.
            ("ada@xn--80ak6aa92e.com", Err(AddressError::LookAlike)),
            ("ada@xn--pple-43d.com", Err(AddressError::LookAlike)),
        ] {
            assert_eq!(check_email(email), verdict, "{email:?}");
        }
    }

    #[test]
    fn checks_names() {
        for (name, verdict) in [
            ("ada.lovelace_1", Ok(())),
            ("Zo\u{eb}", Ok(())),
            ("\u{430}\u{434}\u{430}\u{436}", Ok(())),
            ("\u{6771}\u{4eac}taro", Ok(())),
            ("", Err(AddressError::Malformed)),
            ("ada lovelace", Err(AddressError::Malformed)),
            ("ada\u{202e}", Err(AddressError::Malformed)),
            ("ada\u{ad}", Err(AddressError::Malformed)),
            ("\u{ff41}da", Err(AddressError::Malformed)),
            ("Zoe\u{308}", Err(AddressError::LookAlike)),
            ("p\u{430}ypal", Err(AddressError::LookAlike)),
            // paypal in Cyrillic letters, with a look-alike for the last letter.
            (
                "\u{440}\u{430}\u{443}\u{440}\u{430}\u{4cf}",
                Err(AddressError::LookAlike),
            ),
        ] {
            assert_eq!(check_name(name), verdict, "{name:?}");
        }
    }

    #[test]
    fn accepts_ascii_signs() {
        for name in [
            "+15551234567",
            "jane+tag",
            "user|1",
            "a/b",
            "x=y",
            "a~b",
            "(jane)",
            "a[1]!",
        ] {
            assert_eq!(check_name(name), Ok(()), "{name}");
            assert_eq!(check_shown_name(name), Ok(()), "{name}");
        }
        for (name, verdict) in [
            ("jane@example.com", Ok(())),
            ("Jane Doe", Ok(())),
            ("Zo\u{eb} Doe", Ok(())),
            (" Jane", Err(AddressError::Malformed)),
            ("Jane  Doe", Err(AddressError::Malformed)),
            ("Jane\tDoe", Err(AddressError::Malformed)),
            ("Jane\u{a0}Doe", Err(AddressError::Malformed)),
            ("Jane D\u{43e}e", Err(AddressError::LookAlike)),
            ("jane@ex\u{430}mple.com", Err(AddressError::LookAlike)),
        ] {
            assert_eq!(check_shown_name(name), verdict, "{name:?}");
        }
    }

    #[test]
    fn matches_domains() {
        let list = ["example.com", "*.Example.org", "b\u{fc}cher.example"].map(str::to_owned);
        let domains = Domains::parse(&list).unwrap();
        for (email, contained) in [
            ("a@example.com", true),
            ("a@EXAMPLE.com", true),
            ("a@x.example.com", false),
            ("a@notexample.com", false),
            ("a@x.example.org", true),
            ("a@x.y.example.org", true),
            ("a@example.org", false),
            ("a@notexample.org", false),
            ("a@xn--bcher-kva.example", true),
        ] {
            assert_eq!(domains.contain(email), contained, "{email}");
        }
        for wrong in [
            "",
            "com",
            "*",
            "*.",
            "*.com",
            "a@b.c",
            "a b.c",
            "*.*.c",
            "exa_mple.com",
        ] {
            assert_eq!(
                Domains::parse(&[wrong.to_owned()]).err().as_deref(),
                Some(wrong)
            );
        }
    }
}
