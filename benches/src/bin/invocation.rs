//! Cost of a warm invocation, compared with minimal authorizers for Node and Python: CPU time, the time until the
//! answer, and instructions.
//!
//! Each function is a process under the test kit's Runtime API, reads the same store on the loopback interface, and has
//! its keys in the configuration. Only Gatehouse's evaluates Cedar policies and logs. An expired token is verified and
//! refused before the store is read.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::path::Path;
use std::time::Instant;

use benches::output::{Spread, percentile, repeat, result};
use benches::process::{cpu_ns, instructions};
use serde_json::{Value, json};
use testkit::token::now;
use testkit::{Binary, FakeAws, Pool};

/// The numbers of invocations whose difference in instructions is measured.
const COUNTED: [usize; 2] = [100, 400];

struct Subject {
    name: &'static str,
    binary: String,
    event: Value,
    allowed: bool,
    /// Compiled ahead of time, so that its instructions can be counted.
    compiled: bool,
}

#[tokio::main]
async fn main() {
    let pool = Pool::ours();
    let store = FakeAws::start().await;
    let environment = [
        ("USER_POOL_ID", pool.id.to_owned()),
        ("APP_CLIENT_IDS", pool.client_id.to_owned()),
        ("REVOCATION_TABLE", "revocations".to_owned()),
        ("JWKS", pool.jwks().to_string()),
        ("AWS_ENDPOINT_URL_DYNAMODB", store.url()),
        ("PATH", std::env::var("PATH").expect("PATH")),
    ];
    let sample = include_str!("../../../events/authorizer/rest-request.json");
    let event = |token: &str| -> Value {
        serde_json::from_str(&sample.replace("{{ACCESS_TOKEN}}", token)).expect("an event")
    };
    let valid = event(&pool.access_token().build());
    let past = now() - 3_600;
    let expired = pool.access_token();
    let expired = expired
        .claim("iat", past - 60)
        .claim("auth_time", past - 60)
        .claim("exp", past);
    let expired = event(&expired.build());
    let peer = |file: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("peers")
            .join(file);
        path.to_str().expect("a path").to_owned()
    };
    let whoami = include_str!("../../../events/whoami/with-authorizer.json");
    let subjects = [
        Subject {
            name: "whoami (a hello-world)",
            binary: "whoami".to_owned(),
            event: serde_json::from_str(whoami).expect("an event"),
            allowed: false,
            compiled: true,
        },
        Subject {
            name: "Gatehouse, without the store: an expired token",
            binary: "authorizer".to_owned(),
            event: expired.clone(),
            allowed: false,
            compiled: true,
        },
        Subject {
            name: "Gatehouse",
            binary: "authorizer".to_owned(),
            event: valid.clone(),
            allowed: true,
            compiled: true,
        },
        Subject {
            name: "Node, without the store: an expired token",
            binary: peer("node-authorizer/bundle.cjs"),
            event: expired,
            allowed: false,
            compiled: false,
        },
        Subject {
            name: "Node",
            binary: peer("node-authorizer/bundle.cjs"),
            event: valid.clone(),
            allowed: true,
            compiled: false,
        },
        Subject {
            name: "Python",
            binary: peer("python/authorizer.py"),
            event: valid,
            allowed: true,
            compiled: false,
        },
    ];
    println!("| function | CPU of an invocation, us | p50, us | p99, us | instructions |");
    println!("|---|---|---|---|---|");
    for subject in &subjects {
        measure(subject, &environment).await;
    }
}

async fn measure(subject: &Subject, environment: &[(&str, String)]) {
    let Subject { name, binary, .. } = subject;
    let batches = repeat(15, 3);
    let in_batch = repeat(400, 50);
    let running = Binary::start(binary, environment).await;
    // Enough invocations for Node's JIT compiler.
    let mut took = Vec::new();
    invoke(&running, subject, repeat(3_000, 100), &mut took).await;
    took.clear();
    let (mut used, printed) = (Vec::new(), running.output().len());
    for _ in 0..batches {
        let before = cpu_ns(running.pid());
        invoke(&running, subject, in_batch, &mut took).await;
        used.push((cpu_ns(running.pid()) - before) / 1e3 / in_batch as f64);
    }
    let log_bytes = (running.output().len() - printed) as f64 / took.len() as f64;
    took.sort_by(f64::total_cmp);
    let cpu = Spread::of(used);
    let (p50, p99) = (percentile(&took, 50), percentile(&took, 99));
    let counted = match subject.compiled {
        true => count(subject, environment).await,
        false => None,
    };
    let shown = counted.map_or("-".to_owned(), |n| format!("{n:.0}"));
    println!(
        "| {name} | {:.0} | {p50:.0} | {p99:.0} | {shown} |",
        cpu.median
    );
    result(
        "warm",
        &json!({"name": name, "cpu_us": cpu, "p50_us": p50, "p99_us": p99, "invocations": took.len(),
            "instructions": counted, "log_bytes": log_bytes}),
    );
}

/// Instructions of one invocation.
async fn count(subject: &Subject, environment: &[(&str, String)]) -> Option<f64> {
    let mut counts = Vec::new();
    for times in COUNTED {
        let work = async |binary: Binary| {
            invoke(&binary, subject, times, &mut Vec::new()).await;
            binary
        };
        counts.push(instructions(&subject.binary, environment, work).await?);
    }
    Some((counts[1] - counts[0]) / (COUNTED[1] - COUNTED[0]) as f64)
}

/// Invokes the function, and adds the microseconds of each invocation to `took`.
async fn invoke(binary: &Binary, subject: &Subject, times: usize, took: &mut Vec<f64>) {
    let event = subject.event.to_string();
    for _ in 0..times {
        let began = Instant::now();
        let outcome = binary.invoke_raw(event.clone()).await;
        took.push(began.elapsed().as_secs_f64() * 1e6);
        if subject.allowed {
            let answer = outcome.answer();
            let effect = &answer["policyDocument"]["Statement"][0]["Effect"];
            assert_eq!(effect, "Allow", "{answer}");
        } else if subject.binary != "whoami" {
            assert!(
                !matches!(outcome, testkit::Invocation::Answer(_)),
                "an expired token is refused"
            );
        }
    }
}
