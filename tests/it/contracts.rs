//! Code, template and documents must agree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use auth::{Cause, DenyReason};
use serde_json::{Value, json};

mod configuration;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_reason_is_documented() {
    let docs = read("docs/outcomes.md");
    for reason in DenyReason::ALL {
        let row = format!("| `{}` |", reason.as_str());
        assert!(docs.contains(&row), "docs/outcomes.md has no row {row}");
    }
    for cause in Cause::ALL {
        let row = format!("| `{}` |", cause.as_str());
        assert!(docs.contains(&row), "docs/outcomes.md has no row {row}");
    }
}

/// The names at the root: those that git lists, or without a git checkout all that `.gitignore` does not list.
fn committed_entries() -> BTreeSet<String> {
    let git = std::process::Command::new("git")
        .args(["ls-files", "--cached"])
        .current_dir(root())
        .output();
    if let Some(listed) = git.ok().filter(|git| git.status.success()) {
        let names = String::from_utf8(listed.stdout).unwrap();
        return names
            .lines()
            .filter_map(|file| Some(file.split('/').next()?.to_owned()))
            .collect();
    }
    let ignored = read(".gitignore");
    let ignored: BTreeSet<&str> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !ignored.contains(name.as_str()))
        .collect()
}

#[test]
fn every_entry_of_the_root_is_on_the_map() {
    let architecture = read("ARCHITECTURE.md");
    let map = architecture
        .split("\n## ")
        .find(|section| section.starts_with("Code map\n"));
    let mut entries = committed_entries();
    assert!(entries.remove("ARCHITECTURE.md"), "{entries:?}");
    // Folders of crates have a row for each crate.
    let rows = map.unwrap().lines().filter(|line| line.starts_with('|'));
    let named: BTreeSet<String> = rows
        .filter_map(|row| row.split(" | ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter_map(|name| Some(name.split('/').next()?.to_owned()))
        .collect();
    assert_eq!(entries, named);
}

/// A tag of an action can be moved to other code, a commit cannot.
#[test]
fn workflows_pin_actions_and_call_existing_commands() {
    let is_pinned = |action: &str| {
        let commit = action.rsplit_once('@').map(|(_, commit)| commit);
        action.starts_with("./")
            || commit.is_some_and(|commit| {
                commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit())
            })
    };
    let makefile = read("Makefile");
    let (mut actions, mut commands) = (0, Vec::new());
    for entry in std::fs::read_dir(root().join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let workflow: Value = serde_norway::from_str(&text).unwrap();
        assert!(workflow["permissions"].is_object(), "{}", path.display());
        for job in workflow["jobs"].as_object().unwrap().values() {
            let steps = job["steps"].as_array().into_iter().flatten();
            for step in steps.chain([job]) {
                if let Some(action) = step["uses"].as_str() {
                    assert!(is_pinned(action), "{action} in {}", path.display());
                    actions += 1;
                }
                commands.extend(step["run"].as_str().map(str::to_owned));
            }
        }
    }
    assert!(actions > 5, "{actions}");
    assert!(commands.contains(&".ci/run".to_owned()), "{commands:?}");
    let targets: BTreeSet<&str> = commands
        .iter()
        .filter_map(|command| command.strip_prefix("make ")?.split(' ').next())
        .collect();
    assert!(!targets.is_empty());
    for target in targets {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
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
    let checked = std::process::Command::new(testkit::Binary::path("gatehouse"))
        .args(["definition", "--check"])
        .current_dir(root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");

    let template = read("template.yaml");
    assert!(template.contains("Location: generated/api-gateway.json\n"));
    let made: Value = serde_json::from_str(&read("generated/api-gateway.json")).unwrap();
    let openapi: Value = serde_norway::from_str(&read("openapi.yaml")).unwrap();
    let authorizer = &made["components"]["securitySchemes"]["gatehouse"];
    let ttl = &authorizer["x-amazon-apigateway-authorizer"]["authorizerResultTtlInSeconds"];
    // tests/template compares them for each value of the parameter.
    assert!(ttl.is_object(), "{ttl}");
    assert!(template.contains("AUTHORIZER_TTL_SECONDS: !Ref AuthorizerResultTtlSeconds\n"));
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
