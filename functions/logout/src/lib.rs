//! `POST /auth/logout`: revokes a session, or all sessions of a user, immediately.
//!
//! It verifies the token itself and does not use the authorizer: expired sessions must be revoked
//! too, and logging out twice is not an error. The revocation is written first and alone determines
//! the response, because from then on the authorizer refuses the session; Cognito, which holds the
//! refresh token, is called next.

mod browser_session;
mod cognito;
mod config;
mod hosted_ui;
mod outcome;
mod report;
mod request;
mod revoke;
mod sign_out;

use std::process::ExitCode;
use std::time::Instant;

use api_gateway::http::{self, Response};
use auth::{RevocationReader, RevocationWriter, Secret, Verifier};
use auth_cognito::{CognitoAccounts, CognitoSignOut};
use auth_dynamodb::{DynamoBrowserSessions, DynamoRevocations};
use auth_jwks::HttpsKeys;
use auth_secrets::SecretError;
use auth_sessions::{BrowserSessions, KeysError, SealedSessions, SealingKeys};
use auth_sqs::RetryQueue;
use aws_client::SdkConfig;
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, clock};
use serde_json::value::RawValue;

pub use config::Config;
use hosted_ui::HostedUi;
use report::Report;
use request::{Cookies, RefreshToken};

/// The function's handler.
pub struct Logout<R = DynamoRevocations, B = DynamoBrowserSessions> {
    verifier: Verifier,
    keys: HttpsKeys,
    revocations: R,
    cognito: CognitoSignOut,
    refusals: log::Refusals,
    /// One for each app client: the first is the client with the secret.
    accounts: Vec<CognitoAccounts>,
    retry_queue: Option<RetryQueue>,
    /// The sessions behind `SESSION_COOKIE`.
    browser_sessions: Option<SealedSessions<B>>,
    settings: Settings,
}

/// Why the function can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A secret could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The keys of browser sessions are unusable.
    #[error(transparent)]
    SessionKeys(#[from] KeysError),
}

struct Settings {
    /// The app client whose secret is configured.
    client_with_secret: Option<String>,
    refresh_token_ttl_seconds: u64,
    leeway_seconds: u64,
    cookies: Cookies,
    allowed_origins: Vec<String>,
    hosted_ui: Option<HostedUi>,
    log_level: Level,
}

impl Settings {
    /// Sets the refresh token's cookie.
    fn with_refresh_token(
        &self,
        response: Response,
        RefreshToken(token): &RefreshToken,
        request: &http::Request<'_>,
    ) -> Response {
        match &self.cookies.refresh {
            Some(name) if auth_cognito::may_be_a_refresh_token(token) => http::RefreshCookie(name)
                .set(response, request, token, self.refresh_token_ttl_seconds),
            _ => response,
        }
    }
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(Config::from_lookup(&env_config::process), Logout::connect)
}

impl Logout {
    /// Fetches the keys, reads the secrets and opens the connection to the store, during init.
    ///
    /// # Errors
    /// [`StartError`]. The request that needs it repeats any other failed step.
    pub async fn connect(config: Config) -> Result<Self, StartError> {
        let sdk = aws_client::sdk_config_in_lambda();
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table.clone());
        let arn = config.app_client_secret_arn.as_deref();
        let settings = config.browser_sessions.as_ref();
        let keys_arn = settings.map(|settings| settings.keys_arn.as_str());
        let (secret, keys, ()) = tokio::join!(
            auth_secrets::read_if_any(&sdk, arn),
            auth_secrets::read_if_any(&sdk, keys_arn),
            revocations.warm_up(),
        );
        let browser_sessions = match settings.zip(keys?) {
            None => None,
            Some((settings, keys)) => {
                let table = settings.table.clone();
                let store = DynamoBrowserSessions::beside(&revocations, table);
                let keys = SealingKeys::from_json(keys.expose())?;
                Some(SealedSessions::new(store, keys))
            }
        };
        let logout = Self::new(&sdk, config, revocations, browser_sessions, secret?);
        logout.keys.prefetch(clock::now()).await;
        Ok(logout)
    }
}

impl<R: RevocationReader + RevocationWriter, B: BrowserSessions> Logout<R, B> {
    /// The function over these stores and the services that `sdk` leads to, with the app client's
    /// secret. `browser_sessions` are those behind `SESSION_COOKIE`.
    pub fn new(
        sdk: &SdkConfig,
        config: Config,
        revocations: R,
        browser_sessions: Option<SealedSessions<B>>,
        secret: Option<Secret>,
    ) -> Self {
        let rules = sign_out::token_rules(&config);
        let (issuers, locations) = auth_jwks::config::split(config.issuers);
        let client_ids = issuers
            .first()
            .map(|issuer| issuer.audiences.clone())
            .unwrap_or_default();
        let keys = HttpsKeys::new(locations);
        let retry_queue = config.retry_queue_url;
        let mut its_secret = secret.clone();
        let client_with_secret = client_ids.first().filter(|_| secret.is_some()).cloned();
        let accounts = client_ids
            .into_iter()
            .map(|client_id| CognitoAccounts::new(sdk, client_id, its_secret.take()));
        Self {
            verifier: Verifier::new(issuers, rules),
            keys,
            revocations,
            browser_sessions,
            retry_queue: retry_queue.map(|url| RetryQueue::new(sdk, url)),
            accounts: accounts.collect(),
            cognito: CognitoSignOut::new(sdk, config.user_pool_id).with_secret(secret),
            refusals: log::Refusals::default(),
            settings: Settings {
                client_with_secret,
                refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
                leeway_seconds: config.leeway_seconds,
                cookies: config.cookies,
                allowed_origins: config.allowed_origins,
                hosted_ui: config.hosted_ui,
                log_level: config.log_level,
            },
        }
    }
}

impl<R: RevocationReader + RevocationWriter + Sync, B: BrowserSessions> Handler for Logout<R, B> {
    type Answer = Response;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<Response, InvocationError> {
        let began = Instant::now();
        let request = http::Request::read(event);
        let (mut audit, mut kept) = (None, None);
        let result = self.log_out(&request, &mut audit, &mut kept).await;
        let report = Report::of(&result);
        if let Some(audit) = audit {
            audit.write(report.act(), request_id);
        }
        let response = match result {
            Ok(done) => done.response(&self.settings.cookies, &request),
            Err(problem) => problem.response(),
        };
        let response = match kept {
            Some(kept) => self.settings.with_refresh_token(response, &kept, &request),
            None => response,
        };
        self.report(report, response.status(), request_id, began);
        Ok(response.in_answer_to(&request))
    }
}
