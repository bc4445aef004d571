//! Cognito's PreSignUp trigger: decides who may sign up, and links federated identities to
//! accounts.
//!
//! The trigger cannot change an address, so it rejects one that is not in its normal form. It
//! neither confirms users nor verifies addresses: that is what the code in the email is for.
//! Source: AWS, "Pre sign-up Lambda trigger".

mod admit;
mod checks;
mod config;
mod link;
mod outcome;
mod sign_up;

use std::process::ExitCode;
use std::time::Duration;

use auth::Unavailable;
use aws_types::SdkConfig;
use migrate_user::Lookup;
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError};
use serde_json::value::RawValue;

pub use crate::config::Config;
use crate::outcome::Failure;

/// The total budget, within the five seconds that Cognito allows.
const BUDGET: Duration = Duration::from_millis(3_500);

/// The function.
pub struct PreSignUp {
    config: Config,
    legacy: Option<Lookup>,
    sdk: SdkConfig,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        PreSignUp::connect,
    )
}

impl PreSignUp {
    /// Creates the clients, including those of the old store.
    ///
    /// # Errors
    /// [`Unavailable`] if the old store's secret is invalid or cannot be read.
    pub async fn connect(mut config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_client::sdk_config_in_lambda();
        let legacy = match config.legacy.take() {
            Some(legacy) => Some(Lookup::connect(legacy, &sdk).await?),
            None => None,
        };
        Ok(Self::new(sdk, config, legacy))
    }

    /// The function over the services that `sdk` leads to, and over the old store.
    #[must_use]
    pub fn new(sdk: SdkConfig, config: Config, legacy: Option<Lookup>) -> Self {
        Self {
            config,
            legacy,
            sdk,
        }
    }
}

impl Handler for PreSignUp {
    type Answer = Box<RawValue>;

    async fn handle(
        &self,
        json: &RawValue,
        request_id: &str,
    ) -> Result<Box<RawValue>, InvocationError> {
        let result = tokio::time::timeout(BUDGET, self.admit(json)).await;
        let result = result.unwrap_or(Err(Failure::TimeIsUp.into()));
        let (level, outcome) = match result {
            Ok(admission) => (Level::Info, log::Outcome::from(admission.as_str())),
            Err(error) => (error.level(), error.into()),
        };
        if level <= self.config.log_level {
            log::outcome(level, "pre sign-up", "SignUps", outcome, request_id);
        }
        result?;
        Ok(json.to_owned())
    }
}
