//! Tokens of OpenID Connect providers other than Cognito.

use std::sync::Arc;

use auth::{
    Algorithm, DenyReason, Issuer, IssuerKind, KeySet, MAX_LIFETIME_SECONDS, TokenRules,
    VerifiedClaims, Verifier,
};
use serde_json::{Value, json};
use testkit::rows::Expected;
use testkit::rows::providers::{self, AUDIENCE, ClaimsRow, KID};
use testkit::{Pool, SigningKey, TokenBuilder, now};

use crate::{decision, verify_with};

const URL: &str = "https://p.example";

/// A provider with a key pair of its own.
struct Provider {
    issuer: Issuer,
    alg: &'static str,
    key: SigningKey,
    keys: KeySet,
}

impl Provider {
    fn new(alias: &str, url: &str, alg: &'static str) -> Self {
        let key = providers::key_for(alg);
        let keys = json!({"keys": [key.jwk(KID)]}).to_string();
        Self {
            issuer: Issuer {
                id: Arc::from(alias),
                alias: Some(Arc::from(alias)),
                url: url.to_owned(),
                algorithms: vec![Algorithm::from_name(alg).unwrap()],
                audiences: vec![AUDIENCE.to_owned()],
                kind: IssuerKind::Oidc,
                clients: Vec::new(),
                takes_id_tokens: false,
                max_lifetime_seconds: MAX_LIFETIME_SECONDS,
            },
            alg,
            key,
            keys: KeySet::parse(keys.as_bytes()).unwrap(),
        }
    }

    fn rs256() -> Self {
        Self::new("p", URL, "RS256")
    }

    fn token(&self, claims: &Value) -> TokenBuilder<'_> {
        providers::token(&self.issuer.url, self.alg, &self.key, claims)
    }

    fn verify(&self, token: &TokenBuilder<'_>) -> Result<VerifiedClaims, DenyReason> {
        self.verify_text(&token.build())
    }

    fn verify_text(&self, token: &str) -> Result<VerifiedClaims, DenyReason> {
        let verifier = Verifier::new(vec![self.issuer.clone()], TokenRules::default());
        verify_with(&verifier, &self.keys, token, now())
    }

    #[track_caller]
    fn check(&self, rows: Vec<ClaimsRow>) {
        for row in rows {
            let decision = decision(self.verify(&self.token(&row.claims)));
            assert_eq!(decision, row.expected, "{}: {}", row.name, row.claims);
        }
    }
}

#[test]
fn accepts_tokens_of_known_providers() {
    for known in providers::known_providers() {
        let mut provider = Provider::new(known.alias, known.issuer, known.alg);
        provider.issuer.audiences = vec![known.audience.to_owned()];
        let token = provider.token(&known.claims);
        let claims = provider.verify(&token);
        let claims = claims.unwrap_or_else(|reason| panic!("{}: {reason:?}", known.alias));
        assert_eq!(claims.subject(), known.claims["sub"], "{}", known.alias);
        assert_eq!(claims.scope(), known.scope, "{}", known.alias);
        assert_eq!(claims.issuer_name(), known.alias);
        assert_eq!(claims.session(), known.claims["sid"].as_str());
        for row in providers::defects(&token) {
            let decision = decision(provider.verify_text(&row.token));
            assert_eq!(decision, row.expected, "{}: {}", known.alias, row.name);
        }
    }
}

#[test]
fn tells_machines_from_users() {
    Provider::rs256().check(providers::machines_and_users());
}

#[test]
fn accepts_ids_up_to_their_limits() {
    let provider = Provider::rs256();
    for (name, value) in [
        ("sid", json!("a".repeat(256))),
        ("preferred_username", json!("a".repeat(512))),
        ("groups", json!(["a".repeat(512), ""])),
    ] {
        let token = provider.token(&providers::user_with(&json!({})));
        let result = provider.verify(&token.claim(name, value));
        assert_eq!(result.err(), None, "{name}");
    }
}

#[test]
fn the_client_comes_from_a_client_claim_before_the_audience() {
    let provider = Provider::rs256();
    let client_of = |more: Value| {
        let claims = provider.verify(&provider.token(&providers::user_with(&more)));
        claims.map(|claims| claims.client_id().to_owned())
    };
    for name in providers::CLIENT_CLAIMS {
        assert_eq!(
            client_of(json!({name: "app1"})),
            Ok("app1".to_owned()),
            "{name}"
        );
    }
    assert_eq!(client_of(json!({})), Ok(AUDIENCE.to_owned()));
}

#[test]
fn rejects_clients_that_are_not_listed() {
    let mut provider = Provider::rs256();
    provider.issuer.clients = vec!["app1".to_owned(), "app2".to_owned()];
    provider.check(providers::limited_clients());
}

#[test]
fn rejects_id_and_logout_tokens() {
    let access = Provider::rs256();
    let mut id = Provider::rs256();
    id.issuer.takes_id_tokens = true;
    let expected = |passes| {
        if passes {
            Expected::User
        } else {
            Expected::Refused("wrong_token_use")
        }
    };
    for row in providers::token_kinds() {
        let found = decision(access.verify(&access.token(&row.claims)));
        assert_eq!(found, expected(row.is_access), "{}", row.name);
        let found = decision(id.verify(&id.token(&row.claims)));
        assert_eq!(found, expected(row.is_access || row.is_id), "{}", row.name);
    }
}

#[test]
fn the_longest_lifetime_is_the_issuers() {
    let day = Provider::rs256();
    let mut month = Provider::rs256();
    month.issuer.max_lifetime_seconds = 30 * MAX_LIFETIME_SECONDS;
    for row in providers::lifetimes() {
        for (provider, passes) in [(&day, row.within_a_day), (&month, row.within_30_days)] {
            let token = provider.token(&providers::user_with(&json!({})));
            let token = token.claim("exp", now() + row.seconds);
            let refused = (!passes).then_some(DenyReason::InvalidClaims);
            assert_eq!(provider.verify(&token).err(), refused, "{} s", row.seconds);
        }
    }
}

#[test]
fn a_key_verifies_only_its_own_algorithm() {
    for (own, other) in [("RS256", "ES256"), ("ES256", "RS256"), ("EdDSA", "RS256")] {
        let mut provider = Provider::new("p", URL, own);
        let claims = providers::user_with(&json!({}));
        assert!(provider.verify(&provider.token(&claims)).is_ok(), "{own}");
        let renamed = provider.token(&claims).header("alg", other);
        let refused = Some(DenyReason::WrongAlgorithm);
        assert_eq!(provider.verify(&renamed).err(), refused, "{own} as {other}");
        // The issuer has keys of both kinds; this one is still for its own algorithm.
        let both = [own, other].map(|alg| Algorithm::from_name(alg).unwrap());
        provider.issuer.algorithms = both.to_vec();
        let renamed = provider.token(&claims).header("alg", other);
        assert_eq!(
            provider.verify(&renamed).err(),
            refused,
            "{own} as {other}, both configured"
        );
        // Published, but not among the issuer's algorithms.
        provider.issuer.algorithms = vec![Algorithm::from_name(other).unwrap()];
        let token = provider.token(&claims);
        assert_eq!(
            provider.verify(&token).err(),
            refused,
            "{own}, not configured"
        );
    }
}

#[test]
fn another_issuers_key_verifies_nothing() {
    let one = Provider::new("one", "https://one.example", "RS256");
    let two = Provider::new("two", "https://two.example", "RS256");
    let claims = providers::user_with(&json!({}));
    let crossed = one.token(&claims).claim("iss", two.issuer.url.as_str());
    assert_eq!(two.verify(&crossed).err(), Some(DenyReason::BadSignature));
    assert_eq!(one.verify(&crossed).err(), Some(DenyReason::UnknownIssuer));
    let pools = Pool::ours().access_token().claim("iss", URL);
    let pools = pools.claim("aud", AUDIENCE).header("kid", KID);
    assert_eq!(
        Provider::rs256().verify(&pools).err(),
        Some(DenyReason::BadSignature)
    );
}

/// A caller that passes another issuer than `issuer_of` returned gets a refusal.
#[test]
fn the_issuer_passed_to_verify_must_be_the_tokens() {
    let (one, two) = (
        Provider::rs256(),
        Provider::new("q", "https://q.example", "RS256"),
    );
    let text = one.token(&providers::user_with(&json!({}))).build();
    let token = auth::UnverifiedToken::parse(&text).unwrap();
    let key = one.keys.get(KID).unwrap();
    let verifier = Verifier::new(Vec::new(), TokenRules::default());
    let result = verifier.verify(token, &two.issuer, key, auth::UnixSeconds(now()));
    assert_eq!(result.err(), Some(DenyReason::UnknownIssuer));
}

#[test]
fn a_machines_token_counts_from_its_issue() {
    let provider = Provider::rs256();
    let iat = now() - 30;
    let machine = json!({"sub": "job", "client_id": "job", "gty": "client-credentials"});
    for (claims, counts_from) in [
        (machine, iat),
        (json!({"sub": "ada", "sid": "s-1"}), iat - 86_400),
    ] {
        let token = provider.token(&claims).claim("aud", AUDIENCE);
        let token = token.claim("iat", iat);
        let verified = provider
            .verify(&token.claim("auth_time", iat - 86_400))
            .unwrap();
        assert_eq!(verified.authenticated_at().0, counts_from, "{claims}");
    }
}
