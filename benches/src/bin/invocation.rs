//! Cost of a whole invocation, compared with a minimal authorizer for Node: CPU time from `exec` to
//! the first poll, and of a warm invocation.
//!
//! `make bench-invocation` builds both and runs this. Each is a process under the test kit's
//! Runtime API, reads the same store on the loopback interface, and has its keys in the
//! configuration. Only Gatehouse's evaluates Cedar policies and logs.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::path::Path;

use serde_json::{Value, json};
use testkit::{Binary, FakeAws, Pool};

const STARTS: usize = 15;
/// Enough invocations for Node's JIT compiler.
const WARM_UP: usize = 3_000;
const INVOCATIONS: usize = 3_000;
const PEER: &str = "peers/node-authorizer/bundle.cjs";

struct Cost {
    cold_ms: f64,
    warm_us: f64,
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
    let event = sample.replace("{{ACCESS_TOKEN}}", &pool.access_token().build());
    let event: Value = serde_json::from_str(&event).expect("an event");

    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join(PEER);
    let peer = peer.to_str().expect("a path");
    let ours = measure("authorizer", &environment, &event).await;
    let peer = measure(peer, &environment, &event).await;
    println!("| authorizer | CPU to the first poll, ms | CPU of a warm invocation, us |");
    println!("|---|---|---|");
    for (name, cost) in [("Gatehouse", &ours), ("Node", &peer)] {
        println!("| {name} | {:.1} | {:.0} |", cost.cold_ms, cost.warm_us);
    }
    println!(
        "| Node / Gatehouse | {:.1} | {:.1} |",
        peer.cold_ms / ours.cold_ms,
        peer.warm_us / ours.warm_us
    );
}

async fn measure(name: &str, environment: &[(&str, String)], event: &Value) -> Cost {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let binary = Binary::start(name, environment).await;
        starts.push(processor_ns(binary.pid()) / 1e6);
    }
    starts.sort_by(f64::total_cmp);

    let binary = Binary::start(name, environment).await;
    invoke(&binary, event, WARM_UP).await;
    let before = processor_ns(binary.pid());
    invoke(&binary, event, INVOCATIONS).await;
    let used = processor_ns(binary.pid()) - before;
    Cost {
        cold_ms: starts[STARTS / 2],
        warm_us: used / 1e3 / INVOCATIONS as f64,
    }
}

async fn invoke(binary: &Binary, event: &Value, times: usize) {
    let allowed = json!("Allow");
    for _ in 0..times {
        let answer = binary.invoke(event).await.answer();
        let statement = &answer["policyDocument"]["Statement"][0];
        assert_eq!(statement["Effect"], allowed, "{answer}");
    }
}

/// Nanoseconds of CPU time that all threads of a process have used so far.
fn processor_ns(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    threads
        .map(|thread| {
            let path = thread.expect("a thread").path().join("schedstat");
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let used = text.split(' ').next().and_then(|first| first.parse().ok());
            used.unwrap_or(0.0)
        })
        .sum()
}
