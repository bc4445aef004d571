//! Cognito's documented rules as the local stack implements them (`local/cognito_rules.py`), and our API above
//! them: each test runs a scenario of `local/played.py` over the deployed template.

use std::path::Path;
use std::process::Command;

use auth_tests::Stack;

fn play(scenario: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join(".tools/ministack/bin/python"))
        .arg(root.join("local/played.py"))
        .arg(scenario)
        .env("GATEHOUSE_STACK", Stack::of_this_run().json)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    let played = text.contains(&format!("{scenario}: passed"));
    assert!(output.status.success() && played, "{text}\n{error}");
}

#[test]
fn a_new_address_requires_its_code() {
    play("a_new_address_requires_its_code");
}

#[test]
fn codes_for_an_address_can_be_resent() {
    play("codes_for_an_address_can_be_resent");
}

#[test]
fn a_taken_address_may_be_rejected_on_update() {
    play("a_taken_address_may_be_rejected_on_update");
}

#[test]
fn users_are_migrated_with_the_guard_enabled() {
    play("users_are_migrated_with_the_guard_enabled");
}

#[test]
fn users_whose_names_the_guard_rejects_are_migrated() {
    play("users_whose_names_the_guard_rejects_are_migrated");
}

#[test]
fn a_migrated_password_must_be_changed() {
    play("a_migrated_password_must_be_changed");
}

#[test]
fn the_guard_checks_invitations() {
    play("the_guard_checks_invitations");
}

#[test]
fn unconfirmed_users_cannot_sign_in() {
    play("unconfirmed_users_cannot_sign_in");
}

#[test]
fn password_resets_require_a_verified_address() {
    play("password_resets_require_a_verified_address");
}

#[test]
fn users_with_a_required_reset_cannot_sign_in() {
    play("users_with_a_required_reset_cannot_sign_in");
}

#[test]
fn usernames_are_uuids_and_addresses_are_aliases() {
    play("usernames_are_uuids_and_addresses_are_aliases");
}

#[test]
fn revoked_sessions_stay_revoked_after_a_refresh_at_cognito() {
    play("revoked_sessions_stay_revoked_after_a_refresh_at_cognito");
}

#[test]
fn direct_cognito_calls_do_not_restore_a_revoked_session() {
    play("direct_cognito_calls_do_not_restore_a_revoked_session");
}

#[test]
fn calls_per_user_and_hour_are_limited() {
    play("calls_per_user_and_hour_are_limited");
}

#[test]
fn managed_rules_apply_to_all_users_or_a_domain() {
    play("managed_rules_apply_to_all_users_or_a_domain");
}

#[test]
fn every_scenario_has_a_test() {
    let scenarios = include_str!("../../local/played.py");
    let names = scenarios.split("@scenario\ndef ").skip(1);
    let names: Vec<&str> = names.filter_map(|text| text.split('(').next()).collect();
    assert!(names.len() > 10);
    for name in names {
        let test = format!("fn {name}() {{\n    play(\"{name}\");");
        assert!(include_str!("cognito.rs").contains(&test), "{name}");
    }
}
