//! `POST /auth/logout`: revokes a session, or all sessions of a user, immediately.
//!
//! It verifies the token itself and does not use the authorizer: expired sessions must be revoked
//! too, and logging out twice is not an error. The revocation is written first and alone determines
//! the response, because from then on the authorizer refuses the session; Cognito, which holds the
//! refresh token, is called next.

mod config;
mod event;

use std::time::Instant;

use api_gateway::http;
use api_gateway::http::{RequestError, Response};
use auth::{
    AuthError, DenyReason, KeptSession, KeySource, LARGEST_MAX_TOKEN_BYTES, MAX_IAT_LEEWAY_SECONDS,
    OtherSessions, Principal, ResourceAudience, RevocationContext, RevocationReader,
    RevocationWriter, Revocations, Secret, TokenRules, TokenUse, Unavailable, UnixSeconds,
    UnverifiedToken, VerifiedClaims, Verifier,
};
use auth_cognito::{CognitoAccounts, CognitoSignOut, SignOut, SignOutTask};
use auth_dynamodb::DynamoRevocations;
use auth_jwks::HttpsKeys;
use auth_sqs::RetryQueue;
use aws_config::SdkConfig;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, clock};
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use config::Config;
use config::{Cookies, HostedUi};
use event::{RefreshToken, Request, Scope};

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

/// [`LogoutOutcome::ended`] for sessions that were already revoked.
const ALREADY: &str = "already";

/// The result of a logout.
struct LogoutOutcome {
    /// `session`, `all`, `others`; `refresh_token` if only a refresh token was sent and it was
    /// invalid; `already` if an earlier revocation covers the token, which then revokes no newer
    /// session.
    ended: &'static str,
    cognito: CognitoOutcome,
    /// The page that deletes the hosted UI's cookie.
    logout_url: Option<String>,
}

/// The state of the sessions at Cognito.
#[derive(Clone, Copy)]
enum CognitoOutcome {
    /// Cognito was not called.
    NotAsked,
    /// The sessions are revoked.
    Ended,
    /// Cognito rejects the client's value: it is not a valid refresh token.
    Refused,
    /// Token revocation is disabled for the app client.
    Unsupported,
    /// Cognito did not respond, and the call was queued. The authorizer refuses the session
    /// already.
    Queued,
    /// Cognito did not respond, and the call could not be queued.
    Failed,
}

/// Why a logout failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogoutError {
    #[error("method_not_allowed")]
    MethodNotAllowed,
    #[error(transparent)]
    BadRequest(#[from] RequestError),
    /// A machine has no session; an administrator can revoke its client.
    #[error("no_user")]
    NoUser,
    /// A page of another origin sent the request.
    #[error("foreign_origin")]
    ForeignOrigin,
    #[error("{}", .0.as_str())]
    Unauthorized(DenyReason),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<DenyReason> for LogoutError {
    fn from(reason: DenyReason) -> Self {
        Self::Unauthorized(reason)
    }
}

impl From<AuthError> for LogoutError {
    fn from(refusal: AuthError) -> Self {
        match refusal {
            AuthError::Unauthorized(reason) => Self::Unauthorized(reason),
            AuthError::Unavailable(unavailable) => Self::Unavailable(unavailable),
        }
    }
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
        let secret = auth_secrets::read_if_any(&sdk, arn).await?;
        let logout = Self::new(&sdk, config, revocations, secret);
        tokio::join!(logout.keys.prefetch(now()), logout.revocations.warm_up());
        Ok(logout)
    }
}

impl<R: RevocationReader + RevocationWriter> Logout<R> {
    /// The function over this store and the services that `sdk` leads to, with the app client's
    /// secret.
    pub fn new(sdk: &SdkConfig, config: Config, revocations: R, secret: Option<Secret>) -> Self {
        let rules = TokenRules {
            token_uses: vec![TokenUse::Access, TokenUse::Id],
            // Any token of a session may revoke it, regardless of its resource.
            resource_audience: ResourceAudience::Any,
            leeway_seconds: config.leeway_seconds,
            iat_leeway_seconds: MAX_IAT_LEEWAY_SECONDS,
            require_session: false,
            allow_delegated: false,
            expired_for_seconds: config.refresh_token_ttl_seconds,
        };
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

    async fn log_out(&self, event: &http::Request<'_>) -> Result<LogoutOutcome, LogoutError> {
        if event.method() != "POST" {
            return Err(LogoutError::MethodNotAllowed);
        }
        if event::is_from_elsewhere(event, &self.settings.allowed_origins) {
            return Err(LogoutError::ForeignOrigin);
        }
        let cookie = event::refresh_cookie(event, &self.settings.cookies);
        let bearer = match (
            event.token(self.settings.cookies.access.as_deref()),
            &cookie,
        ) {
            (Ok(bearer), _) => bearer,
            (Err(DenyReason::MissingToken), Some(refresh_token)) => {
                return self.revoke_by_refresh_token(refresh_token).await;
            }
            (Err(reason), _) => return Err(reason.into()),
        };
        let claims = self.caller(&bearer).await?;
        if claims.principal() != Principal::User {
            return Err(LogoutError::NoUser);
        }
        let mut request: Request = event.json()?;
        request.refresh_token = request.refresh_token.or(cookie);
        let done = match request.scope {
            Scope::Session => Some(self.revoke_session(&claims, &request).await?),
            Scope::All => self.revoke_all(&claims, &request).await?,
            Scope::Others => Some(self.revoke_others(&claims).await?),
        };
        Ok(LogoutOutcome {
            ended: done.map_or(ALREADY, |_| request.scope.as_str()),
            cognito: done.unwrap_or(CognitoOutcome::NotAsked),
            logout_url: self.logout_url(&claims, request.scope),
        })
    }

    /// Verifies a token, which may be expired or revoked.
    async fn caller(&self, bearer: &str) -> Result<VerifiedClaims, LogoutError> {
        let token = UnverifiedToken::parse_within(bearer, LARGEST_MAX_TOKEN_BYTES)?;
        let issuer = self.verifier.issuer_of(&token)?;
        let key = self
            .keys
            .key_for(issuer, token.unverified_kid(), now())
            .await?;
        Ok(self.verifier.verify(token, issuer, &key, now())?)
    }

    async fn revoke_session(
        &self,
        claims: &VerifiedClaims,
        request: &Request,
    ) -> Result<CognitoOutcome, LogoutError> {
        let (user, context) = (claims.user_ref(), self.context(claims));
        let revocations = &self.revocations;
        let written = match (claims.session(), claims.token_id()) {
            (Some(session), _) => {
                let session = user.session(session);
                revocations.revoke_session(&session, &context).await
            }
            (None, Some(token)) => revocations.revoke_token(&user.token(token), &context).await,
            (None, None) => return Err(DenyReason::NoSession.into()),
        };
        let cognito = self
            .revoke_refresh_token(claims, request.refresh_token.as_ref())
            .await;
        written?;
        Ok(cognito)
    }

    /// `None` if an earlier revocation covers the caller: a client that repeats the request,
    /// because the response was lost, does not revoke sessions that began since.
    async fn revoke_all(
        &self,
        claims: &VerifiedClaims,
        request: &Request,
    ) -> Result<Option<CognitoOutcome>, LogoutError> {
        let now = now();
        let revocations = self.revocations.revocations(claims, now).await?;
        let covered = revocations.user_not_before.as_ref().is_some_and(|user| {
            claims.authenticated_at() <= user.not_before && user.except_session.is_none()
        });
        if covered {
            return Ok(None);
        }
        ensure_active(claims, &revocations, now)?;
        let not_before = self.not_before(claims);
        let written = self
            .revocations
            .revoke_user_sessions(&claims.user_ref(), not_before, &self.context(claims))
            .await;
        let username = claims.username().unwrap_or(claims.subject()).to_owned();
        let everywhere = SignOutTask::SignOutEverywhere { username };
        let everywhere = self.at_cognito(claims, &everywhere).await;
        let this_one = self
            .revoke_refresh_token(claims, request.refresh_token.as_ref())
            .await;
        written?;
        // CloudTrail's record of the call revokes sessions that began up to the second of the call.
        clock::until_after(not_before.max(self::now()).0).await;
        Ok(Some(everywhere.worse(this_one)))
    }

    /// Cognito has no call that keeps one session: the refresh tokens of the others stay valid
    /// there, and the authorizer refuses the tokens that they return.
    async fn revoke_others(&self, claims: &VerifiedClaims) -> Result<CognitoOutcome, LogoutError> {
        let now = now();
        let session = claims.session().ok_or(DenyReason::NoSession)?;
        let revocations = self.revocations.revocations(claims, now).await?;
        ensure_active(claims, &revocations, now)?;
        let not_before = self.not_before(claims);
        let others = OtherSessions {
            not_before,
            kept: KeptSession {
                session,
                authenticated_at: claims.authenticated_at(),
            },
            password_changed_at: None,
        };
        let written = self
            .revocations
            .revoke_other_sessions(&claims.user_ref(), &others, &self.context(claims))
            .await?;
        if written {
            clock::until_after(not_before.0).await;
            Ok(CognitoOutcome::NotAsked)
        } else {
            // The caller's session was revoked after the read.
            Err(DenyReason::UserRevoked.into())
        }
    }

    /// For a request with the refresh token's cookie only. A refresh returns a token that names the
    /// session, which is then revoked in the table and at Cognito. Without a usable response from
    /// Cognito the logout fails and the browser keeps the cookie.
    async fn revoke_by_refresh_token(
        &self,
        refresh_token: &RefreshToken,
    ) -> Result<LogoutOutcome, LogoutError> {
        let RefreshToken(text) = refresh_token;
        let secret = Secret::new(text.clone());
        let may_be_one = auth_cognito::may_be_a_refresh_token(text);
        for accounts in self.accounts.iter().filter(|_| may_be_one) {
            let tokens = match accounts.refresh(&secret).await {
                Ok(tokens) => tokens,
                // Another client's token, or an invalid one, which returns no tokens.
                Err(refused) if refused.is_final() => continue,
                Err(_) => return Err(Unavailable::Cognito.into()),
            };
            let Ok(claims) = self.caller(&tokens.access).await else {
                return Err(Unavailable::Cognito.into());
            };
            let mut request = Request {
                scope: Scope::Session,
                refresh_token: Some(RefreshToken(text.clone())),
            };
            let mut cognito = self.revoke_session(&claims, &request).await?;
            // With refresh token rotation, the new token belongs to the session.
            if let Some(rotated) = tokens.refresh {
                request.refresh_token = Some(RefreshToken(rotated));
                let rotated = self
                    .revoke_refresh_token(&claims, request.refresh_token.as_ref())
                    .await;
                cognito = if matches!(cognito, CognitoOutcome::Refused) {
                    rotated
                } else {
                    cognito.worse(rotated)
                };
            }
            return Ok(LogoutOutcome {
                ended: Scope::Session.as_str(),
                cognito,
                logout_url: self.logout_url(&claims, Scope::Session),
            });
        }
        Ok(LogoutOutcome {
            ended: "refresh_token",
            cognito: CognitoOutcome::Refused,
            logout_url: None,
        })
    }

    /// Revokes the refresh token at Cognito, if the client sent it.
    async fn revoke_refresh_token(
        &self,
        claims: &VerifiedClaims,
        refresh_token: Option<&RefreshToken>,
    ) -> CognitoOutcome {
        let Some(RefreshToken(token)) = refresh_token else {
            return CognitoOutcome::NotAsked;
        };
        let task = SignOutTask::RevokeRefreshToken {
            client_id: claims.client_id().to_owned(),
            refresh_token: token.clone(),
            with_secret: self.settings.client_with_secret.as_deref() == Some(claims.client_id()),
        };
        self.at_cognito(claims, &task).await
    }

    /// Makes the call; queues a failed call if a queue is configured.
    async fn at_cognito(&self, claims: &VerifiedClaims, task: &SignOutTask) -> CognitoOutcome {
        match (self.cognito.execute(task).await, &self.retry_queue) {
            (Ok(made), _) => {
                if let Some(id) = &made.request_id {
                    // Without the note CloudTrail's record of the call outdates the user's other tokens
                    // too, and a refresh brings new ones.
                    let noted = self.revocations.note_call(claims.issuer_id(), id, now());
                    let _ = noted.await;
                }
                match made.outcome {
                    SignOut::Done => CognitoOutcome::Ended,
                    SignOut::Unsupported => CognitoOutcome::Unsupported,
                    SignOut::Refused => CognitoOutcome::Refused,
                }
            }
            (Err(_), Some(queue)) if queue.send(task).await => CognitoOutcome::Queued,
            (Err(_), _) => CognitoOutcome::Failed,
        }
    }

    /// The time up to which sessions are revoked. It includes the allowed clock difference to the
    /// issuer, and in any case the caller's own sign-in.
    fn not_before(&self, claims: &VerifiedClaims) -> UnixSeconds {
        let now = now().plus(self.settings.leeway_seconds);
        now.max(claims.authenticated_at())
    }

    /// The page that deletes the hosted UI's cookie, which only the hosted UI can do.
    fn logout_url(&self, claims: &VerifiedClaims, scope: Scope) -> Option<String> {
        let hosted_ui = self.settings.hosted_ui.as_ref()?;
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        (scope != Scope::Others).then(|| {
            format!(
                "{}/logout?client_id={}&logout_uri={}",
                hosted_ui.url,
                encode(claims.client_id()),
                encode(&hosted_ui.redirect_uri)
            )
        })
    }

    fn context<'a>(&self, claims: &'a VerifiedClaims) -> RevocationContext<'a> {
        RevocationContext {
            reason: "logout",
            actor: claims.subject(),
            at: now(),
            refresh_token_ttl_seconds: self.settings.refresh_token_ttl_seconds,
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
        let result = self.log_out(&request).await;
        let (level, reason) = match &result {
            Ok(done) => (done.cognito.level(), done.cognito.as_str().to_owned()),
            Err(problem @ LogoutError::Unavailable(_)) => (Level::Error, problem.to_string()),
            Err(problem) => (Level::Warn, problem.to_string()),
        };
        let response = match result {
            Ok(done) => done.response(&self.settings.cookies, &request),
            Err(problem) => problem.response(),
        };
        let count = self.refusals.count(level, &reason, clock::unix_seconds());
        if let Some(count) = count
            && level <= self.settings.log_level
        {
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            log::line(
                level,
                "logout",
                [
                    ("status", Value::from(response.status())),
                    ("reason", Value::from(reason)),
                    ("request_id", Value::from(request_id)),
                    ("duration_us", Value::from(took)),
                    ("Logouts", Value::from(count)),
                    (
                        "_aws",
                        log::metric("Logouts", "reason", clock::unix_seconds()),
                    ),
                ],
            );
        }
        Ok(response.in_answer_to(&request))
    }
}

/// Only a valid token may revoke other sessions: a leaked old token must not sign its user out of
/// newer sessions.
fn ensure_active(
    claims: &VerifiedClaims,
    revocations: &Revocations,
    now: UnixSeconds,
) -> Result<(), DenyReason> {
    revocations.check(claims)?;
    if claims.expires_at() <= now {
        return Err(DenyReason::Expired);
    }
    Ok(())
}

impl LogoutOutcome {
    fn response(&self, cookies: &Cookies, request: &http::Request<'_>) -> Response {
        let mut body = json!({"ended": self.ended, "cognito": self.cognito.as_str()});
        if let (Some(url), Some(members)) = (&self.logout_url, body.as_object_mut()) {
            members.insert("logout_url".to_owned(), url.as_str().into());
        }
        let response = Response::json(200, &body);
        let (access, refresh) = (&cookies.access, &cookies.refresh);
        let has_cookies = access.is_some() || refresh.is_some();
        if self.ended == Scope::Others.as_str() || !has_cookies {
            return response;
        }
        let response = response.with("clear-site-data", "\"cache\", \"cookies\", \"storage\"");
        let response = match access {
            Some(name) => response.without_cookie(name),
            None => response,
        };
        match refresh {
            Some(name) => http::RefreshCookie(name).clear(response, request),
            None => response,
        }
    }
}

impl LogoutError {
    fn response(&self) -> Response {
        let status = match self {
            Self::MethodNotAllowed => {
                return Response::problem(405, "method_not_allowed").with("allow", "POST");
            }
            Self::BadRequest(bad) => bad.status(),
            Self::NoUser | Self::ForeignOrigin => 403,
            // Only the log names the failed check or dependency.
            Self::Unauthorized(_) => return Response::problem(401, "unauthorized"),
            Self::Unavailable(_) => return Response::problem(503, "unavailable"),
        };
        Response::problem(status, &self.to_string())
    }
}

impl CognitoOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::Ended => "ended",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Queued => "queued",
            Self::Failed => "failed",
        }
    }

    fn level(self) -> Level {
        match self {
            Self::NotAsked | Self::Ended | Self::Refused => Level::Info,
            Self::Unsupported | Self::Queued => Level::Warn,
            Self::Failed => Level::Error,
        }
    }

    /// The worse outcome of two calls: the one that leaves more sessions valid at Cognito.
    fn worse(self, other: Self) -> Self {
        std::cmp::max_by_key(self, other, |outcome| match outcome {
            Self::NotAsked => 0,
            Self::Ended => 1,
            Self::Refused => 2,
            Self::Unsupported => 3,
            Self::Queued => 4,
            Self::Failed => 5,
        })
    }
}

fn now() -> UnixSeconds {
    UnixSeconds(clock::unix_seconds())
}
