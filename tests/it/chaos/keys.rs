//! Signing keys that the issuer adds, and tokens of keys that it never had.

use std::time::{Duration, Instant};

use auth_tests::Verdict;
use serde_json::{Value, json};
use testkit::token::base64url;
use testkit::{Pool, SigningKey};

use super::gates::{Gates, resident};
use super::report::{Report, length, rows};
use crate::checker::front::Decider;
use crate::world::{unique, user_token};

/// `auth::key_cache::COOL_DOWN_SECONDS`, as docs/outcomes.md promises it.
const COOL_DOWN: Duration = Duration::from_secs(10);

/// Two attempts of a second each, on a busy machine.
const FETCH: Duration = Duration::from_secs(3);

/// The pool's key set with one more key.
pub(crate) fn with_key(kid: &str, key: &SigningKey) -> Value {
    let mut set = Pool::ours().jwks();
    set["keys"].as_array_mut().unwrap().push(key.jwk(kid));
    set
}

/// A token that names a key that no set has. Its signature is never looked at.
pub(crate) fn of_unknown_key(signed: &str) -> String {
    let header = json!({"kid": unique("unknown"), "alg": "RS256"}).to_string();
    let (_, rest) = signed.split_once('.').unwrap();
    format!("{}.{rest}", base64url(header))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sabotage {
    None,
    /// The keys are part of the configuration and are never fetched.
    PinnedKeys,
    /// The function forgets its keys every ten tokens.
    Forgetful,
}

async fn add_keys(sabotage: Sabotage, is_noisy: bool) -> Report {
    let mut report = Report::of("key-added");
    let set = Pool::ours().jwks().to_string();
    let gates = match sabotage {
        Sabotage::PinnedKeys => Gates::pinned(&set).await,
        _ => Gates::start(&[]).await,
    };
    let known = user_token().build();
    let mut worst = Duration::ZERO;
    for _ in 0..length(1, 4) {
        for (_, decider) in &gates.deciders {
            // Begins the cool-down: the worst moment for a new key.
            if is_noisy {
                decider.decide(&of_unknown_key(&known)).await;
            }
            let (kid, key) = (unique("new"), SigningKey::rsa());
            gates.jwks.set_body(with_key(&kid, &key).to_string());
            report.injected += 1;
            let new = user_token().header("kid", kid).signed_by(&key).build();
            let published = Instant::now();
            let bound = if is_noisy { COOL_DOWN + FETCH } else { FETCH };
            loop {
                if is_noisy {
                    decider.decide(&of_unknown_key(&known)).await;
                }
                let verdict = decider.decide(&known).await.verdict;
                report.check(verdict == Verdict::Allow, || {
                    format!("a known key: {verdict:?}")
                });
                let verdict = decider.decide(&new).await.verdict;
                let took = published.elapsed();
                if verdict == Verdict::Allow {
                    report.saw("accepted");
                    worst = worst.max(took);
                    break;
                }
                report.saw("refused before");
                report.check(verdict == Verdict::Unauthorized, || {
                    format!("a new key: {verdict:?}")
                });
                if took > bound {
                    report.check(false, || format!("not accepted after {took:?}"));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    report.worst = format!("accepted after {:.1} s", worst.as_secs_f64());
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_accepted_in_time() {
    add_keys(Sabotage::None, rows().is_some()).await.kept();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: `make chaos` runs it"]
async fn sabotage_keys_that_are_never_fetched() {
    add_keys(Sabotage::PinnedKeys, false).await.detected();
}

async fn send_unknown_kids(sabotage: Sabotage, count: usize) -> Report {
    let mut report = Report::of("unknown-kids");
    let gates = Gates::start(&[]).await;
    let known = user_token().build();
    let (mut most, mut grown) = (0, 0);
    for (name, decider) in &gates.deciders {
        let fetched = gates.jwks.fetches();
        let began = Instant::now();
        let mut before = 0;
        for number in 0..count {
            if number == count / 5 {
                before = resident(decider.pid().await);
            }
            if sabotage == Sabotage::Forgetful && number % 10 == 0 {
                decider.kill().await;
            }
            let verdict = decider.decide(&of_unknown_key(&known)).await.verdict;
            report.injected += 1;
            report.saw(if verdict == Verdict::Unauthorized {
                "refused"
            } else {
                "errors"
            });
            report.check(verdict == Verdict::Unauthorized, || {
                format!("{name}: an unknown key: {verdict:?}")
            });
            if number % 20 == 0 {
                accept(name, decider, &known, &mut report).await;
            }
        }
        let fetches = gates.jwks.fetches() - fetched;
        let cool_downs = began.elapsed().as_secs() / COOL_DOWN.as_secs();
        let cool_downs = usize::try_from(cool_downs).unwrap();
        // On a busy machine an attempt may take longer than its second, and is repeated.
        let allowed = cool_downs + 2 + cool_downs / 10;
        report.check(fetches <= allowed, || {
            format!("{name}: {fetches} fetches, {allowed} at most")
        });
        report.saw_many("fetches", u64::try_from(fetches).unwrap());
        most = most.max(fetches);
        let more = resident(decider.pid().await).saturating_sub(before);
        report.check(more < 2_048, || format!("{name}: {more} kB more"));
        grown = grown.max(more);
    }
    report.worst = format!("{most} fetches by one process, {grown} kB more memory");
    report
}

async fn accept(name: &str, decider: &Decider, token: &str, report: &mut Report) {
    let verdict = decider.decide(token).await.verdict;
    report.saw("valid tokens accepted");
    report.check(verdict == Verdict::Allow, || {
        format!("{name}: a valid token: {verdict:?}")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_kids_cost_little() {
    send_unknown_kids(Sabotage::None, length(200, 30_000))
        .await
        .kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn sabotage_a_function_that_forgets_its_keys() {
    send_unknown_kids(Sabotage::Forgetful, 50).await.detected();
}
