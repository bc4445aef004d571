//! Size of the binaries, and time from `exec` to the first poll.
//!
//! `make startup` builds them for release, separately as SAM does, and runs this. The baseline is
//! `whoami`, which does nothing before its first event: a hello-world of `lambda_runtime`.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::path::Path;
use std::time::Instant;

use benches::timing::median;
use testkit::jwks_server::JwksServer;
use testkit::{Binary, FakeAws, Pool};

const RUNS: usize = 25;
const FLOOR: &str = "whoami";
const FUNCTIONS: [&str; 18] = [
    FLOOR,
    "authorizer",
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

struct Row {
    name: &'static str,
    megabytes: f64,
    start_ms: f64,
    cpu_ms: f64,
    resident_mb: f64,
}

#[tokio::main]
async fn main() {
    let jwks = JwksServer::start(&Pool::ours().jwks()).await;
    let store = FakeAws::start().await;
    let environment = [
        ("USER_POOL_ID", Pool::ours().id.to_owned()),
        ("APP_CLIENT_IDS", Pool::ours().client_id.to_owned()),
        ("REVOCATION_TABLE", "revocations".to_owned()),
        ("JWKS_URI", jwks.uri()),
        ("AWS_ENDPOINT_URL_DYNAMODB", store.url()),
        ("ACCOUNT_ID", "123456789012".to_owned()),
        ("USERS_TABLE", "users".to_owned()),
        ("SESSION_TABLE", "sessions".to_owned()),
        ("CONNECTION_TABLE", "connections".to_owned()),
        ("CONNECTIONS_URL", store.url()),
        ("APP_NAME", "Example".to_owned()),
        ("APP_BASE_URL", "https://app.example.com".to_owned()),
        ("LEGACY_SOURCE", "dynamodb".to_owned()),
        ("LEGACY_TABLE", "people".to_owned()),
        ("PENDING_GROUPS_TABLE", "groups".to_owned()),
        (
            "SECURITY_TOPIC_ARN",
            "arn:aws:sns:us-east-1:123456789012:security".to_owned(),
        ),
    ];
    // All binaries, or the named ones and the baseline.
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let mut rows = Vec::new();
    for name in FUNCTIONS {
        if !chosen.is_empty() && name != FLOOR && !chosen.iter().any(|one| one == name) {
            continue;
        }
        rows.push(measure(name, &environment).await);
    }
    let floor = &rows[0];
    println!(
        "| binary | MB | exec to first poll, ms | x {FLOOR} | CPU, ms | x {FLOOR} | resident, MB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for row in &rows {
        println!(
            "| {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            row.name,
            row.megabytes,
            row.start_ms,
            row.start_ms / floor.start_ms,
            row.cpu_ms,
            row.cpu_ms / floor.cpu_ms,
            row.resident_mb
        );
    }
    println!(
        "Medians of {RUNS} starts; key server and store are on the loopback interface, without TLS."
    );
}

async fn measure(name: &'static str, environment: &[(&str, String)]) -> Row {
    let (mut starts, mut cpus, mut residents) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let began = Instant::now();
        let binary = Binary::start(name, environment).await;
        starts.push(began.elapsed().as_secs_f64() * 1000.0);
        let (cpu, resident) = used(binary.pid());
        cpus.push(cpu);
        residents.push(resident);
    }
    let path = Binary::path(name);
    let bytes = std::fs::metadata(path).expect("a file").len();
    Row {
        name,
        megabytes: megabytes(bytes),
        start_ms: median(starts),
        cpu_ms: median(cpus),
        resident_mb: median(residents),
    }
}

/// Milliseconds of CPU and megabytes of memory that a process has used so far.
fn used(pid: u32) -> (f64, f64) {
    let process = Path::new("/proc").join(pid.to_string());
    let read = |name: &str| std::fs::read_to_string(process.join(name)).expect("a process");
    let nanoseconds: f64 = read("schedstat")
        .split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .expect("nanoseconds");
    let kilobytes: u64 = read("status")
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .expect("kilobytes");
    (nanoseconds / 1e6, megabytes(kilobytes * 1024))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a size in megabytes, to one digit"
)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
