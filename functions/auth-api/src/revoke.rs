//! Revokes a user's sessions in the table.

use std::time::Duration;

use api_gateway::Caller;
use auth::{
    Cause, KeptSession, OtherSessions, RevocationContext, RevocationWriter, Unavailable,
    UnixSeconds,
};
use auth_sessions::BrowserSessions;
use auth_sqs::{LateKeptSession, LateRevocation};
use runtime::{clock, log};
use tokio::time::timeout;

use crate::AuthApi;
use crate::outcome::ApiError;
use crate::signed_in::SignedIn;

/// The time for a message to the retry queue.
pub(crate) const QUEUE: Duration = Duration::from_millis(1_500);

impl<B: BrowserSessions> AuthApi<B> {
    /// Revokes all sessions but this one, in the table only: Cognito has no call that keeps one.
    pub(crate) async fn revoke_others(
        &self,
        user: &SignedIn,
        reason: &'static str,
    ) -> Result<(), ApiError> {
        let not_before = self
            .revoke_sessions(user, reason, user.caller.session.as_deref())
            .await?;
        // CloudTrail reports the calls to Cognito with a resolution of one second.
        clock::until_after(not_before.max(clock::now()).0).await;
        Ok(())
    }

    /// Writes the revocation. If that fails, it is queued and written later with the present time.
    pub(crate) async fn revoke_sessions(
        &self,
        user: &SignedIn,
        reason: &'static str,
        kept: Option<&str>,
    ) -> Result<UnixSeconds, ApiError> {
        let caller = &user.caller;
        let now = clock::now();
        let not_before = now.plus(self.config.leeway_seconds);
        let not_before = not_before.max(caller.authenticated_at);
        let kept = kept.map(|session| KeptSession {
            session,
            authenticated_at: caller.authenticated_at,
        });
        let context = RevocationContext {
            reason,
            actor: &caller.subject,
            at: now,
            refresh_token_ttl_seconds: self.config.refresh_token_ttl_seconds,
        };
        let written = self.write_revocation(caller, not_before, kept, &context);
        let Err(unavailable) = written.await else {
            return Ok(not_before);
        };
        if let Some(queue) = &self.retry_queue {
            let late = LateRevocation::RevokeSessions {
                subject: caller.subject.clone(),
                not_before: not_before.0,
                kept: kept.map(|kept| LateKeptSession {
                    session: kept.session.to_owned(),
                    authenticated_at: kept.authenticated_at.0,
                }),
                changed_at: None,
                reason: reason.to_owned(),
            };
            let sent = timeout(QUEUE, queue.send(&late)).await;
            was_queued(sent.unwrap_or(Err(Cause::Timeout)));
        }
        Err(ApiError::SessionsNotEnded(unavailable.cause))
    }

    async fn write_revocation(
        &self,
        caller: &Caller,
        not_before: UnixSeconds,
        kept: Option<KeptSession<'_>>,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let user = self.user_ref(&caller.subject);
        if let Some(kept) = kept {
            let others = OtherSessions {
                not_before,
                kept,
                password_changed_at: None,
            };
            let written = self
                .revocations
                .revoke_other_sessions(&user, &others, context)
                .await?;
            // Not written: this session was revoked in the meantime, so there is nothing to keep.
            if written {
                return Ok(());
            }
        }
        self.revocations
            .revoke_user_sessions(&user, not_before, context)
            .await
    }
}

/// Whether the queue accepted a task; a failure is logged.
pub(crate) fn was_queued(sent: Result<(), Cause>) -> bool {
    sent.inspect_err(|cause| log::failure(auth_sqs::NOT_QUEUED, *cause))
        .is_ok()
}
