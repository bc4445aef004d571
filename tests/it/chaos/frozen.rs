//! Processes that are frozen as Lambda freezes an environment between two requests, or a hypervisor a server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_tests::{Verdict, environment};
use testkit::TokenBuilder;
use testkit::token::now;

use super::gates::{Gates, POLICIES, settled};
use super::report::{Report, length};
use crate::checker::front::{Decider, ServerSlot};
use crate::world::user_token;

/// Requests wait for a frozen process for so long, less than the patience of a client.
const BEFORE_THE_END: Duration = Duration::from_secs(2);

async fn freeze(seconds: u64, cache_seconds: u64) -> Report {
    let mut report = Report::of("frozen");
    let mut gates = Gates::start(&[]).await;
    let mut caching = environment(&gates.jwks.uri(), &gates.store.url(), &[]);
    caching.extend([
        ("PROXY_DIALECT", "envoy".to_owned()),
        ("POLICIES_DIR", POLICIES.to_owned()),
        ("DECISION_CACHE_SECONDS", cache_seconds.to_string()),
    ]);
    let caching = Decider::ForwardAuth(Box::new(ServerSlot::start(caching).await));
    gates.deciders.push(("caching forward-auth", caching));
    let gates = Arc::new(gates);
    let until = |lives: u64| user_token().claim("exp", now() + lives);
    let kept: Vec<TokenBuilder<'_>> = (0..4).map(|_| until(3_600)).collect();
    let revoked: Vec<TokenBuilder<'_>> = (0..4).map(|_| until(3_600)).collect();
    for token in kept.iter().chain(&revoked) {
        gates.allow(&token.build(), &mut report).await;
    }
    let (expiring, expires) = soon_expired(&gates, seconds.div_ceil(2) + 1).await;
    for (_, decider) in &gates.deciders {
        decider.signal("-STOP").await;
        report.injected += 1;
    }
    let frozen_at = Instant::now();
    // Nothing that is read after the thaw may be older than this.
    for token in &revoked {
        gates.revoke(token);
    }
    gates.store.close_connections();
    // On a busy machine the token had to live longer.
    let time = Duration::from_secs(seconds.max((expires + 1).saturating_sub(now())));
    tokio::time::sleep(time.saturating_sub(BEFORE_THE_END)).await;
    let mut waiting = Vec::new();
    for (token, passes) in revoked
        .iter()
        .map(|token| (token, false))
        .chain([(&kept[0], true), (&kept[1], true)])
    {
        let (gates, token) = (Arc::clone(&gates), token.build());
        waiting.push((
            passes,
            tokio::spawn(async move {
                let asked = gates
                    .deciders
                    .iter()
                    .map(|(_, decider)| decider.decide(&token));
                let decided = futures_util::future::join_all(asked).await;
                decided
                    .into_iter()
                    .map(|one| one.verdict)
                    .collect::<Vec<_>>()
            }),
        ));
    }
    tokio::time::sleep(time.saturating_sub(frozen_at.elapsed())).await;
    for (_, decider) in &gates.deciders {
        decider.signal("-CONT").await;
    }
    let thawed_at = Instant::now();
    for (passes, asked) in waiting {
        for verdict in asked.await.unwrap() {
            report.saw("requests that waited");
            let is_right = match verdict {
                Verdict::Allow => passes,
                Verdict::Unauthorized => !passes,
                Verdict::Failure => true,
                Verdict::Deny => false,
            };
            report.check(is_right, || format!("a request that waited: {verdict:?}"));
        }
    }
    for token in revoked.iter().chain([&expiring]) {
        for (name, verdict) in gates.settle(&token.build(), &mut report).await {
            report.saw("refused");
            report.check(verdict == Verdict::Unauthorized, || {
                format!("{name}: revoked or expired: {verdict:?}")
            });
        }
    }
    let mut worst = Duration::ZERO;
    for token in &kept {
        let token = token.build();
        for (name, decider) in &gates.deciders {
            let verdict = settled(decider, &token, &mut report).await;
            worst = worst.max(thawed_at.elapsed());
            report.saw("accepted");
            report.check(verdict == Verdict::Allow, || {
                format!("{name}: valid: {verdict:?}")
            });
        }
    }
    report.worst = format!(
        "frozen for {} s, all right {:.1} s after it",
        frozen_at.elapsed().as_secs() - thawed_at.elapsed().as_secs(),
        worst.as_secs_f64()
    );
    report
}

/// A token that every program has allowed, and its expiry in about so many seconds: later where the programs are slow.
async fn soon_expired(gates: &Gates, mut lives: u64) -> (TokenBuilder<'static>, u64) {
    let mut attempts = 0;
    loop {
        let expires = now() + lives;
        let token = user_token().claim("exp", expires);
        let text = token.build();
        let verdicts = gates.decide(&text).await;
        if verdicts.iter().all(|(_, one)| *one == Verdict::Allow) {
            return (token, expires);
        }
        let is_refused = |one: &(_, Verdict)| !matches!(one.1, Verdict::Allow | Verdict::Failure);
        assert!(
            now() >= expires || !verdicts.iter().any(is_refused),
            "{verdicts:?} about a valid token"
        );
        attempts += 1;
        assert!(attempts < 6, "{verdicts:?}");
        lives *= 2;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_process_decides_by_the_present() {
    let seconds = u64::try_from(length(3, 605)).unwrap();
    freeze(seconds, 1).await.kept();
}

/// A cache that is longer than the freeze.
#[tokio::test(flavor = "multi_thread")]
async fn sabotage_a_cache_that_outlives_the_freeze() {
    freeze(3, 60).await.detected();
}
