//! The task that a request names, and the reason for it.

use api_gateway::http::{Request, RequestError};
use serde::Deserialize;

use crate::outcome::AdminError;

/// The longest reason that is stored.
const MAX_REASON_BYTES: usize = 64;

/// The requested task.
pub(crate) enum Task {
    Disable(String),
    Enable(String),
    SignOut(String),
    Delete(String),
    Revocations(String),
    RevokeClient(String),
    RevokeEveryone,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    reason: Option<String>,
}

impl Task {
    /// Reads the task from the method and the route.
    pub(crate) fn of(request: &Request<'_>) -> Result<Self, AdminError> {
        let parameter = |name: &str| request.path_parameter(name).ok_or(RequestError::Malformed);
        let (method, route) = (request.method(), request.route());
        Ok(match (&*method, &*route) {
            ("POST", "/admin/users/{username}/disable") => Self::Disable(parameter("username")?),
            ("POST", "/admin/users/{username}/enable") => Self::Enable(parameter("username")?),
            ("POST", "/admin/users/{username}/sign-out") => Self::SignOut(parameter("username")?),
            ("DELETE", "/admin/users/{username}") => Self::Delete(parameter("username")?),
            ("GET", "/admin/users/{username}/marks") => Self::Revocations(parameter("username")?),
            ("POST", "/admin/clients/{client_id}/revoke") => {
                Self::RevokeClient(parameter("client_id")?)
            }
            ("POST", "/admin/everyone/revoke") => Self::RevokeEveryone,
            _ => return Err(AdminError::NoRoute),
        })
    }

    /// The task's word in the log.
    pub(crate) fn as_str(&self) -> &'static str {
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

/// The reason that is stored with a revocation.
pub(crate) fn reason(request: &Request<'_>) -> Result<String, AdminError> {
    let body: Body = request.typed_json()?;
    let reason = body.reason.unwrap_or_else(|| "admin".to_owned());
    let plain = |c: char| c.is_ascii_graphic() || c == ' ';
    if reason.len() > MAX_REASON_BYTES || reason.is_empty() || !reason.chars().all(plain) {
        return Err(RequestError::Malformed.into());
    }
    Ok(reason)
}
