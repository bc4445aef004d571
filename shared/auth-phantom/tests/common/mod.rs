//! A gateway and the backends behind it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses a part; a test that cannot go on has failed"
)]

use auth::{
    Algorithm, DenyReason, Issuer, IssuerKind, KeySet, TokenRules, TrustedIssuer, UnixSeconds,
    VerifiedClaims,
};
use auth_phantom::{Minter, SigningKeys};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, TokenData, Validation};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://auth.example.com";
pub(crate) const START: UnixSeconds = UnixSeconds(1_800_000_000);

/// A minter of these keys, with a lifetime of 60 seconds.
pub(crate) fn minter(keys: SigningKeys) -> Minter {
    Minter::new(ISSUER.to_owned(), keys, 60).unwrap()
}

/// The decision of a backend that uses the crate `auth`, has this key set, and is `audience`.
pub(crate) fn accepted(
    token: &str,
    jwks: &str,
    audience: &str,
    now: UnixSeconds,
) -> Result<VerifiedClaims, DenyReason> {
    let trusted = TrustedIssuer {
        issuer: Issuer {
            id: "gateway".into(),
            alias: Some("gateway".into()),
            url: ISSUER.to_owned(),
            algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
            audiences: vec![audience.to_owned()],
            kind: IssuerKind::Oidc,
            clients: Vec::new(),
            takes_id_tokens: false,
            max_lifetime_seconds: auth_phantom::MAX_TTL_SECONDS,
        },
        keys: KeySet::parse(jwks.as_bytes()).unwrap(),
    };
    auth::verify(token, &[trusted], &TokenRules::default(), now)
}

/// The decision of a backend that uses the crate `jsonwebtoken`, by the system's clock.
pub(crate) fn accepted_by_jsonwebtoken(
    token: &str,
    jwks: &str,
    audience: &str,
) -> jsonwebtoken::errors::Result<TokenData<Value>> {
    let header = jsonwebtoken::decode_header(token)?;
    let set: JwkSet = serde_json::from_str(jwks)?;
    let key = DecodingKey::from_jwk(set.find(&header.kid.unwrap()).unwrap())?;
    let mut validation = Validation::new(header.alg);
    validation.leeway = 0;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    jsonwebtoken::decode(token, &key, &validation)
}

/// A part of a token: 0 is the header, 1 the claims.
pub(crate) fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The `kid` in the header.
pub(crate) fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

/// The key pair of RFC 8037, appendix A, as PKCS#8.
pub(crate) fn ed25519() -> Vec<u8> {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let head = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    [head.to_vec(), seed.unwrap()].concat()
}

/// The key pair of RFC 7515, appendix A.3, as PKCS#8.
pub(crate) fn p256() -> Vec<u8> {
    let number = |text| URL_SAFE_NO_PAD.decode(text).unwrap();
    let head = b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\
        \x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d\x30\x6b\x02\x01\x01\x04\x20";
    let d = number("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
    let x = number("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    let y = number("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    [&head[..], &d, b"\xa1\x44\x03\x42\x00\x04", &x, &y].concat()
}

/// An element of the document.
pub(crate) fn entry(kid: &str, alg: &str, der: &[u8], not_before: u64) -> Value {
    json!({"kid": kid, "alg": alg, "private_key": STANDARD.encode(der), "not_before": not_before})
}

/// The document of these elements.
pub(crate) fn document(entries: &[Value]) -> String {
    json!({ "keys": entries }).to_string()
}
