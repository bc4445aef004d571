//! The authorizer and the rows of its table: which tokens a revocation covers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_tests::{Authorizer, Verdict};
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Pool, TokenBuilder};

fn valid() -> TokenBuilder<'static> {
    Pool::ours().access_token()
}

fn text(token: &TokenBuilder<'_>, claim: &str) -> String {
    token.get(claim).as_str().unwrap().to_owned()
}

/// The partition key of the user of the valid token.
fn user() -> String {
    format!("{}#user#{}", Pool::ours().id, text(&valid(), "sub"))
}

fn later() -> Value {
    json!({"N": (now() + 1000).to_string()})
}

fn number(value: u64) -> Value {
    json!({"N": value.to_string()})
}

#[tokio::test]
async fn revocations_apply_to_the_tokens_they_cover() {
    let pool = Pool::ours();
    let token = valid();
    let auth_time = token.get("auth_time").as_u64().unwrap();
    let session = format!("session#{}", text(&token, "origin_jti"));
    let jti = format!("token#{}", text(&token, "jti"));
    let client = format!("{}#client#{}", pool.id, pool.client_id);
    let past = number(now() - 10);
    let rows = [
        (
            "session revoked",
            user(),
            session.clone(),
            json!({"revoked_at": number(1), "expires_at": later()}),
            false,
        ),
        (
            "another session",
            user(),
            "session#another".into(),
            json!({"expires_at": later()}),
            true,
        ),
        (
            "another user",
            format!("{}#user#another", pool.id),
            session.clone(),
            json!({"expires_at": later()}),
            true,
        ),
        (
            "revoked after the sign-in",
            user(),
            "user".into(),
            json!({"not_before": number(auth_time + 1)}),
            false,
        ),
        (
            "revoked in the second of the sign-in",
            user(),
            "user".into(),
            json!({"not_before": number(auth_time)}),
            false,
        ),
        (
            "revoked before the sign-in",
            user(),
            "user".into(),
            json!({"not_before": number(auth_time - 1)}),
            true,
        ),
        (
            "client revoked",
            client.clone(),
            "client".into(),
            json!({"not_before": number(auth_time)}),
            false,
        ),
        (
            "client revoked before",
            client.clone(),
            "client".into(),
            json!({"not_before": number(auth_time - 1)}),
            true,
        ),
        (
            "issuer revoked",
            pool.id.into(),
            "issuer".into(),
            json!({"not_before": number(auth_time)}),
            false,
        ),
        (
            "issuer revoked before",
            pool.id.into(),
            "issuer".into(),
            json!({"not_before": number(auth_time - 1)}),
            true,
        ),
        (
            "token revoked",
            user(),
            jti.clone(),
            json!({"expires_at": later()}),
            false,
        ),
        (
            "another token",
            user(),
            "token#another".into(),
            json!({"expires_at": later()}),
            true,
        ),
        (
            "expired row",
            user(),
            session.clone(),
            json!({"expires_at": past}),
            true,
        ),
        (
            "expired row",
            user(),
            jti.clone(),
            json!({"expires_at": past}),
            true,
        ),
        (
            "expired row",
            user(),
            "user".into(),
            json!({"not_before": number(auth_time), "expires_at": past}),
            true,
        ),
        (
            "expired row of a disabled user",
            user(),
            "user".into(),
            json!({"disabled": {"BOOL": true}, "expires_at": past}),
            false,
        ),
        (
            "expires_at in milliseconds",
            user(),
            session.clone(),
            json!({"expires_at": number(now() * 1000)}),
            false,
        ),
        (
            "expires_at is a string",
            user(),
            session.clone(),
            json!({"expires_at": {"S": (now() - 10).to_string()}}),
            false,
        ),
        (
            "without expires_at",
            user(),
            session.clone(),
            json!({}),
            false,
        ),
        (
            "unexpected types of other attributes",
            user(),
            session.clone(),
            json!({"revoked_at": {"S": "x"}, "reason": {"N": "1"}}),
            false,
        ),
        (
            "invalid not_before",
            user(),
            "user".into(),
            json!({"not_before": {"S": "1"}}),
            false,
        ),
        (
            "invalid not_before",
            user(),
            "user".into(),
            json!({"not_before": {"N": "1.5"}}),
            false,
        ),
        (
            "invalid disabled",
            user(),
            "user".into(),
            json!({"disabled": {"S": "false"}}),
            false,
        ),
        ("incomplete row", user(), "user".into(), json!({}), false),
        (
            "incomplete row",
            client.clone(),
            "client".into(),
            json!({"not_before": {"BOOL": false}}),
            false,
        ),
        (
            "incomplete row",
            pool.id.into(),
            "issuer".into(),
            json!({}),
            false,
        ),
        (
            "disabled user",
            user(),
            "user".into(),
            json!({"disabled": {"BOOL": true}}),
            false,
        ),
        (
            "enabled user",
            user(),
            "user".into(),
            json!({"disabled": {"BOOL": false}, "not_before": number(1)}),
            true,
        ),
        (
            "others",
            user(),
            "user".into(),
            json!({
            "not_before": number(auth_time), "except_session": {"S": text(&token, "origin_jti")}}),
            true,
        ),
        (
            "others",
            user(),
            "user".into(),
            json!({
            "not_before": number(auth_time), "except_session": {"S": "another"}}),
            false,
        ),
    ];
    let token = token.build();
    for (case, pk, sk, row, passes) in rows {
        // Revocations of clients and issuers are cached for 5 s, so each row gets a new process.
        let authorizer = Authorizer::start().await;
        authorizer.store.put(&pk, &sk, row.clone());
        let expected = Verdict::passing(passes);
        assert_eq!(
            authorizer.verdict_on(&token).await,
            expected,
            "{case} {pk} {sk} {row}"
        );
    }
}

#[tokio::test]
async fn invalid_expires_at_is_logged() {
    let authorizer = Authorizer::start().await;
    let odd = json!({"expires_at": {"S": "tomorrow"}});
    authorizer
        .store
        .put(&user(), "session#another", odd.clone());
    assert_eq!(
        authorizer.verdict_on(&valid().build()).await,
        Verdict::Allow
    );
    assert!(
        !authorizer.binary.output().contains("odd_expiry"),
        "the row does not apply to this token"
    );
    let session = format!("session#{}", text(&valid(), "origin_jti"));
    authorizer.store.put(&user(), &session, odd);
    assert_eq!(
        authorizer.verdict_on(&valid().build()).await,
        Verdict::Unauthorized
    );
    assert!(
        authorizer.binary.output().contains("odd_expiry"),
        "a metric"
    );
}

#[tokio::test]
async fn any_covering_revocation_denies() {
    let pool = Pool::ours();
    let token = valid();
    let not_before = || json!({"not_before": number(now())});
    let revocations = [
        (
            user(),
            format!("token#{}", text(&token, "jti")),
            json!({"expires_at": later()}),
        ),
        (
            user(),
            format!("session#{}", text(&token, "origin_jti")),
            json!({"expires_at": later()}),
        ),
        (user(), "user".to_owned(), not_before()),
        (
            format!("{}#client#{}", pool.id, pool.client_id),
            "client".to_owned(),
            not_before(),
        ),
        (pool.id.to_owned(), "issuer".to_owned(), not_before()),
    ];
    let token = token.build();
    for set in 0..32_u32 {
        let authorizer = Authorizer::start().await;
        for (at, (pk, sk, row)) in revocations.iter().enumerate() {
            if set & (1 << at) != 0 {
                authorizer.store.put(pk, sk, row.clone());
            }
        }
        let expected = Verdict::passing(set == 0);
        assert_eq!(
            authorizer.verdict_on(&token).await,
            expected,
            "set {set:05b}"
        );
    }
}

#[tokio::test]
async fn refreshed_tokens_are_revoked_with_their_session() {
    let authorizer = Authorizer::start().await;
    let auth_time = now() - 3_600;
    let first = valid()
        .claim("auth_time", auth_time)
        .claim("iat", auth_time);
    let refreshed = first
        .clone()
        .claim("iat", now())
        .claim("exp", now() + 1_800)
        .claim("jti", "new");
    assert_eq!(
        authorizer.verdict_on(&refreshed.build()).await,
        Verdict::Allow
    );
    authorizer
        .store
        .put(&user(), "user", json!({"not_before": number(now() - 600)}));
    assert_eq!(
        authorizer.verdict_on(&refreshed.build()).await,
        Verdict::Unauthorized
    );
    authorizer.store.clear();
    let session = format!("session#{}", text(&first, "origin_jti"));
    authorizer
        .store
        .put(&user(), &session, json!({"expires_at": later()}));
    assert_eq!(
        authorizer.verdict_on(&refreshed.build()).await,
        Verdict::Unauthorized
    );
}

#[tokio::test]
async fn machine_tokens_are_compared_by_their_issue_time() {
    let pool = Pool::ours();
    let machine = pool.machine_token();
    let iat = machine.get("iat").as_u64().unwrap();
    for (not_before, expected) in [(iat - 1, Verdict::Deny), (iat, Verdict::Unauthorized)] {
        let authorizer = Authorizer::start().await;
        let client = format!("{}#client#{}", pool.id, pool.client_id);
        authorizer
            .store
            .put(&client, "client", json!({"not_before": number(not_before)}));
        assert_eq!(authorizer.verdict_on(&machine.build()).await, expected);
    }
}

#[tokio::test]
async fn hostile_ids_do_not_reach_other_rows() {
    let authorizer = Authorizer::start().await;
    let later = later();
    authorizer
        .store
        .put(&user(), "user", json!({"disabled": {"BOOL": true}}));
    authorizer
        .store
        .put(&user(), "session#x", json!({"expires_at": later}));
    let sub = text(&valid(), "sub");
    for hostile in [
        format!("{sub}#user"),
        format!("x#user#{sub}"),
        format!("{sub} "),
        "*".to_owned(),
    ] {
        let token = valid()
            .claim("sub", hostile.clone())
            .claim("origin_jti", "x")
            .build();
        assert_eq!(
            authorizer.verdict_on(&token).await,
            Verdict::Allow,
            "{hostile}"
        );
    }
}

/// The token expires between the check of its claims and the verdict.
#[tokio::test]
async fn tokens_that_expire_during_the_read_are_rejected() {
    let authorizer = Authorizer::start().await;
    let exp = now() + 2;
    let token = valid().claim("exp", exp).build();
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Allow);
    authorizer.store.set_fault(Fault::Slow(200));
    let end = UNIX_EPOCH + Duration::from_secs(exp);
    #[expect(clippy::disallowed_methods, reason = "fractions of a second count")]
    let left = end.duration_since(SystemTime::now()).unwrap();
    tokio::time::sleep(left - Duration::from_millis(120)).await;
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Unauthorized);
    assert!(authorizer.binary.output().contains("expired"));
}
