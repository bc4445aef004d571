//! The state that revocations give to a user, and how an act changes it.
//!
//! The rules of writing a revocation are here, and a store applies each act atomically: `auth-dynamodb` by one
//! conditional update, `auth::memory` under a lock. `tests/interleavings.rs` runs thousands of concurrent
//! writers.

use crate::revocation::{KeptSession, OtherSessions, PasswordChange, Revocations, UserRevocation};
use crate::time::UnixSeconds;

/// A user's state, without what is only informational.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserState {
    /// Sessions authenticated up to this time are revoked.
    pub not_before: Option<UnixSeconds>,
    /// The one session that stays valid.
    pub kept: Option<KeptSessionState>,
    /// Tokens issued up to this time are outdated.
    pub tokens_not_before: Option<UnixSeconds>,
    /// Nothing of the user is accepted.
    pub disabled: bool,
    /// The time at which the user was disabled or enabled.
    pub status_at: Option<UnixSeconds>,
    /// The time from which the state is no longer needed.
    pub expires_at: Option<UnixSeconds>,
}

/// A session that a revocation keeps, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSessionState {
    /// `origin_jti`.
    pub session: String,
    /// When it was authenticated.
    pub authenticated_at: UnixSeconds,
    /// The time of the password change, if that is why it is kept. The store writes this only for a
    /// caller who has proved the old password to our own API.
    pub password_changed_at: Option<UnixSeconds>,
}

/// An act on a user.
#[derive(Clone, Debug)]
pub enum Act<'a> {
    /// Revokes everything authenticated up to this time, including a kept session.
    RevokeAll(UnixSeconds),
    /// Revokes the same but for one session, if that session is valid.
    RevokeOthers(OtherSessions<'a>),
    /// The password was changed: revokes all sessions but the one that this very change kept.
    PasswordChanged(PasswordChange),
    /// Makes tokens issued up to this time outdated.
    RequireRefresh(UnixSeconds),
    /// Disables at this time, and revokes all sessions.
    Disable(UnixSeconds),
    /// Disables at this time, and revokes all sessions, of a deleted user: the state is needed only
    /// as long as the tokens that it refuses.
    Delete(UnixSeconds),
    /// Enables at this time. Earlier revocations stay in force.
    Enable(UnixSeconds),
}

impl Act<'_> {
    /// The time of the act.
    #[must_use]
    pub fn at(&self) -> UnixSeconds {
        match *self {
            Act::RevokeOthers(others) => others.not_before,
            Act::PasswordChanged(change) => change.changed_at,
            Act::RevokeAll(at)
            | Act::RequireRefresh(at)
            | Act::Disable(at)
            | Act::Delete(at)
            | Act::Enable(at) => at,
        }
    }

    /// The same act so many seconds later.
    #[must_use]
    pub fn later(self, seconds: u64) -> Self {
        match self {
            Act::RevokeAll(at) => Act::RevokeAll(at.plus(seconds)),
            Act::RevokeOthers(others) => Act::RevokeOthers(OtherSessions {
                not_before: others.not_before.plus(seconds),
                password_changed_at: others.password_changed_at.map(|at| at.plus(seconds)),
                ..others
            }),
            Act::PasswordChanged(change) => Act::PasswordChanged(PasswordChange {
                changed_at: change.changed_at.plus(seconds),
                ..change
            }),
            Act::RequireRefresh(at) => Act::RequireRefresh(at.plus(seconds)),
            Act::Disable(at) => Act::Disable(at.plus(seconds)),
            Act::Delete(at) => Act::Delete(at.plus(seconds)),
            Act::Enable(at) => Act::Enable(at.plus(seconds)),
        }
    }
}

/// The effect of an act on a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// The state already contains the act, or more.
    Same,
    /// The new state.
    Changed(UserState),
    /// The session to keep has been revoked itself.
    TooLate,
}

impl UserState {
    /// The state after `act`, which is applied at `now`. Revocations are kept for `kept_seconds`.
    ///
    /// Every change is monotone: `not_before` and the expiry only rise, and no session becomes
    /// valid again.
    #[must_use]
    pub fn after(&self, act: &Act<'_>, now: UnixSeconds, kept_seconds: u64) -> After {
        let mut new = self.clone();
        match *act {
            Act::RevokeAll(not_before) => new.revoke_all(not_before),
            Act::RevokeOthers(others) => {
                if !self.is_active(others.kept.session, others.kept.authenticated_at) {
                    return After::TooLate;
                }
                new.revoke_others(others);
            }
            Act::PasswordChanged(change) => {
                if self.was_kept_by(change) {
                    new.raise(change.changed_at);
                } else {
                    new.revoke_all(change.changed_at);
                }
            }
            Act::RequireRefresh(at) => new.tokens_not_before = new.tokens_not_before.max(Some(at)),
            Act::Disable(at) | Act::Delete(at) => {
                if self.status_at <= Some(at) {
                    new.disabled = true;
                    new.status_at = Some(at);
                }
                new.revoke_all(at);
            }
            Act::Enable(at) => {
                if self.status_at < Some(at) {
                    new.disabled = false;
                    new.status_at = Some(at);
                }
            }
        }
        new.expires_at = if new.disabled && matches!(act, Act::Delete(_)) {
            let needed = now.plus(kept_seconds);
            // Only a deletion lets a disabled user's state expire.
            let earlier = self.expires_at.filter(|_| self.disabled);
            earlier.max(new.not_before.map(|at| at.plus(kept_seconds).max(needed)))
        } else {
            self.expiry_of(&new, act.at().plus(kept_seconds), now, kept_seconds)
        };
        if new == *self {
            After::Same
        } else {
            After::Changed(new)
        }
    }

    /// Whether no revocation of the user's sessions covers this session.
    #[must_use]
    pub fn is_active(&self, session: &str, authenticated_at: UnixSeconds) -> bool {
        let kept = self.kept.as_ref();
        self.not_before < Some(authenticated_at) || kept.is_some_and(|kept| kept.session == session)
    }

    /// Adds what this state revokes at `now`. Disabling does not expire.
    pub fn add_to(self, revocations: &mut Revocations, now: UnixSeconds) {
        let is_expired = self.expires_at.is_some_and(|end| end <= now);
        let session = self.kept.map(|kept| kept.session);
        revocations.user_disabled = self.disabled;
        revocations.tokens_not_before = self.tokens_not_before.filter(|_| !is_expired);
        let not_before = self.not_before.filter(|_| !is_expired);
        revocations.user_not_before = not_before.map(|not_before| UserRevocation {
            not_before,
            except_session: session,
        });
    }

    fn raise(&mut self, not_before: UnixSeconds) {
        self.not_before = self.not_before.max(Some(not_before));
    }

    fn revoke_all(&mut self, not_before: UnixSeconds) {
        let covers = |kept: &KeptSessionState| kept.authenticated_at <= not_before;
        if self.not_before < Some(not_before) || self.kept.as_ref().is_some_and(covers) {
            self.kept = None;
        }
        self.raise(not_before);
    }

    fn revoke_others(&mut self, others: OtherSessions<'_>) {
        let KeptSession {
            session,
            authenticated_at,
        } = others.kept;
        // An earlier change may arrive late. A revocation of the other sessions alone does not
        // carry `password_changed_at` over.
        let earlier = self.kept.take().filter(|kept| kept.session == session);
        let password_changed_at = others.password_changed_at.map(|at| {
            let earlier = earlier.and_then(|kept| kept.password_changed_at);
            earlier.map_or(at, |earlier| earlier.max(at))
        });
        self.raise(others.not_before);
        self.kept = Some(KeptSessionState {
            session: session.to_owned(),
            authenticated_at,
            password_changed_at,
        });
    }

    fn was_kept_by(&self, change: PasswordChange) -> bool {
        let kept_at = self.kept.as_ref().and_then(|kept| kept.password_changed_at);
        kept_at.is_some_and(|kept_at| {
            kept_at.0.abs_diff(change.changed_at.0) <= change.tolerance_seconds
        })
    }

    /// The expiry of `new`, which follows this state by an act that is needed until `needed_until`. Disabling does not
    /// expire, nor does a revocation that an operator wrote without an expiry.
    fn expiry_of(
        &self,
        new: &Self,
        needed_until: UnixSeconds,
        now: UnixSeconds,
        kept_seconds: u64,
    ) -> Option<UnixSeconds> {
        let has_no_end = !self.disabled && self.expires_at.is_none() && *self != Self::default();
        // A deleted user's state expires, and late acts raise its expiry.
        let is_deleted = self.disabled && self.expires_at.is_some();
        if new.disabled && !is_deleted || has_no_end {
            return None;
        }
        let reaches = [new.not_before, new.tokens_not_before, new.status_at];
        let changed = [self.not_before, self.tokens_not_before, self.status_at];
        let needed = reaches
            .into_iter()
            .zip(changed)
            // An unchanged revocation keeps its expiry.
            .filter(|(reach, before)| reach != before || self.disabled && !new.disabled)
            .filter_map(|(reach, _)| Some(reach?.plus(kept_seconds)));
        let enabled_now = self.disabled.then(|| now.plus(kept_seconds));
        // An act that changes no time, because a later one is stored, needs the state all the same: an operator may
        // have written it with an expiry that is too early.
        let needed = needed.chain([needed_until]).chain(enabled_now);
        needed.chain(self.expires_at).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_act_differs_in_its_times_only() {
        let at = UnixSeconds(100);
        let others = OtherSessions {
            not_before: at,
            kept: KeptSession {
                session: "s",
                authenticated_at: UnixSeconds(7),
            },
            password_changed_at: Some(UnixSeconds(90)),
        };
        let change = PasswordChange {
            changed_at: at,
            tolerance_seconds: 10,
        };
        let acts = [
            Act::RevokeAll(at),
            Act::RevokeOthers(others),
            Act::PasswordChanged(change),
            Act::RequireRefresh(at),
            Act::Disable(at),
            Act::Delete(at),
            Act::Enable(at),
        ];
        for act in acts {
            let later = act.clone().later(5);
            assert_eq!((act.at(), later.at()), (at, UnixSeconds(105)), "{act:?}");
            // The text of the act without its times.
            let kind = |act: &Act<'_>| format!("{act:?}").replace(['0', '1', '5', '9'], "");
            assert_eq!(kind(&act), kind(&later));
            if let Act::RevokeOthers(later) = later {
                assert_eq!(later.password_changed_at, Some(UnixSeconds(95)));
                assert_eq!(later.kept, others.kept);
            }
        }
    }

    const KEPT_SECONDS: u64 = 50;

    fn at(seconds: u64) -> UnixSeconds {
        UnixSeconds(seconds)
    }

    fn kept(session: &str, authenticated_at: u64, password_changed_at: u64) -> KeptSessionState {
        KeptSessionState {
            session: session.to_owned(),
            authenticated_at: at(authenticated_at),
            password_changed_at: Some(at(password_changed_at)),
        }
    }

    /// A state whose revocation keeps one session.
    fn keeping(kept: KeptSessionState, not_before: u64) -> UserState {
        UserState {
            not_before: Some(at(not_before)),
            kept: Some(kept),
            expires_at: Some(at(200)),
            ..UserState::default()
        }
    }

    fn changed(state: &UserState, act: &Act<'_>, now: u64) -> UserState {
        match state.after(act, at(now), KEPT_SECONDS) {
            After::Changed(new) => new,
            After::Same | After::TooLate => panic!("{act:?} changes the state"),
        }
    }

    #[test]
    fn a_later_revocation_of_all_ends_the_exception() {
        let state = keeping(kept("s", 50, 30), 30);
        for (not_before, session) in [(31, None), (45, None), (50, None)] {
            let new = changed(&state, &Act::RevokeAll(at(not_before)), 60);
            assert_eq!(new.kept, session, "{not_before}");
        }
        // The same one again, late, changes nothing.
        let repeated = state.after(&Act::RevokeAll(at(30)), at(60), KEPT_SECONDS);
        assert_eq!(repeated, After::Same);
    }

    #[test]
    fn an_earlier_password_change_of_the_same_session_arrives_late() {
        let state = keeping(kept("a", 10, 90), 90);
        let others = |session| OtherSessions {
            not_before: at(95),
            kept: KeptSession {
                session,
                authenticated_at: at(92),
            },
            password_changed_at: Some(at(80)),
        };
        for (session, expected) in [("a", 90), ("b", 80)] {
            let new = changed(&state, &Act::RevokeOthers(others(session)), 100);
            let changed_at = new.kept.and_then(|kept| kept.password_changed_at);
            assert_eq!(changed_at, Some(at(expected)), "{session}");
        }
    }

    #[test]
    fn a_revocation_expires_when_no_token_needs_it() {
        let new = changed(&UserState::default(), &Act::RevokeAll(at(10)), 12);
        assert_eq!(new.expires_at, Some(at(60)));
        // An unchanged revocation keeps its expiry, as another act does not make it reach further.
        let short = UserState {
            expires_at: Some(at(20)),
            ..new
        };
        let refreshed = changed(&short, &Act::RequireRefresh(at(5)), 12);
        assert_eq!(refreshed.expires_at, Some(at(55)));
        // Disabling does not expire; enabling lets all revocations expire again.
        let disabled = changed(&short, &Act::Disable(at(15)), 15);
        assert_eq!(disabled.expires_at, None);
        let revoked = changed(&disabled, &Act::RevokeAll(at(40)), 40);
        assert_eq!(revoked.expires_at, None);
        let enabled = changed(&revoked, &Act::Enable(at(20)), 20);
        assert_eq!(enabled.expires_at, Some(at(90)));
    }

    #[test]
    fn an_act_is_kept_as_long_as_it_is_needed_also_if_a_later_one_is_stored() {
        // The rows of an operator, one of which has expired.
        for expires_at in [20, 120] {
            let short = UserState {
                not_before: Some(at(100)),
                tokens_not_before: Some(at(100)),
                status_at: Some(at(100)),
                expires_at: Some(at(expires_at)),
                ..UserState::default()
            };
            for act in [
                Act::RevokeAll(at(100)),
                Act::RequireRefresh(at(100)),
                Act::Enable(at(100)),
            ] {
                let new = changed(&short, &act, 100);
                let expected = UserState {
                    expires_at: Some(at(150)),
                    ..short.clone()
                };
                assert_eq!(new, expected, "{act:?}");
                let again = new.after(&act, at(100), KEPT_SECONDS);
                assert_eq!(again, After::Same, "{act:?}");
            }
            // One of long ago needs nothing.
            let late = short.after(&Act::RevokeAll(at(0)), at(100), KEPT_SECONDS);
            assert_eq!(late == After::Same, expires_at == 120);
        }
    }

    #[test]
    fn the_state_of_a_deleted_user_keeps_its_expiry() {
        let deleted = changed(&UserState::default(), &Act::Delete(at(10)), 12);
        assert_eq!(deleted.expires_at, Some(at(62)));
        let short = UserState {
            expires_at: Some(at(20)),
            ..deleted
        };
        // By a clock that is behind: what was revoked before does not reach further.
        let refreshed = changed(&short, &Act::RequireRefresh(at(5)), 5);
        assert_eq!(refreshed.expires_at, Some(at(55)));
    }
}
