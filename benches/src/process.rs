//! What a function's process uses: CPU time, memory and instructions.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::Binary;

/// How long valgrind may take to print its count.
const PATIENCE: Duration = Duration::from_secs(20);

/// Nanoseconds of CPU time that all threads of a process have used so far, those of the kernel for it included.
///
/// # Panics
/// If the process has ended.
#[must_use]
pub fn cpu_ns(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    threads
        .map(|thread| {
            let path = thread.expect("a thread").path().join("schedstat");
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let used = text.split(' ').next().and_then(|first| first.parse().ok());
            used.unwrap_or(0.0)
        })
        .sum()
}

/// Megabytes of resident memory of a process.
///
/// # Panics
/// If the process has ended.
#[must_use]
pub fn resident_mb(pid: u32) -> f64 {
    let status = Path::new("/proc").join(pid.to_string()).join("status");
    let status = std::fs::read_to_string(status).expect("a process");
    let kilobytes: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .expect("kilobytes");
    kilobytes * 1024.0 / 1e6
}

/// Whether a binary exists. With `BUILT=1` or `GATEHOUSE_BIN_DIR` the folder may lack functions.
#[must_use]
pub fn is_built(name: &str) -> bool {
    Binary::location(name).exists()
}

/// The size of a binary in megabytes.
///
/// # Panics
/// If there is no such binary.
#[must_use]
pub fn size_mb(name: &str) -> f64 {
    let bytes = std::fs::metadata(Binary::path(name)).expect("a file").len();
    bytes as f64 / 1e6
}

/// A shell script in a temporary folder that ends with `exec "$@"`-like use of a binary. Dropping it deletes it.
pub struct Script(PathBuf);

impl Script {
    /// Writes a script with these lines.
    ///
    /// # Panics
    /// If the temporary folder cannot be written.
    #[must_use]
    pub fn new(name: &str, lines: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}-{}.sh", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o700);
        let mut file = options.open(&path).expect("a temporary file");
        writeln!(file, "#!/bin/sh\n{lines}").expect("a temporary file");
        Self(path)
    }

    /// Its path, as the name of a binary for [`Binary::start`].
    ///
    /// # Panics
    /// If the path is not text.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.to_str().expect("a path")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Instructions of a function in user space, counted by valgrind, from `exec` until `work` is done: they depend on the
/// code alone, not on the load of the machine. `None` without valgrind.
pub async fn instructions<F>(
    name: &str,
    environment: &[(&str, String)],
    work: impl FnOnce(Binary) -> F,
) -> Option<f64>
where
    F: Future<Output = Binary>,
{
    if std::process::Command::new("valgrind")
        .arg("--version")
        .output()
        .is_err()
    {
        return None;
    }
    let binary = Binary::path(name);
    let binary = binary.to_str().expect("a path");
    let lines = format!("exec valgrind --tool=callgrind --callgrind-out-file=/dev/null '{binary}'");
    let script = Script::new("gatehouse-counted", &lines);
    let mut environment = environment.to_vec();
    environment.push(("PATH", std::env::var("PATH").expect("PATH")));
    let counted = Binary::start(script.name(), &environment).await;
    let counted = work(counted).await;
    counted.signal("-TERM");
    let printed = async {
        loop {
            let output = counted.output();
            if let Some(line) = output.lines().find(|line| line.contains("Collected :")) {
                return line.split_whitespace().last()?.parse().ok();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, printed).await.ok().flatten()
}
