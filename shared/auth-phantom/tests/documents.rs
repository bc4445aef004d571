//! The document of signing keys: what is read, what is published, and each error.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod common;

use auth_phantom::{MAX_DOCUMENT_BYTES, MAX_KEYS, SigningAlgorithm, SigningKeys, SigningKeysError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{START, document, ed25519, entry, p256};
use serde_json::{Value, json};

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn error(document: &str) -> SigningKeysError {
    SigningKeys::from_json(document).err().unwrap()
}

fn with(name: &str, value: impl Into<Value>) -> String {
    let mut changed = entry("b", "ES256", &p256(), START.0);
    changed[name] = value.into();
    document(&[entry("a", "EdDSA", &ed25519(), START.0), changed])
}

#[test]
fn the_key_pairs_of_the_rfcs_are_published_as_the_rfcs_print_them() {
    let keys = document(&[
        entry("a", "EdDSA", &ed25519(), START.0),
        entry("b", "ES256", &p256(), START.0),
    ]);
    let jwks: Value = serde_json::from_str(SigningKeys::from_json(&keys).unwrap().jwks()).unwrap();
    // RFC 8037 appendix A.2, and RFC 7515 appendix A.3.1.
    let expected = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
         "use": "sig", "alg": "EdDSA", "kid": "a"},
        {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
         "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "use": "sig", "alg": "ES256", "kid": "b"},
    ]});
    assert_eq!(jwks, expected);
}

#[test]
fn a_document_survives_reading_and_writing() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        let keys = SigningKeys::first(algorithm, START).unwrap();
        let read = SigningKeys::from_json(keys.to_json().expose()).unwrap();
        assert_eq!(read.jwks(), keys.jwks());
        assert_eq!(read.list(START), keys.list(START));
        assert_eq!(read.to_json().expose(), keys.to_json().expose());
        assert_eq!(read.list(START)[0].algorithm, algorithm);
        // RFC 7638: SHA-256 in base64url.
        assert_eq!(read.list(START)[0].kid.len(), 43);
    }
}

#[test]
fn pem_and_version_2_of_pkcs8_are_the_same_keys() {
    let plain = with("kid", "b");
    let plain = SigningKeys::from_json(&plain).unwrap();
    let in_pem = with("private_key", pem("PRIVATE KEY", &p256()));
    assert_eq!(
        SigningKeys::from_json(&in_pem).unwrap().jwks(),
        plain.jwks()
    );

    // RFC 5958: version 1 with the public key.
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(&ed25519()).unwrap();
    let second = pair.to_pkcs8().unwrap();
    assert!(second.as_ref().len() > ed25519().len());
    let of = |der: &[u8]| {
        let keys = SigningKeys::from_json(&document(&[entry("a", "EdDSA", der, START.0)]));
        keys.unwrap().jwks().to_owned()
    };
    assert_eq!(of(second.as_ref()), of(&ed25519()));
}

#[test]
fn each_malformed_document_has_its_error() {
    use SigningKeysError::{
        Algorithm, DuplicateKey, DuplicateKid, Empty, Entry, Kid, Malformed, PrivateKey, TooLarge,
        TooManyKeys,
    };
    let one = entry("a", "EdDSA", &ed25519(), START.0);
    let many: Vec<Value> = (0..=MAX_KEYS).map(|_| one.clone()).collect();
    let without = |name: &str| {
        let mut entry = one.clone();
        entry.as_object_mut().unwrap().remove(name);
        document(&[entry])
    };
    let twice = document(std::slice::from_ref(&one)).replace(r#""kid""#, r#""kid":"z","kid""#);
    let mut damaged = p256();
    damaged[40] ^= 1;
    let sec1 = &p256()[27..];
    let zero = [&p256()[..36], &[0; 32], &p256()[68..]].concat();
    for (text, expected) in [
        (String::new(), Malformed),
        ("null".to_owned(), Malformed),
        ("[]".to_owned(), Malformed),
        ("{}".to_owned(), Malformed),
        (r#"{"keys": {}}"#.to_owned(), Malformed),
        (r#"{"keys": [], "more": 1}"#.to_owned(), Malformed),
        (r#"{"keys": [], "keys": []}"#.to_owned(), Malformed),
        (document(std::slice::from_ref(&one)) + "{}", Malformed),
        (
            format!("\u{feff}{}", document(std::slice::from_ref(&one))),
            Malformed,
        ),
        (" ".repeat(MAX_DOCUMENT_BYTES + 1), TooLarge),
        (r#"{"keys": []}"#.to_owned(), Empty),
        (document(&many), TooManyKeys),
        (r#"{"keys": [1]}"#.to_owned(), Entry(1)),
        (without("kid"), Entry(1)),
        (without("alg"), Entry(1)),
        (without("private_key"), Entry(1)),
        (without("not_before"), Entry(1)),
        (twice, Entry(1)),
        (with("kid", 1), Entry(2)),
        (with("alg", Value::Null), Entry(2)),
        (with("private_key", json!([1])), Entry(2)),
        (with("not_before", "1800000000"), Entry(2)),
        (with("not_before", -1), Entry(2)),
        (with("not_before", 0), Entry(2)),
        (with("not_befor", 1), Entry(2)),
        (with("kid", ""), Kid(2)),
        (with("kid", "b b"), Kid(2)),
        (with("kid", "b\n"), Kid(2)),
        (with("kid", "é"), Kid(2)),
        (with("kid", "x".repeat(65)), Kid(2)),
        (with("kid", "a"), DuplicateKid(2)),
        (with("alg", "none"), Algorithm(2)),
        (with("alg", "es256"), Algorithm(2)),
        (with("alg", "ES384"), Algorithm(2)),
        (with("alg", "RS256"), Algorithm(2)),
        (with("alg", "HS256"), Algorithm(2)),
        (with("alg", "EdDSA"), PrivateKey(2)),
        (with("private_key", ""), PrivateKey(2)),
        (with("private_key", "?"), PrivateKey(2)),
        (
            with("private_key", STANDARD.encode(ed25519())),
            PrivateKey(2),
        ),
        (
            with("private_key", STANDARD.encode(&damaged)),
            PrivateKey(2),
        ),
        (with("private_key", STANDARD.encode(&zero)), PrivateKey(2)),
        (with("private_key", STANDARD.encode(sec1)), PrivateKey(2)),
        (
            with("private_key", STANDARD.encode(&p256()[..100])),
            PrivateKey(2),
        ),
        (
            with("private_key", pem("EC PRIVATE KEY", sec1)),
            PrivateKey(2),
        ),
        (
            with("private_key", pem("ENCRYPTED PRIVATE KEY", &p256())),
            PrivateKey(2),
        ),
        (
            with("private_key", pem("PUBLIC KEY", &p256())),
            PrivateKey(2),
        ),
        (
            with("private_key", pem("PRIVATE KEY", &p256()[..100])),
            PrivateKey(2),
        ),
        (with("private_key", "-----BEGIN"), PrivateKey(2)),
        (
            document(&[one.clone(), entry("b", "EdDSA", &ed25519(), START.0 + 1)]),
            DuplicateKey(2),
        ),
    ] {
        assert_eq!(error(&text), expected, "{text:.300}");
    }
}

#[test]
fn no_error_and_no_published_text_contains_a_private_key() {
    let secret = STANDARD.encode(p256());
    let found = error(&with("private_key", format!("{secret}=")));
    let text = format!("{found} {found:?}");
    assert!(!text.contains(&secret[40..60]), "{text}");
    let keys = SigningKeys::from_json(&with("kid", "b")).unwrap();
    assert!(!keys.jwks().contains("\"d\""));
    assert!(!keys.jwks().contains("jpsQnnGQmL"));
    assert!(!format!("{:?}", keys.list(START)).contains("jpsQnnGQmL"));
}
