//! What policies see of a caller and of a request, and which policies are refused.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::error::Error;
use std::path::Path;

use api_gateway::Effect;
use auth::{ClaimsBuilder, UnixSeconds, VerifiedClaims};
use auth_cedar::{CedarPolicies, PolicyError, Request};
use serde_json::json;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const POOL: &str = "us-east-1_Gatehouse";
const PERMIT: &str = "permit (principal, action, resource);";

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")
}

fn schema() -> String {
    std::fs::read_to_string(folder().join("schema.cedarschema")).unwrap()
}

fn parse(schema: &str, texts: &[&str]) -> Result<CedarPolicies, PolicyError> {
    let file = |(at, text): (usize, &&str)| (format!("{at}.cedar"), (*text).to_owned());
    let files: Vec<_> = texts.iter().enumerate().map(file).collect();
    CedarPolicies::parse(schema, &files, POOL)
}

fn problems(schema: &str, texts: &[&str]) -> Vec<String> {
    let error = parse(schema, texts).map(drop).unwrap_err();
    assert_eq!(error.to_string(), error.0.join("; "));
    assert!(error.source().is_none());
    error.0
}

fn request<'a>(verb: &'a str, route: &'a str) -> Request<'a> {
    Request {
        verb,
        route,
        path: None,
        path_parameters: Vec::new(),
        source_ip: None,
        now: NOW,
    }
}

fn allows(texts: &[&str], claims: &VerifiedClaims, request: &Request<'_>) -> bool {
    let policies = parse(&schema(), texts).unwrap_or_else(|error| panic!("{texts:?}: {error}"));
    policies.decide(claims, request) == Effect::Allow
}

/// Whether a `permit` with this scope and condition permits `GET /whoami`.
fn permits(scope: &str, condition: &str, claims: &VerifiedClaims) -> bool {
    let policy = format!("permit ({scope}) when {{ {condition} }};");
    allows(&[&policy], claims, &request("GET", "/whoami"))
}

fn user() -> ClaimsBuilder {
    ClaimsBuilder::user("ada", NOW).issuer_id(POOL)
}

fn machine() -> ClaimsBuilder {
    ClaimsBuilder::machine("m-1", NOW).issuer_id(POOL)
}

fn api_key() -> ClaimsBuilder {
    ClaimsBuilder::api_key("ada", "k-1", NOW).issuer_id(POOL)
}

#[test]
fn each_kind_of_caller_has_its_own_name() {
    let callers = [
        (user().build(), r#"User::"us-east-1_Gatehouse|ada""#),
        (machine().build(), r#"Client::"us-east-1_Gatehouse|m-1""#),
        (api_key().build(), r#"ApiKey::"us-east-1_Gatehouse|k-1""#),
    ];
    for (claims, own) in &callers {
        for (_, name) in &callers {
            let scope = format!("principal == Gatehouse::{name}, action, resource");
            assert_eq!(permits(&scope, "true", claims), own == name, "{own} {name}");
        }
        // With tags, too.
        let scope = format!("principal == Gatehouse::{own}, action, resource");
        let tags = r#"!resource.hasTag("id")"#;
        assert!(permits(&scope, tags, claims), "{own}");
    }
    // An API key without an id has no name.
    let nameless = api_key().token_id(None).build();
    assert!(!permits("principal, action, resource", "true", &nameless));
}

#[test]
fn groups_and_roles_are_those_of_the_issuer() {
    let roles = json!(["tester"]);
    let here = user().groups(["admins", "staff"]).claim("roles", roles);
    let elsewhere = here.clone().issuer_alias("partner").build();
    let here = here.build();
    for (group, is_in) in [
        (r#"UserGroup::"us-east-1_Gatehouse|admins""#, true),
        (r#"UserGroup::"us-east-1_Gatehouse|staff""#, true),
        (r#"UserGroup::"us-east-1_Gatehouse|tester""#, false),
        (r#"UserGroup::"us-east-1_Gatehouse|""#, false),
        (r#"UserGroup::"admins""#, false),
        (r#"UserGroup::"{{USER_POOL_ID}}|admins""#, true),
        (r#"Role::"us-east-1_Gatehouse|tester""#, true),
        (r#"Role::"us-east-1_Gatehouse|admins""#, false),
    ] {
        let scope = format!("principal in Gatehouse::{group}, action, resource");
        for tags in ["true", r#"!resource.hasTag("id")"#] {
            assert_eq!(permits(&scope, tags, &here), is_in, "{group}");
            assert!(!permits(&scope, tags, &elsewhere), "{group}");
        }
        let other = scope.replace("us-east-1_Gatehouse", "partner");
        let other = other.replace("{{USER_POOL_ID}}", "partner");
        assert_eq!(permits(&other, "true", &elsewhere), is_in, "{other}");
        // A machine and a key are in no group.
        assert!(!permits(&scope, "true", &machine().build()), "{group}");
    }
}

#[test]
fn the_context_has_the_token_and_the_request() {
    let claims = user()
        .client_id("c-1")
        .scope("read write")
        .authenticated_at(UnixSeconds(NOW.0 - 60))
        .claim("tenant", "acme")
        .build();
    let holds = |claims: &VerifiedClaims, condition: &str| {
        let permit = format!("permit (principal, action, resource) when {{ {condition} }};");
        let mut request = request("GET", "/orders/{id}");
        request.path = Some("/orders/7");
        request.path_parameters = vec![("id".to_owned(), "7".to_owned())];
        allows(&[&permit], claims, &request)
    };
    for condition in [
        r#"context.token.sub == "ada""#,
        r#"context.token.issuer == "us-east-1_Gatehouse""#,
        r#"context.token.client_id == "c-1""#,
        r#"context.token.scope == ["read", "write"]"#,
        r#"context.token.token_use == "access""#,
        "context.token.auth_time == 1799999940",
        r#"context.route == "/orders/{id}""#,
        r#"context has path && context.path == "/orders/7""#,
        "context.auth_age == 60",
        "!(context has source_ip)",
        r#"resource.hasTag("id") && resource.getTag("id") == "7""#,
        r#"principal is Gatehouse::User && principal.hasTag("tenant") && principal.getTag("tenant") == "acme""#,
        r#"!(principal is Gatehouse::User && principal.hasTag("id"))"#,
        r#"!resource.hasTag("tenant")"#,
    ] {
        assert!(holds(&claims, condition), "{condition}");
        assert!(!holds(&claims, &format!("!({condition})")), "{condition}");
    }
    // A sign-in after the present is as recent as one now.
    let early = user().authenticated_at(NOW.plus(5)).build();
    assert!(holds(&early, "context.auth_age == 0"));
    // A key and a machine have not signed in.
    for claims in [machine().build(), api_key().build()] {
        assert!(holds(&claims, "context.auth_age == 9223372036854775807"));
    }
}

#[test]
fn an_action_is_the_verb_in_lower_case_and_the_route() {
    let permit = r#"permit (principal, action == Gatehouse::Action::"get /whoami", resource);"#;
    let resource =
        r#"permit (principal, action, resource == Gatehouse::Application::"Gatehouse");"#;
    for (verb, route, is_it) in [
        ("GET", "/whoami", true),
        ("get", "/whoami", true),
        ("POST", "/whoami", false),
        ("GET", "/whoami/", false),
        ("GET", "/WHOAMI", false),
    ] {
        let request = request(verb, route);
        assert_eq!(
            allows(&[permit], &user().build(), &request),
            is_it,
            "{verb} {route}"
        );
        assert!(allows(&[resource], &user().build(), &request));
    }
}

/// Cedar skips what it cannot evaluate.
#[test]
fn a_forbid_that_cannot_be_evaluated_denies() {
    // Adding to the largest number overflows: at run time, not in the validator.
    let overflows = "context.auth_age + context.auth_age > 0";
    let forbid = format!("forbid (principal, action, resource) when {{ {overflows} }};");
    let permit = format!("permit (principal, action, resource) when {{ {overflows} }};");
    let request = request("GET", "/whoami");
    let signed_in = user().authenticated_at(UnixSeconds(NOW.0 - 5)).build();
    for (claims, evaluated) in [(signed_in.clone(), true), (machine().build(), false)] {
        assert!(allows(&[PERMIT], &claims, &request));
        assert!(
            !allows(&[PERMIT, &forbid], &claims, &request),
            "{evaluated}"
        );
        assert!(allows(&[PERMIT, &permit], &claims, &request), "{evaluated}");
    }
    assert!(!allows(&[&permit], &machine().build(), &request));
    let never = forbid.replace("> 0", "< 0");
    assert!(allows(&[PERMIT, &never], &signed_in, &request));
    assert!(!allows(&[PERMIT, &never], &machine().build(), &request));
}

#[test]
fn without_a_permit_everything_is_denied() {
    let forbid = "forbid (principal, action, resource);";
    let request = request("GET", "/whoami");
    assert!(!allows(&[forbid], &user().build(), &request));
    assert!(!allows(&[forbid, PERMIT], &user().build(), &request));
}

#[test]
fn problems_name_the_file() {
    let template = "permit (principal == ?principal, action, resource);";
    let named = format!("@id(\"a\") {PERMIT}");
    for (texts, expected) in [
        (&[][..], "there is no policy"),
        (&[""], "there is no policy"),
        (&[PERMIT, "permit ("], "1.cedar: "),
        (
            &[PERMIT, template],
            "1.cedar: policy templates are not supported",
        ),
        (
            &[named.as_str(), &named],
            "1.cedar: a second policy has the id `a`",
        ),
    ] {
        let found = problems(&schema(), texts);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found.iter().all(|one| one.starts_with(expected)),
            "{found:?}"
        );
    }
    // All at once.
    assert_eq!(
        problems(&schema(), &["permit (", PERMIT, template]).len(),
        2
    );
    let unknown = r#"permit (principal, action == Gatehouse::Action::"get /nothing", resource);"#;
    assert!(!problems(&schema(), &[unknown]).is_empty());
    for schema in [
        schema().replace("entity Application tags String;", ""),
        schema().replace("entity Application", "entity application"),
        "entity".to_owned(),
        String::new(),
    ] {
        assert!(
            problems(&schema, &[PERMIT])
                .iter()
                .all(|one| one.starts_with("schema.cedarschema: "))
        );
    }
}

/// The namespace is the schema's.
#[test]
fn another_namespace_is_that_of_the_entities() {
    let schema = schema().replace("namespace Gatehouse", "namespace Shop");
    let permit = r#"permit (principal in Shop::UserGroup::"us-east-1_Gatehouse|staff", action, resource == Shop::Application::"Shop");"#;
    let policies = parse(&schema, &[permit]).unwrap();
    let decide = |claims| policies.decide(&claims, &request("GET", "/whoami"));
    assert_eq!(decide(user().groups(["staff"]).build()), Effect::Allow);
    assert_eq!(decide(user().build()), Effect::Deny);
}

#[test]
fn a_folder_has_its_policies_in_cedar_files() {
    let policies = CedarPolicies::from_folder(&folder(), POOL).unwrap();
    let decide = |claims, route| policies.decide(&claims, &request("GET", route));
    assert_eq!(decide(user().build(), "/whoami"), Effect::Allow);
    assert_eq!(decide(user().build(), "/admin"), Effect::Deny);
    assert_eq!(
        decide(user().groups(["admins"]).build(), "/admin"),
        Effect::Allow
    );
    assert_eq!(decide(machine().build(), "/whoami"), Effect::Deny);
    let missing = CedarPolicies::from_folder(&folder().join("missing"), POOL);
    assert!(missing.is_err_and(|error| !error.0.is_empty()));
}

#[test]
fn uses_are_those_of_any_policy() {
    let tag = r#"permit (principal, action, resource) when { resource.hasTag("id") };"#;
    let claim = r#"permit (principal is Gatehouse::User, action, resource) when { principal.hasTag("id") };"#;
    let address = "permit (principal, action, resource) when { context has source_ip };";
    let path = "permit (principal, action, resource) when { context has path };";
    let age = "permit (principal, action, resource) when { context.auth_age < 60 };";
    for (text, expected, scoped) in [
        (tag, (true, false, false), true),
        (claim, (true, false, false), false),
        (address, (false, true, false), true),
        (path, (false, false, true), false),
        (age, (false, false, false), true),
    ] {
        for texts in [[text, PERMIT], [PERMIT, text], [text, text]] {
            let policies = parse(&schema(), &texts).unwrap();
            let uses = (
                policies.uses_tags(),
                policies.uses_address(),
                policies.uses_path(),
            );
            assert_eq!(uses, expected, "{text}");
            assert_eq!(policies.request_scoped_policy().is_some(), scoped, "{text}");
        }
    }
    let role =
        r#"permit (principal in Gatehouse::Role::"us-east-1_Gatehouse|tester", action, resource);"#;
    let tester = user().claim("roles", json!(["tester"])).build();
    for texts in [[role, tag], [tag, role]] {
        assert!(allows(&texts, &tester, &request("GET", "/whoami")));
    }
}
