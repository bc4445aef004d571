//! The JOSE header, and the choice of the key.

use testkit::rows::headers;

use crate::check;

#[test]
fn rejects_unsigned_tokens() {
    check(headers::unsigned());
}

#[test]
fn requires_alg_as_a_string() {
    check(headers::alg_types());
}

#[test]
fn rejects_other_algorithms() {
    check(headers::other_algorithms());
}

#[test]
fn rejects_members_that_change_the_processing() {
    check(headers::unsupported_members());
}

#[test]
fn requires_kid_as_a_string() {
    check(headers::kid_types());
}

#[test]
fn rejects_unknown_kids() {
    check(headers::unknown_kids());
}

#[test]
fn uses_only_the_key_that_kid_names() {
    check(headers::other_keys("https://attacker.example/jwks.json"));
}

#[test]
fn accepts_harmless_headers() {
    check(headers::accepted_headers());
}
