//! The Lambda authorizer: who is this, is the session still alive, and what may they call.
//!
//! [`Authorizer::authorize`] is the whole decision; everything else here prepares it or reports
//! it.

mod config;
pub mod context;
mod event;
mod report;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use auth::policy::{Effect, PolicyDocument};
use auth::{
    KeySource, MethodArn, Principal, Reason, Refusal, RevocationStore, Unavailable, UnixSeconds,
    UnverifiedToken, VerifiedClaims, Verifier,
};
use auth_dynamodb::DynamoRevocations;
use auth_jwks::HttpsKeys;
use lambda::{Failure, Handler, clock};
use serde::Serialize;
use serde_json::value::RawValue;

pub use config::Config;
use context::ContextClaim;
pub use event::Event;

/// The whole decision. Longer than its parts may take together, shorter than Lambda's timeout:
/// the answer comes from us, not from the platform.
const BUDGET: Duration = Duration::from_millis(2_500);
/// API Gateway's limit on an authorizer's answer.
const MAX_ANSWER_BYTES: usize = 8 * 1024;

/// Decides about requests. Generic over where keys and revocations come from.
pub struct Authorizer<K, R> {
    verifier: Verifier,
    keys: K,
    revocations: R,
    context_claims: Vec<ContextClaim>,
    log_level: lambda::log::Level,
}

/// What API Gateway gets.
/// Source: AWS, "Output from an API Gateway Lambda authorizer".
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    principal_id: &'a str,
    policy_document: PolicyDocument,
    context: BTreeMap<&'static str, String>,
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// Refused, or not knowable.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The event names no API method.
    #[error(transparent)]
    Event(#[from] auth::arn::ArnError),
    /// The answer would be longer than API Gateway takes.
    #[error("answer_too_large")]
    AnswerTooLarge,
    /// The decision took longer than it may.
    #[error("out_of_time")]
    OutOfTime,
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason.into())
    }
}

impl Authorizer<HttpsKeys, DynamoRevocations> {
    /// Opens the connections during init, when Lambda gives a function a whole core: the keys are
    /// fetched and the store is greeted at the same time.
    ///
    /// # Errors
    /// [`Unavailable::Jwks`] if the system has no root certificates to check TLS with.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let (issuers, locations) = auth_jwks::config::split(config.issuers);
        let keys = HttpsKeys::new(locations)?;
        let sdk = aws_config::load_from_env().await;
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table);
        tokio::join!(keys.prefetch(now()), revocations.prime());
        Ok(Self {
            verifier: Verifier::new(issuers, config.rules),
            keys,
            revocations,
            context_claims: config.context_claims,
            log_level: config.log_level,
        })
    }
}

impl<K: KeySource, R: RevocationStore> Authorizer<K, R> {
    /// Who is calling, whether that is still true, and what they may do: the order is that of
    /// ARCHITECTURE.md, and every step can only refuse.
    ///
    /// # Errors
    /// The first step that refused, or that could not tell.
    pub async fn authorize(&self, event: &Event<'_>) -> Result<Box<RawValue>, Rejection> {
        let bearer = event.bearer_token()?;
        let token = UnverifiedToken::parse(&bearer)?;
        let issuer = self.verifier.issuer_of(&token)?;
        let key = self
            .keys
            .key_for(issuer, token.unverified_kid(), now())
            .await?;
        let claims = self.verifier.verify(token, issuer, &key, now())?;

        let method_arn = event.method_arn();
        let method = MethodArn::parse(&method_arn)?;

        let marks = self
            .revocations
            .marks(&claims, now())
            .await
            .map_err(Refusal::from)?;
        marks.check(&claims)?;
        self.verifier.still_valid(&claims, now())?;

        let resource = method.request_resource(event.route().as_deref());
        self.answer(&claims, PolicyDocument::new(Effect::Allow, resource))
    }

    fn answer(
        &self,
        claims: &VerifiedClaims,
        policy: PolicyDocument,
    ) -> Result<Box<RawValue>, Rejection> {
        let principal_id = match claims.principal() {
            Principal::User => claims.subject(),
            Principal::Client => claims.client_id(),
        };
        let answer = serde_json::value::to_raw_value(&Answer {
            principal_id,
            policy_document: policy,
            context: context::context(&self.context_claims, claims),
        });
        answer
            .ok()
            .filter(|json| json.get().len() <= MAX_ANSWER_BYTES)
            .ok_or(Rejection::AnswerTooLarge)
    }
}

impl<K: KeySource, R: RevocationStore> Handler for Authorizer<K, R> {
    type Answer = Box<RawValue>;

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Box<RawValue>, Failure> {
        let began = Instant::now();
        let event = Event::read(event);
        let decision = tokio::time::timeout(BUDGET, self.authorize(&event))
            .await
            .unwrap_or(Err(Rejection::OutOfTime));
        report::report(&decision, self.log_level, request_id, began.elapsed());
        decision.map_err(|rejection| match rejection {
            Rejection::Refused(Refusal::Unauthorized(_)) => Failure::Unauthorized,
            Rejection::Refused(Refusal::Unavailable(_))
            | Rejection::Event(_)
            | Rejection::AnswerTooLarge
            | Rejection::OutOfTime => Failure::Internal,
        })
    }
}

fn now() -> UnixSeconds {
    UnixSeconds(clock::unix_seconds())
}
