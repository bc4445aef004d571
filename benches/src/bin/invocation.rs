//! Cost of a warm invocation, compared with minimal authorizers for Node and Python: CPU time, the time until the
//! answer, and instructions.
//!
//! Each function is a process under the test kit's Runtime API, reads the same store on the loopback interface, and has
//! its keys in the configuration. Only Gatehouse's evaluates Cedar policies and logs. An expired token is verified and
//! refused before the store is read.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::path::Path;

use benches::output::{Spread, percentile, repeat, result};
use benches::warm::{self, Expected, batch, invoke, whoami_event};
use serde_json::{Value, json};
use testkit::{Binary, FakeAws};

struct Subject {
    name: &'static str,
    binary: String,
    event: Value,
    expected: Expected,
    /// Compiled ahead of time, so that its instructions can be counted.
    compiled: bool,
}

#[tokio::main]
async fn main() {
    let store = FakeAws::start().await;
    let environment = warm::environment(&store);
    let [valid, expired] = warm::events();
    let peer = |file: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("peers")
            .join(file);
        path.to_str().expect("a path").to_owned()
    };
    let subjects = [
        Subject {
            name: "whoami (a hello-world)",
            binary: "whoami".to_owned(),
            event: whoami_event(),
            expected: Expected::Anything,
            compiled: true,
        },
        Subject {
            name: "Gatehouse, without the store: an expired token",
            binary: "authorizer".to_owned(),
            event: expired.clone(),
            expected: Expected::Refusal,
            compiled: true,
        },
        Subject {
            name: "Gatehouse",
            binary: "authorizer".to_owned(),
            event: valid.clone(),
            expected: Expected::Allow,
            compiled: true,
        },
        Subject {
            name: "Node, without the store: an expired token",
            binary: peer("node-authorizer/bundle.cjs"),
            event: expired,
            expected: Expected::Refusal,
            compiled: false,
        },
        Subject {
            name: "Node",
            binary: peer("node-authorizer/bundle.cjs"),
            event: valid.clone(),
            expected: Expected::Allow,
            compiled: false,
        },
        Subject {
            name: "Python",
            binary: peer("python/authorizer.py"),
            event: valid,
            expected: Expected::Allow,
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
    let Subject {
        name,
        binary,
        event,
        expected,
        ..
    } = subject;
    let running = Binary::start(binary, environment).await;
    // Enough invocations for Node's JIT compiler.
    let mut took = Vec::new();
    invoke(&running, event, *expected, repeat(3_000, 100), &mut took).await;
    took.clear();
    let (mut used, printed) = (Vec::new(), running.output().len());
    for _ in 0..repeat(15, 3) {
        used.push(batch(&running, event, *expected, &mut took).await);
    }
    let log_bytes = (running.output().len() - printed) as f64 / took.len() as f64;
    took.sort_by(f64::total_cmp);
    let cpu = Spread::of(used);
    let (p50, p99) = (percentile(&took, 50), percentile(&took, 99));
    let counted = match subject.compiled {
        true => warm::counted(binary, environment, event, *expected).await,
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
