//! Cognito's PostConfirmation trigger. A password reset ends what was signed in before it, and a
//! confirmed sign-up makes the user's profile.
//!
//! The event goes back as it came, whatever members AWS adds to it.
//! Source: AWS, "Post confirmation Lambda trigger".

use auth::env::{ConfigError, Env};
use auth::revocation::RowKey;
use auth::{Unavailable, UnixSeconds};
use auth_dynamodb::{DynamoRevocations, Ending, Profiles};
use lambda::log::{self, Level};
use lambda::{Failure, Handler, clock};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What it reads from its environment. `docs/configuration.md` has the table.
pub struct Config {
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `USERS_TABLE`: the profiles; none are kept without one.
    pub users_table: Option<String>,
    /// `REFRESH_TOKEN_TTL_SECONDS`.
    pub refresh_token_ttl_seconds: u64,
    /// `CLOCK_LEEWAY_SECONDS`.
    pub leeway_seconds: u64,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [&'static str] = &[
        "REVOCATION_TABLE",
        "USERS_TABLE",
        "REFRESH_TOKEN_TTL_SECONDS",
        "CLOCK_LEEWAY_SECONDS",
        "LOG_LEVEL",
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            revocation_table: env.required("REVOCATION_TABLE"),
            users_table: env.optional("USERS_TABLE"),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            leeway_seconds: env.number("CLOCK_LEEWAY_SECONDS", 0, 0..=60),
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}

/// The function.
pub struct PostConfirmation {
    revocations: DynamoRevocations,
    profiles: Option<Profiles>,
    refresh_token_ttl_seconds: u64,
    leeway_seconds: u64,
    log_level: Level,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    user_pool_id: String,
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

impl PostConfirmation {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table);
        revocations.prime().await;
        let profiles = config.users_table;
        Ok(Self {
            profiles: profiles.map(|table| Profiles::beside(&revocations, table)),
            revocations,
            refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
            leeway_seconds: config.leeway_seconds,
            log_level: config.log_level,
        })
    }

    /// What was done, or what kept it from being done.
    async fn confirmed(&self, event: &RawValue) -> Result<&'static str, &'static str> {
        let source: Source = serde_json::from_str(event.get()).map_err(|_| "no_trigger_event")?;
        match source.trigger_source.as_str() {
            "PostConfirmation_ConfirmForgotPassword" => {
                let event = complete(event)?;
                let ended = self.end_sessions(&event).await;
                ended.map_err(Unavailable::as_str)?;
                Ok("sessions_ended")
            }
            "PostConfirmation_ConfirmSignUp" => {
                let Some(profiles) = &self.profiles else {
                    return Ok("nothing_to_do");
                };
                let event = complete(event)?;
                let Attributes { sub, email } = &event.request.user_attributes;
                let now = UnixSeconds(clock::unix_seconds());
                let made = profiles.confirmed(sub, email.as_deref(), now).await;
                made.map_err(Unavailable::as_str)?;
                Ok("profile_made")
            }
            _ => Ok("nothing_to_do"),
        }
    }

    async fn end_sessions(&self, event: &Event) -> Result<(), Unavailable> {
        let subject = &event.request.user_attributes.sub;
        let now = UnixSeconds(clock::unix_seconds());
        let not_before = now.plus(self.leeway_seconds);
        let ending = Ending {
            reason: "password_reset",
            actor: subject,
            at: now,
            refresh_token_ttl_seconds: self.refresh_token_ttl_seconds,
        };
        let key = RowKey::user(&event.user_pool_id, subject);
        self.revocations.end_user(&key, not_before, &ending).await?;
        // Whoever resets a password signs in next, and that session must not be one of those.
        clock::until_after(not_before.0).await;
        Ok(())
    }
}

/// The event with what is needed of it. Its word on the pool is taken: only the pool may invoke this
/// function, and a variable that named the pool would make pool and function need each other.
fn complete(event: &RawValue) -> Result<Event, &'static str> {
    let event: Event = serde_json::from_str(event.get()).map_err(|_| "incomplete_event")?;
    if event.user_pool_id.is_empty() || event.request.user_attributes.sub.is_empty() {
        return Err("incomplete_event");
    }
    Ok(event)
}

impl Handler for PostConfirmation {
    type Answer = Box<RawValue>;

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Box<RawValue>, Failure> {
        let result = self.confirmed(event).await;
        let (level, outcome) = match result {
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
            Err(_) => Err(Failure::Internal),
        }
    }
}
