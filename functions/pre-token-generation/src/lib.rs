//! Cognito's PreTokenGeneration trigger, event version 2: a mapping file turns groups and
//! attributes into claims for Cedar policies, such as `roles` and `tenant`.
//!
//! If the claims cannot be determined, the function fails and Cognito issues no token.
//! Source: AWS, "Pre token generation Lambda trigger".

mod config;
mod mapping;

use std::convert::Infallible;

use lambda::log::{self, Level};
use lambda::{Handler, InvocationError, TriggerEvent};
use serde_json::json;
use serde_json::value::RawValue;

pub use config::Config;
pub use mapping::Mapping;
use mapping::User;

/// The function's handler.
pub struct PreTokenGeneration {
    config: Config,
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
    fn claims(&self, json: &RawValue) -> Result<(&'static str, Box<RawValue>), &'static str> {
        let event = TriggerEvent::read(json);
        let source = event.text("triggerSource").ok_or("no_trigger_event")?;
        // Version 3 also covers machines, which have neither groups nor attributes.
        if !source.starts_with("TokenGeneration_") || source == "TokenGeneration_ClientCredentials"
        {
            return Ok(("nothing_to_do", json.to_owned()));
        }
        // Version 1 cannot change access tokens.
        if !matches!(event.text("version").as_deref(), Some("2" | "3")) {
            return Err("event_version");
        }
        let request = event.member("request").ok_or("incomplete_event")?;
        let mut user: User = serde_json::from_str(request.get()).map_err(|_| "incomplete_event")?;
        user.doubt_address(&self.config.providers);
        let claims = self.config.mapping.claims(&user)?;
        if claims.is_empty() {
            return Ok(("no_claims", json.to_owned()));
        }
        let generation = json!({"claimsToAddOrOverride": claims});
        // Without `groupOverrideDetails`, the user's groups do not change.
        let response = json!({"claimsAndScopeOverrideDetails": {
            "idTokenGeneration": generation,
            "accessTokenGeneration": generation,
        }});
        let answer = event.answered(&response).ok_or("unwritable")?;
        Ok(("claims_added", answer))
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
            Ok((outcome, _)) => (Level::Info, *outcome),
            Err(outcome) => (Level::Error, *outcome),
        };
        if level <= self.config.log_level {
            log::outcome(level, "pre token generation", "Tokens", outcome, request_id);
        }
        result
            .map(|(_, answer)| answer)
            .map_err(|_| InvocationError::Internal)
    }
}
