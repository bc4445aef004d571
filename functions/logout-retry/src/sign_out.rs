//! Repeats a call to Cognito that failed during logout.

use auth::RevocationWriter;
use auth_cognito::SignOutTask;
use runtime::clock;

use crate::LogoutRetry;
use crate::outcome::Outcome;

impl<R: RevocationWriter> LogoutRetry<R> {
    pub(crate) async fn sign_out(&self, task: &SignOutTask) -> Outcome {
        let made = match self.cognito.execute(task).await {
            Ok(made) => made,
            Err(failed) => return Outcome::Failed(failed.cause),
        };
        let record_revokes = matches!(
            task,
            SignOutTask::RevokeRefreshToken {
                record_revokes: true,
                ..
            }
        );
        if let (Some(id), Some(revocations), false) =
            (&made.request_id, &self.revocations, record_revokes)
        {
            // Without this note CloudTrail's record of the call makes tokens outdated that a
            // refresh would replace.
            let _ = revocations
                .note_call(&self.user_pool_id, id, clock::now())
                .await;
        }
        made.outcome.into()
    }
}
