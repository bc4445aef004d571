//! Runs a real binary that serves HTTP.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::binary::{Binary, collect, refuse_secrets};

/// Upper bound for a start, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that has started. Dropping it ends it.
pub struct Served {
    child: Child,
    address: String,
    output: Arc<Mutex<String>>,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            refuse_secrets(&self.output.lock().expect("a lock"));
        }
    }
}

impl Served {
    /// Starts `name --listen` on a port that the system assigns, with only these environment variables, and waits for
    /// its log line about the address.
    pub async fn start(name: &str, environment: &[(&str, String)]) -> Self {
        let mut child = Command::new(Binary::path(name))
            .args(["--listen", "127.0.0.1:0"])
            .env_clear()
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
        let listening = async {
            loop {
                if let Some(address) = address(&output.lock().expect("a lock")) {
                    return address;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let address = tokio::time::timeout(PATIENCE, listening).await;
        let address = address.unwrap_or_else(|_| {
            panic!("{name} does not listen: {}", output.lock().expect("a lock"))
        });
        Self {
            child,
            address,
            output,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// The status of the response to a GET; `None` if there is no response within `patience`. Connections are kept.
    pub async fn status(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        patience: Duration,
    ) -> Option<StatusCode> {
        let mut request = Request::get(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).expect("a request");
        let response = tokio::time::timeout(patience, self.client.request(request)).await;
        Some(response.ok()?.ok()?.status())
    }

    /// Sends the process a signal, such as `-STOP` or `-CONT`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("a running process").to_string();
        let status = std::process::Command::new("kill")
            .args([name, &pid])
            .status();
        assert!(status.expect("kill").success());
    }
}

/// The address in the line `listening`.
fn address(output: &str) -> Option<String> {
    let mut lines = output.lines();
    lines.find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let is_it = line["message"] == "listening";
        is_it.then(|| line["address"].as_str().map(str::to_owned))?
    })
}
