//! Concurrent invocations in one process, as on managed instances, do not mix up their responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auth::{
    AuthError, Issuer, KeySet, KeySource, RevocationReader, Revocations, Unavailable, UnixSeconds,
    VerifiedClaims, Verifier, VerifyingKey,
};
use auth_dynamodb::DynamoApiKeys;
use auth_tests::request_event;
use authorizer::config::Settings;
use authorizer::{ApiKeys, Authorizer, Config};
use futures_util::{StreamExt, stream};
use runtime::Handler;
use serde_json::value::RawValue;
use testkit::Pool;

/// So few that a busy machine decides about all of them within the time limit of one.
const AT_ONCE: usize = 100;

/// Keys and revocations with changing delays, so that invocations overtake each other.
struct SlowDependencies(KeySet, AtomicU64);

impl SlowDependencies {
    async fn wait(&self) {
        let turn = self.1.fetch_add(7, Ordering::SeqCst) % 11;
        tokio::time::sleep(Duration::from_millis(turn)).await;
    }
}

impl KeySource for SlowDependencies {
    async fn key_for(
        &self,
        _: &Issuer,
        kid: &str,
        _: UnixSeconds,
    ) -> Result<Arc<VerifyingKey>, AuthError> {
        self.wait().await;
        Ok(Arc::clone(self.0.get(kid).unwrap()))
    }
}

impl RevocationReader for SlowDependencies {
    async fn revocations(
        &self,
        claims: &VerifiedClaims,
        _: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        self.wait().await;
        Ok(Revocations {
            session: claims.subject().ends_with("ended"),
            ..Revocations::default()
        })
    }
}

/// Verifier and settings of an authorizer inside the test process. It accepts access and ID tokens.
pub(crate) fn in_process() -> (Verifier, Settings) {
    let pool = Pool::ours();
    let jwks = pool.jwks().to_string();
    let lookup = |name: &str| match name {
        "USER_POOL_ID" => Some(pool.id.to_owned()),
        "APP_CLIENT_IDS" => Some(pool.client_id.to_owned()),
        "REVOCATION_TABLE" => Some("revocations".to_owned()),
        "JWKS" => Some(jwks.clone()),
        "LOG_LEVEL" => Some("ERROR".to_owned()),
        "TOKEN_USE" => Some("any".to_owned()),
        _ => None,
    };
    let config = Config::from_lookup(&lookup).unwrap();
    let issuers = config.issuers.into_iter().map(|(issuer, _)| issuer);
    let verifier = Verifier::new(issuers.collect(), config.token_rules);
    (verifier, config.settings)
}

#[tokio::test]
async fn concurrent_invocations_do_not_mix() {
    let pool = Pool::ours();
    let jwks = pool.jwks().to_string();
    let (verifier, settings) = in_process();
    let late = || SlowDependencies(KeySet::parse(jwks.as_bytes()).unwrap(), AtomicU64::new(0));
    let no_api_keys = None::<ApiKeys<DynamoApiKeys>>;
    let authorizer = Authorizer::new(verifier, late(), late(), no_api_keys, settings);
    let authorizer = &authorizer;
    // Signed beforehand: signing takes longer than a decision may.
    let events = (0..600).map(|number| {
        let kind = ["living", "ended", "forged"][number % 3];
        let subject = format!("user-{number}-{kind}");
        let token = pool.access_token().claim("sub", subject.clone());
        let token = match kind {
            "forged" => token.signed_by(&Pool::foreign().access_key).build(),
            _ => token.build(),
        };
        let event = request_event(&format!("Bearer {token}")).to_string();
        let event: Box<RawValue> = serde_json::from_str(&event).unwrap();
        (kind, subject, event)
    });
    let events: Vec<_> = events.collect();
    let invocations = stream::iter(&events).map(|(kind, subject, event)| async move {
        let answer = authorizer.handle(event, "id").await;
        match (*kind, answer) {
            ("living", Ok(answer)) => {
                let answer: serde_json::Value = serde_json::from_str(answer.get()).unwrap();
                assert_eq!(answer["principalId"], subject.as_str());
                assert_eq!(answer["context"]["sub"], subject.as_str());
            }
            ("ended" | "forged", Err(failure)) => {
                assert_eq!(failure, runtime::InvocationError::Unauthorized, "{kind}");
            }
            (kind, _) => panic!("{kind} got the response of another invocation"),
        }
    });
    invocations.buffer_unordered(AT_ONCE).collect::<()>().await;
}
