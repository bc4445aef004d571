//! Repeats a call to Cognito that failed during logout.

use auth::RevocationWriter;
use auth_cognito::SignOutTask;
use runtime::{clock, log};

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
        match task.next() {
            None => made.outcome.into(),
            Some(next) => self.go_on_with(&next).await,
        }
    }

    /// Makes the next call. A failed one becomes a message of its own, because this message would repeat the first call.
    async fn go_on_with(&self, next: &SignOutTask) -> Outcome {
        let failed = match self.cognito.execute(next).await {
            Ok(made) => return made.outcome.into(),
            Err(failed) => failed.cause,
        };
        match &self.retry_queue {
            None => Outcome::Failed(failed),
            Some(queue) => match queue.send(next).await {
                Ok(()) => Outcome::Queued(failed),
                Err(refused) => {
                    log::failure(auth_sqs::NOT_QUEUED, refused);
                    Outcome::Failed(failed)
                }
            },
        }
    }
}
