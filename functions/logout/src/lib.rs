//! `POST /auth/logout`: ends a session, or all of a user's, at once.
//!
//! It verifies the token itself instead of standing behind the authorizer: an expired session
//! must be ended too, and logging out twice is not an error. The mark in the table comes first
//! and alone decides the answer, because from then on our APIs are closed; Cognito, which keeps
//! the refresh token, is told next.

mod config;
mod event;

use std::time::Instant;

use auth::revocation::RowKey;
use auth::{
    KeySource, Principal, Reason, Refusal, RevocationStore, TokenRules, TokenUse, Unavailable,
    UnixSeconds, UnverifiedToken, VerifiedClaims, Verifier,
};
use auth_cognito::{CognitoSignOut, SignOut};
use auth_dynamodb::{DynamoRevocations, Ending};
use auth_jwks::HttpsKeys;
use lambda::http::Response;
use lambda::log::{self, Level};
use lambda::{Failure, Handler, clock};
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use config::Config;
use event::{Event, RefreshToken, Request, Scope};

/// The function.
pub struct Logout {
    verifier: Verifier,
    keys: HttpsKeys,
    revocations: DynamoRevocations,
    cognito: CognitoSignOut,
    refresh_token_ttl_seconds: u64,
    log_level: Level,
}

/// What was done.
struct Done {
    scope: Scope,
    cognito: AtCognito,
}

/// What became of the sessions at Cognito.
#[derive(Clone, Copy)]
enum AtCognito {
    /// Nothing was asked of it.
    NotAsked,
    /// They are over.
    Ended,
    /// The app client has token revocation turned off.
    Unsupported,
    /// It did not answer. Our APIs are closed all the same.
    Failed,
}

/// Why nothing, or not enough, was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("method_not_allowed")]
    MethodNotAllowed,
    #[error("bad_request")]
    BadRequest,
    #[error("body_too_large")]
    TooLarge,
    /// A machine has no session; its client is revoked by an administrator.
    #[error("no_user")]
    NoUser,
    #[error("{}", .0.as_str())]
    Unauthorized(Reason),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<Reason> for Problem {
    fn from(reason: Reason) -> Self {
        Self::Unauthorized(reason)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthorized(reason) => Self::Unauthorized(reason),
            Refusal::Unavailable(unavailable) => Self::Unavailable(unavailable),
        }
    }
}

impl Logout {
    /// Fetches the keys and opens the connection to the store during init.
    ///
    /// # Errors
    /// [`Unavailable::Jwks`] if the system has no root certificates to check TLS with.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let rules = TokenRules {
            token_uses: vec![TokenUse::Access, TokenUse::Id],
            resource_audience: None,
            leeway_seconds: config.leeway_seconds,
            require_session: false,
            allow_delegated: false,
            expired_for_seconds: config.refresh_token_ttl_seconds,
        };
        let (issuers, locations) = auth_jwks::config::split(config.issuers);
        let keys = HttpsKeys::new(locations)?;
        let sdk = aws_config::load_from_env().await;
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table);
        tokio::join!(keys.prefetch(now()), revocations.prime());
        Ok(Self {
            verifier: Verifier::new(issuers, rules),
            keys,
            revocations,
            cognito: CognitoSignOut::new(&sdk, config.user_pool_id),
            refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
            log_level: config.log_level,
        })
    }

    async fn log_out(&self, event: &Event<'_>) -> Result<Done, Problem> {
        if !event.is_post() {
            return Err(Problem::MethodNotAllowed);
        }
        let claims = self.caller(&event.bearer_token()?).await?;
        if claims.principal() != Principal::User {
            return Err(Problem::NoUser);
        }
        let request = event.request()?;
        match request.scope {
            Scope::Session => self.end_session(&claims, &request).await,
            Scope::All => self.end_all(&claims, &request).await,
        }
    }

    /// Whoever holds a token that was rightly signed for us, run out or revoked or not.
    async fn caller(&self, bearer: &str) -> Result<VerifiedClaims, Problem> {
        let token = UnverifiedToken::parse(bearer)?;
        let issuer = self.verifier.issuer_of(&token)?;
        let key = self
            .keys
            .key_for(issuer, token.unverified_kid(), now())
            .await?;
        Ok(self.verifier.verify(token, issuer, &key, now())?)
    }

    async fn end_session(
        &self,
        claims: &VerifiedClaims,
        request: &Request,
    ) -> Result<Done, Problem> {
        let (issuer, subject) = (claims.issuer_id(), claims.subject());
        let key = match (claims.session(), claims.token_id()) {
            (Some(session), _) => RowKey::session(issuer, subject, session),
            (None, Some(token)) => RowKey::token(issuer, subject, token),
            (None, None) => return Err(Reason::NoSession.into()),
        };
        let written = self.revocations.end(&key, &self.ending(claims)).await;
        let cognito = self.revoke(claims, request.refresh_token.as_ref()).await;
        written?;
        Ok(Done {
            scope: Scope::Session,
            cognito,
        })
    }

    /// Only a token that still opens something may close everything: an old one that leaked must
    /// not sign its user out of newer sessions.
    async fn end_all(&self, claims: &VerifiedClaims, request: &Request) -> Result<Done, Problem> {
        let now = now();
        let marks = self.revocations.marks(claims, now).await?;
        let covered = marks
            .user_not_before
            .as_ref()
            .is_some_and(|cutoff| claims.authenticated_at() <= cutoff.not_before);
        if covered {
            return Ok(Done {
                scope: Scope::All,
                cognito: AtCognito::NotAsked,
            });
        }
        marks.check(claims)?;
        if claims.expires_at() <= now {
            return Err(Reason::Expired.into());
        }

        let key = RowKey::user(claims.issuer_id(), claims.subject());
        let not_before = now.max(claims.authenticated_at());
        let written = self
            .revocations
            .end_user(&key, not_before, &self.ending(claims))
            .await;
        let username = claims.username().unwrap_or(claims.subject());
        let everywhere = self.cognito.sign_out_everywhere(username).await;
        let this_one = self.revoke(claims, request.refresh_token.as_ref()).await;
        written?;
        Ok(Done {
            scope: Scope::All,
            cognito: AtCognito::from(everywhere).worse(this_one),
        })
    }

    /// Ends the refresh token at Cognito, if the client handed it over.
    async fn revoke(
        &self,
        claims: &VerifiedClaims,
        refresh_token: Option<&RefreshToken>,
    ) -> AtCognito {
        match refresh_token {
            None => AtCognito::NotAsked,
            Some(RefreshToken(token)) => self
                .cognito
                .revoke_refresh_token(claims.client_id(), token)
                .await
                .into(),
        }
    }

    fn ending<'a>(&self, claims: &'a VerifiedClaims) -> Ending<'a> {
        Ending {
            reason: "logout",
            actor: claims.subject(),
            at: now(),
            refresh_token_ttl_seconds: self.refresh_token_ttl_seconds,
        }
    }
}

impl Handler for Logout {
    type Answer = Response;

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Response, Failure> {
        let began = Instant::now();
        let result = self.log_out(&Event::read(event)).await;
        let (level, reason) = match &result {
            Ok(done) => (done.cognito.level(), done.cognito.as_str().to_owned()),
            Err(problem @ Problem::Unavailable(_)) => (Level::Error, problem.to_string()),
            Err(problem) => (Level::Warn, problem.to_string()),
        };
        let response = match result {
            Ok(done) => done.response(),
            Err(problem) => problem.response(),
        };
        if level <= self.log_level {
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            log::line(
                level,
                "logout",
                [
                    ("status", Value::from(response.status())),
                    ("reason", Value::from(reason)),
                    ("request_id", Value::from(request_id)),
                    ("duration_us", Value::from(took)),
                    ("Logouts", Value::from(1)),
                    (
                        "_aws",
                        log::metric("Logouts", "reason", clock::unix_seconds()),
                    ),
                ],
            );
        }
        Ok(response)
    }
}

impl Done {
    fn response(&self) -> Response {
        let scope = match self.scope {
            Scope::Session => "session",
            Scope::All => "all",
        };
        let body = json!({"ended": scope, "cognito": self.cognito.as_str()});
        Response::json(200, &body)
    }
}

impl Problem {
    fn response(&self) -> Response {
        match self {
            Self::MethodNotAllowed => {
                Response::problem(405, "Method Not Allowed", "method_not_allowed")
                    .with("allow", "POST")
            }
            Self::BadRequest => Response::problem(400, "Bad Request", "bad_request"),
            Self::TooLarge => Response::problem(413, "Content Too Large", "body_too_large"),
            Self::NoUser => Response::problem(403, "Forbidden", "no_user"),
            // Which check failed is for the log.
            Self::Unauthorized(_) => Response::problem(401, "Unauthorized", "unauthorized")
                .with("www-authenticate", "Bearer"),
            Self::Unavailable(_) => Response::problem(503, "Service Unavailable", "unavailable")
                .with("retry-after", "1"),
        }
    }
}

impl AtCognito {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::Ended => "ended",
            Self::Unsupported => "unsupported",
            Self::Failed => "failed",
        }
    }

    fn level(self) -> Level {
        match self {
            Self::NotAsked | Self::Ended => Level::Info,
            Self::Unsupported => Level::Warn,
            Self::Failed => Level::Error,
        }
    }

    /// The outcome of two calls is the one that leaves more open.
    fn worse(self, other: Self) -> Self {
        std::cmp::max_by_key(self, other, |outcome| match outcome {
            Self::NotAsked => 0,
            Self::Ended => 1,
            Self::Unsupported => 2,
            Self::Failed => 3,
        })
    }
}

impl From<Result<SignOut, Unavailable>> for AtCognito {
    fn from(result: Result<SignOut, Unavailable>) -> Self {
        match result {
            Ok(SignOut::Done) => Self::Ended,
            Ok(SignOut::Unsupported) => Self::Unsupported,
            Err(_) => Self::Failed,
        }
    }
}

fn now() -> UnixSeconds {
    UnixSeconds(clock::unix_seconds())
}
