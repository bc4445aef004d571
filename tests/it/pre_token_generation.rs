//! pre-token-generation's log, from the built binary. Its rules are tested in its own folder.

use serde_json::json;
use testkit::Binary;

use testkit::events;

#[tokio::test]
async fn claims_are_not_logged() {
    let function = Binary::start("pre-token-generation", &[]).await;
    let mut event = events::sample("pre-token-generation/authentication");
    event["request"]["userAttributes"]["custom:tenant"] = json!("acme");
    let answer = function.invoke(&event).await.answer();
    assert!(answer.to_string().contains(r#""tenant":"acme""#));
    event["request"]["userAttributes"]["custom:tenant"] = json!("acme\nacme");
    assert!(function.invoke(&event).await.is_failure());
    assert!(!function.output().contains("acme"));
}
