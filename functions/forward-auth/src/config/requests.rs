//! How original requests are read: dialect, address, routes, rules, and what responses name.

use std::path::Path;

use api_gateway::routes::Route;
use auth_cedar::CedarPolicies;
use auth_tower::Challenges;
use env_config::{ConfigError, Env};
use http::{HeaderName, Uri};

use crate::dialect::{ClientAddress, Dialect};
use crate::identity::Identity;

pub(super) fn dialect(env: &mut Env<'_>) -> Option<Dialect> {
    const NAME: &str = "PROXY_DIALECT";
    let name = env.required(NAME);
    let found = Dialect::ALL.iter().find(|(known, _)| *known == name);
    if found.is_none() && !name.is_empty() {
        env.problem(
            NAME,
            "is not `nginx`, `ingress-nginx`, `forwarded` or `envoy`",
        );
    }
    found.map(|(_, dialect)| *dialect)
}

pub(super) fn client_address(env: &mut Env<'_>) -> Option<ClientAddress> {
    const NAME: &str = "CLIENT_ADDRESS_HEADER";
    let hops = env.number("TRUSTED_HOPS", 1, 1..=16);
    let name = env.optional(NAME)?;
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(header) => Some(ClientAddress {
            header,
            hops: usize::try_from(hops).unwrap_or(1),
        }),
        Err(_) => {
            env.problem(NAME, "is not a header's name");
            None
        }
    }
}

pub(super) fn routes(env: &mut Env<'_>) -> Vec<Route> {
    const NAME: &str = "ROUTES_FILE";
    let Some(file) = env.optional(NAME) else {
        return Vec::new();
    };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            env.problem(NAME, &format!("cannot be read: {error}"));
            return Vec::new();
        }
    };
    let mut routes: Vec<Route> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = at + 1;
        let parts = line.split_once(char::is_whitespace);
        match parts.map(|(verb, template)| Route::parse(verb, template.trim())) {
            Some(Ok(route)) if routes.contains(&route) => {
                env.problem(NAME, &format!("is invalid: line {number} repeats a route"));
            }
            Some(Ok(route)) => routes.push(route),
            Some(Err(error)) => {
                env.problem(NAME, &format!("is invalid: line {number}: {error}"));
            }
            None => env.problem(
                NAME,
                &format!("is invalid: line {number} is not `VERB /template`"),
            ),
        }
    }
    routes
}

pub(super) fn policies(env: &mut Env<'_>, user_pool_id: &str) -> Option<CedarPolicies> {
    const NAME: &str = "POLICIES_DIR";
    let folder = env.required(NAME);
    if folder.is_empty() {
        return None;
    }
    match CedarPolicies::from_folder(Path::new(&folder), user_pool_id) {
        Ok(policies) => Some(policies),
        Err(error) => {
            env.problem(NAME, &format!("is invalid: {error}"));
            None
        }
    }
}

pub(super) fn identity(env: &mut Env<'_>) -> Vec<Identity> {
    const NAME: &str = "IDENTITY_HEADERS";
    let Some(names) = env.list(NAME) else {
        return Identity::DEFAULT.to_vec();
    };
    let mut chosen = Vec::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        match Identity::ALL.iter().find(|(known, _)| known == name) {
            Some((_, identity)) if chosen.contains(identity) => {
                env.problem(NAME, "names a header twice");
            }
            Some((_, identity)) => chosen.push(*identity),
            None => env.problem(
                NAME,
                "is not a list of `subject`, `username`, `groups`, `scope`, `client_id`, `issuer`, `session`, `key_id`",
            ),
        }
    }
    chosen
}

/// Fails only if a constant text cannot be in a header.
pub(super) fn challenges(env: &mut Env<'_>) -> Result<Challenges, ConfigError> {
    const NAME: &str = "RESOURCE_METADATA";
    let url = env.optional(NAME);
    let is_plain = |url: &String| {
        let uri: Option<Uri> = url.parse().ok();
        let is_https = uri.is_some_and(|uri| uri.scheme_str() == Some("https"));
        is_https
            && url.bytes().all(|b| b.is_ascii_graphic())
            && !url.contains(['"', '\\', '@', '#'])
    };
    let url = match url {
        Some(url) if !is_plain(&url) => {
            env.problem(NAME, "is not a plain https:// address");
            None
        }
        url => url,
    };
    let problem = || ConfigError(vec![format!("{NAME} cannot be in a header")]);
    Challenges::new(url.as_deref()).ok_or_else(problem)
}
