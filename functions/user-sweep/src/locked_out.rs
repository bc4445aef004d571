//! Users who are disabled here although an operator has enabled them in the pool, by a call that no
//! event reported. Without this they would stay locked out.

use std::collections::HashSet;
use std::time::Instant;

use auth::{Cause, RevocationWriter, Unavailable, UnixSeconds};
use auth_cognito::UserPoolError;
use auth_dynamodb::{DisabledRow, Status, SweepState};
use runtime::clock;

use crate::report::log_malformed;
use crate::{PAUSE, SETTLED, SWEEP, UserSweep};

/// Seconds between two comparisons of the whole table.
const PERIOD: u64 = 24 * 60 * 60;
/// The actors that disable a user after Cognito did: if the pool has the user enabled, that
/// happened later. An administrator's own revocation precedes Cognito's call, which may have
/// failed.
const AFTER_COGNITO: [&str; 2] = ["cognito", SWEEP];
/// The number of users that one run looks up.
const ASKED: usize = 500;

/// Whether a day has passed since the rows were compared with the pool.
pub(crate) fn is_due(state: &SweepState, now: UnixSeconds) -> bool {
    let age = state.compared_at.and_then(|at| now.since(at));
    state.compared_at.is_none() || age.is_some_and(|age| age >= PERIOD)
}

/// Whether the pool may have enabled the user of this row: the user is not in the pool's list of
/// `disabled` users, and the row is older than the delay of that list.
fn is_candidate(row: &DisabledRow, disabled: &HashSet<String>, now: UnixSeconds) -> bool {
    AFTER_COGNITO.contains(&row.disabled_by.as_str())
        && now.since(row.status_at).is_some_and(|age| age >= SETTLED)
        && !disabled.contains(&row.subject)
}

/// The result of a comparison.
pub(crate) struct Compared {
    /// Users who were enabled here.
    pub(crate) enabled: u64,
    /// Users who could not be, because their rows are malformed.
    pub(crate) unreadable: u64,
    /// Whether there was time for all of it.
    pub(crate) is_whole: bool,
}

impl UserSweep {
    /// Enables users here who are enabled in the pool, and counts them. `disabled` are all users who are disabled in
    /// the pool.
    pub(crate) async fn let_in(
        &self,
        disabled: &HashSet<String>,
        until: Option<Instant>,
        request_id: &str,
    ) -> Result<Compared, Unavailable> {
        let mut compared = Compared {
            enabled: 0,
            unreadable: 0,
            is_whole: false,
        };
        let Some(until) = until else {
            return Ok(compared);
        };
        let scan = self.revocations.disabled_rows(&self.user_pool_id);
        let Ok(rows) = tokio::time::timeout_at(until.into(), scan).await else {
            return Ok(compared);
        };
        let rows = rows?;
        let candidates = rows
            .iter()
            .filter(|row| is_candidate(row, disabled, clock::now()))
            .take(ASKED);
        for row in candidates {
            if Instant::now() >= until {
                return Ok(compared);
            }
            match self.users.by_subject(&row.subject).await {
                Ok(user) if user.enabled => {
                    let target = self.user_ref(&row.subject);
                    // Later than the known disabling, earlier than one that is in progress.
                    let at = row.status_at.plus(1);
                    let context = self.context(clock::now());
                    match self.revocations.enable_user(&target, at, &context).await {
                        Err(failed) if failed.cause == Cause::Invalid => {
                            log_malformed(&target, request_id);
                            compared.unreadable += 1;
                            continue;
                        }
                        enabled => drop(enabled?),
                    }
                    self.set_profile_status(&row.subject, Status::Confirmed, at)
                        .await?;
                    compared.enabled += 1;
                }
                // Deleted since, or disabled again.
                Ok(_) | Err(UserPoolError::NotFound) => {}
                Err(UserPoolError::Throttled) => break,
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(PAUSE).await;
        }
        compared.is_whole = true;
        Ok(compared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_were_disabled_after_cognito_and_are_enabled_there() {
        let now = UnixSeconds(1_000_000);
        let disabled = HashSet::from(["still".to_owned()]);
        let rows = [
            ("gone", "cognito", SETTLED, true),
            ("gone", "sweep", SETTLED, true),
            ("gone", "cognito", SETTLED - 1, false),
            ("gone", "an-administrator", SETTLED, false),
            ("gone", "", SETTLED, false),
            ("still", "cognito", SETTLED, false),
        ];
        for (subject, disabled_by, age, expected) in rows {
            let row = DisabledRow {
                subject: subject.to_owned(),
                disabled_by: disabled_by.to_owned(),
                status_at: UnixSeconds(now.0 - age),
            };
            let found = is_candidate(&row, &disabled, now);
            assert_eq!(found, expected, "{subject} {disabled_by} {age}");
        }
        let state = |at: Option<u64>| SweepState {
            compared_at: at.map(UnixSeconds),
            ..SweepState::default()
        };
        assert!(is_due(&state(None), now));
        assert!(is_due(&state(Some(now.0 - PERIOD)), now));
        assert!(!is_due(&state(Some(now.0 - PERIOD + 1)), now));
    }
}
