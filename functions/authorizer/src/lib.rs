//! The Lambda authorizer: who is this, is the session still alive, and what may they call.
//!
//! [`Authorizer::authorize`] is the whole decision; everything else here prepares it or reports
//! it.

mod answer;
pub mod config;
pub mod context;
pub mod event;
mod policies;
pub mod report;

use std::time::{Duration, Instant};

use auth::{
    Effect, KeySource, Reason, Refusal, RevocationStore, Unavailable, UnixSeconds, UnverifiedToken,
    VerifiedClaims, Verifier,
};
use auth_dynamodb::DynamoRevocations;
use auth_jwks::HttpsKeys;
use lambda::{Failure, Handler, clock};
use serde_json::value::RawValue;

pub use config::Config;
use config::Settings;
pub use event::Event;
use event::Method;
use report::Reporter;

/// The whole decision. Longer than its parts may take together, shorter than Lambda's timeout:
/// the answer comes from us, not from the platform.
const BUDGET: Duration = Duration::from_millis(2_500);

/// Decides about requests. Generic over where keys and revocations come from.
pub struct Authorizer<K, R> {
    verifier: Verifier,
    keys: K,
    revocations: R,
    settings: Settings,
    reporter: Reporter,
}

/// What was decided about a known caller.
pub struct Decision {
    /// Whether they may.
    pub effect: Effect,
    /// That, in the form of the API that asked.
    pub answer: Box<RawValue>,
    /// Whose user it is, by the issuer's short name.
    pub issuer_id: String,
    /// The caller in the log: a hash, so that lines about one caller can be found together and
    /// nobody's id stands in them.
    pub subject_hash: String,
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

impl From<Unavailable> for Rejection {
    fn from(unavailable: Unavailable) -> Self {
        Self::Refused(unavailable.into())
    }
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
        let verifier = Verifier::new(issuers, config.token_rules);
        Ok(Self::new(verifier, keys, revocations, config.settings))
    }
}

impl<K: KeySource, R: RevocationStore> Authorizer<K, R> {
    /// An authorizer over these keys and revocations.
    pub fn new(verifier: Verifier, keys: K, revocations: R, settings: Settings) -> Self {
        Self {
            verifier,
            keys,
            revocations,
            reporter: Reporter::new(settings.log),
            settings,
        }
    }

    /// Who is calling, whether that is still true, and what they may do: the order is that of
    /// ARCHITECTURE.md, and every step can only refuse.
    ///
    /// # Errors
    /// The first step that refused, or that could not tell.
    pub async fn authorize(&self, event: &Event<'_>) -> Result<Decision, Rejection> {
        let bearer = event.token(&self.settings.token_sources)?;
        let token = UnverifiedToken::parse(&bearer)?;
        let issuer = self.verifier.issuer_of(&token)?;
        let key = self
            .keys
            .key_for(issuer, token.unverified_kid(), now())
            .await?;
        let claims = self.verifier.verify(token, issuer, &key, now())?;

        let method_arn = event.method_arn();
        let method = event.method(&method_arn)?;

        let marks = self.revocations.marks(&claims, now()).await?;
        marks.check(&claims)?;
        self.verifier.still_valid(&claims, now())?;

        let effect = if event.is_from_elsewhere(&self.settings.allowed_origins) {
            Effect::Deny
        } else {
            self.settings
                .rules
                .decide(&claims, &question(event, &method))
        };
        self.decision(event, &claims, effect, &method)
    }

    fn decision(
        &self,
        event: &Event<'_>,
        claims: &VerifiedClaims,
        effect: Effect,
        method: &Method<'_>,
    ) -> Result<Decision, Rejection> {
        let context = context::context(&self.settings.context_claims, claims);
        answer::decided(
            event.kind(),
            self.settings.http_api_response,
            claims,
            effect,
            method,
            context,
        )
        .map(|answer| Decision {
            effect,
            answer,
            issuer_id: claims.issuer_id().to_owned(),
            subject_hash: claims.subject_hash(),
        })
        .ok_or(Rejection::AnswerTooLarge)
    }
}

fn question<'q>(event: &Event<'_>, method: &'q Method<'_>) -> auth_cedar::Request<'q> {
    auth_cedar::Request {
        verb: &method.verb,
        route: &method.route,
        path_parameters: event.path_parameters(),
        source_ip: event.source_ip(),
        now: now(),
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
        self.reporter.report(&decision, request_id, began.elapsed());
        match decision {
            Ok(decision) => Ok(decision.answer),
            Err(Rejection::Refused(Refusal::Unauthorized(_))) => {
                answer::refused(event.kind()).ok_or(Failure::Unauthorized)
            }
            Err(
                Rejection::Refused(Refusal::Unavailable(_))
                | Rejection::Event(_)
                | Rejection::AnswerTooLarge
                | Rejection::OutOfTime,
            ) => Err(Failure::Internal),
        }
    }
}

fn now() -> UnixSeconds {
    UnixSeconds(clock::unix_seconds())
}
