//! Limits of failures: Cognito's own lockout does not cover users who are not migrated yet.

use auth::{Unavailable, UnixSeconds};
use auth_dynamodb::AttemptTable;
use aws_lc_rs::digest;
use hex::encode as hex;
use usernames::normalize;

use crate::outcome::NotMigratedError;

/// Seconds of the window in which failures are counted.
const FAILURE_WINDOW_SECONDS: u64 = 300;
/// The key of the count of all users' failures.
const ALL_USERS: &str = "migrate#everybody";

/// The table that counts failures, and the limits within a window.
pub(crate) struct Failures {
    pub(crate) table: AttemptTable,
    pub(crate) per_user: u64,
    pub(crate) in_all: u64,
}

impl Failures {
    /// Counts an attempt for the user and for all users. Returns a reason if one of the counts exceeds its limit.
    pub(crate) async fn limits_reached(
        &self,
        id: &str,
        now: UnixSeconds,
    ) -> Result<Option<NotMigratedError>, Unavailable> {
        let count = |id| self.table.count(id, FAILURE_WINDOW_SECONDS, now);
        if count(id).await? > self.per_user {
            return Ok(Some(NotMigratedError::TooManyFailures));
        }
        // Counted second, so that guesses at one name do not exhaust the limit of all users.
        if count(ALL_USERS).await? > self.in_all {
            return Ok(Some(NotMigratedError::TooManyFailuresInAll));
        }
        Ok(None)
    }

    /// Takes back the counts of an attempt, since only failures count. Without the table a success counts like a
    /// failure until the window ends, and the user is migrated all the same.
    pub(crate) async fn refund(&self, id: &str, now: UnixSeconds) {
        let refund = |id| self.table.refund(id, FAILURE_WINDOW_SECONDS, now);
        let _ = tokio::join!(refund(id), refund(ALL_USERS));
    }
}

/// The key of a user's count of failures: a hash, so that the table contains no names.
pub(crate) fn failure_id(user_pool_id: &str, username: &str, case_sensitive: bool) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(user_pool_id.as_bytes());
    hash.update(b"#");
    hash.update(normalize(username, case_sensitive).as_bytes());
    format!("migrate#{}", hex(hash.finish().as_ref()))
}
