//! A compact JWS (RFC 7515 section 7.1), taken apart but not believed.
//!
//! The reader is stricter than the RFC where leniency has been an attack: size first, canonical
//! base64url, one spelling per member, no header that changes the rules. It trusts nothing: the
//! header only chooses among keys that the configured issuer publishes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::claims::UnverifiedClaims;
use crate::json::{Ignored, Known, UniqueNames, Word};
use crate::jwks::Algorithm;
use crate::reason::Reason;

/// The longest token that is looked at, unless the configuration says otherwise.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The most that it may say: API Gateway takes 10,240 bytes of headers in all.
pub const LARGEST_MAX_TOKEN_BYTES: usize = 10_240;

/// A token whose signature nobody has checked.
///
/// Only [`crate::Verifier`] looks at the claims; everybody else sees what is needed to find a
/// key. There is no `Debug` on purpose: nothing of a token belongs in a log.
pub struct UnverifiedToken<'a> {
    header: Header,
    claims: UnverifiedClaims,
    payload: String,
    signing_input: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes `text` apart: `BASE64URL(header).BASE64URL(payload).BASE64URL(signature)`.
    ///
    /// # Errors
    /// The first rule broken, as a [`Reason`].
    pub fn parse(text: &'a str) -> Result<Self, Reason> {
        Self::parse_within(text, MAX_TOKEN_BYTES)
    }

    /// The same for a text of at most `max_bytes`.
    ///
    /// # Errors
    /// As [`UnverifiedToken::parse`].
    pub fn parse_within(text: &'a str, max_bytes: usize) -> Result<Self, Reason> {
        use Reason::MalformedToken;

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

    /// The issuer that the token names, to find the configured one that it must equal.
    #[must_use]
    pub fn unverified_issuer(&self) -> &str {
        &self.claims.issuer
    }

    /// The key that the token names, to be looked up in that issuer's own set and nowhere else
    /// (RFC 8725 section 3.10).
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

    /// The claims and the text that they were read from, for [`crate::Verifier`] alone, once it
    /// has checked the signature.
    pub(crate) fn into_claims(self) -> (UnverifiedClaims, String) {
        (self.claims, self.payload)
    }
}

/// A segment, of which the dot before it is no part.
fn without_dot(segment: &str) -> &str {
    segment.strip_prefix('.').unwrap_or_default()
}

/// Base64url without padding; other alphabets, white space and non-canonical last bits are
/// refused by the engine.
fn base64url(segment: &str) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| Reason::MalformedToken)
}

/// JSON is UTF-8 (RFC 7515 section 2, RFC 8725 section 3.7).
fn utf8(bytes: Vec<u8>) -> Result<String, Reason> {
    String::from_utf8(bytes).map_err(|_| Reason::MalformedToken)
}

fn from_json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Reason> {
    // A JSON error quotes its input, so it ends here.
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Reason::InvalidClaims,
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => Reason::MalformedToken,
    })
}

/// The JOSE header (RFC 7515 section 4), as far as it may matter.
struct Header {
    /// `None`: an algorithm that nobody here signs with, `none` among them.
    algorithm: Option<Algorithm>,
    kid: String,
    unsupported: bool,
}

/// The longest header that is decoded without an allocation; Cognito's has some 110 characters.
const MAX_SHORT_HEADER_CHARS: usize = 512;

impl Header {
    fn parse(segment: &str) -> Result<Self, Reason> {
        if segment.len() > MAX_SHORT_HEADER_CHARS {
            return from_json(&utf8(base64url(segment)?)?);
        }
        let mut bytes = [0; MAX_SHORT_HEADER_CHARS];
        let length = URL_SAFE_NO_PAD
            .decode_slice(segment, &mut bytes)
            .map_err(|_| Reason::MalformedToken)?;
        let text = str::from_utf8(bytes.get(..length).unwrap_or_default());
        from_json(text.map_err(|_| Reason::MalformedToken)?)
    }

    fn check(&self) -> Result<(), Reason> {
        if self.unsupported {
            return Err(Reason::UnsupportedHeader);
        }
        if self.algorithm.is_none() {
            return Err(Reason::WrongAlgorithm);
        }
        if self.kid.is_empty() {
            return Err(Reason::UnknownKey);
        }
        Ok(())
    }
}

enum HeaderName {
    Alg,
    Kid,
    Typ,
    /// Members that change how a token is to be read: `crit` (section 4.1.11), `b64` (RFC 7797),
    /// `zip` and `enc` (RFC 7516), `cty` (a nested token, RFC 7519 section 5.2).
    Unsupported,
    /// Everything else, `jwk`, `jku`, `x5u` and `x5c` included, is as if it weren't there.
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

/// `JWT` or an access token's type (RFC 9068 section 2.1); any other type is another protocol's
/// token (RFC 8725 section 3.11).
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
