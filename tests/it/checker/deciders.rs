//! What decides about requests: the authorizer as a Lambda function, or forward-auth as a server.

use std::sync::Arc;
use std::time::Duration;

use auth_tests::{Verdict, request_event};
use testkit::Served;
use tokio::sync::RwLock;

use super::system::{PATIENCE, Slot};

/// The kind of decider that a run checks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Authorizer,
    ForwardAuth,
}

pub(super) enum Decider {
    Function(Slot),
    Server(Server),
}

/// A server that may be killed and restarted.
pub(super) struct Server {
    environment: Vec<(&'static str, String)>,
    served: RwLock<Arc<Served>>,
}

impl Decider {
    pub(super) async fn start(kind: Kind, environment: &[(&'static str, String)]) -> Self {
        let mut environment = environment.to_vec();
        match kind {
            Kind::Authorizer => Self::Function(Slot::start("authorizer", environment).await),
            Kind::ForwardAuth => {
                let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies");
                environment.push(("POLICIES_DIR", policies.to_owned()));
                environment.push(("PROXY_DIALECT", "nginx".to_owned()));
                let served = Served::start("forward-auth", &environment).await;
                Self::Server(Server {
                    environment,
                    served: RwLock::new(Arc::new(served)),
                })
            }
        }
    }

    /// The verdict on a request with this bearer token; a failure if there is no response.
    pub(super) async fn verdict(&self, token: &str) -> Verdict {
        match self {
            Self::Function(slot) => {
                let event = request_event(&format!("Bearer {token}"));
                let outcome = slot.invoke(&event).await;
                outcome.map_or(Verdict::Failure, |outcome| auth_tests::verdict(&outcome))
            }
            Self::Server(server) => {
                let served = Arc::clone(&*server.served.read().await);
                let bearer = format!("Bearer {token}");
                let headers = [
                    ("x-original-method", "GET"),
                    ("x-original-host", "api.example.com"),
                    ("x-original-uri", "/whoami"),
                    ("authorization", bearer.as_str()),
                ];
                let status = served.status("/auth", &headers, PATIENCE).await;
                match status.map(|status| status.as_u16()) {
                    Some(200) => Verdict::Allow,
                    Some(401) => Verdict::Unauthorized,
                    Some(403) => Verdict::Deny,
                    Some(503) | None => Verdict::Failure,
                    Some(other) => panic!("status {other}"),
                }
            }
        }
    }

    pub(super) async fn kill(&self) {
        match self {
            Self::Function(slot) => slot.kill().await,
            Self::Server(server) => {
                let new = Arc::new(Served::start("forward-auth", &server.environment).await);
                let old = std::mem::replace(&mut *server.served.write().await, new);
                old.signal("-KILL");
            }
        }
    }

    pub(super) async fn freeze(&self, time: Duration) {
        match self {
            Self::Function(slot) => slot.freeze(time).await,
            Self::Server(server) => {
                let served = Arc::clone(&*server.served.read().await);
                served.signal("-STOP");
                tokio::time::sleep(time).await;
                served.signal("-CONT");
            }
        }
    }
}
