//! One event: the limits on wrong passwords, the decision, and the groups that it leaves.

use auth::Unavailable;
use runtime::clock;
use tokio::time::Instant;

use crate::MigrateUser;
use crate::event::Event;
use crate::failures::failure_id;
use crate::groups::leave_groups;
use crate::outcome::{MigrateError, NotMigratedError, Outcome};

impl MigrateUser {
    pub(crate) async fn migrate(&self, event: &Event<'_>) -> Result<Outcome, Unavailable> {
        let began = Instant::now();
        let Some(occasion) = event.occasion() else {
            return Ok(Outcome::NotMigrated(NotMigratedError::NothingToDo));
        };
        let (Some(username), Ok(password)) = (event.username(), event.password(occasion)) else {
            return Ok(Outcome::NotMigrated(NotMigratedError::Malformed));
        };
        let user_pool_id = event.user_pool_id();
        let case_sensitive = self.decision.rules.case_sensitive;
        let id = failure_id(&user_pool_id, &username, case_sensitive);
        let now = clock::now();
        // Counted before the password is checked, so that concurrent guesses count too.
        if let Some(failures) = &self.failures
            && let Some(reason) = failures.limits_reached(&id, now).await?
        {
            return Ok(Outcome::NotMigrated(reason));
        }
        let decided = self.decision.decide(&username, password.as_ref()).await;
        if let Some(failures) = &self.failures
            && !matches!(decided, Err(MigrateError::NotMigrated(_)))
        {
            failures.refund(&id, now).await;
        }
        match decided {
            Ok(moved) => {
                let groups = self.pending_groups.as_ref();
                leave_groups(
                    groups,
                    &user_pool_id,
                    &username,
                    &moved,
                    case_sensitive,
                    now,
                )
                .await?;
                Ok(Outcome::Migrated(moved))
            }
            Err(MigrateError::NotMigrated(reason)) => {
                tokio::time::sleep_until(self.refusals.moment(began)).await;
                Ok(Outcome::NotMigrated(reason))
            }
            Err(MigrateError::Unavailable(unavailable)) => Err(unavailable),
        }
    }
}
