//! Compares the verifier with the crate `jsonwebtoken`. Gatehouse must refuse every token that
//! `jsonwebtoken` refuses; where only Gatehouse refuses, the reason must be in `STRICTER`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::sync::Arc;

use auth::{DenyReason, Issuer, KeySet, TokenRules, UnixSeconds, UnverifiedToken, Verifier};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::token::{base64url, now};
use testkit::{Pool, TokenBuilder};

/// Gatehouse's decision.
fn ours(token: &str) -> Result<(), DenyReason> {
    let pool = Pool::ours();
    let issuer = Issuer::user_pool(
        Arc::from(pool.id),
        pool.issuer(),
        vec![pool.client_id.to_owned()],
    );
    let keys = KeySet::parse(pool.jwks().to_string().as_bytes()).unwrap();
    let verifier = Verifier::new(vec![issuer], TokenRules::default());
    let token = UnverifiedToken::parse(token)?;
    let issuer = verifier.issuer_of(&token)?;
    let key = keys
        .get(token.unverified_kid())
        .ok_or(DenyReason::UnknownKey)?;
    verifier
        .verify(token, issuer, key, UnixSeconds(now()))
        .map(drop)
}

/// The decision of `jsonwebtoken` with its strictest settings.
fn theirs(token: &str) -> Option<Value> {
    let pool = Pool::ours();
    let header = jsonwebtoken::decode_header(token).ok()?;
    let keys: JwkSet = serde_json::from_value(pool.jwks()).unwrap();
    let key = DecodingKey::from_jwk(keys.find(&header.kid?)?).ok()?;
    let mut validation = Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.leeway = 0;
    validation.validate_nbf = true;
    validation.validate_aud = false;
    validation.set_issuer(&[pool.issuer()]);
    validation.set_required_spec_claims(&["exp", "iss", "sub"]);
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).ok()?;
    // It does not check Cognito's claims.
    let is = |name: &str, value: &str| claims.claims[name] == value;
    (is("token_use", "access") && is("client_id", pool.client_id)).then_some(claims.claims)
}

/// The checks that `jsonwebtoken` does not make.
const STRICTER: &[DenyReason] = &[
    // Unique names, types of known claims, length limits, canonical base64url.
    DenyReason::MalformedToken,
    DenyReason::InvalidClaims,
    // `crit`, `zip`, `b64` and a `typ` of another protocol.
    DenyReason::UnsupportedHeader,
    // `iat` in the future.
    DenyReason::NotYetValid,
    DenyReason::Delegated,
    DenyReason::NoSession,
    // An `aud` that is not the token's own client: bound to another resource.
    DenyReason::WrongAudience,
    // A list of issuers that contains the configured one.
    DenyReason::UnknownIssuer,
    // `exp` with a fraction of a second.
    DenyReason::Expired,
];

fn compare(token: &str, what: &str) {
    compare_twins(token, token, what);
}

/// Compares the decisions about two equivalent tokens.
fn compare_twins(to_us: &str, to_them: &str, what: &str) {
    let (ours, theirs) = (ours(to_us), theirs(to_them));
    match (&ours, &theirs) {
        // Tried again, because a second may have passed between the two checks.
        (Ok(()), None) if self::ours(to_us).is_ok() => panic!("only Gatehouse accepts {what}"),
        (Ok(()), None) => {}
        (Err(reason), Some(_)) => {
            assert!(
                STRICTER.contains(reason),
                "Gatehouse refuses {what}: {reason:?}"
            );
        }
        (Ok(()), Some(_)) | (Err(_), None) => {}
    }
}

fn odd_value() -> impl Strategy<Value = Value> {
    let now = now();
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..4_000_u64).prop_map(move |offset| json!(now - 2_000 + offset)),
        (-2.0..2.0_f64).prop_map(move |offset| json!(now as f64 + offset)),
        "[ -~]{0,12}".prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
        Just(json!(Pool::ours().issuer())),
        Just(json!([Pool::ours().issuer()])),
        Just(json!([])),
        Just(json!({})),
        prop::sample::select(vec![
            "RS256", "none", "HS256", "RS384", "ES256", "access", "id"
        ])
        .prop_map(Value::from),
    ]
}

fn claim() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "sub",
        "iss",
        "client_id",
        "aud",
        "origin_jti",
        "token_use",
        "scope",
        "auth_time",
        "exp",
        "iat",
        "nbf",
        "jti",
        "username",
        "cognito:groups",
        "act",
        "new",
    ])
}

fn member() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "alg", "kid", "typ", "crit", "zip", "enc", "cty", "b64", "jwk", "jku", "x5u", "x5c", "x",
    ])
}

proptest! {
    // A failure depends on the current time, so persisting it is useless.
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_on_arbitrary_claims(changes in prop::collection::vec((claim(), odd_value()), 1..3)) {
        let mut token = Pool::ours().access_token();
        for (name, value) in changes {
            token = token.claim(name, value);
        }
        compare(&token.build(), &token.claims_json());
    }

    #[test]
    fn agrees_on_arbitrary_headers(changes in prop::collection::vec((member(), odd_value()), 1..3)) {
        let mut token = Pool::ours().access_token();
        for (name, value) in changes {
            token = token.header(name, value);
        }
        // Signed as RS256 regardless of the header: other keys have their own test.
        let right = Pool::ours().access_token();
        let signed = right.build_raw(token.header_json(), token.claims_json());
        // Gatehouse ignores these members; `jsonwebtoken` refuses unexpected types.
        let plain = ["jwk", "jku", "x5u", "x5c", "x"].into_iter().fold(token.clone(), TokenBuilder::without_header);
        let twin = right.build_raw(plain.header_json(), plain.claims_json());
        compare_twins(&signed, &twin, &token.header_json());
    }

    #[test]
    fn agrees_on_changed_texts(place in any::<prop::sample::Index>(), with in "[ -~]{0,2}") {
        let token = Pool::ours().access_token().build();
        let place = place.index(token.len());
        let text = format!("{}{with}{}", &token[..place], &token[place + 1..]);
        compare(&text, &text);
    }

    #[test]
    fn agrees_on_arbitrary_payloads(bytes in prop::collection::vec(any::<u8>(), 0..60), cut in 0..400_usize) {
        let token: TokenBuilder<'_> = Pool::ours().access_token();
        let mut claims = token.claims_json().into_bytes();
        claims.truncate(cut);
        claims.extend(bytes);
        let signed = token.build_raw(token.header_json(), &claims);
        compare(&signed, &base64url(&claims));
    }
}

#[test]
fn the_oracle_agrees_on_a_good_token() {
    let token = Pool::ours().access_token();
    assert_eq!(ours(&token.build()), Ok(()));
    assert!(theirs(&token.build()).is_some());
}

/// With a clock that is far off, tokens are refused and nothing overflows.
#[test]
fn refuses_tokens_when_the_clock_is_far_off() {
    let pool = Pool::ours();
    let keys = KeySet::parse(pool.jwks().to_string().as_bytes()).unwrap();
    let issuer = Issuer::user_pool(
        Arc::from(pool.id),
        pool.issuer(),
        vec![pool.client_id.to_owned()],
    );
    let rules = TokenRules {
        leeway_seconds: 60,
        ..TokenRules::default()
    };
    let verifier = Verifier::new(vec![issuer.clone()], rules);
    for (at, expected) in [
        (0, DenyReason::NotYetValid),
        (1, DenyReason::NotYetValid),
        (4_102_444_800, DenyReason::Expired),
        (u64::MAX, DenyReason::Expired),
    ] {
        let text = pool.access_token().build();
        let token = UnverifiedToken::parse(&text).unwrap();
        let key = keys.get(pool.access_kid).unwrap();
        let verdict = verifier.verify(token, &issuer, key, UnixSeconds(at));
        assert_eq!(verdict.err(), Some(expected), "the clock says {at}");
    }
}
