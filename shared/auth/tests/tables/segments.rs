//! The parser of a compact JWS, and the signature.

use auth::UnverifiedToken;
use testkit::rows::segments;

use crate::{check, verify};

#[test]
fn requires_three_segments() {
    check(segments::segment_counts());
}

#[test]
fn rejects_tokens_above_the_length_limit() {
    check(segments::overlong_tokens());
}

#[test]
fn the_length_limit_is_an_argument() {
    for token in segments::long_tokens() {
        let length = token.len();
        for (limit, passes) in [
            (length - 1, false),
            (length, true),
            (length + 1, true),
            (0, false),
        ] {
            let parsed = UnverifiedToken::parse_within(&token, limit);
            assert_eq!(parsed.is_ok(), passes, "{length} bytes within {limit}");
        }
        let by_default = UnverifiedToken::parse(&token);
        assert_eq!(by_default.is_ok(), length <= 8 * 1024, "{length} bytes");
    }
}

#[test]
fn rejects_other_encodings_than_canonical_base64url() {
    check(segments::encodings());
}

#[test]
fn rejects_signatures_of_other_messages() {
    check(segments::signatures());
}

#[test]
fn rejects_segments_that_are_not_json() {
    check(segments::invalid_json());
}

#[test]
fn rejects_segments_that_are_not_objects() {
    check(segments::other_json_types());
}

#[test]
fn rejects_duplicate_members() {
    check(segments::duplicate_members());
}

#[test]
fn ignores_unknown_members() {
    check(segments::unknown_members());
}

#[test]
fn rejects_every_flipped_bit() {
    let (good, flipped) = segments::flipped_bits();
    let rules = auth::TokenRules::default();
    let accepts = |token: &str| verify(token, &rules, testkit::now()).is_ok();
    assert!(accepts(&good));
    for (token, at) in flipped {
        assert!(!accepts(&token), "byte {at}");
    }
}
