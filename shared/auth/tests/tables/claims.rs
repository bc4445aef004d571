//! Claims other than times, and the rules of a deployment.

use std::sync::Arc;

use auth::{Issuer, KeySet, ResourceAudience, TokenRules, TokenUse, Verifier};
use serde_json::json;
use testkit::rows::claims::{self, RESOURCE};
use testkit::{Pool, now};

use crate::{check, check_with, verify, verify_with};

#[test]
fn rejects_unknown_issuers() {
    check(claims::unknown_issuers());
}

#[test]
fn requires_iss_as_a_string() {
    check(claims::invalid_issuers());
}

/// Both forms of a pool's issuer have the same keys.
#[test]
fn accepts_every_configured_form_of_an_issuer() {
    let pool = Pool::ours();
    let updated = pool.issuer().replace("cognito-idp", "issuer-cognito-idp");
    let issuers = [pool.issuer(), updated.clone()]
        .map(|url| Issuer::user_pool(Arc::from(pool.id), url, vec![pool.client_id.to_owned()]));
    let verifier = Verifier::new(issuers.to_vec(), TokenRules::default());
    let keys = KeySet::parse(pool.jwks().to_string().as_bytes()).unwrap();
    for (iss, passes) in [
        (pool.issuer(), true),
        (updated.clone(), true),
        (format!("{}/", pool.issuer()), false),
        (format!("{updated}/"), false),
    ] {
        let token = pool.access_token().claim("iss", iss.as_str()).build();
        let result = verify_with(&verifier, &keys, &token, now());
        assert_eq!(result.is_ok(), passes, "{iss}");
    }
}

#[test]
fn each_token_use_has_its_claim_for_the_user_name() {
    let pool = Pool::ours();
    let rules = TokenRules {
        token_uses: vec![TokenUse::Access, TokenUse::Id],
        ..TokenRules::default()
    };
    for (token, name) in [
        (pool.access_token().claim("username", "ada"), "ada"),
        (pool.id_token().claim("cognito:username", "grace"), "grace"),
    ] {
        let claims = verify(&token.build(), &rules, now()).unwrap();
        assert_eq!(claims.username(), Some(name));
    }
}

/// Any token of the session revokes it, also one that has expired.
#[test]
fn a_logout_takes_any_token_of_the_session() {
    let pool = Pool::ours();
    let (hour, now) = (60 * 60, now());
    let rules = TokenRules::of_logout(0, hour);
    let expired = |seconds: u64| {
        let token = pool.access_token().claim("exp", now - seconds);
        let token = token.claim("iat", now - 2 * hour);
        token.claim("auth_time", now - 2 * hour)
    };
    let elsewhere = pool.access_token().claim("aud", RESOURCE);
    for (name, token, passes) in [
        ("an ID token", pool.id_token(), true),
        ("for a resource", elsewhere, true),
        (
            "without a session",
            pool.access_token().without("origin_jti"),
            true,
        ),
        ("expired", expired(hour - 1), true),
        ("expired for an hour", expired(hour), false),
    ] {
        let result = verify(&token.build(), &rules, now);
        assert_eq!(result.is_ok(), passes, "{name}: {:?}", result.err());
    }
}

#[test]
fn rejects_other_token_uses() {
    check(claims::token_uses());
}

#[test]
fn rejects_other_clients() {
    check(claims::clients());
}

#[test]
fn rejects_tokens_for_other_resources() {
    check(claims::audiences());
}

#[test]
fn requires_a_subject() {
    check(claims::subjects());
}

#[test]
fn requires_a_session_and_checks_ids() {
    check(claims::sessions());
}

#[test]
fn requires_groups_and_scopes_of_the_right_types() {
    check(claims::groups_and_scopes());
}

/// Lengths that are just accepted; one byte more is in the tables.
#[test]
fn length_limits_are_exact() {
    let token = || Pool::ours().access_token();
    let rules = TokenRules::default();
    let rows = [
        ("username", json!("a".repeat(512)), true),
        ("username", json!("a".repeat(513)), false),
        ("username", json!(""), false),
        ("cognito:groups", json!(["a".repeat(512)]), true),
        ("origin_jti", json!("a".repeat(256)), true),
        ("origin_jti", json!("a".repeat(257)), false),
        ("jti", json!("a".repeat(256)), true),
        ("jti", json!("a".repeat(257)), false),
    ];
    for (name, value, passes) in rows {
        let result = verify(&token().claim(name, value).build(), &rules, now());
        assert_eq!(result.is_ok(), passes, "{name}");
    }
}

#[test]
fn rejects_delegated_tokens() {
    check(claims::delegation());
}

#[test]
fn accepts_delegated_tokens_where_they_are_allowed() {
    let rules = TokenRules {
        allow_delegated: true,
        ..TokenRules::default()
    };
    for row in claims::delegation() {
        assert!(verify(&row.token, &rules, now()).is_ok(), "{}", row.name);
    }
}

#[test]
fn recognises_clients_on_their_own_behalf() {
    check(claims::machines());
}

#[test]
fn accepts_the_configured_token_uses() {
    let rules = TokenRules {
        token_uses: vec![TokenUse::Access, TokenUse::Id],
        require_session: false,
        ..TokenRules::default()
    };
    check_with(&rules, now(), claims::any_token_use());
    let rules = TokenRules {
        token_uses: vec![TokenUse::Id],
        ..TokenRules::default()
    };
    check_with(&rules, now(), claims::id_tokens_only());
}

#[test]
fn requires_the_configured_resource() {
    let rules = TokenRules {
        resource_audience: ResourceAudience::Required(RESOURCE.to_owned()),
        ..TokenRules::default()
    };
    check_with(&rules, now(), claims::required_audience());
}

#[test]
fn accepts_any_resource_where_that_is_configured() {
    let rules = TokenRules {
        resource_audience: ResourceAudience::Any,
        ..TokenRules::default()
    };
    check_with(&rules, now(), claims::any_audience());
}

#[test]
fn verified_claims_are_those_of_the_token() {
    let pool = Pool::ours();
    let token = pool.access_token();
    let token = token
        .claim("cognito:groups", json!(["admins", "staff"]))
        .claim("scope", "orders/read  orders/write")
        .claim("roles", json!(["auditor"]))
        .claim("mixed", json!(["auditor", 1]))
        .claim("tenant", "acme")
        .claim("level", 3)
        .claim("email_verified", true);
    let rules = TokenRules::default();
    let claims =
        verify(&token.build(), &rules, now()).unwrap_or_else(|reason| panic!("{reason:?}"));
    let text = |name: &str| token.get(name).as_str().unwrap();
    let time = |name: &str| token.get(name).as_u64().unwrap();
    assert_eq!(claims.issuer_id(), pool.id);
    assert_eq!(claims.issuer_alias(), None);
    assert_eq!(claims.issuer_name(), pool.id);
    assert_eq!(claims.token_use(), "access");
    assert_eq!(claims.subject(), text("sub"));
    assert_eq!(claims.client_id(), text("client_id"));
    assert_eq!(claims.username(), Some(text("username")));
    assert_eq!(claims.groups(), ["admins", "staff"]);
    assert_eq!(claims.scope(), "orders/read  orders/write");
    let scopes: Vec<_> = claims.scopes().collect();
    assert_eq!(scopes, ["orders/read", "orders/write"]);
    assert_eq!(claims.session(), Some(text("origin_jti")));
    assert_eq!(claims.token_id(), Some(text("jti")));
    assert_eq!(claims.authenticated_at().0, time("auth_time"));
    assert_eq!(claims.issued_at().0, time("iat"));
    assert_eq!(claims.expires_at().0, time("exp"));
    assert_eq!(claims.usage_plan_key(), None);
    assert_eq!(claims.list("roles"), Some(vec!["auditor".to_owned()]));
    for name in ["mixed", "tenant", "absent"] {
        assert_eq!(claims.list(name), None, "{name}");
    }
    let others = claims.other_claims();
    for (name, expected) in [
        ("tenant", Some("acme")),
        ("level", Some("3")),
        ("email_verified", Some("true")),
        ("roles", None),
        ("absent", None),
    ] {
        let value = others.get(name).map(String::as_str);
        assert_eq!(value, expected, "{name}");
    }
}

/// Logs contain the hash instead of the subject.
#[test]
fn the_subject_hash_depends_on_issuer_and_subject() {
    let hash = auth::subject_hash("pool", "ada");
    assert_eq!(hash.len(), 16);
    assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_ne!(hash, auth::subject_hash("pool", "bob"));
    assert_ne!(hash, auth::subject_hash("other", "ada"));
    assert_ne!(auth::subject_hash("a", "b"), auth::subject_hash("ab", ""));
}

/// A revocation of its client compares that time, also for a WebSocket that the token opened.
#[test]
fn a_machines_token_counts_from_its_issue() {
    let pool = Pool::ours();
    let iat = now() - 30;
    for auth_time in [1, iat - 86_400, iat] {
        let token = pool.machine_token().claim("iat", iat);
        let token = token.claim("auth_time", auth_time).build();
        let claims = verify(&token, &TokenRules::default(), now()).unwrap();
        assert_eq!(claims.authenticated_at().0, iat, "{auth_time}");
    }
}
