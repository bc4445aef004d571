//! The administrators' API for users, app clients and the whole pool: changes Cognito, the
//! revocations and the profile together.
//!
//! The authorizer admits only the group `admins`; this function checks the group again, and refuses
//! requests that did not come through the authorizer. Revocations are written first, as everywhere.

mod config;

use std::time::Instant;

use api_gateway::http::{Request, RequestError, Response};
use auth::{
    ClientRef, IssuerRef, RevocationContext, RevocationWriter, Unavailable, UnixSeconds, UserRef,
};
use auth_cognito::{CognitoSignOut, CognitoUsers, User, UserPoolError};
use auth_dynamodb::{DynamoRevocations, Profiles, RevocationRow, Status};
use aws_config::SdkConfig;
use runtime::log::{self, Level};
use runtime::{Audit, Handler, InvocationError, clock};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use config::Config;

/// The longest reason that is stored.
const MAX_REASON_BYTES: usize = 64;

/// The function.
pub struct Admin {
    revocations: DynamoRevocations,
    profiles: Option<Profiles>,
    users: CognitoUsers,
    cognito: CognitoSignOut,
    config: Config,
}

/// The requested task.
enum Task {
    Disable(String),
    Enable(String),
    SignOut(String),
    Delete(String),
    Revocations(String),
    RevokeClient(String),
    RevokeEveryone,
}

/// Why a request was refused or failed.
#[derive(Debug, thiserror::Error)]
enum AdminError {
    #[error("no_authorizer_context")]
    NoContext,
    #[error("not_an_administrator")]
    NotAdmin,
    #[error("no_such_route")]
    NoRoute,
    #[error(transparent)]
    BadRequest(#[from] RequestError),
    #[error("unknown_client")]
    UnknownClient,
    #[error("unknown_user")]
    UnknownUser,
    #[error("too_many_requests")]
    Throttled,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<UserPoolError> for AdminError {
    fn from(error: UserPoolError) -> Self {
        match error {
            UserPoolError::NotFound => Self::UnknownUser,
            UserPoolError::Throttled => Self::Throttled,
            UserPoolError::Unavailable => Self::Unavailable(Unavailable::Cognito),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    reason: Option<String>,
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
        let task = task(request);
        if let Ok(task) = &task {
            audit.act(task.as_str());
        }
        let actor = self.actor(request, audit)?;
        let task = task?;
        let body: Body = request.typed_json()?;
        let reason = body.reason.unwrap_or_else(|| "admin".to_owned());
        let plain = |c: char| c.is_ascii_graphic() || c == ' ';
        if reason.len() > MAX_REASON_BYTES || reason.is_empty() || !reason.chars().all(plain) {
            return Err(RequestError::Malformed.into());
        }
        let now = UnixSeconds(clock::unix_seconds());
        let context = RevocationContext {
            reason: &reason,
            actor: &actor,
            at: now,
            refresh_token_ttl_seconds: self.config.refresh_token_ttl_seconds,
        };
        match task {
            Task::Disable(name) => {
                let user = self.user(&name, audit).await?;
                self.disable(&user, Status::Disabled, &context).await?;
                Ok(json!({"done": "disabled", "sub": user.subject}))
            }
            Task::Enable(name) => {
                let user = self.user(&name, audit).await?;
                self.users.enable(&user.username).await?;
                let target = self.user_ref(&user);
                self.revocations.enable_user(&target, now, &context).await?;
                self.set_profile_status(&user, Status::Confirmed, now)
                    .await?;
                Ok(json!({"done": "enabled", "sub": user.subject}))
            }
            Task::SignOut(name) => {
                let user = self.user(&name, audit).await?;
                let not_before = now.plus(self.config.leeway_seconds);
                let target = self.user_ref(&user);
                let revocations = &self.revocations;
                let revoked = revocations.revoke_user_sessions(&target, not_before, &context);
                let revoked = revoked.await;
                let signed_out = self.cognito.sign_out_everywhere(&user.username).await;
                revoked?;
                signed_out?;
                // The revocation for CloudTrail's record of the call covers that whole second.
                let made_at = UnixSeconds(clock::unix_seconds());
                clock::until_after(not_before.max(made_at).0).await;
                Ok(json!({"done": "signed_out", "sub": user.subject}))
            }
            Task::Delete(name) => {
                let user = self.user(&name, audit).await?;
                self.disable(&user, Status::Deleted, &context).await?;
                self.users.delete(&user.username).await?;
                // From here on the row is needed only until the issued tokens expire.
                let target = self.user_ref(&user);
                self.revocations.delete_user(&target, now, &context).await?;
                Ok(json!({"done": "deleted", "sub": user.subject}))
            }
            Task::Revocations(name) => {
                let user = self.user(&name, audit).await?;
                let target = self.user_ref(&user);
                let rows = self.revocations.revocations_of_user(&target, now).await?;
                let rows: Vec<Value> = rows.into_iter().map(describe).collect();
                Ok(json!({"sub": user.subject, "enabled": user.enabled, "marks": rows}))
            }
            Task::RevokeClient(client_id) => {
                audit.target(&client_id);
                if !self.config.client_ids.contains(&client_id) {
                    return Err(AdminError::UnknownClient);
                }
                let client = ClientRef {
                    issuer: &self.config.user_pool_id,
                    client_id: &client_id,
                };
                let not_before = now.plus(self.config.leeway_seconds);
                self.revocations
                    .revoke_client(&client, not_before, &context)
                    .await?;
                clock::until_after(not_before.0).await;
                Ok(json!({"done": "client_revoked", "client_id": client_id}))
            }
            Task::RevokeEveryone => {
                let issuer = IssuerRef {
                    issuer: &self.config.user_pool_id,
                };
                let not_before = now.plus(self.config.leeway_seconds);
                self.revocations
                    .revoke_issuer(&issuer, not_before, &context)
                    .await?;
                clock::until_after(not_before.0).await;
                Ok(json!({"done": "everyone_revoked"}))
            }
        }
    }

    /// The administrator's `sub`, from the authorizer's context alone.
    fn actor(&self, request: &Request<'_>, audit: &mut Audit<'_>) -> Result<String, AdminError> {
        let context = request.authorizer();
        let member = |name: &str| context.get(name).and_then(Value::as_str);
        let subject = member("sub").filter(|sub| !sub.is_empty());
        let subject = subject.ok_or(AdminError::NoContext)?;
        // A group of that name at another issuer is a different group.
        if member("issuer") != Some(&self.config.user_pool_id) {
            return Err(AdminError::NotAdmin);
        }
        audit.actor(subject);
        let groups: Vec<String> = member("groups")
            .and_then(|groups| serde_json::from_str(groups).ok())
            .unwrap_or_default();
        if groups.contains(&self.config.admin_group) {
            Ok(subject.to_owned())
        } else {
            Err(AdminError::NotAdmin)
        }
    }

    async fn user(&self, name: &str, audit: &mut Audit<'_>) -> Result<User, AdminError> {
        let user = self.users.get(name).await?;
        audit.target(&user.subject);
        Ok(user)
    }

    /// Writes the revocation, then disables the user at Cognito even if that failed, then updates
    /// the profile.
    async fn disable(
        &self,
        user: &User,
        status: Status,
        context: &RevocationContext<'_>,
    ) -> Result<(), AdminError> {
        let target = self.user_ref(user);
        let revocations = &self.revocations;
        let revoked = revocations.disable_user(&target, context.at, context).await;
        let disabled = self.users.disable(&user.username).await;
        let signed_out = self.cognito.sign_out_everywhere(&user.username).await;
        revoked?;
        disabled?;
        signed_out?;
        // As with a sign-out: a user who is enabled again at once signs in after the revoked
        // second.
        clock::until_after(clock::unix_seconds()).await;
        self.set_profile_status(user, status, context.at).await
    }

    async fn set_profile_status(
        &self,
        user: &User,
        status: Status,
        at: UnixSeconds,
    ) -> Result<(), AdminError> {
        match &self.profiles {
            Some(profiles) => Ok(profiles.set_status(&user.subject, status, at).await?),
            None => Ok(()),
        }
    }

    fn user_ref<'a>(&'a self, user: &'a User) -> UserRef<'a> {
        UserRef {
            issuer: &self.config.user_pool_id,
            subject: &user.subject,
        }
    }
}

fn task(request: &Request<'_>) -> Result<Task, AdminError> {
    let parameter = |name: &str| request.path_parameter(name).ok_or(RequestError::Malformed);
    let (method, route) = (request.method(), request.route());
    Ok(match (&*method, &*route) {
        ("POST", "/admin/users/{username}/disable") => Task::Disable(parameter("username")?),
        ("POST", "/admin/users/{username}/enable") => Task::Enable(parameter("username")?),
        ("POST", "/admin/users/{username}/sign-out") => Task::SignOut(parameter("username")?),
        ("DELETE", "/admin/users/{username}") => Task::Delete(parameter("username")?),
        ("GET", "/admin/users/{username}/marks") => Task::Revocations(parameter("username")?),
        ("POST", "/admin/clients/{client_id}/revoke") => {
            Task::RevokeClient(parameter("client_id")?)
        }
        ("POST", "/admin/everyone/revoke") => Task::RevokeEveryone,
        _ => return Err(AdminError::NoRoute),
    })
}

fn describe(row: RevocationRow) -> Value {
    json!({"of": row.of, "expired": row.expired, "attributes": row.attributes})
}

impl Task {
    /// The task's word in the log.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Disable(_) => "disable_user",
            Self::Enable(_) => "enable_user",
            Self::SignOut(_) => "sign_out_user",
            Self::Delete(_) => "delete_user",
            Self::Revocations(_) => "read_marks",
            Self::RevokeClient(_) => "revoke_client",
            Self::RevokeEveryone => "revoke_everyone",
        }
    }
}

impl AdminError {
    fn response(&self) -> Response {
        let status = match self {
            Self::NoContext => 401,
            Self::NotAdmin => 403,
            Self::NoRoute | Self::UnknownClient | Self::UnknownUser => 404,
            Self::BadRequest(bad) => bad.status(),
            Self::Throttled => 429,
            // Only the log names the dependency.
            Self::Unavailable(_) => return Response::problem(503, "unavailable"),
        };
        Response::problem(status, &self.to_string())
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
        let mut audit = Audit::new(&self.config.user_pool_id);
        let result = self.administer(&Request::read(event), &mut audit).await;
        let (level, outcome) = match &result {
            Ok(_) => (Level::Info, "done".to_owned()),
            Err(problem @ AdminError::Unavailable(_)) => (Level::Error, problem.to_string()),
            Err(problem) => (Level::Warn, problem.to_string()),
        };
        audit.write(&outcome, request_id);
        if level <= self.config.log_level {
            log::request(level, "admin", &outcome, request_id, began);
        }
        Ok(match result {
            Ok(body) => Response::json(200, &body),
            Err(problem) => problem.response(),
        })
    }
}
