//! `DELETE /auth/sessions/{id}`: revokes one session.

use api_gateway::http::Response;
use auth::{RevocationContext, RevocationWriter};
use runtime::clock;
use serde_json::json;

use crate::Sessions;
use crate::outcome::SessionsError;
use crate::session::CurrentSession;

impl Sessions {
    /// Revokes one session, the caller's own or another. Revoking it twice is not an error.
    pub(crate) async fn revoke(
        &self,
        current: &CurrentSession<'_>,
        id: &str,
    ) -> Result<Response, SessionsError> {
        let now = clock::now();
        let user = current.user();
        let known = self.table.of_user(&user, now).await?;
        if id != current.id && !known.iter().any(|session| session.id == id) {
            return Err(SessionsError::UnknownSession);
        }
        let context = RevocationContext {
            reason: "session_list",
            actor: user.subject,
            at: now,
            refresh_token_ttl_seconds: self.config.refresh_token_ttl_seconds,
        };
        self.revocations
            .revoke_session(&user.session(id), &context)
            .await?;
        Ok(Response::json(200, &json!({"ended": "session", "id": id})))
    }
}
