//! Cost of a decision, as ratios to the bare RSA check of the same run.
//!
//! `make bench` builds it for release and runs it. Batches of the baseline and of the measured call
//! alternate, so that both run under the same conditions; the ratio is that of the medians.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use benches::decision::{Material, calls};
use benches::timing::Rounds;
use serde_json::json;

const ROUNDS: Rounds = Rounds {
    batches: 101,
    calls: 200,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let material: Material = match arguments.first() {
        None => Material::make(),
        Some(json) => serde_json::from_str(json).expect("material"),
    };
    let calls = calls(&material);
    if let [_, at, times] = arguments.as_slice() {
        let (_, call) = &calls[at.parse::<usize>().expect("an index")];
        for _ in 0..times.parse::<u64>().expect("a number") {
            call();
        }
        return;
    }

    println!("| what | ns | x bare RSA check | allocations | instructions |");
    println!("|---|---|---|---|---|");
    let (_, floor) = &calls[0];
    let allocations = allocations(&material);
    let mut rows: Vec<Cost> = Vec::new();
    for (at, (name, call)) in calls.iter().enumerate() {
        let (nanoseconds, ratio) = ROUNDS.measure(call, floor);
        let cost = Cost {
            nanoseconds,
            ratio,
            allocations: allocations[at],
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
    println!("| REQUEST event to policy, without Cedar | {rest} |");
    let verified = rows[1].nanoseconds;
    if let Some(peer) = aws_jwt_verify(&material) {
        println!(
            "aws-jwt-verify's verifySync on Node: {peer:.0} ns, {:.2} times Gatehouse's.",
            peer / verified
        );
    } else {
        println!("aws-jwt-verify is not installed: `npm ci` in benches/peers/aws-jwt-verify.");
    }
}

/// The cost of one call.
struct Cost {
    nanoseconds: f64,
    /// Ratio to the bare RSA check.
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

/// The number of allocations of each call, counted by the binary `allocations`.
fn allocations(material: &Material) -> Vec<usize> {
    let counter = std::env::current_exe()
        .expect("this program")
        .with_file_name("allocations");
    let material = serde_json::to_string(material).expect("JSON");
    let output = Command::new(counter)
        .arg(material)
        .output()
        .expect("allocations: build it too");
    serde_json::from_slice(&output.stdout).expect("a list")
}

/// Instructions of one call, counted by valgrind in two runs of this program with different numbers
/// of calls. Unlike times, they do not depend on the load of the machine.
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

/// Nanoseconds of aws-jwt-verify for the same kind of token, if it is installed.
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
