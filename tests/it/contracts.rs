//! Code, template and documents must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use auth::DenyReason;
use serde_json::{Value, json};

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The variables that each function reads.
fn variables() -> BTreeMap<&'static str, BTreeSet<String>> {
    let issuers = auth_jwks::config::VARS;
    let set = |lists: &[&[&str]]| {
        lists
            .iter()
            .copied()
            .flatten()
            .map(|v| (*v).to_owned())
            .collect()
    };
    BTreeMap::from([
        ("authorizer", set(&[issuers, authorizer::Config::VARS])),
        ("logout", set(&[issuers, logout::Config::VARS])),
        ("whoami", set(&[])),
        ("logout-retry", set(&[logout_retry::Config::VARS])),
        ("post-confirmation", set(&[post_confirmation::Config::VARS])),
        (
            "pre-sign-up",
            set(&[migrate_user::LookupConfig::VARS, pre_sign_up::Config::VARS]),
        ),
        (
            "pre-token-generation",
            set(&[pre_token_generation::Config::VARS]),
        ),
        ("user-events", set(&[user_events::Config::VARS])),
        ("user-sweep", set(&[user_sweep::Config::VARS])),
        ("auth-api", set(&[auth_api::Config::VARS])),
        (
            "post-authentication",
            set(&[post_authentication::Config::VARS]),
        ),
        ("migrate-user", set(&[migrate_user::Config::VARS])),
        ("admin", set(&[admin::Config::VARS])),
        ("sessions", set(&[sessions::Config::VARS])),
        ("custom-message", set(&[custom_message::Config::VARS])),
        ("connections", set(&[connections::Config::VARS])),
        ("close-connections", set(&[close_connections::Config::VARS])),
    ])
}

/// The variables that template.yaml gives to the function built from `functions/<name>`.
fn in_template(template: &str, name: &str) -> BTreeSet<String> {
    let resources = template.split_once("\nResources:\n").unwrap().1;
    // A resource begins at a line with two spaces and a letter.
    let mut blocks: Vec<String> = Vec::new();
    for line in resources.lines() {
        if line.len() > 2 && line.starts_with("  ") && line.as_bytes()[2].is_ascii_alphabetic() {
            blocks.push(String::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push_str(line);
            block.push('\n');
        }
    }
    let code = format!("CodeUri: functions/{name}\n");
    let block = blocks.iter().find(|block| block.contains(&code)).unwrap();
    block
        .lines()
        .filter_map(|line| line.trim().split_once(':'))
        .map(|(key, _)| key)
        .filter(|key| key.chars().all(|c| c.is_ascii_uppercase() || c == '_') && key.len() > 3)
        .map(str::to_owned)
        .collect()
}

/// The variables that docs/configuration.md lists under `## <name>` and under `## All functions`.
fn in_docs(docs: &str, name: &str) -> BTreeSet<String> {
    docs.split("\n## ")
        .filter(|section| {
            let functions = section.lines().next().unwrap_or_default();
            functions.split([',', ' ']).any(|word| word == name)
        })
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(variable, _)| variable.to_owned())
        .collect()
}

#[test]
fn code_template_and_docs_have_the_same_variables() {
    let (template, docs) = (read("template.yaml"), read("docs/configuration.md"));
    for (function, read) in variables() {
        // The template sets LOG_LEVEL for all functions at once, also for one that logs nothing.
        let mut given = in_template(&template, function);
        if read.contains("LOG_LEVEL") {
            given.insert("LOG_LEVEL".to_owned());
        }
        assert_eq!(given, read, "template.yaml, {function}");
        assert_eq!(
            in_docs(&docs, function),
            read,
            "docs/configuration.md, {function}"
        );
    }
}

#[test]
fn configurations_declare_the_variables_they_read() {
    use std::cell::RefCell;
    let asked = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        None
    };
    let _ = authorizer::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["authorizer"]);
    let _ = logout::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["logout"]);
    let _ = logout_retry::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["logout-retry"]);
    let _ = post_confirmation::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["post-confirmation"]);
    let _ = pre_sign_up::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["pre-sign-up"]);
    let _ = pre_token_generation::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["pre-token-generation"]);
    let _ = user_events::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["user-events"]);
    let _ = user_sweep::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["user-sweep"]);
    let _ = auth_api::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["auth-api"]);
    let _ = post_authentication::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["post-authentication"]);
    let _ = migrate_user::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["migrate-user"]);
    let _ = admin::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["admin"]);
    let _ = sessions::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["sessions"]);
    let _ = custom_message::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["custom-message"]);
    let _ = connections::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["connections"]);
    let _ = close_connections::Config::from_lookup(&lookup);
    assert_eq!(asked.take(), variables()["close-connections"]);
}

#[test]
fn every_reason_is_documented() {
    let docs = read("docs/outcomes.md");
    for reason in DenyReason::ALL {
        let row = format!("| `{}` |", reason.as_str());
        assert!(docs.contains(&row), "docs/outcomes.md has no row {row}");
    }
}

#[test]
fn revocations_live_as_long_as_refresh_tokens() {
    let template = read("template.yaml");
    let clients = template.matches("RefreshTokenValidity:").count();
    let seconds = template.matches("RefreshToken: seconds\n").count();
    let validity = "RefreshTokenValidity: !Ref RefreshTokenSeconds\n";
    assert!(clients > 0 && seconds == clients && template.matches(validity).count() == clients);
    let all = template.matches("REFRESH_TOKEN_TTL_SECONDS:").count();
    let right = template
        .matches("REFRESH_TOKEN_TTL_SECONDS: !Ref RefreshTokenSeconds\n")
        .count();
    assert!(all > 1 && all == right, "{right} of {all} times");
}

#[test]
fn the_authorizer_never_links_the_cognito_sdk() {
    let tree = |package: &str| {
        let output = std::process::Command::new(env!("CARGO"))
            .args(["tree", "--offline", "-e", "normal", "-p", package])
            .args(["-i", "aws-sdk-cognitoidentityprovider"])
            .output()
            .unwrap();
        output.status.success() && !output.stdout.is_empty()
    };
    assert!(tree("logout"), "the query finds a dependency that exists");
    assert!(!tree("authorizer"));
}

/// `gatehouse definition` generates the definition that the template deploys, and each operation has a function
/// that API Gateway may invoke.
#[test]
fn the_template_deploys_the_definition() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let checked = std::process::Command::new(testkit::Binary::path("gatehouse"))
        .args(["definition", "--check"])
        .current_dir(root)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");

    let template = read("template.yaml");
    assert!(template.contains("Location: api-gateway.json\n"));
    let made: Value = serde_json::from_str(&read("api-gateway.json")).unwrap();
    let openapi: Value = serde_norway::from_str(&read("openapi.yaml")).unwrap();
    let authorizer = &made["components"]["securitySchemes"]["gatehouse"];
    let ttl = &authorizer["x-amazon-apigateway-authorizer"]["authorizerResultTtlInSeconds"];
    assert!(
        template.contains(&format!("AUTHORIZER_TTL_SECONDS: \"{ttl}\"")),
        "{ttl}"
    );
    let mut operations = 0;
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            let deployed = &made["paths"][path][verb];
            let uri = &deployed["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"];
            let function = uri.as_str().unwrap().rsplit_once("${").unwrap().1;
            let function = function.strip_suffix("Function.Arn}/invocations").unwrap();
            let resource = format!("\n  {function}Function:\n");
            let permission = format!("\n  {function}Permission:\n");
            assert!(template.contains(&resource), "{verb} {path}: {resource}");
            assert!(
                template.contains(&permission),
                "{verb} {path}: {permission}"
            );
            let open = operation["security"] == json!([]);
            let expected = if open {
                json!([])
            } else {
                json!([{"gatehouse": []}])
            };
            assert_eq!(deployed["security"], expected, "{verb} {path}");
            assert!(made["paths"][path]["options"].is_object(), "{path}");
            operations += 1;
        }
    }
    assert!(operations > 25, "{operations}");
}
