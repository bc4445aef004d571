//! Configurations that must not start, and their problems.

use std::path::Path;

use super::*;

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");

fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let given = [("PROXY_DIALECT", "nginx"), ("POLICIES_DIR", POLICIES)];
    let all: Vec<(&str, &str)> = variables.iter().copied().chain(given).collect();
    Config::from_lookup(&testkit::events::variables(&all))
}

fn problems(variables: &[(&str, &str)]) -> Vec<String> {
    read(variables)
        .err()
        .map(|error| error.0)
        .unwrap_or_default()
}

#[test]
fn invalid_values_stop_the_start() {
    for (name, value) in [
        ("PROXY_DIALECT", "traefik"),
        ("CLIENT_ADDRESS_HEADER", "a b"),
        ("TRUSTED_HOPS", "0"),
        ("CREDENTIAL_HEADER", "a b"),
        ("CREDENTIAL_HEADER", "Cookie"),
        ("ROUTES_FILE", "/nonexistent"),
        ("POLICIES_DIR", "/nonexistent"),
        ("IDENTITY_HEADERS", "subject,email"),
        ("IDENTITY_HEADERS", "subject,subject"),
        ("RESOURCE_METADATA", "http://a.example"),
        ("RESOURCE_METADATA", "https://a.example/\"x"),
        ("RESOURCE_METADATA", "https://a.example/ x"),
        ("DECISION_CACHE_SECONDS", "61"),
        ("REVOCATION_STORE", "redis"),
        ("API_KEY_HEADER", "cookie"),
        ("TOKEN_SOURCES", "header,query"),
        ("TOKEN_SOURCES", "session"),
        ("PHANTOM_TTL_SECONDS", "9"),
        ("PHANTOM_AUDIENCES", "{}"),
        ("PHANTOM_KEYS_FILE", "/keys"),
    ] {
        let problems = problems(&[(name, value)]);
        assert!(
            problems.iter().any(|problem| problem.starts_with(name)),
            "{name}={value}: {problems:?}"
        );
    }
    assert_eq!(problems(&[]), Vec::<String>::new());
}

#[test]
fn contradictory_values_stop_the_start() {
    let memory = ("REVOCATION_STORE", "memory");
    let issuer = ("PHANTOM_ISSUER", "https://auth.example.com");
    let (file, arn) = (("PHANTOM_KEYS_FILE", "/keys"), ("PHANTOM_KEYS_ARN", "arn"));
    let audiences = ("PHANTOM_AUDIENCES", "{\"a.example\": \"a\"}");
    let pool = testkit::Pool::ours().issuer();
    assert_eq!(problems(&[issuer, file, audiences]), Vec::<String>::new());
    for (variables, name) in [
        (vec![memory], "REVOCATION_TABLE"),
        (
            vec![memory, ("REVOCATION_TABLE", ""), ("API_KEY_TABLE", "keys")],
            "API_KEY_TABLE",
        ),
        (
            vec![
                memory,
                ("REVOCATION_TABLE", ""),
                ("TOKEN_SOURCES", "header,session"),
                ("ALLOWED_ORIGINS", "https://app.example"),
                ("BROWSER_SESSION_TABLE", "sessions"),
                ("BROWSER_SESSION_KEYS_ARN", "arn"),
            ],
            "TOKEN_SOURCES cannot name sessions",
        ),
        (vec![("TOKEN_SOURCES", "cookie")], "ALLOWED_ORIGINS"),
        (vec![("TOKEN_SOURCES", "session")], "ALLOWED_ORIGINS"),
        (vec![issuer], "PHANTOM_ISSUER"),
        (vec![issuer, file], "PHANTOM_ISSUER"),
        (vec![issuer, audiences], "PHANTOM_ISSUER"),
        (vec![issuer, file, audiences, arn], "PHANTOM_KEYS_FILE"),
        (
            vec![issuer, file, ("PHANTOM_AUDIENCES", "{}")],
            "PHANTOM_AUDIENCES",
        ),
        (
            vec![("PHANTOM_ISSUER", "http://a"), file, audiences],
            "PHANTOM_ISSUER",
        ),
        (
            vec![("PHANTOM_ISSUER", &pool), file, audiences],
            "PHANTOM_ISSUER",
        ),
    ] {
        let problems = problems(&variables);
        assert!(
            problems.iter().any(|problem| problem.starts_with(name)),
            "{problems:?}"
        );
    }
    assert_eq!(
        problems(&[memory, ("REVOCATION_TABLE", "")]),
        Vec::<String>::new()
    );
}

#[test]
fn rules_about_addresses_need_the_header_with_the_address() {
    let folder = crate::scratch("policies-of-addresses");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(
        Path::new(POLICIES).join("schema.cedarschema"),
        folder.join("schema.cedarschema"),
    )
    .unwrap();
    let rule = "forbid (principal, action, resource) when { context has source_ip && \
                context.source_ip.isInRange(ip(\"203.0.113.0/24\")) };";
    std::fs::write(folder.join("rule.cedar"), rule).unwrap();
    let with = |header: &str| {
        let variables = [
            ("PROXY_DIALECT", "nginx"),
            ("POLICIES_DIR", folder.to_str().unwrap()),
            ("CLIENT_ADDRESS_HEADER", header),
        ];
        let config = Config::from_lookup(&testkit::events::variables(&variables));
        config.err().map(|error| error.0)
    };
    let refused = "CLIENT_ADDRESS_HEADER must be set: a rule uses `source_ip`";
    assert_eq!(with(""), Some(vec![refused.to_owned()]));
    assert_eq!(with("x-forwarded-for"), None);
}

#[test]
fn routes_are_read_by_line() {
    let file = crate::scratch("routes");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "# comment\n\nGET /orders/{id}\n  POST   /orders\n").unwrap();
    let config = read(&[("ROUTES_FILE", path)])
        .map_err(|error| error.0)
        .unwrap();
    let routes: Vec<_> = config.routes.iter().map(Route::template).collect();
    assert_eq!(routes, ["/orders/{id}", "/orders"]);
    std::fs::write(&file, "GET /a\nget /b\nGET\nGET /a\n").unwrap();
    let problems = problems(&[("ROUTES_FILE", path)]);
    for line in ["line 2", "line 3", "line 4"] {
        assert!(
            problems.iter().any(|problem| problem.contains(line)),
            "{problems:?}"
        );
    }
}
