//! `GET /auth/sessions`: the caller's sessions.

use api_gateway::http::Response;
use auth_dynamodb::ClientSession;
use runtime::clock;
use serde_json::json;

use crate::Sessions;
use crate::outcome::SessionsError;
use crate::session::{CurrentSession, describe};

impl Sessions {
    /// The sessions that are still valid.
    pub(crate) async fn list(
        &self,
        current: &CurrentSession<'_>,
    ) -> Result<Response, SessionsError> {
        let now = clock::now();
        let user = current.user();
        let sessions = self.table.of_user(&user, now).await?;
        // A session may be of another app client than the caller's. A row of an earlier version has no client: such a
        // session is listed although its client may have been revoked, so that the user can revoke it.
        let listed = sessions.iter().map(|session| ClientSession {
            session: &session.id,
            client_id: session.client_id.as_deref(),
        });
        let listed: Vec<_> = listed.collect();
        let all = self
            .revocations
            .revocations_of_sessions(&user, &listed, now)
            .await?;
        let mut active = Vec::new();
        for (session, revocations) in sessions.iter().zip(all) {
            let (id, since) = (Some(session.id.as_str()), session.authenticated_at);
            // Revocations of already issued tokens do not matter: the session continues with a
            // refresh.
            if revocations.check_session(id, since, now.plus(1)).is_ok() {
                active.push(describe(session, current.id));
            }
        }
        Ok(Response::json(200, &json!({"sessions": active})))
    }
}
