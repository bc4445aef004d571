//! Events of the authorizer, of every kind: a request is allowed with a token that the issuer signed, or not at all.

use std::sync::{Arc, OnceLock};

use api_gateway::Effect;
use auth::memory::{MemoryApiKeys, MemoryKeys, MemoryRevocations};
use auth::{Algorithm, ApiKeys, TrustedIssuer, UnixSeconds, Verifier};
use authorizer::{Authorizer, Config, Event};
use serde_json::Value;
use serde_json::value::RawValue;
use testkit::iam::allows;
use testkit::{Pool, events, now};

use crate::edit::edited;
use crate::input::Input;
use crate::world::{access_claims, world};
use crate::{samples, wait};

/// The longest response that API Gateway accepts.
const MAX_ANSWER: usize = 8 * 1024;

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
    Authorizer::new(verifier, keys, revocations, api_keys, config.settings)
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
    let mut claims = access_claims(UnixSeconds(now()));
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
    if let Some(document) = answer.get("policyDocument") {
        let arn = event.method_arn();
        assert_eq!(allows(document, &arn), is_allowed, "{arn}: {document}");
        for (one, other) in [
            ("/prod/", "/dev/"),
            ("execute-api", "lambda"),
            ("GET/", "PUT/"),
        ] {
            let elsewhere = arn.replacen(one, other, 1);
            let is_other = elsewhere != arn && !document.to_string().contains('*');
            assert!(
                !is_other || !allows(document, &elsewhere),
                "{elsewhere}: {document}"
            );
        }
    } else {
        assert_eq!(answer["isAuthorized"], is_allowed);
    }
    let is_admin = decision
        .claims
        .groups()
        .iter()
        .any(|group| group == "admins");
    let arn = event.method_arn();
    let path = arn.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
    if is_allowed && !is_admin && answer.get("policyDocument").is_some() {
        let is_below_admin = path == "admin" || path.starts_with("admin/");
        let names_no_route = event.kind() == authorizer::event::Kind::Token;
        assert!(!(is_below_admin && names_no_route), "a user calls {path}");
    }
}
