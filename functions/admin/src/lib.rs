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

use std::process::ExitCode;
use std::time::{Duration, Instant};

use api_gateway::http::{Request, Response};
use auth::{Cause, Dependency, RevocationContext, Unavailable, UnixSeconds};
use auth_cognito::{CognitoSignOut, CognitoUsers, User};
use auth_dynamodb::{DynamoRevocations, Profiles};
use aws_client::SdkConfig;
use runtime::log::{self, Level, Outcome};
use runtime::{Audit, Handler, InvocationError, clock};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::timeout_at;

pub use config::Config;
use outcome::{AdminError, Failure, INCOMPLETE};
use task::Task;

/// Time limit of a request: less than the function's 15 s, which would end it before its act is written.
const BUDGET: Duration = Duration::from_secs(13);

/// The function.
pub struct Admin {
    revocations: DynamoRevocations,
    profiles: Option<Profiles>,
    users: CognitoUsers,
    cognito: CognitoSignOut,
    config: Config,
}

/// A task whose target is known, and its circumstances.
struct Job {
    change: Change,
    actor: String,
    reason: String,
    at: UnixSeconds,
}

enum Change {
    Disable(User),
    Enable(User),
    SignOut(User),
    Delete(User),
    /// None: reads the user's revocations.
    Read(User),
    RevokeClient(String),
    RevokeEveryone,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(Config::from_lookup(&env_config::process), Admin::connect)
}

impl Admin {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_client::sdk_config_in_lambda();
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
        began: Instant,
    ) -> Result<Value, Failure> {
        let deadline = (began + BUDGET).into();
        let prepared = timeout_at(deadline, self.prepare(request, audit)).await;
        let job = prepared.unwrap_or_else(|_| Err(out_of_time()))?;
        let has_begun = !matches!(job.change, Change::Read(_));
        let executed = timeout_at(deadline, self.execute(&job)).await;
        let executed = executed.unwrap_or_else(|_| Err(out_of_time()));
        executed.map_err(|problem| Failure { problem, has_begun })
    }

    /// Everything that may refuse a request. It changes nothing.
    async fn prepare(
        &self,
        request: &Request<'_>,
        audit: &mut Audit<'_>,
    ) -> Result<Job, AdminError> {
        let task = Task::of(request);
        if let Ok(task) = &task {
            audit.act(task.as_str());
        }
        let actor = actor::administrator(&self.config, request, audit)?;
        let task = task?;
        let reason = task::reason(request)?;
        let at = clock::now();
        let change = match task {
            Task::Disable(name) => Change::Disable(self.user(&name, audit).await?),
            Task::Enable(name) => Change::Enable(self.user(&name, audit).await?),
            Task::SignOut(name) => Change::SignOut(self.user(&name, audit).await?),
            Task::Delete(name) => Change::Delete(self.user(&name, audit).await?),
            Task::Revocations(name) => Change::Read(self.user(&name, audit).await?),
            Task::RevokeClient(client_id) => {
                audit.target(&client_id);
                self.check_client(&client_id)?;
                Change::RevokeClient(client_id)
            }
            Task::RevokeEveryone => Change::RevokeEveryone,
        };
        Ok(Job {
            change,
            actor,
            reason,
            at,
        })
    }

    async fn execute(&self, job: &Job) -> Result<Value, AdminError> {
        let context = RevocationContext {
            reason: &job.reason,
            actor: &job.actor,
            at: job.at,
            refresh_token_ttl_seconds: self.config.refresh_token_ttl_seconds,
        };
        match &job.change {
            Change::Disable(user) => self.disable(user, &context).await,
            Change::Enable(user) => self.enable(user, &context).await,
            Change::SignOut(user) => self.sign_out(user, &context).await,
            Change::Delete(user) => self.delete(user, &context).await,
            Change::Read(user) => self.revocations_of(user, job.at).await,
            Change::RevokeClient(client_id) => self.revoke_client(client_id, &context).await,
            Change::RevokeEveryone => self.revoke_everyone(&context).await,
        }
    }
}

/// The time is up while a dependency, mostly Cognito, has not answered.
fn out_of_time() -> AdminError {
    Dependency::Cognito.unavailable(Cause::Timeout).into()
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
        let request = Request::read(event);
        let result = self.administer(&request, &mut audit, began).await;
        let has_begun = result.as_ref().is_err_and(|failure| failure.has_begun);
        let result = result.map_err(|failure| failure.problem);
        let (level, outcome) = match &result {
            Ok(_) => (Level::Info, "done".to_owned()),
            Err(problem) => (problem.level(), problem.to_string()),
        };
        audit.write(if has_begun { INCOMPLETE } else { &outcome }, request_id);
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
