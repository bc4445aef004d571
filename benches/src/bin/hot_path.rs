//! Cost of a decision without I/O, as ratios to the bare RSA check of the same run.
//!
//! `hot_path material` prints the token and keys to measure with, as JSON; `hot_path JSON` measures with them, so that
//! other verifiers can be measured on the same token; `hot_path floor JSON` prints the nanoseconds of the bare check
//! alone, for each batch, which the report measures before and after each of those. Batches of the baseline and of the
//! measured call alternate, so that both run under the same conditions.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::process::Command;

use benches::decision::{Material, calls};
use benches::output::{Spread, repeat, result};
use benches::timing::Rounds;
use serde_json::json;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let read = |json: &str| -> Material { serde_json::from_str(json).expect("material") };
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let material = match words.as_slice() {
        ["material"] => {
            let material = serde_json::to_string(&Material::make()).expect("JSON");
            return println!("{material}");
        }
        ["floor", json] => return print_floor(&read(json)),
        [] => Material::make(),
        [json, ..] => read(json),
    };
    let calls = calls(&material);
    if let [_, at, times] = arguments.as_slice() {
        let (_, call) = &calls[at.parse::<usize>().expect("an index")];
        for _ in 0..times.parse::<u64>().expect("a number") {
            call();
        }
        return;
    }

    let rounds = Rounds {
        batches: repeat(101, 11),
        calls: repeat(200, 50),
    };
    println!("| what | ns | x bare RSA check | allocations | instructions |");
    println!("|---|---|---|---|---|");
    let (_, floor) = &calls[0];
    let allocations = allocations(&material);
    let mut rows: Vec<Cost> = Vec::new();
    for (at, (name, call)) in calls.iter().enumerate() {
        let (nanoseconds, ratio) = rounds.measure(call, floor);
        let cost = Cost {
            nanoseconds,
            ratio,
            allocations: allocations[at],
            instructions: instructions(&material, at),
        };
        cost.print(name);
        rows.push(cost);
    }
    let (decided, ruled) = (&rows[2], &rows[3]);
    let without = |all: Spread, part: Spread| Spread {
        median: all.median - part.median,
        low: all.low - part.high,
        high: all.high - part.low,
        runs: all.runs,
    };
    let rest = Cost {
        nanoseconds: without(decided.nanoseconds, ruled.nanoseconds),
        ratio: without(decided.ratio, ruled.ratio),
        allocations: decided.allocations.saturating_sub(ruled.allocations),
        instructions: decided
            .instructions
            .zip(ruled.instructions)
            .map(|(all, part)| all - part),
    };
    rest.print("REQUEST event to policy, without Cedar");
}

fn print_floor(material: &Material) {
    let rounds = Rounds {
        batches: repeat(25, 5),
        calls: repeat(200, 50),
    };
    let [(_, floor), ..] = &calls(material);
    let took = serde_json::to_string(&rounds.each(floor)).expect("JSON");
    println!("{took}");
}

/// The cost of one call.
struct Cost {
    nanoseconds: Spread,
    /// Ratio to the bare RSA check.
    ratio: Spread,
    allocations: usize,
    /// `None` without valgrind.
    instructions: Option<i64>,
}

impl Cost {
    fn print(&self, name: &str) {
        let Self {
            nanoseconds,
            ratio,
            allocations,
            instructions,
        } = self;
        let counted = instructions.map_or("-".to_owned(), |n| n.to_string());
        println!(
            "| {name} | {:.0} | {:.2} | {allocations} | {counted} |",
            nanoseconds.median, ratio.median
        );
        result(
            "decision",
            &json!({"name": name, "ns": nanoseconds, "ratio": ratio, "allocations": allocations,
                "instructions": instructions}),
        );
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
