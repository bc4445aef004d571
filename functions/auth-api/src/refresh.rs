//! New tokens for a refresh token.

use api_gateway::http::{RefreshCookie, Request, RequestError};
use auth::{
    AuthError, Cause, Dependency, KeySource, LARGEST_MAX_TOKEN_BYTES, RevocationContext,
    RevocationWriter, Unavailable, UnverifiedToken, VerifiedClaims,
};
use auth_cognito::{AccountError, Tokens};
use auth_dynamodb::ClientUser;
use auth_sessions::BrowserSessions;
use runtime::clock;
use serde_json::Map;

use crate::body::Refresh;
use crate::outcome::{Answer, ApiError, Outcome};
use crate::times::within;
use crate::tokens::{self, UnverifiedSession};
use crate::{AuthApi, Secret, fields};

impl<B: BrowserSessions> AuthApi<B> {
    /// Exchanges a refresh token for new tokens, unless its session was revoked in the table:
    /// Cognito may not know yet.
    pub(crate) async fn refresh(&self, http: &Request<'_>) -> Result<Answer, ApiError> {
        let body: Refresh = http.json()?;
        if let Some(cookie) = &self.browser_cookie {
            // The browser never has a refresh token.
            return match body.refresh_token {
                None => self.refresh_session(cookie, http).await,
                Some(_) => Err(RequestError::Malformed.into()),
            };
        }
        let cookies = self.config.cookies.as_ref();
        let cookie = cookies.and_then(|cookies| RefreshCookie(&cookies.refresh).read(http).ok());
        let refresh_token = match (body.refresh_token, cookie) {
            (Some(token), None) => token,
            (None, Some(token)) => Secret::new(token),
            (None, None) if cookies.is_some() => return Ok(self.refresh_refused(http)),
            _ => return Err(RequestError::Malformed.into()),
        };
        if fields::token(refresh_token.expose()).is_err() {
            return Ok(self.refresh_refused(http));
        }
        let counted = self
            .attempts
            .admit("refresh", refresh_token.expose(), http)
            .await?;
        let refreshed = within(self.accounts.refresh(&refresh_token)).await;
        let tokens = match self.attempts.judged(&counted, refreshed).await {
            Ok(tokens) => tokens,
            Err(refused) => return self.not_refreshed(&refused, &refresh_token, http).await,
        };
        let Some(session) = UnverifiedSession::of(&tokens.access) else {
            let unreadable = Dependency::Cognito.unavailable(Cause::Invalid);
            return self.refresh_unfinished(unreadable, &tokens, http);
        };
        let is_revoked = match self.is_revoked(&session).await {
            Ok(is_revoked) => is_revoked,
            Err(unavailable) => return self.refresh_unfinished(unavailable, &tokens, http),
        };
        if is_revoked {
            // The new tokens are refused in any case, even if the call to Cognito fails.
            self.revoke(&refresh_token).await;
            return Ok(self.refresh_refused(http));
        }
        self.attempts.forgive(&counted).await;
        let response = self.response(&tokens, Map::new(), http).await;
        if let Err(problem) = response {
            // The client has no token left that could revoke the session.
            let replaced = tokens.refresh.clone().map(Secret::new);
            self.revoke(replaced.as_ref().unwrap_or(&refresh_token))
                .await;
            let response = problem.response(&self.config.password_policy);
            let response = tokens::without_cookies(response, cookies, http);
            return Ok(Answer::of(problem, response));
        }
        Ok(response?.into())
    }

    /// Whether the table has a revocation of the session, which Cognito may not know yet.
    pub(crate) async fn is_revoked(
        &self,
        session: &UnverifiedSession,
    ) -> Result<bool, Unavailable> {
        let owner = ClientUser {
            user: self.user_ref(&session.sub),
            client_id: &self.config.app_client_id,
        };
        let (id, since) = (session.origin_jti.as_deref(), session.authenticated_at());
        let revocations = self
            .revocations
            .revocations_of_session(&owner, id, clock::now())
            .await?;
        let checked = revocations.check_session(id, since, session.issued_at());
        Ok(checked.is_err())
    }

    /// The revocations could not be read, so no access token is returned. A refresh token that has
    /// replaced the client's is returned, because Cognito would take the old one for a stolen one
    /// at its next use; it gives no more access than the old one did.
    fn refresh_unfinished(
        &self,
        unavailable: Unavailable,
        tokens: &Tokens,
        http: &Request<'_>,
    ) -> Result<Answer, ApiError> {
        let problem = ApiError::from(unavailable);
        let Some(refresh) = &tokens.refresh else {
            return Err(problem);
        };
        let response = problem.response(&self.config.password_policy);
        let response = match &self.config.cookies {
            None => response.with_member("refresh_token", refresh),
            Some(cookies) => {
                let ttl = self.config.refresh_token_ttl_seconds;
                tokens::with_refresh_cookie(response, refresh, (cookies, http), ttl)?
            }
        };
        Ok(Answer::of(problem, response))
    }

    async fn not_refreshed(
        &self,
        refused: &AccountError,
        refresh_token: &Secret,
        http: &Request<'_>,
    ) -> Result<Answer, ApiError> {
        let is_reuse = refused.exception.as_deref() == Some("RefreshTokenReuseException");
        let outcome = Outcome::from(refused);
        if !matches!(outcome, Outcome::InvalidCredentials | Outcome::BadRequest) {
            return Err(ApiError::of_call(outcome, refused));
        }
        if is_reuse {
            let cookie = self.config.cookies.as_ref();
            let token = http.token(cookie.map(|cookies| cookies.access.as_str()));
            self.revoke_stolen_session(refresh_token, token.ok().as_deref())
                .await?;
        }
        Ok(self.refresh_refused(http))
    }

    /// A refresh token was used twice, so one of the two holders is a thief. Cognito revokes the
    /// session; the table does too, if there is an access token of the session, expired or not.
    pub(crate) async fn revoke_stolen_session(
        &self,
        refresh_token: &Secret,
        access_token: Option<&str>,
    ) -> Result<(), ApiError> {
        self.revoke(refresh_token).await;
        let Some(token) = access_token else {
            return Ok(());
        };
        let claims = match self.verify(token).await {
            Ok(claims) => claims,
            // A token of another session, or no token.
            Err(AuthError::Unauthorized(_)) => return Ok(()),
            Err(AuthError::Unavailable(unavailable)) => return Err(unavailable.into()),
        };
        let Some(session) = claims.session() else {
            return Ok(());
        };
        let session = claims.user_ref().session(session);
        let context = RevocationContext {
            reason: "refresh_token_reuse",
            actor: claims.subject(),
            at: clock::now(),
            refresh_token_ttl_seconds: self.config.refresh_token_ttl_seconds,
        };
        Ok(self.revocations.revoke_session(&session, &context).await?)
    }

    /// Verifies an access token of this pool on a route without an authorizer.
    async fn verify(&self, token: &str) -> Result<VerifiedClaims, AuthError> {
        let token = UnverifiedToken::parse_within(token, LARGEST_MAX_TOKEN_BYTES)?;
        let issuer = self.verifier.issuer_of(&token)?;
        let kid = token.unverified_kid();
        let key = self.keys.key_for(issuer, kid, clock::now()).await?;
        Ok(self.verifier.verify(token, issuer, &key, clock::now())?)
    }

    /// Responds 401 and deletes the browser's invalid cookies.
    fn refresh_refused(&self, http: &Request<'_>) -> Answer {
        let refused = ApiError::Cognito(Outcome::InvalidCredentials);
        let response = refused.response(&self.config.password_policy);
        let cookies = self.config.cookies.as_ref();
        Answer::of(refused, tokens::without_cookies(response, cookies, http))
    }
}
