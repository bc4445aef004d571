//! What the parsers and the verifier decide about the inputs of [`testkit::rows`]: one test a rule,
//! the reason of each refusal included. `tests/it/authorizer_*.rs` passes the same rows through the
//! built authorizer.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod arbitrary;
mod callers;
mod claims;
mod errors;
mod headers;
mod keys;
mod providers;
mod revocations;
mod segments;
mod times;

use std::sync::{Arc, OnceLock};

use auth::{
    DenyReason, Issuer, KeySet, Principal, TokenRules, UnixSeconds, UnverifiedToken,
    VerifiedClaims, Verifier,
};
use testkit::Pool;
use testkit::rows::{Expected, TokenRow};

/// The decision about a token, or the claims that it led to, as the rows name it.
fn decision(result: Result<VerifiedClaims, DenyReason>) -> Expected {
    match result.map(|claims| claims.principal()) {
        Ok(Principal::User) => Expected::User,
        Ok(Principal::Client) => Expected::Machine,
        Ok(Principal::ApiKey) => panic!("a token is no API key"),
        Err(reason) => Expected::Refused(reason.as_str()),
    }
}

/// Verifies a token of the pool under test.
fn verify(token: &str, rules: &TokenRules, now: u64) -> Result<VerifiedClaims, DenyReason> {
    static KEYS: OnceLock<KeySet> = OnceLock::new();
    let pool = Pool::ours();
    let keys = KEYS.get_or_init(|| KeySet::parse(pool.jwks().to_string().as_bytes()).unwrap());
    let issuer = Issuer::user_pool(
        Arc::from(pool.id),
        pool.issuer(),
        vec![pool.client_id.to_owned()],
    );
    verify_with(
        &Verifier::new(vec![issuer], rules.clone()),
        keys,
        token,
        now,
    )
}

/// Verifies a token with these keys, whichever configured issuer it names.
fn verify_with(
    verifier: &Verifier,
    keys: &KeySet,
    token: &str,
    now: u64,
) -> Result<VerifiedClaims, DenyReason> {
    let token = UnverifiedToken::parse(token)?;
    let issuer = verifier.issuer_of(&token)?;
    let key = keys
        .get(token.unverified_kid())
        .ok_or(DenyReason::UnknownKey)?;
    verifier.verify(token, issuer, key, UnixSeconds(now))
}

/// Checks every row with the default rules at the current time.
#[track_caller]
fn check(rows: Vec<TokenRow>) {
    check_with(&TokenRules::default(), testkit::now(), rows);
}

/// Checks every row with these rules at the time `now`.
#[track_caller]
fn check_with(rules: &TokenRules, now: u64, rows: Vec<TokenRow>) {
    assert!(!rows.is_empty());
    for row in rows {
        let decision = decision(verify(&row.token, rules, now));
        assert_eq!(decision, row.expected, "{}: {:.400}", row.name, row.token);
    }
}
