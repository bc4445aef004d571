//! Requests of proxies to forward-auth, in every dialect and as events of Lambda: all dialects decide alike, and nothing is
//! allowed without a token that the issuer signed.

use std::sync::OnceLock;

use auth::memory::{MemoryApiKeys, MemoryKeys, MemoryRevocations};
use auth::{Algorithm, Callers, TrustedIssuer, Verifier};
use auth_tower::Gate;
use forward_auth::{Config, ForwardAuth};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};
use runtime::Handler;
use serde_json::Value;
use serde_json::value::RawValue;
use testkit::events;

use crate::edit::edited;
use crate::input::Input;
use crate::path::{as_a_url_parser_reads, is_admin};
use crate::rules::POLICIES;
use crate::world::{AT, access_claims, world};
use crate::{samples, wait};

const DIALECTS: [&str; 4] = ["nginx", "ingress-nginx", "forwarded", "envoy"];

/// The body of `/healthz`, the only other answer with status 200 here.
const HEALTHY: &str = "ok\n";

/// What a server removes around the value of a header field (RFC 9110 section 5.5).
const SPACES: [char; 2] = [' ', '\t'];

/// Names and values of header fields.
type Fields<'a> = Vec<(&'a str, &'a str)>;
type Tested = ForwardAuth<MemoryKeys, MemoryRevocations, MemoryApiKeys>;

fn tested() -> &'static [Tested] {
    static TESTED: OnceLock<Vec<Tested>> = OnceLock::new();
    TESTED.get_or_init(|| DIALECTS.into_iter().map(forward_auth).collect())
}

fn forward_auth(dialect: &str) -> Tested {
    let variables = [
        ("PROXY_DIALECT", dialect),
        ("POLICIES_DIR", POLICIES),
        ("TOKEN_SOURCES", "header,cookie"),
        ("ALLOWED_ORIGINS", "https://app.example"),
    ];
    let config = Config::from_lookup(&events::variables(&variables)).expect("a configuration");
    let issuers = config.issuers.into_iter().map(|(mut issuer, _)| {
        issuer.algorithms = vec![Algorithm::EdDsa];
        issuer
    });
    let issuers: Vec<_> = issuers.collect();
    let trusted = issuers.iter().map(|issuer| TrustedIssuer {
        issuer: issuer.clone(),
        keys: world().keys.clone(),
    });
    let gate = Gate {
        callers: Callers {
            keys: MemoryKeys::new(trusted),
            verifier: Verifier::new(issuers, config.token_rules),
            revocations: MemoryRevocations::default(),
            api_keys: None,
            max_token_bytes: config.max_token_bytes,
            clock: || AT,
        },
        policies: config.policies,
        routes: config.routes,
        places: config.places,
        sessions: None,
    };
    ForwardAuth::new(gate, config.settings, None, None)
}

/// Runs the target.
///
/// # Panics
/// A request is allowed without a valid token, or a dialect decides in another way than the others.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(2) {
        0 => original(&mut input),
        _ => event(&mut input),
    }
}

/// One original request, as each proxy reports it.
fn original(input: &mut Input<'_>) {
    let groups = input.below(2);
    let [method, host, target] = [input.text(), input.text(), input.text()];
    let [method, host, target] = [&method, &host, &target].map(|text| text.trim_matches(SPACES));
    let lines = input.lines();
    let mut claims = access_claims(AT);
    if groups == 1 {
        claims["cognito:groups"] = ["admins"].as_slice().into();
    }
    let token = world().signed(&claims.to_string());
    let lines: Vec<String> = lines
        .iter()
        .map(|line| line.replace("{T}", &token))
        .collect();
    let url = format!("https://{host}{target}");
    let asked = format!("/auth{target}");
    let reported: [(&str, &str, Fields<'_>); 4] = [
        (
            "GET",
            "/auth",
            vec![
                ("x-original-method", method),
                ("x-original-host", host),
                ("x-original-uri", target),
            ],
        ),
        (
            "GET",
            "/auth",
            vec![("x-original-method", method), ("x-original-url", &url)],
        ),
        (
            "GET",
            "/auth",
            vec![
                ("x-forwarded-method", method),
                ("x-forwarded-host", host),
                ("x-forwarded-uri", target),
            ],
        ),
        (method, &asked, vec![("host", host)]),
    ];
    let mut statuses = Vec::new();
    for (at, (method, uri, own)) in reported.iter().enumerate() {
        // An HTTP server refuses a request that cannot be built. Only Envoy's has the client's URI and method.
        let Some(parts) = parts(method, uri, own, &lines) else {
            statuses.push(None);
            continue;
        };
        let answer = wait(tested()[at].answer(&parts, None));
        let status = answer.status().as_u16();
        assert!(
            [200, 400, 401, 403, 404, 405, 431].contains(&status),
            "{status}"
        );
        let signature = token.rsplit('.').next().unwrap_or_default();
        let has_token = lines.iter().any(|line| line.contains(signature));
        assert!(status != 200 || has_token, "allowed without a token");
        let called = target.strip_prefix('/').and_then(as_a_url_parser_reads);
        // In a URL, a host with a slash begins the path; nginx refuses such a host.
        let is_admin = called.as_deref().is_some_and(is_admin) && !(at == 1 && host.contains('/'));
        assert!(
            status != 200 || !is_admin || groups == 1,
            "a user calls {target}"
        );
        assert!(
            status != 200 || answer.headers().contains_key("x-auth-subject"),
            "allowed without a subject"
        );
        for value in answer.headers().values() {
            let text = value.to_str().expect("ASCII");
            assert!(!text.contains(signature), "the answer contains the token");
        }
        statuses.push(Some(status));
    }
    // Three dialects report the original request in headers of the same values, the second as one URL, in which a target
    // without a slash continues the port. Envoy's own is a request, in which a
    // fragment or bytes that are no ASCII are invalid before it is a question.
    assert!(
        statuses[0] == statuses[2],
        "{statuses:?}: {method} {host} {target}"
    );
    assert!(
        statuses[0] == statuses[1] || host.contains('/') || !target.starts_with('/'),
        "{statuses:?}: {method} {url}"
    );
    let are_valid = [statuses[3], statuses[0]]
        .iter()
        .all(|status| status.is_some_and(|status| status != 400));
    // Of a request's own URI the server removes the fragment; Envoy refuses a path that has one.
    if are_valid && !target.contains('#') {
        assert_eq!(statuses[3], statuses[0], "{method} {host} {target}");
    }
}

fn parts(method: &str, uri: &str, own: &[(&str, &str)], lines: &[String]) -> Option<Parts> {
    let request = Request::builder().method(method).uri(uri).body(()).ok()?;
    let mut parts = request.into_parts().0;
    let others = lines.iter().filter_map(|line| line.split_once(':'));
    for (name, value) in own.iter().copied().chain(others) {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let is_own = |(known, _): &(&str, &str)| *known == name;
        let is_a_part =
            name.as_str().starts_with("x-original") || name.as_str().starts_with("x-forwarded");
        if (is_a_part || name == "host") && !own.iter().any(is_own) {
            continue;
        }
        parts.headers.append(
            name,
            HeaderValue::from_str(value.trim_matches(SPACES)).ok()?,
        );
    }
    Some(parts)
}

/// An event of a function URL or a load balancer.
fn event(input: &mut Input<'_>) {
    let at = input.below(64);
    let dialect = input.below(DIALECTS.len());
    let samples = samples("forward-auth");
    let json = match at {
        63 => String::from_utf8_lossy(input.bytes()).into_owned(),
        _ => edited(&samples[at % samples.len()], &input.program()),
    };
    let token = world().signed(&access_claims(AT).to_string());
    let json = json.replace("{{SAMPLE_TOKEN}}", &token);
    let Ok(event) = serde_json::from_str::<Box<RawValue>>(&json) else {
        return;
    };
    let Ok(answer) = wait(tested()[dialect].handle(&event, "request-1")) else {
        return;
    };
    let answer = serde_json::to_value(&answer).expect("JSON");
    let status = answer["statusCode"].as_u64().expect("a status");
    let signature = token.rsplit('.').next().unwrap_or_default();
    assert!(
        !answer.to_string().contains(signature),
        "the answer contains the token"
    );
    if status == 200 && answer["body"] != HEALTHY {
        let is_decision = |headers: &Value| headers.get("x-auth-subject").is_some();
        assert!(
            is_decision(&answer["headers"]) || is_decision(&answer["multiValueHeaders"]),
            "allowed without a subject"
        );
        assert!(json.contains(signature), "allowed without a token");
    }
}
