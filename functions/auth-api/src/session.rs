//! A new session: its tokens are returned and it is recorded, or it is revoked at Cognito.

use api_gateway::http::{Request, Response};
use auth::{RevocationWriter, UserRef};
use auth_cognito::{SignOutTask, Tokens};
use auth_dynamodb::{Session, address_hash};
use auth_sessions::BrowserSessions;
use runtime::clock;
use runtime::log;
use serde_json::{Map, Value};

use crate::outcome::ApiError;
use crate::revoke::was_queued;
use crate::times::within;
use crate::tokens::{self, UnverifiedSession};
use crate::{AuthApi, Secret};

impl<B: BrowserSessions> AuthApi<B> {
    /// Returns the tokens of a new session and records it. If the tokens cannot be returned, the
    /// session is revoked, because the client could not revoke it.
    pub(crate) async fn hand_over(
        &self,
        tokens: &Tokens,
        body: Map<String, Value>,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let response = self.response(tokens, body, http).await;
        match &response {
            Ok(_) => self.record(tokens, http).await,
            Err(_) => self.give_up(tokens).await,
        }
        response
    }

    pub(crate) async fn response(
        &self,
        tokens: &Tokens,
        body: Map<String, Value>,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let ttl = self.config.refresh_token_ttl_seconds;
        if let Some(cookie) = &self.browser_cookie {
            return cookie.response(tokens, body, ttl).await;
        }
        tokens::response(tokens, body, (self.config.cookies.as_ref(), http), ttl)
    }

    /// Records the sign-in for `GET /auth/sessions`. A failure does not fail the sign-in.
    async fn record(&self, tokens: &Tokens, http: &Request<'_>) {
        let Some(table) = &self.sessions else {
            return;
        };
        let Some(token) = UnverifiedSession::of(&tokens.access) else {
            return;
        };
        let authenticated_at = token.authenticated_at();
        let Some(id) = token.origin_jti else {
            return;
        };
        let now = clock::now();
        let address = http.source_ip();
        let session = Session {
            id,
            client_id: Some(self.config.app_client_id.clone()),
            authenticated_at,
            first_seen: now,
            last_seen: now,
            device: None,
            ip_hash: address.map(|address| address_hash(&token.sub, &address)),
        };
        let ttl = self.config.refresh_token_ttl_seconds;
        let user = self.user_ref(&token.sub);
        if let Err(unavailable) = table.record(&user, &session, ttl).await {
            log::failure("could not record the session", unavailable.cause);
        }
    }

    /// Revokes a new session whose tokens the client does not get.
    pub(crate) async fn give_up(&self, tokens: &Tokens) {
        let Some(refresh) = &tokens.refresh else {
            return;
        };
        let refresh = Secret::new(refresh.clone());
        let Some(request_id) = self.revoke_at_cognito(&refresh, false).await else {
            return;
        };
        // CloudTrail's record of a call that is not noted makes the user's other tokens outdated, and a refresh brings
        // new ones.
        let pool = &self.config.user_pool_id;
        let noted = self.revocations.note_call(pool, &request_id, clock::now());
        if let Err(unavailable) = noted.await {
            log::failure("could not note the call to Cognito", unavailable.cause);
        }
    }

    /// Revokes the session of a refresh token whose client has tokens of it: CloudTrail's record of the call makes them
    /// outdated.
    pub(crate) async fn revoke(&self, refresh_token: &Secret) {
        self.revoke_at_cognito(refresh_token, true).await;
    }

    /// `RevokeToken`, now or by logout-retry. Returns the id of a request that succeeded.
    async fn revoke_at_cognito(
        &self,
        refresh_token: &Secret,
        record_revokes: bool,
    ) -> Option<String> {
        let refused = match within(self.accounts.revoke(refresh_token)).await {
            Ok(request_id) => return request_id,
            Err(refused) => refused,
        };
        let task = SignOutTask::RevokeRefreshToken {
            client_id: self.config.app_client_id.clone(),
            refresh_token: refresh_token.expose().to_owned(),
            with_secret: self.config.app_client_secret_arn.is_some(),
            record_revokes,
        };
        if !refused.is_final() && !self.try_later(&task).await {
            log::failure("could not revoke the session at Cognito", refused.cause);
        }
        None
    }

    /// The pool's user with this `sub`.
    pub(crate) fn user_ref<'a>(&'a self, subject: &'a str) -> UserRef<'a> {
        UserRef {
            issuer: &self.config.user_pool_id,
            subject,
        }
    }

    /// Queues a call to Cognito for logout-retry. Returns whether the queue accepted it.
    pub(crate) async fn try_later(&self, task: &SignOutTask) -> bool {
        match &self.retry_queue {
            None => false,
            Some(queue) => was_queued(queue.send(task).await),
        }
    }
}
