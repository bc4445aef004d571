//! A user's sessions: a client records its session, and the user lists sessions and revokes one.
//!
//! The function runs behind the authorizer and knows the caller from its context alone.

mod config;
mod list;
mod outcome;
mod record;
mod revoke;
mod session;

use std::process::ExitCode;
use std::time::Instant;

use api_gateway::Caller;
use api_gateway::http::{Request, RequestError, Response};
use auth::{Cause, Unavailable};
use auth_dynamodb::{DynamoRevocations, SessionTable};
use aws_client::SdkConfig;
use runtime::log::{self, Level, Outcome};
use runtime::{Audit, Handler, InvocationError};
use serde_json::value::RawValue;

pub use config::Config;
use outcome::SessionsError;
use session::CurrentSession;

/// The function.
pub struct Sessions {
    revocations: DynamoRevocations,
    table: SessionTable,
    config: Config,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(Config::from_lookup(&env_config::process), Sessions::connect)
}

impl Sessions {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_client::sdk_config_in_lambda();
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
                .get_or_insert(Audit::new("sessions", &self.config.user_pool_id))
                .act("end_session");
        }
        let caller =
            Caller::of(request, &self.config.user_pool_id).ok_or(SessionsError::NoContext)?;
        let session = caller.session.as_deref().ok_or(SessionsError::NoSession)?;
        let current = CurrentSession {
            issuer: &self.config.user_pool_id,
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
            Err(problem) => (problem.level(), problem.to_string()),
        };
        if let Some(audit) = audit {
            audit.write(&outcome, request_id);
        }
        if level <= self.config.log_level {
            let outcome = Outcome {
                word: &outcome,
                cause: result.as_ref().err().and_then(|problem| Cause::of(problem)),
            };
            log::request(level, "sessions", outcome, request_id, began);
        }
        Ok(result.unwrap_or_else(|problem| problem.response()))
    }
}
