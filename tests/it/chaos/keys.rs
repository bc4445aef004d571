//! Signing keys that the issuer adds, and tokens of keys that it never had.

use std::time::{Duration, Instant};

use auth_tests::Verdict;
use serde_json::{Value, json};
use testkit::token::base64url;
use testkit::{Pool, SigningKey};

use super::gates::{Gates, resident, settled};
use super::report::{Report, length, rows};
use crate::checker::front::Decider;
use crate::world::{unique, user_token};

/// `auth::key_cache::COOL_DOWN_SECONDS`, as docs/outcomes.md promises it.
pub(super) const COOL_DOWN: Duration = Duration::from_secs(10);

/// Two attempts of a second each, on a busy machine.
pub(super) const FETCH: Duration = Duration::from_secs(3);

/// Fetches of one key that may fail on a busy machine, where an attempt takes longer than its second.
const MOST_FAILED: usize = 2;

/// Between two requests for a new key.
const PAUSE: Duration = Duration::from_millis(100);

/// Cool-downs count whole seconds.
const SECOND: Duration = Duration::from_secs(1);

/// The second attempt of a fetch arrives within this time of the first one, whose time limit is a second.
const REPEATED_WITHIN: Duration = Duration::from_millis(2_500);

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
            let took = until_accepted(decider, (&known, &new), is_noisy, &mut report).await;
            worst = worst.max(took);
        }
    }
    report.worst = format!("accepted after {:.1} s", worst.as_secs_f64());
    report
}

/// Sends the token of a key that was published a moment ago until it is accepted, and checks how long that takes.
async fn until_accepted(
    decider: &Decider,
    (known, new): (&str, &str),
    is_noisy: bool,
    report: &mut Report,
) -> Duration {
    let published = Instant::now();
    let mut bound = if is_noisy { COOL_DOWN + FETCH } else { FETCH };
    let mut failed = 0;
    loop {
        let mut verdicts = Vec::new();
        if is_noisy {
            verdicts.push(decider.decide(&of_unknown_key(known)).await.verdict);
        }
        let began = Instant::now();
        let verdict = settled(decider, known, report).await;
        bound += began.elapsed();
        report.check(verdict == Verdict::Allow, || {
            format!("a known key: {verdict:?}")
        });
        let asked = published.elapsed();
        let verdict = decider.decide(new).await.verdict;
        let took = published.elapsed();
        verdicts.push(verdict);
        // A fetch that failed begins the cool-down again.
        if failed < MOST_FAILED && verdicts.contains(&Verdict::Failure) {
            report.saw("fetches failed");
            failed += 1;
            bound = took + COOL_DOWN + FETCH;
        }
        match verdict {
            Verdict::Allow => {
                report.saw("accepted");
                report.check(took <= bound, || format!("not accepted before {took:?}"));
                return took;
            }
            Verdict::Unauthorized => report.saw("refused before"),
            Verdict::Failure => {}
            Verdict::Deny => report.check(false, || format!("a new key: {verdict:?}")),
        }
        if asked > bound {
            report.check(false, || format!("{verdict:?} after {took:?}"));
            return took;
        }
        let began = Instant::now();
        tokio::time::sleep(PAUSE).await;
        // A longer one is the machine's.
        bound += began.elapsed().saturating_sub(PAUSE);
    }
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

/// The fetches of one process, by the times of their attempts.
#[derive(Default)]
struct Fetches {
    /// The number of attempts that were looked at.
    seen: usize,
    all: Vec<Fetch>,
}

struct Fetch {
    /// The beginning of the request that caused it.
    asked: Instant,
    arrived: Instant,
    attempts: usize,
}

impl Fetches {
    /// Looks at the attempts that have arrived since the last call, before the end of a request that began at `asked`.
    /// Returns the time since the fetch before, if that is too short.
    fn follow(&mut self, attempts: &[Instant], asked: Instant) -> Option<Duration> {
        let mut too_early = None;
        for arrived in attempts.iter().copied().skip(self.seen) {
            match self.all.last_mut() {
                Some(last) if arrived - last.arrived <= REPEATED_WITHIN => {
                    last.attempts += 1;
                    continue;
                }
                Some(last) => {
                    let gap = arrived - last.asked;
                    too_early = too_early.or((gap < COOL_DOWN - SECOND).then_some(gap));
                }
                None => {}
            }
            self.all.push(Fetch {
                asked,
                arrived,
                attempts: 1,
            });
        }
        self.seen = attempts.len();
        too_early
    }

    /// The number of fetches that may have failed: those with a second attempt.
    fn repeated(&self) -> usize {
        self.all.iter().filter(|one| one.attempts > 1).count()
    }
}

async fn send_unknown_kids(sabotage: Sabotage, count: usize) -> Report {
    let mut report = Report::of("unknown-kids");
    let gates = Gates::start(&[]).await;
    let known = user_token().build();
    let (mut most, mut grown) = (0, 0);
    for (name, decider) in &gates.deciders {
        let mut fetches = Fetches {
            seen: gates.jwks.fetches(),
            ..Fetches::default()
        };
        let mut before = 0;
        let mut errors = 0;
        for number in 0..count {
            if number == count / 5 {
                before = resident(decider.pid().await);
            }
            if sabotage == Sabotage::Forgetful && number % 10 == 0 {
                decider.kill().await;
            }
            let asked = Instant::now();
            let verdict = decider.decide(&of_unknown_key(&known)).await.verdict;
            report.injected += 1;
            match verdict {
                Verdict::Unauthorized => report.saw("refused"),
                Verdict::Failure => errors += 1,
                Verdict::Allow | Verdict::Deny => {
                    report.check(false, || format!("{name}: an unknown key: {verdict:?}"));
                }
            }
            let too_early = fetches.follow(&gates.jwks.fetched_at(), asked);
            report.check(too_early.is_none(), || {
                format!("{name}: a fetch {too_early:?} after the one before")
            });
            if number % 20 == 0 {
                accept(name, decider, &known, &mut report).await;
            }
        }
        let attempts = fetches.all.iter().map(|one| one.attempts);
        let attempts = attempts.max().unwrap_or_default();
        report.check((1..=2).contains(&attempts), || {
            format!("{name}: {attempts} attempts of one fetch")
        });
        let repeated = fetches.repeated();
        report.check(errors <= repeated, || {
            format!("{name}: {errors} errors, and {repeated} fetches may have failed")
        });
        report.saw_many("errors", u64::try_from(errors).unwrap());
        report.saw_many("fetches", u64::try_from(fetches.all.len()).unwrap());
        report.saw_many("second attempts", u64::try_from(repeated).unwrap());
        most = most.max(fetches.all.len());
        let more = resident(decider.pid().await).saturating_sub(before);
        report.check(more < 2_048, || format!("{name}: {more} kB more"));
        grown = grown.max(more);
    }
    report.worst = format!("{most} fetches by one process, {grown} kB more memory");
    report
}

async fn accept(name: &str, decider: &Decider, token: &str, report: &mut Report) {
    let verdict = settled(decider, token, report).await;
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
