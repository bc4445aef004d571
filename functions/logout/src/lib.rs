//! `POST /auth/logout`: revokes a session, or all sessions of a user, immediately.
//!
//! It verifies the token itself and does not use the authorizer: expired sessions must be revoked
//! too, and logging out twice is not an error. The revocation is written first and alone determines
//! the response, because from then on the authorizer refuses the session; Cognito, which holds the
//! refresh token, is called next.

mod cognito;
mod config;
mod hosted_ui;
mod outcome;
mod request;
mod revoke;
mod sign_out;

use std::time::Instant;

use api_gateway::http::{self, Response};
use auth::{RevocationReader, RevocationWriter, Secret, Verifier};
use auth_cognito::{CognitoAccounts, CognitoSignOut};
use auth_dynamodb::DynamoRevocations;
use auth_jwks::HttpsKeys;
use auth_sqs::RetryQueue;
use aws_config::SdkConfig;
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, clock};
use serde_json::Value;
use serde_json::value::RawValue;

pub use config::Config;
use hosted_ui::HostedUi;
use outcome::LogoutError;
use request::Cookies;

/// The function's handler.
pub struct Logout<R = DynamoRevocations> {
    verifier: Verifier,
    keys: HttpsKeys,
    revocations: R,
    cognito: CognitoSignOut,
    refusals: log::Refusals,
    /// One for each app client: the first is the client with the secret.
    accounts: Vec<CognitoAccounts>,
    retry_queue: Option<RetryQueue>,
    settings: Settings,
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

impl Logout {
    /// Fetches the keys, reads the app client's secret and opens the connection to the store,
    /// during init.
    ///
    /// # Errors
    /// [`auth_secrets::SecretError`]. The request that needs it repeats any other failed step.
    pub async fn connect(config: Config) -> Result<Self, auth_secrets::SecretError> {
        let sdk = aws_config::load_from_env().await;
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table.clone());
        let arn = config.app_client_secret_arn.as_deref();
        let (secret, ()) =
            tokio::join!(auth_secrets::read_if_any(&sdk, arn), revocations.warm_up());
        let logout = Self::new(&sdk, config, revocations, secret?);
        logout.keys.prefetch(clock::now()).await;
        Ok(logout)
    }
}

impl<R: RevocationReader + RevocationWriter> Logout<R> {
    /// The function over this store and the services that `sdk` leads to, with the app client's
    /// secret.
    pub fn new(sdk: &SdkConfig, config: Config, revocations: R, secret: Option<Secret>) -> Self {
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

impl<R: RevocationReader + RevocationWriter + Sync> Handler for Logout<R> {
    type Answer = Response;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<Response, InvocationError> {
        let began = Instant::now();
        let request = http::Request::read(event);
        let mut audit = None;
        let result = self.log_out(&request, &mut audit).await;
        let (level, reason) = match &result {
            Ok(done) => (done.cognito.level(), done.cognito.as_str().to_owned()),
            Err(problem) => (problem.level(), problem.to_string()),
        };
        if let Some(audit) = audit {
            let outcome = if result.is_ok() { "done" } else { &reason };
            audit.write(outcome, request_id);
        }
        let cause = match &result {
            Ok(done) => done.cognito.cause(),
            Err(LogoutError::Unavailable(unavailable)) => Some(unavailable.cause),
            Err(_) => None,
        };
        let response = match result {
            Ok(done) => done.response(&self.settings.cookies, &request),
            Err(problem) => problem.response(),
        };
        log::record_outcome(log::Outcome {
            word: &reason,
            cause,
        });
        log::record_reason(&reason);
        let count = self.refusals.count(level, &reason, clock::unix_seconds());
        if let Some(count) = count
            && level <= self.settings.log_level
        {
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            let fields = [
                ("status", Value::from(response.status())),
                ("reason", Value::from(reason)),
                ("request_id", Value::from(request_id)),
                ("duration_us", Value::from(took)),
                ("Logouts", Value::from(count)),
                (
                    "_aws",
                    log::metric("Logouts", "reason", clock::unix_seconds()),
                ),
            ];
            log::line(level, "logout", fields.into_iter().chain(log::cause(cause)));
        }
        Ok(response.in_answer_to(&request))
    }
}
