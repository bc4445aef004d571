//! Loads the Cedar policies from `POLICIES_DIR`, otherwise from the folder `policies` beside the
//! binary, otherwise the compiled-in ones. The routes of `openapi.yaml` are always compiled in.

use std::path::{Path, PathBuf};

use api_gateway::routes::Route;
use auth_cedar::CedarPolicies;
use env_config::Env;

include!(concat!(env!("OUT_DIR"), "/compiled_in.rs"));

const SCHEMA_FILE: &str = "schema.cedarschema";

/// Reads and validates the policies. Problems are recorded in `env` by file and line; an authorizer
/// without valid policies does not start.
pub(crate) fn read(env: &mut Env<'_>, user_pool_id: &str) -> Option<CedarPolicies> {
    let folder = env
        .optional("POLICIES_DIR")
        .map(PathBuf::from)
        .or_else(beside_the_binary);
    let sources = match &folder {
        Some(folder) => from_folder(folder),
        None => Ok(compiled_in()),
    };
    let policies = sources.and_then(|(schema, policies)| {
        CedarPolicies::parse(&schema, &policies, user_pool_id).map_err(|error| error.to_string())
    });
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

type Sources = (String, Vec<(String, String)>);

fn compiled_in() -> Sources {
    let policies = POLICIES
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    (SCHEMA.to_owned(), policies)
}

fn beside_the_binary() -> Option<PathBuf> {
    let folder = std::env::current_exe().ok()?.parent()?.join("policies");
    folder.is_dir().then_some(folder)
}

/// All `*.cedar` files of a folder, sorted by name, and its schema.
fn from_folder(folder: &Path) -> Result<Sources, String> {
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name)).map_err(|error| format!("{name}: {error}"))
    };
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".cedar"))
        .collect();
    names.sort();
    let policies = names
        .into_iter()
        .map(|name| Ok((name.clone(), read(&name)?)))
        .collect::<Result<_, String>>()?;
    Ok((read(SCHEMA_FILE)?, policies))
}
