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
//! forward-auth takes the authorizer's place in runs of its own.
//!
//! `GATEHOUSE_OPERATIONS` sets the number of operations; `make check` runs 200,000.

mod browser;
mod clients;
mod cognito;
mod cost;
mod faults;
pub(crate) mod front;
mod revocations;
mod run;
mod state;
mod system;
mod thieves;

use std::collections::HashMap;

use testkit::token::now;

use self::clients::IN_USE;
use self::front::Front;
use self::run::{ALLOWED, BY_DEFAULT, run};
use self::system::{Checker, Random, Sabotage};

#[tokio::test(flavor = "multi_thread")]
async fn only_revoked_sessions_are_rejected() {
    assert_none(&run(Front::Authorizer, Sabotage::None, BY_DEFAULT).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_auth_rejects_only_revoked_sessions() {
    assert_none(&run(Front::ForwardAuth, Sabotage::None, 1_000).await);
}

/// With `DECISION_CACHE_SECONDS`, a revocation may be late by so much, and by no more.
#[tokio::test(flavor = "multi_thread")]
async fn forward_auth_keeps_the_bound_of_its_cache() {
    assert_none(&run(Front::CachingForwardAuth, Sabotage::None, 500).await);
}

fn assert_none(violations: &[String]) {
    let mut kinds: HashMap<&str, usize> = HashMap::new();
    for violation in violations {
        *kinds
            .entry(violation.split(':').next().unwrap())
            .or_default() += 1;
    }
    assert!(violations.is_empty(), "{kinds:?} {:?}", violations.first());
}

/// A run ends at the first violation, at the latest after so many operations.
async fn detects(front: Front, sabotage: Sabotage, operations: u64) {
    let violations = run(front, sabotage, operations).await;
    assert!(violations.iter().any(|one| one.starts_with(ALLOWED)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_detects_a_cache_and_a_skipped_check_in_forward_auth() {
    for (sabotage, operations) in [(Sabotage::HiddenCache, 500), (Sabotage::SkippedCheck, 600)] {
        detects(Front::ForwardAuth, sabotage, operations).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_detects_stale_reads() {
    detects(Front::Authorizer, Sabotage::StaleReads, 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_detects_late_revocations() {
    detects(Front::Authorizer, Sabotage::LateRevocations, 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_detects_an_auth_time_moved_by_a_refresh() {
    detects(Front::Authorizer, Sabotage::NewAuthTime, 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_detects_sessions_left_at_cognito() {
    let checker = Checker::start(Front::Authorizer, Sabotage::IgnoredCalls).await;
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
