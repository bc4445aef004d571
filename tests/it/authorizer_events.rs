//! The authorizer's event formats: malformed events, and the sample events with their responses.

use std::collections::BTreeSet;
use std::path::Path;

use auth_tests::{Authorizer, Verdict, request_event, token_event};
use serde_json::{Value, json};
use testkit::Pool;

pub(crate) fn bearer() -> String {
    format!("Bearer {}", Pool::ours().access_token().build())
}

#[tokio::test]
async fn malformed_events_are_rejected() {
    use Verdict::{Allow, Failure, Unauthorized};
    let authorizer = Authorizer::start().await;
    let good = bearer();
    let other = format!(
        "Bearer {}",
        Pool::ours().access_token().claim("jti", "x").build()
    );
    let with = |path: &[&str], value: Value| {
        let mut event = request_event(&good);
        let mut place = &mut event;
        for name in path {
            place = &mut place[*name];
        }
        *place = value;
        event
    };
    let only = |headers: Value, multi: Value| {
        let mut event = request_event(&good);
        event["headers"] = headers;
        event["multiValueHeaders"] = multi;
        event
    };
    let without = |event: &Value, name: &str| {
        let mut event = event.clone();
        event.as_object_mut().unwrap().remove(name);
        event
    };
    let rows = [
        ("valid event", request_event(&good), Allow),
        ("valid event", token_event(&good), Allow),
        (
            "without type",
            without(&request_event(&good), "type"),
            Allow,
        ),
        ("without type", without(&token_event(&good), "type"), Allow),
        ("unknown type", with(&["type"], json!(7)), Allow),
        ("unknown type", with(&["type"], json!("SOMETHING")), Allow),
        (
            "REQUEST with authorizationToken",
            json!({"type": "REQUEST", "authorizationToken": good,
            "methodArn": auth_tests::METHOD_ARN}),
            Unauthorized,
        ),
        (
            "TOKEN with headers",
            json!({"type": "TOKEN", "headers": {"Authorization": good},
            "methodArn": auth_tests::METHOD_ARN}),
            Unauthorized,
        ),
        (
            "two different tokens",
            json!({"authorizationToken": good, "headers": {"Authorization": other},
            "methodArn": auth_tests::METHOD_ARN}),
            Unauthorized,
        ),
        (
            "without headers",
            only(json!(null), json!(null)),
            Unauthorized,
        ),
        (
            "header name in another case",
            only(json!({"authorization": good}), json!(null)),
            Allow,
        ),
        (
            "header name in another case",
            only(json!({"AUTHORIZATION": good}), json!(null)),
            Allow,
        ),
        (
            "header name in another case",
            only(
                json!({"AUTHORIZATION": good, "authorization": good}),
                json!(null),
            ),
            Allow,
        ),
        (
            "header names that differ in case, two tokens",
            only(
                json!({"AUTHORIZATION": good, "authorization": other}),
                json!(null),
            ),
            Unauthorized,
        ),
        (
            "two values",
            only(
                json!({"Authorization": good}),
                json!({"Authorization": [good, other]}),
            ),
            Unauthorized,
        ),
        (
            "two values",
            only(
                json!({"Authorization": good}),
                json!({"Authorization": [good, good]}),
            ),
            Unauthorized,
        ),
        (
            "multi-value header only",
            only(json!(null), json!({"Authorization": [good]})),
            Allow,
        ),
        (
            "different single and multi value",
            only(
                json!({"Authorization": good}),
                json!({"Authorization": [other]}),
            ),
            Unauthorized,
        ),
        (
            "token in the query too",
            with(&["queryStringParameters"], json!({"access_token": "x"})),
            Unauthorized,
        ),
        (
            "token in the query too",
            with(
                &["multiValueQueryStringParameters"],
                json!({"access_token": ["x"]}),
            ),
            Unauthorized,
        ),
        (
            "without methodArn",
            without(&request_event(&good), "methodArn"),
            Failure,
        ),
        (
            "incomplete methodArn",
            with(&["methodArn"], json!("")),
            Failure,
        ),
        (
            "incomplete methodArn",
            with(&["methodArn"], json!("arn:aws:execute-api")),
            Failure,
        ),
        (
            "methodArn is not an ARN",
            with(&["methodArn"], json!("not an arn")),
            Failure,
        ),
        (
            "methodArn is a number",
            with(&["methodArn"], json!(7)),
            Failure,
        ),
        (
            "ARN of another service",
            with(
                &["methodArn"],
                json!("arn:aws:lambda:us-east-1:123456789012:function:x"),
            ),
            Failure,
        ),
        (
            "methodArn with wildcards",
            with(
                &["methodArn"],
                json!("arn:aws:execute-api:us-east-1:123456789012:*/*/*/*"),
            ),
            Failure,
        ),
        (
            "odd headers",
            with(&["headers", "X"], json!("a\nb\u{0}c")),
            Allow,
        ),
        ("odd headers", with(&["headers", "X"], json!(null)), Allow),
        ("odd headers", with(&["headers", "X"], json!(7)), Allow),
        (
            "odd headers",
            with(&["headers", "X"], json!({"a": [1]})),
            Allow,
        ),
        (
            "odd headers",
            with(&["headers", "bad name\n"], json!("\u{1f600}\u{e9}")),
            Allow,
        ),
        (
            "odd headers",
            with(&["multiValueHeaders", "X"], json!([null, 7, "a\r\n"])),
            Allow,
        ),
        ("OPTIONS", with(&["httpMethod"], json!("OPTIONS")), Allow),
        (
            "large unknown member",
            with(&["unknown"], json!({"x": "a".repeat(1_000_000)})),
            Allow,
        ),
        (
            "null stage variables",
            with(&["stageVariables"], json!(null)),
            Allow,
        ),
        (
            "null path parameters",
            with(&["pathParameters"], json!(null)),
            Allow,
        ),
        (
            "IPv6 source",
            with(
                &["requestContext", "identity", "sourceIp"],
                json!("2001:db8::1"),
            ),
            Allow,
        ),
        (
            "without identity",
            with(&["requestContext", "identity"], json!(null)),
            Allow,
        ),
        (
            "foreign authorizer context",
            {
                let mut event = request_event("Bearer x");
                event["requestContext"]["authorizer"] = json!({"principalId": "admin"});
                event
            },
            Unauthorized,
        ),
        (
            "warm-up event",
            json!({"source": "aws.events", "detail-type": "Scheduled Event"}),
            Unauthorized,
        ),
        (
            "warm-up event",
            json!({"source": "serverless-plugin-warmup"}),
            Unauthorized,
        ),
        ("not an event", json!({}), Unauthorized),
        ("not an event", json!(null), Unauthorized),
        ("not an event", json!([]), Unauthorized),
        ("not an event", json!("x"), Unauthorized),
        ("not an event", json!(7), Unauthorized),
        (
            "method override header",
            with(&["headers", "X-HTTP-Method-Override"], json!("DELETE")),
            Allow,
        ),
    ];
    for (case, event, expected) in rows {
        assert_eq!(
            authorizer.verdict(&event).await,
            expected,
            "{case} {event:.300}"
        );
        assert_eq!(
            authorizer.verdict(&request_event(&good)).await,
            Allow,
            "after {case}"
        );
    }
}

/// The events in `events/authorizer/*.json` and their responses. `aws_lambda_events` reads all
/// of them, and reads our responses as the expected types.
#[tokio::test]
async fn sample_events_get_their_responses() {
    let authorizer = Authorizer::start().await;
    let simple = Authorizer::start_with(&[("HTTP_API_RESPONSE", "simple")]).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/authorizer");
    let token = Pool::ours().access_token();
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".expected.json") {
            continue;
        }
        let fill = |text: String| {
            text.replace("{{ACCESS_TOKEN}}", &token.build())
                .replace("{{AUTH_TIME}}", &token.get("auth_time").to_string())
                .replace("{{ISSUED_AT}}", &token.get("iat").to_string())
        };
        let event = fill(std::fs::read_to_string(&path).unwrap());
        let expected = path.with_extension("expected.json");
        let expected = fill(std::fs::read_to_string(expected).unwrap());
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let binary = if name.contains("simple") {
            &simple.binary
        } else {
            &authorizer.binary
        };
        let actual = match binary.invoke_raw(event.clone()).await {
            testkit::Invocation::Answer(answer) => answer,
            testkit::Invocation::Error(message, _) => json!({"errorMessage": message}),
        };
        assert_eq!(actual, expected, "{name}");
        if actual.get("errorMessage").is_none() {
            let kind = name.split(['-', '.']).next().unwrap().to_owned();
            check_by_the_crate(&name, &event, &actual);
            seen.insert(kind);
        }
    }
    let kinds = ["appsync", "http", "rest", "web"].map(str::to_owned);
    assert_eq!(seen, BTreeSet::from(kinds), "a sample event of every kind");
}

/// `aws_lambda_events` reads the event as its kind, and our response loses no member in the crate's
/// types.
fn check_by_the_crate(name: &str, event: &str, answer: &Value) {
    use aws_lambda_events::{apigw, appsync};

    fn reads<T: serde::de::DeserializeOwned>(name: &str, event: &str) {
        if let Err(error) = serde_json::from_str::<T>(event) {
            panic!("{name}: {error}");
        }
    }
    fn keeps<T: serde::de::DeserializeOwned + serde::Serialize>(name: &str, answer: &Value) {
        let read: T = serde_json::from_value(answer.clone()).unwrap();
        let mut written = serde_json::to_value(read).unwrap();
        // The crate writes absent members as `null`, which API Gateway treats as absent.
        if let Some(members) = written.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        // One action, or a list of one: IAM reads both.
        let mut answer = answer.clone();
        if let Some(action) = answer.pointer_mut("/policyDocument/Statement/0/Action") {
            *action = json!([action]);
        }
        assert_eq!(written, answer, "{name}");
    }
    type Iam = apigw::ApiGatewayCustomAuthorizerResponse;

    if name.starts_with("rest-token") {
        reads::<apigw::ApiGatewayCustomAuthorizerRequest>(name, event);
        keeps::<Iam>(name, answer);
    } else if name.starts_with("rest-") {
        reads::<apigw::ApiGatewayCustomAuthorizerRequestTypeRequest>(name, event);
        keeps::<Iam>(name, answer);
    } else if name.starts_with("web-socket") {
        reads::<apigw::ApiGatewayWebsocketProxyRequest>(name, event);
        keeps::<Iam>(name, answer);
    } else if name.starts_with("http-1") {
        reads::<apigw::ApiGatewayV2CustomAuthorizerV1Request>(name, event);
        keeps::<Iam>(name, answer);
    } else if name.contains("simple") {
        reads::<apigw::ApiGatewayV2CustomAuthorizerV2Request>(name, event);
        keeps::<apigw::ApiGatewayV2CustomAuthorizerSimpleResponse>(name, answer);
    } else if name.starts_with("http-2") {
        reads::<apigw::ApiGatewayV2CustomAuthorizerV2Request>(name, event);
        keeps::<apigw::ApiGatewayV2CustomAuthorizerIamPolicyResponse>(name, answer);
    } else if name.starts_with("appsync") {
        reads::<appsync::AppSyncLambdaAuthorizerRequest>(name, event);
        keeps::<appsync::AppSyncLambdaAuthorizerResponse>(name, answer);
    } else {
        panic!("{name}: unknown kind of event");
    }
}
