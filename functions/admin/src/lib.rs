//! The administrators' API for users, app clients and the whole pool: changes Cognito, the
//! revocations and the profile together.
//!
//! The authorizer admits only the group `admins`; this function checks the group again, and refuses
//! requests that did not come through the authorizer. Revocations are written first, as everywhere.

mod actor;
mod config;
mod outcome;
mod revoke;
mod task;
mod users;

use std::time::Instant;

use api_gateway::http::{Request, Response};
use auth::{Cause, RevocationContext, Unavailable};
use auth_cognito::{CognitoSignOut, CognitoUsers};
use auth_dynamodb::{DynamoRevocations, Profiles};
use aws_config::SdkConfig;
use runtime::log::{self, Level, Outcome};
use runtime::{Audit, Handler, InvocationError, clock};
use serde_json::Value;
use serde_json::value::RawValue;

pub use config::Config;
use outcome::AdminError;
use task::Task;

/// The function.
pub struct Admin {
    revocations: DynamoRevocations,
    profiles: Option<Profiles>,
    users: CognitoUsers,
    cognito: CognitoSignOut,
    config: Config,
}

impl Admin {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let admin = Self::new(&sdk, config);
        admin.revocations.warm_up().await;
        Ok(admin)
    }

    /// The function over the services that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: &SdkConfig, mut config: Config) -> Self {
        let table = std::mem::take(&mut config.revocation_table);
        let revocations = DynamoRevocations::new(sdk, table);
        let profiles = config.users_table.take();
        Self {
            profiles: profiles.map(|table| Profiles::beside(&revocations, table)),
            revocations,
            users: CognitoUsers::new(sdk, config.user_pool_id.clone()),
            cognito: CognitoSignOut::new(sdk, config.user_pool_id.clone()),
            config,
        }
    }

    async fn administer(
        &self,
        request: &Request<'_>,
        audit: &mut Audit<'_>,
    ) -> Result<Value, AdminError> {
        let task = Task::of(request);
        if let Ok(task) = &task {
            audit.act(task.as_str());
        }
        let actor = actor::administrator(&self.config, request, audit)?;
        let task = task?;
        let reason = task::reason(request)?;
        let context = RevocationContext {
            reason: &reason,
            actor: &actor,
            at: clock::now(),
            refresh_token_ttl_seconds: self.config.refresh_token_ttl_seconds,
        };
        match task {
            Task::Disable(name) => {
                let user = self.user(&name, audit).await?;
                self.disable(&user, &context).await
            }
            Task::Enable(name) => {
                let user = self.user(&name, audit).await?;
                self.enable(&user, &context).await
            }
            Task::SignOut(name) => {
                let user = self.user(&name, audit).await?;
                self.sign_out(&user, &context).await
            }
            Task::Delete(name) => {
                let user = self.user(&name, audit).await?;
                self.delete(&user, &context).await
            }
            Task::Revocations(name) => {
                let user = self.user(&name, audit).await?;
                self.revocations_of(&user, context.at).await
            }
            Task::RevokeClient(client_id) => {
                audit.target(&client_id);
                self.revoke_client(&client_id, &context).await
            }
            Task::RevokeEveryone => self.revoke_everyone(&context).await,
        }
    }
}

impl Handler for Admin {
    type Answer = Response;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<Response, InvocationError> {
        let began = Instant::now();
        let mut audit = Audit::new("admin", &self.config.user_pool_id);
        let result = self.administer(&Request::read(event), &mut audit).await;
        let (level, outcome) = match &result {
            Ok(_) => (Level::Info, "done".to_owned()),
            Err(problem) => (problem.level(), problem.to_string()),
        };
        audit.write(&outcome, request_id);
        if level <= self.config.log_level {
            let outcome = Outcome {
                word: &outcome,
                cause: result.as_ref().err().and_then(|problem| Cause::of(problem)),
            };
            log::request(level, "admin", outcome, request_id, began);
        }
        Ok(match result {
            Ok(body) => Response::json(200, &body),
            Err(problem) => problem.response(),
        })
    }
}
