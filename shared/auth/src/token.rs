//! Parser for a compact JWS ([RFC 7515 section 7.1]); does not verify the signature.
//!
//! The parser is stricter than the RFC where leniency has led to attacks: size check first,
//! canonical base64url, unique member names, no header that changes the processing rules. The
//! header is not trusted: it only selects among the keys that the configured issuer publishes.
//!
//! [RFC 7515 section 7.1]: https://www.rfc-editor.org/rfc/rfc7515#section-7.1

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::json::{Ignored, Known, UniqueNames, Word};
use crate::jwks::Algorithm;
use crate::reason::DenyReason;
use crate::unverified_claims::{LARGEST_TOKEN_BYTES, UnverifiedClaims};

/// Default limit for the length of a token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The largest configurable limit, in bytes.
pub const LARGEST_MAX_TOKEN_BYTES: usize = LARGEST_TOKEN_BYTES;

/// A token whose signature has not been verified.
///
/// Only [`crate::Verifier`] can read the claims; other code sees only what it needs to find a key.
/// Deliberately without `Debug`: no part of a token belongs in a log.
pub struct UnverifiedToken<'a> {
    header: Header,
    claims: UnverifiedClaims,
    payload: String,
    signing_input: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> UnverifiedToken<'a> {
    /// Parses `BASE64URL(header).BASE64URL(payload).BASE64URL(signature)`.
    ///
    /// # Errors
    /// The [`DenyReason`] of the first violated rule.
    pub fn parse(text: &'a str) -> Result<Self, DenyReason> {
        Self::parse_within(text, MAX_TOKEN_BYTES)
    }

    /// Like [`UnverifiedToken::parse`], with a limit of `max_bytes`.
    ///
    /// # Errors
    /// As [`UnverifiedToken::parse`].
    pub fn parse_within(text: &'a str, max_bytes: usize) -> Result<Self, DenyReason> {
        use DenyReason::MalformedToken;

        if text.len() > max_bytes {
            return Err(MalformedToken);
        }
        let mut dots = memchr::memchr_iter(b'.', text.as_bytes());
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(MalformedToken);
        };
        let (signing_input, signature) = text.split_at(second);
        let (header, payload) = signing_input.split_at(first);
        let (payload, signature) = (without_dot(payload), without_dot(signature));
        if signature.is_empty() {
            return Err(MalformedToken);
        }
        let header = Header::parse(header)?;
        header.check()?;
        let payload = utf8(base64url(payload)?)?;
        Ok(Self {
            header,
            claims: from_json(&payload)?,
            payload,
            signing_input: signing_input.as_bytes(),
            signature: base64url(signature)?,
        })
    }

    /// The token's `iss`, for looking up the configured issuer that must equal it.
    #[must_use]
    pub fn unverified_issuer(&self) -> &str {
        &self.claims.issuer
    }

    /// The token's `kid`, to be looked up only in the key set of that issuer ([RFC 8725 section
    /// 3.10]).
    ///
    /// [RFC 8725 section 3.10]: https://www.rfc-editor.org/rfc/rfc8725#section-3.10
    #[must_use]
    pub fn unverified_kid(&self) -> &str {
        &self.header.kid
    }

    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        self.header.algorithm
    }

    pub(crate) fn signing_input(&self) -> &[u8] {
        self.signing_input
    }

    pub(crate) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The claims and their JSON text, for [`crate::Verifier`] only, after it has verified the
    /// signature.
    pub(crate) fn into_claims(self) -> (UnverifiedClaims, String) {
        (self.claims, self.payload)
    }
}

/// The segment without the preceding dot.
fn without_dot(segment: &str) -> &str {
    segment.strip_prefix('.').unwrap_or_default()
}

/// Decodes base64url without padding; the engine rejects other alphabets, white space and
/// non-canonical trailing bits.
fn base64url(segment: &str) -> Result<Vec<u8>, DenyReason> {
    URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| DenyReason::MalformedToken)
}

/// JSON is UTF-8 ([RFC 7515 section 2], [RFC 8725 section 3.7]).
///
/// [RFC 7515 section 2]: https://www.rfc-editor.org/rfc/rfc7515#section-2
/// [RFC 8725 section 3.7]: https://www.rfc-editor.org/rfc/rfc8725#section-3.7
fn utf8(bytes: Vec<u8>) -> Result<String, DenyReason> {
    String::from_utf8(bytes).map_err(|_| DenyReason::MalformedToken)
}

fn from_json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, DenyReason> {
    // A JSON error quotes its input, so it is not passed on.
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => DenyReason::InvalidClaims,
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => DenyReason::MalformedToken,
    })
}

/// The members of the JOSE header that the parser uses ([RFC 7515 section 4]).
///
/// [RFC 7515 section 4]: https://www.rfc-editor.org/rfc/rfc7515#section-4
struct Header {
    /// `None`: an unsupported algorithm, including `none`.
    algorithm: Option<Algorithm>,
    kid: String,
    unsupported: bool,
}

/// The longest header that is decoded without an allocation; Cognito's has about 110 characters.
const MAX_SHORT_HEADER_CHARS: usize = 512;

impl Header {
    fn parse(segment: &str) -> Result<Self, DenyReason> {
        if segment.len() > MAX_SHORT_HEADER_CHARS {
            return from_json(&utf8(base64url(segment)?)?);
        }
        let mut bytes = [0; MAX_SHORT_HEADER_CHARS];
        let length = URL_SAFE_NO_PAD
            .decode_slice(segment, &mut bytes)
            .map_err(|_| DenyReason::MalformedToken)?;
        let text = str::from_utf8(bytes.get(..length).unwrap_or_default());
        from_json(text.map_err(|_| DenyReason::MalformedToken)?)
    }

    fn check(&self) -> Result<(), DenyReason> {
        if self.unsupported {
            return Err(DenyReason::UnsupportedHeader);
        }
        if self.algorithm.is_none() {
            return Err(DenyReason::WrongAlgorithm);
        }
        if self.kid.is_empty() {
            return Err(DenyReason::UnknownKey);
        }
        Ok(())
    }
}

enum HeaderName {
    Alg,
    Kid,
    Typ,
    /// Members that change how a token must be processed: `crit` (section 4.1.11), `b64` ([RFC
    /// 7797]), `zip` and `enc` ([RFC 7516]), `cty` (a nested token, [RFC 7519 section 5.2]).
    ///
    /// [RFC 7516]: https://www.rfc-editor.org/rfc/rfc7516
    /// [RFC 7519 section 5.2]: https://www.rfc-editor.org/rfc/rfc7519#section-5.2
    /// [RFC 7797]: https://www.rfc-editor.org/rfc/rfc7797
    Unsupported,
    /// All other members are ignored, including `jwk`, `jku`, `x5u` and `x5c`.
    Ignored,
}

impl Known for HeaderName {
    fn of(name: &str) -> Self {
        match name {
            "alg" => Self::Alg,
            "kid" => Self::Kid,
            "typ" => Self::Typ,
            "crit" | "b64" | "zip" | "enc" | "cty" => Self::Unsupported,
            _ => Self::Ignored,
        }
    }

    fn place(&self) -> Option<u32> {
        match self {
            Self::Alg => Some(0),
            Self::Kid => Some(1),
            Self::Typ => Some(2),
            Self::Unsupported | Self::Ignored => None,
        }
    }
}

/// Whether it is `JWT` or the type of an access token ([RFC 9068 section 2.1]); any other type
/// belongs to another protocol's token ([RFC 8725 section 3.11]).
///
/// [RFC 8725 section 3.11]: https://www.rfc-editor.org/rfc/rfc8725#section-3.11
/// [RFC 9068 section 2.1]: https://www.rfc-editor.org/rfc/rfc9068#section-2.1
fn is_known_type(typ: &str) -> bool {
    ["JWT", "at+jwt", "application/at+jwt"]
        .iter()
        .any(|known| typ.eq_ignore_ascii_case(known))
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JOSE header")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut seen = UniqueNames::new();
                let (mut alg, mut kid, mut unsupported) = (None, None, false);
                while let Some(name) = map.next_key_seed(seen.next())? {
                    match name {
                        HeaderName::Alg => {
                            alg = Some(map.next_value_seed(Word(Algorithm::from_name))?);
                        }
                        HeaderName::Kid => kid = Some(map.next_value()?),
                        HeaderName::Typ => {
                            unsupported |= !map.next_value_seed(Word(is_known_type))?;
                        }
                        HeaderName::Unsupported => {
                            map.next_value::<Ignored>()?;
                            unsupported = true;
                        }
                        HeaderName::Ignored => {
                            map.next_value::<Ignored>()?;
                        }
                    }
                }
                seen.check()?;
                Ok(Header {
                    algorithm: alg.ok_or_else(|| A::Error::missing_field("alg"))?,
                    kid: kid.ok_or_else(|| A::Error::missing_field("kid"))?,
                    unsupported,
                })
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}
