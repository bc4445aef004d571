//! Cost of a mail when warm: renders every sample event of `events/custom-message` thousands of
//! times, in-process.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::path::Path;
use std::time::Instant;

use custom_message::{Config, CustomMessage};
use runtime::Handler;
use serde_json::value::RawValue;

const ROUNDS: usize = 3_000;

#[tokio::main]
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
    for _ in 0..ROUNDS {
        for event in &events {
            let began = Instant::now();
            let answer = function.handle(event, "x").await;
            took.push(began.elapsed().as_secs_f64() * 1e6);
            assert!(answer.is_ok());
        }
    }
    took.sort_by(f64::total_cmp);
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    println!(
        "{} mails of {} kinds: median {:.0} us, p99 {:.0} us",
        took.len(),
        events.len(),
        at(50),
        at(99)
    );
}
