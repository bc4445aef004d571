//! Key sets (RFC 7517).

use auth::{Algorithm, KeySet, KeySetError, MAX_KEY_SET_BYTES};
use serde_json::{Value, json};
use testkit::rows::keys::{self, OTHER_KID};
use testkit::{Pool, SigningKey};

fn parse(keys: &Value) -> Result<KeySet, KeySetError> {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes())
}

fn good() -> Value {
    good_as("good")
}

fn good_as(kid: &str) -> Value {
    Pool::ours().access_key.jwk(kid)
}

#[test]
fn skips_unusable_keys_and_keeps_the_others() {
    for row in keys::unusable_keys() {
        let set = parse(&json!([row.jwk, good()])).unwrap();
        assert_eq!(set.len(), 1, "{}: {:.80}", row.name, row.jwk);
        assert!(set.get("good").is_some(), "{}", row.name);
        let alone = parse(&json!([row.jwk]));
        assert_eq!(alone.err(), Some(KeySetError::NoUsableKey), "{}", row.name);
    }
}

/// An array could have the members in the order of the parser's.
#[test]
fn a_set_and_a_key_are_objects() {
    let jwk = good();
    let set = format!(" {}", json!({"keys": [jwk]}));
    assert!(KeySet::parse(set.as_bytes()).is_ok());
    let set = json!([[jwk]]).to_string();
    assert_eq!(
        KeySet::parse(set.as_bytes()).err(),
        Some(KeySetError::Malformed)
    );
    let names = [
        "kty", "kid", "alg", "use", "key_ops", "crv", "n", "e", "x", "y",
    ];
    let members = names.map(|name| jwk[name].clone());
    assert_eq!(
        parse(&json!([members])).err(),
        Some(KeySetError::NoUsableKey)
    );
}

#[test]
fn a_kid_may_have_256_bytes() {
    let long = |bytes| good_as(&"k".repeat(bytes));
    let set = parse(&json!([good(), long(256)])).unwrap();
    assert_eq!(set.len(), 2);
    assert!(!set.is_empty() && KeySet::default().is_empty());
    assert_eq!(parse(&json!([good(), long(257)])).unwrap().len(), 1);
}

#[test]
fn each_key_is_for_one_algorithm() {
    for (key, algorithm) in [
        (SigningKey::rsa(), Algorithm::Rs256),
        (SigningKey::p256(), Algorithm::Es256),
        (SigningKey::ed25519(), Algorithm::EdDsa),
    ] {
        let mut jwk = key.jwk("a");
        for alg in [Some(algorithm.as_str()), None] {
            match alg {
                Some(alg) => jwk["alg"] = json!(alg),
                None => drop(jwk.as_object_mut().unwrap().remove("alg")),
            }
            let set = parse(&json!([jwk])).unwrap();
            assert_eq!(set.get("a").unwrap().algorithm(), algorithm, "{alg:?}");
        }
        for other in ["RS256", "ES256", "EdDSA", "none", "HS256"] {
            if other != algorithm.as_str() {
                jwk["alg"] = json!(other);
                assert!(parse(&json!([jwk])).is_err(), "{algorithm:?} as {other}");
            }
        }
    }
}

#[test]
fn keys_of_other_types_do_not_verify_rsa_tokens() {
    for row in keys::keys_of_other_types() {
        let set = parse(&json!([row.jwk])).unwrap();
        assert_ne!(
            set.get(OTHER_KID).unwrap().algorithm(),
            Algorithm::Rs256,
            "{}",
            row.name
        );
    }
}

#[test]
fn ignores_different_keys_with_one_kid() {
    let (one, other) = (&Pool::ours().access_key, &Pool::ours().id_key);
    let rows = [
        (json!([one.jwk("a"), other.jwk("a"), good()]), false),
        (
            json!([other.jwk("a"), one.jwk("a"), one.jwk("a"), good()]),
            false,
        ),
        (json!([one.jwk("a"), one.jwk("a"), good()]), true),
    ];
    for (row, (keys, known)) in rows.iter().enumerate() {
        let set = parse(keys).unwrap();
        assert_eq!(set.get("a").is_some(), *known, "row {row}");
        assert!(set.get("good").is_some(), "row {row}");
    }
}

#[test]
fn kids_are_compared_byte_for_byte() {
    let set = parse(&json!([good()])).unwrap();
    for other in ["", "Good", "good ", "goo", "goodd", "g\u{43e}od"] {
        assert!(set.get(other).is_none(), "{other:?}");
    }
}

#[test]
fn rejects_documents_that_are_no_key_set() {
    let rows: [(&[u8], KeySetError); 12] = [
        (b"", KeySetError::Malformed),
        (b"<html>", KeySetError::Malformed),
        (b"{", KeySetError::Malformed),
        (b"null", KeySetError::Malformed),
        (b"[]", KeySetError::Malformed),
        (b"{}", KeySetError::Malformed),
        (br#"{"keys":{}}"#, KeySetError::Malformed),
        (br#"{"keys":null}"#, KeySetError::Malformed),
        (br#"{"keys":[],"keys":[]}"#, KeySetError::Malformed),
        (br#"{"keys":[]}x"#, KeySetError::Malformed),
        (b"{\"keys\":[\"\xff\"]}", KeySetError::Malformed),
        (br#"{"keys":[]}"#, KeySetError::NoUsableKey),
    ];
    for (document, expected) in rows {
        let name = String::from_utf8_lossy(document);
        assert_eq!(KeySet::parse(document).err(), Some(expected), "{name}");
    }
}

#[test]
fn the_size_limit_is_exact() {
    let set = |bytes: usize| {
        let document = json!({"keys": [good()]}).to_string();
        let padding = " ".repeat(bytes - document.len());
        document + &padding
    };
    let largest = set(MAX_KEY_SET_BYTES);
    assert_eq!(largest.len(), MAX_KEY_SET_BYTES);
    assert!(KeySet::parse(largest.as_bytes()).is_ok());
    let larger = set(MAX_KEY_SET_BYTES + 1);
    let error = KeySet::parse(larger.as_bytes()).err();
    assert_eq!(error, Some(KeySetError::TooLarge));
}
