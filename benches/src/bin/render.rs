//! Cost of a mail when warm: renders every sample event of `events/custom-message` thousands of
//! times, in-process.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::path::Path;

use benches::output::{percentile, repeat, result};
use benches::timing::used_ns;
use custom_message::{Config, CustomMessage};
use runtime::Handler;
use serde_json::json;
use serde_json::value::RawValue;

// One thread, whose processor time is read.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let lookup = |name: &str| match name {
        "APP_NAME" => Some("Example".to_owned()),
        "APP_BASE_URL" => Some("https://app.example.com".to_owned()),
        "LOG_LEVEL" => Some("ERROR".to_owned()),
        _ => None,
    };
    let config = Config::from_lookup(&lookup).expect("a configuration");
    let function = CustomMessage::start(config).await.expect("a function");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/custom-message");
    let mut events: Vec<Box<RawValue>> = Vec::new();
    for file in std::fs::read_dir(folder).expect("samples") {
        let path = file.expect("a file").path();
        if !path.to_string_lossy().ends_with(".expected.json") {
            let text = std::fs::read_to_string(path).expect("a sample");
            events.push(serde_json::from_str(&text).expect("JSON"));
        }
    }
    let mut took = Vec::new();
    for _ in 0..repeat(3_000, 100) {
        for event in &events {
            let began = used_ns();
            let answer = function.handle(event, "x").await;
            took.push((used_ns() - began) / 1e3);
            assert!(answer.is_ok());
        }
    }
    took.sort_by(f64::total_cmp);
    let (p50, p99) = (percentile(&took, 50), percentile(&took, 99));
    println!(
        "{} mails of {} kinds: median {p50:.0} us, p99 {p99:.0} us",
        took.len(),
        events.len(),
    );
    result(
        "mail",
        &json!({"mails": took.len(), "kinds": events.len(), "p50_us": p50, "p99_us": p99}),
    );
}
