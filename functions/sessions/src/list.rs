//! `GET /auth/sessions`: the caller's sessions.

use api_gateway::http::Response;
use auth_dynamodb::ClientUser;
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
        let owner = ClientUser {
            user: current.user(),
            client_id: &current.caller.client_id,
        };
        let sessions = self.table.of_user(&owner.user, now).await?;
        let ids: Vec<&str> = sessions.iter().map(|session| session.id.as_str()).collect();
        let all = self
            .revocations
            .revocations_of_sessions(&owner, &ids, now)
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
