//! An HTTP server on a free loopback port that ends with its handle.

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running server. Dropping it stops it.
pub struct Server {
    /// `127.0.0.1:port`
    pub address: String,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves `router` on a port that the system chooses.
    pub async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a server");
        });
        Self { address, task }
    }

    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a stand-in may misbehave, for as long as it is told to.
#[derive(Clone, Debug, Default)]
pub enum Fault {
    /// It works.
    #[default]
    None,
    /// It answers with this status and body.
    Answer(u16, String),
    /// It never answers.
    Hang,
    /// It answers after this many milliseconds.
    Slow(u64),
    /// It closes the connection instead of answering.
    Cut,
}
