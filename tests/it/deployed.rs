//! The deployed template: the whole story, through API Gateway, Cognito and DynamoDB.

use std::path::Path;
use std::process::Command;

use auth_tests::Stack;

#[test]
fn the_story_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join(".tools/ministack/bin/python"))
        .arg(root.join("local/story.py"))
        .env("GATEHOUSE_STACK", Stack::of_this_run().json)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("All as promised."),
        "{text}\n{error}"
    );
}
