//! A Jepsen-style checker: concurrent clients log in, call, refresh, log out, are disabled and
//! have their passwords reset, against the real binaries over AWS's own DynamoDB Local, while
//! connections are cut, the store is slow, killed and restarted, and functions are frozen and killed.
//! Thieves hold the tokens of valid and revoked sessions and use them at Cognito.
//!
//! It checks three guarantees:
//! - A request that starts after a revocation was acknowledged is never allowed.
//! - A token that was not revoked is never rejected, and an error does not outlast its cause.
//! - A session that was acknowledged as revoked at Cognito gets no tokens there.
//!
//! `GATEHOUSE_OPERATIONS` sets the number of operations; `make check` runs 200,000.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auth_tests::{Stack, Verdict, environment, request_event};
use serde_json::{Value, json};
use testkit::jwks_server::JwksServer;
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Binary, DynamoDbLocal, FakeAws, Pool, TokenBuilder};
use tokio::sync::RwLock;

use crate::checker_cognito::{Cognito, refresh_token};
use crate::world::{ACCOUNT, unique};

const USERS: u64 = 24;
const WORKERS: u64 = 8;
/// Numbers of a user's sessions: those that clients use, and those whose tokens only thieves still have.
const IN_USE: usize = 12;
const STOLEN: usize = 24;
/// Calls that a thief makes at Cognito with an access token, by their names in CloudTrail.
/// Source: AWS, "Amazon Cognito user pools information in CloudTrail".
const THEFTS: &[&str] = &[
    "GetUser",
    "GetTokensFromRefreshToken",
    "UpdateUserAttributes",
    "VerifyUserAttribute",
    "AssociateSoftwareToken",
    "VerifySoftwareToken",
    "SetUserMFAPreference",
    "ChangePassword",
    "GlobalSignOut",
    "RevokeToken",
];
/// Longer than any function takes: a response that is still missing then counts as lost.
const PATIENCE: Duration = Duration::from_secs(8);
/// A client's pause after an error.
const BACK_OFF: Duration = Duration::from_millis(25);

/// Time after a fault in which connections and cool-downs may still cause errors.
const RECOVERY: Duration = Duration::from_secs(3);

/// Reads for 50 checks on a busy machine, where a slow read is repeated.
const RETRIED: usize = 55;

/// Functions that revoke sessions.
const REVOKERS: &[&str] = &[
    "logout",
    "reset",
    "AdminUserGlobalSignOut",
    "AdminDisableUser",
    "ChangePassword",
    "GlobalSignOut",
];

/// Deliberate defects of the system under test that the checker must detect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sabotage {
    None,
    /// The store serves reads from a cache.
    StaleReads,
    /// A logout is acknowledged before its revocation is written.
    LateRevocations,
    /// Cognito gives refreshed tokens a new `auth_time`.
    NewAuthTime,
    /// Cognito acknowledges a revocation without performing it.
    IgnoredCalls,
}

struct Session {
    token: TokenBuilder<'static>,
    authenticated_at: u64,
    since: Instant,
    /// When a revocation of it was acknowledged.
    ended: Option<(Instant, &'static str)>,
    /// When its revocation at Cognito was acknowledged.
    ended_at_cognito: Option<Instant>,
    /// Whether a revocation was attempted: then either verdict is correct.
    tried: bool,
}

impl Session {
    fn id(&self) -> &str {
        self.token.get("origin_jti").as_str().unwrap()
    }
}

#[derive(Default)]
struct User {
    sessions: VecDeque<Session>,
    /// Sessions removed from there; thieves have their tokens.
    stolen: VecDeque<Session>,
    /// Tokens issued up to this second may be rejected, until a refresh.
    outdated_until: u64,
    /// Tokens issued up to this second are rejected, acknowledged at that instant.
    outdated: Option<(u64, Instant)>,
    /// Sessions authenticated up to this second may be revoked by attempted calls.
    tried_until: u64,
    /// Revocations of all of the user's sessions that are in progress.
    trying: u32,
    /// The second of the last disabling, while the user is disabled.
    disabled: Option<u64>,
}

impl User {
    fn all(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().chain(&self.stolen)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.sessions.iter_mut().chain(&mut self.stolen)
    }
}

/// A function that may be killed and restarted.
struct Slot {
    name: &'static str,
    environment: Vec<(&'static str, String)>,
    binary: RwLock<Arc<Binary>>,
}

impl Slot {
    async fn start(name: &'static str, environment: Vec<(&'static str, String)>) -> Self {
        let binary = Binary::start(name, &environment).await;
        Self {
            name,
            environment,
            binary: RwLock::new(Arc::new(binary)),
        }
    }

    async fn invoke(&self, event: &Value) -> Option<testkit::Invocation> {
        let binary = Arc::clone(&*self.binary.read().await);
        binary.try_invoke(event, PATIENCE).await
    }

    async fn kill(&self) {
        let new = Arc::new(Binary::start(self.name, &self.environment).await);
        let old = std::mem::replace(&mut *self.binary.write().await, new);
        old.signal("-KILL");
    }

    async fn freeze(&self, time: Duration) {
        let binary = Arc::clone(&*self.binary.read().await);
        binary.signal("-STOP");
        tokio::time::sleep(time).await;
        binary.signal("-CONT");
    }
}

#[derive(Default)]
struct Counts {
    operations: AtomicU64,
    allowed: AtomicU64,
    refused: AtomicU64,
    errors: AtomicU64,
    /// Acknowledged revocations by function.
    revocations: Mutex<HashMap<&'static str, u64>>,
    /// Calls of thieves at Cognito, and those that Cognito rejected.
    thefts: AtomicU64,
    thefts_refused: AtomicU64,
    faults: AtomicU64,
    restarts: AtomicU64,
}

struct Checker {
    authorizers: Vec<Slot>,
    logouts: Vec<Slot>,
    events: Slot,
    resets: Slot,
    store: FakeAws,
    /// DynamoDB Local behind the relay.
    database: DynamoDbLocal,
    cognito: Cognito,
    _jwks: JwksServer,
    users: Vec<Mutex<User>>,
    /// Start and end of each fault; the last may still be active.
    faults: Mutex<Vec<(Instant, Option<Instant>)>>,
    counts: Counts,
    violations: Mutex<Vec<String>>,
    sabotage: Sabotage,
}

/// A small random generator, sufficient for choosing operations.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

impl Checker {
    async fn start(sabotage: Sabotage) -> Arc<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let database = DynamoDbLocal::start(&root).await;
        make_table(&database.url(), auth_tests::TABLE).await;
        let jwks = JwksServer::start(&Pool::ours().jwks()).await;
        let store = FakeAws::in_front_of(&database.url()).await;
        if sabotage == Sabotage::StaleReads {
            store.set_stale(Duration::from_secs(2));
        }
        let cognito = Cognito::start(sabotage == Sabotage::IgnoredCalls).await;
        let more = [
            ("ACCOUNT_ID", ACCOUNT),
            ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &cognito.url()),
            ("LOG_LEVEL", "ERROR"),
        ];
        let environment = environment(&jwks.uri(), &store.url(), &more);
        let start = async |name| Slot::start(name, environment.clone()).await;
        Arc::new(Self {
            authorizers: vec![start("authorizer").await, start("authorizer").await],
            logouts: vec![start("logout").await, start("logout").await],
            events: start("user-events").await,
            resets: start("post-confirmation").await,
            store,
            database,
            cognito,
            _jwks: jwks,
            users: (0..USERS).map(|_| Mutex::default()).collect(),
            faults: Mutex::default(),
            counts: Counts::default(),
            violations: Mutex::default(),
            sabotage,
        })
    }

    #[expect(clippy::print_stderr, reason = "a long run may be stopped early")]
    fn violation(&self, what: String) {
        eprintln!("checker: {what}");
        self.violations.lock().unwrap().push(what);
    }

    /// Whether a fault was active at any time since shortly before `since`.
    fn was_broken(&self, since: Instant) -> bool {
        let faults = self.faults.lock().unwrap();
        faults
            .iter()
            .any(|(_, end)| end.is_none_or(|end| end + RECOVERY > since))
    }

    #[expect(
        clippy::print_stdout,
        reason = "a run of half an hour reports its progress"
    )]
    async fn work(&self, worker: u64, operations: u64) {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ ((worker + 1) << 32) ^ now());
        loop {
            let done = self.counts.operations.fetch_add(1, Ordering::SeqCst);
            // On a busy machine most calls fail, and a function may not have revoked a session yet.
            if done >= operations && (self.all_have_revoked() || done >= 4 * operations) {
                return;
            }
            if done > 0 && done.is_multiple_of(2_500) {
                let violations = self.violations.lock().unwrap().len();
                println!("checker: {done} operations so far, {violations} violations");
            }
            let subject = random.below(USERS);
            match random.below(1_000) {
                0..40 => self.log_in(subject),
                40..60 => self.log_out(subject, "session", &mut random).await,
                60..63 => self.log_out(subject, "all", &mut random).await,
                63..66 => self.log_out(subject, "others", &mut random).await,
                66..70 => self.disable(subject).await,
                70..80 => self.enable(subject).await,
                80..82 => self.reset_password(subject).await,
                82..85 => self.event(subject, "AdminUserGlobalSignOut").await,
                85..115 => self.steal(subject, &mut random).await,
                _ => self.call(subject, &mut random).await,
            }
        }
    }

    /// Whether each function that revokes sessions has done so, where the checker requires it.
    fn all_have_revoked(&self) -> bool {
        let seen = self.counts.revocations.lock().unwrap();
        self.sabotage != Sabotage::None || REVOKERS.iter().all(|by| seen.contains_key(by))
    }

    fn log_in(&self, user: u64) {
        let mut state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
        let at = now();
        let token = Pool::ours()
            .access_token()
            .claim("sub", self.subject(user))
            .claim("username", self.subject(user))
            .claim("origin_jti", unique("session"))
            .claim("auth_time", at)
            .claim("iat", at)
            .claim("exp", at + 3_600);
        // A concurrent revocation of the user may include this session.
        let tried = state.trying > 0 || state.disabled.is_some();
        state.sessions.push_back(Session {
            token,
            authenticated_at: at,
            since: Instant::now(),
            ended: None,
            ended_at_cognito: None,
            tried,
        });
        if state.sessions.len() > IN_USE {
            let stolen = state.sessions.pop_front();
            state.stolen.extend(stolen);
        }
        if state.stolen.len() > STOLEN {
            state.stolen.pop_front();
        }
    }

    fn subject(&self, user: u64) -> String {
        format!("checked-{}-{:p}-{user}", std::process::id(), self)
    }

    /// A session of the user, its revocations so far, and its token, sometimes a refreshed one.
    fn pick(&self, user: u64, random: &mut Random) -> Option<(String, TokenBuilder<'static>)> {
        let state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
        let many = u64::try_from(state.sessions.len()).unwrap();
        let at = usize::try_from(random.below(many.max(1))).unwrap();
        let session = state.sessions.get(at)?;
        let mut token = session.token.clone();
        if random.below(3) == 0 {
            token = self.refreshed(token);
        }
        Some((session.id().to_owned(), token))
    }

    /// A token as Cognito issues it for a refresh token.
    fn refreshed(&self, token: TokenBuilder<'static>) -> TokenBuilder<'static> {
        let at = now();
        let token = token.claim("jti", unique("token"));
        let token = token.claim("iat", at).claim("exp", at + 3_600);
        match self.sabotage {
            Sabotage::NewAuthTime => token.claim("auth_time", at),
            _ => token,
        }
    }

    fn with<T>(&self, user: u64, id: &str, change: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
        let session = state.all_mut().find(|session| session.id() == id)?;
        Some(change(session))
    }

    async fn call(&self, user: u64, random: &mut Random) {
        let Some((id, token)) = self.pick(user, random) else {
            return self.log_in(user);
        };
        self.call_with(user, &id, &token, random).await;
    }

    async fn call_with(
        &self,
        user: u64,
        id: &str,
        token: &TokenBuilder<'static>,
        random: &mut Random,
    ) {
        let issued_at = token.get("iat").as_u64().unwrap();
        let event = request_event(&format!("Bearer {}", token.build()));
        let at = usize::try_from(random.below(2)).unwrap();
        let began = Instant::now();
        let outcome = self.authorizers[at].invoke(&event).await;
        let verdict = outcome.map_or(Verdict::Failure, |outcome| auth_tests::verdict(&outcome));
        let fate = {
            let state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
            let until = state.tried_until;
            let outdated = state.outdated;
            let outdated = outdated.filter(|(second, _)| issued_at <= *second);
            let outdated = outdated.map(|(_, since)| (since, "RevokeToken"));
            let session = state.all().find(|session| session.id() == id);
            session.map(|session| {
                let tried = session.tried || session.authenticated_at <= until;
                let tried = tried || issued_at <= state.outdated_until;
                (session.ended.or(outdated), tried)
            })
        };
        let Some((ended, tried)) = fate else { return };
        match verdict {
            Verdict::Allow => {
                self.counts.allowed.fetch_add(1, Ordering::SeqCst);
                if let Some((ended, by)) = ended.filter(|(ended, _)| *ended < began) {
                    let late = began.duration_since(ended);
                    self.violation(format!(
                        "allowed after its revocation by {by}: {late:?} {id}"
                    ));
                }
            }
            Verdict::Unauthorized => {
                self.counts.refused.fetch_add(1, Ordering::SeqCst);
                if !tried {
                    self.violation(format!("rejected without a revocation: {id}"));
                }
            }
            Verdict::Failure => {
                self.counts.errors.fetch_add(1, Ordering::SeqCst);
                // As clients do. A fault that fails fast would use up the operations.
                tokio::time::sleep(BACK_OFF).await;
                if !self.was_broken(began) && !self.recovers(at, &event).await {
                    self.violation(format!("an error without an active fault: {id}"));
                }
            }
            Verdict::Deny => self.violation(format!("denied: {id}")),
        }
    }

    /// An overloaded machine is a fault too, and temporary.
    async fn recovers(&self, at: usize, event: &Value) -> bool {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let outcome = self.authorizers[at].invoke(event).await;
            if outcome.is_some_and(|one| auth_tests::verdict(&one) != Verdict::Failure) {
                return true;
            }
        }
        false
    }

    async fn log_out(&self, user: u64, scope: &str, random: &mut Random) {
        let Some((id, token)) = self.pick(user, random) else {
            return;
        };
        let mut body = json!({"scope": scope});
        if scope == "session" && random.below(2) == 0 {
            body["refresh_token"] = refresh_token(&id).into();
        }
        let event = json!({
            "httpMethod": "POST",
            "headers": {"Authorization": format!("Bearer {}", token.build())},
            "body": body.to_string(),
        });
        let at = usize::try_from(random.below(2)).unwrap();
        let covered = match scope {
            "session" => {
                self.with(user, &id, |session| session.tried = true);
                vec![id.clone()]
            }
            _ => self.begin_revocation(user, |session| scope == "all" || session.id() != id),
        };
        if self.sabotage == Sabotage::LateRevocations {
            self.acknowledge(user, &covered, "logout");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let outcome = self.logouts[at].invoke(&event).await;
        let answer = match outcome {
            Some(testkit::Invocation::Answer(answer)) if answer["statusCode"] == 200 => {
                serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
            }
            _ => Value::Null,
        };
        if scope != "session" {
            self.finish_revocation(user);
        }
        // `already` guarantees nothing about sessions that began since.
        if answer["ended"] != scope {
            return;
        }
        self.acknowledge(user, &covered, "logout");
        if answer["cognito"] == "ended" {
            let now = Instant::now();
            for id in &covered {
                self.with(user, id, |session| {
                    session.ended_at_cognito.get_or_insert(now).to_owned()
                });
            }
        }
    }

    /// A thief uses a session's tokens at Cognito as long as Cognito accepts them, CloudTrail reports the calls,
    /// and our API is called with the resulting tokens.
    async fn steal(&self, user: u64, random: &mut Random) {
        let subject = self.subject(user);
        let stolen = {
            let state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
            let many = u64::try_from(state.all().count()).unwrap();
            let at = usize::try_from(random.below(many.max(1))).unwrap();
            let session = state.all().nth(at);
            session.map(|session| {
                let id = session.id().to_owned();
                (
                    id,
                    session.token.clone(),
                    session.since,
                    session.ended_at_cognito,
                )
            })
        };
        let Some((id, token, since, ended_at_cognito)) = stolen else {
            return self.log_in(user);
        };
        self.counts.thefts.fetch_add(1, Ordering::SeqCst);
        let began = Instant::now();
        if !self.cognito.accepts(&subject, &id, since) {
            self.counts.thefts_refused.fetch_add(1, Ordering::SeqCst);
            // The thief still has the tokens issued before.
            return self.call_with(user, &id, &token, random).await;
        }
        if let Some(ended) = ended_at_cognito.filter(|ended| *ended < began) {
            let late = began.duration_since(ended);
            self.violation(format!(
                "accepted at Cognito after its revocation there: {late:?} {id}"
            ));
        }
        let many = u64::try_from(THEFTS.len()).unwrap();
        let theft = THEFTS[usize::try_from(random.below(many)).unwrap()];
        match theft {
            "ChangePassword" => {
                self.event(user, theft).await;
                // Signs in with the password that the thief has set.
                self.log_in(user);
            }
            "GlobalSignOut" => {
                self.cognito.sign_out(&subject);
                self.event(user, theft).await;
            }
            "RevokeToken" => self.outdate(user, theft).await,
            _ => {
                let _ = self.events.invoke(&self.record(user, theft, now())).await;
            }
        }
        let token = if self.cognito.accepts(&subject, &id, since) {
            self.refreshed(token)
        } else {
            token
        };
        self.call_with(user, &id, &token, random).await;
    }

    /// CloudTrail reports that a session was revoked, but not which one.
    async fn outdate(&self, user: u64, name: &'static str) {
        let index = usize::try_from(user).unwrap();
        let at = now();
        {
            let mut state = self.users[index].lock().unwrap();
            state.outdated_until = state.outdated_until.max(at);
        }
        let outcome = self.events.invoke(&self.record(user, name, at)).await;
        if outcome.is_some_and(|outcome| !outcome.is_failure()) {
            let mut state = self.users[index].lock().unwrap();
            if state.outdated.is_none_or(|(second, _)| second < at) {
                state.outdated = Some((at, Instant::now()));
            }
        }
    }

    /// The sessions that a revocation of the user covers once it is acknowledged.
    fn begin_revocation(&self, user: u64, covers: impl Fn(&Session) -> bool) -> Vec<String> {
        let mut state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
        state.trying += 1;
        let mut covered = Vec::new();
        for session in state.all_mut() {
            session.tried = true;
            if covers(session) {
                covered.push(session.id().to_owned());
            }
        }
        covered
    }

    fn finish_revocation(&self, user: u64) {
        let mut state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
        state.trying -= 1;
        state.tried_until = now();
        for session in state.all_mut() {
            session.tried = true;
        }
    }

    fn acknowledge(&self, user: u64, covered: &[String], by: &'static str) {
        *self
            .counts
            .revocations
            .lock()
            .unwrap()
            .entry(by)
            .or_default() += 1;
        let now = Instant::now();
        for id in covered {
            self.with(user, id, |session| {
                session.ended.get_or_insert((now, by)).to_owned()
            });
        }
    }

    fn record(&self, user: u64, name: &str, at: u64) -> Value {
        let time = aws_sdk_dynamodb::primitives::DateTime::from_secs(at.cast_signed());
        let format = aws_sdk_dynamodb::primitives::DateTimeFormat::DateTime;
        json!({
            "id": "1", "source": "aws.cognito-idp", "account": ACCOUNT, "region": "us-east-1",
            "detail-type": "AWS API Call via CloudTrail",
            "detail": {"eventName": name, "eventSource": "cognito-idp.amazonaws.com",
                "eventTime": time.fmt(format).unwrap(), "additionalEventData": {"sub": self.subject(user)},
                "requestParameters": {"userPoolId": Pool::ours().id}},
        })
    }

    /// A revocation by an event.
    async fn event(&self, user: u64, name: &'static str) {
        let covered = self.begin_revocation(user, |_| true);
        let outcome = self.events.invoke(&self.record(user, name, now())).await;
        let done = outcome.is_some_and(|outcome| !outcome.is_failure());
        self.finish_revocation(user);
        if done {
            self.acknowledge(user, &covered, name);
        }
    }

    async fn disable(&self, user: u64) {
        let index = usize::try_from(user).unwrap();
        // From here on sign-ins may be rejected, until an enabling is acknowledged.
        self.users[index].lock().unwrap().disabled = Some(now() + 1);
        self.event(user, "AdminDisableUser").await;
        self.users[index].lock().unwrap().disabled = Some(now());
    }

    async fn enable(&self, user: u64) {
        let index = usize::try_from(user).unwrap();
        let at = now();
        let disabled = self.users[index].lock().unwrap().disabled;
        // Within one second, disabling wins over enabling.
        if disabled.is_none_or(|disabled| at <= disabled) {
            return;
        }
        let record = self.record(user, "AdminEnableUser", at);
        let outcome = self.events.invoke(&record).await;
        if outcome.is_some_and(|outcome| !outcome.is_failure()) {
            let mut state = self.users[index].lock().unwrap();
            // Unless the user was disabled again meanwhile.
            if state.disabled == disabled && state.trying == 0 {
                state.disabled = None;
                state.tried_until = state.tried_until.max(now());
            }
        }
    }

    async fn reset_password(&self, user: u64) {
        let event = json!({
            "version": "1", "userPoolId": Pool::ours().id, "userName": self.subject(user), "response": {},
            "triggerSource": "PostConfirmation_ConfirmForgotPassword",
            "request": {"userAttributes": {"sub": self.subject(user)}},
        });
        let covered = self.begin_revocation(user, |_| true);
        let outcome = self.resets.invoke(&event).await;
        self.finish_revocation(user);
        if matches!(outcome, Some(testkit::Invocation::Answer(_))) {
            self.acknowledge(user, &covered, "reset");
        }
    }

    /// Injects one fault after another until the workers are done.
    async fn inject_faults(&self, operations: u64) {
        let mut random = Random(now() ^ 0xDEAD_BEEF_CAFE);
        let server_error = || Fault::Answer(500, "{}".to_owned());
        while self.counts.operations.load(Ordering::SeqCst) < operations {
            tokio::time::sleep(Duration::from_millis(200 + random.below(600))).await;
            self.faults.lock().unwrap().push((Instant::now(), None));
            self.counts.faults.fetch_add(1, Ordering::SeqCst);
            let time = Duration::from_millis(50 + random.below(400));
            let any = usize::try_from(random.below(2)).unwrap();
            match random.below(10) {
                0 => self.store_fault(Fault::Slow(100), time).await,
                1 => self.store_fault(Fault::Cut, time).await,
                2 => self.store_fault(server_error(), time).await,
                3 => self.store_fault(Fault::Hang, time).await,
                // Writes succeed, but their responses are lost.
                4 => {
                    self.store.set_fault_after(Fault::Cut);
                    tokio::time::sleep(time).await;
                    self.store.set_fault(Fault::None);
                }
                // All connections are closed, and new ones are refused for a while.
                5 => {
                    self.store.close_connections();
                    self.store_fault(Fault::Cut, time).await;
                }
                6 => self.authorizers[any].freeze(time).await,
                7 => self.logouts[any].freeze(time).await,
                8 => {
                    self.counts.restarts.fetch_add(1, Ordering::SeqCst);
                    self.database.restart(time).await;
                }
                _ => match random.below(4) {
                    0 => self.authorizers[any].kill().await,
                    1 => self.events.kill().await,
                    2 => self.resets.kill().await,
                    _ => self.logouts[any].kill().await,
                },
            }
            if let Some(last) = self.faults.lock().unwrap().last_mut() {
                last.1 = Some(Instant::now());
            }
        }
    }

    async fn store_fault(&self, fault: Fault, time: Duration) {
        self.store.set_fault(fault);
        tokio::time::sleep(time).await;
        self.store.set_fault(Fault::None);
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the caller sets the length of the run and reads its result"
)]
async fn run(sabotage: Sabotage, by_default: u64) -> Vec<String> {
    let operations = match sabotage {
        Sabotage::None => std::env::var("GATEHOUSE_OPERATIONS")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(by_default),
        _ => by_default,
    };
    let began = Instant::now();
    let checker = Checker::start(sabotage).await;
    let mut tasks = Vec::new();
    for worker in 0..WORKERS {
        let checker = Arc::clone(&checker);
        tasks.push(tokio::spawn(async move {
            checker.work(worker, operations).await;
        }));
    }
    if sabotage == Sabotage::None {
        let breaker = Arc::clone(&checker);
        tasks.push(tokio::spawn(async move {
            let breaking = Arc::clone(&breaker);
            let broken = tokio::spawn(async move { breaking.inject_faults(operations).await });
            let broken = broken.await;
            // If the store does not restart, every later operation is an expected error, and the run proves nothing.
            if broken.is_err() {
                let done = &breaker.counts.operations;
                done.store(4 * operations, Ordering::SeqCst);
            }
            broken.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
    let counts = &checker.counts;
    let violations = checker.violations.lock().unwrap().clone();
    let revocations = counts.revocations.lock().unwrap().clone();
    println!(
        "checker: {operations} operations ({} allowed, {} refused, {} errors, {} revocations \
         acknowledged), {} acts of thieves at Cognito ({} refused there), {} faults, {} of them restarts of the store, {} violations, {:.0} s",
        count(&counts.allowed),
        count(&counts.refused),
        count(&counts.errors),
        revocations.values().sum::<u64>(),
        count(&counts.thefts),
        count(&counts.thefts_refused),
        count(&counts.faults),
        count(&counts.restarts),
        violations.len(),
        began.elapsed().as_secs_f64()
    );
    assert!(count(&counts.allowed) > 0 && count(&counts.refused) > 0);
    // Every function must have revoked sessions; a shorter run may not reach all of them.
    if sabotage == Sabotage::None && operations >= 5_000 {
        assert!(
            REVOKERS.iter().all(|by| revocations.contains_key(by)),
            "{revocations:?}"
        );
    }
    violations
}

#[tokio::test(flavor = "multi_thread")]
async fn only_revoked_sessions_are_rejected() {
    let violations = run(Sabotage::None, 5_000).await;
    let mut kinds: HashMap<&str, usize> = HashMap::new();
    for violation in &violations {
        *kinds
            .entry(violation.split(':').next().unwrap())
            .or_default() += 1;
    }
    assert!(violations.is_empty(), "{kinds:?} {:?}", violations.first());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_detects_stale_reads() {
    assert!(!run(Sabotage::StaleReads, 2_000).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_detects_late_revocations() {
    assert!(!run(Sabotage::LateRevocations, 2_000).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_detects_an_auth_time_moved_by_a_refresh() {
    let violations = run(Sabotage::NewAuthTime, 2_000).await;
    assert!(
        violations
            .iter()
            .any(|one| one.starts_with("allowed after its revocation"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_detects_sessions_left_at_cognito() {
    let checker = Checker::start(Sabotage::IgnoredCalls).await;
    let mut random = Random(now());
    for _ in 0..IN_USE {
        checker.log_in(0);
    }
    for _ in 0..4 * IN_USE {
        checker.log_out(0, "session", &mut random).await;
    }
    for _ in 0..2 * IN_USE {
        checker.steal(0, &mut random).await;
    }
    let violations = checker.violations.lock().unwrap();
    assert!(
        violations
            .iter()
            .any(|one| one.starts_with("accepted at Cognito after its revocation"))
    );
    assert!(
        !violations.iter().any(|one| one.starts_with("allowed")),
        "{violations:?}"
    );
}

/// A revocation table, as the template defines it.
async fn make_table(url: &str, name: &str) {
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

/// The cost of a check does not grow with the number of revocations: the same request, a response of the
/// same length.
#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the caller sets the number of rows and reads their cost"
)]
async fn the_cost_of_a_check_stays_flat() {
    let many = std::env::var("GATEHOUSE_ROWS").ok();
    let many = many.and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let stack = Stack::of_this_run();
    // A table of its own: other tests scan the stack's.
    let table = unique("flat");
    make_table(&stack.tables, &table).await;
    let jwks = JwksServer::start(&Pool::ours().jwks()).await;
    let store = FakeAws::in_front_of(&stack.tables).await;
    let more = [("REVOCATION_TABLE", table.as_str())];
    let binary = Binary::start("authorizer", &environment(&jwks.uri(), &store.url(), &more)).await;
    let subject = unique("flat");
    let token = Pool::ours().access_token().claim("sub", subject.clone());
    let event = request_event(&format!("Bearer {}", token.build()));
    let mut written = 0;
    let mut seen = Vec::new();
    for rows in [10, 1_000, many] {
        end_sessions(&stack, &table, &subject, written..rows).await;
        written = rows;
        let mut times = Vec::new();
        // After five seconds, the lifetime of cached revocations, all reads are alike.
        store.forget_requests();
        for _ in 0..50 {
            let began = Instant::now();
            assert_eq!(
                auth_tests::verdict(&binary.invoke(&event).await),
                Verdict::Allow
            );
            times.push(began.elapsed());
        }
        times.sort();
        let requests = store.requests();
        let keys: Vec<usize> = requests
            .iter()
            .map(|(operation, request)| {
                assert_eq!(operation, "BatchGetItem");
                request["RequestItems"][&table]["Keys"]
                    .as_array()
                    .unwrap()
                    .len()
            })
            .collect();
        let most = keys.iter().copied().max().unwrap();
        println!(
            "{rows} revoked sessions: {} reads for 50 checks, of {most} keys at most, median {:?}",
            requests.len(),
            times[25]
        );
        seen.push((requests.len(), most));
    }
    assert!(
        seen.iter()
            .all(|(reads, keys)| (50..=RETRIED).contains(reads) && *keys <= 6),
        "{seen:?}"
    );
}

/// Rows of revoked sessions, as logout writes them.
async fn end_sessions(stack: &Stack, table: &str, subject: &str, numbers: std::ops::Range<u64>) {
    use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
    let client = crate::store::table_client(stack).await;
    let text = |text: String| AttributeValue::S(text);
    let expires_at = AttributeValue::N((now() + 100_000).to_string());
    let pk = format!("{}#user#{subject}", Pool::ours().id);
    let numbers: Vec<u64> = numbers.collect();
    for chunk in numbers.chunks(25) {
        let writes = chunk.iter().map(|number| {
            let put = PutRequest::builder()
                .item("pk", text(pk.clone()))
                .item("sk", text(format!("session#{number}")))
                .item("revoked_at", AttributeValue::N("1".to_owned()))
                .item("expires_at", expires_at.clone())
                .build()
                .unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        let call = client.batch_write_item();
        call.request_items(table, writes.collect())
            .send()
            .await
            .unwrap();
    }
}
