//! Log lines about failed dependencies: each says why the dependency failed, by a word from a closed
//! list, and nothing that the dependency sent.

use auth_tests::{Authorizer, TABLE, Verdict, environment};
use serde_json::{Value, json};
use testkit::aws::FakeAws;
use testkit::server::Fault;
use testkit::{Binary, Pool};

/// A text that dependencies send and no log contains.
const MESSAGE: &str = "arn:aws:iam::123456789012:user/jane";

fn refusal(code: &str) -> Fault {
    let code = format!("com.amazonaws.service#{code}");
    let body = json!({"__type": code, "message": MESSAGE}).to_string();
    Fault::Answer(400, body)
}

/// The lines with this message.
fn lines(output: &str, message: &str) -> Vec<Value> {
    let lines = output
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line["message"] == message)
        .collect()
}

/// The word and the cause of the last line with this message.
#[track_caller]
fn last(binary: &Binary, message: &str, member: &str) -> (String, String) {
    let output = binary.output();
    assert!(!output.contains(MESSAGE), "{output}");
    let line = lines(&output, message).pop();
    let line = line.unwrap_or_else(|| panic!("no line `{message}`: {output}"));
    let text = |member: &str| line[member].as_str().unwrap_or_default().to_owned();
    (text(member), text("cause"))
}

fn reason(authorizer: &Authorizer) -> (String, String) {
    last(&authorizer.binary, "decision", "reason")
}

fn failed(what: &str, cause: &str) -> (String, String) {
    (format!("{what}_unavailable"), cause.to_owned())
}

#[tokio::test]
async fn a_decision_says_why_the_table_failed() {
    let authorizer = Authorizer::start().await;
    let token = Pool::ours().access_token().build();
    let answer = |status, body: &str| Fault::Answer(status, body.to_owned());
    let unprocessed = json!({"Responses": {TABLE: []}, "UnprocessedKeys": {TABLE: {
        "Keys": [{"pk": {"S": "a"}, "sk": {"S": "b"}}], "ConsistentRead": true}}});
    for (fault, cause) in [
        (answer(500, "{}"), "other"),
        (
            refusal("ProvisionedThroughputExceededException"),
            "throttled",
        ),
        (refusal("AccessDeniedException"), "access_denied"),
        (refusal("ResourceNotFoundException"), "not_found"),
        (Fault::Slow(2_000), "timeout"),
        (Fault::Cut, "connection"),
        (refusal("ThrottlingException"), "throttled"),
        (refusal("ExpiredTokenException"), "access_denied"),
        (refusal("UnrecognizedClientException"), "access_denied"),
        (refusal("ValidationException"), "other"),
        (Fault::Hang, "timeout"),
        (answer(503, ""), "other"),
        (answer(200, "{}"), "invalid_response"),
        (answer(200, "<html>"), "invalid_response"),
        (answer(200, &unprocessed.to_string()), "throttled"),
    ] {
        authorizer.store.set_fault(fault.clone());
        assert_eq!(authorizer.verdict_on(&token).await, Verdict::Failure);
        let found = reason(&authorizer);
        assert_eq!(found, failed("revocations", cause), "{fault:?}");
    }
    authorizer.store.set_fault(Fault::None);
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Allow);
    let line = lines(&authorizer.binary.output(), "decision").pop();
    assert_eq!(line.unwrap().get("cause"), None, "nothing failed");
}

#[tokio::test]
async fn a_decision_says_why_the_keys_are_missing() {
    let token = Pool::ours().access_token().build();
    let answer = |status, body: &str| Fault::Answer(status, body.to_owned());
    for (fault, cause) in [
        (answer(404, ""), "not_found"),
        (answer(403, MESSAGE), "access_denied"),
        (answer(429, ""), "throttled"),
        (answer(500, ""), "other"),
        (answer(301, ""), "invalid_response"),
        (answer(200, "<html>"), "invalid_response"),
        (Fault::Cut, "connection"),
        (Fault::Hang, "timeout"),
        (Fault::Drip, "timeout"),
    ] {
        let jwks = testkit::jwks_server::JwksServer::start(&Pool::ours().jwks()).await;
        jwks.set_fault(fault.clone());
        let authorizer = Authorizer::start_with(&[("JWKS_URI", &jwks.uri())]).await;
        // The second one meets the cool-down, in which nothing is fetched.
        for _ in 0..2 {
            assert_eq!(authorizer.verdict_on(&token).await, Verdict::Failure);
            assert_eq!(reason(&authorizer), failed("jwks", cause), "{fault:?}");
        }
    }
    let no_server = [("JWKS_URI", "http://127.0.0.1:9/jwks.json")];
    let authorizer = Authorizer::start_with(&no_server).await;
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Failure);
    assert_eq!(reason(&authorizer), failed("jwks", "connection"));
}

/// A trigger that writes to the tables, calls Cognito and sends to the queue.
#[tokio::test]
async fn a_trigger_says_why_each_of_its_dependencies_failed() {
    let store = FakeAws::agreeable().await;
    let (cognito, sqs) = (FakeAws::agreeable().await, FakeAws::agreeable().await);
    let queue = format!("{}/123456789012/queue", sqs.url());
    let (cognito_url, sqs_url) = (cognito.url(), sqs.url());
    let more = [
        ("USERS_TABLE", "users"),
        ("RETRY_QUEUE_URL", queue.as_str()),
        ("REFRESH_TOKEN_TTL_SECONDS", "3600"),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &cognito_url),
        ("AWS_ENDPOINT_URL_SQS", &sqs_url),
    ];
    let environment = environment("", &store.url(), &more);
    let function = Binary::start("post-confirmation", &environment).await;
    let event = |source: &str| {
        json!({"version": "1", "triggerSource": source, "userPoolId": Pool::ours().id,
            "userName": "u", "request": {"userAttributes": {"sub": "s"}}, "response": {}})
    };
    let message = "post confirmation";

    store.set_fault(refusal("ResourceNotFoundException"));
    let confirmed = event("PostConfirmation_ConfirmSignUp");
    assert!(!function.invoke(&confirmed).await.is_failure());
    let found = last(&function, message, "outcome");
    assert_eq!(found, failed("profiles", "not_found"));

    let reset = event("PostConfirmation_ConfirmForgotPassword");
    store.set_fault(refusal("AccessDeniedException"));
    assert!(function.invoke(&reset).await.is_failure());
    let found = last(&function, message, "outcome");
    assert_eq!(found, failed("revocations", "access_denied"));

    store.set_fault(Fault::None);
    cognito.set_fault(refusal("TooManyRequestsException"));
    assert!(!function.invoke(&reset).await.is_failure());
    let (outcome, cause) = last(&function, message, "outcome");
    assert_eq!(outcome, "sessions_ended_sign_out_queued");
    // The time for the call ends before its retries.
    assert!(
        ["throttled", "timeout"].contains(&cause.as_str()),
        "{cause}"
    );

    cognito.set_fault(refusal("AccessDeniedException"));
    sqs.set_fault(refusal("QueueDoesNotExist"));
    assert!(!function.invoke(&reset).await.is_failure());
    let found = last(&function, message, "outcome");
    let expected = ("sessions_ended_sign_out_failed", "access_denied");
    assert_eq!((found.0.as_str(), found.1.as_str()), expected);
    let (id, cause) = last(
        &function,
        "the retry queue did not accept a task",
        "request_id",
    );
    assert_eq!(cause, "not_found");
    assert!(id.starts_with("00000000-0000-4000-8000-"), "{id}");
    // X-Ray's id, as the test kit's Runtime API sends it: of a line by a library's caller, and of the outcome's.
    for line in ["the retry queue did not accept a task", message] {
        let (trace_id, _) = last(&function, line, "trace_id");
        assert_eq!(trace_id, "1-5bef4de7-ad49b0e87f6ef6c87fc2e700", "{line}");
    }
}

#[tokio::test]
async fn a_retry_says_why_it_failed() {
    let store = FakeAws::agreeable().await;
    let cognito = FakeAws::agreeable().await;
    let cognito_url = cognito.url();
    let more = [
        ("REFRESH_TOKEN_TTL_SECONDS", "3600"),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &*cognito_url),
    ];
    let environment = environment("", &store.url(), &more);
    let function = Binary::start("logout-retry", &environment).await;
    let batch = |task: Value| {
        json!({"Records": [{"messageId": "m", "body": task.to_string(),
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue"}]})
    };
    let sign_out = batch(json!({"kind": "sign_out_everywhere", "username": "u"}));
    let revocation = batch(
        json!({"kind": "end_sessions", "subject": "s", "not_before": 1,
        "spared": null, "reason": "r"}),
    );
    for (task, fake, fault, cause) in [
        (
            &sign_out,
            &cognito,
            refusal("AccessDeniedException"),
            "access_denied",
        ),
        (
            &sign_out,
            &cognito,
            refusal("ResourceNotFoundException"),
            "not_found",
        ),
        (&sign_out, &cognito, Fault::Cut, "connection"),
        (
            &revocation,
            &store,
            refusal("ThrottlingException"),
            "throttled",
        ),
    ] {
        fake.set_fault(fault);
        let answer = function.invoke(task).await.answer();
        assert_eq!(answer["batchItemFailures"][0]["itemIdentifier"], "m");
        let found = last(&function, "logout retry", "outcome");
        assert_eq!(found, ("failed".to_owned(), cause.to_owned()));
        fake.set_fault(Fault::None);
    }
}

#[tokio::test]
async fn a_failed_start_says_why() {
    let (store, secrets) = (FakeAws::agreeable().await, FakeAws::agreeable().await);
    secrets.set_fault(refusal("AccessDeniedException"));
    let secrets_url = secrets.url();
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:client";
    let more = [
        ("REFRESH_TOKEN_TTL_SECONDS", "3600"),
        ("APP_CLIENT_SECRET_ARN", arn),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets_url),
    ];
    let environment = environment("", &store.url(), &more);
    let output = Binary::start_refused("logout-retry", &environment).await;
    assert!(!output.contains(MESSAGE), "{output}");
    let line = lines(&output, "the runtime loop ended").pop();
    let line = line.unwrap_or_else(|| panic!("{output}"));
    assert_eq!(line["cause"], "access_denied");
    assert_eq!(line["error"], "the secret could not be read");
}

/// Warnings about the SDK's configuration are lines of the same form, without what the SDK says in them.
#[tokio::test]
async fn a_warning_of_the_sdk_is_a_line_without_its_content() {
    let authorizer = Authorizer::start_with(&[("AWS_USE_FIPS_ENDPOINT", MESSAGE)]).await;
    let output = authorizer.binary.output();
    assert!(!output.contains(MESSAGE), "{output}");
    let line = lines(&output, "library event").pop();
    let line = line.unwrap_or_else(|| panic!("{output}"));
    assert_eq!(line["level"], "WARN");
    let target = line["target"].as_str().unwrap();
    assert!(target.starts_with("aws_client::"), "{target}");
    assert!(line["line"].is_u64());
}

/// The Lambda runtime reports every error of a handler, and a 401 is one.
#[tokio::test]
async fn a_refusal_is_one_line() {
    let authorizer = Authorizer::start().await;
    assert_eq!(
        authorizer.verdict_on("not-a-token").await,
        Verdict::Unauthorized
    );
    let output = authorizer.binary.output();
    assert_eq!(lines(&output, "decision").len(), 1, "{output}");
    assert_eq!(
        lines(&output, "library event"),
        [] as [Value; 0],
        "{output}"
    );
}
