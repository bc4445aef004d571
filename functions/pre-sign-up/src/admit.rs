//! Whether a sign-up or an invitation is admitted, by where it comes from.

use auth::Unavailable;
use auth_cognito::CognitoUsers;
use runtime::TriggerEvent;
use serde_json::value::RawValue;

use crate::checks::{check_domain, check_form, check_twins, check_user_name};
use crate::link::link;
use crate::outcome::{Admission, Failure, SignUpError};
use crate::sign_up::SignUp;
use crate::{Config, PreSignUp};

impl PreSignUp {
    pub(crate) async fn admit(&self, json: &RawValue) -> Result<Admission, SignUpError> {
        let event = TriggerEvent::parse(json).ok_or(Failure::NoTriggerEvent)?;
        let source = event.source().ok_or(Failure::NoTriggerEvent)?;
        let sign_up = SignUp::read(&event).ok_or(Failure::IncompleteEvent)?;
        // Cognito is reported to call this trigger for migrated users too, and AWS does not document
        // under which source. Users of the old store pass unchecked: in a sign-up those with a verified
        // address, which no client can send.
        let may_be_moved = match &*source {
            "PreSignUp_SignUp" => sign_up.is_verified(),
            "PreSignUp_ExternalProvider" => false,
            _ => true,
        };
        if may_be_moved && matches!(self.old_store_knows(&sign_up).await, Ok(true)) {
            return Ok(Admission::Moved);
        }
        match &*source {
            "PreSignUp_SignUp" => {
                self.check_names(&sign_up).await?;
                self.check_domain(&sign_up, true)?;
                // The old store is asked last, because its answer is worth guessing at.
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
                link(&sign_up, &self.config, &self.sdk).await
            }
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
