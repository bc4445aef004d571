//! Cognito's PostAuthentication trigger: adds a migrated user to the groups that migrate-user
//! stored.
//!
//! It never prevents a sign-in. Groups that could not be added stay in the table, and the next
//! sign-in tries again. The event is returned unchanged.
//!
//! Only the user whom the migration created gets the groups: a native user of the pool, created
//! right after the groups were stored. An address from an identity provider does not entitle to
//! them.
//! Source: AWS, "Post authentication Lambda trigger".

use std::collections::BTreeMap;
use std::time::Duration;

use auth::{Unavailable, UnixSeconds};
use auth_cognito::{CognitoUsers, UserPoolError};
use auth_dynamodb::{Left, LeftFor, PendingGroups};
use aws_config::SdkConfig;
use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, clock};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Time limit of an invocation, within Cognito's five seconds.
const BUDGET: Duration = Duration::from_millis(3_500);
/// Maximum number of seconds between storing the groups and the creation of the user: the rest of
/// the trigger's five seconds, and the difference of the clocks.
const MADE_AFTER: u64 = 60;
const MADE_BEFORE: u64 = 10;

/// The environment variables, described in `docs/configuration.md`.
pub struct Config {
    /// `PENDING_GROUPS_TABLE`.
    pub pending_groups_table: String,
    /// `USERNAME_CASE_SENSITIVE`, equal to the pool's `UsernameConfiguration`.
    pub case_sensitive: bool,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::PENDING_GROUPS_TABLE,
        vars::USERNAME_CASE_SENSITIVE,
        vars::LOG_LEVEL,
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            pending_groups_table: env.required("PENDING_GROUPS_TABLE"),
            case_sensitive: env.flag("USERNAME_CASE_SENSITIVE", false),
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}

/// The function's handler.
pub struct PostAuthentication {
    sdk: SdkConfig,
    groups: PendingGroups,
    case_sensitive: bool,
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
    user_attributes: BTreeMap<String, Value>,
}

impl Event {
    fn attribute(&self, name: &str) -> Option<&str> {
        let value = self.request.user_attributes.get(name)?.as_str()?;
        (!value.is_empty()).then_some(value)
    }

    /// Whether the user signs in through, or is linked to, another identity provider.
    fn is_federated(&self) -> bool {
        self.request.user_attributes.contains_key("identities")
            || self.attribute("cognito:user_status") == Some("EXTERNAL_PROVIDER")
    }

    /// The key under which migrate-user may have stored the groups. Only a verified address is
    /// used: a user must not get another user's groups by claiming their address.
    fn left_for(&self, case_sensitive: bool) -> Option<Name> {
        let normal = |name: &str| {
            if case_sensitive {
                name.to_owned()
            } else {
                name.to_lowercase()
            }
        };
        let email = self.attribute("email");
        if self.attribute("email_verified") == Some("true") {
            return email.map(|email| Name::Email(normal(email)));
        }
        // In a pool with addresses as usernames, Cognito's username is the `sub`.
        if self.attribute("sub") == Some(self.user_name.as_str()) {
            let name = email.or_else(|| self.attribute("phone_number"));
            return name.map(|name| Name::Name(normal(name)));
        }
        Some(Name::Name(normal(&self.user_name)))
    }
}

enum Name {
    Email(String),
    Name(String),
}

impl Name {
    fn left_for(&self) -> LeftFor<'_> {
        match self {
            Self::Email(email) => LeftFor::Email(email),
            Self::Name(name) => LeftFor::Name(name),
        }
    }
}

impl PostAuthentication {
    /// Creates the clients.
    ///
    /// # Errors
    /// Never fails.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        Ok(Self::new(sdk, config))
    }

    /// The function over the services that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: SdkConfig, config: Config) -> Self {
        Self {
            groups: PendingGroups::new(&sdk, config.pending_groups_table),
            sdk,
            case_sensitive: config.case_sensitive,
            log_level: config.log_level,
        }
    }

    /// The outcome of success or failure.
    async fn signed_in(&self, event: &RawValue) -> Result<&'static str, &'static str> {
        let event: Event = serde_json::from_str(event.get()).map_err(|_| "no_trigger_event")?;
        if event.trigger_source != "PostAuthentication_Authentication" {
            return Ok("nothing_to_do");
        }
        if event.is_federated() {
            return Ok("not_local");
        }
        let pool = &event.user_pool_id;
        let Some(name) = event.left_for(self.case_sensitive) else {
            return Ok("nothing_to_do");
        };
        let now = UnixSeconds(clock::unix_seconds());
        let left = self.groups.of(pool, name.left_for(), now).await;
        let Some(Left { groups, at }) = left.map_err(Unavailable::as_str)? else {
            return Ok("nothing_to_do");
        };
        let users = CognitoUsers::new(&self.sdk, pool.clone());
        let standing = users.standing(&event.user_name).await;
        let standing = standing.map_err(|error| Unavailable::from(error).as_str())?;
        let made_by_the_move = at.saturating_sub(MADE_BEFORE)..=at.saturating_add(MADE_AFTER);
        if !standing.is_confirmed || !made_by_the_move.contains(&standing.created_at) {
            return Err("another_user");
        }
        let mut outcome = "groups_given";
        for group in &groups {
            match users.add_to_group(&event.user_name, group).await {
                Ok(()) => {}
                // A later attempt would fail too.
                Err(UserPoolError::NotFound) => outcome = "unknown_group",
                Err(UserPoolError::Throttled | UserPoolError::Unavailable) => {
                    return Err(Unavailable::Cognito.as_str());
                }
            }
        }
        let forgotten = self.groups.forget(pool, name.left_for()).await;
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

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<Box<RawValue>, InvocationError> {
        let result = tokio::time::timeout(BUDGET, self.signed_in(event)).await;
        let result = result.unwrap_or(Err("time_is_up"));
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
