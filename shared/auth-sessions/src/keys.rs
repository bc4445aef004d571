//! The keys that seal sessions, from the text of a secret.

use std::collections::HashSet;

use auth::Secret;
use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

/// The id of the key that is derived from the member `generated`.
pub const GENERATED: &str = "generated";
/// The most keys that a secret may have.
pub const MAX_KEYS: usize = 16;

const KEY_BYTES: usize = 32;
const MAX_ID_BYTES: usize = 32;
/// 43 letters and digits have more than 256 bits.
const GENERATED_CHARACTERS: usize = 43;
/// HKDF's salt and info (RFC 5869 section 3): a key of another purpose that is made from the same text is another key.
const DERIVATION: (&[u8], &[u8]) = (b"gatehouse browser sessions", b"AES-256-GCM");

/// The keys of sealed sessions: the first one seals, every one opens.
///
/// A key seals at most 2^32 rows (NIST SP 800-38D section 8.3, random nonces): at 100 sign-ins and refreshes a second
/// that is more than a year.
pub struct SealingKeys {
    keys: Vec<(String, RandomizedNonceKey)>,
    /// The id of the key that seals.
    sealing: String,
}

/// Why the text of a secret has no usable keys. It contains no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// It is not a JSON object with `keys` or `generated`, or it has other members.
    #[error(
        "the secret of the session keys is not an object with `keys`, each with `id` and `key`"
    )]
    Malformed,
    /// It has no key, or more than [`MAX_KEYS`].
    #[error("the secret of the session keys has no key, or more than 16")]
    Number,
    /// An id is empty, longer than 32 characters or reserved, has other characters than letters, digits and `-_.`, or
    /// occurs twice; or `seal_with` is no key's id.
    #[error(
        "a session key has an invalid id, or the id of another key, or `seal_with` is no key's id"
    )]
    Id,
    /// A key is not 32 bytes in base64, or `generated` is not at least 43 letters and digits.
    #[error("a session key is not 32 bytes in base64")]
    Key,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    keys: Vec<Entry>,
    generated: Option<Secret>,
    seal_with: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    key: Secret,
}

impl SealingKeys {
    /// Reads `{"keys": [{"id": "…", "key": "<32 bytes in base64>"}], "generated": "…"}`. `generated`, letters and digits
    /// that Secrets Manager made, is the text from which the last key is derived, by HKDF; it may be the only one. Every
    /// key opens. The first one seals, or the one with the id `seal_with`: a new key only opens until every process has
    /// it.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn from_json(text: &str) -> Result<Self, KeysError> {
        let text: Text = serde_json::from_str(text).map_err(|_| KeysError::Malformed)?;
        let mut keys = Vec::new();
        for Entry { id, key } in text.keys {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let fits = (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(is_plain);
            if !fits || id == GENERATED {
                return Err(KeysError::Id);
            }
            let bytes = STANDARD.decode(key.expose()).map(Zeroizing::new);
            let bytes = bytes.map_err(|_| KeysError::Key)?;
            keys.push((id, key_of(&bytes)?));
        }
        if let Some(generated) = text.generated {
            keys.push((GENERATED.to_owned(), derived(&generated)?));
        }
        let ids: HashSet<&str> = keys.iter().map(|(id, _)| id.as_str()).collect();
        if ids.len() != keys.len() {
            return Err(KeysError::Id);
        }
        if !(1..=MAX_KEYS).contains(&keys.len()) {
            return Err(KeysError::Number);
        }
        let first = keys.first().map(|(id, _)| id.clone());
        let sealing = text.seal_with.or(first).unwrap_or_default();
        let keys = Self { keys, sealing };
        match keys.sealing() {
            Some(_) => Ok(keys),
            None => Err(KeysError::Id),
        }
    }

    /// The key that seals, and its id.
    pub(crate) fn sealing(&self) -> Option<(&str, &RandomizedNonceKey)> {
        let key = self.get(&self.sealing)?;
        Some((self.sealing.as_str(), key))
    }

    /// The key with this id.
    pub(crate) fn get(&self, id: &str) -> Option<&RandomizedNonceKey> {
        let mut keys = self.keys.iter();
        keys.find(|(known, _)| known == id).map(|(_, key)| key)
    }
}

fn key_of(bytes: &[u8]) -> Result<RandomizedNonceKey, KeysError> {
    if bytes.len() != KEY_BYTES {
        return Err(KeysError::Key);
    }
    RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| KeysError::Key)
}

/// The key that HKDF derives from `generated` (RFC 5869).
fn derived(generated: &Secret) -> Result<RandomizedNonceKey, KeysError> {
    let text = generated.expose().as_bytes();
    if text.len() < GENERATED_CHARACTERS || !text.iter().all(u8::is_ascii_alphanumeric) {
        return Err(KeysError::Key);
    }
    let (salt, info) = DERIVATION;
    let extracted = Salt::new(HKDF_SHA256, salt).extract(text);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let filled = extracted
        .expand(&[info], &AES_256_GCM)
        .and_then(|derived| derived.fill(key.as_mut_slice()));
    filled.map_err(|_| KeysError::Key)?;
    key_of(key.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_and_distinct_keys_are_accepted() {
        let key = STANDARD.encode([7; 32]);
        let one = |id: &str, key: &str| format!(r#"{{"id":"{id}","key":"{key}"}}"#);
        let all = |entries: &[String]| format!(r#"{{"keys":[{}]}}"#, entries.join(","));
        let random = "a1B2".repeat(16);
        let generated = |text: &str| format!(r#"{{"keys":[],"generated":"{text}"}}"#);
        let seal_with = |id: &str| {
            let keys = all(&[one("a", &key), one("b", &key)]);
            keys.replacen('{', &format!(r#"{{"seal_with":"{id}","#), 1)
        };
        let (short, long) = (STANDARD.encode([7; 31]), STANDARD.encode([7; 33]));
        let many: Vec<String> = (0..=MAX_KEYS).map(|n| one(&n.to_string(), &key)).collect();
        let rows: Vec<(String, Result<usize, KeysError>)> = vec![
            (all(&[one("2026-11", &key)]), Ok(1)),
            (all(&[one("b", &key), one("a", &key)]), Ok(2)),
            (all(&many[1..]), Ok(MAX_KEYS)),
            (generated(&random), Ok(1)),
            (
                generated(&random).replace("[]", &format!("[{}]", one("b", &key))),
                Ok(2),
            ),
            (format!(r#"{{"generated":"{random}"}}"#), Ok(1)),
            (all(&many), Err(KeysError::Number)),
            (all(&[]), Err(KeysError::Number)),
            ("{}".to_owned(), Err(KeysError::Number)),
            (String::new(), Err(KeysError::Malformed)),
            (key.clone(), Err(KeysError::Malformed)),
            ("null".to_owned(), Err(KeysError::Malformed)),
            (
                all(&[one("a", &key)]).replace("keys", "Keys"),
                Err(KeysError::Malformed),
            ),
            (
                all(&[one("a", &key)]).replace("\"id\"", "\"kid\""),
                Err(KeysError::Malformed),
            ),
            (all(&[one("a", &key), one("a", &key)]), Err(KeysError::Id)),
            (seal_with("b"), Ok(2)),
            (seal_with(GENERATED), Err(KeysError::Id)),
            (seal_with(""), Err(KeysError::Id)),
            (all(&[one("", &key)]), Err(KeysError::Id)),
            (all(&[one("a b", &key)]), Err(KeysError::Id)),
            (all(&[one("\u{e4}", &key)]), Err(KeysError::Id)),
            (all(&[one(GENERATED, &key)]), Err(KeysError::Id)),
            (all(&[one(&"x".repeat(33), &key)]), Err(KeysError::Id)),
            (all(&[one("a", &short)]), Err(KeysError::Key)),
            (all(&[one("a", &long)]), Err(KeysError::Key)),
            (all(&[one("a", "")]), Err(KeysError::Key)),
            (all(&[one("a", "not base64!")]), Err(KeysError::Key)),
            (generated("short"), Err(KeysError::Key)),
            (generated(&format!("{random}!")), Err(KeysError::Key)),
        ];
        for (text, expected) in rows {
            let found = SealingKeys::from_json(&text).map(|keys| keys.keys.len());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn errors_quote_no_part_of_the_secret() {
        for text in [r#"{"keys":[{"id":"a","key":"hunter2"}]}"#, "hunter2"] {
            let error = SealingKeys::from_json(text).err().unwrap();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
