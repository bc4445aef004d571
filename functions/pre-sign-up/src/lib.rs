//! Cognito's PreSignUp trigger: decides who may sign up, and links federated identities to
//! accounts.
//!
//! The trigger cannot change an address, so it rejects one that is not in its normal form. It
//! neither confirms users nor verifies addresses: that is what the code in the email is for.
//! Source: AWS, "Pre sign-up Lambda trigger".

mod checks;
mod config;
mod link;
mod outcome;
mod sign_up;

use std::time::Duration;

use auth::Unavailable;
use auth_cognito::CognitoUsers;
use aws_types::SdkConfig;
use migrate_user::Lookup;
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, TriggerEvent};
use serde_json::value::RawValue;

use crate::checks::{check_domain, check_form, check_twins, check_user_name};
pub use crate::config::Config;
use crate::link::link;
use crate::outcome::{Admission, Failure, SignUpError};
use crate::sign_up::SignUp;

/// The total budget, within the five seconds that Cognito allows.
const BUDGET: Duration = Duration::from_millis(3_500);

/// The function.
pub struct PreSignUp {
    config: Config,
    legacy: Option<Lookup>,
    sdk: SdkConfig,
}

impl PreSignUp {
    /// Creates the clients, including those of the old store.
    ///
    /// # Errors
    /// [`Unavailable`] if the old store's secret is invalid or cannot be read.
    pub async fn connect(mut config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
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

    async fn admit(&self, json: &RawValue) -> Result<Admission, SignUpError> {
        let event = TriggerEvent::parse(json).ok_or(Failure::NoTriggerEvent)?;
        let source = event.source().ok_or(Failure::NoTriggerEvent)?;
        let sign_up = SignUp::read(&event).ok_or(Failure::IncompleteEvent)?;
        match &*source {
            "PreSignUp_SignUp" => {
                self.check_names(&sign_up).await?;
                self.check_domain(&sign_up, true)?;
                // The old store is asked last, because its answer is worth guessing at. A verified
                // address comes from a migration: a client cannot sign up with one.
                if !sign_up.is_verified() && self.old_store_knows(&sign_up).await? {
                    return Err(SignUpError::Known);
                }
                Ok(Admission::Admitted)
            }
            // The name is the provider's.
            "PreSignUp_ExternalProvider" => {
                if self.config.guards {
                    check_form(&sign_up)?;
                }
                self.check_domain(&sign_up, sign_up.email_is_verified())?;
                link(&sign_up, &self.config.link_providers, &self.sdk).await
            }
            // Cognito is reported to call this trigger for migrated users too, and AWS does not
            // document under which source. Users of the old store pass unchecked.
            _ if matches!(self.old_store_knows(&sign_up).await, Ok(true)) => Ok(Admission::Moved),
            // An administrator may invite users of any domain.
            "PreSignUp_AdminCreateUser" => {
                self.check_names(&sign_up).await?;
                Ok(Admission::Admitted)
            }
            _ => Err(Failure::UnknownSource.into()),
        }
    }

    async fn check_names(&self, sign_up: &SignUp) -> Result<(), SignUpError> {
        if !self.config.guards {
            return Ok(());
        }
        check_form(sign_up)?;
        check_user_name(&sign_up.username)?;
        if !self.config.case_sensitive {
            return Ok(());
        }
        let users = CognitoUsers::new(&self.sdk, sign_up.user_pool_id.clone());
        check_twins(&users, &sign_up.username, sign_up.attribute("email")).await
    }

    fn check_domain(&self, sign_up: &SignUp, counts: bool) -> Result<(), SignUpError> {
        let Config {
            allowed, denied, ..
        } = &self.config;
        if self.config.guards {
            check_domain(sign_up.attribute("email"), counts, allowed, denied)?;
        }
        Ok(())
    }

    /// Whether one of these names belongs to a user who is not migrated yet. A stranger who signs
    /// up with such a name would lock its owner out: Cognito does not migrate a user that the pool
    /// already has.
    /// Source: aws-amplify/amplify-js#5081.
    async fn old_store_knows(&self, sign_up: &SignUp) -> Result<bool, Unavailable> {
        let Some(legacy) = &self.legacy else {
            return Ok(false);
        };
        for name in sign_up.names() {
            if legacy.knows(name).await? {
                return Ok(true);
            }
        }
        Ok(false)
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
