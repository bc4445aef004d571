//! The measured parts of a decision: the bare RSA check as the baseline, the verification of a
//! token, the whole decision, and Cedar's part. Keys and revocations are in memory, so the
//! measurements contain no I/O.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use api_gateway::Effect;
use auth::{
    AuthError, Issuer, KeySet, KeySource, RevocationReader, Revocations, Unavailable, UnixSeconds,
    UnverifiedToken, VerifiedClaims, Verifier, VerifyingKey,
};
use auth_dynamodb::DynamoApiKeys;
use authorizer::{ApiKeys, Authorizer, Config};
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::Handler;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use testkit::Pool;
use testkit::token::now;

/// A key source with a key set in memory, in which each call looks up the token's key, as with a fetched one.
struct Keys(KeySet);

impl KeySource for Keys {
    async fn key_for(
        &self,
        _: &Issuer,
        kid: &str,
        _: UnixSeconds,
    ) -> Result<Arc<VerifyingKey>, AuthError> {
        Ok(Arc::clone(self.0.get(kid).expect("the token's key")))
    }
}

/// A revocation store without revocations.
struct NoRevocations;

impl RevocationReader for NoRevocations {
    async fn revocations(
        &self,
        _: &VerifiedClaims,
        _: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        Ok(Revocations::default())
    }
}

/// The input of the measured calls: generated once and passed to the processes whose instructions
/// are counted, so that they do not generate keys.
#[derive(Serialize, Deserialize)]
pub struct Material {
    /// The pool's id.
    pub pool_id: String,
    /// Its app client.
    pub client_id: String,
    /// The `kid` of the key that signed the token.
    pub kid: String,
    /// Its key set.
    pub jwks: Value,
    /// That key as a JWK.
    pub jwk: Value,
    /// An access token.
    pub token: String,
}

impl Material {
    /// Generates the material from the tests' pool.
    #[must_use]
    pub fn make() -> Self {
        let pool = Pool::ours();
        Self {
            pool_id: pool.id.to_owned(),
            client_id: pool.client_id.to_owned(),
            kid: pool.access_kid.to_owned(),
            jwks: pool.jwks(),
            jwk: pool.access_key.jwk(pool.access_kid),
            token: pool.access_token().build(),
        }
    }
}

/// A measured call; returns `true` on the expected result.
pub type Call = Box<dyn Fn() -> bool>;

/// The measured calls by name, the baseline first.
///
/// # Panics
/// If any call fails.
#[must_use]
pub fn calls(material: &Material) -> [(&'static str, Call); 4] {
    let token = material.token.clone();
    let event = event(&token);
    let bare = bare_check(&material.jwk, token.clone());
    let keys = || KeySet::parse(material.jwks.to_string().as_bytes()).expect("keys");
    let verify = {
        let (verifier, keys) = (verifier(material), keys());
        move || {
            let token = UnverifiedToken::parse(black_box(&token)).expect("a token");
            let issuer = verifier.issuer_of(&token).expect("an issuer");
            // Each call, as the other verifiers do.
            let key = keys.get(token.unverified_kid()).expect("a key");
            let claims = verifier.verify(token, issuer, key, UnixSeconds(now()));
            black_box(claims.is_ok())
        }
    };
    // A function enters its runtime before its first event and never leaves it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    std::mem::forget(Box::leak(Box::new(runtime.expect("a runtime"))).enter());
    let no_api_keys = None::<ApiKeys<DynamoApiKeys>>;
    let settings = config(material).settings;
    let authorizer = Authorizer::new(
        verifier(material),
        Keys(keys()),
        NoRevocations,
        no_api_keys,
        settings,
    );
    let decide = move || {
        // Keys and revocations are in memory, so one poll completes: no executor is measured.
        let decision = pin!(authorizer.handle(black_box(&event), "id"));
        let answer = decision.poll(&mut Context::from_waker(Waker::noop()));
        black_box(matches!(answer, Poll::Ready(Ok(_))))
    };
    let policies = config(material).settings.policies;
    let claims = claims(material);
    let cedar = move || {
        let request = auth_cedar::Request {
            verb: "GET",
            route: "/whoami",
            path: None,
            path_parameters: Vec::new(),
            source_ip: None,
            now: UnixSeconds(now()),
        };
        black_box(policies.decide(black_box(&claims), &request)) == Effect::Allow
    };
    let calls: [(&str, Call); 4] = [
        ("bare RSA-2048 check", Box::new(bare)),
        ("token verified", Box::new(verify)),
        ("REQUEST event to policy, Cedar included", Box::new(decide)),
        ("Cedar's decision alone", Box::new(cedar)),
    ];
    assert!(
        calls.iter().all(|(_, call)| call()),
        "every measured call succeeds"
    );
    calls
}

fn verifier(material: &Material) -> Verifier {
    let config = config(material);
    let issuers = config.issuers.into_iter().map(|(issuer, _)| issuer);
    Verifier::new(issuers.collect(), config.token_rules)
}

/// The claims for the Cedar policies.
fn claims(material: &Material) -> VerifiedClaims {
    let keys = KeySet::parse(material.jwks.to_string().as_bytes()).expect("keys");
    let key = keys.get(&material.kid).expect("a key");
    let verifier = verifier(material);
    let token = UnverifiedToken::parse(&material.token).expect("a token");
    let issuer = verifier.issuer_of(&token).expect("an issuer");
    let claims = verifier.verify(token, issuer, key, UnixSeconds(now()));
    claims.expect("claims")
}

/// Verifies only the signature, with a parsed key: the minimum of any verifier.
fn bare_check(jwk: &Value, token: String) -> impl Fn() -> bool + use<> {
    let part = |name: &str| {
        URL_SAFE_NO_PAD
            .decode(jwk[name].as_str().expect("text"))
            .expect("base64")
    };
    let key: ParsedPublicKey = RsaPublicKeyComponents {
        n: part("n"),
        e: part("e"),
    }
    .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
    .expect("a key");
    let (message, signature) = token.rsplit_once('.').expect("a token");
    let message = message.as_bytes().to_vec();
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    move || {
        key.verify_sig(black_box(&message), black_box(&signature))
            .is_ok()
    }
}

fn config(material: &Material) -> Config {
    let jwks = material.jwks.to_string();
    let lookup = |name: &str| match name {
        "USER_POOL_ID" => Some(material.pool_id.clone()),
        "APP_CLIENT_IDS" => Some(material.client_id.clone()),
        "REVOCATION_TABLE" => Some("revocations".to_owned()),
        "JWKS" => Some(jwks.clone()),
        "LOG_LEVEL" => Some("ERROR".to_owned()),
        _ => None,
    };
    Config::from_lookup(&lookup).expect("a configuration")
}

/// The event as API Gateway sends it, without the white space of the sample.
fn event(token: &str) -> Box<RawValue> {
    let sample = include_str!("../../events/authorizer/rest-request.json");
    let sample: Value =
        serde_json::from_str(&sample.replace("{{ACCESS_TOKEN}}", token)).expect("an event");
    serde_json::value::to_raw_value(&sample).expect("JSON")
}
