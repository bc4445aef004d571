//! The authorizer's responses: the IAM policy, the context and API Gateway's limits.

use std::collections::BTreeSet;

use auth_tests::{Authorizer, Verdict, request_event, token_event};
use serde_json::{Value, json};
use testkit::Pool;

use crate::authorizer_events::bearer;

#[tokio::test]
async fn policies_are_built_from_parsed_parts() {
    let authorizer = Authorizer::start().await;
    let api = "arn:aws:execute-api:us-east-1:123456789012:abcdef123";
    let long = "x".repeat(1_400);
    let long_end = 512 - format!("{api}/prod/GET/*").len();
    let rows = [
        ("root", "prod/GET/", "/", "prod/GET/"),
        (
            "stage name",
            "$default/GET/whoami",
            "/whoami",
            "$default/GET/whoami",
        ),
        (
            "stage name",
            "test-invoke-stage/GET/whoami",
            "/whoami",
            "test-invoke-stage/GET/whoami",
        ),
        (
            "stage name",
            "v1_beta-2/GET/whoami",
            "/whoami",
            "v1_beta-2/GET/whoami",
        ),
        (
            "path with an asterisk",
            "prod/GET/users/*",
            "/users/{id}",
            "prod/GET/users/*",
        ),
        (
            "path parameter",
            "prod/GET/users/7",
            "/users/{id}",
            "prod/GET/users/7",
        ),
        (
            "repeated slashes",
            "prod/GET//whoami//",
            "/whoami",
            "prod/GET//whoami//",
        ),
        (
            "repeated slashes",
            "prod/GET/whoami/",
            "/whoami",
            "prod/GET/whoami/",
        ),
        (
            "unusual characters",
            "prod/GET/a:b c\u{e9}",
            "/{proxy+}",
            "prod/GET/a:b c\u{e9}",
        ),
        (
            "long path",
            &format!("prod/GET/{long}"),
            "/{proxy+}",
            &format!("prod/GET/{}*", &long[..long_end]),
        ),
        ("WebSocket route", "prod/$connect", "/", "prod/$connect"),
        (
            "unusual method",
            "prod/HEAD/whoami",
            "/whoami",
            "prod/HEAD/whoami",
        ),
        (
            "unusual method",
            "prod/PROPFIND/whoami",
            "/whoami",
            "prod/PROPFIND/whoami",
        ),
    ];
    for (case, request, route, resource) in rows {
        let mut event = request_event(&bearer());
        event["methodArn"] = json!(format!("{api}/{request}"));
        event["resource"] = json!(route);
        let answer = authorizer.binary.invoke(&event).await.answer();
        assert_eq!(
            answer["policyDocument"],
            json!({"Version": "2012-10-17", "Statement": [{
                "Action": "execute-api:Invoke", "Effect": "Allow",
                "Resource": [format!("{api}/{resource}")]}]}),
            "{case} {request}"
        );
    }
    // A policy cannot name these resources without matching others.
    for path in ["*", "a?b", "${aws:username}", "a/*", "%2F%2E%2E/x"] {
        let mut event = request_event(&bearer());
        event["methodArn"] = json!(format!("{api}/prod/GET/{path}"));
        event["resource"] = json!("/{proxy+}");
        assert_eq!(authorizer.verdict(&event).await, Verdict::Deny, "{path}");
    }
    // The path may be compared as it was sent or decoded, so the policy lists both forms.
    let mut event = request_event(&bearer());
    event["methodArn"] = json!(format!("{api}/prod/GET/users/a%40b"));
    event["resource"] = json!("/users/{id}");
    let answer = authorizer.binary.invoke(&event).await.answer();
    assert_eq!(
        answer["policyDocument"]["Statement"][0]["Resource"],
        json!([
            format!("{api}/prod/GET/users/a%40b"),
            format!("{api}/prod/GET/users/a@b")
        ])
    );
    for partition in ["aws-cn", "aws-us-gov"] {
        let mut event = token_event(&bearer());
        event["methodArn"] = json!(format!(
            "arn:{partition}:execute-api:x-1:123456789012:a/s/GET/p"
        ));
        let answer = authorizer.binary.invoke(&event).await.answer();
        let resource = answer["policyDocument"]["Statement"][0]["Resource"][0]
            .as_str()
            .unwrap();
        assert_eq!(
            resource,
            format!("arn:{partition}:execute-api:x-1:123456789012:a/s/GET/p")
        );
    }
}

#[tokio::test]
async fn the_context_contains_only_flat_strings() {
    let authorizer = Authorizer::start().await;
    let groups = ["admins", "a,b", "q\"uote", "\u{fc}n\u{ef}", "__proto__"];
    let token = Pool::ours()
        .access_token()
        .claim("cognito:groups", json!(groups))
        .claim("scope", "a b");
    let event = request_event(&format!("Bearer {}", token.build()));
    let answer = authorizer.binary.invoke(&event).await.answer();
    assert_eq!(answer["principalId"], *token.get("sub"));
    let context = answer["context"].as_object().unwrap();
    assert!(context.values().all(Value::is_string));
    let encoded = context["groups"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<String>>(encoded).unwrap(),
        groups,
        "lossless"
    );
    assert_eq!(context["auth_time"], token.get("auth_time").to_string());
    assert_eq!(context["session"], *token.get("origin_jti"));
    assert_eq!(context["username"], "ada");
    assert_eq!(context["scope"], "a b");
    assert_eq!(context["token_use"], "access");
    assert_eq!(context["client_id"], Pool::ours().client_id);
    assert!(answer.get("usageIdentifierKey").is_none());
    let again = authorizer.binary.invoke(&event).await.answer();
    assert_eq!(answer.to_string(), again.to_string());

    let machine = request_event(&format!("Bearer {}", Pool::ours().machine_token().build()));
    let answer = authorizer.binary.invoke(&machine).await.answer();
    assert_eq!(answer["principalId"], Pool::ours().client_id);
    assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], "Deny");
    assert_eq!(answer["context"], json!({}), "a denial has no context");

    let authorizer = Authorizer::start_with(&[("CONTEXT_CLAIMS", "sub, scope")]).await;
    let answer = authorizer.binary.invoke(&event).await.answer();
    let names: Vec<_> = answer["context"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["sub", "scope"], "as configured");
}

/// Claims that the client chose reach the backend as inert text, or are rejected.
#[tokio::test]
async fn hostile_claims_do_not_break_the_context() {
    let authorizer = Authorizer::start().await;
    let names = [
        "ada\r\nx-admin: true",
        "ada\u{0}",
        "\u{85}\u{2028}\u{7f}",
        "\"},{\"",
        "claims",
        "$context.authorizer.sub",
        "\u{202e}\u{1f469}\u{200d}",
        "o'brien@example.com; drop",
    ];
    for name in names {
        let token = Pool::ours().access_token();
        let token = token
            .claim("username", name)
            .claim("scope", "a/b c")
            .claim("cognito:groups", json!([name, "__proto__"]));
        let event = request_event(&format!("Bearer {}", token.build()));
        let testkit::Invocation::Answer(answer) = authorizer.binary.invoke(&event).await else {
            assert!(name.contains(char::is_control), "{name:?} is rejected");
            continue;
        };
        for (member, value) in answer["context"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            assert!(
                !value.contains(char::is_control),
                "{member} {value:?}: would split a header"
            );
        }
        assert_eq!(answer["context"]["username"], name);
        let groups = answer["context"]["groups"].as_str().unwrap();
        let groups: Vec<String> = serde_json::from_str(groups).unwrap();
        assert_eq!(groups, [name, "__proto__"]);
        let members: BTreeSet<_> = answer["context"].as_object().unwrap().keys().collect();
        assert!(!members.iter().any(|name| *name == "claims"));
    }
}

#[tokio::test]
async fn responses_above_api_gateways_limits_are_errors() {
    let authorizer = Authorizer::start().await;
    // Each quote in a group's name becomes three characters of the response.
    let groups: Vec<String> = (0..80).map(|n| format!("{n}{}", "\"".repeat(28))).collect();
    let token = Pool::ours()
        .access_token()
        .claim("cognito:groups", json!(groups))
        .build();
    assert!(token.len() < 8 * 1024, "{}", token.len());
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Failure);
}
