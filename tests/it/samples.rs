//! The events in `events/<function>/*.json` get the responses stored with them. The authorizer's have a test
//! of their own.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::{Invocation, Pool};

use crate::world::{World, unique};

/// The user of the samples.
const USER: &str = "5f7e6d5c-1234-4abc-9def-sampleuser001";

/// The source of migrate-user's sample users; no other function reads it.
const OLD_POOL: &[(&str, &str)] = &[
    ("LEGACY_SOURCE", "cognito"),
    ("LEGACY_USER_POOL_ID", "us-east-1_Old"),
    ("LEGACY_APP_CLIENT_ID", "old-client"),
];

/// What forward-auth requires besides.
const PROXY: &[(&str, &str)] = &[
    ("PROXY_DIALECT", "nginx"),
    (
        "POLICIES_DIR",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../policies"),
    ),
];

/// The same behind a function URL, whose signature is in `Authorization`.
const SIGNING_PROXY: &[(&str, &str)] = &[
    PROXY[0],
    PROXY[1],
    ("CREDENTIAL_HEADER", "X-Original-Authorization"),
];

#[tokio::test]
async fn every_sample_event_gets_its_response() {
    let world = World::start().await;
    world.cognito.set_answer(
        "AdminGetUser",
        json!({"Username": "ada", "Enabled": true, "UserAttributes": [
            {"Name": "sub", "Value": USER}, {"Name": "email", "Value": "Ada@Example.com"},
            {"Name": "email_verified", "Value": "true"},
        ]}),
    );
    let signed_in = json!({"AuthenticationResult": {"AccessToken": "t"}});
    world.cognito.set_answer("AdminInitiateAuth", signed_in);
    let token = Pool::ours().access_token().claim("sub", USER);
    let token = token.claim("origin_jti", unique("sample")).build();
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.replace("{{SAMPLE_TOKEN}}", &token)
    };
    let mut seen = BTreeSet::new();
    let folders = std::fs::read_dir(events).unwrap();
    let mut folders: Vec<_> = folders.map(|folder| folder.unwrap().path()).collect();
    // Samples of other functions revoke the user's sessions.
    folders.sort_by_key(|folder| !folder.ends_with("forward-auth"));
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if name == "authorizer" {
            continue;
        }
        // Otherwise other functions would look up the sample's users there too.
        let environment = match name.as_str() {
            "migrate-user" => OLD_POOL,
            "forward-auth" => PROXY,
            _ => &[],
        };
        let function = world.function(&name, environment).await;
        let signed = match name.as_str() {
            "forward-auth" => Some(world.function(&name, SIGNING_PROXY).await),
            _ => None,
        };
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            if path.to_string_lossy().ends_with(".expected.json") {
                continue;
            }
            let expected: Value =
                serde_json::from_str(&read(&path.with_extension("expected.json"))).unwrap();
            let sample = path.file_name().unwrap().to_string_lossy();
            let signed = signed
                .as_ref()
                .filter(|_| sample.starts_with("function-url"));
            let function = signed.unwrap_or(&function);
            let answer = match function.invoke_raw(read(&path)).await {
                Invocation::Answer(answer) => answer,
                Invocation::Error(message, _) => json!({"errorMessage": message}),
            };
            check_by_the_crate(&name, &read(&path), &answer);
            assert_eq!(
                with_parsed_body(answer),
                with_parsed_body(expected),
                "{}",
                path.display()
            );
            seen.insert(name.clone());
        }
    }
    assert!(seen.len() >= 9, "{seen:?}");
}

/// `aws_lambda_events` reads the batches and records of the samples, and its types of the response
/// lose no member that Gatehouse adds.
fn check_by_the_crate(function: &str, event: &str, answer: &Value) {
    use aws_lambda_events::{dynamodb, eventbridge, sqs, streams};

    fn keeps<T: DeserializeOwned + Serialize>(answer: &Value) {
        let read: T = serde_json::from_value(answer.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), *answer);
    }
    match function {
        "user-events" => {
            let event: eventbridge::EventBridgeEvent = serde_json::from_str(event).unwrap();
            assert_eq!(event.source, "aws.cognito-idp");
            keeps::<sqs::SqsBatchResponse>(answer);
        }
        "logout-retry" => {
            let event: sqs::SqsEvent = serde_json::from_str(event).unwrap();
            assert!(event.records.iter().all(|it| it.message_id.is_some()));
            keeps::<sqs::SqsBatchResponse>(answer);
        }
        "close-connections" => {
            let event: dynamodb::Event = serde_json::from_str(event).unwrap();
            let keys = event.records.iter().map(|record| &record.change.keys);
            assert!(keys.into_iter().all(|keys| keys.contains_key("pk")));
            keeps::<streams::DynamoDbEventResponse>(answer);
        }
        _ => {}
    }
}

/// The order of a body's members is not part of the contract.
fn with_parsed_body(mut answer: Value) -> Value {
    let body = answer.get("body").and_then(Value::as_str);
    // forward-auth has bodies that are empty or plain text.
    if let Some(Ok(parsed)) = body.map(serde_json::from_str::<Value>) {
        answer["body"] = parsed;
    }
    answer
}
