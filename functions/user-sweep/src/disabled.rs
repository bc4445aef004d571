//! Users who are disabled in the pool without a revocation.

use std::collections::HashSet;
use std::time::Instant;

use auth::{Cause, RevocationWriter, Unavailable, UnixSeconds, UserRef};
use auth_cognito::{User, UserPoolError};
use auth_dynamodb::{Status, SweepState};
use runtime::clock;

use crate::outcome::Run;
use crate::report::log_malformed;
use crate::{PAUSE, SETTLED, UserSweep, locked_out};

/// The part of a run's time that is for what follows the disabled users: the other checks get theirs even if a pass
/// takes several runs.
const PART_FOR_THE_REST: u32 = 9;

impl UserSweep {
    pub(crate) async fn sweep(
        &self,
        state: &mut SweepState,
        until: Instant,
        request_id: &str,
    ) -> Result<Run, Unavailable> {
        let rest = self.limit / PART_FOR_THE_REST;
        let is_late = || Instant::now() + rest >= until;
        let mut run = Run::default();
        let mut disabled = HashSet::new();
        let is_whole = state.cursor.is_none();
        loop {
            if state.cursor.is_none() {
                state.began_at = Some(clock::now());
            }
            let page = match self.users.disabled(state.cursor.clone()).await {
                Ok(page) => page,
                Err(UserPoolError::Throttled) => return Ok(run),
                Err(error) if state.cursor.is_some() => {
                    // Cognito's pagination token has expired: the next run starts again.
                    state.cursor = None;
                    self.remember(state).await?;
                    return Err(error.into());
                }
                Err(error) => return Err(error.into()),
            };
            run.seen += u64::try_from(page.users.len()).unwrap_or(u64::MAX);
            self.write_missing(&page.users, &mut run, request_id)
                .await?;
            let users = page.users.into_iter().filter(|user| !user.enabled);
            disabled.extend(users.map(|user| user.subject));
            state.cursor = page.next;
            if state.cursor.is_none() {
                state.passed_at = state.began_at;
            }
            self.remember(state).await?;
            if state.cursor.is_none() {
                run.finished = true;
                break;
            }
            if is_late() {
                return Ok(run);
            }
            tokio::time::sleep(PAUSE).await;
        }
        if is_whole && locked_out::is_due(state, clock::now()) {
            let compared = self
                .let_in(&disabled, until.checked_sub(rest), request_id)
                .await?;
            run.enabled = compared.enabled;
            run.unreadable += compared.unreadable;
            run.finished = compared.is_whole;
            // Otherwise the next run repeats it.
            if compared.is_whole {
                state.compared_at = Some(clock::now());
                self.remember(state).await?;
            }
        }
        Ok(run)
    }

    async fn remember(&self, state: &SweepState) -> Result<(), Unavailable> {
        let pool = &self.user_pool_id;
        self.revocations.set_sweep_state(pool, state).await
    }

    /// Writes missing revocations of disabled users, and counts them. A user whose row is malformed is refused by it,
    /// and left to an operator: otherwise no run would get past this page.
    async fn write_missing(
        &self,
        users: &[User],
        run: &mut Run,
        request_id: &str,
    ) -> Result<(), Unavailable> {
        let targets: HashSet<UserRef<'_>> = users
            .iter()
            .map(|user| self.user_ref(&user.subject))
            .collect();
        let rows = self.revocations.user_rows(&targets).await?;
        // Protects enabled users if Cognito did not apply the filter.
        for user in users.iter().filter(|user| !user.enabled) {
            let target = self.user_ref(&user.subject);
            let row = match rows.get(&target) {
                Some(None) => {
                    run.unreadable += 1;
                    log_malformed(&target, request_id);
                    continue;
                }
                Some(Some(row)) if row.disabled => continue,
                row => row.and_then(Option::as_ref),
            };
            let now = clock::now();
            let enabled_at = row.and_then(|row| row.status_at);
            let at = disabled_at(UnixSeconds(user.modified_at), enabled_at, now);
            let context = self.context(now);
            match self.revocations.disable_user(&target, at, &context).await {
                // The row became malformed after it was read.
                Err(failed) if failed.cause == Cause::Invalid => {
                    run.unreadable += 1;
                    log_malformed(&target, request_id);
                    continue;
                }
                disabled => disabled?,
            }
            self.set_profile_status(&user.subject, Status::Disabled, at)
                .await?;
            run.written += 1;
        }
        Ok(())
    }
}

/// The time of the disabling of a user whom Cognito modified at `modified_at` and who was enabled
/// here at `enabled_at`. The table's clock may be ahead of Cognito's, and then an enabling seems
/// later than the disabling that followed it; one that is older than the delay of Cognito's list
/// is not.
fn disabled_at(
    modified_at: UnixSeconds,
    enabled_at: Option<UnixSeconds>,
    now: UnixSeconds,
) -> UnixSeconds {
    let settled = enabled_at.filter(|at| now.since(*at).is_some_and(|age| age >= SETTLED));
    settled
        .map_or(modified_at, |at| at.max(modified_at))
        .min(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disabling_follows_an_enabling_that_is_settled() {
        let now = UnixSeconds(1_000_000);
        let modified_at = now.0 - SETTLED - 10;
        let rows = [
            (None, modified_at),
            (Some(modified_at - 1), modified_at),
            // The enabling was written with a clock that is ahead.
            (Some(modified_at + 2), modified_at + 2),
            (Some(now.0 - SETTLED), now.0 - SETTLED),
            // Cognito's list may be older than the enabling.
            (Some(now.0 - SETTLED + 1), modified_at),
            (Some(now.0 + 5), modified_at),
        ];
        for (enabled_at, expected) in rows {
            let at = disabled_at(UnixSeconds(modified_at), enabled_at.map(UnixSeconds), now);
            assert_eq!(at, UnixSeconds(expected), "{enabled_at:?}");
        }
        assert_eq!(disabled_at(UnixSeconds(now.0 + 9), None, now), now);
    }
}
