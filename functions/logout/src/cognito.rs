//! Ends sessions at Cognito, and queues calls that failed.

use auth::VerifiedClaims;
use auth_cognito::{SignOut, SignOutTask};

use crate::outcome::CognitoOutcome;
use crate::request::RefreshToken;
use crate::{Logout, now};

impl Logout {
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
        };
        self.at_cognito(claims, &task).await
    }

    /// Makes the call; queues a failed call if a queue is configured.
    pub(crate) async fn at_cognito(
        &self,
        claims: &VerifiedClaims,
        task: &SignOutTask,
    ) -> CognitoOutcome {
        match (self.cognito.execute(task).await, &self.retry_queue) {
            (Ok(made), _) => {
                if let Some(id) = &made.request_id {
                    // Without the note CloudTrail's record of the call outdates the user's other tokens
                    // too, and a refresh brings new ones.
                    let noted = self.revocations.note_call(claims.issuer_id(), id, now());
                    let _ = noted.await;
                }
                match made.outcome {
                    SignOut::Done => CognitoOutcome::Ended,
                    SignOut::Unsupported => CognitoOutcome::Unsupported,
                    SignOut::Refused => CognitoOutcome::Refused,
                }
            }
            (Err(_), Some(queue)) if queue.send(task).await => CognitoOutcome::Queued,
            (Err(_), _) => CognitoOutcome::Failed,
        }
    }
}
