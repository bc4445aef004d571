//! A password reset revokes all earlier sessions, here and at Cognito.
//!
//! The APIs behind the authorizer check the revocation. The sign-out at Cognito revokes the refresh tokens and
//! makes Cognito's public API, which can change the account's address and authenticator, reject the access tokens.

use std::time::Duration;

use auth::{Cause, RevocationContext, RevocationWriter, Unavailable, UnixSeconds, UserRef};
use auth_cognito::{CognitoSignOut, SignOutTask};
use auth_sqs::{LateRevocation, RetryQueue};
use aws_types::SdkConfig;
use runtime::{clock, log};
use serde::Serialize;
use tokio::time::timeout;

use crate::outcome::Outcome;
use crate::user::User;

/// Cognito waits for 5 s in all. The revocation takes 0.8 s at most, the sign-out runs beside it
/// for at most this long, and the queue follows both.
const SIGN_OUT: Duration = Duration::from_millis(1_800);
const QUEUE: Duration = Duration::from_secs(1);

/// The revocation's reason, for the operator.
const REASON: &str = "password_reset";

/// What a password reset needs.
pub(crate) struct PasswordReset<R> {
    pub(crate) sdk: SdkConfig,
    pub(crate) revocations: R,
    pub(crate) retry_queue: Option<RetryQueue>,
    pub(crate) refresh_token_ttl_seconds: u64,
    pub(crate) leeway_seconds: u64,
}

/// A revocation that could not be written now, and must be written later.
struct NotWrittenError {
    unavailable: Unavailable,
    late: LateRevocation,
}

impl<R: RevocationWriter> PasswordReset<R> {
    /// Writes the revocation and signs the user out at the same time; what fails is queued. Only
    /// the revocation decides the result: without it our APIs still accept the old sessions.
    pub(crate) async fn revoke_sessions(&self, user: &User) -> Result<Outcome, Unavailable> {
        let (revoked, signed_out) = tokio::join!(self.revoke(user), self.sign_out(user));
        // CloudTrail records the sign-out too, and the revocation for that record covers its whole
        // second.
        let second = clock::now();
        let everywhere = SignOutTask::SignOutEverywhere {
            username: user.username.clone(),
        };
        let sign_out_later = async { signed_out.is_err() && self.send_later(&everywhere).await };
        let not_before = match revoked {
            Ok(not_before) => not_before,
            Err(NotWrittenError { unavailable, late }) => {
                tokio::join!(sign_out_later, self.send_later(&late));
                return Err(unavailable);
            }
        };
        let outcome = match (signed_out, sign_out_later.await) {
            (Ok(()), _) => Outcome::SessionsEnded,
            (Err(cause), true) => Outcome::SignOutQueued(cause),
            (Err(cause), false) => Outcome::SignOutFailed(cause),
        };
        // After a reset the user signs in, and that new session must not be covered by the
        // revocation.
        clock::until_after(not_before.max(second).0).await;
        Ok(outcome)
    }

    async fn revoke(&self, user: &User) -> Result<UnixSeconds, NotWrittenError> {
        let subject = &user.subject;
        let now = clock::now();
        let not_before = now.plus(self.leeway_seconds);
        let context = RevocationContext {
            reason: REASON,
            actor: subject,
            at: now,
            refresh_token_ttl_seconds: self.refresh_token_ttl_seconds,
        };
        let revoked = UserRef {
            issuer: &user.user_pool_id,
            subject,
        };
        let revocations = &self.revocations;
        let written = revocations.revoke_user_sessions(&revoked, not_before, &context);
        written.await.map(|()| not_before).map_err(|unavailable| {
            let late = LateRevocation::RevokeSessions {
                subject: subject.clone(),
                not_before: not_before.0,
                kept: None,
                changed_at: None,
                reason: REASON.to_owned(),
            };
            NotWrittenError { unavailable, late }
        })
    }

    /// `AdminUserGlobalSignOut`, in the pool and for the user of the event.
    async fn sign_out(&self, user: &User) -> Result<(), Cause> {
        let cognito = CognitoSignOut::new(&self.sdk, user.user_pool_id.clone());
        let signed_out = timeout(SIGN_OUT, cognito.sign_out_everywhere(&user.username)).await;
        match signed_out {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(unavailable)) => Err(unavailable.cause),
            Err(_) => Err(Cause::Timeout),
        }
    }

    async fn send_later(&self, task: &impl Serialize) -> bool {
        let Some(queue) = &self.retry_queue else {
            return false;
        };
        let sent = timeout(QUEUE, queue.send(task)).await;
        match sent.unwrap_or(Err(Cause::Timeout)) {
            Ok(()) => true,
            Err(cause) => {
                log::failure(auth_sqs::NOT_QUEUED, cause);
                false
            }
        }
    }
}
