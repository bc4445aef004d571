//! Throughput of migrate-user: migrates ten thousand users of a PostgreSQL sequentially.
//!
//! `make bench PART=migration` starts the database and runs this with the release binary.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed benchmark may panic, and its output is the result"
)]

use std::time::Instant;

use benches::database;
use benches::output::{repeat, result};
use benches::process::resident_mb;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use testkit::Binary;

const PASSWORD: &str = "correct horse-\u{dc}n\u{ef}code";
/// bcrypt at cost 5, so that the hash does not dominate the rate.
const HASH: &str = "$2b$05$abcdefghijklmnopqrstuugKvkOgqWN6G.40bnc6Y.fjokmxUzfte";

#[tokio::main]
async fn main() {
    let users = repeat(10_000, 500);
    let (client, address) = database().await;
    client
        .batch_execute(&format!(
            "CREATE TABLE members (name text PRIMARY KEY, hash text, mail text); \
             CREATE INDEX ON members (lower(name)); \
             INSERT INTO members SELECT 'User' || n || '@example.com', '{HASH}', \
             'user' || n || '@example.com' FROM generate_series(1, {users}) AS n; ANALYZE members"
        ))
        .await
        .expect("a table");
    let query = "SELECT name AS username, hash AS password_hash, mail AS email, \
         true AS email_verified FROM members WHERE lower(name) = $1";
    let environment = [
        ("LEGACY_SOURCE", "postgres".to_owned()),
        ("LEGACY_SECRET", address.clone()),
        ("LEGACY_QUERY", query.to_owned()),
        ("LOG_LEVEL", "ERROR".to_owned()),
    ];
    let migrate = Binary::start("migrate-user", &environment).await;
    let before = resident_mb(migrate.pid());
    let bar = ProgressBar::new(users as u64);
    let began = Instant::now();
    let mut failures = 0;
    for number in 1..=users {
        let name = format!("user{number}@example.com");
        let answer = migrate.invoke(&sign_in(&name, PASSWORD)).await.answer();
        failures += usize::from(answer["response"]["finalUserStatus"] != "CONFIRMED");
        bar.inc(1);
    }
    bar.finish_and_clear();
    let rate = users as f64 / began.elapsed().as_secs_f64();
    let after = resident_mb(migrate.pid());
    println!("{users} users migrated sequentially, {failures} failures, {rate:.0} per second");
    println!("resident memory {before:.1} MB before, {after:.1} MB after");
    result(
        "migration",
        &json!({"users": users, "failures": failures, "per_second": rate, "before_mb": before, "after_mb": after}),
    );
}

fn sign_in(name: &str, password: &str) -> Value {
    json!({
        "version": "1", "triggerSource": "UserMigration_Authentication", "region": "us-east-1",
        "userPoolId": "us-east-1_Gatehouse", "userName": name, "callerContext": {"clientId": "x"},
        "request": {"password": password, "validationData": null}, "response": {},
    })
}
