//! The key pairs that sign phantom tokens: which one signs, which are published, and when one may go.
//!
//! A key is published before it signs, and signs no more before it is withdrawn. So a verifier that caches the key
//! set for as long as the response allows never receives a token whose key it does not have. See
//! [`PUBLISH_SECONDS`] and [`RETIRE_SECONDS`].

use std::collections::HashSet;

use auth::{Secret, UnixSeconds};
use aws_lc_rs::pkcs8::Document;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};

use crate::document::{self, MAX_KEYS, SigningKeysError, Written};

/// How old the keys of a process may be, in seconds: each process that mints or publishes reads them again at least
/// so often.
pub const RELOAD_SECONDS: u64 = 240;
/// For how long a verifier may keep the published key set, in seconds (`Cache-Control: max-age`).
pub const JWKS_MAX_AGE_SECONDS: u64 = 300;
/// For how many seconds a key is published before it signs.
pub const PUBLISH_SECONDS: u64 = 600;
/// How many seconds a rotation may take from the time that it is given until the new key is published. `not_before` is
/// so much later than that time.
pub const STORE_SECONDS: u64 = 60;
/// For how many seconds a key must have signed before those that it replaced are withdrawn.
pub const RETIRE_SECONDS: u64 = 600;

/// By how many seconds the clocks of the machines may differ.
pub(crate) const CLOCK_SECONDS: u64 = 60;
const _: () = assert!(
    PUBLISH_SECONDS >= RELOAD_SECONDS + JWKS_MAX_AGE_SECONDS + CLOCK_SECONDS,
    "a key must reach every verifier before it signs"
);

/// A signature algorithm of phantom tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256 ([RFC 7518 section 3.4]). Every JWT library has it.
    ///
    /// [RFC 7518 section 3.4]: https://www.rfc-editor.org/rfc/rfc7518#section-3.4
    Es256,
    /// Ed25519 ([RFC 8037 section 3.1]).
    ///
    /// [RFC 8037 section 3.1]: https://www.rfc-editor.org/rfc/rfc8037#section-3.1
    EdDsa,
}

impl SigningAlgorithm {
    /// The algorithm with exactly this `alg` value.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// Its `alg` value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) fn in_header(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }

    /// The PKCS#8 document `der` in version 1, which `jsonwebtoken` reads; `None` unless it is a valid key pair for
    /// this algorithm.
    fn read(self, der: &[u8]) -> Option<Document> {
        match self {
            Self::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
                .ok()?
                .to_pkcs8v1()
                .ok(),
            Self::EdDsa => Ed25519KeyPair::from_pkcs8(der).ok()?.to_pkcs8v1().ok(),
        }
    }

    fn generate(self) -> Option<Document> {
        match self {
            Self::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .ok()?
                .to_pkcs8v1()
                .ok(),
            Self::EdDsa => Ed25519KeyPair::generate().ok()?.to_pkcs8v1().ok(),
        }
    }

    fn encoding_key(self, der: &[u8]) -> EncodingKey {
        match self {
            Self::Es256 => EncodingKey::from_ec_der(der),
            Self::EdDsa => EncodingKey::from_ed_der(der),
        }
    }
}

/// A key pair with its `kid`. `jsonwebtoken` overwrites the private key in memory when it is dropped.
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) algorithm: SigningAlgorithm,
    not_before: UnixSeconds,
    pub(crate) private: EncodingKey,
    public: Jwk,
}

impl SigningKey {
    fn new(
        kid: Option<String>,
        algorithm: SigningAlgorithm,
        not_before: UnixSeconds,
        pkcs8: &Document,
    ) -> Option<Self> {
        let private = algorithm.encoding_key(pkcs8.as_ref());
        let mut public = Jwk::from_encoding_key(&private, algorithm.in_header()).ok()?;
        let kid = match kid {
            Some(kid) => kid,
            None => public.thumbprint(ThumbprintHash::SHA256).ok()?,
        };
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Some(Self {
            kid,
            algorithm,
            not_before,
            private,
            public,
        })
    }

    fn generate(algorithm: SigningAlgorithm, not_before: UnixSeconds) -> Option<Self> {
        Self::new(None, algorithm, not_before, &algorithm.generate()?)
    }

    fn signs_from(&self) -> UnixSeconds {
        self.not_before.plus(PUBLISH_SECONDS)
    }
}

/// What a key does at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, and will sign when it has been for [`PUBLISH_SECONDS`].
    Waiting,
    /// Signs all new tokens.
    Signing,
    /// Published for tokens that it signed before.
    Replaced,
}

impl KeyState {
    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Signing => "signing",
            Self::Replaced => "replaced",
        }
    }
}

/// What is public about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// `kid`.
    pub kid: String,
    /// `alg`.
    pub algorithm: SigningAlgorithm,
    /// When it was first published.
    pub not_before: UnixSeconds,
    /// When it signs for the first time.
    pub signs_from: UnixSeconds,
    /// What it does now.
    pub state: KeyState,
}

/// Why keys could not be generated or rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The `not_before` of a key is more than [`STORE_SECONDS`] later than now: the clock is wrong, or the key set is.
    #[error("the `not_before` of a key is in the future: check the clock, and the key set")]
    FromTheFuture,
    /// The set has [`MAX_KEYS`] keys, of which none may be withdrawn yet.
    #[error(
        "the key set already has {MAX_KEYS} keys, of which none may be withdrawn yet: wait until a newer one has \
         signed for {RETIRE_SECONDS} seconds"
    )]
    TooManyKeys,
    /// The system's random number generator failed.
    #[error("no key could be generated")]
    Generation,
}

/// The key pairs of phantom tokens. No `Debug`.
pub struct SigningKeys {
    keys: Vec<SigningKey>,
    jwks: String,
}

impl SigningKeys {
    /// Reads the document
    /// `{"keys": [{"kid": "..", "alg": "ES256" | "EdDSA", "private_key": "<PKCS#8>", "not_before": 1764150000}]}`.
    ///
    /// `private_key` is PEM, or base64 of the DER; `not_before` is by when the key was in the published document, in
    /// seconds since 1970. A document with one unusable key is rejected as a whole: other processes may sign with that key.
    ///
    /// # Errors
    /// The first problem; it contains no part of the document.
    pub fn from_json(document: &str) -> Result<Self, SigningKeysError> {
        let mut public = HashSet::new();
        let mut keys = Vec::new();
        for (number, entry) in document::entries(document)? {
            let algorithm = SigningAlgorithm::from_name(&entry.alg)
                .ok_or(SigningKeysError::Algorithm(number))?;
            let key = entry
                .der()
                .and_then(|der| algorithm.read(&der))
                .and_then(|pkcs8| {
                    SigningKey::new(Some(entry.kid), algorithm, entry.not_before, &pkcs8)
                })
                .ok_or(SigningKeysError::PrivateKey(number))?;
            if !public.insert(key.public.algorithm.clone()) {
                return Err(SigningKeysError::DuplicateKey(number));
            }
            keys.push(key);
        }
        Ok(Self::of(keys))
    }

    /// A new set of one key that signs at once: for the first set, which no verifier can have cached another one of,
    /// or in place of keys that were stolen. Its `kid` is its thumbprint ([RFC 7638]).
    ///
    /// # Errors
    /// [`RotationError::Generation`].
    ///
    /// [RFC 7638]: https://www.rfc-editor.org/rfc/rfc7638
    pub fn first(algorithm: SigningAlgorithm, now: UnixSeconds) -> Result<Self, RotationError> {
        let not_before = UnixSeconds(now.0.saturating_sub(PUBLISH_SECONDS).max(1));
        let key = SigningKey::generate(algorithm, not_before).ok_or(RotationError::Generation)?;
        Ok(Self::of(vec![key]))
    }

    /// Adds a new key, whose `not_before` is [`STORE_SECONDS`] after `now`: the document must have replaced the
    /// published one by then. The key will sign [`PUBLISH_SECONDS`] later. Withdraws the keys whose last tokens have
    /// expired: those older than the signing key, if that has signed for [`RETIRE_SECONDS`].
    ///
    /// # Errors
    /// [`RotationError`]; nothing was changed then.
    pub fn rotated(
        self,
        algorithm: SigningAlgorithm,
        now: UnixSeconds,
    ) -> Result<Self, RotationError> {
        let not_before = now.plus(STORE_SECONDS);
        // Another rotation may have added one a moment ago.
        if self.keys.iter().any(|key| key.not_before > not_before) {
            return Err(RotationError::FromTheFuture);
        }
        let settled = self
            .signing_key(now)
            .filter(|key| now >= key.signs_from().plus(RETIRE_SECONDS))
            .map(|key| key.not_before);
        let is_needed = |key: &SigningKey| settled.is_none_or(|since| key.not_before >= since);
        let key = SigningKey::generate(algorithm, not_before).ok_or(RotationError::Generation)?;
        let others = self.keys.into_iter().filter(is_needed);
        let keys: Vec<SigningKey> = std::iter::once(key).chain(others).collect();
        if keys.len() > MAX_KEYS {
            return Err(RotationError::TooManyKeys);
        }
        Ok(Self::of(keys))
    }

    fn of(keys: Vec<SigningKey>) -> Self {
        let set = JwkSet {
            keys: keys.iter().map(|key| key.public.clone()).collect(),
        };
        // Strings are always serialized.
        let jwks = serde_json::to_string(&set).unwrap_or_default();
        Self { keys, jwks }
    }

    /// The public keys as a JWK set ([RFC 7517 section 5]), each with `kid`, `alg` and `use`. To be served as
    /// `application/jwk-set+json` with a `max-age` of at most [`JWKS_MAX_AGE_SECONDS`].
    ///
    /// [RFC 7517 section 5]: https://www.rfc-editor.org/rfc/rfc7517#section-5
    #[must_use]
    pub fn jwks(&self) -> &str {
        &self.jwks
    }

    /// The document that [`SigningKeys::from_json`] reads, with private keys in base64.
    #[must_use]
    pub fn to_json(&self) -> Secret {
        document::write(self.keys.iter().map(|key| Written {
            kid: &key.kid,
            alg: key.algorithm.as_str(),
            der: key.private.as_bytes(),
            not_before: key.not_before,
        }))
    }

    /// What each key does at `now`, in the order of the document.
    #[must_use]
    pub fn list(&self, now: UnixSeconds) -> Vec<KeyInfo> {
        let signing = self.signing_key(now).map(|key| key.kid.as_str());
        let info = |key: &SigningKey| KeyInfo {
            kid: key.kid.clone(),
            algorithm: key.algorithm,
            not_before: key.not_before,
            signs_from: key.signs_from(),
            state: if signing == Some(&key.kid) {
                KeyState::Signing
            } else if key.signs_from() > now {
                KeyState::Waiting
            } else {
                KeyState::Replaced
            },
        };
        self.keys.iter().map(info).collect()
    }

    /// The newest key that has been published for [`PUBLISH_SECONDS`]; of two with the same `not_before` the first.
    pub(crate) fn signing_key(&self, now: UnixSeconds) -> Option<&SigningKey> {
        let published = self.keys.iter().filter(|key| key.signs_from() <= now);
        published.rev().max_by_key(|key| key.not_before)
    }
}
