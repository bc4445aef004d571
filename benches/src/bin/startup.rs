//! Size of the binaries, and time, CPU time, memory and instructions from `exec` to the first poll.
//!
//! The binaries are built for release, separately as SAM does. The baseline is `whoami`, which does nothing before its
//! first event: a hello-world of `lambda_runtime`. `startup NAME ..` measures the named functions and the baseline.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::path::Path;

use benches::output::{Spread, repeat, result};
use benches::process::{instructions, size_mb};
use benches::start::{Servers, environment_of, started};
use benches::tls::Tls;
use serde_json::json;
use testkit::Pool;

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
async fn main() {
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
            println!("{name} is not built for release");
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
            if is_chosen(name) {
                let label = format!("{name}, TLS with {count} roots");
                measure(kind, &label, name, &environment, true).await;
            }
        }
    }
    if !chosen.is_empty() {
        return;
    }
    let mut others = loopback;
    others.push(("PATH", std::env::var("PATH").expect("PATH")));
    others.push(("JWKS", Pool::ours().jwks().to_string()));
    for (name, file) in PEERS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("peers")
            .join(file);
        let path = path.to_str().expect("a path");
        measure("peer", name, path, &others, false).await;
    }
}

/// `BUILT=1` measures the functions that are there.
fn is_built(name: &str) -> bool {
    let folder = std::env::var_os("GATEHOUSE_BIN_DIR");
    folder.is_none_or(|folder| Path::new(&folder).join(name).exists())
}

async fn measure(
    kind: &str,
    name: &str,
    binary: &str,
    environment: &[(&'static str, String)],
    compiled: bool,
) {
    let environment = environment_of(binary, environment);
    let environment = environment.as_slice();
    let (mut starts, mut cpus, mut residents) = (vec![], vec![], vec![]);
    let (mut floors, mut ratios) = (vec![], vec![]);
    for round in 0..repeat(25, 3) {
        // In turns, because the machine may be faster or slower for minutes, and each begins in half of the rounds,
        // because a start leaves the processor's caches to the next one.
        let (floor, this) = if round % 2 == 0 {
            let floor = started(FLOOR, environment).await;
            (floor, started(binary, environment).await)
        } else {
            let this = started(binary, environment).await;
            (started(FLOOR, environment).await, this)
        };
        starts.push(this.ms);
        cpus.push(this.cpu_ms);
        residents.push(this.resident_mb);
        floors.push(floor.cpu_ms);
        ratios.push(this.cpu_ms / floor.cpu_ms);
    }
    let counted = match compiled {
        true => instructions(binary, environment, async |binary| binary).await,
        false => None,
    };
    let size = compiled.then(|| size_mb(binary));
    let [start, cpu, resident] = [starts, cpus, residents].map(Spread::of);
    let [floor, ratio] = [floors, ratios].map(Spread::of);
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
