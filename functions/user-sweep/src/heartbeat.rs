//! The call that proves that a trail exists.

use auth::Unavailable;
use runtime::log;

use crate::UserSweep;

impl UserSweep {
    /// Makes the call that CloudTrail reports to user-events: an alarm rings when no record
    /// arrives.
    pub(crate) async fn beat(&self) {
        if let Some(arn) = &self.user_pool_arn
            && let Err(error) = self.users.heartbeat(arn).await
        {
            let cause = Unavailable::from(error).cause;
            log::failure("could not make the call that proves a trail", cause);
        }
    }
}
