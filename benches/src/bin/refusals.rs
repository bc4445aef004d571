//! Tests whether the time of a refusal reveals its reason: unknown user, wrong password or disabled
//! user. Measures migrate-user with a PostgreSQL, and auth-api with a Cognito that takes longer for one kind than
//! for another, with the grid of `REFUSAL_GRID_MILLISECONDS` and, as the control, without it.
//!
//! Each kind is measured twice, with different users: a difference between two lists of the same
//! kind comes from the machine, not from the function. `make bench PART=migration` starts the database.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::time::{Duration, Instant};

use benches::output::{repeat, result};
use benches::{database, kolmogorov_smirnov};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, FakeAws, Pool};

const GRID_MILLIS: u64 = 150;
/// bcrypt at cost 5.
const HASH: &str = "$2b$05$abcdefghijklmnopqrstuugKvkOgqWN6G.40bnc6Y.fjokmxUzfte";

/// Refusals of each kind by migrate-user.
fn rounds() -> usize {
    repeat(2_000, 30)
}

/// Of auth-api, where each call takes a step of the grid.
fn rounds_on_grid() -> usize {
    repeat(300, 10)
}

#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() != Some("auth-api") {
        migrate_user().await;
    }
    auth_api(0).await;
    auth_api(GRID_MILLIS).await;
}

async fn migrate_user() {
    let (client, address) = database().await;
    let users = 2 * rounds();
    let statements = format!(
        "DROP TABLE IF EXISTS refused; CREATE TABLE refused (name text PRIMARY KEY, hash text); \
         INSERT INTO refused SELECT 'user' || n, '{HASH}' FROM generate_series(0, {users}) AS n; \
         ANALYZE refused"
    );
    client.batch_execute(&statements).await.expect("a table");
    let query = "SELECT name AS username, hash AS password_hash FROM refused WHERE name = $1";
    let environment = [
        ("LEGACY_SOURCE", "postgres".to_owned()),
        ("LEGACY_SECRET", address.clone()),
        ("LEGACY_QUERY", query.to_owned()),
        // At its default 8,000 refusals would take more than an hour.
        ("REFUSAL_STEP_MS", "25".to_owned()),
        ("LOG_LEVEL", "ERROR".to_owned()),
    ];
    let migrate = Binary::start("migrate-user", &environment).await;
    let event = |name: String| {
        json!({
            "version": "1", "triggerSource": "UserMigration_Authentication", "region": "us-east-1",
            "userPoolId": "us-east-1_Gatehouse", "userName": name,
            "callerContext": {"clientId": "x"},
            "request": {"password": "another-password", "validationData": null}, "response": {},
        })
    };
    let kinds = ["wrong password", "unknown user"];
    let mut times = Lists::new(kinds.len());
    let bar = ProgressBar::new(rounds() as u64);
    for number in 0..rounds() {
        for turn in times.turns(number) {
            let kind = ["user", "unknown"][turn / 2];
            let name = format!("{kind}{}", number * 2 + turn % 2);
            times.add(turn, time(&migrate, &event(name)).await);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    times.print("migrate-user", &kinds);
}

async fn auth_api(grid: u64) {
    let cognito = FakeAws::agreeable().await;
    let environment = [
        ("USER_POOL_ID", Pool::ours().id.to_owned()),
        ("APP_CLIENT_IDS", Pool::ours().client_id.to_owned()),
        ("REVOCATION_TABLE", "none".to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", cognito.url()),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", cognito.url()),
        ("REFRESH_TOKEN_TTL_SECONDS", "28800".to_owned()),
        ("REFUSAL_GRID_MILLISECONDS", grid.to_string()),
        ("LOG_LEVEL", "ERROR".to_owned()),
    ];
    let api = Binary::start("auth-api", &environment).await;
    let answer = |millis: u64, exception: &str, message: &str| {
        let body = json!({"__type": exception, "message": message});
        Fault::SlowAnswer(millis, 400, body.to_string())
    };
    // A trigger is asked for an unknown name, a mail is sent to a known one.
    let (wrong, locked) = (
        "Incorrect username or password.",
        "Password attempts exceeded",
    );
    let routes = [
        (
            "/auth/login",
            vec![
                ("wrong password", answer(8, "NotAuthorizedException", wrong)),
                ("unknown user", answer(45, "NotAuthorizedException", wrong)),
                ("locked user", answer(3, "NotAuthorizedException", locked)),
            ],
        ),
        (
            "/auth/forgot-password",
            vec![
                ("known user", Fault::Slow(35)),
                ("unknown user", answer(8, "UserNotFoundException", "")),
            ],
        ),
    ];
    for (route, kinds) in routes {
        let event = |name: String| {
            let mut body = json!({"username": name});
            if route == "/auth/login" {
                body["password"] = json!("another-password");
            }
            json!({
                "resource": route, "path": route, "httpMethod": "POST",
                "headers": {"Content-Type": "application/json"},
                "multiValueHeaders": {"Content-Type": ["application/json"]},
                "queryStringParameters": null, "multiValueQueryStringParameters": null,
                "pathParameters": null, "body": body.to_string(), "isBase64Encoded": false,
                "requestContext": {"stage": "prod", "identity": {"sourceIp": "203.0.113.7"}},
            })
        };
        let mut times = Lists::new(kinds.len());
        let mut answers = Vec::new();
        for number in 0..rounds_on_grid() {
            for turn in times.turns(number) {
                cognito.set_fault(kinds[turn / 2].1.clone());
                let event = event(format!("user{}", number * 2 + turn % 2));
                times.add(turn, time(&api, &event).await);
                if number == 0 {
                    answers.push(api.invoke(&event).await.answer());
                }
            }
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "byte-equal: {answers:?}");
        let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
        times.print(&format!("auth-api, {route}, grid of {grid} ms"), &names);
    }
}

/// Two lists of microseconds for each kind.
struct Lists(Vec<Vec<f64>>);

impl Lists {
    fn new(kinds: usize) -> Self {
        Self(vec![Vec::new(); kinds * 2])
    }

    /// The lists in an order that changes with each round, so that each list equally often comes
    /// first, last or after any other.
    fn turns(&self, round: usize) -> Vec<usize> {
        let count = self.0.len();
        let mut turns: Vec<usize> = (0..count).map(|at| (at + round) % count).collect();
        if round / count % 2 == 1 {
            turns.reverse();
        }
        turns
    }

    fn add(&mut self, list: usize, took: f64) {
        self.0[list].push(took);
    }

    fn print(&mut self, function: &str, kinds: &[&str]) {
        println!("{function}, {} of each:", self.0[0].len());
        for (at, kind) in kinds.iter().enumerate() {
            let mut list = [self.0[2 * at].clone(), self.0[2 * at + 1].clone()].concat();
            list.sort_by(f64::total_cmp);
            let median = list[list.len() / 2];
            println!("  {kind}: median {median:.0} us");
            result(
                "refusals",
                &json!({"function": function, "kind": kind, "median_us": median, "refusals": list.len()}),
            );
        }
        for first in 0..self.0.len() {
            for second in first + 1..self.0.len() {
                let (mut one, mut other) = (self.0[first].clone(), self.0[second].clone());
                let (distance, p) = kolmogorov_smirnov(&mut one, &mut other);
                let (one, other) = (kinds[first / 2], kinds[second / 2]);
                println!("  {one} / {other}: D = {distance:.4}, p = {p:.3}");
                let between = json!([one, other]);
                result(
                    "refusals",
                    &json!({"function": function, "between": between, "d": distance, "p": p}),
                );
            }
        }
    }
}

async fn time(function: &Binary, event: &Value) -> f64 {
    // A random delay decouples calls from clock ticks and from each other: the statistical test
    // assumes independent calls.
    let mut random = [0; 2];
    aws_lc_rs::rand::fill(&mut random).expect("randomness");
    let pause = u64::from(u16::from_le_bytes(random)) % 3_000;
    let until = Instant::now() + Duration::from_micros(pause);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    let began = Instant::now();
    let answer = function.invoke(event).await.answer();
    let took = began.elapsed().as_secs_f64() * 1e6;
    assert!(answer.is_object());
    took
}
