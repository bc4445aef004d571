//! `COOKIE_MODE=session`: the browser holds the id of a session, and its tokens stay in a table.

use std::time::Duration;

use api_gateway::http::{Request, Response};
use auth::{
    AuthError, Cause, DenyReason, Dependency, LARGEST_MAX_TOKEN_BYTES, Secret, UnixSeconds,
};
use auth_cognito::{AccountError, Tokens};
use auth_sessions::{
    BrowserSession, BrowserSessions, NewTokens, RefreshError, SealedSessions, SessionId,
};
use runtime::{clock, log};
use serde_json::{Map, Value};

use crate::AuthApi;
use crate::outcome::{Answer, ApiError, Outcome};
use crate::times::within_at_most;
use crate::tokens::UnverifiedSession;

/// Two attempts of a refresh fit into the lease of the session, and into the ten seconds for which Cognito accepts a
/// refresh token that it has replaced (`RetryGracePeriodSeconds` of the template).
const EXCHANGE: Duration = Duration::from_secs(3);
/// How long a refresh waits before it reads again what another one has done.
const POLL: Duration = Duration::from_millis(150);

/// The cookie, and the sessions behind it.
pub(crate) struct BrowserCookie<B> {
    pub(crate) name: String,
    pub(crate) sessions: SealedSessions<B>,
}

impl<B: BrowserSessions> BrowserCookie<B> {
    /// The access token of the request's session, or of its `Authorization` header; two of them are rejected.
    pub(crate) async fn token(&self, request: &Request<'_>) -> Result<String, AuthError> {
        let bearer = match request.token(None) {
            Err(DenyReason::MissingToken) => None,
            Ok(token) => Some(token),
            Err(reason) => return Err(reason.into()),
        };
        match (bearer, self.id(request)) {
            (bearer, Err(DenyReason::MissingToken)) => Ok(bearer.ok_or(DenyReason::MissingToken)?),
            (Some(_), _) => Err(DenyReason::AmbiguousToken.into()),
            (None, id) => {
                let found = self.sessions.find(&id?, clock::now()).await?;
                Ok(found.session.access_token.expose().to_owned())
            }
        }
    }

    /// Stores the tokens of a sign-in under a new id, which the cookie carries. The body has no token. An id that the
    /// browser had before is not reused: another person may know it (session fixation).
    pub(crate) async fn response(
        &self,
        tokens: &Tokens,
        body: Map<String, Value>,
        refresh_token_ttl_seconds: u64,
    ) -> Result<Response, ApiError> {
        fits(&tokens.access)?;
        let now = clock::now();
        let session = BrowserSession {
            access_token: Secret::new(tokens.access.clone()),
            refresh_token: tokens.refresh.clone().map(Secret::new),
            expires_at: now.plus(refresh_token_ttl_seconds),
        };
        let id = self.sessions.create(&session, now).await?;
        let response = answer(body, tokens.expires_in);
        Ok(response.with_lax_cookie(&self.name, id.expose(), refresh_token_ttl_seconds))
    }

    fn id(&self, request: &Request<'_>) -> Result<SessionId, DenyReason> {
        SessionId::parse(&request.cookie(&self.name)?)
    }

    /// Deletes a session that Cognito or the table of revocations refuses. If that fails, it stays refused.
    async fn delete(&self, id: &SessionId) {
        if let Err(unavailable) = self.sessions.delete(id).await {
            log::failure("could not delete the browser session", unavailable.cause);
        }
    }
}

/// The authorizer and logout refuse a longer token: the session could neither be used nor ended.
fn fits(access_token: &str) -> Result<(), ApiError> {
    if access_token.len() > LARGEST_MAX_TOKEN_BYTES {
        return Err(ApiError::TokenTooLarge);
    }
    Ok(())
}

fn answer(mut body: Map<String, Value>, expires_in: impl Into<Value>) -> Response {
    body.insert("expires_in".to_owned(), expires_in.into());
    Response::json(200, &Value::Object(body))
}

impl<B: BrowserSessions> AuthApi<B> {
    /// Exchanges the session's refresh token for new tokens, which replace the old ones in the table. The cookie stays
    /// the same, so a response that is lost loses nothing.
    pub(crate) async fn refresh_session(
        &self,
        cookie: &BrowserCookie<B>,
        http: &Request<'_>,
    ) -> Result<Answer, ApiError> {
        let Ok(id) = cookie.id(http) else {
            return Ok(self.session_refused(cookie));
        };
        let key = id.row_key();
        // An id cannot be guessed, and each tab of a browser may refresh at once.
        let counted = self
            .attempts
            .admit_often("refresh", key.as_str(), http)
            .await?;
        let pause = || tokio::time::sleep(POLL);
        let exchange = |refresh_token| self.exchange(refresh_token);
        let refreshed = cookie.sessions.refresh(&id, clock::now, pause, exchange);
        let session = match refreshed.await {
            Ok(session) => session,
            // Perhaps this process has not read a new key yet: then the session must not end.
            Err(RefreshError::Refused(DenyReason::UnreadableRevocation)) => {
                self.attempts.forgive(&counted).await;
                return Err(ApiError::Cognito(Outcome::InvalidCredentials));
            }
            Err(RefreshError::Refused(_)) => return Ok(self.session_refused(cookie)),
            // An outage must not use up the attempts of a page that repeats its request.
            Err(RefreshError::Unavailable(unavailable)) => {
                self.attempts.forgive(&counted).await;
                return Err(unavailable.into());
            }
            Err(RefreshError::Busy) => {
                self.attempts.forgive(&counted).await;
                return Err(Dependency::BrowserSessions
                    .unavailable(Cause::Timeout)
                    .into());
            }
            Err(RefreshError::Exchange(refused, session)) => {
                if refused.is_about_secret() {
                    self.attempts.forgive(&counted).await;
                }
                self.session_not_refreshed(&refused, &session).await?;
                cookie.delete(&id).await;
                return Ok(self.session_refused(cookie));
            }
            Err(RefreshError::Deleted(new)) => {
                if let Some(refresh_token) = &new.refresh_token {
                    self.revoke(refresh_token).await;
                }
                return Ok(self.session_refused(cookie));
            }
        };
        if let Err(problem) = fits(session.access_token.expose()) {
            if let Some(refresh_token) = &session.refresh_token {
                self.revoke(refresh_token).await;
            }
            cookie.delete(&id).await;
            return Ok(self.without_cookie(problem, cookie));
        }
        // Cognito may not know yet that the session was revoked.
        let access = UnverifiedSession::of(session.access_token.expose());
        let access = access.ok_or(Dependency::Cognito.unavailable(Cause::Invalid))?;
        if self.is_revoked(&access).await? {
            if let Some(refresh_token) = &session.refresh_token {
                self.revoke(refresh_token).await;
            }
            cookie.delete(&id).await;
            return Ok(self.session_refused(cookie));
        }
        self.attempts.forgive(&counted).await;
        let left = UnixSeconds(access.exp).since(clock::now());
        Ok(answer(Map::new(), left.unwrap_or(0)).into())
    }

    /// Calls Cognito, and once more if it does not respond.
    async fn exchange(&self, refresh_token: Secret) -> Result<NewTokens, AccountError> {
        let first = within_at_most(EXCHANGE, self.accounts.refresh(&refresh_token)).await;
        let tokens = match first {
            Err(refused) if refused.exception.is_none() => {
                within_at_most(EXCHANGE, self.accounts.refresh(&refresh_token)).await
            }
            result => result,
        }?;
        Ok(NewTokens {
            access_token: Secret::new(tokens.access),
            refresh_token: tokens.refresh.map(Secret::new),
        })
    }

    /// `Ok` if Cognito refuses the session for good.
    async fn session_not_refreshed(
        &self,
        refused: &AccountError,
        session: &BrowserSession,
    ) -> Result<(), ApiError> {
        let outcome = Outcome::from(refused);
        if !matches!(outcome, Outcome::InvalidCredentials | Outcome::BadRequest) {
            return Err(ApiError::of_call(outcome, refused));
        }
        let is_reuse = refused.exception.as_deref() == Some("RefreshTokenReuseException");
        if let (true, Some(refresh_token)) = (is_reuse, &session.refresh_token) {
            let access_token = session.access_token.expose();
            self.revoke_stolen_session(refresh_token, Some(access_token))
                .await?;
        }
        Ok(())
    }

    /// Responds 401 and deletes the cookie.
    fn session_refused(&self, cookie: &BrowserCookie<B>) -> Answer {
        self.without_cookie(ApiError::Cognito(Outcome::InvalidCredentials), cookie)
    }

    fn without_cookie(&self, problem: ApiError, cookie: &BrowserCookie<B>) -> Answer {
        let response = problem.response(&self.config.password_policy);
        Answer::of(problem, response.with_lax_cookie(&cookie.name, "", 0))
    }
}
