//! What an IAM policy covers: one request, or every route of the API.

use api_gateway::path;
use api_gateway::routes::{Route, RouteTable};
use auth_cedar::CedarPolicies;
use env_config::Env;

/// What an IAM policy covers.
pub enum PolicyScope {
    /// This request only: API Gateway must not cache it.
    Request,
    /// Every route of the API: API Gateway may cache it.
    Api(RouteTable),
}

/// `POLICY_SCOPE`. With `api`, the function does not start if a policy could not be exact.
pub(crate) fn read(
    env: &mut Env<'_>,
    routes: &[Route],
    policies: Option<&CedarPolicies>,
) -> PolicyScope {
    const NAME: &str = "POLICY_SCOPE";
    let ttl = env.number("AUTHORIZER_TTL_SECONDS", 0, 0..=3600);
    match env.optional(NAME).as_deref() {
        None | Some("request") => {
            if ttl > 0 {
                let problem = "cannot be `request` with AUTHORIZER_TTL_SECONDS above 0: API Gateway \
                     would apply a policy for one route to others";
                env.problem(NAME, problem);
            }
            return PolicyScope::Request;
        }
        Some("api") => {}
        Some(_) => env.problem(NAME, "is neither `request` nor `api`"),
    }
    if let Some(policy) = policies.and_then(CedarPolicies::request_scoped_policy) {
        env.problem(
            NAME,
            &format!(
                "cannot be `api`: the policy `{policy}` depends on more of a request than its route"
            ),
        );
    }
    if policies.is_some_and(CedarPolicies::uses_path)
        && let Some(open) = routes.iter().find(|route| path::is_open(route.template()))
    {
        env.problem(
            NAME,
            &format!(
                "cannot be `api`: a policy uses `context.path`, and {} {} serves several paths",
                open.verb(),
                open.template()
            ),
        );
    }
    match RouteTable::new(routes.to_vec()) {
        Ok(table) => PolicyScope::Api(table),
        Err(errors) => {
            for error in errors {
                env.problem(NAME, &format!("cannot be `api`: {error}"));
            }
            PolicyScope::Request
        }
    }
}
