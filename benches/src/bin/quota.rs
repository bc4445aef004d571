//! Times of invocations and starts at the CPU quota of a small Lambda function.
//!
//! Lambda gives a function of 1,769 MB one processor and a share of it below. The function runs in a control group of
//! its own, with the kernel's bandwidth control: in each period it may use `memory / 1,769` of the period, then it
//! waits for the next one. AWS does not document the period, so two are measured. Needs root, and the controller `cpu`
//! of version 1 or 2.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use benches::output::{Spread, percentile, repeat, result};
use benches::process::Script;
use benches::warm;
use serde_json::{Value, json};
use testkit::jwks_server::JwksServer;
use testkit::{Binary, FakeAws, Pool};

/// Megabytes of a function with a whole processor. Source: AWS, "Configure Lambda function memory".
const WHOLE: f64 = 1_769.0;
const MEMORIES: [u32; 3] = [512, 256, 128];
const PERIODS_MS: [f64; 2] = [20.0, 100.0];
const NODE: &str = "peers/node-authorizer/bundle.cjs";

#[tokio::main]
async fn main() -> Result<(), String> {
    let jwks = JwksServer::start(&Pool::ours().jwks()).await;
    let store = FakeAws::start().await;
    let mut environment = warm::environment(&store);
    environment.push(("JWKS_URI", jwks.uri()));
    let [event, _] = warm::events();
    let node = Path::new(env!("CARGO_MANIFEST_DIR")).join(NODE);
    let node = node.to_str().expect("a path");
    // Node's keys are in its configuration.
    let ours: Vec<_> = environment
        .iter()
        .filter(|(name, _)| *name != "JWKS")
        .cloned()
        .collect();

    println!(
        "| function | memory, MB | period, ms | start, ms | rare: p50, ms | p99 | back to back: p50, ms | p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let whole = Group::new(None)?;
    measure("Gatehouse", "authorizer", &ours, &event, &whole).await;
    measure("Node", node, &environment, &event, &whole).await;
    for period_ms in PERIODS_MS {
        for memory in MEMORIES {
            let group = Group::new(Some(Quota { memory, period_ms }))?;
            measure("Gatehouse", "authorizer", &ours, &event, &group).await;
            if period_ms == PERIODS_MS[0] && memory < 512 {
                measure("Node", node, &environment, &event, &group).await;
            }
        }
    }
    Ok(())
}

async fn measure(
    name: &str,
    binary: &str,
    environment: &[(&str, String)],
    event: &Value,
    group: &Group,
) {
    let path = Binary::path(binary);
    let procs = group.folder.join("cgroup.procs");
    let lines = format!(
        "echo $$ >'{}' && exec '{}'",
        procs.display(),
        path.display()
    );
    let script = Script::new("gatehouse-quota", &lines);
    let mut starts = Vec::new();
    for _ in 0..repeat(15, 3) {
        let began = Instant::now();
        let _started = Binary::start(script.name(), environment).await;
        starts.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let running = Binary::start(script.name(), environment).await;
    invoke(&running, event, repeat(300, 20), None).await;
    let busy = invoke(&running, event, repeat(2_000, 50), None).await;
    let rare = invoke(&running, event, repeat(200, 20), Some(50.0)).await;
    let start = Spread::of(starts);
    let quota = group.quota;
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0}"));
    println!(
        "| {name} | {} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
        shown(quota.map(|quota| f64::from(quota.memory))),
        shown(quota.map(|quota| quota.period_ms)),
        start.median,
        percentile(&rare, 50),
        percentile(&rare, 99),
        percentile(&busy, 50),
        percentile(&busy, 99),
    );
    let both = |took: &[f64]| json!({"p50_ms": percentile(took, 50), "p99_ms": percentile(took, 99), "invocations": took.len()});
    result(
        "quota",
        &json!({"name": name, "memory_mb": quota.map(|quota| quota.memory),
            "period_ms": quota.map(|quota| quota.period_ms), "start_ms": start, "rare": both(&rare),
            "busy": both(&busy)}),
    );
}

/// Milliseconds of each invocation, sorted. With `pause_ms` the function is idle for a random time of this mean between
/// two, so that they begin anywhere in a period.
async fn invoke(binary: &Binary, event: &Value, times: usize, pause_ms: Option<f64>) -> Vec<f64> {
    let event = event.to_string();
    let mut took = Vec::new();
    for _ in 0..times {
        if let Some(mean) = pause_ms {
            let mut random = [0; 2];
            aws_lc_rs::rand::fill(&mut random).expect("randomness");
            let part = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
            tokio::time::sleep(Duration::from_secs_f64(2.0 * mean * part / 1e3)).await;
        }
        let began = Instant::now();
        let answer = binary.invoke_raw(event.clone()).await.answer();
        took.push(began.elapsed().as_secs_f64() * 1e3);
        let effect = &answer["policyDocument"]["Statement"][0]["Effect"];
        assert_eq!(effect, "Allow", "{answer}");
    }
    took.sort_by(f64::total_cmp);
    took
}

#[derive(Clone, Copy)]
struct Quota {
    memory: u32,
    period_ms: f64,
}

/// A control group, deleted when it is dropped.
struct Group {
    folder: PathBuf,
    quota: Option<Quota>,
}

impl Group {
    fn new(quota: Option<Quota>) -> Result<Self, String> {
        let (v1, v2) = (Path::new("/sys/fs/cgroup/cpu"), Path::new("/sys/fs/cgroup"));
        let is_v1 = v1.join("cpu.cfs_quota_us").exists() || v1.join("cgroup.procs").exists();
        let parent = if is_v1 { v1 } else { v2 };
        let folder = parent.join(format!("gatehouse-bench-{}", std::process::id()));
        let failed = |what: &str, error: std::io::Error| {
            Err(format!("no control group can be made: {what}: {error}"))
        };
        let group = Self {
            folder: folder.clone(),
            quota,
        };
        let write = |file: &str, text: String| std::fs::write(folder.join(file), text);
        if !is_v1 && let Err(error) = std::fs::write(v2.join("cgroup.subtree_control"), "+cpu") {
            return failed("cgroup.subtree_control", error);
        }
        if let Err(error) = std::fs::create_dir_all(&folder) {
            return failed("its folder", error);
        }
        let Some(Quota { memory, period_ms }) = quota else {
            return Ok(group);
        };
        let period = (period_ms * 1e3) as u64;
        let share = (period as f64 * f64::from(memory) / WHOLE) as u64;
        let written = if is_v1 {
            write("cpu.cfs_period_us", period.to_string())
                .and_then(|()| write("cpu.cfs_quota_us", share.to_string()))
        } else {
            write("cpu.max", format!("{share} {period}"))
        };
        match written {
            Ok(()) => Ok(group),
            Err(error) => failed("its quota", error),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel removes a group when its last process has ended, which takes a moment.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
