//! Loads the Cedar policies from `POLICIES_DIR`, otherwise from the folder `policies` beside the
//! binary, otherwise the compiled-in ones, which the build has validated. The routes of
//! `openapi.yaml` are always compiled in.

use std::path::PathBuf;

use api_gateway::routes::Route;
use auth_cedar::CedarPolicies;
use env_config::Env;

include!(concat!(env!("OUT_DIR"), "/compiled_in.rs"));

/// Reads the policies; those of a folder are validated. Problems are recorded in `env` by file and line; an authorizer
/// without valid policies does not start.
pub(crate) fn read(env: &mut Env<'_>, user_pool_id: &str) -> Option<CedarPolicies> {
    let folder = env
        .optional("POLICIES_DIR")
        .map(PathBuf::from)
        .or_else(beside_the_binary);
    let policies = match &folder {
        Some(folder) => CedarPolicies::from_folder(folder, user_pool_id),
        None => CedarPolicies::parse_validated(NAMESPACE, POLICIES, user_pool_id),
    };
    match policies {
        Ok(policies) => Some(policies),
        Err(error) => {
            env.problem("POLICIES_DIR", &format!("is invalid: {error}"));
            None
        }
    }
}

/// The API's routes.
pub(crate) fn routes(env: &mut Env<'_>) -> Vec<Route> {
    let mut routes = Vec::new();
    for (verb, template) in ROUTES {
        match Route::parse(verb, template) {
            Ok(route) => routes.push(route),
            Err(error) => env.problem("openapi.yaml", &error.to_string()),
        }
    }
    routes
}

fn beside_the_binary() -> Option<PathBuf> {
    let folder = std::env::current_exe().ok()?.parent()?.join("policies");
    folder.is_dir().then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = include_str!("../../../policies/schema.cedarschema");

    #[test]
    fn the_compiled_in_policies_are_valid_for_any_user_pool() {
        for pool in ["eu-central-1_AbCdEfGhI", "us-gov-west-1_1"] {
            let valid = cedar_files::validated(SCHEMA, POLICIES, pool).unwrap();
            assert_eq!(valid.namespace, NAMESPACE);
            assert!(CedarPolicies::parse_validated(NAMESPACE, POLICIES, pool).is_ok());
        }
    }

    #[test]
    fn the_build_would_refuse_what_only_validation_finds() {
        let policy = "permit (principal, action, resource) when { context.rout == \"/a\" };";
        let files = [("a.cedar", policy)];
        assert!(cedar_files::read(&files, "eu-central-1_A").is_ok());
        assert!(cedar_files::validated(SCHEMA, &files, "eu-central-1_A").is_err());
    }
}
