//! Cognito's PostAuthentication trigger: gives a user who was moved the groups that migrate-user left.
//!
//! It never keeps anybody from signing in. Groups that could not be given stay where they are, and the
//! next sign-in tries again. The event goes back as it came.
//! Source: AWS, "Post authentication Lambda trigger".

use auth::env::{ConfigError, Env};
use auth::{Unavailable, UnixSeconds};
use auth_cognito::{CognitoUsers, Trouble};
use auth_dynamodb::PendingGroups;
use lambda::log::{self, Level};
use lambda::{Failure, Handler, clock};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What it reads from its environment. `docs/configuration.md` has the table.
pub struct Config {
    /// `PENDING_GROUPS_TABLE`.
    pub pending_groups_table: String,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [&'static str] = &["PENDING_GROUPS_TABLE", "LOG_LEVEL"];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            pending_groups_table: env.required("PENDING_GROUPS_TABLE"),
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}

/// The function.
pub struct PostAuthentication {
    sdk: aws_config::SdkConfig,
    groups: PendingGroups,
    log_level: Level,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    trigger_source: String,
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
    email: Option<String>,
    email_verified: Option<String>,
}

impl Attributes {
    /// The address, if it is certainly the user's: an unverified one may be somebody else's, whose
    /// groups are not to be had by claiming it.
    fn verified_email(self) -> Option<String> {
        let is_verified = self.email_verified.as_deref() == Some("true");
        self.email.filter(|_| is_verified)
    }
}

impl PostAuthentication {
    /// Makes the clients.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        Ok(Self {
            groups: PendingGroups::new(&sdk, config.pending_groups_table),
            sdk,
            log_level: config.log_level,
        })
    }

    /// What was done, or what kept it from being done.
    async fn signed_in(&self, event: &RawValue) -> Result<&'static str, &'static str> {
        let event: Event = serde_json::from_str(event.get()).map_err(|_| "no_trigger_event")?;
        if event.trigger_source != "PostAuthentication_Authentication" {
            return Ok("nothing_to_do");
        }
        let pool = &event.user_pool_id;
        // Under the address, or under the name, as migrate-user left them.
        let email = event.request.user_attributes.verified_email();
        let name = email.unwrap_or_else(|| event.user_name.clone());
        let now = UnixSeconds(clock::unix_seconds());
        let groups = self.groups.of(pool, &name, now).await;
        let groups = groups.map_err(Unavailable::as_str)?;
        if groups.is_empty() {
            return Ok("nothing_to_do");
        }
        let users = CognitoUsers::new(&self.sdk, pool.clone());
        let mut outcome = "groups_given";
        for group in &groups {
            match users.add_to_group(&event.user_name, group).await {
                Ok(()) => {}
                // It would be unknown tomorrow too.
                Err(Trouble::NotFound) => outcome = "unknown_group",
                Err(Trouble::Throttled | Trouble::Unavailable) => {
                    return Err(Unavailable::Cognito.as_str());
                }
            }
        }
        let forgotten = self.groups.forget(pool, &name).await;
        forgotten.map_err(Unavailable::as_str)?;
        if outcome == "groups_given" {
            Ok(outcome)
        } else {
            Err(outcome)
        }
    }
}

impl Handler for PostAuthentication {
    type Answer = Box<RawValue>;

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Box<RawValue>, Failure> {
        let result = self.signed_in(event).await;
        let (level, outcome) = match result {
            Ok(outcome) => (Level::Info, outcome),
            Err(outcome) => (Level::Error, outcome),
        };
        if level <= self.log_level {
            log::outcome(
                level,
                "post authentication",
                "PendingGroups",
                outcome,
                request_id,
            );
        }
        Ok(event.to_owned())
    }
}
