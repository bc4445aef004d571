//! The deployed template: the whole walkthrough, through API Gateway, Cognito and DynamoDB.

use std::path::Path;
use std::process::Command;

use auth_tests::Stack;
use serde_json::Value;

#[test]
fn the_walkthrough_passes_on_the_deployed_stack() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join(".tools/ministack/bin/python"))
        .arg(root.join("local/story.py"))
        .env("GATEHOUSE_STACK", Stack::of_this_run().json)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("All checks passed."),
        "{text}\n{error}"
    );
}

/// API Gateway rejects bodies that the definition doesn't allow before a function runs.
#[tokio::test]
async fn api_gateway_validates_bodies() {
    let stack = Stack::of_this_run();
    let long = format!(
        r#"{{"email": "a@example.com", "password": "{}"}}"#,
        "x".repeat(257)
    );
    for (route, body, by_the_gateway) in [
        (
            "login",
            r#"{"email": "a@example.com", "password": 1}"#,
            true,
        ),
        (
            "login",
            r#"{"email": "a@example.com", "password": "x", "more": 1}"#,
            true,
        ),
        ("login", &long, true),
        ("login", "[]", true),
        ("login", "{", true),
        ("login", "", true),
        ("signup", r#"{"email": "a@example.com"}"#, true),
        (
            "challenge",
            r#"{"challenge": "X", "username": "a", "srp": {"timestamp": "x"}}"#,
            true,
        ),
        ("login", r#"{"password": "x"}"#, false),
        ("refresh", r#"{"refresh_token": 1}"#, false),
    ] {
        let url = format!("{}/auth/{route}", stack.api);
        let headers = [("content-type", "application/json")];
        let (status, answer) = testkit::http::call("POST", &url, &headers, body.to_owned()).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        // Our functions add no detail to a bad request.
        let detailed = answer.get("detail").is_some();
        assert_eq!(detailed, by_the_gateway, "{route} {body}: {answer}");
        let expected = (400, &Value::from("bad_request"));
        assert_eq!((status, &answer["code"]), expected, "{route} {body}");
    }
}
