//! The Lambda authorizer: identifies the caller, checks revocations, and authorizes the request.
//!
//! [`Authorizer::authorize`] is the whole decision; the rest of this crate prepares or reports it.

mod answer;
mod authorize;
pub mod cedar;
pub mod config;
pub mod context;
mod context_claim;
pub mod credential;
pub mod event;
pub mod method;
mod origin;
mod outcome;
mod permission;
pub mod policy_scope;
mod report;
pub mod signed_claims;

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub use auth::ApiKeys;
use auth::{ApiKeyStore, AuthError, Callers, KeySource, RevocationReader, Verifier};
use auth_dynamodb::{DynamoApiKeys, DynamoRevocations};
use auth_jwks::HttpsKeys;
use runtime::{DecisionLog, Handler, InvocationError, clock};
use serde_json::value::RawValue;

pub use config::Config;
use config::Settings;
pub use event::Event;
pub use outcome::{AuthorizeError, Decision};

/// Time limit of a decision: enough for a fetch of keys or the slowest response of the store, and
/// shorter than Lambda's timeout, so that the function responds and not the platform.
const BUDGET: Duration = Duration::from_millis(2_500);

/// Authorizes requests. Generic over the sources of keys, revocations and API keys.
pub struct Authorizer<K, R, A = DynamoApiKeys> {
    callers: Callers<K, R, A>,
    settings: Settings,
    log: DecisionLog,
}

impl Authorizer<HttpsKeys, DynamoRevocations> {
    /// Fetches the keys and opens the connection to the store concurrently, during init, when
    /// Lambda gives a function a whole core.
    ///
    /// # Errors
    /// Never fails: the request that needs a connection repeats a failed attempt.
    pub async fn connect(config: Config) -> Result<Self, Infallible> {
        let (issuers, locations) = auth_jwks::config::split(config.issuers);
        let keys = HttpsKeys::new(locations);
        let sdk = aws_config::load_from_env().await;
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table);
        let issuer_id = issuers.first().map(|issuer| Arc::clone(&issuer.id));
        let api_keys = config.api_key_table.zip(issuer_id);
        let api_keys = api_keys.map(|(table, issuer_id)| ApiKeys {
            store: DynamoApiKeys::beside(&revocations, table),
            issuer_id,
        });
        tokio::join!(keys.prefetch(clock::now()), revocations.warm_up());
        let verifier = Verifier::new(issuers, config.token_rules);
        Ok(Self::new(
            verifier,
            keys,
            revocations,
            api_keys,
            config.settings,
        ))
    }
}

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> Authorizer<K, R, A> {
    /// Creates an authorizer with these sources of keys and revocations.
    pub fn new(
        verifier: Verifier,
        keys: K,
        revocations: R,
        api_keys: Option<ApiKeys<A>>,
        settings: Settings,
    ) -> Self {
        Self {
            callers: Callers {
                verifier,
                keys,
                revocations,
                api_keys,
                max_token_bytes: settings.max_token_bytes,
                clock: clock::now,
            },
            log: DecisionLog::new(settings.log),
            settings,
        }
    }
}

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> Handler for Authorizer<K, R, A> {
    type Answer = Box<RawValue>;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<Box<RawValue>, InvocationError> {
        let began = Instant::now();
        let event = Event::read(event);
        let known_issuer = OnceLock::new();
        let decision = self.authorize(&event, &known_issuer);
        let decision = tokio::time::timeout_at((began + BUDGET).into(), decision)
            .await
            .unwrap_or(Err(AuthorizeError::OutOfTime));
        let issuer = known_issuer.get().map(|id| &**id);
        let took = began.elapsed();
        let decided = report::describe(&decision, issuer, request_id, took);
        self.log.report(&decided);
        match decision {
            Ok(decision) => Ok(decision.answer),
            Err(
                AuthorizeError::Refused(AuthError::Unauthorized(_)) | AuthorizeError::Revoked(..),
            ) => answer::refused(event.kind()).ok_or(InvocationError::Unauthorized),
            Err(
                AuthorizeError::Refused(AuthError::Unavailable(_))
                | AuthorizeError::Event(_)
                | AuthorizeError::UnknownRoute
                | AuthorizeError::AnswerTooLarge
                | AuthorizeError::OutOfTime,
            ) => Err(InvocationError::Internal),
        }
    }
}
