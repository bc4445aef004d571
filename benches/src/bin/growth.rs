//! Cost of a decision as routes, groups, policies, issuers and revocations grow.
//!
//! `growth NAME ..` measures the named ones, otherwise all. A decision is that of forward-auth, in process: a token, its
//! revocations in memory, the route, Cedar. Each dimension also has the step that grows, alone. `table` reads the
//! revocations of a user from DynamoDB Local, as `make tools` installs it.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use api_gateway::Effect;
use api_gateway::routes::{self, Route};
use auth::memory::{MemoryKeys, MemoryRevocations};
use auth::{
    Callers, Issuer, KeySet, RevocationContext, RevocationReader, RevocationWriter, TokenRules,
    TrustedIssuer, UnixSeconds, UnverifiedToken, UserRef, VerifiedClaims, Verifier,
};
use auth_cedar::CedarPolicies;
use auth_dynamodb::DynamoRevocations;
use auth_tower::{Gate, Places, Request, Trace};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest,
    ScalarAttributeType, WriteRequest,
};
use benches::decision::Call;
use benches::output::{Spread, percentile, quick, repeat, result};
use benches::timing::{Rounds, used_ns};
use http::HeaderMap;
use serde_json::json;
use testkit::token::now;
use testkit::{DynamoDbLocal, FakeAws, Pool};
use tokio::task::JoinSet;

/// Measures a dimension at one size.
type Grow = fn(usize);

const DIMENSIONS: [(&str, Grow); 5] = [
    ("routes", grow_routes),
    ("groups", grow_groups),
    ("policies", grow_policies),
    ("issuers", grow_issuers),
    ("revocations", grow_revocations),
];
const SIZES: [usize; 9] = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000];
const MANY: [usize; 4] = [30_000, 100_000, 300_000, 1_000_000];
/// Rows of one `BatchWriteItem`, DynamoDB's maximum.
const BATCH: usize = 25;
/// Tasks that write at once.
const WRITERS: usize = 16;
/// Seconds that all rows may take to write, at the rate of the last ones. In memory (`TMPDIR=/dev/shm`) a million takes
/// some minutes; on a disk every row waits for it, and no number of writers changes that.
const FILLING: f64 = 600.0;
const TABLE: &str = "revocations";

#[tokio::main]
async fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|one| one == name);
    println!("| what grows | how many | step | us | low | high |");
    println!("|---|---|---|---|---|---|");
    for (name, grow) in DIMENSIONS {
        if is_chosen(name) {
            let sizes = SIZES.iter().copied();
            for size in sizes.filter(|size| !quick() || [1, 100, 10_000].contains(size)) {
                grow(size);
            }
        }
    }
    if is_chosen("revocations") && !quick() {
        MANY.into_iter().for_each(grow_revocations);
    }
    if is_chosen("table") {
        grow_table().await;
    }
}

/// Prints what one call takes.
fn report(dimension: &str, size: usize, step: &str, took_us: Spread) {
    let Spread {
        median, low, high, ..
    } = took_us;
    println!("| {dimension} | {size} | {step} | {median:.2} | {low:.2} | {high:.2} |");
    result(
        "growth",
        &json!({"dimension": dimension, "size": size, "step": step, "us": took_us}),
    );
}

/// Times a call in batches of some milliseconds.
fn time(dimension: &str, size: usize, step: &str, call: &Call) {
    assert!(call(), "{dimension}, {size}: {step} succeeds");
    let began = used_ns();
    call();
    let once = ((used_ns() - began) / 1e9).max(1e-8);
    let rounds = Rounds {
        batches: repeat(21, 5),
        calls: ((0.004 / once) as usize).clamp(1, 10_000),
    };
    report(dimension, size, step, rounds.alone(call).times(1e-3));
}

/// What a decision is made of. Its token has these groups.
struct World {
    routes: Vec<Route>,
    policies: CedarPolicies,
    issuers: Vec<Issuer>,
    revocations: MemoryRevocations,
    groups: usize,
    path: String,
}

impl World {
    fn small() -> Self {
        Self {
            routes: vec![Route::parse("GET", "/whoami").expect("a route")],
            policies: policies(0),
            issuers: vec![issuer()],
            revocations: MemoryRevocations::default(),
            groups: 1,
            path: "/whoami".to_owned(),
        }
    }

    fn token(&self) -> String {
        let groups: Vec<String> = (0..self.groups).map(group).collect();
        let token = Pool::ours().access_token();
        token.claim("cognito:groups", groups).build()
    }

    fn decision(self) -> Call {
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", self.token());
        headers.insert("authorization", bearer.parse().expect("a header"));
        let keys = TrustedIssuer {
            issuer: issuer(),
            keys: keys(),
        };
        let gate: Gate<MemoryKeys, MemoryRevocations> = Gate {
            callers: Callers {
                verifier: Verifier::new(self.issuers, TokenRules::default()),
                keys: MemoryKeys::new([keys]),
                revocations: self.revocations,
                api_keys: None,
                // Beyond what can be configured: a token with 10,000 groups has 200 KB.
                max_token_bytes: usize::MAX,
                clock: || UnixSeconds(now()),
            },
            policies: self.policies,
            routes: self.routes,
            places: Places::default(),
            sessions: None,
        };
        let path = self.path;
        Box::new(move || {
            let request = Request {
                method: "GET",
                path: &path,
                query: None,
                headers: &headers,
                client_address: None,
            };
            let decided = at_once(gate.decide(black_box(&request), &Trace::default()));
            decided.is_ok_and(|decision| decision.effect == Effect::Allow)
        })
    }
}

/// The result of a future that does not wait: keys and revocations are in memory.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic_pending(),
    }
}

#[expect(clippy::panic, reason = "a failed benchmark may panic")]
fn panic_pending() -> ! {
    panic!("the future waits")
}

fn issuer() -> Issuer {
    let pool = Pool::ours();
    Issuer::user_pool(
        pool.id.into(),
        pool.issuer(),
        vec![pool.client_id.to_owned()],
    )
}

fn keys() -> KeySet {
    KeySet::parse(Pool::ours().jwks().to_string().as_bytes()).expect("keys")
}

fn group(number: usize) -> String {
    format!("group-{number:05}")
}

fn claims(token: &str) -> VerifiedClaims {
    let verifier = Verifier::new(vec![issuer()], TokenRules::default());
    let token = UnverifiedToken::parse_within(token, usize::MAX).expect("a token");
    let issuer = verifier.issuer_of(&token).expect("an issuer");
    let keys = keys();
    let key = keys.get(Pool::ours().access_kid).expect("a key");
    let claims = verifier.verify(token, issuer, key, UnixSeconds(now()));
    claims.expect("claims")
}

/// The folder `policies`, and so many further policies, each for a group of its own.
fn policy_files(more: usize) -> (String, Vec<(String, String)>) {
    use std::fmt::Write;
    let schema = include_str!("../../../policies/schema.cedarschema").to_owned();
    let default = include_str!("../../../policies/default.cedar").to_owned();
    let mut text = String::new();
    for number in 0..more {
        let group = group(20_000 + number);
        writeln!(
            text,
            "@id(\"{group}\") permit (principal in Gatehouse::UserGroup::\"{{{{USER_POOL_ID}}}}|{group}\", \
             action == Gatehouse::Action::\"get /whoami\", resource) when {{ context.auth_age < 3600 }};"
        )
        .expect("text");
    }
    let mut files = vec![("default.cedar".to_owned(), default)];
    if more > 0 {
        files.push(("more.cedar".to_owned(), text));
    }
    (schema, files)
}

fn policies(more: usize) -> CedarPolicies {
    let (schema, files) = policy_files(more);
    CedarPolicies::parse(&schema, &files, Pool::ours().id).expect("policies")
}

fn cedar(policies: CedarPolicies, token: &str) -> Call {
    let claims = claims(token);
    Box::new(move || {
        let request = auth_cedar::Request {
            verb: "GET",
            route: "/whoami",
            path: None,
            path_parameters: Vec::new(),
            source_ip: None,
            now: UnixSeconds(now()),
        };
        policies.decide(black_box(&claims), &request) == Effect::Allow
    })
}

/// The request is for the last of the routes.
fn grow_routes(size: usize) {
    let of = |number: usize| {
        Route::parse("GET", &format!("/service-{number:05}/items/{{id}}")).expect("a route")
    };
    let routes: Vec<Route> = (0..size).map(of).collect();
    let path = format!("/service-{:05}/items/7", size - 1);
    let world = World {
        routes: routes.clone(),
        path: path.clone(),
        ..World::small()
    };
    time("routes", size, "decision", &world.decision());
    let find: Call = Box::new(move || routes::route_of(&routes, "GET", black_box(&path)).is_some());
    time("routes", size, "the route of a path", &find);
}

fn grow_groups(size: usize) {
    let world = || World {
        groups: size,
        ..World::small()
    };
    let token = world().token();
    time("groups", size, "decision", &world().decision());
    time("groups", size, "Cedar", &cedar(policies(0), &token));
}

fn grow_policies(size: usize) {
    let world = World {
        policies: policies(size),
        ..World::small()
    };
    let token = world.token();
    time("policies", size, "decision", &world.decision());
    time("policies", size, "Cedar", &cedar(policies(size), &token));
    let (schema, files) = policy_files(size);
    let read: Call =
        Box::new(move || CedarPolicies::parse(&schema, black_box(&files), Pool::ours().id).is_ok());
    time("policies", size, "start: parse and validate", &read);
}

/// The token's issuer is the last one.
fn grow_issuers(size: usize) {
    let of = |number: usize| {
        let id = format!("us-east-1_Tenant{number:05}");
        let url = format!("https://cognito-idp.us-east-1.amazonaws.com/{id}");
        Issuer::user_pool(id.into(), url, vec![Pool::ours().client_id.to_owned()])
    };
    let issuers = || (1..size).map(of).chain([issuer()]).collect::<Vec<Issuer>>();
    let world = World {
        issuers: issuers(),
        ..World::small()
    };
    let token = world.token();
    time("issuers", size, "decision", &world.decision());
    let verifier = Verifier::new(issuers(), TokenRules::default());
    let find: Call = Box::new(move || {
        let token = UnverifiedToken::parse(black_box(&token)).expect("a token");
        verifier.issuer_of(&token).is_ok()
    });
    time("issuers", size, "parse, and the issuer of a token", &find);
}

/// Revoked sessions of the caller, who has another one.
fn grow_revocations(size: usize) {
    let world = World::small();
    let claims = claims(&world.token());
    let store = world.revocations.clone();
    let context = RevocationContext {
        reason: "bench",
        actor: "bench",
        at: UnixSeconds(now()),
        refresh_token_ttl_seconds: 3_600,
    };
    let user: UserRef<'_> = claims.user_ref();
    for number in 0..size {
        let session = format!("session-{number:07}");
        let session = user.session(&session);
        at_once(store.revoke_session(&session, &context)).expect("a revocation");
    }
    time("revocations", size, "decision", &world.decision());
    let read: Call = Box::new(move || {
        let found = at_once(store.revocations(black_box(&claims), UnixSeconds(now())));
        found.is_ok_and(|found| found.check(&claims).is_ok())
    });
    time("revocations", size, "the read, in memory", &read);
}

/// The same in a table of DynamoDB Local: times of reads by the store of the authorizer, over the loopback interface.
async fn grow_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let dynamodb = DynamoDbLocal::start(&root).await;
    let sdk = FakeAws::start().await.sdk();
    let sdk = sdk.into_builder().endpoint_url(dynamodb.url()).build();
    let client = Client::new(&sdk);
    make_table(&client).await;
    let store = DynamoRevocations::new(&sdk, TABLE.to_owned());
    let claims = claims(&World::small().token());
    let folder = std::env::temp_dir();
    let (mut written, mut spent, mut seconds_each) = (0, 0.0, 0.0);
    let sizes = SIZES.into_iter().chain(MANY);
    for size in sizes.filter(|size| !quick() || [1, 100, 1_000].contains(size)) {
        let rows = size - written;
        if spent + seconds_each * rows as f64 > FILLING {
            println!(
                "table: no {size} rows, at {:.0} a second",
                1.0 / seconds_each
            );
            break;
        }
        let began = Instant::now();
        revoke_sessions(&client, claims.subject(), written..size).await;
        let filled = began.elapsed().as_secs_f64();
        written = size;
        spent += filled;
        seconds_each = filled / rows as f64;
        let (mut all, mut p99) = (Vec::new(), Vec::new());
        // The first reads after the writes find the database busy.
        reads(&store, &claims, repeat(100, 10)).await;
        for _ in 0..repeat(5, 3) {
            let took = reads(&store, &claims, repeat(500, 50)).await;
            p99.push(percentile(&took, 99));
            all.extend(took);
        }
        report("table", size, "a read of DynamoDB Local", Spread::of(all));
        result(
            "growth",
            &json!({"dimension": "table", "size": size, "step": "p99", "us": Spread::of(p99),
                "filled_seconds": filled, "writers": WRITERS, "folder": folder}),
        );
    }
}

/// Microseconds of each of so many reads, sorted.
async fn reads(store: &DynamoRevocations, claims: &VerifiedClaims, count: usize) -> Vec<f64> {
    let mut took = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        let found = store.revocations(claims, UnixSeconds(now())).await;
        took.push(began.elapsed().as_secs_f64() * 1e6);
        assert!(found.expect("the revocations").check(claims).is_ok());
    }
    took.sort_by(f64::total_cmp);
    took
}

async fn make_table(client: &Client) {
    let mut call = client.create_table().table_name(TABLE);
    for (name, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let element = KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind);
        let definition = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        call = call
            .key_schema(element.build().expect("a key"))
            .attribute_definitions(definition.build().expect("an attribute"));
    }
    let call = call.billing_mode(BillingMode::PayPerRequest);
    call.send().await.expect("a table");
}

/// Writes rows of revoked sessions, as logout does; several tasks each take the next rows.
async fn revoke_sessions(client: &Client, subject: &str, numbers: std::ops::Range<usize>) {
    let pk = format!("{}#user#{subject}", Pool::ours().id);
    let expires_at = (now() + 100_000).to_string();
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (client, next) = (client.clone(), Arc::clone(&next));
        let (pk, expires_at, end) = (pk.clone(), expires_at.clone(), numbers.end);
        writers.spawn(async move {
            loop {
                let first = next.fetch_add(BATCH, Ordering::Relaxed);
                if first >= end {
                    break;
                }
                let rows = first..end.min(first + BATCH);
                write(
                    &client,
                    rows.map(|number| revoked(&pk, number, &expires_at)),
                )
                .await;
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.expect("the rows are written");
    }
}

async fn write(client: &Client, rows: impl Iterator<Item = WriteRequest>) {
    let call = client.batch_write_item();
    let answer = call.request_items(TABLE, rows.collect()).send().await;
    let left = answer.expect("an answer").unprocessed_items;
    assert!(left.is_none_or(|left| left.is_empty()), "all are written");
}

fn revoked(pk: &str, number: usize, expires_at: &str) -> WriteRequest {
    let put = PutRequest::builder()
        .item("pk", AttributeValue::S(pk.to_owned()))
        .item("sk", AttributeValue::S(format!("session#{number}")))
        .item("revoked_at", AttributeValue::N("1".to_owned()))
        .item("expires_at", AttributeValue::N(expires_at.to_owned()));
    let put = put.build().expect("a row");
    WriteRequest::builder().put_request(put).build()
}
