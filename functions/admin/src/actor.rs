//! The administrator who sent a request.

use api_gateway::http::Request;
use runtime::Audit;
use serde_json::Value;

use crate::Config;
use crate::outcome::AdminError;

/// The administrator's `sub`, from the authorizer's context alone.
pub(crate) fn administrator(
    config: &Config,
    request: &Request<'_>,
    audit: &mut Audit<'_>,
) -> Result<String, AdminError> {
    let context = request.authorizer();
    let member = |name: &str| context.get(name).and_then(Value::as_str);
    let subject = member("sub").filter(|sub| !sub.is_empty());
    let subject = subject.ok_or(AdminError::NoContext)?;
    // A group of that name at another issuer is a different group.
    if member("issuer") != Some(&config.user_pool_id) {
        return Err(AdminError::NotAdmin);
    }
    audit.actor(subject);
    let groups: Vec<String> = member("groups")
        .and_then(|groups| serde_json::from_str(groups).ok())
        .unwrap_or_default();
    if groups.contains(&config.admin_group) {
        Ok(subject.to_owned())
    } else {
        Err(AdminError::NotAdmin)
    }
}
