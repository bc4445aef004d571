//! Decodes the alphabets of hashes, and numbers.

use base64::Engine;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::HashError;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Base64 in the standard alphabet, the URL-safe alphabet, or passlib's with `.` for `+`.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, HashError> {
    let standard = |c| match c {
        '.' | '-' => '+',
        '_' => '/',
        other => other,
    };
    let text: String = text.chars().map(standard).collect();
    BASE64.decode(text).map_err(|_| HashError::Corrupt)
}

/// Decodes hexadecimal digits; `None` if the text contains other characters.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !is_hex(text) || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

pub(super) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Decodes bytes of this length: hexadecimal if the text has exactly that many digits, otherwise Base64.
pub(super) fn hex_or_base64(text: &str, length: usize) -> Result<Vec<u8>, HashError> {
    match from_hex(text) {
        Some(bytes) if bytes.len() == length => Ok(bytes),
        Some(_) | None => base64(text),
    }
}

/// A number of digits only. One that is too large is [`HashError::TooCostly`].
pub(super) fn number(text: &str) -> Result<u64, HashError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HashError::Corrupt);
    }
    text.parse().map_err(|_| HashError::TooCostly)
}

pub(super) fn small_number(text: &str) -> Result<u32, HashError> {
    u32::try_from(number(text)?).map_err(|_| HashError::TooCostly)
}

/// The alphabet of `crypt`, the least significant bits first.
const CRYPT64: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(super) fn crypt64_value(byte: u8) -> Option<usize> {
    CRYPT64.iter().position(|known| *known == byte)
}

/// A number of several digits, the least significant first.
pub(super) fn crypt64_number(text: &str) -> Option<u32> {
    let digits = text.bytes().rev();
    digits.map(crypt64_value).try_fold(0_u32, |number, digit| {
        number
            .checked_mul(64)?
            .checked_add(u32::try_from(digit?).ok()?)
    })
}

pub(super) fn crypt64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0_usize;
        for (at, byte) in group.iter().enumerate() {
            bits |= usize::from(*byte) << (8 * at);
        }
        for _ in 0..=group.len() {
            let digit = CRYPT64.get(bits & 63).copied().unwrap_or_default();
            text.push(char::from(digit));
            bits >>= 6;
        }
    }
    text
}

pub(super) fn from_crypt64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_usize;
        for (at, byte) in group.iter().enumerate() {
            bits |= crypt64_value(*byte)? << (6 * at);
        }
        let whole = group.len() * 6 / 8;
        bytes.extend(bits.to_le_bytes().iter().take(whole));
    }
    Some(bytes)
}
