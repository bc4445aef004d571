//! The session behind the browser's cookie: its tokens are in a table.

use api_gateway::http;
use auth::{AuthError, DenyReason, RevocationReader, RevocationWriter};
use auth_sessions::{BrowserSession, BrowserSessions, SessionId};
use runtime::{Audit, clock, log};

use crate::Logout;
use crate::outcome::{Ended, LogoutError, LogoutOutcome};
use crate::request::{RefreshToken, Request, Scope};

/// The session that a request's cookie names.
pub(crate) enum OfBrowser {
    /// The request has no such cookie.
    None,
    /// The session has expired, or a logout has deleted it after its revocation.
    Over,
    /// The session.
    Session(SessionId, Box<BrowserSession>),
}

impl<R: RevocationReader + RevocationWriter, B: BrowserSessions> Logout<R, B> {
    /// Reads the session of the request's cookie. A token in `Authorization` besides it is rejected.
    pub(crate) async fn browser_session(
        &self,
        event: &http::Request<'_>,
    ) -> Result<OfBrowser, LogoutError> {
        let cookie = self.settings.cookies.session.as_deref();
        let Some((sessions, cookie)) = self.browser_sessions.as_ref().zip(cookie) else {
            return Ok(OfBrowser::None);
        };
        let id = match event.cookie(cookie) {
            Err(DenyReason::MissingToken) => return Ok(OfBrowser::None),
            text => SessionId::parse(&text?)?,
        };
        if event.header("authorization").err() != Some(DenyReason::MissingToken) {
            return Err(DenyReason::AmbiguousToken.into());
        }
        match sessions.find(&id, clock::now()).await {
            Ok(found) => Ok(OfBrowser::Session(id, Box::new(found.session))),
            Err(AuthError::Unauthorized(DenyReason::UnknownSession)) => Ok(OfBrowser::Over),
            Err(error) => Err(error.into()),
        }
    }

    /// Revokes by the session's tokens, then deletes the session. If that fails, its tokens stay revoked.
    pub(crate) async fn end_browser_session(
        &self,
        event: &http::Request<'_>,
        id: &SessionId,
        session: BrowserSession,
        audit: &mut Option<Audit<'static>>,
    ) -> Result<LogoutOutcome, LogoutError> {
        let refresh_token = session.refresh_token.as_ref();
        let refresh_token = refresh_token.map(|text| RefreshToken(text.expose().to_owned()));
        let access_token = session.access_token.expose();
        let request = |mut request: Request| {
            // A browser has no refresh token that it could send.
            request.refresh_token = refresh_token;
            request
        };
        let outcome = self.revoke_by_token(event, access_token, request, audit);
        let outcome = outcome.await?;
        if outcome.ended != Ended::Scope(Scope::Others)
            && let Some(sessions) = &self.browser_sessions
            && let Err(unavailable) = sessions.delete(id).await
        {
            log::failure("could not delete the browser session", unavailable.cause);
        }
        Ok(outcome)
    }
}
