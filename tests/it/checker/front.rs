//! What decides about requests: authorizers behind API Gateway, or forward-auth servers behind a proxy.

use std::time::Duration;

use auth_tests::{Verdict, request_event};
use axum::body::Body;
use axum::http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use testkit::HttpBinary;
use tokio::sync::RwLock;

use super::browser::{COOKIE, HOST};
pub(crate) use super::system::{PATIENCE, Slot};

/// The cache of a forward-auth that has one, in seconds.
pub(crate) const CACHE_SECONDS: u64 = 1;

/// Which program decides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    Authorizer,
    ForwardAuth,
    /// With `DECISION_CACHE_SECONDS`, by which a revocation may be late.
    CachingForwardAuth,
}

impl Front {
    /// How long a request may be allowed after a revocation was acknowledged.
    pub(crate) fn bound(self) -> Duration {
        match self {
            Self::Authorizer | Self::ForwardAuth => Duration::ZERO,
            Self::CachingForwardAuth => Duration::from_secs(CACHE_SECONDS),
        }
    }
}

/// A header with a credential, and its value.
pub(crate) struct Credential(&'static str, String);

impl Credential {
    pub(crate) fn bearer(token: &str) -> Self {
        Self("authorization", format!("Bearer {token}"))
    }

    pub(super) fn cookie(id: &str) -> Self {
        Self("cookie", format!("{COOKIE}={id}"))
    }

    pub(super) fn is_cookie(&self) -> bool {
        self.0 == "cookie"
    }
}

/// A process that decides.
pub(crate) enum Decider {
    Authorizer(Slot),
    ForwardAuth(Box<ServerSlot>),
}

/// A decision, and what the backend would get from forward-auth.
pub(crate) struct Decided {
    pub(crate) verdict: Verdict,
    /// `X-Auth-Subject`
    pub(crate) subject: Option<String>,
    /// `X-Auth-Token`
    pub(crate) phantom: Option<String>,
}

impl Decided {
    fn plain(verdict: Verdict) -> Self {
        Self {
            verdict,
            subject: None,
            phantom: None,
        }
    }
}

impl Decider {
    /// The decision about a request with this token. A lost response is a failure.
    pub(crate) async fn decide(&self, token: &str) -> Decided {
        self.decide_by(&Credential::bearer(token)).await
    }

    /// The decision about a request with this credential.
    pub(crate) async fn decide_by(&self, credential: &Credential) -> Decided {
        let Credential(header, value) = credential;
        match self {
            Self::Authorizer(slot) => {
                assert_eq!(
                    *header, "authorization",
                    "the authorizer has no table of sessions"
                );
                let outcome = slot.invoke(&request_event(value)).await;
                let verdict = outcome.map_or(Verdict::Failure, |one| auth_tests::verdict(&one));
                Decided::plain(verdict)
            }
            Self::ForwardAuth(slot) => {
                let decided = tokio::time::timeout(PATIENCE, slot.ask((*header, value))).await;
                let decided = decided.ok().flatten();
                decided.unwrap_or_else(|| Decided::plain(Verdict::Failure))
            }
        }
    }

    pub(crate) async fn freeze(&self, time: Duration) {
        match self {
            Self::Authorizer(slot) => slot.freeze(time).await,
            Self::ForwardAuth(slot) => slot.freeze(time).await,
        }
    }

    /// Sends the process a signal.
    pub(crate) async fn signal(&self, name: &str) {
        match self {
            Self::Authorizer(slot) => slot.signal(name).await,
            Self::ForwardAuth(slot) => slot.server.read().await.signal(name),
        }
    }

    /// The process id.
    pub(crate) async fn pid(&self) -> u32 {
        match self {
            Self::Authorizer(slot) => slot.pid().await,
            Self::ForwardAuth(slot) => slot.server.read().await.pid(),
        }
    }

    /// Whether the process has not ended.
    pub(crate) async fn is_running(&self) -> bool {
        match self {
            Self::Authorizer(slot) => slot.is_running().await,
            Self::ForwardAuth(slot) => slot.server.read().await.is_running(),
        }
    }

    /// Kills the process; a new one takes its place.
    pub(crate) async fn kill(&self) {
        match self {
            Self::Authorizer(slot) => slot.kill().await,
            Self::ForwardAuth(slot) => slot.replace("-KILL").await,
        }
    }

    /// Ends the process in the regular way; a new one takes its place.
    pub(crate) async fn stop(&self) {
        match self {
            Self::Authorizer(slot) => slot.kill().await,
            Self::ForwardAuth(slot) => slot.replace("-TERM").await,
        }
    }
}

/// A forward-auth server that may be killed and restarted, and a proxy's connections to it.
pub(crate) struct ServerSlot {
    environment: Vec<(&'static str, String)>,
    server: RwLock<HttpBinary>,
    client: Client<HttpConnector, Body>,
}

impl ServerSlot {
    pub(crate) async fn start(environment: Vec<(&'static str, String)>) -> Self {
        Self {
            server: RwLock::new(HttpBinary::start("forward-auth", &environment).await),
            environment,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// The decision; `None` for a lost response.
    async fn ask(&self, credential: (&str, &str)) -> Option<Decided> {
        let address = self.server.read().await.address.clone();
        let request = Request::get(format!("http://{address}/auth/whoami"))
            .header("host", HOST)
            .header(credential.0, credential.1)
            .body(Body::empty())
            .unwrap();
        let response = self.client.request(request).await.ok()?;
        let verdict = match response.status().as_u16() {
            200 => Verdict::Allow,
            401 => Verdict::Unauthorized,
            403 => Verdict::Deny,
            503 => Verdict::Failure,
            other => panic!("a response without a meaning: {other}"),
        };
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            (verdict == Verdict::Allow).then(|| value.to_str().unwrap().to_owned())
        };
        Some(Decided {
            verdict,
            subject: header("x-auth-subject"),
            phantom: header("x-auth-token"),
        })
    }

    async fn freeze(&self, time: Duration) {
        self.server.read().await.signal("-STOP");
        tokio::time::sleep(time).await;
        self.server.read().await.signal("-CONT");
    }

    async fn replace(&self, signal: &str) {
        let new = HttpBinary::start("forward-auth", &self.environment).await;
        let old = std::mem::replace(&mut *self.server.write().await, new);
        old.signal(signal);
        tokio::spawn(async move {
            // It finishes the requests that are under way.
            tokio::time::sleep(PATIENCE).await;
            drop(old);
        });
    }
}
