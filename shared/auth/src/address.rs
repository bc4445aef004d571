//! Where a session was seen, without saying it.

use aws_lc_rs::hmac;

use crate::hex;

/// 16 hexadecimal digits that stand for an address of one user's: the same address of two users has two,
/// so that no table of them tells where both have been.
#[must_use]
pub fn address_hash(subject: &str, address: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, subject.as_bytes());
    let tag = hmac::sign(&key, address.as_bytes());
    hex(tag.as_ref().get(..8).unwrap_or_default())
}
