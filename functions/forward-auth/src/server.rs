//! The plain HTTP/1.1 server.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use auth::{ApiKeyStore, AuthError, Dependency, RevocationReader};
use auth_jwks::HttpsKeys;
use env_config::ConfigError;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use runtime::clock;
use runtime::log::{self, Level};
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::answer::{self, Answer};
use crate::config::Config;
use crate::metrics;
use crate::phantom::BACKGROUND_READ;
use crate::service::ForwardAuth;
use crate::store::Store;

/// hyper's limit for a request's head. It is checked only between reads, so the header fields are also counted.
const MAX_HEAD_BYTES: usize = 96 * 1024;
/// The number of header fields.
const MAX_HEADERS: usize = 512;
/// How long a connection may be idle, and a request's head may take: longer than proxies keep theirs (nginx: 60 s), so
/// that none of them sends a request on a connection that is being closed.
const IDLE: Duration = Duration::from_secs(75);
/// How long requests are still accepted after SIGTERM, while `/readyz` tells balancers to stop.
const DRAIN: Duration = Duration::from_secs(2);
/// How long requests may take after that.
const FINISH: Duration = Duration::from_secs(5);
/// How often the server looks whether something is due.
const TEND_EVERY: Duration = Duration::from_secs(5);
/// For how long the result of a readiness check is repeated.
const READY_FOR: Duration = Duration::from_secs(1);

/// What a server can say about its dependencies.
pub trait Readiness {
    /// The name of the first dependency that does not respond.
    fn unready(&self) -> impl Future<Output = Option<&'static str>> + Send;
}

impl<A: ApiKeyStore + Sync> Readiness for ForwardAuth<HttpsKeys, Store, A> {
    async fn unready(&self) -> Option<&'static str> {
        let callers = &self.gate.callers;
        let keys = async {
            let are_trusted = callers.keys.are_trusted(clock::now()).await;
            (!are_trusted).then_some(Dependency::Jwks)
        };
        let revocations = async {
            match &callers.revocations {
                Store::Memory(_) => None,
                Store::DynamoDb(table) => failed(table.store().reach().await),
            }
        };
        let api_keys = async {
            let api_keys = callers.api_keys.as_ref()?;
            failed(api_keys.store.find(MISSING).await)
        };
        let sessions = async {
            let sessions = self.gate.sessions.as_ref()?;
            failed(sessions.access_token(MISSING, clock::now()).await)
        };
        let (keys, revocations, api_keys, sessions) =
            tokio::join!(keys, revocations, api_keys, sessions);
        let dependency = keys.or(revocations).or(api_keys).or(sessions);
        let name = dependency.map(Dependency::as_str);
        name.or_else(|| self.lacks_keys().then_some("phantom_keys_unavailable"))
    }
}

/// The id of no row: a valid one of a browser session, whose 256 bits are all zero.
const MISSING: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The dependency that did not respond. A missing or an unreadable row is a response.
fn failed<T, E: Into<AuthError>>(response: Result<T, E>) -> Option<Dependency> {
    match response.map_err(Into::into) {
        Err(AuthError::Unavailable(unavailable)) => Some(unavailable.dependency),
        Ok(_) | Err(AuthError::Unauthorized(_)) => None,
    }
}

/// Answers proxies' requests.
pub trait Answers {
    /// The response to a request.
    fn answer(&self, parts: &http::request::Parts) -> impl Future<Output = Answer> + Send;
    /// The metrics' text.
    fn metrics(&self) -> String;
    /// Does what is due from time to time: reads keys again.
    fn tend(&self) -> impl Future<Output = ()> + Send;
    /// Counts a connection that opens (1) or closes (-1).
    fn count_connection(&self, change: i64);
}

impl<K, R, A> Answers for ForwardAuth<K, R, A>
where
    K: auth::KeySource + Sync,
    R: RevocationReader + Sync,
    A: ApiKeyStore + Sync,
{
    async fn answer(&self, parts: &http::request::Parts) -> Answer {
        Self::answer(self, parts, None).await
    }

    fn metrics(&self) -> String {
        self.metrics.text()
    }

    async fn tend(&self) {
        self.follow_keys(BACKGROUND_READ).await;
    }

    fn count_connection(&self, change: i64) {
        self.metrics.connections.inc_by(change);
    }
}

/// A server and its state.
struct Server<F> {
    forward_auth: F,
    is_stopping: AtomicBool,
    /// The last readiness check.
    checked: Mutex<Option<(Instant, Option<&'static str>)>>,
}

impl<F: Answers + Readiness> Server<F> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, _) = request.into_parts();
        let answer = match parts.uri.path() {
            "/readyz" => {
                let readiness = self.readiness().await;
                answer::read_only(&parts.method, || readiness)
            }
            "/metrics" => answer::read_only(&parts.method, || {
                answer::text(metrics::MEDIA_TYPE, self.forward_auth.metrics())
            }),
            _ => self.forward_auth.answer(&parts).await,
        };
        answer.map(|body| Full::new(Bytes::from(body)))
    }

    async fn readiness(&self) -> Answer {
        if self.is_stopping.load(Ordering::SeqCst) {
            return unready("stopping");
        }
        // Concurrent checks wait for one, and repeat its result.
        let mut checked = self.checked.lock().await;
        let recent = checked.filter(|(at, _)| at.elapsed() < READY_FOR);
        let failed = match recent {
            Some((_, failed)) => failed,
            None => {
                let failed = self.forward_auth.unready().await;
                *checked = Some((Instant::now(), failed));
                failed
            }
        };
        drop(checked);
        match failed {
            None => answer::text("text/plain", "ready\n".to_owned()),
            Some(dependency) => unready(dependency),
        }
    }
}

fn unready(word: &str) -> Answer {
    let mut answer = answer::text("text/plain", format!("{word}\n"));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer
}

/// Runs the server until SIGTERM or SIGINT. An invalid configuration, or an address that is in use, ends the process.
#[must_use]
pub fn run(config: Result<Config, ConfigError>, address: SocketAddr) -> ExitCode {
    let Some(config) = runtime::prepare(config) else {
        return ExitCode::FAILURE;
    };
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .and_then(|runtime| {
            runtime.block_on(async {
                let listener = TcpListener::bind(address).await?;
                let stop = stop_signal()?;
                let forward_auth = ForwardAuth::connect(config).await;
                let forward_auth = forward_auth.map_err(std::io::Error::other)?;
                let address = listener.local_addr()?.to_string();
                log::line(
                    Level::Info,
                    "listening",
                    [("address", Value::from(address))],
                );
                serve(listener, forward_auth, stop).await;
                Ok(())
            })
        });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = [("error", Value::from(error.to_string()))];
            log::line(Level::Error, "the server ended", error);
            ExitCode::FAILURE
        }
    }
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (tell, mut told) = watch::channel(false);
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            // Without a receiver the server has ended already.
            let _ = tell.send(true);
        }
    });
    Ok(async move {
        // An error means that the thread has ended.
        let _ = told.wait_for(|is_told| *is_told).await;
    })
}

/// Serves until `stop` resolves. Then `/readyz` fails, requests are accepted for two seconds more, and those under way
/// are finished within five.
pub async fn serve<F>(listener: TcpListener, forward_auth: F, stop: impl Future<Output = ()>)
where
    F: Answers + Readiness + Send + Sync + 'static,
{
    let server = Arc::new(Server {
        forward_auth,
        is_stopping: AtomicBool::new(false),
        checked: Mutex::default(),
    });
    let tended = Arc::clone(&server);
    let tending = tokio::spawn(async move {
        loop {
            tokio::time::sleep(TEND_EVERY).await;
            tended.forward_auth.tend().await;
        }
    });
    let (close, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    {
        let stopping = async {
            stop.await;
            log::line(Level::Info, "stopping", []);
            server.is_stopping.store(true, Ordering::SeqCst);
            tokio::time::sleep(DRAIN).await;
        };
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                () = &mut stopping => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let (server, closed) = (Arc::clone(&server), closed.clone());
                        connections.spawn(connection(stream, server, closed));
                    }
                    // Out of file descriptors, for example: accepting again at once would not help.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                // Ended connections leave the set.
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }
    drop(listener);
    tending.abort();
    // Without a receiver there is no connection.
    let _ = close.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(FINISH, all).await;
}

async fn connection<F>(stream: TcpStream, server: Arc<Server<F>>, mut closed: watch::Receiver<bool>)
where
    F: Answers + Readiness + Send + Sync + 'static,
{
    // Responses are small, and each is written at once. A socket that refuses the option is slower, not wrong.
    let _ = stream.set_nodelay(true);
    let open = OpenConnection::new(Arc::clone(&server));
    let service = service_fn(|request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let closing = async {
        // An error means that the server has ended.
        let _ = closed.wait_for(|is_closed| *is_closed).await;
    };
    // A broken connection is the proxy's to report.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = closing => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
    drop(open);
}

/// Counts a connection while it is open, also if its task panics.
struct OpenConnection<F: Answers>(Arc<Server<F>>);

impl<F: Answers> OpenConnection<F> {
    fn new(server: Arc<Server<F>>) -> Self {
        server.forward_auth.count_connection(1);
        Self(server)
    }
}

impl<F: Answers> Drop for OpenConnection<F> {
    fn drop(&mut self) {
        self.0.forward_auth.count_connection(-1);
    }
}
