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

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub use auth::ApiKeys;
use auth::{ApiKeyStore, AuthError, Callers, KeySource, RevocationReader, UnixSeconds, Verifier};
use auth_dynamodb::{DynamoApiKeys, DynamoBrowserSessions, DynamoRevocations};
use auth_jwks::HttpsKeys;
use auth_secrets::SecretError;
use auth_sessions::{BrowserSessions, KeysError, SealedSessions, SealingKeys};
use runtime::{DecisionLog, Handler, InvocationError, clock};
use serde_json::value::RawValue;

pub use config::Config;
use config::Settings;
pub use event::Event;
pub use outcome::{AuthorizeError, Decision};

/// Time limit of a decision: enough for a fetch of keys or the slowest response of the store, and
/// shorter than Lambda's timeout, so that the function responds and not the platform.
const BUDGET: Duration = Duration::from_millis(2_500);

/// Authorizes requests. Generic over the sources of keys, revocations, API keys and browser sessions.
pub struct Authorizer<K, R, A = DynamoApiKeys, B = DynamoBrowserSessions> {
    callers: Callers<K, R, A>,
    /// `None`: sessions are not accepted.
    sessions: Option<SealedSessions<B>>,
    settings: Settings,
    log: DecisionLog,
}

/// Why the function can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The secret with the keys of browser sessions could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The keys of browser sessions are unusable.
    #[error(transparent)]
    SessionKeys(#[from] KeysError),
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        Authorizer::connect,
    )
}

impl Authorizer<HttpsKeys, DynamoRevocations> {
    /// Fetches the keys and opens the connection to the store concurrently, during init, when
    /// Lambda gives a function a whole core.
    ///
    /// # Errors
    /// [`StartError`], only with `TOKEN_SOURCES=session`. The request that needs a connection repeats a failed attempt.
    pub async fn connect(config: Config) -> Result<Self, StartError> {
        let (issuers, locations) = auth_jwks::config::split(config.issuers);
        let keys = HttpsKeys::new(locations);
        let sdk = aws_client::sdk_config_in_lambda();
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table);
        let issuer_id = issuers.first().map(|issuer| Arc::clone(&issuer.id));
        let api_keys = config.api_key_table.zip(issuer_id);
        let api_keys = api_keys.map(|(table, issuer_id)| ApiKeys {
            store: DynamoApiKeys::beside(&revocations, table),
            issuer_id,
        });
        let session_keys = config.browser_sessions.as_ref();
        let session_keys = session_keys.map(|settings| settings.keys_arn.as_str());
        let (session_keys, (), ()) = tokio::join!(
            auth_secrets::read_if_any(&sdk, session_keys),
            keys.prefetch(clock::now()),
            revocations.warm_up(),
        );
        let sessions = match config.browser_sessions.zip(session_keys?) {
            None => None,
            Some((settings, text)) => {
                let store = DynamoBrowserSessions::beside(&revocations, settings.table);
                let keys = SealingKeys::from_json(text.expose())?;
                Some(SealedSessions::new(store, keys))
            }
        };
        let verifier = Verifier::new(issuers, config.token_rules);
        let settings = config.settings;
        Ok(Self {
            sessions,
            ..Self::new(verifier, keys, revocations, api_keys, settings)
        })
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
            sessions: None,
            log: DecisionLog::new(settings.log),
            settings,
        }
    }

    /// The same with another clock, so that a decision about an event can be repeated.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> UnixSeconds) -> Self {
        self.callers.clock = clock;
        self
    }

    /// The same, and it accepts these browser sessions.
    #[must_use]
    pub fn with_sessions<B>(self, sessions: SealedSessions<B>) -> Authorizer<K, R, A, B> {
        Authorizer {
            callers: self.callers,
            sessions: Some(sessions),
            settings: self.settings,
            log: self.log,
        }
    }
}

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore, B: BrowserSessions> Handler
    for Authorizer<K, R, A, B>
{
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
