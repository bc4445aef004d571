//! Policies for a whole API and for one request, against models of IAM and of API Gateway's router.

use api_gateway::routes::{Route, RouteTable};
use api_gateway::{Effect, IamPolicy, MethodArn};
use testkit::iam::{allows, routed};

use crate::input::Input;

const PREFIX: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod";
/// The model of `*` tries every length.
const MAX_PARAMETERS: usize = 4;
const MAX_PATH: usize = 200;
/// The model of the router tries every division of a path.
const MAX_SEGMENTS: usize = 10;

/// Runs the target.
///
/// # Panics
/// A policy allows a request to a route that is denied, or the other way round, or covers another verb, stage or API.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut templates = input.lines();
    templates.sort_unstable();
    templates.dedup();
    templates.truncate(8);
    let allowed: Vec<bool> = templates.iter().map(|_| input.below(2) == 0).collect();
    let _ = input.bytes();
    let mut paths = input.lines();
    paths.truncate(16);
    let routes = templates
        .iter()
        .map(|template| Route::parse("GET", template));
    let Ok(routes) = routes.collect::<Result<Vec<_>, _>>() else {
        return;
    };
    for (route, template) in routes.iter().zip(&templates) {
        assert_eq!(route.template(), template);
    }
    for path in paths
        .iter()
        .filter(|path| path.starts_with('/') && path.len() <= MAX_PATH)
    {
        one_request(path, &routes);
    }
    let Ok(table) = RouteTable::new(routes) else {
        return;
    };
    let of_parameters = |template: &String| template.matches('{').count();
    if templates.iter().map(of_parameters).max() > Some(MAX_PARAMETERS) {
        return;
    }
    let effects: Vec<Effect> = allowed
        .iter()
        .map(|allowed| {
            if *allowed {
                Effect::Allow
            } else {
                Effect::Deny
            }
        })
        .collect();
    let any = format!("{PREFIX}/GET/");
    let policy = table.policy(&MethodArn::parse(&any).expect("an ARN"), &effects);
    let document = serde_json::to_value(&policy).expect("JSON");
    assert!(document.to_string().len() <= 8 * 1024);
    let names: Vec<&str> = templates.iter().map(String::as_str).collect();
    for path in &paths {
        // API Gateway's router knows no empty segments.
        let segments = path.matches('/').count();
        if path.len() > MAX_PATH || segments > MAX_SEGMENTS {
            continue;
        }
        if !path.starts_with('/') || path.contains("//") {
            continue;
        }
        if path.len() > 1 && path.ends_with('/') {
            continue;
        }
        let found = table.route_of("GET", path).map(Route::template);
        let expected = routed(&names, path);
        assert_eq!(found, expected, "{names:?} {path}");
        let at = expected.and_then(|name| names.iter().position(|known| *known == name));
        let arn = format!("{PREFIX}/GET{path}");
        if let Some(at) = at {
            assert_eq!(
                allows(&document, &arn),
                allowed[at],
                "{names:?} {allowed:?} {path}"
            );
            assert!(policy.covers(&arn) || !allowed[at], "{path} is not covered");
        }
        elsewhere(&document, path);
    }
}

/// The policy of one request covers it, and nothing of another verb, stage or API.
fn one_request(path: &str, routes: &[Route]) {
    let arn = format!("{PREFIX}/GET{path}");
    let Ok(arn) = MethodArn::parse(&arn) else {
        return;
    };
    assert_eq!(
        (arn.as_str(), arn.stage_prefix(), arn.verb()),
        (arn.as_str(), PREFIX, "GET")
    );
    assert_eq!(arn.untrusted_path(), Some(&path[1..]));
    let template = api_gateway::routes::route_of(routes, "GET", path).map(Route::template);
    let own = arn.request_resource(template);
    let is_literal = !path.contains(['*', '?', '$', '"', '\\']) && path.is_ascii();
    if let Some(resource) = &own {
        assert!(resource.len() <= 512);
        let policy = IamPolicy::new(Effect::Allow, resource.clone());
        let document = serde_json::to_value(&policy).expect("JSON");
        assert!(allows(&document, arn.as_str()), "{path}: {resource}");
        elsewhere(&document, path);
        if is_literal && path.len() + PREFIX.len() < 500 && !resource.ends_with('*') {
            // Nothing but this request.
            for other in [
                format!("{path}x"),
                format!("{path}/x"),
                path[..path.len() - 1].to_owned(),
            ] {
                assert!(
                    !allows(&document, &format!("{PREFIX}/GET{other}")),
                    "{path}: {other}"
                );
            }
        }
    }
    if let Some(decoded) = arn.decoded_resource() {
        assert!(decoded.len() <= 512);
        let document = serde_json::to_value(IamPolicy::new(Effect::Allow, decoded)).expect("JSON");
        elsewhere(&document, path);
    }
    let denied = IamPolicy::new(Effect::Deny, arn.resource_of_verb());
    assert!(denied.covers(arn.as_str()) && !denied.has_allow());
}

fn elsewhere(document: &serde_json::Value, path: &str) {
    for arn in [
        format!("{PREFIX}/POST{path}"),
        format!("{}/GET{path}", PREFIX.replace("prod", "dev")),
        format!("{}/GET{path}", PREFIX.replace("abcdef123", "other")),
    ] {
        assert!(!allows(document, &arn), "another verb, stage or API: {arn}");
    }
}
