//! Runs a function's real binary under a local Runtime API.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::runtime_api::{Outcome, RuntimeApi};

/// Upper bound for any response, also on a busy machine; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lines of a function's log that a failed test shows.
const SHOWN: usize = 20;

/// A function that has finished its init and waits for events.
pub struct Binary {
    api: RuntimeApi,
    process: Process,
}

/// A binary's process and its output.
struct Process {
    child: Child,
    name: String,
    output: Arc<Mutex<String>>,
}

/// A binary that serves HTTP (`--listen`) and is ready.
pub struct HttpBinary {
    /// `127.0.0.1:port`
    pub address: String,
    process: Process,
}

/// Texts that no function may print: the passwords, codes and addresses that tests use, and the
/// first characters of every token.
const SECRETS: &[&str] = &[
    "eyJ",
    "123456",
    "example.com",
    "Tr0ub4dor",
    "correct horse",
    "another-password",
    "another-Passw0rd",
    "wrong-password",
    "s3cr3t-of-the-client",
    "refresh.token.opaque",
    "JBSWY3DPEHPK3PXP",
    "$2b$",
];

impl Drop for Process {
    /// Checks after every test that the log contains no secret. After a failed test it shows the log's end.
    #[expect(clippy::print_stderr, reason = "libtest shows it with the failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprint!("{}", self.last_lines());
            return;
        }
        let output = self.output();
        for secret in SECRETS {
            let line = output.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "the log contains `{secret}`: {line:?}");
        }
    }
}

/// The result of an invocation.
#[derive(Clone, Debug)]
pub enum Invocation {
    /// The function answered.
    Answer(Value),
    /// The function reported an error with this `errorMessage` and `errorType`.
    Error(String, String),
}

impl From<Outcome> for Invocation {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Response(body) => {
                Self::Answer(serde_json::from_str(&body).expect("a JSON answer"))
            }
            Outcome::Error(body) => {
                let error: Value = serde_json::from_str(&body).expect("a JSON error");
                let member = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
                Self::Error(member("errorMessage"), member("errorType"))
            }
        }
    }
}

impl Invocation {
    /// The answer; panics on an error.
    #[must_use]
    pub fn answer(self) -> Value {
        match self {
            Self::Answer(value) => value,
            Self::Error(message, _) => panic!("the function failed: {message}"),
        }
    }

    /// Whether API Gateway would answer 401: the error is exactly `Unauthorized`.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Error(message, _) if message == "Unauthorized")
    }

    /// Whether API Gateway would answer 500 and cache nothing.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Error(message, _) if message != "Unauthorized")
    }
}

impl Binary {
    /// Path of a binary: in `GATEHOUSE_BIN_DIR`, or in the parent of the folder that contains the
    /// test executable.
    #[must_use]
    pub fn path(name: &str) -> PathBuf {
        let path = Self::location(name);
        assert!(
            path.exists(),
            "{} is missing: run `cargo build --workspace` first, as `make test` does",
            path.display()
        );
        path
    }

    /// Where [`Binary::path`] looks for a binary, which may be missing.
    #[must_use]
    pub fn location(name: &str) -> PathBuf {
        let directory = std::env::var_os("GATEHOUSE_BIN_DIR").map_or_else(
            || {
                let test = std::env::current_exe().expect("a path");
                test.ancestors().nth(2).expect("target/debug").to_owned()
            },
            PathBuf::from,
        );
        directory.join(name)
    }

    /// Starts the function with only these environment variables, and waits for its first poll.
    pub async fn start(name: &str, environment: &[(&str, String)]) -> Self {
        let mut binary = Self::spawn(name, environment).await;
        tokio::select! {
            () = binary.api.polled() => binary,
            status = binary.process.child.wait() => {
                panic!("{name} exited with {status:?}: {}", binary.output())
            }
            () = tokio::time::sleep(PATIENCE) => {
                panic!("{name} did not poll for events: {}", binary.output())
            }
        }
    }

    /// Starts a function that must fail to start; returns its output.
    pub async fn start_refused(name: &str, environment: &[(&str, String)]) -> String {
        let mut binary = Self::spawn(name, environment).await;
        tokio::select! {
            () = binary.api.polled() => panic!("{name} started: {}", binary.output()),
            status = binary.process.child.wait() => {
                assert!(!status.expect("a status").success(), "{}", binary.output());
            }
            () = tokio::time::sleep(PATIENCE) => panic!("{name} hangs: {}", binary.output()),
        }
        // The pipes may still contain output.
        for _ in 0..50 {
            if !binary.output().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        binary.output()
    }

    async fn spawn(name: &str, environment: &[(&str, String)]) -> Self {
        let api = RuntimeApi::start().await;
        let mut command = Command::new(Self::path(name));
        command.env_clear().envs([
            ("AWS_LAMBDA_RUNTIME_API", api.address()),
            ("AWS_LAMBDA_FUNCTION_NAME", "under-test"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ]);
        let process = Process::spawn(name, &mut command, environment);
        Self { api, process }
    }

    /// Sends an event and waits for the result.
    pub async fn invoke(&self, event: &Value) -> Invocation {
        self.invoke_raw(event.to_string()).await
    }

    /// Sends an event; returns `None` if there is no result within `patience`.
    pub async fn try_invoke(&self, event: &Value, patience: Duration) -> Option<Invocation> {
        let outcome = tokio::time::timeout(patience, self.api.invoke(event.to_string())).await;
        outcome.ok().flatten().map(Invocation::from)
    }

    /// Sends an event that need not be valid JSON.
    pub async fn invoke_raw(&self, event: String) -> Invocation {
        let outcome = tokio::time::timeout(PATIENCE, self.api.invoke(event)).await;
        outcome
            .expect("an answer in time")
            .expect("an answer")
            .into()
    }

    /// All output of the function so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Sends the process a signal, such as `-STOP` or `-CONT`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// The number of copies of a text in the writable memory of the process.
    #[must_use]
    pub fn copies_in_memory(&self, text: &str) -> usize {
        let folder = PathBuf::from(format!("/proc/{}", self.pid()));
        let maps = std::fs::read_to_string(folder.join("maps")).expect("the process's maps");
        let mut memory = std::fs::File::open(folder.join("mem")).expect("the process's memory");
        let mut copies = 0;
        for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
            let (range, _) = line.split_once(' ').expect("a range");
            let (start, end) = range.split_once('-').expect("two addresses");
            let [start, end] =
                [start, end].map(|at| u64::from_str_radix(at, 16).expect("an address"));
            let mut bytes = vec![0; usize::try_from(end - start).expect("a length")];
            memory.seek(SeekFrom::Start(start)).expect("an address");
            if memory.read_exact(&mut bytes).is_ok() {
                copies += bytes
                    .windows(text.len())
                    .filter(|part| *part == text.as_bytes())
                    .count();
            }
        }
        copies
    }

    /// The process id, for freezing the process or inspecting its memory.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether the process has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }
}

impl HttpBinary {
    /// Starts the binary with only these environment variables, on a free port, and waits until it is ready.
    pub async fn start(name: &str, environment: &[(&str, String)]) -> Self {
        let address = {
            let probe = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            probe.local_addr().expect("an address").to_string()
        };
        let mut command = Command::new(Binary::path(name));
        command.env_clear().args(["--listen", &address]);
        let mut process = Process::spawn(name, &mut command, environment);
        let connected = async {
            while TcpStream::connect(&address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = connected => (),
            status = process.child.wait() => {
                panic!("{name} exited with {status:?}: {}", process.output())
            }
            () = tokio::time::sleep(PATIENCE) => panic!("{name} did not listen: {}", process.output()),
        }
        Self { address, process }
    }

    /// All output of the process so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Sends the process a signal, such as `-STOP` or `-CONT`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether the process has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }
}

impl Process {
    fn spawn(name: &str, command: &mut Command, environment: &[(&str, String)]) -> Self {
        let mut child = command
            .envs([
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("RUST_BACKTRACE", "0"),
            ])
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a process");
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("a pipe"), Arc::clone(&output));
        collect(child.stderr.take().expect("a pipe"), Arc::clone(&output));
        Self {
            child,
            name: name.to_owned(),
            output,
        }
    }

    fn output(&self) -> String {
        self.output.lock().expect("a lock").clone()
    }

    fn last_lines(&self) -> String {
        // Another thread may have panicked with the lock.
        let output = match self.output.lock() {
            Ok(output) => output.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        };
        let lines: Vec<&str> = output.lines().collect();
        let last = &lines[lines.len().saturating_sub(SHOWN)..];
        format!("---- {} printed ----\n{}\n", self.name, last.join("\n"))
    }

    fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = std::process::Command::new("kill")
            .args([name, &pid])
            .status();
        assert!(status.expect("kill").success());
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("a running process")
    }

    /// A process that has ended is a zombie until it is waited for.
    fn is_running(&self) -> bool {
        let Some(pid) = self.child.id() else {
            return false;
        };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
        status.is_ok_and(|status| !status.contains("State:\tZ") && !status.contains("State:\tX"))
    }
}

fn collect(pipe: impl AsyncRead + Unpin + Send + 'static, output: Arc<Mutex<String>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut output = output.lock().expect("a lock");
            output.push_str(&line);
            output.push('\n');
        }
    });
}
