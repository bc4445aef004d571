//! Withdrawn keys of phantom tokens, and clocks that differ.

use std::path::{Path, PathBuf};

use auth::{Algorithm, DenyReason, Issuer, IssuerKind, KeySet, TokenRules, TrustedIssuer};
use auth::{Secret, UnixSeconds};
use auth_phantom::{SigningAlgorithm, SigningKeys};
use testkit::{Pool, now};

use super::{bearer, good, start};

const GATEWAY: &str = "https://auth.example.com";

#[tokio::test]
async fn a_clock_that_is_behind_accepts_within_its_leeway_only() {
    for (leeway, status) in [("0", 401), ("20", 401), ("60", 200)] {
        let server = start(&[("IAT_LEEWAY_SECONDS", leeway)]).await;
        let ahead = bearer(&Pool::ours().access_token().claim("iat", now() + 55).build());
        let reply = server.ask("GET", "/x", &[&ahead]).await;
        assert_eq!(reply.status, status, "{leeway}");
    }
}

fn write(name: &str, keys: &SigningKeys) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, keys.to_json().expose()).unwrap();
    file
}

/// The published keys as a backend trusts them.
fn gateway(jwks: &str, audience: &str) -> TrustedIssuer {
    TrustedIssuer {
        issuer: Issuer {
            id: "gateway".into(),
            alias: Some("gateway".into()),
            url: GATEWAY.to_owned(),
            algorithms: vec![Algorithm::Es256],
            audiences: vec![audience.to_owned()],
            kind: IssuerKind::Oidc,
            clients: Vec::new(),
            takes_id_tokens: false,
            max_lifetime_seconds: 300,
        },
        keys: KeySet::parse(jwks.as_bytes()).unwrap(),
    }
}

/// What a backend does with this token and these published keys.
fn judged(token: &Secret, jwks: &str, audience: &str) -> Result<String, DenyReason> {
    let issuers = [gateway(jwks, audience)];
    let rules = TokenRules::default();
    let claims = auth::verify(token.expose(), &issuers, &rules, UnixSeconds(now()));
    claims.map(|claims| claims.subject().to_owned())
}

#[tokio::test]
async fn a_phantom_token_of_a_withdrawn_key_is_refused_by_every_service() {
    let first = SigningKeys::first(SigningAlgorithm::Es256, UnixSeconds(now())).unwrap();
    let stolen_since = SigningKeys::first(SigningAlgorithm::Es256, UnixSeconds(now())).unwrap();
    let issue = async |file: &Path| {
        let file = file.to_str().unwrap();
        let audiences = "{\"orders.example.com\": \"orders\", \"a.example.com\": \"payments\"}";
        let server = start(&[
            ("PHANTOM_ISSUER", GATEWAY),
            ("PHANTOM_KEYS_FILE", file),
            ("PHANTOM_AUDIENCES", audiences),
        ])
        .await;
        let reply = server.ask("GET", "/x", &[&good()]).await;
        let token = Secret::new(reply.header("x-auth-token").unwrap().to_owned());
        (token, server.get("/.well-known/jwks.json").await.body)
    };
    let (old, old_jwks) = issue(&write("withdrawn-1.json", &first)).await;
    let (new, new_jwks) = issue(&write("withdrawn-2.json", &stolen_since)).await;
    for (name, token, jwks, audience, refused) in [
        ("its own service", &old, &old_jwks, "orders", None),
        (
            "another service",
            &old,
            &old_jwks,
            "payments",
            Some(DenyReason::WrongAudience),
        ),
        (
            "a withdrawn key",
            &old,
            &new_jwks,
            "orders",
            Some(DenyReason::UnknownKey),
        ),
        ("the new key", &new, &new_jwks, "orders", None),
        (
            "a key set from before",
            &new,
            &old_jwks,
            "orders",
            Some(DenyReason::UnknownKey),
        ),
    ] {
        assert_eq!(judged(token, jwks, audience).err(), refused, "{name}");
    }
}
