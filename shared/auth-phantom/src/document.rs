//! Parser and writer for the document of signing keys: what a secret or a file holds.

use std::collections::HashSet;

use auth::{Secret, UnixSeconds};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::{Zeroize, Zeroizing};

/// The largest accepted document, in bytes: what a secret of Secrets Manager can hold.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024;
/// The largest number of keys. Two are enough for a rotation.
pub const MAX_KEYS: usize = 8;

const MAX_KID_BYTES: usize = 64;

/// Why a document was rejected as a set of signing keys. Keys are counted from 1. No variant contains a part of the
/// document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeysError {
    /// Longer than [`MAX_DOCUMENT_BYTES`].
    #[error("the key set is longer than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
    /// Not a JSON object with a list named `keys`, and nothing else.
    #[error("the key set is not a JSON object with a list `keys`, and nothing else")]
    Malformed,
    /// The list is empty.
    #[error("the key set has no key")]
    Empty,
    /// More than [`MAX_KEYS`] keys.
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooManyKeys,
    /// An element is not an object of `kid`, `alg`, `private_key` and `not_before`, or a member has the wrong type.
    #[error(
        "key {0} is not an object with the strings `kid`, `alg` and `private_key` and the number `not_before`, and \
         nothing else"
    )]
    Entry(usize),
    /// `kid` is not 1 to 64 letters, digits, `-`, `_`, `.` or `~`.
    #[error(
        "the `kid` of key {0} is not 1 to {MAX_KID_BYTES} letters, digits, `-`, `_`, `.` or `~`"
    )]
    Kid(usize),
    /// Another key has the same `kid`.
    #[error("the `kid` of key {0} is that of an earlier key")]
    DuplicateKid(usize),
    /// `alg` is neither `ES256` nor `EdDSA`.
    #[error("the `alg` of key {0} is neither ES256 nor EdDSA")]
    Algorithm(usize),
    /// `private_key` is not PKCS#8, as PEM or as base64 of its DER, or not of the type that `alg` needs.
    #[error(
        "the `private_key` of key {0} is not an unencrypted PKCS#8 key of its `alg` (PEM, or base64 of the DER)"
    )]
    PrivateKey(usize),
    /// Another key is the same key pair under another `kid`: to withdraw one of them would have no effect.
    #[error("key {0} is the same key pair as an earlier key")]
    DuplicateKey(usize),
}

/// A key of the document, well-formed; its `alg` and its private key are still to be read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) kid: String,
    pub(crate) alg: String,
    private_key: Secret,
    pub(crate) not_before: UnixSeconds,
}

impl Entry {
    /// The DER of the private key.
    pub(crate) fn der(&self) -> Option<Zeroizing<Vec<u8>>> {
        let text = self.private_key.expose().trim();
        if !text.starts_with("-----") {
            return STANDARD.decode(text).ok().map(Zeroizing::new);
        }
        let mut key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).ok()?;
        let der = Zeroizing::new(key.secret_pkcs8_der().to_vec());
        key.zeroize();
        Some(der)
    }
}

/// The keys of `document`, with their numbers.
pub(crate) fn entries(document: &str) -> Result<Vec<(usize, Entry)>, SigningKeysError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }

    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(SigningKeysError::TooLarge);
    }
    // A JSON error may quote its input, so it is not passed on.
    let document: Document<'_> =
        serde_json::from_str(document).map_err(|_| SigningKeysError::Malformed)?;
    if document.keys.is_empty() {
        return Err(SigningKeysError::Empty);
    }
    if document.keys.len() > MAX_KEYS {
        return Err(SigningKeysError::TooManyKeys);
    }
    let mut kids = HashSet::new();
    let mut entries = Vec::with_capacity(document.keys.len());
    for (number, raw) in (1..).zip(document.keys) {
        let entry: Entry =
            serde_json::from_str(raw.get()).map_err(|_| SigningKeysError::Entry(number))?;
        if !is_kid(&entry.kid) {
            return Err(SigningKeysError::Kid(number));
        }
        if !kids.insert(entry.kid.clone()) {
            return Err(SigningKeysError::DuplicateKid(number));
        }
        entries.push((number, entry));
    }
    Ok(entries)
}

fn is_kid(kid: &str) -> bool {
    // The unreserved characters of RFC 3986: they need no escape in JSON, a URL or a log.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    (1..=MAX_KID_BYTES).contains(&kid.len()) && kid.bytes().all(fits)
}

/// A key as the document holds it.
pub(crate) struct Written<'a> {
    pub(crate) kid: &'a str,
    pub(crate) alg: &'static str,
    pub(crate) der: &'a [u8],
    pub(crate) not_before: UnixSeconds,
}

/// The document of these keys.
pub(crate) fn write<'a>(keys: impl Iterator<Item = Written<'a>>) -> Secret {
    #[derive(Serialize)]
    struct Document<'a> {
        keys: Vec<Entry<'a>>,
    }
    #[derive(Serialize)]
    struct Entry<'a> {
        kid: &'a str,
        alg: &'static str,
        private_key: &'a str,
        not_before: u64,
    }

    let keys: Vec<(Written<'_>, Zeroizing<String>)> = keys
        .map(|key| {
            let text = Zeroizing::new(STANDARD.encode(key.der));
            (key, text)
        })
        .collect();
    let entries = keys.iter().map(|(key, private_key)| Entry {
        kid: key.kid,
        alg: key.alg,
        private_key,
        not_before: key.not_before.0,
    });
    let document = Document {
        keys: entries.collect(),
    };
    // Allocated once: a buffer that grows would leave copies in freed memory.
    let mut text = Vec::with_capacity(MAX_DOCUMENT_BYTES);
    // Strings and numbers, written to memory, are always serialized, as UTF-8.
    let _ = serde_json::to_writer_pretty(&mut text, &document);
    Secret::new(String::from_utf8(text).unwrap_or_default())
}
