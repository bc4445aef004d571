//! The self-service API for Cognito accounts: sign-up, confirmation, sign-in with a second factor,
//! refresh, password reset and change, and the caller's own account.
//!
//! No response reveals whether an account exists. Cognito's exceptions are mapped to a status and a
//! code from a closed list ([`outcome`]); their messages are not forwarded. Revocations are written
//! before the response is sent.

mod body;
mod config;
mod limiter;
mod me;
pub mod outcome;
mod pages;
mod proof;
mod sign_in;
mod sign_up;
mod times;
mod tokens;

use std::time::Instant;

use api_gateway::Caller;
use api_gateway::http::{Request, RequestError, Response, Sender};
use auth::{
    DenyReason, MAX_IAT_LEEWAY_SECONDS, ResourceAudience, Secret, TokenRules, TokenUse,
    UnixSeconds, UserRef, Verifier,
};
use auth_cognito::{CognitoAccounts, CognitoSignOut, CognitoUsers, SignOutTask};
use auth_dynamodb::{AttemptTable, DynamoRevocations, SessionTable};
use auth_jwks::HttpsKeys;
use auth_sqs::RetryQueue;
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, clock};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use config::Config;

use crate::limiter::{Counted, Limiter};
use crate::outcome::ApiError;
use crate::pages::Pages;
use crate::tokens::UnverifiedSession;

const FORM: &str = "application/x-www-form-urlencoded";

/// The function.
pub struct AuthApi {
    accounts: CognitoAccounts,
    sign_out: CognitoSignOut,
    users: CognitoUsers,
    revocations: DynamoRevocations,
    retry_queue: Option<RetryQueue>,
    /// Verifies tokens on routes without an authorizer.
    verifier: Verifier,
    keys: HttpsKeys,
    limiter: Option<Limiter>,
    sessions: Option<SessionTable>,
    pages: Pages,
    config: Config,
}

/// Why the function can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The app client's secret could not be read.
    #[error("the app client's secret could not be read")]
    Secret,
    /// A page's template or texts are broken.
    #[error("pages: {0}")]
    Pages(String),
}

/// Every route with its methods.
const ROUTES: &[(&str, &str)] = &[
    ("/auth/signup", "POST"),
    ("/auth/confirm", "GET, POST"),
    ("/auth/resend", "POST"),
    ("/auth/login", "POST"),
    ("/auth/challenge", "POST"),
    ("/auth/refresh", "POST"),
    ("/auth/forgot-password", "POST"),
    ("/auth/confirm-forgot-password", "POST"),
    ("/auth/change-password", "POST"),
    ("/auth/mfa/totp", "POST"),
    ("/auth/mfa/totp/verify", "POST"),
    ("/auth/mfa/totp/disable", "POST"),
    ("/auth/me", "GET, PATCH"),
    ("/auth/me/verify", "POST"),
];

impl AuthApi {
    /// Reads the app client's secret and opens the connection to the tables during init.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn connect(mut config: Config) -> Result<Self, StartError> {
        let pages = Pages::new(
            &config.app_name,
            config.sign_in_url.clone(),
            &config.default_locale,
        )
        .map_err(|error| StartError::Pages(error.to_string()))?;
        let sdk = aws_config::load_from_env().await;
        let secret = match &config.app_client_secret_arn {
            None => None,
            Some(arn) => {
                let secret = auth_secrets::read(&sdk, arn).await;
                Some(secret.ok_or(StartError::Secret)?)
            }
        };
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table.clone());
        revocations.warm_up().await;
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
        let session_table = config.session_table.clone();
        let retry_queue = config.retry_queue_url.clone();
        Ok(Self {
            retry_queue: retry_queue.map(|url| RetryQueue::new(&sdk, url)),
            accounts: CognitoAccounts::new(&sdk, config.app_client_id.clone(), secret),
            sign_out: CognitoSignOut::new(&sdk, config.user_pool_id.clone()),
            users: CognitoUsers::new(&sdk, config.user_pool_id.clone()),
            sessions: session_table.map(|table| SessionTable::beside(&revocations, table)),
            revocations,
            verifier: Verifier::new(issuers, rules),
            // The keys are fetched on first use, which is rare.
            keys: HttpsKeys::new(locations),
            limiter,
            pages,
            config,
        })
    }

    async fn answer(&self, request: &Request<'_>) -> Result<Response, ApiError> {
        let (target, method) = (request.target(), request.method());
        let (_, methods) = ROUTES
            .iter()
            .find(|(route, _)| *route == target)
            .ok_or(ApiError::NoRoute)?;
        if !methods.split(", ").any(|allowed| allowed == method) {
            return Err(ApiError::MethodNotAllowed(methods));
        }
        let sender = request.sender(&self.config.allowed_origins);
        if method == "GET" {
            // Opening a page or reading one's account changes nothing.
            return match &*target {
                "/auth/confirm" => self.pages.confirm(request),
                _ => self.me(&self.signed_in(request)?).await,
            };
        }
        if sender == Sender::Foreign {
            return Err(ApiError::ForeignOrigin);
        }
        // Only this function's own page may send a form. Browsers send forms cross-origin without a
        // CORS preflight, so forms from other origins are rejected.
        if request.is_of_type(FORM) && sender == Sender::Known {
            match &*target {
                "/auth/confirm" => return self.confirm_by_form(request).await,
                "/auth/resend" => return self.resend_by_form(request).await,
                _ => {}
            }
        }
        let needs_no_body =
            target == "/auth/refresh" && self.config.cookies.is_some() && request.is_empty();
        if !needs_no_body && !request.is_of_type("application/json") {
            return Err(RequestError::MediaType.into());
        }
        match (&*method, &*target) {
            (_, "/auth/signup") => self.sign_up(read(request)?, request).await,
            (_, "/auth/confirm") => self.confirm(read(request)?, request).await,
            (_, "/auth/resend") => self.resend(read(request)?, request).await,
            (_, "/auth/login") => self.login(read(request)?, request).await,
            (_, "/auth/challenge") => self.challenge(read(request)?, request).await,
            (_, "/auth/refresh") => self.refresh(request).await,
            (_, "/auth/forgot-password") => self.forgot_password(read(request)?, request).await,
            (_, "/auth/confirm-forgot-password") => {
                self.confirm_forgot_password(read(request)?, request).await
            }
            (_, "/auth/change-password") => {
                let user = self.signed_in(request)?;
                self.change_password(&user, &read(request)?, request).await
            }
            (_, "/auth/mfa/totp") => {
                let user = self.signed_in(request)?;
                self.new_totp(&user, &request.json()?, request).await
            }
            (_, "/auth/mfa/totp/verify") => {
                let user = self.signed_in(request)?;
                self.turn_on_totp(&user, &read(request)?, request).await
            }
            (_, "/auth/mfa/totp/disable") => {
                let user = self.signed_in(request)?;
                self.turn_off_totp(&user, &request.json()?, request).await
            }
            ("PATCH", "/auth/me") => {
                let user = self.signed_in(request)?;
                self.update(&user, read(request)?, request).await
            }
            (_, "/auth/me/verify") => {
                let user = self.signed_in(request)?;
                self.verify_attribute(&user, &read(request)?, request).await
            }
            _ => Err(ApiError::NoRoute),
        }
    }

    /// The caller of a protected route, from the authorizer's context, with the token of the same
    /// session.
    fn signed_in(&self, request: &Request<'_>) -> Result<SignedIn, ApiError> {
        let caller = Caller::of(request, &self.config.user_pool_id).ok_or(ApiError::NoContext)?;
        let cookie = self.config.cookies.as_ref();
        let token = request
            .token(cookie.map(|cookies| cookies.access.as_str()))
            .map_err(|_: DenyReason| ApiError::NoContext)?;
        // The authorizer may read the token from a different place: then this is a token of another
        // session.
        let session = UnverifiedSession::of(&token).ok_or(ApiError::NoContext)?;
        if session.sub != caller.subject || session.origin_jti != caller.session {
            return Err(ApiError::NoContext);
        }
        let username = session.username.unwrap_or_else(|| session.sub.clone());
        Ok(SignedIn {
            caller,
            username,
            token,
        })
    }

    /// Counts an attempt before Cognito sees it.
    async fn admit(
        &self,
        what: &str,
        username: &str,
        request: &Request<'_>,
    ) -> Result<Counted, ApiError> {
        match &self.limiter {
            None => Ok(Counted::nothing()),
            Some(limiter) => {
                let address = request.source_ip();
                limiter
                    .admit(what, username, address.as_deref(), now())
                    .await
            }
        }
    }

    /// Counts a step that proves and reveals nothing. The limit for such steps is higher.
    async fn admit_often(
        &self,
        what: &str,
        username: &str,
        request: &Request<'_>,
    ) -> Result<(), ApiError> {
        match &self.limiter {
            None => Ok(()),
            Some(limiter) => {
                let address = request.source_ip();
                limiter
                    .admit_often(what, username, address.as_deref(), now())
                    .await
            }
        }
    }

    /// Remembers the network of a successful sign-in: it keeps a share of the attempts.
    async fn remember(&self, username: &str, request: &Request<'_>) {
        if let (Some(limiter), Some(address)) = (&self.limiter, request.source_ip()) {
            limiter.remember(username, &address, now()).await;
        }
    }

    /// Counts an attempt on an object that no other request names, independent of the source
    /// address.
    async fn admit_alone(&self, what: &str, name: &str) -> Result<Counted, ApiError> {
        match &self.limiter {
            None => Ok(Counted::nothing()),
            Some(limiter) => limiter.admit(what, name, None, now()).await,
        }
    }

    /// The pool's user with this `sub`.
    fn user_ref<'a>(&'a self, subject: &'a str) -> UserRef<'a> {
        UserRef {
            issuer: &self.config.user_pool_id,
            subject,
        }
    }

    /// Queues a call to Cognito for logout-retry. Returns whether the queue accepted it.
    async fn try_later(&self, task: &SignOutTask) -> bool {
        match &self.retry_queue {
            None => false,
            Some(queue) => queue.send(task).await,
        }
    }

    /// Refunds a counted attempt after it succeeded.
    async fn forgive(&self, counted: &Counted) {
        if let Some(limiter) = &self.limiter {
            limiter.forgive(counted).await;
        }
    }
}

/// The signed-in user and the token. No `Debug`: the token must not be logged.
struct SignedIn {
    caller: Caller,
    /// The user name for calls to Cognito.
    username: String,
    token: String,
}

/// The body, which is required.
fn read<T: DeserializeOwned>(request: &Request<'_>) -> Result<T, RequestError> {
    if request.is_empty() {
        return Err(RequestError::Malformed);
    }
    request.json()
}

fn now() -> UnixSeconds {
    UnixSeconds(clock::unix_seconds())
}

impl Handler for AuthApi {
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

impl AuthApi {
    async fn answer_in_time(&self, event: &RawValue, request_id: &str) -> Response {
        let began = Instant::now();
        let request = Request::read(event);
        let result = self.answer(&request).await;
        let (level, outcome) = match &result {
            Ok(response) if response.status() >= 500 => (Level::Error, "failed".to_owned()),
            Ok(_) => (Level::Info, "done".to_owned()),
            Err(problem) if problem.status() >= 500 => (Level::Error, problem.to_string()),
            Err(problem) => (Level::Warn, problem.to_string()),
        };
        if level <= self.config.log_level {
            log::request(level, "auth api", &outcome, request_id, began);
        }
        let response =
            result.unwrap_or_else(|problem| problem.response(&self.config.password_policy));
        times::leave(self.config.refusal_grid).await;
        self.for_browsers(&request, response).in_answer_to(&request)
    }

    /// Lets pages of allowed origins read the response (Fetch standard, "CORS protocol").
    fn for_browsers(&self, request: &Request<'_>, response: Response) -> Response {
        let response = response.with("vary", "Origin");
        let origin = request.header("origin").unwrap_or_default();
        let known = self.config.allowed_origins.iter();
        match known.into_iter().find(|known| **known == origin) {
            None => response,
            Some(origin) => {
                let response = response.with("access-control-allow-origin", origin.as_str());
                match self.config.cookies {
                    None => response,
                    Some(_) => response.with("access-control-allow-credentials", "true"),
                }
            }
        }
    }
}
