//! The claims `exp`, `iat`, `nbf` and `auth_time`.

use auth::{DenyReason, TokenRules, UnixSeconds};
use testkit::rows::times;
use testkit::{Pool, now};

use crate::{check, check_with, verify};

#[test]
fn lifetimes_have_their_bounds() {
    assert_eq!(auth::MAX_LIFETIME_SECONDS, 86_400);
    assert_eq!(auth::LARGEST_MAX_LIFETIME_SECONDS, 2_592_000);
}

#[test]
fn rejects_times_that_are_no_numeric_dates() {
    check(times::invalid_times());
}

#[test]
fn rejects_times_that_contradict_each_other() {
    let now = now();
    check_with(&TokenRules::default(), now, times::contradictory_times(now));
}

#[test]
fn rejects_expired_tokens() {
    let now = now();
    check_with(&TokenRules::default(), now, times::expired(now));
}

#[test]
fn rejects_tokens_that_are_not_valid_yet() {
    let now = now();
    check_with(&TokenRules::default(), now, times::not_yet_valid(now));
}

#[test]
fn accepts_valid_times() {
    let now = now();
    check_with(&TokenRules::default(), now, times::valid_times(now));
}

#[test]
fn the_leeway_applies_to_every_time() {
    let rules = TokenRules {
        leeway_seconds: 60,
        ..TokenRules::default()
    };
    let now = now();
    check_with(&rules, now, times::leeway_of_a_minute(now));
}

#[test]
fn the_leeway_for_iat_applies_to_iat_only() {
    let rules = TokenRules {
        iat_leeway_seconds: 5,
        ..TokenRules::default()
    };
    let now = now();
    check_with(&rules, now, times::iat_leeway(now));
}

/// Each limit, to the second.
#[test]
fn limits_are_exact() {
    const DAY: u64 = 24 * 60 * 60;
    let now = now();
    let with = |name: &'static str| {
        move |value: u64| Pool::ours().access_token().claim(name, value).build()
    };
    let lifetime = |seconds: u64| {
        let iat = now - 60;
        let token = Pool::ours().access_token().claim("iat", iat);
        let token = token.claim("auth_time", iat).claim("exp", iat + seconds);
        token.build()
    };
    let rules = |leeway_seconds, iat_leeway_seconds| TokenRules {
        leeway_seconds,
        iat_leeway_seconds,
        ..TokenRules::default()
    };
    let rows = [
        (rules(0, 0), with("exp")(now + 1), None),
        (rules(0, 0), with("exp")(now), Some(DenyReason::Expired)),
        (rules(60, 0), with("exp")(now - 59), None),
        (
            rules(60, 0),
            with("exp")(now - 60),
            Some(DenyReason::Expired),
        ),
        (rules(0, 0), with("nbf")(now), None),
        (
            rules(0, 0),
            with("nbf")(now + 1),
            Some(DenyReason::NotYetValid),
        ),
        (rules(60, 0), with("nbf")(now + 60), None),
        (
            rules(60, 0),
            with("nbf")(now + 61),
            Some(DenyReason::NotYetValid),
        ),
        (
            rules(0, 5),
            with("nbf")(now + 1),
            Some(DenyReason::NotYetValid),
        ),
        (rules(0, 0), times::issued_at(now), None),
        (
            rules(0, 0),
            times::issued_at(now + 1),
            Some(DenyReason::NotYetValid),
        ),
        (rules(0, 5), times::issued_at(now + 5), None),
        (
            rules(0, 5),
            times::issued_at(now + 6),
            Some(DenyReason::NotYetValid),
        ),
        (rules(60, 5), times::issued_at(now + 60), None),
        (
            rules(60, 5),
            times::issued_at(now + 61),
            Some(DenyReason::NotYetValid),
        ),
        (rules(0, 0), lifetime(DAY), None),
        (
            rules(0, 0),
            lifetime(DAY + 1),
            Some(DenyReason::InvalidClaims),
        ),
        (rules(60, 0), lifetime(DAY + 60), None),
        (
            rules(60, 0),
            lifetime(DAY + 61),
            Some(DenyReason::InvalidClaims),
        ),
    ];
    for (row, (rules, token, refused)) in rows.into_iter().enumerate() {
        assert_eq!(verify(&token, &rules, now).err(), refused, "row {row}");
    }
}

/// An expired token may still revoke its session at logout, for a limited time.
#[test]
fn expired_tokens_are_accepted_for_the_configured_time() {
    let rules = TokenRules {
        expired_for_seconds: 3_600,
        leeway_seconds: 60,
        ..TokenRules::default()
    };
    let now = now();
    for (exp, iat, refused) in [
        (now - 3_659, now - 7_000, None),
        (now - 3_660, now - 7_000, Some(DenyReason::Expired)),
        // Other times have no such grace.
        (now + 600, now + 61, Some(DenyReason::NotYetValid)),
    ] {
        let token = Pool::ours().access_token().claim("exp", exp);
        let token = token.claim("iat", iat).claim("auth_time", iat).build();
        assert_eq!(verify(&token, &rules, now).err(), refused, "exp {exp}");
    }
}

#[test]
fn a_verified_token_expires_while_the_caller_waits() {
    let now = now();
    let rules = TokenRules {
        leeway_seconds: 10,
        ..TokenRules::default()
    };
    let verifier = auth::Verifier::new(Vec::new(), rules.clone());
    let token = Pool::ours().access_token().claim("exp", now + 5).build();
    let claims = verify(&token, &rules, now).unwrap_or_else(|reason| panic!("{reason:?}"));
    for (seconds, expected) in [(0, Ok(())), (14, Ok(())), (15, Err(DenyReason::Expired))] {
        let at = UnixSeconds(now + seconds);
        assert_eq!(verifier.still_valid(&claims, at), expected, "{seconds} s");
    }
}
