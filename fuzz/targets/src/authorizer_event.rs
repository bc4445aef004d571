//! Events of the authorizer, of every kind: a request is allowed with a token that the issuer signed, or not at all.

use std::sync::{Arc, OnceLock};

use api_gateway::Effect;
use auth::memory::{MemoryApiKeys, MemoryKeys, MemoryRevocations};
use auth::{Algorithm, ApiKeys, TrustedIssuer, Verifier};
use authorizer::event::Kind;
use authorizer::{Authorizer, Config, Event};
use serde_json::Value;
use serde_json::value::RawValue;
use testkit::iam::allows;
use testkit::{Pool, events};

use crate::edit::edited;
use crate::input::Input;
use crate::path::{as_a_url_parser_reads, is_admin};
use crate::world::{AT, access_claims, world};
use crate::{samples, wait};

/// The longest response that API Gateway accepts.
const MAX_ANSWER: usize = 8 * 1024;
/// The longest resource of a policy.
const MAX_RESOURCE: usize = 512;

const CONFIGURATIONS: [&[(&str, &str)]; 5] = [
    &[],
    &[("POLICY_SCOPE", "api")],
    &[
        ("TOKEN_SOURCES", "header,cookie"),
        ("ALLOWED_ORIGINS", "https://app.example"),
    ],
    &[
        ("HTTP_API_RESPONSE", "simple"),
        ("CONTEXT_CLAIMS", "sub,groups,tenant,act,nested"),
    ],
    &[("API_KEY_TABLE", "keys"), ("TOKEN_SOURCES", "header,query")],
];

type Tested = Authorizer<MemoryKeys, MemoryRevocations, MemoryApiKeys>;

fn authorizers() -> &'static [Tested] {
    static AUTHORIZERS: OnceLock<Vec<Tested>> = OnceLock::new();
    AUTHORIZERS.get_or_init(|| CONFIGURATIONS.into_iter().map(authorizer).collect())
}

fn authorizer(variables: &[(&str, &str)]) -> Tested {
    let config = Config::from_lookup(&events::variables(variables)).expect("a configuration");
    let issuers = config.issuers.into_iter().map(|(mut issuer, _)| {
        issuer.algorithms = vec![Algorithm::EdDsa];
        issuer
    });
    let issuers: Vec<_> = issuers.collect();
    let trusted = issuers.iter().map(|issuer| TrustedIssuer {
        issuer: issuer.clone(),
        keys: world().keys.clone(),
    });
    let keys = MemoryKeys::new(trusted);
    let api_keys = config.api_key_table.map(|_| ApiKeys {
        store: MemoryApiKeys::default(),
        issuer_id: Arc::from(Pool::ours().id),
    });
    let verifier = Verifier::new(issuers, config.token_rules);
    let revocations = MemoryRevocations::default();
    Authorizer::new(verifier, keys, revocations, api_keys, config.settings).with_clock(|| AT)
}

/// Runs the target.
///
/// # Panics
/// A request is allowed without a valid token, or the answer is not the decision.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let configuration = input.below(CONFIGURATIONS.len());
    let samples = samples("authorizer");
    let at = input.below(64);
    let program = input.program();
    let claims_program = input.program();
    let mut claims = access_claims(AT);
    claims["tenant"] = "acme".into();
    let claims = edited(&claims, &claims_program);
    let json = match at {
        63 => String::from_utf8_lossy(&program).into_owned(),
        _ => edited(&samples[at % samples.len()], &program),
    };
    let token = world().signed(&claims);
    let json = json.replace("{{ACCESS_TOKEN}}", &token);
    let Ok(event) = serde_json::from_str::<Box<RawValue>>(&json) else {
        return;
    };
    let event = Event::read(&event);
    let authorizer = &authorizers()[configuration];
    let Ok(decision) = wait(authorizer.authorize(&event, &OnceLock::new())) else {
        return;
    };
    let text = decision.answer.get();
    assert!(text.len() <= MAX_ANSWER);
    let signature = token.rsplit('.').next().unwrap_or_default();
    assert!(!text.contains(signature), "the answer contains the token");
    assert!(json.contains(signature), "a decision without the token");
    let answer: Value = serde_json::from_str(text).expect("JSON");
    let is_allowed = decision.effect == Effect::Allow;
    let read: Value = serde_json::from_str(&json).unwrap_or_default();
    let template = template(&event, &read);
    let arn = event.method_arn();
    let path = arn.splitn(4, '/').nth(3);
    if let Some(document) = answer.get("policyDocument") {
        let covers_api = CONFIGURATIONS[configuration].contains(&("POLICY_SCOPE", "api"))
            && matches!(event.kind(), Kind::Token | Kind::Request | Kind::Http);
        // API Gateway sends no path that the route does not serve.
        if !covers_api || template.is_none_or(|template| serves(template, path)) {
            assert_eq!(allows(document, &arn), is_allowed, "{arn}: {document}");
        }
        allows_nothing_elsewhere(document, &arn);
        if !covers_api {
            allows_one_request(document, &arn);
        }
    } else {
        assert_eq!(answer["isAuthorized"], is_allowed);
    }
    let mut groups = decision.claims.groups().iter();
    if is_allowed && !groups.any(|group| group == "admins") {
        assert!(!template.is_some_and(is_admin), "a user calls {template:?}");
        // A route that serves many paths is not limited to administrators; its path may be.
        let is_open =
            |route: &str| route.starts_with("/{") || route.ends_with("+}") || route.contains("}/{");
        let called = path.filter(|_| template.is_none_or(is_open));
        let called = called.and_then(as_a_url_parser_reads);
        assert!(
            !called.as_deref().is_some_and(is_admin),
            "a user calls {path:?}"
        );
    }
}

/// The route, where events of this kind name it.
fn template<'a>(event: &Event<'_>, read: &'a Value) -> Option<&'a str> {
    let template = match event.kind() {
        Kind::Request => read["resource"].as_str(),
        Kind::Http => read["routeKey"]
            .as_str()
            .and_then(|key| Some(key.split_once(' ')?.1)),
        Kind::Token | Kind::WebSocket | Kind::AppSync => None,
    };
    template.filter(|template| template.starts_with('/'))
}

/// Whether a route serves this path.
fn serves(template: &str, path: Option<&str>) -> bool {
    let of = |text: &str| -> Vec<String> {
        let segments = text.split('/').filter(|one| !one.is_empty());
        segments.map(str::to_owned).collect()
    };
    let (parts, segments) = (of(template), of(path.unwrap_or_default()));
    let is_greedy = parts.last().is_some_and(|part| part.ends_with("+}"));
    let fits = |(part, segment): (&String, &String)| part.starts_with('{') || part == segment;
    (is_greedy || parts.len() == segments.len())
        && parts.len() <= segments.len()
        && parts.iter().zip(&segments).all(fits)
}

/// No policy allows the same path of another stage, API, account, region or partition.
fn allows_nothing_elsewhere(document: &Value, arn: &str) {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let segments: Vec<&str> = parts[5].splitn(4, '/').collect();
    for changed in 0..5 {
        for other in ["x", "longer-than-the-other", ""] {
            let (mut parts, mut segments) = (parts.clone(), segments.clone());
            let place = match changed {
                0 | 1 => &mut segments[changed],
                // The account, the region and the partition.
                2 => &mut parts[4],
                3 => &mut parts[3],
                _ => &mut parts[1],
            };
            let new = format!("{place}{other}");
            *place = if other.is_empty() { "other" } else { &new };
            let resource = segments.join("/");
            parts[5] = &resource;
            let elsewhere = parts.join(":");
            assert!(
                elsewhere == arn || !allows(document, &elsewhere),
                "{elsewhere}: {document}"
            );
        }
    }
}

/// A policy for one request allows no other one. Only a path that IAM reads in another way, or one that is too long for
/// a policy, is named by its beginning.
fn allows_one_request(document: &Value, arn: &str) {
    let segments: Vec<&str> = arn.splitn(4, '/').collect();
    let other_verb = format!(
        "{}/{}/X{}",
        segments[0],
        segments[1],
        segments[2..].join("/")
    );
    assert!(!allows(document, &other_verb), "{other_verb}: {document}");
    let path = segments.get(3).copied().unwrap_or_default();
    let is_literal = |c: char| match c {
        '*' | '?' | '"' | '\\' | '<' | '>' | '{' | '}' | '#' => false,
        c => !c.is_control(),
    };
    let is_exact = path.chars().all(is_literal) && arn.len() <= MAX_RESOURCE;
    let statements = document["Statement"].as_array().into_iter().flatten();
    let allowing = statements.filter(|statement| statement["Effect"] == "Allow");
    for resource in allowing.flat_map(|statement| statement["Resource"].as_array().expect("a list"))
    {
        let resource = resource.as_str().expect("text");
        let wildcard = resource.find(['*', '?']);
        assert!(
            wildcard.is_none_or(|at| !is_exact && at + 1 == resource.len()),
            "{arn}: {resource}"
        );
    }
    let mut others = vec![format!("{arn}/x"), format!("{arn}x")];
    if !is_exact {
        // What follows may be covered, but not another beginning.
        others.clear();
    }
    // A stage or an API with a name that long would leave no room for a path.
    let has_room = segments[..3].join("/").len() < MAX_RESOURCE - 100;
    if has_room && segments.len() > 3 && !path.starts_with('%') {
        let first = if path.starts_with('x') { 'y' } else { 'x' };
        let rest: String = path.chars().skip(1).collect();
        others.push(format!("{}/{first}{rest}", segments[..3].join("/")));
    }
    for other in others {
        assert!(!allows(document, &other), "{other}: {document}");
    }
}
