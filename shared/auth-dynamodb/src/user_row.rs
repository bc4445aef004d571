//! A user's row: [`UserState`] as attributes, and back.

use auth::user_state::{KeptSessionState, UserState};
use auth::{Revocations, UnixSeconds};
use aws_sdk_dynamodb::types::AttributeValue;

use crate::row::{Row, RowError, number, text, time};

const NOT_BEFORE: &str = "not_before";
const EXCEPT_SESSION: &str = "except_session";
const EXCEPT_SINCE: &str = "except_since";
const EXCEPT_FOR_CHANGE_AT: &str = "except_for_change_at";
const TOKENS_NOT_BEFORE: &str = "tokens_not_before";
const DISABLED: &str = "disabled";
const STATUS_AT: &str = "status_at";
const EXPIRES_AT: &str = "expires_at";

/// The attributes that decide. An update succeeds only while all of them are as they were read.
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

/// The state in a user's row.
///
/// # Errors
/// An attribute has an unexpected type or value: then the row must not be interpreted.
pub(crate) fn read(row: &Row) -> Result<UserState, RowError> {
    let kept = match row.get(EXCEPT_SESSION) {
        None => None,
        Some(session) => Some(KeptSessionState {
            session: session.as_s().map_err(|_| RowError)?.clone(),
            authenticated_at: time(row, EXCEPT_SINCE)?.unwrap_or(UnixSeconds(0)),
            password_changed_at: time(row, EXCEPT_FOR_CHANGE_AT)?,
        }),
    };
    let disabled = match row.get(DISABLED) {
        None => false,
        Some(disabled) => *disabled.as_bool().map_err(|_| RowError)?,
    };
    Ok(UserState {
        not_before: time(row, NOT_BEFORE)?,
        kept,
        tokens_not_before: time(row, TOKENS_NOT_BEFORE)?,
        disabled,
        status_at: time(row, STATUS_AT)?,
        expires_at: time(row, EXPIRES_AT)?,
    })
}

/// The state in a user's row, for a decision or a change: a row with an unreadable expiry has none.
///
/// # Errors
/// Another attribute has an unexpected type or value, or the row has nothing that Gatehouse writes: then every token of
/// the user is refused.
pub(crate) fn read_as_active(row: &Row) -> Result<UserState, RowError> {
    let state = read(row).or_else(|RowError| {
        let mut row = row.clone();
        row.remove(EXPIRES_AT);
        read(&row)
    })?;
    // A change of another row would accept tokens that it refuses.
    if row.is_empty() || is_of_gatehouse(&state) {
        Ok(state)
    } else {
        Err(RowError)
    }
}

/// Whether the row, of which `state` was read, has an unreadable expiry.
pub(crate) fn has_unread_expiry(row: &Row, state: &UserState) -> bool {
    state.expires_at.is_none() && row.contains_key(EXPIRES_AT)
}

/// Adds a user's row to the revocations.
pub(crate) fn add_user(revocations: &mut Revocations, row: &Row, now: UnixSeconds) {
    match read_as_active(row) {
        Ok(_) if row.is_empty() => revocations.unreadable = true,
        Ok(state) => state.add_to(revocations, now),
        Err(RowError) => revocations.unreadable = true,
    }
}

/// Whether Gatehouse writes such a row: one that revokes, or that says when the user was enabled.
fn is_of_gatehouse(state: &UserState) -> bool {
    let revokes = state.disabled || state.not_before.is_some() || state.tokens_not_before.is_some();
    revokes || state.status_at.is_some()
}

/// The value of a decisive attribute; `None` if it must not exist.
pub(crate) fn attribute(state: &UserState, name: &str) -> Option<AttributeValue> {
    let kept = state.kept.as_ref();
    match name {
        NOT_BEFORE => state.not_before.map(number),
        EXCEPT_SESSION => kept.map(|kept| text(&kept.session)),
        EXCEPT_SINCE => kept.map(|kept| number(kept.authenticated_at)),
        EXCEPT_FOR_CHANGE_AT => kept.and_then(|kept| kept.password_changed_at).map(number),
        TOKENS_NOT_BEFORE => state.tokens_not_before.map(number),
        DISABLED => state.disabled.then_some(AttributeValue::Bool(true)),
        STATUS_AT => state.status_at.map(number),
        EXPIRES_AT => state.expires_at.map(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &UserState) -> Row {
        let attributes = DECISIVE.into_iter();
        attributes
            .filter_map(|name| Some((name.to_owned(), attribute(state, name)?)))
            .collect()
    }

    #[test]
    fn every_state_is_read_as_it_was_written() {
        let at = |seconds| Some(UnixSeconds(seconds));
        let kept = |password_changed_at| {
            Some(KeptSessionState {
                session: "s-1".to_owned(),
                authenticated_at: UnixSeconds(7),
                password_changed_at,
            })
        };
        let full = UserState {
            not_before: at(10),
            kept: kept(at(9)),
            tokens_not_before: at(11),
            disabled: true,
            status_at: at(12),
            expires_at: at(13),
        };
        let states = [
            UserState::default(),
            UserState {
                kept: kept(None),
                ..full.clone()
            },
            UserState {
                disabled: false,
                kept: None,
                ..full.clone()
            },
            full,
        ];
        for state in states {
            assert_eq!(read(&row(&state)).ok(), Some(state));
        }
    }

    #[test]
    fn only_an_unreadable_expiry_leaves_a_row_active() {
        for name in DECISIVE {
            let mut row = row(&UserState {
                not_before: Some(UnixSeconds(10)),
                kept: Some(KeptSessionState {
                    session: "s-1".to_owned(),
                    authenticated_at: UnixSeconds(7),
                    password_changed_at: None,
                }),
                ..UserState::default()
            });
            row.insert(name.to_owned(), AttributeValue::Null(true));
            let state = read_as_active(&row).ok();
            assert_eq!(state.is_some(), name == EXPIRES_AT, "{name}");
            assert!(state.is_none_or(|state| state.not_before == Some(UnixSeconds(10))));
            let mut revocations = Revocations::default();
            add_user(&mut revocations, &row, UnixSeconds(20));
            assert_eq!(revocations.unreadable, name != EXPIRES_AT, "{name}");
        }
    }

    #[test]
    fn an_unreadable_expiry_alone_is_no_state() {
        for (attributes, is_read) in [
            (vec![], false),
            (vec![(DISABLED, AttributeValue::Bool(false))], false),
            (vec![(STATUS_AT, number(UnixSeconds(9)))], true),
            (vec![(DISABLED, AttributeValue::Bool(true))], true),
        ] {
            let attributes = attributes.into_iter();
            let mut row: Row = attributes.map(|(name, it)| (name.to_owned(), it)).collect();
            row.insert(EXPIRES_AT.to_owned(), text("2030-01-01"));
            let state = read_as_active(&row).ok();
            assert_eq!(state.is_some(), is_read, "{row:?}");
            assert!(state.is_none_or(|state| has_unread_expiry(&row, &state)));
            let mut revocations = Revocations::default();
            add_user(&mut revocations, &row, UnixSeconds(20));
            assert_eq!(revocations.unreadable, !is_read, "{row:?}");
        }
    }

    #[test]
    fn rows_with_other_types_or_values_are_not_interpreted() {
        let wrong = [
            AttributeValue::Null(true),
            AttributeValue::N("-1".to_owned()),
            AttributeValue::N("1.5".to_owned()),
            AttributeValue::L(Vec::new()),
        ];
        let base = UserState {
            kept: Some(KeptSessionState {
                session: "s-1".to_owned(),
                authenticated_at: UnixSeconds(7),
                password_changed_at: None,
            }),
            ..UserState::default()
        };
        for name in DECISIVE {
            for value in &wrong {
                let mut row = row(&base);
                row.insert(name.to_owned(), value.clone());
                assert!(read(&row).is_err(), "{name}: {value:?}");
            }
        }
    }
}
