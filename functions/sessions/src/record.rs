//! `POST /auth/sessions`: records the caller's session.

use api_gateway::http::{Request, RequestError, Response};
use auth_dynamodb::{Session, address_hash};
use runtime::clock;
use serde::Deserialize;

use crate::Sessions;
use crate::outcome::SessionsError;
use crate::session::{CurrentSession, describe};

/// The longest device name, in characters.
const MAX_DEVICE_CHARS: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    device: Option<String>,
}

impl Sessions {
    pub(crate) async fn record(
        &self,
        current: &CurrentSession<'_>,
        request: &Request<'_>,
    ) -> Result<Response, SessionsError> {
        let body: Body = request.typed_json()?;
        let fits = |device: &String| {
            let chars = device.chars().count();
            (1..=MAX_DEVICE_CHARS).contains(&chars) && !device.contains(char::is_control)
        };
        if !body.device.as_ref().is_none_or(fits) {
            return Err(RequestError::Malformed.into());
        }
        let now = clock::now();
        let session = Session {
            id: current.id.to_owned(),
            client_id: Some(current.caller.client_id.clone()),
            authenticated_at: current.caller.authenticated_at,
            first_seen: now,
            last_seen: now,
            device: body.device,
            ip_hash: request
                .source_ip()
                .map(|address| address_hash(&current.caller.subject, &address)),
        };
        let ttl = self.config.refresh_token_ttl_seconds;
        self.table.record(&current.user(), &session, ttl).await?;
        Ok(Response::json(200, &describe(&session, current.id)))
    }
}
