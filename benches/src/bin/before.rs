//! Starts and warm invocations of two builds of the functions, in turns: `before FOLDER [LIBRARY]`. The folder has the
//! binaries of the first build; the second one is that of `GATEHOUSE_BIN_DIR`. A library is preloaded into the second
//! one, such as another allocator. Functions that either folder lacks are left out.
//!
//! With TLS each build has the root certificates that it has in an AWS account: the first one those of the system, the
//! second one those of AWS's own hosts. With a library, or with `GATEHOUSE_SAME_ROOTS`, both have those of AWS's own
//! hosts: two variants of one commit have the same roots in an account.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::path::PathBuf;

use benches::output::{Spread, repeat, result};
use benches::process::{instructions, is_built, resident_mb, size_mb};
use benches::start::{Environment, Servers, environment_of, in_turns};
use benches::tls::Tls;
use benches::warm::{self, Expected, batch, invoke, whoami_event};
use serde_json::{Value, json};
use testkit::{Binary, FakeAws};

/// Functions whose start is measured, besides the authorizer's with TLS.
const STARTED: [&str; 5] = [
    "whoami",
    "custom-message",
    "pre-token-generation",
    "logout",
    "authorizer",
];

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("the folder of the first binaries"));
    let library = arguments.next();
    for name in STARTED {
        if !(folder.join(name).exists() && is_built(name)) {
            println!("{name} is left out: one of the two folders lacks it");
        }
    }
    let pair = |name: &str| {
        let first = folder.join(name);
        let are_built = first.exists() && is_built(name);
        let first = first.to_str().expect("a path").to_owned();
        are_built.then(|| [first, name.to_owned()])
    };
    let both = |environment: Environment| {
        let mut second = environment.clone();
        second.extend(library.clone().map(|library| ("LD_PRELOAD", library)));
        [environment, second]
    };
    println!("| | CPU before | after | after / before | million instructions before | after |");
    println!("|---|---|---|---|---|---|");

    let servers = Servers::start().await;
    for name in STARTED {
        if let Some(pair) = pair(name) {
            let environment = environment_of(name, &servers.environment());
            start(name, pair, both(environment)).await;
        }
    }
    if let Some(pair) = pair("authorizer") {
        let mut tls = Tls::new();
        let account = servers.environment_with(&tls).await;
        let mut environments = both(environment_of("authorizer", &account));
        // What each has in an account: builds from before these roots read the system's.
        let (system, _) = tls.beside_system_roots();
        let (amazon, _) = tls.beside_amazon_roots().expect("Amazon's roots");
        let is_same = library.is_some() || std::env::var_os("GATEHOUSE_SAME_ROOTS").is_some();
        let first = if is_same { &amazon } else { &system };
        for (environment, file) in environments.iter_mut().zip([first, &amazon]) {
            environment.push(("SSL_CERT_FILE", file.to_str().expect("a path").to_owned()));
        }
        start("authorizer, TLS", pair, environments).await;
    }

    let store = FakeAws::start().await;
    let [valid, expired] = warm::events();
    let hello = whoami_event();
    let without_store = "authorizer, without the store: an expired token";
    for (label, name, event, expected) in [
        ("whoami", "whoami", &hello, Expected::Anything),
        (without_store, "authorizer", &expired, Expected::Refusal),
        ("authorizer", "authorizer", &valid, Expected::Allow),
    ] {
        if let Some(pair) = pair(name) {
            let environments = both(warm::environment(&store));
            invocation(label, pair, environments, event, expected).await;
        }
    }
}

/// Measures the starts of two binaries in turns.
async fn start(label: &str, binaries: [String; 2], environments: [Environment; 2]) {
    let [first, second] = binaries.each_ref().map(String::as_str);
    let starts = in_turns(repeat(50, 3), [first, second], environments.each_ref()).await;
    let mut sides = starts.map(|starts| Side {
        cpu: starts.iter().map(|start| start.cpu_ms).collect(),
        took: starts.iter().map(|start| start.ms).collect(),
        resident: starts.iter().map(|start| start.resident_mb).collect(),
        ..Side::default()
    });
    for ((side, binary), environment) in sides.iter_mut().zip(&binaries).zip(&environments) {
        side.mb = size_mb(binary);
        side.instructions = instructions(binary, environment, async |binary| binary).await;
    }
    print("start", label, sides);
}

/// Measures warm invocations of two binaries in turns.
async fn invocation(
    label: &str,
    binaries: [String; 2],
    environments: [Environment; 2],
    event: &Value,
    expected: Expected,
) {
    let mut sides = [Side::default(), Side::default()];
    let running = [
        Binary::start(&binaries[0], &environments[0]).await,
        Binary::start(&binaries[1], &environments[1]).await,
    ];
    for binary in &running {
        invoke(binary, event, expected, repeat(1_000, 50), &mut Vec::new()).await;
    }
    for round in 0..repeat(20, 3) {
        for side in [round % 2, 1 - round % 2] {
            let used = batch(&running[side], event, expected, &mut sides[side].took).await;
            sides[side].cpu.push(used);
        }
    }
    let each = running.iter().zip(&binaries).zip(&environments);
    for (side, ((running, binary), environment)) in sides.iter_mut().zip(each) {
        side.resident.push(resident_mb(running.pid()));
        side.mb = size_mb(binary);
        side.instructions = warm::counted(binary, environment, event, expected).await;
    }
    print("warm", label, sides);
}

/// The measurements of one of the two binaries.
#[derive(Default)]
struct Side {
    cpu: Vec<f64>,
    took: Vec<f64>,
    resident: Vec<f64>,
    mb: f64,
    instructions: Option<f64>,
}

fn print(kind: &str, name: &str, sides: [Side; 2]) {
    let [first, second] = &sides;
    let neighbours = second.cpu.iter().zip(&first.cpu);
    let ratio = Spread::of(neighbours.map(|(after, before)| after / before).collect());
    let [before, after] = sides.map(|side| {
        let [cpu, took, resident] = [side.cpu, side.took, side.resident].map(Spread::of);
        json!({"cpu": cpu, "took": took, "resident_mb": resident, "mb": side.mb, "instructions": side.instructions})
    });
    let million = |side: &Value| side["instructions"].as_f64().unwrap_or_default() / 1e6;
    println!(
        "| {kind}: {name} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
        before["cpu"]["median"].as_f64().unwrap_or_default(),
        after["cpu"]["median"].as_f64().unwrap_or_default(),
        ratio.median,
        million(&before),
        million(&after),
    );
    result(
        "before",
        &json!({"kind": kind, "name": name, "before": before, "after": after, "ratio": ratio}),
    );
}
