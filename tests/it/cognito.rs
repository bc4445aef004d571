//! What the local stack plays of Cognito by AWS's texts (`local/cognito_rules.py`), and what our API makes of it:
//! each test is a scene of `local/played.py`, over the deployed template.

use std::path::Path;
use std::process::Command;

use auth_tests::Stack;

fn play(scene: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join(".tools/ministack/bin/python"))
        .arg(root.join("local/played.py"))
        .arg(scene)
        .env("GATEHOUSE_STACK", Stack::of_this_run().json)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    let played = text.contains(&format!("{scene}: as AWS says."));
    assert!(output.status.success() && played, "{text}\n{error}");
}

#[test]
fn a_new_address_waits_for_its_code() {
    play("a_new_address_waits_for_its_code");
}

#[test]
fn a_code_for_an_address_comes_again() {
    play("a_code_for_an_address_comes_again");
}

#[test]
fn a_taken_address_may_be_refused_when_asked_for() {
    play("a_taken_address_may_be_refused_when_asked_for");
}

#[test]
fn users_are_moved_with_the_guard_on() {
    play("users_are_moved_with_the_guard_on");
}

#[test]
fn users_of_names_that_the_guard_refuses_are_moved() {
    play("users_of_names_that_the_guard_refuses_are_moved");
}

#[test]
fn the_guard_looks_at_invitations() {
    play("the_guard_looks_at_invitations");
}

#[test]
fn unconfirmed_users() {
    play("unconfirmed_users");
}

#[test]
fn passwords_are_reset_by_verified_addresses_alone() {
    play("passwords_are_reset_by_verified_addresses_alone");
}

#[test]
fn users_who_have_to_reset_their_password() {
    play("users_who_have_to_reset_their_password");
}

#[test]
fn users_are_named_by_a_uuid_and_found_by_their_address() {
    play("users_are_named_by_a_uuid_and_found_by_their_address");
}

#[test]
fn what_our_api_ended_stays_ended_whatever_cognito_refreshes() {
    play("what_our_api_ended_stays_ended_whatever_cognito_refreshes");
}

#[test]
fn a_thief_acts_at_cognito_and_brings_nothing_back() {
    play("a_thief_acts_at_cognito_and_brings_nothing_back");
}

#[test]
fn a_user_has_so_many_calls_an_hour() {
    play("a_user_has_so_many_calls_an_hour");
}

#[test]
fn rules_are_chosen_for_all_users_or_a_domain() {
    play("rules_are_chosen_for_all_users_or_a_domain");
}

#[test]
fn every_scene_is_played() {
    let scenes = include_str!("../../local/played.py");
    let names = scenes.split("@scene\ndef ").skip(1);
    let names: Vec<&str> = names.filter_map(|text| text.split('(').next()).collect();
    assert!(names.len() > 10);
    for name in names {
        let test = format!("fn {name}() {{\n    play(\"{name}\");");
        assert!(include_str!("cognito.rs").contains(&test), "{name}");
    }
}
