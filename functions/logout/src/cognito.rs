//! Ends sessions at Cognito, and queues calls that failed.

use auth::{Cause, RevocationReader, RevocationWriter, VerifiedClaims};
use auth_cognito::{SignOut, SignOutTask};
use auth_sessions::BrowserSessions;

use runtime::{clock, log};

use crate::Logout;
use crate::outcome::CognitoOutcome;
use crate::request::RefreshToken;

impl<R: RevocationReader + RevocationWriter, B: BrowserSessions> Logout<R, B> {
    /// Revokes the refresh token at Cognito, if the client sent it.
    pub(crate) async fn revoke_refresh_token(
        &self,
        claims: &VerifiedClaims,
        refresh_token: Option<&RefreshToken>,
    ) -> CognitoOutcome {
        let Some(RefreshToken(token)) = refresh_token else {
            return CognitoOutcome::NotAsked;
        };
        let task = SignOutTask::RevokeRefreshToken {
            client_id: claims.client_id().to_owned(),
            refresh_token: token.clone(),
            with_secret: self.settings.client_with_secret.as_deref() == Some(claims.client_id()),
            record_revokes: false,
        };
        self.at_cognito(claims, &task).await
    }

    /// Queues a call that failed because of `cause`.
    async fn queue(&self, task: &SignOutTask, cause: Cause) -> CognitoOutcome {
        let Some(queue) = &self.retry_queue else {
            return CognitoOutcome::Failed(cause);
        };
        match queue.send(task).await {
            Ok(()) => CognitoOutcome::Queued(cause),
            Err(refused) => {
                log::failure(auth_sqs::NOT_QUEUED, refused);
                CognitoOutcome::Failed(cause)
            }
        }
    }

    /// Makes the call; queues a failed call if a queue is configured.
    pub(crate) async fn at_cognito(
        &self,
        claims: &VerifiedClaims,
        task: &SignOutTask,
    ) -> CognitoOutcome {
        match self.cognito.execute(task).await {
            Ok(made) => {
                if let Some(id) = &made.request_id {
                    // Without the note CloudTrail's record of the call outdates the user's other tokens
                    // too, and a refresh brings new ones.
                    let noted = self
                        .revocations
                        .note_call(claims.issuer_id(), id, clock::now());
                    let _ = noted.await;
                }
                match made.outcome {
                    SignOut::Done => CognitoOutcome::Ended,
                    SignOut::Unsupported => CognitoOutcome::Unsupported,
                    SignOut::Refused => CognitoOutcome::Refused,
                }
            }
            Err(unavailable) => self.queue(task, unavailable.cause).await,
        }
    }
}
