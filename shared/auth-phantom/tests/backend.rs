//! The Rust snippet of docs/phantom-tokens.md.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use auth::{ClaimsBuilder, DenyReason};
use auth_phantom::{DEFAULT_TTL_SECONDS, Minter, SigningAlgorithm, SigningKeys};

include!("backend/caller.rs");

#[test]
fn the_document_has_this_snippet() {
    let document = include_str!("../../../docs/phantom-tokens.md");
    let snippet = format!("```rust\n{}```", include_str!("backend/caller.rs"));
    assert!(document.contains(&snippet));
}

#[test]
fn the_snippet_accepts_this_services_tokens_alone() {
    let now = UnixSeconds(1_800_000_000);
    let issuer = "https://auth.example.com".to_owned();
    let keys = SigningKeys::first(SigningAlgorithm::Es256, now).unwrap();
    let minter = Minter::new(issuer, keys, DEFAULT_TTL_SECONDS).unwrap();
    let claims = ClaimsBuilder::user("ada", now).build();
    let mint = |audience| minter.mint(&claims, audience, now).unwrap();
    let decide = |token: &str, now| {
        let decision = caller(token, minter.jwks().as_bytes(), now);
        decision.map(|claims| claims.subject().to_owned())
    };
    let token = mint("orders");
    let reason = |decision: Result<String, Box<dyn Error>>| {
        decision.unwrap_err().downcast_ref::<DenyReason>().copied()
    };
    assert_eq!(decide(&token, now).unwrap(), "ada");
    assert_eq!(decide(&token, now.plus(64)).unwrap(), "ada");
    assert_eq!(
        reason(decide(&token, now.plus(65))),
        Some(DenyReason::Expired)
    );
    assert_eq!(
        reason(decide(&mint("payments"), now)),
        Some(DenyReason::WrongAudience)
    );
    for other in [
        ClaimsBuilder::machine("ada", now),
        ClaimsBuilder::api_key("ada", "0123456789ab", now),
    ] {
        let token = minter.mint(&other.build(), "orders", now).unwrap();
        let refused = decide(&token, now).unwrap_err().to_string();
        assert_eq!(refused, "a machine or an API key");
    }
    let agent = ClaimsBuilder::user("ada", now).claim("act", "agent");
    let delegated = minter.mint(&agent.build(), "orders", now).unwrap();
    assert_eq!(reason(decide(&delegated, now)), Some(DenyReason::Delegated));
    // A clock that is behind.
    assert!(decide(&token, UnixSeconds(now.0 - 5)).is_ok());
    assert_eq!(
        reason(decide(&token, UnixSeconds(now.0 - 6))),
        Some(DenyReason::NotYetValid)
    );
}
