//! The pages, in Chromium, over the deployed stack.

use std::path::Path;
use std::process::Command;

use auth_tests::Stack;
use testkit::Binary;

#[test]
fn pages_and_emails_work_in_a_browser() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/pages.js");
    let mails = std::env::temp_dir().join(format!("gatehouse-mails-{}", std::process::id()));
    let rendered = Command::new(Binary::path("gatehouse"))
        .arg("mails")
        .arg(&mails)
        .output();
    assert!(rendered.unwrap().status.success());
    let output = Command::new("node")
        .arg(script)
        .env("MAILS", &mails)
        .env("GATEHOUSE_STACK", Stack::of_this_run().json)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&mails).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("All pages passed."),
        "{text}\n{error}"
    );
}
