//! Cognito's PreTokenGeneration trigger, event version 2: a mapping file turns groups and
//! attributes into claims for Cedar policies, such as `roles` and `tenant`.
//!
//! If the claims cannot be determined, the function fails and Cognito issues no token.
//! Source: AWS, "Pre token generation Lambda trigger".

mod config;
mod mapping;
mod mapping_file;
mod outcome;
mod user;

use std::convert::Infallible;
use std::process::ExitCode;

use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, TriggerEvent};
use serde_json::json;
use serde_json::value::RawValue;

pub use crate::config::Config;
pub use crate::mapping::Mapping;
use crate::outcome::{ClaimsError, Outcome};
use crate::user::User;

/// The function's handler.
pub struct PreTokenGeneration {
    config: Config,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        PreTokenGeneration::start,
    )
}

impl PreTokenGeneration {
    /// Creates the handler.
    ///
    /// # Errors
    /// Never fails: the mapping was read with the configuration.
    pub async fn start(config: Config) -> Result<Self, Infallible> {
        Ok(Self { config })
    }

    /// The outcome, and the event with the claims, if any.
    fn claims(&self, json: &RawValue) -> Result<(Outcome, Box<RawValue>), ClaimsError> {
        let event = TriggerEvent::parse(json).ok_or(ClaimsError::NoTriggerEvent)?;
        let source = event.source().ok_or(ClaimsError::NoTriggerEvent)?;
        // Version 3 also covers machines, which have neither groups nor attributes.
        if !source.starts_with("TokenGeneration_") || source == "TokenGeneration_ClientCredentials"
        {
            return Ok((Outcome::NothingToDo, json.to_owned()));
        }
        // Version 1 cannot change access tokens.
        if !matches!(event.version().as_deref(), Some("2" | "3")) {
            return Err(ClaimsError::EventVersion);
        }
        let user = event.request().and_then(|request| User::read(&request));
        let mut user = user.ok_or(ClaimsError::IncompleteEvent)?;
        user.doubt_address(&self.config.providers);
        let claims = self.config.mapping.claims(&user)?;
        if claims.is_empty() {
            return Ok((Outcome::NoClaims, json.to_owned()));
        }
        let generation = json!({"claimsToAddOrOverride": claims});
        // Without `groupOverrideDetails`, the user's groups do not change.
        let response = json!({"claimsAndScopeOverrideDetails": {
            "idTokenGeneration": generation,
            "accessTokenGeneration": generation,
        }});
        let answer = event.answered(&response).ok_or(ClaimsError::Unwritable)?;
        Ok((Outcome::ClaimsAdded, answer))
    }
}

impl Handler for PreTokenGeneration {
    type Answer = Box<RawValue>;

    async fn handle(
        &self,
        json: &RawValue,
        request_id: &str,
    ) -> Result<Box<RawValue>, InvocationError> {
        let result = self.claims(json);
        let (level, outcome) = match &result {
            Ok((outcome, _)) => (Level::Info, outcome.as_str()),
            Err(error) => (Level::Error, error.as_str()),
        };
        if level <= self.config.log_level {
            log::outcome(level, "pre token generation", "Tokens", outcome, request_id);
        }
        result
            .map(|(_, answer)| answer)
            .map_err(|_| InvocationError::Internal)
    }
}
