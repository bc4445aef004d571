//! custom-message's log, from the built binary. Its messages are tested in its own folder.

use serde_json::{Value, json};
use testkit::{Binary, events};

#[tokio::test]
async fn names_and_addresses_are_not_logged() {
    let environment = [
        ("APP_NAME", "Example".to_owned()),
        ("APP_BASE_URL", "https://app.example.com".to_owned()),
    ];
    let function = Binary::start("custom-message", &environment).await;
    let mut event = events::sample("custom-message/sign-up");
    event["request"]["userAttributes"]["email"] = json!("ada@example.com");
    event["request"]["userAttributes"]["name"] = json!("Ada Lovelace");
    let answer = function.invoke(&event).await.answer();
    assert!(answer["response"]["emailMessage"].is_string());
    event["request"]["codeParameter"] = Value::Null;
    let answer = function.invoke(&event).await.answer();
    assert!(answer["response"]["emailMessage"].is_null());
    let output = function.output();
    assert!(!output.contains("Ada") && !output.contains("@example"));
}
