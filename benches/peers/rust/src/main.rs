//! Prints the nanoseconds of processor time of one verification by two crates for Cognito's tokens, for each round. Standard input: the
//! material of `benches/src/bin/hot_path.rs`.
//!
//! Both crates fetch the keys from Cognito's own address before the first token, so `HTTPS_PROXY` must name a proxy that
//! answers for it.

use jsonwebtokens_cognito::KeySet;
use jwt_verify::{CognitoJwtVerifier, JwtVerifier};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

const REGION: &str = "us-east-1";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let material: Value = serde_json::from_reader(std::io::stdin()).expect("the material");
    let text = |name: &str| material[name].as_str().expect("text").to_owned();
    let (token, pool, client) = (text("token"), text("pool_id"), text("client_id"));
    let (rounds, calls) = match std::env::var_os("GATEHOUSE_QUICK") {
        Some(_) => (5, 200),
        None => (25, 2_000),
    };

    let keys = KeySet::new(REGION, pool.as_str()).expect("a key set");
    let access = keys
        .new_access_token_verifier(&[client.as_str()])
        .build()
        .expect("a verifier");
    keys.verify(&token, &access).await.expect("a valid token");
    let mut took = Vec::new();
    for _ in 0..rounds {
        let began = used_ns();
        for _ in 0..calls {
            keys.verify(&token, &access).await.expect("a valid token");
        }
        took.push((used_ns() - began) / f64::from(calls));
    }
    println!("{}", json!({"jsonwebtokens-cognito, verify": took}));

    let verifier =
        CognitoJwtVerifier::new_single_pool(REGION, &pool, &[client]).expect("a verifier");
    verifier
        .verify_access_token(&token)
        .await
        .expect("a valid token");
    let mut took = Vec::new();
    for _ in 0..rounds {
        let began = used_ns();
        for _ in 0..calls {
            verifier
                .verify_access_token(&token)
                .await
                .expect("a valid token");
        }
        took.push((used_ns() - began) / f64::from(calls));
    }
    println!("{}", json!({"jwt-verify, verify_access_token": took}));
}

/// Nanoseconds of processor time that this thread has used.
fn used_ns() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec as f64 * 1e9 + used.tv_nsec as f64
}
