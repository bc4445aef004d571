//! A function's real binary, running under a Runtime API of ours.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::runtime_api::{Outcome, RuntimeApi};

/// Longer than any answer may take, also on a busy machine; a test never waits this long unless
/// it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A function that has finished its init and waits for events.
pub struct Binary {
    api: RuntimeApi,
    child: Child,
    output: Arc<Mutex<String>>,
}

/// What no function may ever print: the passwords, codes and addresses that tests use, and the first
/// letters of every token.
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

impl Drop for Binary {
    /// Whatever a test was about: nothing secret is in the log.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let output = self.output();
        for secret in SECRETS {
            let line = output.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "`{secret}` was printed: {line:?}");
        }
    }
}

/// What came of an invocation.
#[derive(Clone, Debug)]
pub enum Invocation {
    /// The function answered.
    Answer(Value),
    /// The function reported an error with this `errorMessage`; the second is its `errorType`.
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
    /// The answer, or a panic.
    #[must_use]
    pub fn answer(self) -> Value {
        match self {
            Self::Answer(value) => value,
            Self::Error(message, _) => panic!("the function failed: {message}"),
        }
    }

    /// Whether API Gateway would answer 401: the error is `Unauthorized`, to the letter.
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
    /// Where the build put the binaries: beside the test's own executable, one folder up, or in
    /// `GATEHOUSE_BIN_DIR`.
    #[must_use]
    pub fn path(name: &str) -> PathBuf {
        let directory = std::env::var_os("GATEHOUSE_BIN_DIR").map_or_else(
            || {
                let test = std::env::current_exe().expect("a path");
                test.ancestors().nth(2).expect("target/debug").to_owned()
            },
            PathBuf::from,
        );
        let path = directory.join(name);
        assert!(
            path.exists(),
            "{} is not there: run `cargo build --workspace` first, as `make test` does",
            path.display()
        );
        path
    }

    /// Starts the function with this environment and nothing else, and waits for its first poll.
    pub async fn start(name: &str, environment: &[(&str, String)]) -> Self {
        let mut binary = Self::spawn(name, environment).await;
        tokio::select! {
            () = binary.api.polled() => binary,
            status = binary.child.wait() => {
                panic!("{name} ended with {status:?}: {}", binary.output())
            }
            () = tokio::time::sleep(PATIENCE) => {
                panic!("{name} did not ask for work: {}", binary.output())
            }
        }
    }

    /// Starts a function that must refuse to start; returns what it printed.
    pub async fn start_refused(name: &str, environment: &[(&str, String)]) -> String {
        let mut binary = Self::spawn(name, environment).await;
        tokio::select! {
            () = binary.api.polled() => panic!("{name} started: {}", binary.output()),
            status = binary.child.wait() => {
                assert!(!status.expect("a status").success(), "{}", binary.output());
            }
            () = tokio::time::sleep(PATIENCE) => panic!("{name} hangs: {}", binary.output()),
        }
        // The pipes may still hold its last words.
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
        let mut child = Command::new(Self::path(name))
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", api.address()),
                ("AWS_LAMBDA_FUNCTION_NAME", "under-test"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
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
        Self { api, child, output }
    }

    /// Sends an event and waits for what becomes of it.
    pub async fn invoke(&self, event: &Value) -> Invocation {
        self.invoke_raw(event.to_string()).await
    }

    /// Sends an event and gives up after `patience`: then nobody knows what became of it.
    pub async fn try_invoke(&self, event: &Value, patience: Duration) -> Option<Invocation> {
        let outcome = tokio::time::timeout(patience, self.api.invoke(event.to_string())).await;
        outcome.ok().flatten().map(Invocation::from)
    }

    /// Sends an event of any bytes.
    pub async fn invoke_raw(&self, event: String) -> Invocation {
        let outcome = tokio::time::timeout(PATIENCE, self.api.invoke(event)).await;
        outcome
            .expect("an answer in time")
            .expect("an answer")
            .into()
    }

    /// Everything that the function has printed.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.lock().expect("a lock").clone()
    }

    /// Sends the process a signal, as in `-STOP` and `-CONT`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = std::process::Command::new("kill")
            .args([name, &pid])
            .status();
        assert!(status.expect("kill").success());
    }

    /// The process's id, to freeze it or to look at its memory.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("a running process")
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
