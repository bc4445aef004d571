//! The self-service API for Cognito accounts: sign-up, confirmation, sign-in with a second factor,
//! refresh, password reset and change, and the caller's own account.
//!
//! No response reveals whether an account exists. Cognito's exceptions are mapped to a status and a
//! code from a closed list ([`outcome`]); their messages are not forwarded. Revocations are written
//! before the response is sent.

mod account;
mod attempts;
mod body;
mod browser_session;
mod challenge;
mod change_password;
mod config;
mod confirm;
mod demand;
mod dispatch;
pub mod exceptions;
mod fields;
mod forgot_password;
mod hidden;
mod limiter;
pub mod outcome;
mod pages;
mod proof;
mod refresh;
mod resend;
mod revoke;
mod route;
mod session;
mod sign_in;
mod sign_up;
mod signed_in;
mod times;
mod tokens;
mod totp;
mod unused_names;

use std::process::ExitCode;

use api_gateway::http::Response;
use auth::{MAX_IAT_LEEWAY_SECONDS, ResourceAudience, Secret, TokenRules, TokenUse, Verifier};
use auth_cognito::{CognitoAccounts, CognitoSignOut, CognitoUsers};
use auth_dynamodb::{AttemptTable, DynamoBrowserSessions, DynamoRevocations, SessionTable};
use auth_jwks::HttpsKeys;
use auth_secrets::SecretError;
use auth_sessions::{BrowserSessions, KeysError, SealedSessions, SealingKeys};
use auth_sqs::RetryQueue;
use aws_client::SdkConfig;
use runtime::{Handler, InvocationError};
use serde_json::value::RawValue;

pub use config::Config;

use crate::attempts::Attempts;
use crate::browser_session::BrowserCookie;
use crate::limiter::Limiter;
use crate::pages::Pages;
use crate::unused_names::UnusedNames;

/// The function.
pub struct AuthApi<B = DynamoBrowserSessions> {
    accounts: CognitoAccounts,
    unused_names: UnusedNames,
    sign_out: CognitoSignOut,
    users: CognitoUsers,
    revocations: DynamoRevocations,
    retry_queue: Option<RetryQueue>,
    /// Verifies tokens on routes without an authorizer.
    verifier: Verifier,
    keys: HttpsKeys,
    attempts: Attempts,
    sessions: Option<SessionTable>,
    /// With `COOKIE_MODE=session`.
    browser_cookie: Option<BrowserCookie<B>>,
    pages: Pages,
    config: Config,
}

/// Why the function can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The app client's secret could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The keys of browser sessions are unusable.
    #[error(transparent)]
    SessionKeys(#[from] KeysError),
    /// `COOKIE_MODE=session` without sessions.
    #[error("COOKIE_MODE=session needs a store of browser sessions")]
    NoBrowserSessions,
    /// A page's template or texts are broken.
    #[error("pages: {0}")]
    Pages(String),
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(Config::from_lookup(&env_config::process), AuthApi::connect)
}

impl AuthApi {
    /// Reads the app client's secret and the keys of browser sessions, and opens the connection to the tables during init.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn connect(config: Config) -> Result<Self, StartError> {
        let sdk = aws_client::sdk_config_in_lambda();
        let arn = config.app_client_secret_arn.as_deref();
        let keys_arn = config.browser_sessions.as_ref();
        let keys_arn = keys_arn.map(|settings| settings.keys_arn.as_str());
        let (secret, keys) = tokio::join!(
            auth_secrets::read_if_any(&sdk, arn),
            auth_secrets::read_if_any(&sdk, keys_arn),
        );
        let keys = keys?.map(|text| SealingKeys::from_json(text.expose()));
        let keys = keys.transpose()?;
        let table = config.browser_sessions.as_ref();
        let table = table.map(|settings| settings.table.clone());
        let sessions = |revocations: &DynamoRevocations| {
            let (table, keys) = table.zip(keys)?;
            let store = DynamoBrowserSessions::beside(revocations, table);
            Some(SealedSessions::new(store, keys))
        };
        let api = Self::with(&sdk, config, secret?, sessions)?;
        api.revocations.warm_up().await;
        Ok(api)
    }
}

impl<B: BrowserSessions> AuthApi<B> {
    /// The function over the services that `sdk` leads to, with the app client's secret and, with `COOKIE_MODE=session`,
    /// the browsers' sessions.
    ///
    /// # Errors
    /// [`StartError::Pages`], [`StartError::NoBrowserSessions`].
    pub fn new(
        sdk: &SdkConfig,
        config: Config,
        secret: Option<Secret>,
        sessions: Option<SealedSessions<B>>,
    ) -> Result<Self, StartError> {
        Self::with(sdk, config, secret, |_| sessions)
    }

    /// [`Self::new`] with sessions that may share the connection of the revocations.
    fn with(
        sdk: &SdkConfig,
        mut config: Config,
        secret: Option<Secret>,
        sessions: impl FnOnce(&DynamoRevocations) -> Option<SealedSessions<B>>,
    ) -> Result<Self, StartError> {
        let pages = Pages::new(
            &config.app_name,
            config.sign_in_url.clone(),
            &config.default_locale,
        )
        .map_err(|error| StartError::Pages(error.to_string()))?;
        let revocations = DynamoRevocations::new(sdk, config.revocation_table.clone());
        let limiter = config.limits.as_ref().map(|limits| Limiter {
            table: AttemptTable::beside(&revocations, limits.table.clone()),
            per_user: limits.per_user,
            per_address: limits.per_address,
            user_pool_id: config.user_pool_id.clone(),
        });
        let (issuers, locations) = auth_jwks::config::split(std::mem::take(&mut config.issuers));
        let rules = TokenRules {
            token_uses: vec![TokenUse::Access],
            resource_audience: ResourceAudience::Any,
            leeway_seconds: config.leeway_seconds,
            iat_leeway_seconds: MAX_IAT_LEEWAY_SECONDS,
            require_session: true,
            allow_delegated: false,
            expired_for_seconds: config.refresh_token_ttl_seconds,
        };
        let browser_cookie = match &config.browser_sessions {
            None => None,
            Some(settings) => Some(BrowserCookie {
                name: settings.cookie.clone(),
                sessions: sessions(&revocations).ok_or(StartError::NoBrowserSessions)?,
            }),
        };
        let session_table = config.session_table.clone();
        let retry_queue = config.retry_queue_url.clone();
        Ok(Self {
            retry_queue: retry_queue.map(|url| RetryQueue::new(sdk, url)),
            unused_names: UnusedNames::new(secret.as_ref()),
            accounts: CognitoAccounts::new(sdk, config.app_client_id.clone(), secret),
            sign_out: CognitoSignOut::new(sdk, config.user_pool_id.clone()),
            users: CognitoUsers::new(sdk, config.user_pool_id.clone()),
            sessions: session_table.map(|table| SessionTable::beside(&revocations, table)),
            revocations,
            verifier: Verifier::new(issuers, rules),
            // The keys are fetched on first use, which is rare.
            keys: HttpsKeys::new(locations),
            attempts: Attempts { limiter },
            browser_cookie,
            pages,
            config,
        })
    }
}

impl<B: BrowserSessions> Handler for AuthApi<B> {
    type Answer = Response;

    const WIPES_EVENTS: bool = true;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<Response, InvocationError> {
        let answer = self.answer_in_time(event, request_id);
        Ok(times::of_request(answer).await)
    }
}
