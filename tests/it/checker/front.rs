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

use super::system::{PATIENCE, Slot};

/// The cache of a forward-auth that has one, in seconds.
pub(super) const CACHE_SECONDS: u64 = 1;

/// Which program decides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    Authorizer,
    ForwardAuth,
    /// With `DECISION_CACHE_SECONDS`, by which a revocation may be late.
    CachingForwardAuth,
}

impl Front {
    /// How long a request may be allowed after a revocation was acknowledged.
    pub(super) fn bound(self) -> Duration {
        match self {
            Self::Authorizer | Self::ForwardAuth => Duration::ZERO,
            Self::CachingForwardAuth => Duration::from_secs(CACHE_SECONDS),
        }
    }
}

/// A process that decides.
pub(super) enum Decider {
    Authorizer(Slot),
    ForwardAuth(Box<ServerSlot>),
}

/// A decision, and the `sub` that the backend would get from forward-auth.
pub(super) struct Decided {
    pub(super) verdict: Verdict,
    pub(super) subject: Option<String>,
}

impl Decider {
    /// The decision about a request with this token. A lost response is a failure.
    pub(super) async fn decide(&self, token: &str) -> Decided {
        let authorization = format!("Bearer {token}");
        match self {
            Self::Authorizer(slot) => {
                let outcome = slot.invoke(&request_event(&authorization)).await;
                let verdict = outcome.map_or(Verdict::Failure, |one| auth_tests::verdict(&one));
                let subject = None;
                Decided { verdict, subject }
            }
            Self::ForwardAuth(slot) => {
                let decided = tokio::time::timeout(PATIENCE, slot.ask(&authorization)).await;
                decided.ok().flatten().unwrap_or(Decided {
                    verdict: Verdict::Failure,
                    subject: None,
                })
            }
        }
    }

    pub(super) async fn freeze(&self, time: Duration) {
        match self {
            Self::Authorizer(slot) => slot.freeze(time).await,
            Self::ForwardAuth(slot) => slot.freeze(time).await,
        }
    }

    /// Kills the process; a new one takes its place.
    pub(super) async fn kill(&self) {
        match self {
            Self::Authorizer(slot) => slot.kill().await,
            Self::ForwardAuth(slot) => slot.replace("-KILL").await,
        }
    }

    /// Ends the process in the regular way; a new one takes its place.
    pub(super) async fn stop(&self) {
        match self {
            Self::Authorizer(slot) => slot.kill().await,
            Self::ForwardAuth(slot) => slot.replace("-TERM").await,
        }
    }
}

/// A forward-auth server that may be killed and restarted, and a proxy's connections to it.
pub(super) struct ServerSlot {
    environment: Vec<(&'static str, String)>,
    server: RwLock<HttpBinary>,
    client: Client<HttpConnector, Body>,
}

impl ServerSlot {
    pub(super) async fn start(environment: Vec<(&'static str, String)>) -> Self {
        Self {
            server: RwLock::new(HttpBinary::start("forward-auth", &environment).await),
            environment,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// The decision; `None` for a lost response.
    async fn ask(&self, authorization: &str) -> Option<Decided> {
        let address = self.server.read().await.address.clone();
        let request = Request::get(format!("http://{address}/auth/whoami"))
            .header("authorization", authorization)
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
        let subject = (verdict == Verdict::Allow).then(|| {
            let value = &response.headers()["x-auth-subject"];
            value.to_str().unwrap().to_owned()
        });
        Some(Decided { verdict, subject })
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
