//! A run: workers that choose operations at random while faults are injected, and its result.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use testkit::token::now;

use super::front::Front;
use super::system::{Checker, Random, Sabotage, USERS};
use crate::chaos::report::Report;

/// Operations of a run over the authorizer. Few enough for `make test`, and enough for each function to revoke.
pub(super) const BY_DEFAULT: u64 = 2_000;
const WORKERS: u64 = 8;

/// The start of a violation: a request was allowed that began after the session's revocation was acknowledged.
pub(super) const ALLOWED: &str = "allowed after its revocation";

/// Functions that revoke sessions.
const REVOKERS: &[&str] = &[
    "logout",
    "reset",
    "AdminUserGlobalSignOut",
    "AdminDisableUser",
    "ChangePassword",
    "GlobalSignOut",
];

impl Checker {
    #[expect(
        clippy::print_stdout,
        reason = "a run of half an hour reports its progress"
    )]
    pub(super) async fn work(&self, worker: u64, operations: u64) {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ ((worker + 1) << 32) ^ now());
        loop {
            let done = self.counts.operations.fetch_add(1, Ordering::SeqCst);
            if self.is_detected() {
                return;
            }
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

    /// Whether the sabotage of this run was detected: then the run is over.
    fn is_detected(&self) -> bool {
        let violations = self.violations.lock().unwrap();
        self.sabotage != Sabotage::None && violations.iter().any(|one| one.starts_with(ALLOWED))
    }

    /// Whether each function that revokes sessions has done so, where the checker requires it.
    pub(super) fn all_have_revoked(&self) -> bool {
        let seen = self.counts.revocations.lock().unwrap();
        self.sabotage != Sabotage::None || REVOKERS.iter().all(|by| seen.contains_key(by))
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the caller sets the length of the run and reads its result"
)]
pub(super) async fn run(front: Front, sabotage: Sabotage, by_default: u64) -> Vec<String> {
    let operations = match sabotage {
        Sabotage::None => std::env::var("GATEHOUSE_OPERATIONS")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(by_default),
        _ => by_default,
    };
    let began = Instant::now();
    let checker = Checker::start(front, sabotage).await;
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
    if sabotage == Sabotage::None {
        write_row(&checker, violations.clone());
    }
    assert!(count(&counts.allowed) > 0);
    assert!(count(&counts.refused) > 0 || sabotage != Sabotage::None);
    // Every function must have revoked sessions; a shorter run may not reach all of them.
    if sabotage == Sabotage::None && operations >= BY_DEFAULT {
        assert!(
            REVOKERS.iter().all(|by| revocations.contains_key(by)),
            "{revocations:?}"
        );
    }
    violations
}

/// The row of a long run in the table of docs/reliability.md.
fn write_row(checker: &Checker, violations: Vec<String>) {
    let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
    let counts = &checker.counts;
    let mut report = Report::of(match checker.front {
        Front::Authorizer => "checker-authorizer",
        Front::ForwardAuth => "checker-forward-auth",
        Front::CachingForwardAuth => "checker-cache",
    });
    report.injected = count(&counts.faults);
    for (what, counter) in [
        ("operations", &counts.operations),
        ("allowed", &counts.allowed),
        ("refused", &counts.refused),
        ("errors", &counts.errors),
        ("decisions about cookies", &counts.cookies),
        ("restarts of the table", &counts.restarts),
    ] {
        report.saw_many(what, count(counter));
    }
    let revocations: u64 = counts.revocations.lock().unwrap().values().sum();
    report.saw_many("acknowledged revocations", revocations);
    let latest = *counts.latest.lock().unwrap();
    report.worst = if latest.is_zero() {
        "no request allowed after a revocation".to_owned()
    } else {
        format!("allowed {:.2} s after a revocation", latest.as_secs_f64())
    };
    report.violations = violations;
    report.write();
}
