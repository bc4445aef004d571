//! Builder for valid tokens and for tokens with single defects.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::keys::SigningKey;

/// The current time in seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs()
}

/// Base64url without padding.
#[must_use]
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token builder. Start from [`crate::Pool::access_token`] and change one property.
#[derive(Clone)]
pub struct TokenBuilder<'k> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    key: &'k SigningKey,
}

impl<'k> TokenBuilder<'k> {
    /// A token with these members, signed by `key`.
    #[must_use]
    pub fn new(header: &Value, claims: &Value, key: &'k SigningKey) -> Self {
        Self {
            header: header.as_object().expect("an object").clone(),
            claims: claims.as_object().expect("an object").clone(),
            key,
        }
    }

    /// Sets a claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a claim.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a header member.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a header member.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Signs with another key.
    #[must_use]
    pub fn signed_by<'o>(self, key: &'o SigningKey) -> TokenBuilder<'o> {
        TokenBuilder {
            header: self.header,
            claims: self.claims,
            key,
        }
    }

    /// The value of a claim; `null` if it is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> &Value {
        self.claims.get(name).unwrap_or(&Value::Null)
    }

    /// The header as JSON text.
    #[must_use]
    pub fn header_json(&self) -> String {
        Value::Object(self.header.clone()).to_string()
    }

    /// The claims as JSON text.
    #[must_use]
    pub fn claims_json(&self) -> String {
        Value::Object(self.claims.clone()).to_string()
    }

    /// The signed token.
    #[must_use]
    pub fn build(&self) -> String {
        self.build_raw(self.header_json(), self.claims_json())
    }

    /// A token with these bytes, JSON or not, and a valid signature.
    #[must_use]
    pub fn build_raw(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        self.sign(format!("{}.{}", base64url(header), base64url(claims)))
    }

    /// A token with this signing input, well-formed or not, and a valid signature.
    #[must_use]
    pub fn sign(&self, signing_input: String) -> String {
        let alg = self.header.get("alg").and_then(Value::as_str);
        let signature = self
            .key
            .sign(alg.unwrap_or("RS256"), signing_input.as_bytes());
        signing_input + "." + &base64url(signature)
    }
}
