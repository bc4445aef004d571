//! Size of the binaries, and time, CPU time, memory and instructions from `exec` to the first poll.
//!
//! The binaries are built for release, separately as SAM does. The baseline is `whoami`, which does nothing before its
//! first event: a hello-world of `lambda_runtime`. `startup NAME ..` measures the named functions and the baseline.
//! Functions that `GATEHOUSE_BIN_DIR` lacks are left out; without the baseline nothing is measured.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::path::Path;

use benches::output::{Spread, repeat, result};
use benches::process::{instructions, is_built, size_mb};
use benches::start::{Servers, environment_of, in_turns};
use benches::tls::Tls;
use serde_json::json;
use testkit::{Binary, Pool};

const FLOOR: &str = "whoami";
const FUNCTIONS: [&str; 19] = [
    FLOOR,
    "authorizer",
    "forward-auth",
    "logout",
    "logout-retry",
    "post-confirmation",
    "user-events",
    "user-sweep",
    "admin",
    "sessions",
    "connections",
    "close-connections",
    "custom-message",
    "auth-api",
    "migrate-user",
    "post-authentication",
    "publish-acts",
    "pre-sign-up",
    "pre-token-generation",
];
/// These fetch keys and open a connection to the store before the first event, by TLS in an AWS account.
const CONNECTED: [&str; 2] = ["authorizer", "forward-auth"];
/// Functions of other runtimes: a hello-world, and an authorizer that only verifies and reads.
const PEERS: [(&str, &str); 4] = [
    ("Node: hello-world", "node-authorizer/hello.cjs"),
    ("Node: authorizer", "node-authorizer/bundle.cjs"),
    ("Python: hello-world", "python/hello.py"),
    ("Python: authorizer", "python/authorizer.py"),
];

#[tokio::main]
async fn main() -> Result<(), String> {
    if !is_built(FLOOR) {
        let path = Binary::location(FLOOR);
        return Err(format!(
            "{} is missing, with which each start is compared",
            path.display()
        ));
    }
    let servers = Servers::start().await;
    let loopback = servers.environment();
    // All binaries, or the named ones and the baseline.
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|one| one == name);
    println!(
        "| function | MB | exec to first poll, ms | CPU, ms | x whoami | resident, MB | million instructions |"
    );
    println!("|---|---|---|---|---|---|---|");
    for name in FUNCTIONS {
        if !is_built(name) {
            println!("{name} is left out: it is not built for release");
        } else if name == FLOOR || is_chosen(name) {
            measure("loopback", name, name, &loopback, true).await;
        }
    }
    let mut tls = Tls::new();
    let account = servers.environment_with(&tls).await;
    let amazon = tls.beside_amazon_roots();
    for (kind, (file, count)) in amazon
        .map(|roots| ("tls", roots))
        .into_iter()
        .chain([("tls-system", tls.beside_system_roots())])
    {
        let mut environment = account.clone();
        environment.push(("SSL_CERT_FILE", file.to_str().expect("a path").to_owned()));
        for name in CONNECTED {
            if is_built(name) && is_chosen(name) {
                let label = format!("{name}, TLS with {count} roots");
                measure(kind, &label, name, &environment, true).await;
            }
        }
    }
    if !chosen.is_empty() {
        return Ok(());
    }
    let mut others = loopback;
    others.push(("PATH", std::env::var("PATH").expect("PATH")));
    others.push(("JWKS", Pool::ours().jwks().to_string()));
    for (name, file) in PEERS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("peers")
            .join(file);
        let path = path.to_str().expect("a path");
        if is_built(path) {
            measure("peer", name, path, &others, false).await;
        } else {
            println!("{name} is left out: {path} is missing");
        }
    }
    Ok(())
}

async fn measure(
    kind: &str,
    name: &str,
    binary: &str,
    environment: &[(&'static str, String)],
    compiled: bool,
) {
    let environment = environment_of(binary, environment);
    let environments = [&environment, &environment];
    let [floors, these] = in_turns(repeat(25, 3), [FLOOR, binary], environments).await;
    let floor = Spread::of(floors.iter().map(|floor| floor.cpu_ms).collect());
    let ratios = these.iter().zip(&floors);
    let ratio = Spread::of(
        ratios
            .map(|(this, floor)| this.cpu_ms / floor.cpu_ms)
            .collect(),
    );
    let start = Spread::of(these.iter().map(|this| this.ms).collect());
    let cpu = Spread::of(these.iter().map(|this| this.cpu_ms).collect());
    let resident = Spread::of(these.iter().map(|this| this.resident_mb).collect());
    let counted = match compiled {
        true => instructions(binary, &environment, async |binary| binary).await,
        false => None,
    };
    let size = compiled.then(|| size_mb(binary));
    let or_dash = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    println!(
        "| {name} | {} | {:.1} | {:.1} | {:.2} | {:.1} | {} |",
        or_dash(size),
        start.median,
        cpu.median,
        ratio.median,
        resident.median,
        or_dash(counted.map(|count| count / 1e6)),
    );
    result(
        "start",
        &json!({"kind": kind, "name": name, "mb": size, "start_ms": start, "cpu_ms": cpu,
            "floor_cpu_ms": floor, "ratio": ratio, "resident_mb": resident, "instructions": counted}),
    );
}
