//! Identifies the session, by its token or by its refresh token, and signs it out.

use api_gateway::http;
use auth::{
    Cause, DenyReason, Dependency, KeySource, LARGEST_MAX_TOKEN_BYTES, Principal, RevocationReader,
    RevocationWriter, Secret, TokenRules, UnverifiedToken, VerifiedClaims,
};
use auth_sessions::BrowserSessions;
use runtime::{Audit, clock};

use crate::browser_session::OfBrowser;
use crate::outcome::{CognitoOutcome, Ended, LogoutError, LogoutOutcome};
use crate::request::{self, RefreshToken, Request, Scope};
use crate::{Config, Logout};

/// The requirements for the token of a logout.
pub(crate) fn token_rules(config: &Config) -> TokenRules {
    TokenRules::of_logout(config.leeway_seconds, config.refresh_token_ttl_seconds)
}

/// The act of a known caller: what an unknown client tries is no act.
fn act(claims: &VerifiedClaims, scope: Scope) -> Audit<'static> {
    let mut audit = Audit::new("logout", "");
    audit.act(match scope {
        Scope::Session => "log_out",
        Scope::All => "log_out_everywhere",
        Scope::Others => "log_out_others",
    });
    audit.own_act(claims);
    audit
}

impl<R: RevocationReader + RevocationWriter, B: BrowserSessions> Logout<R, B> {
    /// Sets `kept` to the refresh token that the browser needs from now on, if it is another one.
    pub(crate) async fn log_out(
        &self,
        event: &http::Request<'_>,
        audit: &mut Option<Audit<'static>>,
        kept: &mut Option<RefreshToken>,
    ) -> Result<LogoutOutcome, LogoutError> {
        if event.method() != "POST" {
            return Err(LogoutError::MethodNotAllowed);
        }
        if request::is_from_elsewhere(event, &self.settings.allowed_origins) {
            return Err(LogoutError::ForeignOrigin);
        }
        match self.browser_session(event).await? {
            OfBrowser::None => {}
            OfBrowser::Over => {
                // Without its tokens, the user of the other sessions is unknown.
                if event.json::<Request>()?.scope != Scope::Session {
                    return Err(DenyReason::UnknownSession.into());
                }
                return Ok(LogoutOutcome {
                    ended: Ended::Already,
                    cognito: CognitoOutcome::NotAsked,
                    logout_url: None,
                });
            }
            OfBrowser::Session(id, session) => {
                return self.end_browser_session(event, &id, *session, audit).await;
            }
        }
        let cookie = request::refresh_cookie(event, &self.settings.cookies);
        let bearer = match (
            event.token(self.settings.cookies.access.as_deref()),
            &cookie,
        ) {
            (Ok(bearer), _) => bearer,
            (Err(DenyReason::MissingToken), Some(refresh_token)) => {
                let request = event.json()?;
                return self
                    .revoke_by_refresh_token(refresh_token, request, audit, kept)
                    .await;
            }
            (Err(reason), _) => return Err(reason.into()),
        };
        let request = |mut request: Request| {
            request.refresh_token = request.refresh_token.or(cookie);
            request
        };
        self.revoke_by_token(event, &bearer, request, audit).await
    }

    /// Revokes what the request's scope says, for the user of this token. `completed` adds the refresh token that the
    /// browser does not put into the body.
    pub(crate) async fn revoke_by_token(
        &self,
        event: &http::Request<'_>,
        bearer: &str,
        completed: impl FnOnce(Request) -> Request + Send,
        audit: &mut Option<Audit<'static>>,
    ) -> Result<LogoutOutcome, LogoutError> {
        let claims = self.caller(bearer).await?;
        if claims.principal() != Principal::User {
            return Err(LogoutError::NoUser);
        }
        self.revoke_scope(&claims, &completed(event.json()?), audit)
            .await
    }

    async fn revoke_scope(
        &self,
        claims: &VerifiedClaims,
        request: &Request,
        audit: &mut Option<Audit<'static>>,
    ) -> Result<LogoutOutcome, LogoutError> {
        *audit = Some(act(claims, request.scope));
        let all_of_scope = Ended::Scope(request.scope);
        let (ended, cognito) = match request.scope {
            Scope::Session => (all_of_scope, self.revoke_session(claims, request).await?),
            Scope::All => self.revoke_all(claims, request).await?,
            Scope::Others => (all_of_scope, self.revoke_others(claims).await?),
        };
        Ok(LogoutOutcome {
            ended,
            cognito,
            logout_url: self.logout_url(claims, request.scope),
        })
    }

    /// Verifies a token, which may be expired or revoked.
    async fn caller(&self, bearer: &str) -> Result<VerifiedClaims, LogoutError> {
        let token = UnverifiedToken::parse_within(bearer, LARGEST_MAX_TOKEN_BYTES)?;
        let issuer = self.verifier.issuer_of(&token)?;
        let key = self
            .keys
            .key_for(issuer, token.unverified_kid(), clock::now())
            .await?;
        Ok(self.verifier.verify(token, issuer, &key, clock::now())?)
    }

    /// For a request with the refresh token's cookie only. A refresh returns a token that names the
    /// session, by which the request's scope is revoked in the table and at Cognito. Without a usable
    /// response from Cognito the logout fails and the browser keeps the cookie.
    async fn revoke_by_refresh_token(
        &self,
        refresh_token: &RefreshToken,
        mut request: Request,
        audit: &mut Option<Audit<'static>>,
        kept: &mut Option<RefreshToken>,
    ) -> Result<LogoutOutcome, LogoutError> {
        let RefreshToken(text) = refresh_token;
        let secret = Secret::new(text.clone());
        let may_be_one = auth_cognito::may_be_a_refresh_token(text);
        for accounts in self.accounts.iter().filter(|_| may_be_one) {
            let tokens = match accounts.refresh(&secret).await {
                Ok(tokens) => tokens,
                // Another client's token, or an invalid one, which returns no tokens.
                Err(refused) if refused.is_final() => continue,
                Err(refused) => {
                    return Err(Dependency::Cognito.unavailable(refused.cause).into());
                }
            };
            // With refresh token rotation, the new token belongs to the session: after an error, a repetition needs it.
            *kept = tokens.refresh.map(RefreshToken);
            let Ok(claims) = self.caller(&tokens.access).await else {
                return Err(Dependency::Cognito.unavailable(Cause::Invalid).into());
            };
            request.refresh_token = Some(RefreshToken(text.clone()));
            request.has_no_other_credential = true;
            let mut outcome = self.revoke_scope(&claims, &request, audit).await?;
            if outcome.ended != Ended::Scope(Scope::Others)
                && let Some(rotated) = kept.take()
            {
                let rotated = self.revoke_refresh_token(&claims, Some(&rotated)).await;
                outcome.cognito = if matches!(outcome.cognito, CognitoOutcome::Refused) {
                    rotated
                } else {
                    outcome.cognito.worse(rotated)
                };
            }
            return Ok(outcome);
        }
        if request.scope != Scope::Session {
            // Without a token, the user of the other sessions is unknown.
            return Err(DenyReason::UnknownSession.into());
        }
        Ok(LogoutOutcome {
            ended: Ended::RefreshToken,
            cognito: CognitoOutcome::Refused,
            logout_url: None,
        })
    }

    fn logout_url(&self, claims: &VerifiedClaims, scope: Scope) -> Option<String> {
        let hosted_ui = self.settings.hosted_ui.as_ref()?;
        (scope != Scope::Others).then(|| hosted_ui.logout_url(claims.client_id()))
    }
}
