//! Cognito's PostConfirmation trigger. A password reset revokes all earlier sessions, here and at
//! Cognito, and a confirmed sign-up creates the user's profile.
//!
//! Our own APIs check the revocation. The sign-out at Cognito revokes the refresh tokens and makes
//! Cognito's public API, which can change the account's address and authenticator, reject the
//! access tokens.
//!
//! The event is returned unchanged, including members that AWS may add.
//! Source: AWS, "Post confirmation Lambda trigger".

use std::time::Duration;

use auth::{RevocationContext, RevocationWriter, Unavailable, UnixSeconds, UserRef};
use auth_cognito::{CognitoSignOut, SignOutTask};
use auth_dynamodb::{DynamoRevocations, Profiles};
use auth_sqs::{LateRevocation, RetryQueue};
use aws_types::SdkConfig;
use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, clock};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::timeout;

/// Cognito waits for 5 s in all. The revocation takes 0.8 s at most, the sign-out runs beside it
/// for at most this long, and the queue follows both.
const SIGN_OUT: Duration = Duration::from_millis(1_800);
const QUEUE: Duration = Duration::from_secs(1);

/// The revocation is written, and the sign-out at Cognito is queued.
const QUEUED: &str = "sessions_ended_sign_out_queued";
/// The revocation is written, but neither Cognito nor the queue answered.
const FAILED: &str = "sessions_ended_sign_out_failed";

/// The sign-up is confirmed, but the profile is not written.
const NO_PROFILE: &str = "profiles_unavailable";

/// The revocation's reason, for the operator.
const REASON: &str = "password_reset";

/// The configuration, read from the environment. `docs/configuration.md` has the table.
pub struct Config {
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `USERS_TABLE`: the table of profiles; no profiles are kept without it.
    pub users_table: Option<String>,
    /// `REFRESH_TOKEN_TTL_SECONDS`.
    pub refresh_token_ttl_seconds: u64,
    /// `CLOCK_LEEWAY_SECONDS`.
    pub leeway_seconds: u64,
    /// `RETRY_QUEUE_URL`: the queue for calls and revocations that failed.
    pub retry_queue_url: Option<String>,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::REVOCATION_TABLE,
        vars::USERS_TABLE,
        vars::REFRESH_TOKEN_TTL_SECONDS,
        vars::CLOCK_LEEWAY_SECONDS,
        Var::new(
            "RETRY_QUEUE_URL",
            "unset",
            "The SQS queue for a sign-out at Cognito, or a revocation, that failed after a \
             password reset; `logout-retry` retries it.",
        ),
        vars::LOG_LEVEL,
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            revocation_table: env.required("REVOCATION_TABLE"),
            users_table: env.optional("USERS_TABLE"),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            leeway_seconds: env.number("CLOCK_LEEWAY_SECONDS", 0, 0..=60),
            retry_queue_url: env.optional("RETRY_QUEUE_URL"),
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}

/// The function.
pub struct PostConfirmation {
    sdk: SdkConfig,
    revocations: DynamoRevocations,
    retry_queue: Option<RetryQueue>,
    profiles: Option<Profiles>,
    refresh_token_ttl_seconds: u64,
    leeway_seconds: u64,
    log_level: Level,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    user_pool_id: String,
    user_name: String,
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    user_attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    sub: String,
    email: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    trigger_source: String,
}

/// A revocation that could not be written now, and must be written later.
struct NotWrittenError {
    unavailable: Unavailable,
    late: LateRevocation,
}

impl PostConfirmation {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let confirmation = Self::new(sdk, config);
        confirmation.revocations.warm_up().await;
        Ok(confirmation)
    }

    /// The function over the services that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: SdkConfig, config: Config) -> Self {
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table);
        let profiles = config.users_table;
        let retry_queue = config.retry_queue_url;
        Self {
            retry_queue: retry_queue.map(|url| RetryQueue::new(&sdk, url)),
            sdk,
            profiles: profiles.map(|table| Profiles::beside(&revocations, table)),
            revocations,
            refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
            leeway_seconds: config.leeway_seconds,
            log_level: config.log_level,
        }
    }

    /// The log's word for what was done, or for the failure.
    async fn confirmed(&self, event: &RawValue) -> Result<&'static str, &'static str> {
        let source: Source = serde_json::from_str(event.get()).map_err(|_| "no_trigger_event")?;
        match source.trigger_source.as_str() {
            "PostConfirmation_ConfirmForgotPassword" => {
                let event = complete(event)?;
                self.revoke_sessions(&event).await
            }
            "PostConfirmation_ConfirmSignUp" => {
                let Some(profiles) = &self.profiles else {
                    return Ok("nothing_to_do");
                };
                let event = complete(event)?;
                let Attributes { sub, email } = &event.request.user_attributes;
                let now = UnixSeconds(clock::unix_seconds());
                let made = profiles.confirmed(sub, email.as_deref(), now).await;
                // Cognito has confirmed the account before it invokes this trigger. An error would
                // tell the client that the confirmation failed.
                Ok(made.map_or(NO_PROFILE, |()| "profile_made"))
            }
            _ => Ok("nothing_to_do"),
        }
    }

    /// Writes the revocation and signs the user out at the same time; what fails is queued. Only
    /// the revocation decides the result: without it our APIs still accept the old sessions.
    async fn revoke_sessions(&self, event: &Event) -> Result<&'static str, &'static str> {
        let (revoked, signed_out) = tokio::join!(self.revoke(event), self.sign_out(event));
        // CloudTrail records the sign-out too, and the revocation for that record covers its whole
        // second.
        let second = UnixSeconds(clock::unix_seconds());
        let everywhere = SignOutTask::SignOutEverywhere {
            username: event.user_name.clone(),
        };
        let sign_out_later = async { !signed_out && self.send_later(&everywhere).await };
        let not_before = match revoked {
            Ok(not_before) => not_before,
            Err(NotWrittenError { unavailable, late }) => {
                tokio::join!(sign_out_later, self.send_later(&late));
                return Err(unavailable.as_str());
            }
        };
        let outcome = match (signed_out, sign_out_later.await) {
            (true, _) => "sessions_ended",
            (false, true) => QUEUED,
            (false, false) => FAILED,
        };
        // After a reset the user signs in, and that new session must not be covered by the
        // revocation.
        clock::until_after(not_before.max(second).0).await;
        Ok(outcome)
    }

    async fn revoke(&self, event: &Event) -> Result<UnixSeconds, NotWrittenError> {
        let subject = &event.request.user_attributes.sub;
        let now = UnixSeconds(clock::unix_seconds());
        let not_before = now.plus(self.leeway_seconds);
        let context = RevocationContext {
            reason: REASON,
            actor: subject,
            at: now,
            refresh_token_ttl_seconds: self.refresh_token_ttl_seconds,
        };
        let user = UserRef {
            issuer: &event.user_pool_id,
            subject,
        };
        let revocations = &self.revocations;
        let written = revocations.revoke_user_sessions(&user, not_before, &context);
        written.await.map(|()| not_before).map_err(|unavailable| {
            let late = LateRevocation::RevokeSessions {
                subject: subject.clone(),
                not_before: not_before.0,
                kept: None,
                changed_at: None,
                reason: REASON.to_owned(),
            };
            NotWrittenError { unavailable, late }
        })
    }

    /// `AdminUserGlobalSignOut`, in the pool and for the user of the event.
    async fn sign_out(&self, event: &Event) -> bool {
        let cognito = CognitoSignOut::new(&self.sdk, event.user_pool_id.clone());
        let signed_out = timeout(SIGN_OUT, cognito.sign_out_everywhere(&event.user_name)).await;
        matches!(signed_out, Ok(Ok(_)))
    }

    async fn send_later(&self, task: &impl Serialize) -> bool {
        match &self.retry_queue {
            None => false,
            Some(queue) => timeout(QUEUE, queue.send(task)).await.unwrap_or(false),
        }
    }
}

/// Reads the members that are needed. The event's pool is trusted: only the pool may invoke this
/// function, and a variable with the pool's id would make pool and function depend on each other.
fn complete(event: &RawValue) -> Result<Event, &'static str> {
    let event: Event = serde_json::from_str(event.get()).map_err(|_| "incomplete_event")?;
    let needed = [
        &event.user_pool_id,
        &event.user_name,
        &event.request.user_attributes.sub,
    ];
    if needed.iter().any(|text| text.is_empty()) {
        return Err("incomplete_event");
    }
    Ok(event)
}

impl Handler for PostConfirmation {
    type Answer = Box<RawValue>;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<Box<RawValue>, InvocationError> {
        let result = self.confirmed(event).await;
        let (level, outcome) = match result {
            Ok(outcome @ (FAILED | NO_PROFILE)) => (Level::Error, outcome),
            Ok(outcome) => (Level::Info, outcome),
            Err(outcome) => (Level::Error, outcome),
        };
        if level <= self.log_level {
            log::outcome(
                level,
                "post confirmation",
                "Confirmations",
                outcome,
                request_id,
            );
        }
        match result {
            Ok(_) => Ok(event.to_owned()),
            Err(_) => Err(InvocationError::Internal),
        }
    }
}
