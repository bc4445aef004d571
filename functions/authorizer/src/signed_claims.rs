//! Claims of the token that `CONTEXT_CLAIMS` adds to the context as the token has them.
//!
//! A string, a number and a boolean keep their type, which REST APIs turn into text; a list or an
//! object, which API Gateway does not accept, is its JSON text. A value is passed on whole or
//! refuses the request: a backend could not tell a shortened value from a true one.
//! Source: AWS, "Output from an API Gateway Lambda authorizer".

use std::borrow::Cow;
use std::collections::BTreeMap;

use auth::{DenyReason, VerifiedClaims};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::context_claim::ContextClaim;

/// The longest value, in bytes: Cognito limits attributes to 2,048 characters.
pub const MAX_VALUE_BYTES: usize = 2_048;
/// The keys and values of all these claims together, in bytes: half of API Gateway's limit for the
/// whole response.
pub const MAX_BYTES: usize = 4_096;
/// The longest name in `CONTEXT_CLAIMS`, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// Every custom attribute of the token.
const ALL_CUSTOM: &str = "custom:*";
const CUSTOM: &str = "custom:";
/// JSON parsers round a number with more digits (RFC 8259, section 6).
const MAX_DIGITS: usize = 15;

/// Members of `requestContext.authorizer` and variables `$context.authorizer.*` with a meaning of
/// API Gateway's own.
/// Source: AWS, "Variables for data transformations for API Gateway", "Customize HTTP API access
/// logs".
const RESERVED: [&str; 11] = [
    "claims",
    "error",
    "iam",
    "integrationLatency",
    "integrationStatus",
    "jwt",
    "lambda",
    "latency",
    "principalId",
    "requestId",
    "status",
];

/// Why a name cannot be in `CONTEXT_CLAIMS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitName {
    /// It is empty or too long, has a control character or a `*`, or does not begin with a letter.
    Invalid,
    /// Its key has another meaning.
    Reserved,
    /// It, or another name with the same key, precedes.
    Twice,
}

impl UnfitName {
    /// Continues a sentence about the name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => {
                "is not a claim's name: it must begin with a letter, have at most 256 bytes and no \
                 `*`, except in `custom:*`"
            }
            Self::Reserved => "has a key that Gatehouse or API Gateway gives another meaning",
            Self::Twice => "has the key of an element before it",
        }
    }
}

/// How a claim becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As the token has it.
    Signed,
    /// A string, number or boolean, as text; absent for another type.
    Text,
    /// A list of strings, as JSON text; absent for another type.
    Strings,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SignedClaim {
    name: String,
    key: String,
    form: Form,
}

/// Which claims are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignedClaims {
    claims: Vec<SignedClaim>,
    all_custom: bool,
}

/// A member of the context.
pub(crate) struct Member<'c> {
    pub(crate) key: Cow<'c, str>,
    pub(crate) value: MemberValue<'c>,
}

/// A value of the context.
pub(crate) enum MemberValue<'c> {
    Text(Cow<'c, str>),
    /// A number or a boolean, with the token's own digits.
    Scalar(&'c RawValue),
}

impl MemberValue<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Scalar(scalar) => scalar.get(),
        }
    }
}

impl Serialize for MemberValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Scalar(scalar) => scalar.serialize(serializer),
        }
    }
}

/// The key of a claim: every character other than a letter or digit of ASCII and `_` is `_`.
/// Mapping templates and access logs cannot name others.
fn key_of(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

impl SignedClaims {
    /// Adds a name of `CONTEXT_CLAIMS`.
    pub(crate) fn add(&mut self, name: &str) -> Result<(), UnfitName> {
        if name == ALL_CUSTOM {
            if self.all_custom {
                return Err(UnfitName::Twice);
            }
            self.all_custom = true;
            return Ok(());
        }
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.len() <= MAX_NAME_BYTES
            && !name.contains(|c: char| c.is_control() || c == '*');
        if !is_name {
            return Err(UnfitName::Invalid);
        }
        let key = key_of(name);
        let is = |other: &str| key.eq_ignore_ascii_case(other);
        let mut reserved = RESERVED
            .into_iter()
            .chain(ContextClaim::ALL.map(ContextClaim::as_str));
        let form = match name {
            "roles" => Form::Strings,
            "tenant" => Form::Text,
            _ if is("roles") || is("tenant") || reserved.any(is) => {
                return Err(UnfitName::Reserved);
            }
            _ => Form::Signed,
        };
        if self.claims.iter().any(|claim| is(&claim.key)) {
            return Err(UnfitName::Twice);
        }
        let name = name.to_owned();
        self.claims.push(SignedClaim { name, key, form });
        Ok(())
    }

    /// The members for a caller: in the order of `CONTEXT_CLAIMS`, then by name.
    ///
    /// # Errors
    /// [`DenyReason::UnfitClaim`] if a value or all members are too long, if a value has a control
    /// character, which could split a header, or if two custom attributes have the same key, in any case.
    pub(crate) fn members<'c>(
        &'c self,
        claims: &'c VerifiedClaims,
    ) -> Result<Vec<Member<'c>>, DenyReason> {
        if self.claims.is_empty() && !self.all_custom {
            return Ok(Vec::new());
        }
        let mut signed = claims.signed_claims();
        let mut members = Vec::new();
        for SignedClaim { name, key, form } in &self.claims {
            let raw = signed.remove(name);
            if let Some(value) = raw.and_then(|raw| value_of(raw, *form)) {
                let key = Cow::Borrowed(key.as_str());
                members.push(Member { key, value });
            }
        }
        if self.all_custom {
            members.extend(self.custom(signed)?);
        }
        let mut bytes = 0;
        for Member { key, value } in &members {
            let text = value.text();
            if text.len() > MAX_VALUE_BYTES || text.contains(char::is_control) {
                return Err(DenyReason::UnfitClaim);
            }
            bytes += key.len() + text.len();
        }
        if bytes > MAX_BYTES {
            return Err(DenyReason::UnfitClaim);
        }
        Ok(members)
    }

    /// The custom attributes that are not named.
    fn custom<'c>(
        &self,
        signed: BTreeMap<String, &'c RawValue>,
    ) -> Result<Vec<Member<'c>>, DenyReason> {
        let mut members: Vec<Member<'c>> = Vec::new();
        let custom = signed
            .into_iter()
            .filter(|(name, _)| name.starts_with(CUSTOM));
        for (name, raw) in custom {
            let Some(value) = value_of(raw, Form::Signed) else {
                continue;
            };
            let key = key_of(&name);
            let is = |other: &str| key.eq_ignore_ascii_case(other);
            let is_named = self.claims.iter().any(|claim| is(&claim.key));
            if is_named || members.iter().any(|member| is(&member.key)) {
                return Err(DenyReason::UnfitClaim);
            }
            let key = Cow::Owned(key);
            members.push(Member { key, value });
        }
        Ok(members)
    }
}

/// The value of a claim in this form; `None` if the claim is `null`, or has another type.
fn value_of(raw: &RawValue, form: Form) -> Option<MemberValue<'_>> {
    let json = raw.get();
    let text = |text: &'_ str| serde_json::from_str::<String>(text).ok().map(Cow::Owned);
    let value = match (json.as_bytes().first()?, form) {
        (b'n', _) => return None,
        (b'[', Form::Strings) => {
            let strings: Vec<String> = serde_json::from_str(json).ok()?;
            MemberValue::Text(serde_json::to_string(&strings).ok()?.into())
        }
        (b'"', Form::Signed | Form::Text) => MemberValue::Text(text(json)?),
        (b'[' | b'{', Form::Signed) => MemberValue::Text(json.into()),
        (b'[' | b'{', Form::Text) | (_, Form::Strings) => return None,
        (_, Form::Text) => MemberValue::Text(json.into()),
        (_, Form::Signed) if digits(json) > MAX_DIGITS => MemberValue::Text(json.into()),
        (_, Form::Signed) => MemberValue::Scalar(raw),
    };
    Some(value)
}

/// The digits of a number before its exponent; 0 for a boolean.
fn digits(number: &str) -> usize {
    let digits = number.split(['e', 'E']).next().unwrap_or_default();
    digits.bytes().filter(u8::is_ascii_digit).count()
}
