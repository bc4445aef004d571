//! Revokes the caller's session, all sessions of the user, or all except the caller's.
//!
//! The revocation is written first; then Cognito is called, even if the write failed. If the refresh token is the
//! request's only credential, it is revoked only after the write succeeded: a repetition needs it.

use auth::{
    DenyReason, KeptSession, OtherSessions, RevocationContext, RevocationReader, RevocationWriter,
    Revocations, UnixSeconds, VerifiedClaims,
};
use auth_cognito::SignOutTask;
use auth_sessions::BrowserSessions;
use runtime::clock;

use crate::Logout;
use crate::outcome::{CognitoOutcome, Ended, LogoutError};
use crate::request::Request;

impl<R: RevocationReader + RevocationWriter, B: BrowserSessions> Logout<R, B> {
    pub(crate) async fn revoke_session(
        &self,
        claims: &VerifiedClaims,
        request: &Request,
    ) -> Result<CognitoOutcome, LogoutError> {
        let (user, context) = (claims.user_ref(), self.context(claims));
        let revocations = &self.revocations;
        let written = match (claims.session(), claims.token_id()) {
            (Some(session), _) => {
                let session = user.session(session);
                revocations.revoke_session(&session, &context).await
            }
            (None, Some(token)) => revocations.revoke_token(&user.token(token), &context).await,
            (None, None) => return Err(DenyReason::NoSession.into()),
        };
        if request.has_no_other_credential {
            written?;
        }
        let cognito = self
            .revoke_refresh_token(claims, request.refresh_token.as_ref())
            .await;
        written?;
        Ok(cognito)
    }

    /// [`Ended::Already`] if an earlier revocation covers the caller: a client that repeats the request,
    /// because the response was lost, does not revoke sessions that began since.
    pub(crate) async fn revoke_all(
        &self,
        claims: &VerifiedClaims,
        request: &Request,
    ) -> Result<(Ended, CognitoOutcome), LogoutError> {
        let now = clock::now();
        let revocations = self.revocations.revocations(claims, now).await?;
        let covered = revocations.user_not_before.as_ref().is_some_and(|user| {
            claims.authenticated_at() <= user.not_before && user.except_session.is_none()
        });
        if covered {
            // The earlier request may have ended between its write and its calls to Cognito. This call revokes the
            // caller's own session alone; a sign-out everywhere would revoke newer ones.
            let this_one = self
                .revoke_refresh_token(claims, request.refresh_token.as_ref())
                .await;
            return Ok((Ended::Already, this_one));
        }
        ensure_active(claims, &revocations, now)?;
        let not_before = self.not_before(claims);
        let written = self
            .revocations
            .revoke_user_sessions(&claims.user_ref(), not_before, &self.context(claims))
            .await;
        if request.has_no_other_credential {
            written?;
        }
        let username = claims.username().unwrap_or(claims.subject()).to_owned();
        let everywhere = SignOutTask::SignOutEverywhere { username };
        let everywhere = self.at_cognito(claims, &everywhere).await;
        let this_one = self
            .revoke_refresh_token(claims, request.refresh_token.as_ref())
            .await;
        written?;
        // CloudTrail's record of the call revokes sessions that began up to the second of the call.
        clock::until_after(not_before.max(clock::now()).0).await;
        let ended = Ended::Scope(request.scope);
        Ok((ended, everywhere.worse(this_one)))
    }

    /// Cognito has no call that keeps one session: the refresh tokens of the others stay valid
    /// there, and the authorizer refuses the tokens that they return.
    pub(crate) async fn revoke_others(
        &self,
        claims: &VerifiedClaims,
    ) -> Result<CognitoOutcome, LogoutError> {
        let now = clock::now();
        let session = claims.session().ok_or(DenyReason::NoSession)?;
        let revocations = self.revocations.revocations(claims, now).await?;
        ensure_active(claims, &revocations, now)?;
        let not_before = self.not_before(claims);
        let others = OtherSessions {
            not_before,
            kept: KeptSession {
                session,
                authenticated_at: claims.authenticated_at(),
            },
            password_changed_at: None,
        };
        let written = self
            .revocations
            .revoke_other_sessions(&claims.user_ref(), &others, &self.context(claims))
            .await?;
        if written {
            clock::until_after(not_before.0).await;
            Ok(CognitoOutcome::NotAsked)
        } else {
            // The caller's session was revoked after the read.
            Err(DenyReason::UserRevoked.into())
        }
    }

    /// The time up to which sessions are revoked. It includes the allowed clock difference to the
    /// issuer, and in any case the caller's own sign-in.
    fn not_before(&self, claims: &VerifiedClaims) -> UnixSeconds {
        let now = clock::now().plus(self.settings.leeway_seconds);
        now.max(claims.authenticated_at())
    }

    fn context<'a>(&self, claims: &'a VerifiedClaims) -> RevocationContext<'a> {
        RevocationContext {
            reason: "logout",
            actor: claims.subject(),
            at: clock::now(),
            refresh_token_ttl_seconds: self.settings.refresh_token_ttl_seconds,
        }
    }
}

/// Only a valid token may revoke other sessions: a leaked old token must not sign its user out of
/// newer sessions.
fn ensure_active(
    claims: &VerifiedClaims,
    revocations: &Revocations,
    now: UnixSeconds,
) -> Result<(), DenyReason> {
    revocations.check(claims)?;
    if claims.expires_at() <= now {
        return Err(DenyReason::Expired);
    }
    Ok(())
}
