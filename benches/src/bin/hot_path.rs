//! What a decision costs, as ratios to the bare RSA check of the same run.
//!
//! `make bench` builds it for release and runs it. Batches of the floor and of what is measured
//! alternate, so that both see the same machine; the ratio is that of the medians. Keys and
//! revocations are in memory: what is measured is our own work.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot be made ends here; what it prints is its result"
)]

use std::alloc::System;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use auth::{
    Effect, Issuer, KeySet, KeySource, Marks, Refusal, RevocationStore, Unavailable, UnixSeconds,
    UnverifiedToken, VerifiedClaims, Verifier, VerifyingKey,
};
use auth_dynamodb::DynamoApiKeys;
use authorizer::{ApiKeys, Authorizer, Config};
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda::Handler;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use testkit::Pool;
use testkit::token::now;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCH: usize = 200;
const BATCHES: usize = 101;

/// Keys that are there.
struct Keys(Arc<VerifyingKey>);

impl KeySource for Keys {
    async fn key_for(
        &self,
        _: &Issuer,
        _: &str,
        _: UnixSeconds,
    ) -> Result<Arc<VerifyingKey>, Refusal> {
        Ok(Arc::clone(&self.0))
    }
}

/// Nobody logged out.
struct NoMarks;

impl RevocationStore for NoMarks {
    async fn marks(&self, _: &VerifiedClaims, _: UnixSeconds) -> Result<Marks, Unavailable> {
        Ok(Marks::default())
    }
}

/// What the measured calls work on: made once, and handed to the processes whose instructions are
/// counted, so that they don't make keys.
#[derive(Serialize, Deserialize)]
struct Material {
    pool_id: String,
    client_id: String,
    kid: String,
    jwks: Value,
    jwk: Value,
    token: String,
}

impl Material {
    fn make() -> Self {
        let pool = Pool::ours();
        Self {
            pool_id: pool.id.to_owned(),
            client_id: pool.client_id.to_owned(),
            kid: pool.access_kid.to_owned(),
            jwks: pool.jwks(),
            jwk: pool.access_key.jwk(pool.access_kid),
            token: pool.access_token().build(),
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let material: Material = match arguments.first() {
        None => Material::make(),
        Some(json) => serde_json::from_str(json).expect("material"),
    };
    let token = material.token.clone();
    let config = || config(&material);
    let event = event(&token);

    let bare = bare_check(&material.jwk, token.clone());
    let keys = KeySet::parse(material.jwks.to_string().as_bytes()).expect("keys");
    let key = Arc::clone(keys.get(&material.kid).expect("a key"));
    let verifier = || {
        Verifier::new(
            config()
                .issuers
                .into_iter()
                .map(|(issuer, _)| issuer)
                .collect(),
            config().token_rules,
        )
    };
    let verify = {
        let (verifier, key) = (verifier(), Arc::clone(&key));
        move || {
            let token = UnverifiedToken::parse(black_box(&token)).expect("a token");
            let issuer = verifier.issuer_of(&token).expect("an issuer");
            let claims = verifier.verify(token, issuer, &key, UnixSeconds(now()));
            black_box(claims.is_ok())
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let no_api_keys = None::<ApiKeys<DynamoApiKeys>>;
    let authorizer = Authorizer::new(
        verifier(),
        Keys(key),
        NoMarks,
        no_api_keys,
        config().settings,
    );
    // Keys and marks are at hand, so one poll is the whole of it: no executor is measured.
    let _inside = runtime.enter();
    let decide = || {
        let decision = pin!(authorizer.handle(black_box(&event), "id"));
        let answer = decision.poll(&mut Context::from_waker(Waker::noop()));
        black_box(matches!(answer, Poll::Ready(Ok(_))))
    };
    let rules = config().settings.rules;
    let claims = claims(&verifier(), &material);
    let cedar = || {
        let question = auth_cedar::Request {
            verb: "GET",
            route: "/whoami",
            path_parameters: Vec::new(),
            source_ip: None,
            now: UnixSeconds(now()),
        };
        black_box(rules.decide(black_box(&claims), &question)) == Effect::Allow
    };
    assert!(
        bare() && verify() && decide() && cedar(),
        "all that is measured works"
    );

    let calls: [(&str, &dyn Fn() -> bool); 4] = [
        ("bare RSA-2048 check", &bare),
        ("token verified", &verify),
        ("REQUEST event to policy, Cedar included", &decide),
        ("Cedar's decision alone", &cedar),
    ];
    if let [_, at, times] = arguments.as_slice() {
        let (_, call) = calls[at.parse::<usize>().expect("a place in the list")];
        for _ in 0..times.parse::<u64>().expect("a number") {
            call();
        }
        return;
    }

    println!("| what | ns | x bare RSA check | allocations | instructions |");
    println!("|---|---|---|---|---|");
    let mut rows: Vec<Cost> = Vec::new();
    for (at, (name, call)) in calls.iter().enumerate() {
        let (nanoseconds, ratio) = measure(*call, &bare);
        let cost = Cost {
            nanoseconds,
            ratio,
            allocations: allocations(*call),
            instructions: instructions(&material, at),
        };
        println!("| {name} | {cost} |");
        rows.push(cost);
    }
    let (decided, ruled) = (&rows[2], &rows[3]);
    let rest = Cost {
        nanoseconds: decided.nanoseconds - ruled.nanoseconds,
        ratio: decided.ratio - ruled.ratio,
        allocations: decided.allocations.saturating_sub(ruled.allocations),
        instructions: decided
            .instructions
            .zip(ruled.instructions)
            .map(|(all, part)| all - part),
    };
    println!("| REQUEST event to policy, without it | {rest} |");
    let verified = rows[1].nanoseconds;
    if let Some(peer) = aws_jwt_verify(&material) {
        println!(
            "aws-jwt-verify's verifySync on Node: {peer:.0} ns, {:.2} times ours.",
            peer / verified
        );
    } else {
        println!("aws-jwt-verify is not installed: `npm ci` in benches/peers/aws-jwt-verify.");
    }
}

/// What one call costs.
struct Cost {
    nanoseconds: f64,
    /// To the bare RSA check.
    ratio: f64,
    allocations: usize,
    /// `None` without valgrind.
    instructions: Option<i64>,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let instructions = self.instructions.map_or("-".to_owned(), |n| n.to_string());
        let (nanoseconds, ratio, allocations) = (self.nanoseconds, self.ratio, self.allocations);
        write!(
            f,
            "{nanoseconds:.0} | {ratio:.2} | {allocations} | {instructions}"
        )
    }
}

/// Instructions of one call, counted by valgrind: this program once more, with more and with fewer
/// of them. They say what the noise of a shared machine hides.
fn instructions(material: &Material, at: usize) -> Option<i64> {
    const FEW: i64 = 20;
    const MANY: i64 = 220;
    let count = |times: i64| -> Option<i64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().ok()?)
            .arg(serde_json::to_string(material).ok()?)
            .args([at.to_string(), times.to_string()])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find(|line| line.contains("Collected :"))?;
        line.split_whitespace().last()?.parse().ok()
    };
    Some((count(MANY)? - count(FEW)?) / (MANY - FEW))
}

/// The claims that the rules are asked about.
fn claims(verifier: &Verifier, material: &Material) -> VerifiedClaims {
    let keys = KeySet::parse(material.jwks.to_string().as_bytes()).expect("keys");
    let key = keys.get(&material.kid).expect("a key");
    let token = UnverifiedToken::parse(&material.token).expect("a token");
    let issuer = verifier.issuer_of(&token).expect("an issuer");
    let claims = verifier.verify(token, issuer, key, UnixSeconds(now()));
    claims.expect("claims")
}

/// The signature alone, with a key that was parsed once: nobody can do less.
fn bare_check(jwk: &Value, token: String) -> impl Fn() -> bool {
    let part = |name: &str| {
        URL_SAFE_NO_PAD
            .decode(jwk[name].as_str().expect("text"))
            .expect("base64")
    };
    let key: ParsedPublicKey = RsaPublicKeyComponents {
        n: part("n"),
        e: part("e"),
    }
    .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
    .expect("a key");
    let (message, signature) = token.rsplit_once('.').expect("a token");
    let message = message.as_bytes().to_vec();
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    move || {
        key.verify_sig(black_box(&message), black_box(&signature))
            .is_ok()
    }
}

fn config(material: &Material) -> Config {
    let jwks = material.jwks.to_string();
    let lookup = |name: &str| match name {
        "USER_POOL_ID" => Some(material.pool_id.clone()),
        "APP_CLIENT_IDS" => Some(material.client_id.clone()),
        "REVOCATION_TABLE" => Some("revocations".to_owned()),
        "JWKS" => Some(jwks.clone()),
        "LOG_LEVEL" => Some("ERROR".to_owned()),
        _ => None,
    };
    Config::from_lookup(&lookup).expect("a configuration")
}

fn event(token: &str) -> Box<RawValue> {
    let sample = include_str!("../../../events/authorizer/rest-request.json");
    serde_json::from_str(&sample.replace("{{ACCESS_TOKEN}}", token)).expect("an event")
}

/// Nanoseconds of one call, and its ratio to the floor's, measured in turns.
fn measure(call: &dyn Fn() -> bool, floor: &dyn Fn() -> bool) -> (f64, f64) {
    let (mut calls, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..BATCHES {
        calls.push(batch(call));
        floors.push(batch(floor));
    }
    let (call, floor) = (median(calls), median(floors));
    (call, call / floor)
}

fn batch(call: &dyn Fn() -> bool) -> f64 {
    let began = Instant::now();
    for _ in 0..BATCH {
        black_box(call());
    }
    began.elapsed().as_nanos() as f64 / BATCH as f64
}

fn allocations(call: &dyn Fn() -> bool) -> usize {
    let region = Region::new(ALLOCATOR);
    black_box(call());
    let change = region.change();
    change.allocations + change.reallocations
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The peer's nanoseconds for the same kind of token, if it is installed.
fn aws_jwt_verify(material: &Material) -> Option<f64> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/aws-jwt-verify");
    let mut node = Command::new("node")
        .arg("measure.js")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let input = json!({"token": material.token, "jwks": material.jwks,
        "userPoolId": material.pool_id, "clientId": material.client_id});
    node.stdin
        .take()?
        .write_all(input.to_string().as_bytes())
        .ok()?;
    let output = node.wait_with_output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
