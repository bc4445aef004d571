//! Phantom tokens, as independent verifiers see them.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod common;

use auth::{ClaimsBuilder, DenyReason, Principal, UnixSeconds};
use auth_phantom::{
    MAX_CLAIMS_BYTES, MAX_TTL_SECONDS, MIN_TTL_SECONDS, MintError, Minter, MinterError,
    SigningAlgorithm, SigningKeys,
};
use common::{ISSUER, START, accepted, accepted_by_jsonwebtoken, minter, part};
use jsonwebtoken::errors::ErrorKind;
use proptest::prelude::*;
use serde_json::{Value, json};

const ALGORITHMS: [SigningAlgorithm; 2] = [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa];

fn of(algorithm: SigningAlgorithm, now: UnixSeconds) -> Minter {
    minter(SigningKeys::first(algorithm, now).unwrap())
}

fn now() -> UnixSeconds {
    UnixSeconds(testkit::now())
}

#[test]
fn a_users_token_is_accepted_by_independent_verifiers() {
    for algorithm in ALGORITHMS {
        let now = now();
        let minter = of(algorithm, now);
        let claims = ClaimsBuilder::user("ada-sub", UnixSeconds(now.0 - 100))
            .username("ada")
            .groups(["admins", "editors"])
            .scope("orders/read orders/write")
            .session(Some("the-session"))
            .build();
        let token = minter.mint(&claims, "orders", now).unwrap();
        let kid = part(&token, 0)["kid"].clone();
        assert_eq!(
            part(&token, 0),
            json!({"typ": "at+jwt", "alg": algorithm.as_str(), "kid": kid})
        );

        let seen = accepted(&token, &minter.jwks(), "orders", now).unwrap();
        assert_eq!(seen.principal(), Principal::User);
        assert_eq!(seen.subject(), "ada-sub");
        assert_eq!(seen.username(), Some("ada"));
        assert_eq!(seen.client_id(), "example-client");
        assert_eq!(seen.groups(), ["admins", "editors"]);
        assert_eq!(seen.scope(), "orders/read orders/write");
        assert_eq!(seen.session(), Some("the-session"));
        assert_eq!(seen.authenticated_at(), UnixSeconds(now.0 - 100));
        assert_eq!((seen.issued_at(), seen.expires_at()), (now, now.plus(60)));

        let theirs = accepted_by_jsonwebtoken(&token, &minter.jwks(), "orders").unwrap();
        let id = theirs.claims["jti"].as_str().unwrap().to_owned();
        assert_eq!(id.len(), 22, "128 bits");
        assert_eq!(
            theirs.claims,
            json!({
                "iss": ISSUER, "sub": "ada-sub", "aud": "orders", "iat": now.0, "exp": now.0 + 60,
                "jti": id, "client_id": "example-client", "idp": "us-east-1_Example",
                "idtyp": "user", "scope": "orders/read orders/write",
                "groups": ["admins", "editors"], "preferred_username": "ada",
                "auth_time": now.0 - 100, "sid": "the-session",
            })
        );
        let again = minter.mint(&claims, "orders", now).unwrap();
        assert_ne!(part(&again, 1)["jti"], id, "each token has its own id");
    }
}

#[test]
fn machines_and_api_keys_are_apps() {
    let minter = of(SigningAlgorithm::Es256, START);
    let machine = ClaimsBuilder::machine("the-machine", START)
        .scope("orders/read")
        .build();
    // A machine of another provider, whose subject is not its client.
    let foreign = ClaimsBuilder::machine("the-machine", START)
        .client_id("another")
        .scope("openid")
        .issuer_alias("okta")
        .build();
    let key = ClaimsBuilder::api_key("ada-sub", "0123456789ab", START).build();
    for (claims, client, subject, owner) in [
        (machine, "the-machine", "the-machine", Value::Null),
        (foreign, "another", "the-machine", Value::Null),
        (key, "api-key", "api-key:0123456789ab", json!("ada-sub")),
    ] {
        let token = minter.mint(&claims, "orders", START).unwrap();
        let written = part(&token, 1);
        assert_eq!(written["idtyp"], "app");
        assert_eq!(written["idp"], claims.issuer_name());
        assert_eq!(written["groups"], json!([]));
        assert_eq!(written["owner"], owner);
        for name in ["preferred_username", "auth_time", "sid"] {
            assert_eq!(written.get(name), None, "{name}");
        }
        let seen = accepted(&token, &minter.jwks(), "orders", START).unwrap();
        assert_eq!(seen.principal(), Principal::Client);
        assert_eq!(seen.client_id(), client);
        assert_eq!(seen.subject(), subject);
    }
}

#[test]
fn a_users_api_key_is_not_the_user() {
    let minter = of(SigningAlgorithm::Es256, START);
    let user = ClaimsBuilder::user("ada-sub", START).build();
    let key = ClaimsBuilder::api_key("ada-sub", "0123456789ab", START).build();
    let account = |claims| {
        let claims = part(&minter.mint(&claims, "orders", START).unwrap(), 1);
        (claims["sub"].clone(), claims["idp"].clone())
    };
    assert_ne!(account(user), account(key));
}

#[test]
fn a_delegated_token_stays_one() {
    let minter = of(SigningAlgorithm::Es256, START);
    let actors = [
        json!({"sub": "agent-1", "client_id": "agents", "act": {"sub": "Ägent \"2\""}}),
        json!({}),
        // Not of the type that the RFC has, but a verifier must not miss it either.
        json!("agent-1"),
        Value::Null,
    ];
    for actor in actors {
        let claims = ClaimsBuilder::user("ada", START).claim("act", actor.clone());
        let token = minter.mint(&claims.build(), "orders", START).unwrap();
        assert_eq!(part(&token, 1).get("act"), Some(&actor));
        let refused = accepted(&token, &minter.jwks(), "orders", START).err();
        assert_eq!(refused, Some(DenyReason::Delegated), "{actor}");
    }
    let mint = |actor: Value| {
        let claims = ClaimsBuilder::user("ada", START).claim("act", actor);
        minter.mint(&claims.build(), "orders", START)
    };
    let long = mint(json!({"sub": "x".repeat(MAX_CLAIMS_BYTES)}));
    assert_eq!(long, Err(MintError::TooLarge));
    let nested = |depth| (0..depth).fold(json!({}), |inner, _| json!({ "act": inner }));
    assert!(mint(nested(100)).is_ok());
    assert_eq!(mint(nested(200)), Err(MintError::TooLarge));
    let own = ClaimsBuilder::user("ada", START).build();
    let token = minter.mint(&own, "orders", START).unwrap();
    assert_eq!(part(&token, 1).get("act"), None);
}

#[test]
fn the_issuer_of_the_caller_is_told_because_subjects_of_two_may_be_equal() {
    let minter = of(SigningAlgorithm::Es256, START);
    let own = ClaimsBuilder::user("42", START).build();
    let other = ClaimsBuilder::user("42", START)
        .issuer_alias("okta")
        .build();
    let idp = |claims| part(&minter.mint(&claims, "orders", START).unwrap(), 1)["idp"].clone();
    assert_eq!(
        (idp(own), idp(other)),
        (json!("us-east-1_Example"), json!("okta"))
    );
}

#[test]
fn a_stolen_token_is_refused_by_every_other_service() {
    for algorithm in ALGORITHMS {
        let now = now();
        let minter = of(algorithm, now);
        let claims = ClaimsBuilder::user("ada", now).build();
        let token = minter.mint(&claims, "orders", now).unwrap();
        for other in ["payments", "order", "orders ", "Orders", "example-client"] {
            let refused = accepted(&token, &minter.jwks(), other, now).err();
            assert_eq!(refused, Some(DenyReason::WrongAudience), "{other}");
            let refused = accepted_by_jsonwebtoken(&token, &minter.jwks(), other);
            let kind = refused.err().unwrap().into_kind();
            assert!(
                matches!(kind, ErrorKind::InvalidAudience),
                "{other}: {kind:?}"
            );
        }
        // Another gateway's keys, even of the same issuer.
        let refused = accepted(&token, &of(algorithm, now).jwks(), "orders", now).err();
        assert_eq!(refused, Some(DenyReason::UnknownKey));
    }
}

#[test]
fn a_changed_token_is_refused() {
    let minter = of(SigningAlgorithm::Es256, START);
    let claims = ClaimsBuilder::user("ada", START).build();
    let token = minter.mint(&claims, "orders", START).unwrap();
    let other = ClaimsBuilder::user("eve", START).build();
    let other = minter.mint(&other, "orders", START).unwrap();
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (other_head, _) = other.rsplit_once('.').unwrap();
    assert!(
        accepted(
            &format!("{head}.{signature}"),
            &minter.jwks(),
            "orders",
            START
        )
        .is_ok()
    );
    let forged = format!("{other_head}.{signature}");
    let refused = accepted(&forged, &minter.jwks(), "orders", START).err();
    assert_eq!(refused, Some(DenyReason::BadSignature));
}

#[test]
fn a_token_expires_after_its_seconds() {
    let keys = || SigningKeys::first(SigningAlgorithm::EdDsa, START).unwrap();
    let claims = ClaimsBuilder::user("ada", START).build();
    for seconds in [MIN_TTL_SECONDS, 60, MAX_TTL_SECONDS] {
        let minter = Minter::new(ISSUER.to_owned(), keys(), seconds).unwrap();
        let token = minter.mint(&claims, "orders", START).unwrap();
        let at = |second| accepted(&token, &minter.jwks(), "orders", START.plus(second)).err();
        assert_eq!(at(0), None);
        assert_eq!(at(seconds - 1), None);
        assert_eq!(at(seconds), Some(DenyReason::Expired));
    }
    let past = UnixSeconds(now().0 - 61);
    let minter = of(SigningAlgorithm::Es256, past);
    let claims = ClaimsBuilder::user("ada", past).build();
    let token = minter.mint(&claims, "orders", past).unwrap();
    let refused = accepted_by_jsonwebtoken(&token, &minter.jwks(), "orders");
    let kind = refused.err().unwrap().into_kind();
    assert!(matches!(kind, ErrorKind::ExpiredSignature), "{kind:?}");
}

#[test]
fn a_token_does_not_outlive_the_credential_that_it_stands_for() {
    let minter = of(SigningAlgorithm::Es256, START);
    let claims = ClaimsBuilder::user("ada", START).expires_at(START.plus(30));
    let claims = claims.build();
    let mint = |second| minter.mint(&claims, "orders", START.plus(second));
    let expires = |token: Result<String, _>| part(&token.unwrap(), 1)["exp"].clone();
    assert_eq!(expires(mint(0)), START.0 + 30);
    assert_eq!(expires(mint(29)), START.0 + 30);
    assert_eq!(mint(30), Err(MintError::Expired));
    // Within a leeway for clocks.
    assert_eq!(mint(40), Err(MintError::Expired));
}

#[test]
fn a_sign_in_that_a_leeway_admitted_is_not_after_the_token() {
    let minter = of(SigningAlgorithm::Es256, START);
    let claims = ClaimsBuilder::user("ada", START.plus(3)).build();
    let token = minter.mint(&claims, "orders", START).unwrap();
    assert_eq!(part(&token, 1)["auth_time"], START.0);
    assert!(accepted(&token, &minter.jwks(), "orders", START).is_ok());
}

#[test]
fn a_hundred_groups_fit_and_more_are_refused_instead_of_cut() {
    let minter = of(SigningAlgorithm::Es256, START);
    let with = |count: usize| {
        let groups: Vec<String> = (0..count)
            .map(|index| format!("department-{index:04}"))
            .collect();
        let claims = ClaimsBuilder::user("a1b2c3d4-5678-90ab-cdef-example11111", START)
            .session(Some("0a1b2c3d-session-example-000000000001"))
            .groups(groups.iter().map(String::as_str))
            .build();
        (
            groups,
            minter.mint(&claims, "https://orders.example.com", START),
        )
    };
    let (groups, token) = with(100);
    let token = token.unwrap();
    assert!(token.len() < 4_300, "{}", token.len());
    let seen = accepted(&token, &minter.jwks(), "https://orders.example.com", START).unwrap();
    assert_eq!(seen.groups(), groups);
    let (_, refused) = with(300);
    assert_eq!(refused, Err(MintError::TooLarge));
}

#[test]
fn the_limit_is_exact_and_in_bytes() {
    let minter = of(SigningAlgorithm::EdDsa, START);
    let mint = |scope: &str| {
        let claims = ClaimsBuilder::user("ada", START).scope(scope).build();
        minter.mint(&claims, "orders", START)
    };
    let size = |token: &str| part(token, 1).to_string().len();
    let rest = size(&mint("x").unwrap()) - 1;
    let longest = mint(&"x".repeat(MAX_CLAIMS_BYTES - rest)).unwrap();
    assert_eq!(size(&longest), MAX_CLAIMS_BYTES);
    assert!(longest.len() < 4_300, "{}", longest.len());
    let one_more = "x".repeat(MAX_CLAIMS_BYTES - rest + 1);
    assert_eq!(mint(&one_more), Err(MintError::TooLarge));
    // Two bytes a character.
    let wide = "é".repeat((MAX_CLAIMS_BYTES - rest) / 2 + 1);
    assert_eq!(mint(&wide), Err(MintError::TooLarge));
}

#[test]
fn claims_outside_of_ascii_reach_the_backend_unchanged_and_the_token_is_ascii() {
    let minter = of(SigningAlgorithm::Es256, START);
    let claims = ClaimsBuilder::user("ада-💡", START)
        .username("Zoë \"O'Brien\" \\ 中文")
        .groups(["日本", "a,b", "x: y\r"])
        .build();
    let token = minter.mint(&claims, "Straße", START).unwrap();
    let in_header = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    assert!(token.bytes().all(in_header));
    let written = part(&token, 1);
    assert_eq!(written["sub"], "ада-💡");
    assert_eq!(written["preferred_username"], "Zoë \"O'Brien\" \\ 中文");
    assert_eq!(written["groups"], json!(["日本", "a,b", "x: y\r"]));
    assert_eq!(written["aud"], "Straße");
    let fit = ClaimsBuilder::user("ада", START).groups(["日本"]).build();
    let token = minter.mint(&fit, "Straße", START).unwrap();
    let seen = accepted(&token, &minter.jwks(), "Straße", START).unwrap();
    assert_eq!(
        (seen.subject(), seen.groups()),
        ("ада", &["日本".to_owned()][..])
    );
}

#[test]
fn a_minter_needs_a_plain_https_issuer_and_a_short_lifetime() {
    let new = |issuer: &str, seconds| {
        let keys = SigningKeys::first(SigningAlgorithm::EdDsa, START).unwrap();
        let new = Minter::new(issuer.to_owned(), keys, seconds).err();
        assert_eq!(Minter::accepts(issuer), new != Some(MinterError::Issuer));
        new
    };
    for issuer in [
        "https://auth.example.com",
        "https://auth.example.com:8443/a/b-c_d~e/@x:y;z,1+2!$&'()*",
        "https://[2001:db8::1]/x",
        "https://[2001:db8::1]",
        "https://192.0.2.1:9000",
        "https://localhost",
        "https://a_b.xn--bcher-kva.example",
    ] {
        assert_eq!(new(issuer, 60), None, "{issuer}");
    }
    let long = format!("https://a/{}", "x".repeat(512));
    for issuer in [
        "",
        "auth.example.com",
        "http://auth.example.com",
        "HTTPS://auth.example.com",
        "https://",
        "https:///x",
        "https://user@auth.example.com",
        "https://auth.example.com?x",
        "https://auth.example.com/?x=y",
        "https://auth.example.com/#x",
        "https://auth.example.com/ ",
        " https://auth.example.com",
        "https://auth.example.com\n",
        "https://äuth.example.com",
        "https://auth.example.com/ä",
        "https://auth.example.com/",
        "https://auth.example.com/a/",
        "https://auth.example.com//a",
        "https://auth.example.com/a//b",
        "https://auth.example.com/./a",
        "https://auth.example.com/a/../b",
        "https://auth.example.com/a/%2e%2E/b",
        "https://auth.example.com/a/..",
        "https://auth.example.com/%61",
        "https://auth.example.com/%",
        "https://auth.example.com/a|b",
        "https://auth.example.com/a^b",
        "https://auth.example.com\\a",
        "https://auth.example.com:443",
        "https://auth.example.com:",
        "https://auth.example.com:0",
        "https://auth.example.com:080",
        "https://auth.example.com:65536",
        "https://a:b:c",
        "https://a:b@c",
        "https://:b@c",
        "https://@c",
        "https://[",
        "https://[]",
        "https://[::1",
        "https://[2001:DB8::1]",
        "https://[2001:db8:0::1]",
        "https://-",
        "https://-a.example.com",
        "https://a-.example.com",
        "https://.",
        "https://..",
        "https://auth.example.com.",
        "https://auth..example.com",
        "https://Auth.example.com",
        "https://auth%2eexample.com",
        "https://auth*.example.com",
        "https://0x7f.1",
        "https://192.0.2.1.",
        "https://192.0.2.256",
        "https://xn--a.example",
        "https:auth.example.com",
        "https:///auth.example.com",
        "https://auth.exa\tmple.com",
        &format!("https://{}.example", "a".repeat(64)),
        &format!("https://{}a", "a.".repeat(127)),
        &long,
    ] {
        assert_eq!(new(issuer, 60), Some(MinterError::Issuer), "{issuer}");
    }
    for seconds in [0, MIN_TTL_SECONDS - 1, MAX_TTL_SECONDS + 1, u64::MAX] {
        assert_eq!(new(ISSUER, seconds), Some(MinterError::Lifetime));
    }
}

#[test]
fn nothing_is_minted_for_no_audience_or_at_the_end_of_time() {
    let minter = of(SigningAlgorithm::EdDsa, START);
    let claims = ClaimsBuilder::user("ada", START).build();
    assert_eq!(minter.mint(&claims, "", START), Err(MintError::NoAudience));
    let end = UnixSeconds(u64::MAX);
    assert_eq!(minter.mint(&claims, "orders", end), Err(MintError::Expired));
}

#[test]
fn keys_are_replaced_while_other_threads_mint() {
    let minter = of(SigningAlgorithm::EdDsa, START);
    let claims = ClaimsBuilder::user("ada", START).build();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    minter.mint(&claims, "orders", START).unwrap();
                }
            });
        }
        for _ in 0..20 {
            minter.replace_keys(SigningKeys::first(SigningAlgorithm::Es256, START).unwrap());
        }
    });
    let token = minter.mint(&claims, "orders", START).unwrap();
    assert_eq!(part(&token, 0)["alg"], "ES256");
    assert!(accepted(&token, &minter.jwks(), "orders", START).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_claim_is_written_as_it_is_or_the_token_is_refused(
        sub in ".{1,64}",
        username in ".{0,300}",
        groups in prop::collection::vec(".{0,200}", 0..20),
        scope in ".{1,300}",
    ) {
        let minter = of(SigningAlgorithm::EdDsa, START);
        let claims = ClaimsBuilder::user(&sub, START)
            .username(&username)
            .groups(groups.iter().map(String::as_str))
            .scope(&scope)
            .build();
        match minter.mint(&claims, "orders", START) {
            Ok(token) => {
                let written = part(&token, 1);
                prop_assert_eq!(&written["sub"], &Value::from(sub));
                prop_assert_eq!(&written["preferred_username"], &Value::from(username));
                prop_assert_eq!(&written["groups"], &Value::from(groups));
                prop_assert_eq!(&written["scope"], &Value::from(scope));
            }
            Err(error) => prop_assert_eq!(error, MintError::TooLarge),
        }
    }

    /// What `auth` lets through as a caller of any issuer, it accepts in a phantom token too.
    #[test]
    fn a_verifier_accepts_every_caller_that_one_has_verified(
        sub in "\\PC{1,60}",
        username in "\\PC{1,128}",
        groups in prop::collection::vec("\\PC{1,128}", 0..4),
        scope in "[a-z/]{1,20}( [a-z/]{1,20}){0,5}",
        session in prop::option::of("[0-9a-f-]{36}"),
        age in 0_u64..100_000,
    ) {
        let minter = of(SigningAlgorithm::EdDsa, START);
        let signed_in = UnixSeconds(START.0 - age);
        let claims = ClaimsBuilder::user(&sub, signed_in)
            .expires_at(START.plus(100))
            .username(&username)
            .groups(groups.iter().map(String::as_str))
            .scope(&scope)
            .session(session.as_deref())
            .build();
        if let Ok(token) = minter.mint(&claims, "orders", START) {
            let seen = accepted(&token, &minter.jwks(), "orders", START);
            prop_assert_eq!(seen.as_ref().err(), None);
            if let Ok(seen) = seen {
                prop_assert_eq!(seen.subject(), sub);
                prop_assert_eq!(seen.username(), Some(username.as_str()));
                prop_assert_eq!(seen.groups(), groups);
                prop_assert_eq!(seen.scope(), scope);
                prop_assert_eq!(seen.session(), session.as_deref());
                prop_assert_eq!(seen.authenticated_at(), signed_in);
            }
        }
    }
}
