//! The link that confirms an address.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All characters except those that a URL does not encode (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The longest e-mail address (RFC 5321 section 4.5.3.1.3).
const MAX_EMAIL_BYTES: usize = 254;

/// The link with the address and the code; `None` for text that is no address at all.
pub(crate) fn confirmation_link(url: &str, email: &str, code: &str) -> Option<String> {
    let email = Some(email).filter(|email| is_address(email))?;
    let email = utf8_percent_encode(email, RESERVED);
    Some(format!("{url}?email={email}&confirmationCode={code}"))
}

/// Whether it looks like an address at all; its characters are encoded anyway.
fn is_address(email: &str) -> bool {
    email.len() <= MAX_EMAIL_BYTES
        && email.contains('@')
        && !email.contains(char::is_control)
        && !email.contains(char::is_whitespace)
}
