//! What a row of the table means.

use std::collections::HashMap;

use auth::revocation::{Cutoff, RowKey};
use auth::{Marks, UnixSeconds};
use aws_sdk_dynamodb::types::AttributeValue;

pub(crate) type Row = HashMap<String, AttributeValue>;

/// The cutoffs that hold for more than one user.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cutoffs {
    pub(crate) client: Option<UnixSeconds>,
    pub(crate) issuer: Option<UnixSeconds>,
    pub(crate) unreadable: bool,
}

/// An attribute that is there but is not what it must be.
pub(crate) struct Unreadable;

/// The row's own key.
pub(crate) fn key_of(row: &Row) -> Option<RowKey> {
    let text = |name: &str| row.get(name)?.as_s().ok().cloned();
    Some(RowKey {
        partition: text("pk")?,
        sort: text("sk")?,
    })
}

/// Whether the row has passed its `expires_at` and only waits to be deleted, which DynamoDB may
/// take days for. A row whose expiry can't be read is active.
pub(crate) fn is_expired(row: &Row, now: UnixSeconds) -> bool {
    matches!(time(row, "expires_at"), Ok(Some(expires_at)) if expires_at <= now)
}

/// Whether the row has an expiry that DynamoDB will not act on.
pub(crate) fn has_odd_expiry(row: &Row, now: UnixSeconds) -> bool {
    /// A thousand years: the row's writer meant milliseconds.
    const FAR: u64 = 1000 * 366 * 24 * 60 * 60;
    match time(row, "expires_at") {
        Ok(Some(expires_at)) => expires_at > now.plus(FAR),
        Ok(None) => false,
        Err(Unreadable) => true,
    }
}

/// Adds a user's row to the marks.
pub(crate) fn add_user(marks: &mut Marks, row: &Row, now: UnixSeconds) {
    let disabled = match row.get("disabled") {
        None => Ok(false),
        Some(value) => value.as_bool().copied().map_err(|_| Unreadable),
    };
    let except_session = match row.get("except_session") {
        None => Ok(None),
        Some(value) => value.as_s().cloned().map(Some).map_err(|_| Unreadable),
    };
    let cutoffs = time(row, "not_before").and_then(|sessions| {
        let tokens = time(row, "tokens_not_before")?;
        Ok((sessions, tokens))
    });
    match (disabled, cutoffs, except_session) {
        // Nobody wrote this row.
        (Ok(false), Ok((None, None)), _) if !row.contains_key("status_at") => {
            marks.unreadable = true;
        }
        (Err(_), _, _) | (_, Err(_), _) | (_, _, Err(_)) => marks.unreadable = true,
        (Ok(disabled), Ok((not_before, tokens)), Ok(except_session)) => {
            marks.user_disabled = disabled;
            marks.tokens_not_before = tokens.filter(|_| !is_expired(row, now));
            // Disabling doesn't run out; a cutoff does, with the last token it could stop.
            marks.user_not_before =
                not_before
                    .filter(|_| !is_expired(row, now))
                    .map(|not_before| Cutoff {
                        not_before,
                        except_session,
                    });
        }
    }
}

/// The `not_before` of a client's or the issuer's row.
pub(crate) fn cutoff(row: &Row, now: UnixSeconds) -> Result<Option<UnixSeconds>, Unreadable> {
    match time(row, "not_before")? {
        None => Err(Unreadable),
        Some(_) if is_expired(row, now) => Ok(None),
        not_before => Ok(not_before),
    }
}

/// A time in whole seconds, as DynamoDB writes numbers.
pub(crate) fn time(row: &Row, name: &str) -> Result<Option<UnixSeconds>, Unreadable> {
    match row.get(name) {
        None => Ok(None),
        Some(AttributeValue::N(text)) => text
            .parse()
            .map(|seconds| Some(UnixSeconds(seconds)))
            .map_err(|_| Unreadable),
        Some(_) => Err(Unreadable),
    }
}
