//! What a user's row says, and what an act makes of it.
//!
//! It is pure: the store carries it out by one conditional update each time (see `write.rs`), and a
//! test runs writers against each other by the thousand (`interleavings.rs`).

use auth::UnixSeconds;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::row::{Row, Unreadable, time};
use crate::write::{number, text};

const NOT_BEFORE: &str = "not_before";
const EXCEPT_SESSION: &str = "except_session";
const EXCEPT_SINCE: &str = "except_since";
const EXCEPT_FOR_CHANGE_AT: &str = "except_for_change_at";
const TOKENS_NOT_BEFORE: &str = "tokens_not_before";
const DISABLED: &str = "disabled";
const STATUS_AT: &str = "status_at";
const EXPIRES_AT: &str = "expires_at";

/// The attributes that decide. An update holds only while all of them are as they were read.
pub(crate) const DECISIVE: [&str; 8] = [
    NOT_BEFORE,
    EXCEPT_SESSION,
    EXCEPT_SINCE,
    EXCEPT_FOR_CHANGE_AT,
    TOKENS_NOT_BEFORE,
    DISABLED,
    STATUS_AT,
    EXPIRES_AT,
];

/// A user's row, without what is only for the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRow {
    /// What was authenticated up to here is over.
    pub not_before: Option<UnixSeconds>,
    /// The one session that goes on all the same.
    pub spared: Option<Spared>,
    /// What was issued up to here is out of date.
    pub tokens_not_before: Option<UnixSeconds>,
    /// Nothing passes.
    pub disabled: bool,
    /// As of when the user is disabled or enabled.
    pub status_at: Option<UnixSeconds>,
    /// When the row is no longer needed.
    pub expires_at: Option<UnixSeconds>,
}

/// A session that a cutoff spares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spared {
    /// `origin_jti`.
    pub session: String,
    /// When it was authenticated.
    pub since: UnixSeconds,
    /// When the password was changed, if that is what spared it. Only whoever proved the old
    /// password to our own API can make the store write this.
    pub changed_at: Option<UnixSeconds>,
}

/// What somebody does to a user.
#[derive(Clone, Debug)]
pub enum Act<'a> {
    /// Ends all that was authenticated up to here, a spared session included.
    EndAll(UnixSeconds),
    /// Ends the same but for one session, while that one is alive.
    EndOthers {
        /// Up to here.
        not_before: UnixSeconds,
        /// The session.
        session: &'a str,
        /// When it was authenticated.
        since: UnixSeconds,
        /// When the password was changed, if that is what this is about.
        changed_at: Option<UnixSeconds>,
    },
    /// The password was changed, whoever did it: all is over but what that very change spared.
    PasswordChanged {
        /// When.
        at: UnixSeconds,
        /// Seconds by which two clocks may tell the time of one change differently.
        tolerance: u64,
    },
    /// What was issued up to here is out of date.
    Outdate(UnixSeconds),
    /// Disables as of this moment, and ends all.
    Disable(UnixSeconds),
    /// Disables as of this moment, and ends all, for a user who is gone: the row is not needed for longer
    /// than the tokens that it stops.
    Delete(UnixSeconds),
    /// Enables as of this moment. What was ended stays ended.
    Enable(UnixSeconds),
}

/// What an act makes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// The row says as much already, or more.
    Same,
    /// The row is to be this.
    Changed(UserRow),
    /// The session to spare has been ended itself.
    TooLate,
}

impl UserRow {
    /// The row after `act`, which is carried out at `now`. Marks are kept for so many seconds.
    ///
    /// Every change is monotone: a cutoff and an expiry only rise, and no session comes back.
    #[must_use]
    pub fn after(&self, act: &Act<'_>, now: UnixSeconds, kept_seconds: u64) -> After {
        let mut new = self.clone();
        match *act {
            Act::EndAll(not_before) => new.end_all(not_before),
            Act::EndOthers {
                not_before,
                session,
                since,
                changed_at,
            } => {
                if !self.is_alive(session, since) {
                    return After::TooLate;
                }
                new.end_others(not_before, (session, since), changed_at);
            }
            Act::PasswordChanged { at, tolerance } => {
                if self.was_spared_by_change(at, tolerance) {
                    new.raise(at);
                } else {
                    new.end_all(at);
                }
            }
            Act::Outdate(at) => new.tokens_not_before = new.tokens_not_before.max(Some(at)),
            Act::Disable(at) | Act::Delete(at) => {
                if self.status_at <= Some(at) {
                    new.disabled = true;
                    new.status_at = Some(at);
                }
                new.end_all(at);
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
            // Only a deletion gives a disabled user's row an end.
            let earlier = self.expires_at.filter(|_| self.disabled);
            earlier.max(new.not_before.map(|at| at.plus(kept_seconds).max(needed)))
        } else {
            self.expiry_of(&new, now, kept_seconds)
        };
        if new == *self {
            After::Same
        } else {
            After::Changed(new)
        }
    }

    /// Whether no cutoff has ended this session.
    #[must_use]
    pub fn is_alive(&self, session: &str, since: UnixSeconds) -> bool {
        let spared = self.spared.as_ref();
        self.not_before < Some(since) || spared.is_some_and(|spared| spared.session == session)
    }

    fn raise(&mut self, not_before: UnixSeconds) {
        self.not_before = self.not_before.max(Some(not_before));
    }

    fn end_all(&mut self, not_before: UnixSeconds) {
        let covers = |spared: &Spared| spared.since <= not_before;
        if self.not_before < Some(not_before) || self.spared.as_ref().is_some_and(covers) {
            self.spared = None;
        }
        self.raise(not_before);
    }

    fn end_others(
        &mut self,
        not_before: UnixSeconds,
        (session, since): (&str, UnixSeconds),
        changed_at: Option<UnixSeconds>,
    ) {
        // An earlier change may come in late. One that only ends others never keeps the word.
        let earlier = self
            .spared
            .take()
            .filter(|spared| spared.session == session);
        let changed_at = changed_at.map(|at| {
            let earlier = earlier.and_then(|spared| spared.changed_at);
            earlier.map_or(at, |earlier| earlier.max(at))
        });
        self.raise(not_before);
        self.spared = Some(Spared {
            session: session.to_owned(),
            since,
            changed_at,
        });
    }

    fn was_spared_by_change(&self, at: UnixSeconds, tolerance: u64) -> bool {
        let changed_at = self.spared.as_ref().and_then(|spared| spared.changed_at);
        changed_at.is_some_and(|changed_at| changed_at.0.abs_diff(at.0) <= tolerance)
    }

    /// How long `new`, which follows this row, has to stay. Disabling doesn't run out, nor does a
    /// mark that was made by hand without an end.
    fn expiry_of(&self, new: &Self, now: UnixSeconds, kept_seconds: u64) -> Option<UnixSeconds> {
        let has_no_end = !self.disabled && self.expires_at.is_none() && *self != Self::default();
        // A deleted user's row has an end, and what comes in late raises it.
        let is_deleted = self.disabled && self.expires_at.is_some();
        if new.disabled && !is_deleted || has_no_end {
            return None;
        }
        let reaches = [new.not_before, new.tokens_not_before, new.status_at];
        let changed = [self.not_before, self.tokens_not_before, self.status_at];
        let needed = reaches
            .into_iter()
            .zip(changed)
            // A mark that stands keeps the end that it was given.
            .filter(|(reach, before)| reach != before || self.disabled && !new.disabled)
            .filter_map(|(reach, _)| Some(reach?.plus(kept_seconds)));
        let enabled_now = self.disabled.then(|| now.plus(kept_seconds));
        needed.chain(enabled_now).chain(self.expires_at).max()
    }

    /// # Errors
    /// An attribute is not what it must be: then nothing may be concluded from the row.
    pub(crate) fn read(row: &Row) -> Result<Self, Unreadable> {
        let spared = match row.get(EXCEPT_SESSION) {
            None => None,
            Some(session) => Some(Spared {
                session: session.as_s().map_err(|_| Unreadable)?.clone(),
                since: time(row, EXCEPT_SINCE)?.unwrap_or(UnixSeconds(0)),
                changed_at: time(row, EXCEPT_FOR_CHANGE_AT)?,
            }),
        };
        let disabled = match row.get(DISABLED) {
            None => false,
            Some(disabled) => *disabled.as_bool().map_err(|_| Unreadable)?,
        };
        Ok(Self {
            not_before: time(row, NOT_BEFORE)?,
            spared,
            tokens_not_before: time(row, TOKENS_NOT_BEFORE)?,
            disabled,
            status_at: time(row, STATUS_AT)?,
            expires_at: time(row, EXPIRES_AT)?,
        })
    }

    /// The value of a decisive attribute; `None` if it is not to be there.
    pub(crate) fn attribute(&self, name: &str) -> Option<AttributeValue> {
        let spared = self.spared.as_ref();
        match name {
            NOT_BEFORE => self.not_before.map(number),
            EXCEPT_SESSION => spared.map(|spared| text(&spared.session)),
            EXCEPT_SINCE => spared.map(|spared| number(spared.since)),
            EXCEPT_FOR_CHANGE_AT => spared.and_then(|spared| spared.changed_at).map(number),
            TOKENS_NOT_BEFORE => self.tokens_not_before.map(number),
            DISABLED => self.disabled.then_some(AttributeValue::Bool(true)),
            STATUS_AT => self.status_at.map(number),
            EXPIRES_AT => self.expires_at.map(number),
            _ => None,
        }
    }
}
