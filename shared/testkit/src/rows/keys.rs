//! Keys that an issuer may publish (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::keys::SigningKey;
use crate::pool::Pool;
use crate::token::base64url;

/// Entries of a key set that are unusable for a user pool's tokens. Those that have a `kid` have
/// this one; their other entries are from the pool's ID key.
pub const OTHER_KID: &str = "other";

/// An entry of a key set.
pub struct KeyRow {
    /// What is special about it.
    pub name: &'static str,
    /// The entry.
    pub jwk: Value,
}

/// Entries that no key set may accept.
#[must_use]
pub fn unusable_keys() -> Vec<KeyRow> {
    let with = |member: &str, value: Value| {
        let mut jwk = Pool::ours().id_key.jwk(OTHER_KID);
        jwk[member] = value;
        jwk
    };
    let good = Pool::ours().access_key.jwk(OTHER_KID);
    let n = good["n"].as_str().expect("a modulus");
    let point = |member: &str, value: &str| {
        let mut jwk = SigningKey::p256().jwk(OTHER_KID);
        jwk[member] = json!(value);
        jwk
    };
    let with_longer_x = |key: SigningKey| {
        let mut jwk = key.jwk(OTHER_KID);
        let x = jwk["x"].as_str().expect("a coordinate");
        let mut bytes = URL_SAFE_NO_PAD.decode(x).expect("base64url");
        bytes.push(0);
        jwk["x"] = json!(base64url(bytes));
        jwk
    };
    let rows = [
        ("a number", json!(7)),
        ("null", json!(null)),
        (
            "symmetric key",
            json!({"kty": "oct", "kid": OTHER_KID, "k": "AAAA"}),
        ),
        ("incomplete key", json!({"kty": "RSA"})),
        ("key for encryption", with("use", json!("enc"))),
        ("key operation encrypt", with("key_ops", json!(["encrypt"]))),
        ("alg RS512", with("alg", json!("RS512"))),
        ("alg PS256", with("alg", json!("PS256"))),
        ("short modulus", with("n", json!(&n[..170]))),
        ("leading zeros", with("n", json!(format!("AAAA{n}")))),
        ("padded modulus", with("n", json!(format!("{n}==")))),
        ("exponent 1", with("e", json!("AQ"))),
        ("exponent 3", with("e", json!("Aw"))),
        ("even exponent", with("e", json!("AQAA"))),
        ("exponent above 33 bits", with("e", json!("AgAAAAE"))),
        ("exponent with a leading zero", with("e", json!("AAEAAQ"))),
        ("null as kid", with("kid", json!(null))),
        ("empty kid", with("kid", json!(""))),
        ("kid of 257 bytes", with("kid", json!("k".repeat(257)))),
        ("another curve", point("crv", "P-384")),
        ("a coordinate of 3 bytes", point("y", "AAAA")),
        (
            "a point that is not on the curve",
            point("y", &base64url([0; 32])),
        ),
        (
            "P-256 coordinate of 33 bytes",
            with_longer_x(SigningKey::p256()),
        ),
        (
            "Ed25519 key of 33 bytes",
            with_longer_x(SigningKey::ed25519()),
        ),
    ];
    rows.map(|(name, jwk)| KeyRow { name, jwk }).into()
}

/// Usable keys for other algorithms than a user pool's.
#[must_use]
pub fn keys_of_other_types() -> Vec<KeyRow> {
    let rows = [
        ("P-256", SigningKey::p256()),
        ("Ed25519", SigningKey::ed25519()),
    ];
    rows.map(|(name, key)| KeyRow {
        name,
        jwk: key.jwk(OTHER_KID),
    })
    .into()
}
