//! `gatehouse mails` renders every message of a brand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

#[test]
fn mails_can_be_previewed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mails");
    let output = Command::new(env!("CARGO_BIN_EXE_gatehouse"))
        .arg("mails")
        .arg(&folder)
        .env_clear()
        .env("APP_BASE_URL", "https://app.example.com")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let index = read("index.html");
    assert_eq!(index.matches("<a href").count(), 7 * 5);
    for source in ["sign_up", "resend_code"] {
        assert!(read(&format!("{source}.de.html")).contains("Guten Tag,"));
        assert!(read(&format!("{source}.ar.html")).contains("confirmationCode=123456"));
    }
    // A temporary password with any characters is shown as text, and never part of a URL.
    let invitation = read("admin_create_user.en.html");
    assert!(invitation.contains("k4T%&amp;&lt;x9") && !invitation.contains("href=\"http"));
}
