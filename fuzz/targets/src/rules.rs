//! The shipped Cedar policies, against a model of what they say.

use std::sync::OnceLock;

use api_gateway::Effect;
use auth::{Principal, VerifiedClaims};
use auth_cedar::{CedarPolicies, Request};
use serde_json::{Value, json};
use testkit::Pool;

use crate::edit::edited;
use crate::input::Input;
use crate::world::{AT, access_claims, partner_claims, world};

/// The folder of the shipped policies.
pub(crate) const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");

fn shipped() -> &'static CedarPolicies {
    static SHIPPED: OnceLock<CedarPolicies> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        CedarPolicies::from_folder(POLICIES.as_ref(), Pool::ours().id).expect("the policies")
    })
}

/// The claims of a user of the pool, a machine of it, or a user of another issuer, with changes.
pub(crate) fn caller(input: &mut Input<'_>) -> Option<VerifiedClaims> {
    let kind = input.below(4);
    let groups = input.lines();
    let mut claims = match kind {
        0 | 1 => access_claims(AT),
        2 => {
            let mut machine = access_claims(AT);
            let members = machine.as_object_mut().expect("an object");
            members.remove("username");
            members.remove("origin_jti");
            machine["sub"] = Pool::ours().client_id.into();
            machine
        }
        _ => partner_claims(AT),
    };
    let name = if kind == 3 {
        "groups"
    } else {
        "cognito:groups"
    };
    claims[name] = groups.into();
    world().verified(&edited(&claims, input.bytes()))
}

/// Runs the target.
///
/// # Panics
/// The decision is not the model's.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let verb = input.pick(&["GET", "POST", "DELETE", "$connect", "OPTIONS"]);
    let route = input.text();
    let path = match input.below(2) {
        0 => None,
        _ => Some(input.text()),
    };
    let parameters = json!({"username": input.text()});
    let Some(claims) = caller(&mut input) else {
        return;
    };
    let request = Request {
        verb,
        route: &route,
        path: path.as_deref(),
        path_parameters: vec![("username".to_owned(), parameters["username"].to_string())],
        source_ip: None,
        now: AT,
    };
    let expected = if is_allowed(&claims, &request) {
        Effect::Allow
    } else {
        Effect::Deny
    };
    assert_eq!(shipped().decide(&claims, &request), expected);
}

/// The comments of `policies/default.cedar`.
pub(crate) fn is_allowed(claims: &VerifiedClaims, request: &Request<'_>) -> bool {
    let pool = Pool::ours().id;
    let is_of_the_pool = claims.issuer_alias().is_none() && claims.issuer_id() == pool;
    let is_admin = |place: &str| place == "/admin" || place.starts_with("/admin/");
    let admins = Value::from("admins");
    let may_administer = is_of_the_pool
        && claims.principal() == Principal::User
        && claims.groups().iter().any(|group| admins == *group);
    let is_for_admins = is_admin(request.route) || request.path.is_some_and(is_admin);
    claims.principal() == Principal::User && is_of_the_pool && (!is_for_admins || may_administer)
}
