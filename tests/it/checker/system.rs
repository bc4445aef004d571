//! The system under test: functions, store, keys and a model of Cognito; and what a run records.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auth_tests::{Stack, environment};
use serde_json::Value;
use testkit::jwks_server::JwksServer;
use testkit::{Binary, DynamoDbLocal, FakeAws, Pool};
use tokio::sync::RwLock;

use super::browser::Browsers;
use super::cognito::Cognito;
use super::front::{CACHE_SECONDS, Decider, Front, ServerSlot};
use super::state::User;
use crate::world::{ACCOUNT, unique};

pub(super) const USERS: u64 = 24;

/// Longer than any function takes: a response that is still missing then counts as lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// Time after a fault in which connections and cool-downs may still cause errors.
const RECOVERY: Duration = Duration::from_secs(3);

/// Deliberate defects of the system under test that the checker must detect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    None,
    /// The store serves reads from a cache.
    StaleReads,
    /// A logout is acknowledged before its revocation is written.
    LateRevocations,
    /// Cognito gives refreshed tokens a new `auth_time`.
    NewAuthTime,
    /// Cognito acknowledges a revocation without performing it.
    IgnoredCalls,
    /// forward-auth caches decisions, which the oracle does not allow.
    HiddenCache,
    /// forward-auth does not read the table.
    SkippedCheck,
}

/// A function that may be killed and restarted.
pub(crate) struct Slot {
    name: &'static str,
    environment: Vec<(&'static str, String)>,
    binary: RwLock<Arc<Binary>>,
}

impl Slot {
    pub(crate) async fn start(
        name: &'static str,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let binary = Binary::start(name, &environment).await;
        Self {
            name,
            environment,
            binary: RwLock::new(Arc::new(binary)),
        }
    }

    pub(crate) async fn invoke(&self, event: &Value) -> Option<testkit::Invocation> {
        let binary = Arc::clone(&*self.binary.read().await);
        binary.try_invoke(event, PATIENCE).await
    }

    pub(crate) async fn kill(&self) {
        let new = Arc::new(Binary::start(self.name, &self.environment).await);
        let old = std::mem::replace(&mut *self.binary.write().await, new);
        old.signal("-KILL");
    }

    pub(crate) async fn signal(&self, name: &str) {
        self.binary.read().await.signal(name);
    }

    pub(crate) async fn pid(&self) -> u32 {
        self.binary.read().await.pid()
    }

    pub(crate) async fn is_running(&self) -> bool {
        self.binary.read().await.is_running()
    }

    pub(crate) async fn freeze(&self, time: Duration) {
        let binary = Arc::clone(&*self.binary.read().await);
        binary.signal("-STOP");
        tokio::time::sleep(time).await;
        binary.signal("-CONT");
    }
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) operations: AtomicU64,
    pub(super) allowed: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) errors: AtomicU64,
    /// Acknowledged revocations by function.
    pub(super) revocations: Mutex<HashMap<&'static str, u64>>,
    /// Calls of thieves at Cognito, and those that Cognito rejected.
    pub(super) thefts: AtomicU64,
    pub(super) thefts_refused: AtomicU64,
    pub(super) faults: AtomicU64,
    pub(super) restarts: AtomicU64,
    /// Decisions about cookies of browsers.
    pub(super) cookies: AtomicU64,
    /// How long after an acknowledged revocation a request was still allowed, within the bound of a cache.
    pub(super) latest: Mutex<Duration>,
}

pub(super) struct Checker {
    pub(super) deciders: Vec<Decider>,
    pub(super) front: Front,
    pub(super) logouts: Vec<Slot>,
    pub(super) events: Slot,
    pub(super) resets: Slot,
    pub(super) store: FakeAws,
    /// DynamoDB Local behind the relay, which faults restart. A sabotaged run has no faults, and a table of its own in
    /// the one that all tests share.
    pub(super) database: Option<DynamoDbLocal>,
    pub(super) cognito: Cognito,
    pub(super) jwks: JwksServer,
    /// Clients of forward-auth are browsers too.
    pub(super) browsers: Option<Browsers>,
    pub(super) users: Vec<Mutex<User>>,
    /// Start and end of each fault; the last may still be active.
    pub(super) faults: Mutex<Vec<(Instant, Option<Instant>)>>,
    pub(super) counts: Counts,
    pub(super) violations: Mutex<Vec<String>>,
    pub(super) sabotage: Sabotage,
}

/// A small random generator, sufficient for choosing operations.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

impl Checker {
    pub(super) async fn start(front: Front, sabotage: Sabotage) -> Arc<Self> {
        let database = match sabotage {
            Sabotage::None => {
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
                Some(DynamoDbLocal::start(&root).await)
            }
            _ => None,
        };
        let tables = match &database {
            Some(database) => database.url(),
            None => Stack::of_this_run().tables,
        };
        let table = unique(auth_tests::TABLE);
        make_table(&tables, &table).await;
        let jwks = JwksServer::start(&Pool::ours().jwks()).await;
        let store = FakeAws::in_front_of(&tables).await;
        if sabotage == Sabotage::StaleReads {
            store.set_stale(Duration::from_secs(2));
        }
        let cognito = Cognito::start(sabotage == Sabotage::IgnoredCalls).await;
        let more = [
            ("ACCOUNT_ID", ACCOUNT),
            ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &cognito.url()),
            ("LOG_LEVEL", "ERROR"),
            ("REVOCATION_TABLE", &table),
        ];
        let mut environment = environment(&jwks.uri(), &store.url(), &more);
        // A store of revocations in memory excludes browser sessions.
        let has_browsers = front != Front::Authorizer && sabotage != Sabotage::SkippedCheck;
        let mut browsers = None;
        let mut of_server = environment.clone();
        if has_browsers {
            let started = Browsers::start(&tables).await;
            of_server.extend(started.variables_of_server());
            environment.extend(started.variables());
            browsers = Some(started);
        }
        let start = async |name| Slot::start(name, environment.clone()).await;
        let decider = async || match front {
            Front::Authorizer => Decider::Authorizer(start("authorizer").await),
            Front::ForwardAuth | Front::CachingForwardAuth => {
                let environment = forward_auth_environment(&of_server, front, sabotage);
                Decider::ForwardAuth(Box::new(ServerSlot::start(environment).await))
            }
        };
        Arc::new(Self {
            deciders: vec![decider().await, decider().await],
            front,
            logouts: vec![start("logout").await, start("logout").await],
            events: start("user-events").await,
            resets: start("post-confirmation").await,
            store,
            database,
            cognito,
            jwks,
            browsers,
            users: (0..USERS).map(|_| Mutex::default()).collect(),
            faults: Mutex::default(),
            counts: Counts::default(),
            violations: Mutex::default(),
            sabotage,
        })
    }

    #[expect(clippy::print_stderr, reason = "a long run may be stopped early")]
    pub(super) fn violation(&self, what: String) {
        eprintln!("checker: {what}");
        self.violations.lock().unwrap().push(what);
    }

    /// Whether a fault was active at any time since shortly before `since`.
    pub(super) fn was_broken(&self, since: Instant) -> bool {
        let faults = self.faults.lock().unwrap();
        faults
            .iter()
            .any(|(_, end)| end.is_none_or(|end| end + RECOVERY > since))
    }
}

/// The environment of forward-auth, from that of the functions.
fn forward_auth_environment(
    functions: &[(&'static str, String)],
    front: Front,
    sabotage: Sabotage,
) -> Vec<(&'static str, String)> {
    let mut environment = functions.to_vec();
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies");
    let seconds = match (front, sabotage) {
        (Front::CachingForwardAuth, _) => CACHE_SECONDS,
        (_, Sabotage::HiddenCache) => 5,
        _ => 0,
    };
    environment.extend([
        ("PROXY_DIALECT", "envoy".to_owned()),
        ("POLICIES_DIR", policies.to_owned()),
        ("DECISION_CACHE_SECONDS", seconds.to_string()),
    ]);
    if sabotage == Sabotage::SkippedCheck {
        environment.retain(|(name, _)| *name != "REVOCATION_TABLE");
        environment.push(("REVOCATION_STORE", "memory".to_owned()));
    }
    environment
}

/// A revocation table, as the template defines it.
pub(super) async fn make_table(url: &str, name: &str) {
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    };
    let client = aws_sdk_dynamodb::Client::new(&crate::store::sdk(url).await);
    let mut call = client.create_table().table_name(name);
    for (name, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind);
        call = call
            .attribute_definitions(attribute.build().unwrap())
            .key_schema(key.build().unwrap());
    }
    let made = call.billing_mode(BillingMode::PayPerRequest).send().await;
    made.unwrap();
}
