//! Strict parser for the key sets that issuers publish ([RFC 7517]).
//!
//! An unusable or unacceptable key is skipped and does not affect the others. A set without any
//! usable key is rejected as a whole, so it cannot replace a good one.
//!
//! [RFC 7517]: https://www.rfc-editor.org/rfc/rfc7517

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The largest accepted key set, in bytes. Cognito's has two keys and 920 bytes.
pub const MAX_KEY_SET_BYTES: usize = 64 * 1024;

const MAX_KID_BYTES: usize = 256;

/// Supported signature algorithms ([RFC 7518 section 3.1], [RFC 8037]). Each key is for exactly one
/// of them ([RFC 8725 section 3.1]).
///
/// [RFC 7518 section 3.1]: https://www.rfc-editor.org/rfc/rfc7518#section-3.1
/// [RFC 8037]: https://www.rfc-editor.org/rfc/rfc8037
/// [RFC 8725 section 3.1]: https://www.rfc-editor.org/rfc/rfc8725#section-3.1
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits or more.
    Rs256,
    /// ECDSA on P-256 with SHA-256, in the fixed-length encoding of JWS.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The algorithm with exactly this `alg` value.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// Its `alg` value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A public key, parsed once, for one algorithm.
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// The only algorithm for which this key verifies signatures.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

/// Why a document was rejected as a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Longer than [`MAX_KEY_SET_BYTES`].
    #[error("the key set is too large")]
    TooLarge,
    /// Not a JSON object with a list named `keys`.
    #[error("not a key set")]
    Malformed,
    /// It contains no usable key.
    #[error("the key set has no usable key")]
    NoUsableKey,
}

/// The usable keys of one issuer, by `kid`.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: HashMap<String, Arc<VerifyingKey>>,
}

impl KeySet {
    /// Parses a JWK set ([RFC 7517 section 5]).
    ///
    /// Skips keys without `kid`, keys of another type or algorithm, encryption keys, weak keys, and
    /// all different keys that share a `kid`.
    ///
    /// # Errors
    /// [`KeySetError`] if no usable key is left.
    ///
    /// [RFC 7517 section 5]: https://www.rfc-editor.org/rfc/rfc7517#section-5
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }

        if document.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetError::TooLarge);
        }
        // Serde would fill the members from an array in order.
        let is_object = |json: &[u8]| json.trim_ascii_start().starts_with(b"{");
        let document: Document<'_> = Some(document)
            .filter(|json| is_object(json))
            .and_then(|json| serde_json::from_slice(json).ok())
            .ok_or(KeySetError::Malformed)?;
        // `None`: two different keys share this `kid`.
        let mut keys: HashMap<String, Option<(Jwk, Arc<VerifyingKey>)>> = HashMap::new();
        let members = document.keys.into_iter().map(RawValue::get);
        for json in members.filter(|json| is_object(json.as_bytes())) {
            let Ok(jwk) = serde_json::from_str::<Jwk>(json) else {
                continue;
            };
            let Some((kid, key)) = jwk.usable() else {
                continue;
            };
            let known = keys
                .entry(kid)
                .or_insert_with(|| Some((jwk.clone(), Arc::new(key))));
            if known.as_ref().is_some_and(|(known, _)| *known != jwk) {
                *known = None;
            }
        }
        let keys: HashMap<_, _> = keys
            .into_iter()
            .filter_map(|(kid, entry)| entry.map(|(_, key)| (kid, key)))
            .collect();
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey);
        }
        Ok(Self { keys })
    }

    /// The key with this `kid`.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&Arc<VerifyingKey>> {
        self.keys.get(kid)
    }

    /// Number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the set has no keys: true for the default value only.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// The members of a JWK that this parser uses ([RFC 7517 section 4], [RFC 7518 section 6], [RFC
/// 8037]).
///
/// [RFC 7517 section 4]: https://www.rfc-editor.org/rfc/rfc7517#section-4
/// [RFC 7518 section 6]: https://www.rfc-editor.org/rfc/rfc7518#section-6
/// [RFC 8037]: https://www.rfc-editor.org/rfc/rfc8037
#[derive(Clone, PartialEq, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// The `kid` and the key, if this is a public key that verifies signatures.
    fn usable(&self) -> Option<(String, VerifyingKey)> {
        let kid = self.kid.as_ref()?;
        let for_signatures = self.r#use.as_deref().is_none_or(|usage| usage == "sig");
        let may_verify = self
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if kid.is_empty() || kid.len() > MAX_KID_BYTES || !for_signatures || !may_verify {
            return None;
        }
        let (algorithm, key) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => (Algorithm::Rs256, self.rsa()?),
            ("EC", Some("P-256")) => (Algorithm::Es256, self.p256()?),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, self.ed25519()?),
            _ => return None,
        };
        let said = self.alg.as_deref();
        said.is_none_or(|said| said == algorithm.as_str())
            .then(|| (kid.clone(), VerifyingKey { algorithm, key }))
    }

    fn rsa(&self) -> Option<ParsedPublicKey> {
        let n = unsigned(self.n.as_deref()?)?;
        let e = unsigned(self.e.as_deref()?)?;
        let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
        // NIST SP 800-56B section 6.2 requires e to be odd and above 2^16; aws-lc accepts at most
        // 33 bits.
        let exponent = e.iter().try_fold(0_u64, |sum, byte| {
            sum.checked_mul(256)?.checked_add((*byte).into())
        })?;
        let odd = n.last()? & 1 == 1 && exponent & 1 == 1;
        if !(2048..=8192).contains(&bits) || !(65_537..1 << 33).contains(&exponent) || !odd {
            return None;
        }
        RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .ok()
    }

    fn p256(&self) -> Option<ParsedPublicKey> {
        const UNCOMPRESSED: u8 = 4;
        let (x, y) = (
            fixed::<32>(self.x.as_deref()?)?,
            fixed::<32>(self.y.as_deref()?)?,
        );
        let point = [&[UNCOMPRESSED][..], &x, &y].concat();
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
    }

    fn ed25519(&self) -> Option<ParsedPublicKey> {
        ParsedPublicKey::new(&ED25519, fixed::<32>(self.x.as_deref()?)?).ok()
    }
}

/// `Base64urlUInt` ([RFC 7518 section 2]): big-endian, without leading zeros.
///
/// [RFC 7518 section 2]: https://www.rfc-editor.org/rfc/rfc7518#section-2
fn unsigned(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    bytes
        .first()
        .is_some_and(|byte| *byte != 0)
        .then_some(bytes)
}

/// A coordinate of exactly `N` bytes.
fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
