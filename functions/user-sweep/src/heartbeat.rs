//! The call that proves that a trail exists.

use runtime::log::{self, Level};
use serde_json::Value;

use crate::UserSweep;

impl UserSweep {
    /// Makes the call that CloudTrail reports to user-events: an alarm rings when no record
    /// arrives.
    pub(crate) async fn beat(&self, request_id: &str) {
        if let Some(arn) = &self.user_pool_arn
            && self.users.heartbeat(arn).await.is_err()
        {
            let fields = [("request_id", Value::from(request_id))];
            log::line(
                Level::Error,
                "could not make the call that proves a trail",
                fields,
            );
        }
    }
}
