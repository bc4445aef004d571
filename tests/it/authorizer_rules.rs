//! Cedar: the shipped policies, every example, and policies that must stop the start.

use std::path::{Path, PathBuf};

use auth_tests::{Authorizer, Verdict, environment, request_event};
use serde_json::{Value, json};
use testkit::token::now;
use testkit::{Binary, Pool, TokenBuilder};

pub(crate) fn user() -> TokenBuilder<'static> {
    Pool::ours().access_token()
}

pub(crate) fn in_groups(groups: &[&str]) -> TokenBuilder<'static> {
    user().claim("cognito:groups", json!(groups))
}

/// A request to a route, as a REST API's `REQUEST` authorizer sees it.
pub(crate) fn call(token: &TokenBuilder<'_>, verb: &str, route: &str, path: &str) -> Value {
    let mut event = request_event(&format!("Bearer {}", token.build()));
    let arn = format!("arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/{verb}{path}");
    event["methodArn"] = json!(arn);
    event["resource"] = json!(route);
    event["httpMethod"] = json!(verb);
    event
}

const API: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod";

/// A `TOKEN` event, which contains no route.
pub(crate) fn of_token(token: &TokenBuilder<'_>, path: &str) -> Value {
    let mut event = auth_tests::token_event(&format!("Bearer {}", token.build()));
    event["methodArn"] = json!(format!("{API}/POST{path}"));
    event
}

/// An event of an HTTP API's `$default` route, which names no path.
pub(crate) fn of_default_route(token: &TokenBuilder<'_>, path: &str) -> Value {
    json!({"version": "2.0", "type": "REQUEST", "routeKey": "$default",
        "routeArn": format!("{API}/POST{path}"), "rawPath": path,
        "headers": {"authorization": format!("Bearer {}", token.build())}})
}

/// An event of a route for all paths, `/{proxy+}`.
pub(crate) fn of_proxy(token: &TokenBuilder<'_>, path: &str) -> Value {
    call(token, "POST", "/{proxy+}", path)
}

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

/// A folder with one example and the schema of the examples.
pub(crate) fn example(name: &str) -> PathBuf {
    // Another test must not read a file that is being written.
    static WRITING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _writing = WRITING.lock().unwrap();
    let folder = std::env::temp_dir().join(format!("gatehouse-{}-{name}", std::process::id()));
    if !folder.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        for file in [format!("{name}.cedar"), "schema.cedarschema".to_owned()] {
            std::fs::copy(policies().join("examples").join(&file), folder.join(&file)).unwrap();
        }
    }
    folder
}

/// A folder whose only rule permits users of every issuer.
pub(crate) fn rules_for_any_user() -> &'static str {
    static FOLDER: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("gatehouse-{}-any", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let schema = "schema.cedarschema";
        std::fs::copy(policies().join(schema), folder.join(schema)).unwrap();
        let rule = "permit (principal is Gatehouse::User, action, resource);";
        std::fs::write(folder.join("any.cedar"), rule).unwrap();
        folder.to_str().unwrap().to_owned()
    })
}

async fn with_example(name: &str) -> Authorizer {
    let folder = example(name);
    let more = [
        ("POLICIES_DIR", folder.to_str().unwrap()),
        ("TOKEN_USE", "any"),
    ];
    Authorizer::start_with(&more).await
}

async fn check(authorizer: &Authorizer, rows: Vec<(TokenBuilder<'_>, &str, &str, bool)>) {
    for (token, verb, route, allowed) in rows {
        let path = route.replace(['{', '}'], "");
        let expected = if allowed {
            Verdict::Allow
        } else {
            Verdict::Deny
        };
        let verdict = authorizer.verdict(&call(&token, verb, route, &path)).await;
        assert_eq!(verdict, expected, "{verb} {route} {}", token.claims_json());
    }
}

#[tokio::test]
async fn shipped_policies_decide_as_documented() {
    let admins = || in_groups(&["x", "admins"]);
    let compiled_in = Authorizer::start().await;
    let folder = policies();
    let from_folder = Authorizer::start_with(&[("POLICIES_DIR", folder.to_str().unwrap())]).await;
    for authorizer in [compiled_in, from_folder] {
        let rows = vec![
            (user(), "GET", "/whoami", true),
            (user(), "POST", "/anything/{id}", true),
            (user(), "GET", "/admin/users", false),
            (user(), "GET", "/admin", false),
            (user(), "GET", "/administration", true),
            (admins(), "GET", "/admin/users", true),
            (
                in_groups(&["Admins", "admin", "admins ", "x|admins"]),
                "GET",
                "/admin/users",
                false,
            ),
            (Pool::ours().machine_token(), "GET", "/whoami", false),
        ];
        check(&authorizer, rows).await;
        for event in [of_token, of_default_route, of_proxy] {
            for path in [
                "/admin/x",
                "/%61dmin/x",
                "/admin/",
                "/admin",
                "/%61%64min/reports",
            ] {
                for (token, expected) in [(user(), Verdict::Deny), (admins(), Verdict::Allow)] {
                    let verdict = authorizer.verdict(&event(&token, path)).await;
                    assert_eq!(verdict, expected, "{path}");
                }
            }
            for path in ["/public", "/a%20b/c", "/ADMIN/x", "/administration"] {
                let verdict = authorizer.verdict(&event(&user(), path)).await;
                assert_eq!(verdict, Verdict::Allow, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn group_rules_compare_whole_names() {
    let authorizer = with_example("groups").await;
    let both = || in_groups(&["auditors", "editors"]);
    let rows = vec![
        (in_groups(&["auditors"]), "GET", "/reports", true),
        (in_groups(&["editors"]), "GET", "/reports", false),
        (user(), "GET", "/reports", false),
        (in_groups(&["auditors"]), "POST", "/reports", false),
        (both(), "POST", "/reports", true),
        (both(), "DELETE", "/reports", false),
    ];
    check(&authorizer, rows).await;
}

#[tokio::test]
async fn scope_rules_compare_whole_words() {
    let authorizer = with_example("scopes").await;
    let scope = |scope: &str| user().claim("scope", scope);
    let rows = vec![
        (scope("orders/read"), "GET", "/orders", true),
        (scope("a  orders/read b"), "GET", "/orders", true),
        (scope("orders/readwrite"), "GET", "/orders", false),
        (scope("x\torders/read"), "GET", "/orders", false),
        (scope(""), "GET", "/orders", false),
        (scope("orders/read"), "POST", "/orders", false),
        (scope("orders/write orders/read"), "POST", "/orders", true),
        (Pool::ours().machine_token(), "POST", "/orders", true),
        (
            Pool::ours().machine_token().claim("scope", "orders/read"),
            "POST",
            "/orders",
            false,
        ),
    ];
    check(&authorizer, rows).await;
}

#[tokio::test]
async fn rules_use_claims_verified_email_and_second_factor() {
    let rows = vec![
        (
            user().claim("custom:department", "QA"),
            "POST",
            "/tests",
            true,
        ),
        (
            user().claim("custom:department", "Sales"),
            "POST",
            "/tests",
            false,
        ),
        (
            user().claim("custom:department", json!(["QA"])),
            "POST",
            "/tests",
            false,
        ),
        (user(), "POST", "/tests", false),
    ];
    check(&with_example("claims").await, rows).await;

    let id = || Pool::ours().id_token();
    let rows = vec![
        (id(), "GET", "/reports", true),
        (
            id().claim("email_verified", "true"),
            "GET",
            "/reports",
            true,
        ),
        (
            id().claim("email_verified", false),
            "GET",
            "/reports",
            false,
        ),
        (
            id().claim("email_verified", "false"),
            "GET",
            "/reports",
            false,
        ),
        (
            id().claim("email_verified", json!(null)),
            "GET",
            "/reports",
            false,
        ),
        (id().without("email_verified"), "GET", "/reports", false),
        (user(), "GET", "/reports", false),
    ];
    check(&with_example("verified-email").await, rows).await;

    let rows = vec![
        (user().claim("mfa", true), "POST", "/payments", true),
        (user().claim("mfa", false), "POST", "/payments", false),
        (user(), "POST", "/payments", false),
        (user(), "GET", "/reports", true),
    ];
    check(&with_example("mfa").await, rows).await;
}

#[tokio::test]
async fn rules_require_a_recent_sign_in() {
    let old = user().claim("auth_time", now() - 3_000);
    let rows = vec![
        (user(), "DELETE", "/account", true),
        (old.clone(), "DELETE", "/account", false),
        (old, "GET", "/reports", true),
    ];
    check(&with_example("recent-sign-in").await, rows).await;
}

#[tokio::test]
async fn rules_restrict_networks() {
    let authorizer = with_example("network").await;
    for (ip, expected) in [
        (json!("203.0.113.9"), Verdict::Allow),
        (json!("198.51.100.9"), Verdict::Deny),
        (json!("2001:db8::1"), Verdict::Deny),
        (json!("203.0.113.0/24"), Verdict::Deny),
        (json!("nonsense"), Verdict::Deny),
        (json!(null), Verdict::Deny),
        (json!(7), Verdict::Deny),
    ] {
        let mut event = call(&user(), "GET", "/back-office/{page}", "/back-office/x");
        event["requestContext"]["identity"]["sourceIp"] = ip.clone();
        assert_eq!(authorizer.verdict(&event).await, expected, "{ip}");
        // The same page behind a route for all paths.
        event["resource"] = json!("/{proxy+}");
        assert_eq!(authorizer.verdict(&event).await, expected, "{ip}");
    }
}

#[tokio::test]
async fn rules_restrict_users_to_their_own_data() {
    let authorizer = with_example("own-data").await;
    let sub = user().get("sub").clone();
    for (parameters, expected) in [
        (json!({"sub": sub}), Verdict::Allow),
        (json!({"sub": "another-user"}), Verdict::Deny),
        (json!({}), Verdict::Deny),
        (json!(null), Verdict::Deny),
        (json!({"sub": [sub]}), Verdict::Deny),
    ] {
        let mut event = call(&user(), "GET", "/users/{sub}", "/users/x");
        event["pathParameters"] = parameters.clone();
        assert_eq!(authorizer.verdict(&event).await, expected, "{parameters}");
    }
}

#[tokio::test]
async fn rules_use_roles_and_tenants() {
    let rows = vec![
        (
            user().claim("roles", json!(["tester"])),
            "POST",
            "/tests",
            true,
        ),
        (
            user().claim("roles", json!(["reader", "tester"])),
            "POST",
            "/tests",
            true,
        ),
        (
            user().claim("roles", json!(["reader"])),
            "POST",
            "/tests",
            false,
        ),
        (user().claim("roles", "tester"), "POST", "/tests", false),
        (
            user().claim("roles", json!(["tester", 1])),
            "POST",
            "/tests",
            false,
        ),
        (in_groups(&["tester"]), "POST", "/tests", false),
        (user(), "POST", "/tests", false),
    ];
    check(&with_example("roles").await, rows).await;
    let authorizer = with_example("roles").await;
    for (claim, tenant, expected) in [
        (json!("acme"), "acme", Verdict::Allow),
        (json!("acme"), "other", Verdict::Deny),
        (json!(["acme"]), "acme", Verdict::Deny),
        (json!(null), "acme", Verdict::Deny),
    ] {
        let route = "/tenants/{tenant}/invoices";
        let token = user().claim("tenant", claim);
        let mut event = call(&token, "GET", route, "/tenants/x/invoices");
        event["pathParameters"] = json!({"tenant": tenant});
        assert_eq!(authorizer.verdict(&event).await, expected, "{tenant}");
    }
    let more = [("CONTEXT_CLAIMS", "sub,roles,tenant")];
    let authorizer = Authorizer::start_with(&more).await;
    let token = user()
        .claim("roles", json!(["a", "b\"c"]))
        .claim("tenant", "acme");
    let event = call(&token, "GET", "/whoami", "/whoami");
    let answer = authorizer.binary.invoke(&event).await.answer();
    let context = answer["context"].clone();
    let sub = token.get("sub");
    assert_eq!(
        context,
        json!({"sub": sub, "roles": r#"["a","b\"c"]"#, "tenant": "acme"})
    );
    let event = call(&user(), "GET", "/whoami", "/whoami");
    let answer = authorizer.binary.invoke(&event).await.answer();
    assert_eq!(answer["context"], json!({"sub": user().get("sub")}));
}

#[tokio::test]
async fn rejects_invalid_policies_at_start() {
    let good = "permit (principal, action, resource);";
    let rows = [
        ("syntax", "permit (principal, action, resource)"),
        ("no policy", "// nothing"),
        (
            "unknown type",
            "permit (principal is Gatehouse::Robot, action, resource);",
        ),
        (
            "unknown action",
            r#"permit (principal, action == Gatehouse::Action::"get /nowhere", resource);"#,
        ),
        (
            "unknown attribute",
            "permit (principal, action, resource) when { context.token.role == \"x\" };",
        ),
        (
            "wrong type",
            "permit (principal, action, resource) when { context.auth_age == \"old\" };",
        ),
        (
            "unguarded",
            "permit (principal, action, resource) when { context.source_ip.isLoopback() };",
        ),
        (
            "template",
            "permit (principal == ?principal, action, resource);",
        ),
        (
            "same id",
            "@id(\"a\") permit (principal, action, resource); @id(\"a\") permit (principal, action, resource);",
        ),
    ];
    for (case, text) in rows {
        let folder = example("groups");
        let folder = folder.with_file_name(format!(
            "{}-bad",
            folder.file_name().unwrap().to_str().unwrap()
        ));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(
            policies().join("schema.cedarschema"),
            folder.join("schema.cedarschema"),
        )
        .unwrap();
        std::fs::write(folder.join("a.cedar"), good).unwrap();
        std::fs::write(folder.join("b.cedar"), text).unwrap();
        if case == "no policy" {
            std::fs::write(folder.join("a.cedar"), text).unwrap();
        }
        let more = [("POLICIES_DIR", folder.to_str().unwrap())];
        let environment = environment("http://127.0.0.1:9/x", "http://127.0.0.1:9", &more);
        let output = Binary::start_refused("authorizer", &environment).await;
        assert!(output.contains("POLICIES_DIR"), "{case}: {output}");
    }
    let more = [("POLICIES_DIR", "/nowhere/at/all")];
    let environment = environment("http://127.0.0.1:9/x", "http://127.0.0.1:9", &more);
    let output = Binary::start_refused("authorizer", &environment).await;
    assert!(output.contains("POLICIES_DIR"), "{output}");
}
