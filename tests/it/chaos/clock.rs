//! Wall clocks that jump, by libfaketime. local/prepare installs it where it can; without it these tests are skipped.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use auth_tests::Verdict;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use serde_json::json;
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Binary, Invocation, Pool, SigningKey, TokenBuilder};

use super::gates::{Gates, PATIENCE, POLICIES, long_token};
use super::keys::{COOL_DOWN, FETCH, of_unknown_key, with_key};
use super::logout_event;
use super::report::{Report, length};
use crate::checker::front::{Decider, ServerSlot};
use crate::user_events::{record, send};
use crate::world::{World, failures, next_second, unique, user_token};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// `auth::key_cache::REFRESH_AFTER_SECONDS`, as docs/outcomes.md promises it.
const REFRESH: i64 = HOUR;
/// `auth::key_cache::TRUST_FOR_SECONDS`.
const TRUST: i64 = 24 * HOUR;

/// Requests at once.
const LOAD: usize = 16;

/// The wall clock of processes that are started with its variables. The monotonic clock stays as it is.
pub(crate) struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

impl FakeClock {
    /// `None` where libfaketime is not installed.
    pub(crate) fn find() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/faketime/usr/lib");
        let folders = std::fs::read_dir(root).into_iter().flatten();
        let mut found = folders
            .filter_map(|folder| Some(folder.ok()?.path().join("faketime/libfaketimeMT.so.1")));
        let Some(library) = found.find(|path| path.exists()) else {
            testkit::report::skip("wrong clocks, without libfaketime in .tools/faketime");
            return None;
        };
        let name = format!("gatehouse-{}", unique("clock"));
        let clock = Self {
            library,
            file: std::env::temp_dir().join(name),
        };
        clock.set(0);
        Some(clock)
    }

    /// Moves the clock to so many seconds after the true time.
    pub(crate) fn set(&self, offset: i64) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{offset:+}\n")).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        vec![
            ("LD_PRELOAD", path(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", path(&self.file)),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DISABLE_SHM", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }
}

impl Drop for FakeClock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// A token that was issued a minute before this offset and expires so many seconds after it.
fn issued(token: TokenBuilder<'static>, offset: i64, lives: i64) -> TokenBuilder<'static> {
    let at = now().cast_signed() + offset;
    let token = token.claim("auth_time", at - MINUTE);
    token.claim("iat", at - MINUTE).claim("exp", at + lives)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sabotage {
    None,
    /// The functions keep the true time.
    StoppedClock,
    /// The keys are part of the configuration and are never fetched.
    PinnedKeys,
}

/// Where the clock jumps to.
const OFFSETS: &[i64] = &[
    2 * MINUTE,
    -2 * MINUTE,
    HOUR,
    0,
    -HOUR,
    6 * HOUR,
    -6 * HOUR,
    -5 * MINUTE,
    12 * HOUR,
    5 * MINUTE,
    -12 * HOUR,
    30,
];

async fn jump(sabotage: Sabotage) -> Option<Report> {
    let clock = FakeClock::find()?;
    let variables = match sabotage {
        Sabotage::StoppedClock => Vec::new(),
        _ => clock.variables(),
    };
    let mut report = Report::of("clock-jumps");
    let mut gates = Gates::start(&variables).await;
    // A third program that remembers decisions: an expired token must not be one of them.
    let mut caching = auth_tests::environment(&gates.jwks.uri(), &gates.store.url(), &[]);
    caching.extend(variables);
    caching.extend([
        ("PROXY_DIALECT", "envoy".to_owned()),
        ("POLICIES_DIR", POLICIES.to_owned()),
        ("DECISION_CACHE_SECONDS", "60".to_owned()),
    ]);
    let caching = Decider::ForwardAuth(Box::new(ServerSlot::start(caching).await));
    gates.deciders.push(("caching forward-auth", caching));
    let long = long_token();
    for round in 0..length(1, 5) {
        for offset in OFFSETS.iter().map(|offset| offset + round as i64) {
            let revoked = issued(user_token(), offset, 30 * MINUTE);
            gates.revoke(&revoked);
            // It is remembered where decisions are; at the new time it has expired, or is not valid yet.
            let of_before = user_token().build();
            gates.allow(&of_before, &mut report).await;
            clock.set(offset);
            report.injected += 1;
            let rows = [
                ("revoked", revoked.build(), false),
                (
                    "long",
                    long.build(),
                    (-8 * HOUR..13 * HOUR).contains(&offset),
                ),
                (
                    "valid",
                    issued(user_token(), offset, 30 * MINUTE).build(),
                    true,
                ),
                (
                    "expired",
                    issued(user_token(), offset, -2 * MINUTE).build(),
                    false,
                ),
                (
                    "future",
                    issued(user_token(), offset + HOUR, HOUR).build(),
                    false,
                ),
            ];
            for (case, token, passes) in rows {
                for (name, verdict) in gates.settle(&token, &mut report).await {
                    report.saw(match verdict {
                        Verdict::Allow => "allowed",
                        Verdict::Unauthorized => "refused",
                        Verdict::Failure | Verdict::Deny => "other",
                    });
                    report.check(verdict == Verdict::passing(passes), || {
                        format!("{name} at {offset} s: {case}: {verdict:?}")
                    });
                }
            }
            if offset > 29 * MINUTE {
                for (name, verdict) in gates.settle(&of_before, &mut report).await {
                    report.check(verdict == Verdict::Unauthorized, || {
                        format!("{name} at {offset} s: of before: {verdict:?}")
                    });
                }
            }
            clock.set(0);
        }
    }
    let errors = report.count("errors repeated");
    report.worst = format!("the first decision after each jump, {errors} errors before one");
    Some(report)
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_follow_the_clock() {
    if let Some(report) = jump(Sabotage::None).await {
        report.kept();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sabotage_a_clock_that_does_not_jump() {
    if let Some(report) = jump(Sabotage::StoppedClock).await {
        report.detected();
    }
}

/// Requests at once, after a jump of the clock.
struct Load<'a> {
    gates: &'a Gates,
    began: Instant,
    /// The number of fetches before it.
    fetches: usize,
    /// Whether the keys are due to be fetched again.
    is_late: bool,
}

impl Load<'_> {
    /// The decision, and the number of requests before it that were repeated: after an error, or with a withdrawn key
    /// that is allowed while its set is being fetched.
    async fn decide(&self, decider: &Decider, token: &str, is_withdrawn: bool) -> (Verdict, u64) {
        let mut repeated = 0;
        loop {
            let asked = self.began.elapsed();
            let verdict = decider.decide(token).await.verdict;
            let may_repeat = match verdict {
                Verdict::Failure => asked < PATIENCE,
                Verdict::Allow if is_withdrawn && self.is_late => asked < self.fetched_within(),
                _ => false,
            };
            if !may_repeat {
                return (verdict, repeated);
            }
            repeated += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The time of one fetch, and after a second attempt, which may have failed too, of the cool-down and another one.
    fn fetched_within(&self) -> Duration {
        let fetches = self.gates.jwks.fetches() - self.fetches;
        if fetches > self.gates.deciders.len() {
            FETCH + COOL_DOWN + FETCH
        } else {
            FETCH
        }
    }
}

async fn withdraw(sabotage: Sabotage) -> Option<Report> {
    let clock = FakeClock::find()?;
    let mut report = Report::of("key-withdrawn");
    let mut worst = 0;
    for round in 0..length(1, 4) {
        clock.set(0);
        let (kid, key) = (unique("withdrawn"), SigningKey::rsa());
        let both = with_key(&kid, &key).to_string();
        let gates = match sabotage {
            Sabotage::PinnedKeys => Gates::pinned_with(&both, &clock.variables()).await,
            _ => Gates::serving(&both, &clock.variables()).await,
        };
        let withdrawn = long_token().header("kid", kid).signed_by(&key).build();
        let kept = long_token().build();
        gates.allow(&withdrawn, &mut report).await;
        gates.jwks.set_body(Pool::ours().jwks().to_string());
        report.injected += 1;
        let step = [5 * MINUTE, MINUTE, 13 * MINUTE, 20 * MINUTE][round % 4];
        let mut offset = 0;
        while offset < REFRESH + step {
            offset += step;
            // A frozen environment: time passes, and no request.
            for (_, decider) in &gates.deciders {
                decider.signal("-STOP").await;
            }
            clock.set(offset);
            for (_, decider) in &gates.deciders {
                decider.signal("-CONT").await;
            }
            let load = Load {
                gates: &gates,
                began: Instant::now(),
                fetches: gates.jwks.fetches(),
                is_late: offset >= REFRESH,
            };
            let asked = (0..LOAD).map(async |number| {
                let is_withdrawn = number % 2 == 0;
                let token = if is_withdrawn { &withdrawn } else { &kept };
                let mut answers = Vec::new();
                for (name, decider) in &gates.deciders {
                    answers.push((*name, load.decide(decider, token, is_withdrawn).await));
                }
                (is_withdrawn, answers)
            });
            for (is_withdrawn, answers) in futures_util::future::join_all(asked).await {
                for (name, (verdict, repeated)) in answers {
                    if repeated > 0 {
                        report.saw_many("requests repeated", repeated);
                    }
                    if !is_withdrawn {
                        report.saw("tokens of the kept key accepted");
                        report.check(verdict == Verdict::Allow, || {
                            format!("{name}: the kept key after {offset} s: {verdict:?}")
                        });
                        continue;
                    }
                    match verdict {
                        Verdict::Allow => {
                            report.saw("accepted before");
                            worst = worst.max(offset);
                            report.check(offset < REFRESH, || {
                                format!("{name}: accepted after {offset} s")
                            });
                        }
                        Verdict::Unauthorized => report.saw("refused"),
                        other => report.check(false, || format!("{name}: {other:?}")),
                    }
                }
            }
        }
    }
    report.worst = format!("accepted {} minutes after the withdrawal", worst / MINUTE);
    Some(report)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_key_is_refused_in_time() {
    if let Some(report) = withdraw(Sabotage::None).await {
        report.kept();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sabotage_a_key_that_is_never_withdrawn() {
    if let Some(report) = withdraw(Sabotage::PinnedKeys).await {
        report.detected();
    }
}

async fn lose_the_endpoint(sabotage: Sabotage) -> Option<Report> {
    let clock = FakeClock::find()?;
    let mut report = Report::of("key-endpoint-gone");
    let set = Pool::ours().jwks().to_string();
    let gates = match sabotage {
        Sabotage::PinnedKeys => Gates::pinned_with(&set, &clock.variables()).await,
        _ => Gates::serving(&set, &clock.variables()).await,
    };
    let faults = [Fault::Cut, Fault::Answer(503, String::new()), Fault::Hang];
    let (mut last_allowed, mut first_error) = (0, i64::MAX);
    let fetched = Instant::now();
    gates.allow(&user_token().build(), &mut report).await;
    let hours = [1, 2, 6, 12, 18, 23, 24, 25];
    for (number, hour) in hours.into_iter().enumerate() {
        gates.jwks.set_fault(faults[number % faults.len()].clone());
        for age in [hour * HOUR - MINUTE, hour * HOUR + MINUTE] {
            // The keys age by the true time too: each fetch that hangs takes two seconds of it.
            let offset = age - fetched.elapsed().as_secs().cast_signed();
            clock.set(offset);
            report.injected += 1;
            let known = issued(user_token(), offset, 30 * MINUTE).build();
            let unknown = of_unknown_key(&known);
            for (name, verdict) in gates.decide(&known).await {
                let expected = if age < TRUST {
                    Verdict::Allow
                } else {
                    Verdict::Failure
                };
                report.check(verdict == expected, || {
                    format!("{name} after {age} s: {verdict:?}")
                });
                if verdict == Verdict::Allow {
                    report.saw("allowed");
                    last_allowed = last_allowed.max(age);
                } else {
                    report.saw("errors");
                    first_error = first_error.min(age);
                }
            }
            for (name, verdict) in gates.decide(&unknown).await {
                report.check(
                    matches!(verdict, Verdict::Failure | Verdict::Unauthorized),
                    || format!("{name} after {age} s: an unknown key: {verdict:?}"),
                );
            }
        }
    }
    gates.jwks.set_fault(Fault::None);
    let back = 25 * HOUR + 2 * MINUTE;
    clock.set(back);
    let known = issued(user_token(), back, 30 * MINUTE).build();
    for (name, verdict) in gates.settle(&known, &mut report).await {
        report.saw("allowed when it was back");
        report.check(verdict == Verdict::Allow, || {
            format!("{name}, the endpoint is back: {verdict:?}")
        });
    }
    report.worst = format!(
        "allowed until {:.1} h, errors from {:.1} h",
        last_allowed as f64 / HOUR as f64,
        first_error as f64 / HOUR as f64
    );
    Some(report)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: `make chaos` runs it"]
async fn keys_outlive_their_endpoint_for_a_day() {
    if let Some(report) = lose_the_endpoint(Sabotage::None).await {
        report.kept();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: `make chaos` runs it"]
async fn sabotage_keys_that_never_age() {
    if let Some(report) = lose_the_endpoint(Sabotage::PinnedKeys).await {
        report.detected();
    }
}

/// What is broken in a run about clocks of revoking functions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    /// The table acknowledges writes that it does not execute.
    LostWrites,
    /// The table's responses name the time of the function's own clock, so that it corrects nothing.
    SameDate,
}

/// The seconds by which a clock may be behind without a correction, as docs/reliability.md says.
const UNCORRECTED: i64 = 2;

/// Clocks that are wrong by at most so much acknowledge a logout: AWS refuses older signatures at first.
const ACKNOWLEDGED: i64 = 4 * MINUTE;

/// logout and user-events, whose clock is wrong, and an authorizer with the true time.
async fn revoke_at_wrong_times(defect: Defect) -> Option<Report> {
    let clock = FakeClock::find()?;
    let mut report = Report::of("clock-behind");
    let world = World::start().await;
    // As AWS does: a function whose clock is further away cannot write.
    world.store.check_times_of_signatures();
    let variables = clock.variables();
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let logout = world.function("logout", &variables).await;
    let events = world.function("user-events", &variables).await;
    let mut offsets = vec![-HOUR, -4 * MINUTE, -30, -3, -2, -1, 0, 30, 4 * MINUTE, HOUR];
    if length(0, 1) == 1 {
        offsets.extend([-6 * HOUR, -20 * MINUTE, -2 * MINUTE, -10, -5, 5, 6 * HOUR]);
    }
    if defect != Defect::None {
        offsets = vec![-4 * MINUTE, -30];
    }
    let mut uncovered = 0;
    for offset in offsets {
        for name in ["logout", "user-events"] {
            if defect == Defect::SameDate {
                world.store.set_clock(move || http_date(offset));
            }
            // The caller's session is old enough for each of these times.
            let caller = long_token();
            let begun = |ago: u64| {
                let session = caller.clone().claim("origin_jti", unique("session"));
                let session = session.claim("jti", unique("token"));
                session
                    .claim("auth_time", now() - ago)
                    .claim("iat", now() - ago)
            };
            let (earlier, recent) = (begun(UNCORRECTED.unsigned_abs()), begun(0));
            next_second().await;
            clock.set(offset);
            report.injected += 1;
            if defect == Defect::LostWrites {
                let lie = Fault::Answer(200, "{}".to_owned());
                world.store.set_fault_for("UpdateItem", lie);
            }
            let mut is_done = false;
            let began = Instant::now();
            while !is_done && began.elapsed() < PATIENCE {
                is_done = match name {
                    "logout" => log_out_everywhere(&logout, &caller).await,
                    _ => {
                        let answer = send(&events, &[record("GlobalSignOut", &caller, 0)]).await;
                        failures(&answer).is_empty()
                    }
                };
                if offset.abs() > ACKNOWLEDGED {
                    break;
                }
            }
            clock.set(0);
            world.store.set_fault(Fault::None);
            world.store.set_date(None);
            if !is_done {
                report.saw("not acknowledged");
                report.check(offset.abs() > ACKNOWLEDGED, || {
                    format!("{name} at {offset} s: not acknowledged")
                });
                continue;
            }
            report.saw("acknowledged");
            let is_corrected = !(-UNCORRECTED..0).contains(&offset);
            for (case, token, is_promised) in [
                ("caller's", &caller, true),
                ("earlier", &earlier, true),
                ("recent", &recent, is_corrected),
            ] {
                if !world.passes(token).await {
                    continue;
                }
                if !is_promised {
                    report.saw("sessions of the last two seconds left");
                    continue;
                }
                uncovered += 1;
                report.check(false, || {
                    format!("{name} at {offset} s: the {case} session is allowed")
                });
            }
            next_second().await;
            let again = crate::world::signed_in_again(&caller);
            if !world.passes(&again).await {
                report.saw("later sign-ins refused too");
                report.check(offset > 0, || {
                    format!("{name} at {offset} s: a later sign-in is refused")
                });
            }
        }
    }
    report.worst = format!("{uncovered} sessions left");
    Some(report)
}

/// The time of a clock that is so many seconds ahead, as a `Date` header has it.
fn http_date(offset: i64) -> String {
    let date = DateTime::from_secs(now().cast_signed() + offset);
    date.fmt(DateTimeFormat::HttpDate).unwrap()
}

async fn log_out_everywhere(logout: &Binary, token: &TokenBuilder<'_>) -> bool {
    let event = logout_event(token, &json!({"scope": "all"}));
    let outcome = logout.try_invoke(&event, Duration::from_secs(20)).await;
    matches!(outcome, Some(Invocation::Answer(answer)) if answer["statusCode"] == 200)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: `make chaos` runs it"]
async fn a_wrong_clock_revokes_no_less() {
    if let Some(report) = revoke_at_wrong_times(Defect::None).await {
        report.kept();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: `make chaos` runs it"]
async fn sabotage_an_acknowledgement_without_a_write() {
    if let Some(report) = revoke_at_wrong_times(Defect::LostWrites).await {
        report.detected_as("the caller's session is allowed");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: `make chaos` runs it"]
async fn sabotage_a_table_whose_clock_is_as_wrong() {
    if let Some(report) = revoke_at_wrong_times(Defect::SameDate).await {
        report.detected_as("logout at -30 s: the earlier session is allowed");
    }
}
