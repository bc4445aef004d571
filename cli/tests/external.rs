//! `gatehouse audit` and `gatehouse adopt` start the programs of these names.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const SCRIPT: &str = "#!/bin/sh\nfor one in \"$@\"; do echo \"[$one]\"; done\nexit 3\n";

fn gatehouse(path: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gatehouse"))
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[test]
fn arguments_and_the_exit_status_are_passed_on() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("external");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["audit", "adopt"] {
        let program = folder.join(format!("gatehouse-{name}"));
        std::fs::write(&program, SCRIPT).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let output = gatehouse(&folder, &[name, "--help", "--", "two words", "-x"]);
        assert_eq!(
            text(&output.stdout),
            "[--help]\n[--]\n[two words]\n[-x]\n",
            "{name}"
        );
        assert_eq!(output.status.code(), Some(3), "{name}");
    }
}

#[test]
fn a_missing_program_is_an_error_that_says_how_to_install_it() {
    let output = gatehouse(Path::new("/nonexistent"), &["audit"]);
    assert!(text(&output.stdout).is_empty());
    assert!(text(&output.stderr).starts_with("gatehouse-audit was not found. `pip install"));
    assert_eq!(output.status.code(), Some(2));
}
