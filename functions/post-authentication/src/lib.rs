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

mod assign;
mod config;
mod outcome;
mod user;

use std::process::ExitCode;
use std::time::Duration;

use auth::Unavailable;
use auth_dynamodb::PendingGroups;
use aws_client::SdkConfig;
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, TriggerEvent};
use serde_json::value::RawValue;

use crate::assign::assign_groups;
pub use crate::config::Config;
use crate::outcome::{GroupsError, Outcome};
use crate::user::User;

/// Time limit of an invocation, within Cognito's five seconds.
const BUDGET: Duration = Duration::from_millis(3_500);

/// The function's handler.
pub struct PostAuthentication {
    sdk: SdkConfig,
    groups: PendingGroups,
    case_sensitive: bool,
    log_level: Level,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        PostAuthentication::connect,
    )
}

impl PostAuthentication {
    /// Creates the clients.
    ///
    /// # Errors
    /// Never fails.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_client::sdk_config_in_lambda();
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

    async fn signed_in(&self, event: &RawValue) -> Result<Outcome, GroupsError> {
        let event = TriggerEvent::parse(event).ok_or(GroupsError::NoTriggerEvent)?;
        let (Some(source), Some(user)) = (event.source(), User::read(&event)) else {
            return Err(GroupsError::NoTriggerEvent);
        };
        if source != "PostAuthentication_Authentication" {
            return Ok(Outcome::NothingToDo);
        }
        if user.is_federated() {
            return Ok(Outcome::NotLocal);
        }
        assign_groups(&user, &self.groups, &self.sdk, self.case_sensitive).await
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
        let result = result.unwrap_or(Err(GroupsError::TimeIsUp));
        let (level, outcome) = match result {
            Ok(outcome) => (Level::Info, log::Outcome::from(outcome.as_str())),
            Err(error) => (Level::Error, error.into()),
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
