//! Cognito's UserMigration trigger: migrates a user into the new pool at the first sign-in, or when the user has
//! forgotten the password.
//! Source: AWS, "Migrate user Lambda trigger".
//!
//! For a user who cannot be migrated, the function returns the event unchanged. Cognito treats this as an unknown
//! user, so the response does not reveal whether the user exists. A store that does not answer is an error, so
//! that Cognito does not treat the user as unknown. The password is held in memory once, and wiped.

mod attributes;
mod breaker;
pub mod check;
mod config;
mod conflict;
mod decision;
mod event;
mod failures;
mod groups;
pub mod hash;
mod lookup;
mod migrate;
mod outcome;
mod password;
mod record;
mod rules;
mod source;
mod status;
mod timing;
mod user;
mod values;

use std::process::ExitCode;
use std::time::Duration;

use auth::{Cause, Dependency, Unavailable};
use auth_dynamodb::{AttemptTable, PendingGroups};
use aws_client::SdkConfig;
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError};
use serde_json::value::RawValue;

pub use crate::config::{Config, LEGACY_SOURCE, LookupConfig, SourceConfig};
use crate::decision::Decision;
use crate::event::Event;
use crate::failures::Failures;
pub use crate::lookup::Lookup;
use crate::outcome::Outcome;
use crate::password::Passwords;
pub use crate::rules::{CharacterClass, ConflictRule, Rules};
use crate::source::Source;
use crate::timing::Refusals;

/// The time budget of an event; Cognito's limit is five seconds.
const BUDGET: Duration = Duration::from_secs(4);

/// The handler of the function.
pub struct MigrateUser {
    decision: Decision,
    failures: Option<Failures>,
    pending_groups: Option<PendingGroups>,
    refusals: Refusals,
    log_level: Level,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        MigrateUser::connect,
    )
}

impl MigrateUser {
    /// Reads the sources' secret and creates their clients during init.
    ///
    /// # Errors
    /// [`Unavailable`] if the secret is invalid or cannot be read, or if the old pool is case-sensitive and
    /// no table of spellings is configured.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        Self::new(&aws_client::sdk_config_in_lambda(), config).await
    }

    /// The function over the services that `sdk` leads to.
    ///
    /// # Errors
    /// As [`MigrateUser::connect`].
    pub async fn new(sdk: &SdkConfig, config: Config) -> Result<Self, Unavailable> {
        let sources = Source::connect_all(config.sources, config.secret_arn, config.secret, sdk);
        let sources = sources.await?;
        source::refuse_hidden_spellings(&sources).await?;
        let failures = config.failures;
        let groups_table = config.pending_groups_table;
        Ok(Self {
            pending_groups: groups_table.map(|table| PendingGroups::new(sdk, table)),
            decision: Decision {
                sources,
                conflict_rule: config.conflict_rule,
                rules: config.rules,
                passwords: Passwords::new(),
            },
            failures: failures.map(|limits| Failures {
                table: AttemptTable::new(sdk, limits.table),
                per_user: limits.per_user,
                in_all: limits.in_all,
            }),
            refusals: Refusals::every(config.refusal_step),
            log_level: config.log_level,
        })
    }
}

impl Handler for MigrateUser {
    type Answer = Box<RawValue>;

    const WIPES_EVENTS: bool = true;

    async fn handle(
        &self,
        json: &RawValue,
        request_id: &str,
    ) -> Result<Box<RawValue>, InvocationError> {
        let event = Event::read(json);
        let result = tokio::time::timeout(BUDGET, Box::pin(self.migrate(&event))).await;
        let result = result.unwrap_or(Err(Dependency::Legacy.unavailable(Cause::Timeout)));
        let (level, outcome) = match &result {
            Ok(outcome) => (outcome.level(), log::Outcome::from(outcome.as_str())),
            Err(unavailable) => (Level::Error, (*unavailable).into()),
        };
        if level <= self.log_level {
            log::outcome(level, "user migration", "Migrations", outcome, request_id);
        }
        match result {
            Ok(Outcome::Migrated(moved)) => {
                if !moved.left_behind.is_empty() && Level::Warn <= self.log_level {
                    moved.log_left_behind(request_id);
                }
                event.answered(&moved).ok_or(InvocationError::Internal)
            }
            Ok(Outcome::NotMigrated(_)) => Ok(json.to_owned()),
            Err(_) => Err(InvocationError::Internal),
        }
    }
}
