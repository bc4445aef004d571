//! A user's sessions: a client records its session, and the user lists sessions and revokes one.
//!
//! The function runs behind the authorizer and knows the caller from its context alone.

mod config;

use std::time::Instant;

use api_gateway::Caller;
use api_gateway::http::{Request, RequestError, Response};
use auth::{RevocationContext, RevocationWriter, Unavailable, UnixSeconds, UserRef};
use auth_dynamodb::{ClientUser, DynamoRevocations, Session, SessionTable, address_hash};
use aws_config::SdkConfig;
use runtime::log::{self, Level};
use runtime::{Audit, Handler, InvocationError, clock};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use config::Config;

/// The longest device name, in characters.
const MAX_DEVICE_CHARS: usize = 64;

/// The function.
pub struct Sessions {
    revocations: DynamoRevocations,
    table: SessionTable,
    config: Config,
}

/// Why a request was refused or failed.
#[derive(Debug, thiserror::Error)]
enum SessionsError {
    #[error("no_authorizer_context")]
    NoContext,
    #[error("no_session")]
    NoSession,
    #[error("no_such_route")]
    NoRoute,
    #[error("unknown_session")]
    UnknownSession,
    #[error(transparent)]
    BadRequest(#[from] RequestError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The session that a request belongs to.
struct CurrentSession<'a> {
    caller: &'a Caller,
    /// `origin_jti`.
    id: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    device: Option<String>,
}

impl Sessions {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let sessions = Self::new(&sdk, config);
        sessions.revocations.warm_up().await;
        Ok(sessions)
    }

    /// The function over the services that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        let revocations = DynamoRevocations::new(sdk, config.revocation_table.clone());
        let table = SessionTable::beside(&revocations, config.session_table.clone());
        Self {
            revocations,
            table,
            config,
        }
    }

    async fn answer<'a>(
        &'a self,
        request: &Request<'_>,
        audit: &mut Option<Audit<'a>>,
    ) -> Result<Response, SessionsError> {
        let (method, route) = (request.method(), request.route());
        if (&*method, &*route) == ("DELETE", "/auth/sessions/{id}") {
            audit
                .get_or_insert(Audit::new(&self.config.user_pool_id))
                .act("end_session");
        }
        let caller =
            Caller::of(request, &self.config.user_pool_id).ok_or(SessionsError::NoContext)?;
        let session = caller.session.as_deref().ok_or(SessionsError::NoSession)?;
        let current = CurrentSession {
            caller: &caller,
            id: session,
        };
        if let Some(audit) = audit {
            audit.actor(&caller.subject);
        }
        match (&*method, &*route) {
            ("POST", "/auth/sessions") => self.record(&current, request).await,
            ("GET", "/auth/sessions") => self.list(&current).await,
            ("DELETE", "/auth/sessions/{id}") => {
                let id = request
                    .path_parameter("id")
                    .ok_or(RequestError::Malformed)?;
                if let Some(audit) = audit {
                    audit.target(&id);
                }
                self.revoke(&current, &id).await
            }
            _ => Err(SessionsError::NoRoute),
        }
    }

    async fn record(
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
        let now = now();
        let session = Session {
            id: current.id.to_owned(),
            authenticated_at: current.caller.authenticated_at,
            first_seen: now,
            last_seen: now,
            device: body.device,
            ip_hash: request
                .source_ip()
                .map(|address| address_hash(&current.caller.subject, &address)),
        };
        let ttl = self.config.refresh_token_ttl_seconds;
        self.table
            .record(&self.user(current), &session, ttl)
            .await?;
        Ok(Response::json(200, &describe(&session, current.id)))
    }

    /// The sessions that are still valid.
    async fn list(&self, current: &CurrentSession<'_>) -> Result<Response, SessionsError> {
        let now = now();
        let owner = ClientUser {
            user: self.user(current),
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

    /// Revokes one session, the caller's own or another. Revoking it twice is not an error.
    async fn revoke(
        &self,
        current: &CurrentSession<'_>,
        id: &str,
    ) -> Result<Response, SessionsError> {
        let now = now();
        let user = self.user(current);
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

impl Sessions {
    fn user<'a>(&'a self, current: &CurrentSession<'a>) -> UserRef<'a> {
        UserRef {
            issuer: &self.config.user_pool_id,
            subject: &current.caller.subject,
        }
    }
}

fn describe(session: &Session, current: &str) -> Value {
    json!({
        "id": session.id,
        "current": session.id == current,
        "device": session.device,
        "ip_hash": session.ip_hash,
        "signed_in_at": session.authenticated_at.0,
        "first_seen": session.first_seen.0,
        "last_seen": session.last_seen.0,
    })
}

fn now() -> UnixSeconds {
    UnixSeconds(clock::unix_seconds())
}

impl SessionsError {
    fn response(&self) -> Response {
        let status = match self {
            Self::NoContext => 401,
            Self::NoSession => 403,
            Self::NoRoute | Self::UnknownSession => 404,
            Self::BadRequest(bad) => bad.status(),
            // Only the log names the dependency.
            Self::Unavailable(_) => return Response::problem(503, "unavailable"),
        };
        Response::problem(status, &self.to_string())
    }
}

impl Handler for Sessions {
    type Answer = Response;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<Response, InvocationError> {
        let began = Instant::now();
        let mut audit = None;
        let result = self.answer(&Request::read(event), &mut audit).await;
        let (level, outcome) = match &result {
            Ok(_) => (Level::Info, "done".to_owned()),
            Err(problem @ SessionsError::Unavailable(_)) => (Level::Error, problem.to_string()),
            Err(problem) => (Level::Warn, problem.to_string()),
        };
        if let Some(audit) = audit {
            audit.write(&outcome, request_id);
        }
        if level <= self.config.log_level {
            log::request(level, "sessions", &outcome, request_id, began);
        }
        Ok(result.unwrap_or_else(|problem| problem.response()))
    }
}
