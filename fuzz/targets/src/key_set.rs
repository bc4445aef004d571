//! A JWK set: its keys verify the tokens of their owner, and no other.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use auth::{Algorithm, Issuer, KeySet, TokenRules, UnverifiedToken, Verifier};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testkit::{Pool, SigningKey, TokenBuilder};

use crate::edit::edited;
use crate::input::Input;
use crate::world::{AT, access_claims, user_pool};

/// Each a key's `kid` and algorithm.
const KINDS: [(&str, &str); 3] = [("rsa", "RS256"), ("p256", "ES256"), ("ed25519", "EdDSA")];

struct Keys {
    verifier: Verifier,
    document: Value,
    /// For each kind the member of the JWK that is the key itself, and a token of that key.
    right: Vec<(&'static str, String, String)>,
    /// Tokens of keys that are in no set.
    foreign: Vec<(&'static str, String)>,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let new = || [SigningKey::rsa(), SigningKey::p256(), SigningKey::ed25519()];
        let (own, others) = (new(), new());
        let token = |key: &SigningKey, (kid, alg): (&str, &str)| {
            TokenBuilder::new(&json!({"kid": kid, "alg": alg}), &access_claims(AT), key).build()
        };
        let jwks = own.iter().zip(KINDS).map(|(key, (kid, _))| key.jwk(kid));
        let jwks: Vec<Value> = jwks.collect();
        let issuer = Issuer {
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
            ..user_pool()
        };
        let material = |jwk: &Value| {
            let text = jwk["n"].as_str().or(jwk["x"].as_str());
            text.expect("a key").to_owned()
        };
        Keys {
            right: own
                .iter()
                .zip(KINDS)
                .zip(&jwks)
                .map(|((key, kind), jwk)| (kind.0, material(jwk), token(key, kind)))
                .collect(),
            foreign: others
                .iter()
                .zip(KINDS)
                .map(|(key, kind)| (kind.0, token(key, kind)))
                .collect(),
            document: json!({"keys": jwks, "issuer": Pool::ours().issuer()}),
            verifier: Verifier::new(vec![issuer], TokenRules::default()),
        }
    })
}

/// Runs the target.
///
/// # Panics
/// A set verifies the token of a key that it does not contain, or its keys depend on their order.
pub fn run(bytes: &[u8]) {
    let keys = keys();
    let mut input = Input::new(bytes);
    let document = match input.below(2) {
        0 => input.rest().to_vec(),
        _ => edited(&keys.document, input.rest()).into_bytes(),
    };
    let Ok(set) = KeySet::parse(&document) else {
        return;
    };
    assert!(!set.is_empty());
    let verifies = |set: &KeySet, token: &str| {
        let token = UnverifiedToken::parse(token).expect("a token");
        let issuer = keys.verifier.issuer_of(&token).expect("its issuer");
        set.get(token.unverified_kid())
            .is_some_and(|key| keys.verifier.verify(token, issuer, key, AT).is_ok())
    };
    for (kid, token) in &keys.foreign {
        assert!(
            !verifies(&set, token),
            "{kid}: the token of another key is accepted"
        );
    }
    // A member that no key has may be a number that other readers refuse.
    let Ok(read) = serde_json::from_slice::<Value>(&document) else {
        return;
    };
    let listed = read["keys"].as_array().expect("a list of keys");
    assert!(set.len() <= listed.len());
    for (kid, material, token) in &keys.right {
        let contains = |jwk: &Value| {
            let same = |name: &str| jwk[name].as_str() == Some(material.as_str());
            jwk["kid"] == *kid && (same("n") || same("x"))
        };
        let is_verified = verifies(&set, token);
        assert!(
            !is_verified || listed.iter().any(contains),
            "{kid}: a key that is not in the set"
        );
    }
    let members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(&document).expect("an object");
    let mut reversed: Vec<&RawValue> = serde_json::from_str(members["keys"].get()).expect("a list");
    reversed.reverse();
    let reversed = serde_json::to_string(&reversed).expect("JSON");
    let reversed = format!(r#"{{"keys":{reversed}}}"#);
    let reversed = KeySet::parse(reversed.as_bytes()).expect("the same keys");
    assert_eq!(reversed.len(), set.len(), "the order of the keys");
    for (kid, _, token) in &keys.right {
        assert_eq!(reversed.get(kid).is_some(), set.get(kid).is_some(), "{kid}");
        assert_eq!(verifies(&reversed, token), verifies(&set, token), "{kid}");
    }
}
