//! An HTTP server on a free loopback port that stops when its handle is dropped.

use std::net::Shutdown;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::serve::Listener;
use tokio::io::Join;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running server. Dropping it stops it.
pub struct Server {
    /// `127.0.0.1:port`
    pub address: String,
    task: JoinHandle<()>,
    connections: Connections,
}

/// A second handle to every accepted connection.
type Connections = Arc<Mutex<Vec<std::net::TcpStream>>>;

impl Server {
    /// Serves `router` on a port that the system assigns.
    pub async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let connections = Connections::default();
        let listener = Remembering {
            listener,
            connections: Arc::clone(&connections),
        };
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a server");
        });
        Self {
            address,
            task,
            connections,
        }
    }

    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The number of connections since the start, or since they were closed.
    pub fn connections(&self) -> usize {
        self.connections.lock().expect("a lock").len()
    }

    /// Closes all open connections, even during a request.
    pub fn close_connections(&self) {
        for connection in self.connections.lock().expect("a lock").drain(..) {
            // The client may have closed it already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Remembering {
    listener: TcpListener,
    connections: Connections,
}

impl Listener for Remembering {
    // Dropping the write half closes the connection, although its twin is still open.
    type Io = Join<OwnedReadHalf, OwnedWriteHalf>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let stream = stream.into_std().expect("a socket");
        let twin = stream.try_clone().expect("a socket");
        self.connections.lock().expect("a lock").push(twin);
        let stream = TcpStream::from_std(stream).expect("a socket");
        let (reader, writer) = stream.into_split();
        (tokio::io::join(reader, writer), address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A fault that a fake service injects.
#[derive(Clone, Debug, Default)]
pub enum Fault {
    /// No fault.
    #[default]
    None,
    /// Responds with this status and body.
    Answer(u16, String),
    /// Never responds.
    Hang,
    /// Responds after this many milliseconds.
    Slow(u64),
    /// Responds with this status and body after this many milliseconds.
    SlowAnswer(u64, u16, String),
    /// Closes the connection instead of responding.
    Cut,
    /// Sends the correct response at one byte per second.
    Drip,
    /// Sends only so many bytes of the correct response's body.
    Part(usize, Framing),
}

/// How a response that is not sent as a whole declares its length (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length` of the whole body; then the connection is closed.
    Cut,
    /// `Content-Length` of the part: a complete response with a truncated body.
    Short,
    /// `Content-Length` of more than the whole body; the connection stays open.
    Long,
    /// Chunks without the last one; then the connection is closed.
    Chunks,
}

impl Framing {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Cut, Self::Short, Self::Long, Self::Chunks];
}

/// A response with the first `bytes` of `body`.
pub(crate) fn part(
    body: &axum::body::Bytes,
    bytes: usize,
    framing: Framing,
) -> axum::response::Response {
    use futures_util::StreamExt;
    let bytes = bytes.min(body.len());
    let sent = futures_util::stream::iter([Ok(body.slice(..bytes))]);
    let end = || futures_util::stream::iter([Err(std::io::Error::other("cut on purpose"))]);
    let (length, body) = match framing {
        Framing::Cut => (
            Some(body.len().max(bytes + 1)),
            axum::body::Body::from_stream(sent.chain(end())),
        ),
        Framing::Short => (Some(bytes), axum::body::Body::from_stream(sent)),
        Framing::Long => (
            Some(body.len() + 7),
            axum::body::Body::from_stream(sent.chain(futures_util::stream::pending())),
        ),
        Framing::Chunks => (None, axum::body::Body::from_stream(sent.chain(end()))),
    };
    let mut response = axum::response::Response::new(body);
    if let Some(length) = length {
        response
            .headers_mut()
            .insert(axum::http::header::CONTENT_LENGTH, length.into());
    }
    response
}

/// A body that is sent at one byte per second.
pub(crate) fn drip(body: impl Into<axum::body::Bytes>) -> axum::body::Body {
    let body: axum::body::Bytes = body.into();
    axum::body::Body::from_stream(futures_util::stream::unfold(0, move |at| {
        let byte = (at < body.len()).then(|| body.slice(at..=at));
        async move {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            byte.map(|byte| (Ok::<_, std::io::Error>(byte), at + 1))
        }
    }))
}

/// Cuts the connection whose request is being answered: the server drops it when the answer
/// unwinds. Without the message and backtrace of a panic.
pub(crate) fn cut() -> ! {
    std::panic::resume_unwind(Box::new("the connection is cut on purpose"))
}
