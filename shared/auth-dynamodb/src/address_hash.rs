//! Pseudonymous IP address of a session.

use aws_lc_rs::hmac;

use hex::encode as hex;

/// Pseudonym of an IP address, 16 hexadecimal digits, keyed by the user: one address gives two
/// users different pseudonyms, so a table of them does not show that both used it.
#[must_use]
pub fn address_hash(subject: &str, address: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, subject.as_bytes());
    let tag = hmac::sign(&key, address.as_bytes());
    hex(tag.as_ref().get(..8).unwrap_or_default())
}
