//! Runs writers of one user's state against each other in random order, with crashes at random steps
//! and repetitions. After every step the test checks the guarantees of completed writers.
//!
//! `make check` includes the test of two million runs, which is ignored otherwise. The control
//! runs the earlier writers, which made two updates for an act and let any exception keep a
//! session at a password change. The test must detect them.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;

use auth::user_state::{Act, After, KeptSessionState, UserState};
use auth::{KeptSession, OtherSessions, PasswordChange, UnixSeconds};

const BY_DEFAULT: u64 = 20_000;
const FOR_LONG: u64 = 2_000_000;
/// Seconds for which a revocation is kept after its time.
const KEPT: u64 = 1_000;
const TOLERANCE: u64 = 10;
/// The sessions and their authentication times. `A` is the thief's, say.
const SESSIONS: [(&str, u64); 5] = [("A", 100), ("B", 104), ("C", 110), ("D", 118), ("E", 130)];

/// A small random generator, which suffices for choosing steps.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(u64::try_from(bound).unwrap())).unwrap()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Semantics {
    /// As `auth-dynamodb` does: read with the failed condition, then compare and set.
    Now,
    /// As it did before.
    Before,
}

enum Step {
    Again,
    Done(bool),
}

/// One act in progress.
struct Writer {
    act: Act<'static>,
    now: UnixSeconds,
    seen: UserState,
    stage: u32,
}

impl Writer {
    fn step(&mut self, row: &mut UserState, semantics: Semantics) -> Step {
        match semantics {
            Semantics::Now => self.compare_and_set(row),
            Semantics::Before => self.update_as_before(row),
        }
    }

    fn compare_and_set(&mut self, row: &mut UserState) -> Step {
        match self.seen.after(&self.act, self.now, KEPT) {
            After::Same => Step::Done(true),
            After::TooLate => Step::Done(false),
            After::Changed(new) if self.seen == *row => {
                *row = new;
                Step::Done(true)
            }
            After::Changed(_) => {
                self.seen = row.clone();
                Step::Again
            }
        }
    }

    fn update_as_before(&mut self, row: &mut UserState) -> Step {
        self.stage += 1;
        let (first, at) = match (&self.act, self.stage) {
            (Act::Disable(at) | Act::Delete(at), 1) => {
                if row.status_at <= Some(*at) {
                    row.disabled = true;
                    row.status_at = Some(*at);
                    row.expires_at = None;
                }
                return Step::Again;
            }
            (Act::Disable(at) | Act::Delete(at), stage) => (stage == 2, *at),
            (Act::Enable(at), _) => {
                if row.status_at < Some(*at) {
                    row.disabled = false;
                    row.status_at = Some(*at);
                    row.expires_at = Some(self.now.max(*at).plus(KEPT));
                }
                return Step::Done(true);
            }
            (Act::RevokeAll(at) | Act::RequireRefresh(at), stage) => (stage == 1, *at),
            (Act::RevokeOthers(others), stage) => (stage == 1, others.not_before),
            (Act::PasswordChanged(change), stage) => (stage == 1, change.changed_at),
        };
        if !first {
            if !row.disabled && row.expires_at.is_none_or(|end| end < at.plus(KEPT)) {
                row.expires_at = Some(at.plus(KEPT));
            }
            return Step::Done(true);
        }
        let rises = row.not_before < Some(at);
        match &self.act {
            Act::RequireRefresh(_) => row.tokens_not_before = row.tokens_not_before.max(Some(at)),
            Act::RevokeOthers(OtherSessions { kept, .. }) => {
                let is_same = |row: &KeptSessionState| row.session == kept.session;
                let is_kept = row.kept.as_ref().is_some_and(is_same);
                let is_later = row.not_before < Some(kept.authenticated_at);
                if !(is_later || is_kept && row.not_before <= Some(at)) {
                    return Step::Done(false);
                }
                row.not_before = Some(at);
                row.kept = Some(KeptSessionState {
                    session: kept.session.to_owned(),
                    authenticated_at: kept.authenticated_at,
                    password_changed_at: None,
                });
            }
            Act::PasswordChanged(change) => {
                let covered = UnixSeconds(change.changed_at.0 - change.tolerance_seconds);
                let is_covered = row.not_before >= Some(covered);
                if row.kept.is_none() && rises || row.kept.is_some() && !is_covered {
                    row.not_before = Some(change.changed_at);
                    row.kept = None;
                }
            }
            Act::RevokeAll(_) | Act::Disable(_) | Act::Delete(_) | Act::Enable(_) => {
                if rises {
                    row.not_before = Some(at);
                    row.kept = None;
                } else if row
                    .kept
                    .as_ref()
                    .is_some_and(|it| it.authenticated_at <= at)
                {
                    row.kept = None;
                }
            }
        }
        Step::Again
    }
}

/// Whether `not_before` refuses this session. Disabling is checked separately.
fn is_refused(row: &UserState, (session, since): (&str, u64)) -> bool {
    !row.is_active(session, UnixSeconds(since))
}

/// One run: the started acts, the guarantees, and the violations.
struct Run {
    row: UserState,
    begun: Vec<Act<'static>>,
    wrong: BTreeSet<&'static str>,
}

impl Run {
    /// Whether a password change that was started may keep this session at the record of `at`.
    fn may_be_kept(&self, name: &str, at: UnixSeconds) -> bool {
        self.begun.iter().any(|act| {
            matches!(act, Act::RevokeOthers(OtherSessions { kept, password_changed_at: Some(changed_at), .. })
                if kept.session == name && changed_at.0.abs_diff(at.0) <= TOLERANCE)
        })
    }

    fn revoked(
        &mut self,
        what: &'static str,
        up_to: UnixSeconds,
        kept: impl Fn(&Self, &str) -> bool,
    ) {
        for (name, since) in SESSIONS {
            let covered = since <= up_to.0 && !kept(self, name);
            if covered && !is_refused(&self.row, (name, since)) {
                self.wrong.insert(what);
            }
        }
    }

    /// What holds once a writer has completed.
    fn acknowledged(&mut self, act: &Act<'static>) {
        match *act {
            Act::RevokeAll(at) => self.revoked("RevokeAll", at, |_, _| false),
            Act::RevokeOthers(OtherSessions {
                not_before, kept, ..
            }) => self.revoked("RevokeOthers", not_before, |_, name| name == kept.session),
            Act::PasswordChanged(PasswordChange { changed_at, .. }) => {
                self.revoked("PasswordChanged", changed_at, |run, name| {
                    run.may_be_kept(name, changed_at)
                });
            }
            Act::RequireRefresh(at) => {
                if self.row.tokens_not_before < Some(at) {
                    self.wrong.insert("RequireRefresh");
                }
            }
            Act::Disable(at) | Act::Delete(at) => {
                let later = self.row.status_at > Some(at);
                if !(later || self.row.disabled && self.row.status_at == Some(at)) {
                    self.wrong.insert("Disable");
                }
                self.revoked("Disable", at, |_, _| false);
            }
            Act::Enable(at) => {
                if self.row.status_at < Some(at) {
                    self.wrong.insert("Enable");
                }
            }
        }
    }

    /// What holds after every step, even if a crash follows.
    fn stepped(&mut self, before: &UserState) {
        for session in SESSIONS {
            if is_refused(before, session) && !is_refused(&self.row, session) {
                self.wrong.insert("a session became valid again");
            }
        }
        let row = &self.row;
        let goes_too_early = row.expires_at.is_some_and(|end| {
            let times = [row.not_before, row.tokens_not_before];
            times.into_iter().flatten().any(|at| end < at.plus(KEPT))
        });
        let is_deleted = self.begun.iter().any(|act| matches!(act, Act::Delete(_)));
        let had_an_end = before.disabled == row.disabled;
        let shrinks = had_an_end && row.expires_at.is_some() && row.expires_at < before.expires_at;
        if goes_too_early || shrinks {
            self.wrong.insert("a revocation that expires too early");
        }
        if row.disabled && row.expires_at.is_some() && !is_deleted {
            self.wrong.insert("a disabled user's row that expires");
        }
        if row.tokens_not_before < before.tokens_not_before {
            self.wrong.insert("an outdated token became valid again");
        }
    }
}

fn some_act(random: &mut Random, row: &UserState) -> Option<Act<'static>> {
    let at = UnixSeconds(95 + random.below(50));
    let kind = random.below(10);
    if kind == 1 && random.below(4) == 0 {
        return Some(Act::Delete(at));
    }
    if kind < 5 {
        return Some(match kind {
            0 => Act::RevokeAll(at),
            1 => Act::Disable(at),
            2 => Act::Enable(at),
            3 => Act::RequireRefresh(at),
            _ => changed(at.0),
        });
    }
    let (session, since) = SESSIONS[random.index(SESSIONS.len())];
    // As in logout and auth-api: only a caller whose session is valid may revoke the others.
    if row.disabled || is_refused(row, (session, since)) {
        return None;
    }
    let skew = random.below(3);
    Some(others(
        at.0.max(since),
        session,
        since,
        (kind < 7).then_some(at.0 + skew),
    ))
}

fn run(random: &mut Random, semantics: Semantics) -> Run {
    let mut run = Run {
        row: UserState::default(),
        begun: Vec::new(),
        wrong: BTreeSet::new(),
    };
    if random.below(2) == 0 {
        // An old row that is about to expire.
        run.row.not_before = Some(UnixSeconds(10));
        run.row.expires_at = Some(UnixSeconds(10 + KEPT));
    }
    let mut writers: Vec<Writer> = Vec::new();
    let mut to_begin = 2 + random.below(6);
    while to_begin > 0 || !writers.is_empty() {
        if to_begin > 0 && random.below(3) == 0 {
            to_begin -= 1;
            let again = !run.begun.is_empty() && random.below(4) == 0;
            let act = if again {
                Some(run.begun[random.index(run.begun.len())].clone())
            } else {
                some_act(random, &run.row)
            };
            if let Some(act) = act {
                run.begun.push(act.clone());
                writers.push(Writer {
                    act,
                    now: UnixSeconds(150),
                    seen: UserState::default(),
                    stage: 0,
                });
            }
            continue;
        }
        if writers.is_empty() {
            continue;
        }
        let at = random.index(writers.len());
        if random.below(12) == 0 {
            writers.swap_remove(at);
            continue;
        }
        let before = run.row.clone();
        let step = writers[at].step(&mut run.row, semantics);
        run.stepped(&before);
        if let Step::Done(written) = step {
            let writer = writers.swap_remove(at);
            if written {
                run.acknowledged(&writer.act);
            }
        }
    }
    run
}

fn wrong(semantics: Semantics, runs: u64) -> Vec<(&'static str, String)> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut found = Vec::new();
    for _ in 0..runs {
        let run = run(&mut random, semantics);
        for what in &run.wrong {
            found.push((*what, format!("{:?} -> {:?}", run.begun, run.row)));
        }
    }
    found
}

#[test]
fn no_interleaving_breaks_a_guarantee() {
    let found = wrong(Semantics::Now, BY_DEFAULT);
    assert!(found.is_empty(), "{}: {:#?}", found.len(), found.first());
}

#[test]
#[ignore = "takes minutes: `make check`"]
fn no_interleaving_of_millions_breaks_a_guarantee() {
    let found = wrong(Semantics::Now, FOR_LONG);
    assert!(found.is_empty(), "{}: {:#?}", found.len(), found.first());
}

#[test]
fn the_earlier_writers_are_detected() {
    let found = wrong(Semantics::Before, BY_DEFAULT);
    let kinds: BTreeSet<&str> = found.iter().map(|(what, _)| *what).collect();
    for kind in ["PasswordChanged", "a revocation that expires too early"] {
        assert!(kinds.contains(kind), "{kind} in {kinds:?}");
    }
}

fn others(at: u64, session: &'static str, since: u64, changed_at: Option<u64>) -> Act<'static> {
    Act::RevokeOthers(OtherSessions {
        not_before: UnixSeconds(at),
        kept: KeptSession {
            session,
            authenticated_at: UnixSeconds(since),
        },
        password_changed_at: changed_at.map(UnixSeconds),
    })
}

fn changed(at: u64) -> Act<'static> {
    Act::PasswordChanged(PasswordChange {
        changed_at: UnixSeconds(at),
        tolerance_seconds: TOLERANCE,
    })
}

/// The row after these acts in sequence, and whether each succeeded.
fn after(acts: &[Act<'static>]) -> (UserState, Vec<bool>) {
    let mut row = UserState::default();
    let done = acts.iter().map(|act| {
        let result = row.after(act, UnixSeconds(150), KEPT);
        match result {
            After::Same => true,
            After::TooLate => false,
            After::Changed(new) => {
                row = new;
                true
            }
        }
    });
    let done = done.collect();
    (row, done)
}

#[test]
fn the_record_of_a_password_change_keeps_only_the_exception_of_that_change() {
    let a = ("A", 100);
    let rows = [
        (
            "others by a thief after it",
            vec![others(121, "A", 100, None), changed(120)],
            true,
        ),
        (
            "others by a thief before it",
            vec![others(119, "A", 100, None), changed(120)],
            true,
        ),
        (
            "our own change",
            vec![others(121, "A", 100, Some(121)), changed(120)],
            false,
        ),
        (
            "its record, twice",
            vec![others(121, "A", 100, Some(121)), changed(120), changed(120)],
            false,
        ),
        (
            "its record, later by the clock",
            vec![others(121, "A", 100, Some(121)), changed(123)],
            false,
        ),
        (
            "another change",
            vec![others(121, "A", 100, Some(121)), changed(132)],
            true,
        ),
        (
            "others, which drops the time of the change",
            vec![
                others(121, "A", 100, Some(121)),
                others(122, "A", 100, None),
                changed(120),
            ],
            true,
        ),
        (
            "the change that arrives late",
            vec![
                others(122, "A", 100, None),
                others(121, "A", 100, Some(121)),
                changed(120),
            ],
            false,
        ),
        (
            "a reset",
            vec![
                others(121, "A", 100, Some(121)),
                Act::RevokeAll(UnixSeconds(121)),
            ],
            true,
        ),
    ];
    for (name, acts, ends) in rows {
        let (row, done) = after(&acts);
        assert!(done.iter().all(|done| *done), "{name}");
        assert_eq!(is_refused(&row, a), ends, "{name}");
        assert!(is_refused(&row, ("B", 104)), "{name}: the others");
    }
    // Sessions that were started with the old password, between the two clocks' times of the
    // change.
    let (row, _) = after(&[others(121, "A", 100, Some(121)), changed(123)]);
    assert!(is_refused(&row, ("F", 123)));
    // A late change that keeps a revoked session reports it.
    let (row, done) = after(&[
        Act::RevokeAll(UnixSeconds(130)),
        others(121, "A", 100, Some(121)),
    ]);
    assert_eq!(done, [true, false]);
    assert!(is_refused(&row, a));
}

#[test]
fn a_deleted_users_row_expires_and_a_disabled_users_does_not() {
    let (delete, disable) = (
        Act::Delete(UnixSeconds(140)),
        Act::Disable(UnixSeconds(139)),
    );
    let revoke_all = Act::RevokeAll(UnixSeconds(141));
    let kept = Some(UnixSeconds(150 + KEPT));
    for acts in [
        vec![delete.clone()],
        vec![disable.clone(), delete.clone()],
        vec![delete.clone(), disable.clone(), revoke_all.clone()],
        vec![revoke_all.clone(), disable.clone(), delete.clone()],
        vec![delete.clone(), Act::Enable(UnixSeconds(130))],
    ] {
        let (row, _) = after(&acts);
        assert!(row.disabled, "{acts:?}");
        assert_eq!(row.expires_at, kept, "{acts:?}");
    }
    let (row, _) = after(&[revoke_all, disable]);
    assert_eq!((row.disabled, row.expires_at), (true, None));
}
