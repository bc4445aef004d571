//! A function's start: from `exec` to its first poll for an event.

use std::path::Path;
use std::time::Instant;

use serde_json::json;
use testkit::jwks_server::JwksServer;
use testkit::{Binary, FakeAws, Pool};

use crate::process::{cpu_ns, resident_mb};
use crate::tls::Tls;

/// The variables of a function's process.
pub type Environment = Vec<(&'static str, String)>;

/// The servers of keys and revocations that functions find at their start, on the loopback interface.
pub struct Servers {
    jwks: JwksServer,
    store: FakeAws,
}

impl Servers {
    /// Starts them.
    pub async fn start() -> Self {
        Self {
            jwks: JwksServer::start(&Pool::ours().jwks()).await,
            store: FakeAws::start().await,
        }
    }

    /// The variables that every function starts with; `POLICIES_DIR` is set for those without compiled-in policies.
    #[must_use]
    pub fn environment(&self) -> Environment {
        environment(&self.jwks.uri(), &self.store.url())
    }

    /// The same with TLS in front of keys and store, as in an AWS account. The function needs roots of `tls`.
    pub async fn environment_with(&self, tls: &Tls) -> Environment {
        let uri = self.jwks.uri();
        let (server, _) = uri.split_at(uri.rfind("/.well-known").expect("a path"));
        let mut account = environment(&uri, &tls.in_front_of(&self.store.url()).await);
        // Keys come by TLS only from the issuer's own host: one set from an issuer at `localhost`, the pool's from the
        // configuration.
        account.retain(|(variable, _)| *variable != "JWKS_URI");
        let issuer = tls.in_front_of(server).await;
        let issuer = json!([{"issuer": issuer, "alias": "other", "audiences": ["api"]}]);
        account.push(("TRUSTED_ISSUERS", issuer.to_string()));
        account.push(("JWKS", Pool::ours().jwks().to_string()));
        account
    }
}

fn environment(jwks: &str, store: &str) -> Vec<(&'static str, String)> {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let text = str::to_owned;
    vec![
        ("USER_POOL_ID", text(Pool::ours().id)),
        ("APP_CLIENT_IDS", text(Pool::ours().client_id)),
        ("REVOCATION_TABLE", text("revocations")),
        ("JWKS_URI", text(jwks)),
        ("AWS_ENDPOINT_URL_DYNAMODB", text(store)),
        ("ACCOUNT_ID", text("123456789012")),
        ("USERS_TABLE", text("users")),
        ("SESSION_TABLE", text("sessions")),
        ("CONNECTION_TABLE", text("connections")),
        ("CONNECTIONS_URL", text(store)),
        ("APP_NAME", text("Example")),
        ("APP_BASE_URL", text("https://app.example.com")),
        ("LEGACY_SOURCE", text("dynamodb")),
        ("LEGACY_TABLE", text("people")),
        ("PENDING_GROUPS_TABLE", text("groups")),
        ("PROXY_DIALECT", text("nginx")),
        (
            "POLICIES_DIR",
            policies.to_str().expect("a path").to_owned(),
        ),
        (
            "SECURITY_TOPIC_ARN",
            text("arn:aws:sns:us-east-1:123456789012:security"),
        ),
    ]
}

/// What one start used.
pub struct Started {
    /// Milliseconds from `exec` to the first poll.
    pub ms: f64,
    /// Milliseconds of processor time.
    pub cpu_ms: f64,
    /// Megabytes of resident memory.
    pub resident_mb: f64,
}

/// Starts a function and ends it.
async fn started(binary: &str, environment: &[(&'static str, String)]) -> Started {
    let began = Instant::now();
    let binary = Binary::start(binary, environment).await;
    Started {
        ms: began.elapsed().as_secs_f64() * 1e3,
        cpu_ms: cpu_ns(binary.pid()) / 1e6,
        resident_mb: resident_mb(binary.pid()),
    }
}

/// Starts two functions in turns, because the machine may be faster or slower for minutes. Each begins in half of the
/// rounds, because a start leaves the processor's caches to the next one.
pub async fn in_turns(
    rounds: usize,
    binaries: [&str; 2],
    environments: [&Environment; 2],
) -> [Vec<Started>; 2] {
    let mut starts = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for side in [round % 2, 1 - round % 2] {
            starts[side].push(started(binaries[side], environments[side]).await);
        }
    }
    starts
}

/// `environment` without what only forward-auth needs, which has no compiled-in policies.
#[must_use]
pub fn environment_of(binary: &str, environment: &[(&'static str, String)]) -> Environment {
    let mut environment = environment.to_vec();
    environment.retain(|(variable, _)| *variable != "POLICIES_DIR" || binary == "forward-auth");
    environment
}
