//! Writes a revocation that could not be written when it was decided.

use auth::{
    Cause, Dependency, KeptSession, OtherSessions, RevocationContext, RevocationWriter,
    Unavailable, UnixSeconds, UserRef,
};
use auth_sqs::{LateRevocation, RetryQueue};
use runtime::sqs::Message;
use runtime::{clock, log};

use crate::LogoutRetry;
use crate::outcome::Outcome;

/// The queue of revocations that still cannot be written.
pub(crate) struct LateRevocations {
    pub(crate) url: String,
    pub(crate) queue: RetryQueue,
}

impl<R: RevocationWriter> LogoutRetry<R> {
    /// Writes the revocation; if that fails, moves it to the queue that keeps it for longer.
    pub(crate) async fn revoke(
        &self,
        revocation: &LateRevocation,
        message: &Message<'_>,
    ) -> Outcome {
        match (self.write(revocation).await, &self.late_revocations) {
            (Ok(()), _) => Outcome::Revoked,
            (Err(failed), Some(late)) if !message.is_from(&late.url) => {
                match late.queue.send(revocation).await {
                    Ok(()) => Outcome::PutOff(failed.cause),
                    Err(refused) => {
                        log::failure(auth_sqs::NOT_QUEUED, refused);
                        Outcome::Failed(failed.cause)
                    }
                }
            }
            (Err(failed), _) => Outcome::Failed(failed.cause),
        }
    }

    /// Writes a revocation as of its original time: later sign-ins stay valid.
    async fn write(&self, revocation: &LateRevocation) -> Result<(), Unavailable> {
        let revocations = self.revocations.as_ref();
        // The configuration has no table.
        let revocations =
            revocations.ok_or(Dependency::Revocations.unavailable(Cause::NotFound))?;
        let LateRevocation::RevokeSessions {
            subject,
            not_before,
            kept,
            changed_at,
            reason,
        } = revocation;
        let context = RevocationContext {
            reason,
            actor: subject,
            at: clock::now(),
            refresh_token_ttl_seconds: self.refresh_token_ttl_seconds,
        };
        let user = UserRef {
            issuer: &self.user_pool_id,
            subject,
        };
        let not_before = UnixSeconds(*not_before);
        if let Some(kept) = kept {
            let others = OtherSessions {
                not_before,
                kept: KeptSession {
                    session: &kept.session,
                    authenticated_at: UnixSeconds(kept.authenticated_at),
                },
                password_changed_at: changed_at.map(UnixSeconds),
            };
            let written = revocations.revoke_other_sessions(&user, &others, &context);
            // Not written: the kept session was revoked too, so there is nothing to keep.
            if written.await? {
                return Ok(());
            }
        }
        revocations
            .revoke_user_sessions(&user, not_before, &context)
            .await
    }
}
