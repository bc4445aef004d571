//! Counts the memory allocations of each part of a decision and prints them as a JSON list in the
//! order of `decision::calls`. Counting takes time, so it is separate from `hot_path`.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::alloc::System;
use std::hint::black_box;

use benches::decision::{Call, Material, calls};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let json = std::env::args().nth(1).expect("the material");
    let material: Material = serde_json::from_str(&json).expect("material");
    let counts = calls(&material).map(|(_, call)| allocations(&call));
    println!("{}", serde_json::to_string(&counts).expect("JSON"));
}

fn allocations(call: &Call) -> usize {
    let region = Region::new(ALLOCATOR);
    black_box(call());
    let change = region.change();
    change.allocations + change.reallocations
}
