//! Cost of a phantom token, as ratios to a bare ES256 signature of the same run: minting it, and the
//! check of it by a service that uses the crate `auth`.
//!
//! Batches of the baseline and of the measured call alternate; the ratio is that of the medians.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::hint::black_box;

use auth::{
    Algorithm, Issuer, IssuerKind, KeySet, TokenRules, TrustedIssuer, UnixSeconds, VerifiedClaims,
};
use auth_phantom::{DEFAULT_TTL_SECONDS, Minter, SigningAlgorithm, SigningKeys};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use benches::decision::Call;
use benches::output::{repeat, result};
use benches::timing::Rounds;
use serde_json::json;
use testkit::Pool;

const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "orders";

fn main() {
    let now = UnixSeconds(testkit::now());
    let floor = bare_signature();
    println!("| what | us | x bare ES256 signature |");
    println!("|---|---|---|");
    let mut rows: Vec<(String, Call)> = vec![
        ("bare ES256 signature".to_owned(), bare_signature()),
        ("the same, after parsing the key".to_owned(), with_parsing()),
    ];
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        for groups in [3, 100] {
            let keys = SigningKeys::first(algorithm, now).expect("keys");
            let minter = Minter::new(ISSUER.to_owned(), keys, DEFAULT_TTL_SECONDS);
            let minter = minter.expect("a minter");
            let claims = claims(groups, now);
            let token = minter.mint(&claims, AUDIENCE, now).expect("a token");
            let trusted = [trusted(&minter.jwks())];
            let name = |what| format!("{what}, {}, {groups} groups", algorithm.as_str());
            let mint = move || black_box(minter.mint(&claims, black_box(AUDIENCE), now)).is_ok();
            rows.push((name("mint"), Box::new(mint)));
            let check = move || {
                let rules = TokenRules::default();
                black_box(auth::verify(black_box(&token), &trusted, &rules, now)).is_ok()
            };
            rows.push((name("check"), Box::new(check)));
        }
    }
    let rounds = Rounds {
        batches: repeat(51, 5),
        calls: repeat(100, 20),
    };
    for (name, call) in &rows {
        assert!(call(), "{name} succeeds");
        let (nanoseconds, ratio) = rounds.measure(call, &floor);
        let us = nanoseconds.times(1e-3);
        println!("| {name} | {:.1} | {:.2} |", us.median, ratio.median);
        result("phantom", &json!({"name": name, "us": us, "ratio": ratio}));
    }
}

/// Signs 400 bytes with a parsed key: the minimum of any signer.
fn bare_signature() -> Call {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let random = SystemRandom::new();
    Box::new(move || black_box(key.sign(&random, black_box(&[b'x'; 400]))).is_ok())
}

/// The same from PKCS#8, as `jsonwebtoken` keeps a key.
fn with_parsing() -> Call {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let pkcs8 = key.to_pkcs8v1().expect("a document");
    let random = SystemRandom::new();
    Box::new(move || {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref());
        let key = key.expect("a key");
        black_box(key.sign(&random, black_box(&[b'x'; 400]))).is_ok()
    })
}

fn claims(groups: usize, now: UnixSeconds) -> VerifiedClaims {
    let pool = Pool::ours();
    let groups: Vec<String> = (0..groups).map(|it| format!("group-{it:03}")).collect();
    let token = pool.access_token().claim("cognito:groups", groups).build();
    let trusted = TrustedIssuer {
        issuer: Issuer::user_pool(
            pool.id.into(),
            pool.issuer(),
            vec![pool.client_id.to_owned()],
        ),
        keys: KeySet::parse(pool.jwks().to_string().as_bytes()).expect("keys"),
    };
    auth::verify(&token, &[trusted], &TokenRules::default(), now).expect("claims")
}

fn trusted(jwks: &str) -> TrustedIssuer {
    TrustedIssuer {
        issuer: Issuer {
            id: "gateway".into(),
            alias: Some("gateway".into()),
            url: ISSUER.to_owned(),
            algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
            audiences: vec![AUDIENCE.to_owned()],
            kind: IssuerKind::Oidc,
            clients: Vec::new(),
            takes_id_tokens: false,
            max_lifetime_seconds: DEFAULT_TTL_SECONDS,
        },
        keys: KeySet::parse(jwks.as_bytes()).expect("keys"),
    }
}
