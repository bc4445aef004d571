//! Cognito's event. The password is copied from it only once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use auth::Secret;
use auth::headers::text;
use lambda::TriggerEvent;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::{MAX_PASSWORD_CHARS, MAX_USERNAME_CHARS};

/// The event; its members are parsed on access. No `Debug`.
pub(crate) struct Event<'a>(TriggerEvent<'a>);

/// Why Cognito invokes the trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    SignIn,
    ForgotPassword,
}

/// A migrated user.
pub(crate) struct MigratedUser {
    pub(crate) attributes: BTreeMap<String, String>,
    /// Groups, by the new pool's names. They are not part of the response.
    pub(crate) groups: Vec<String>,
    /// The names of attributes that are not migrated, because the pool would refuse their values.
    pub(crate) left_behind: BTreeSet<String>,
    pub(crate) next: Next,
}

/// What a migrated user has to do about the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Nothing,
    /// Choose a new password after the sign-in: the pool's policy would refuse this one.
    Change,
    /// Reset the password before the sign-in, by a code sent to a verified address or number.
    Reset,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    password: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    pub(crate) fn read(json: &'a RawValue) -> Self {
        Self(TriggerEvent::read(json))
    }

    pub(crate) fn occasion(&self) -> Option<Occasion> {
        match self.0.text("triggerSource")?.as_ref() {
            "UserMigration_Authentication" => Some(Occasion::SignIn),
            "UserMigration_ForgotPassword" => Some(Occasion::ForgotPassword),
            _ => None,
        }
    }

    pub(crate) fn user_pool_id(&self) -> Cow<'a, str> {
        self.0.text("userPoolId").unwrap_or_default()
    }

    /// The name as the user typed it; `None` if Cognito would not accept it.
    pub(crate) fn username(&self) -> Option<Cow<'a, str>> {
        self.0.text("userName").filter(|name| {
            !name.is_empty()
                && name.chars().count() <= MAX_USERNAME_CHARS
                && !name.contains(|c: char| c.is_control() || c.is_whitespace())
        })
    }

    /// The password, at sign-in; `Err` if it is missing or Cognito would not accept it.
    pub(crate) fn password(&self, occasion: Occasion) -> Result<Option<Secret>, ()> {
        if occasion == Occasion::ForgotPassword {
            return Ok(None);
        }
        let request = self.0.member("request").ok_or(())?;
        // A character has up to four bytes, and JSON escapes take six bytes each: longer text is not a password.
        if request.get().len() > 1024 * 1024 {
            return Err(());
        }
        let request: Request<'_> = serde_json::from_str(request.get()).map_err(drop)?;
        let password = request.password.and_then(text).ok_or(())?;
        let password = Secret::new(password.into_owned());
        let chars = password.expose().chars().count();
        if (1..=MAX_PASSWORD_CHARS).contains(&chars) {
            Ok(Some(password))
        } else {
            Err(())
        }
    }

    /// The event with the response; all other members are unchanged.
    pub(crate) fn answered(&self, moved: &MigratedUser) -> Option<Box<RawValue>> {
        let status = match moved.next {
            Next::Nothing | Next::Change => "CONFIRMED",
            Next::Reset => "RESET_REQUIRED",
        };
        // Without these members Cognito would send an SMS invitation, and move an alias away from its present user.
        let response = json!({
            "userAttributes": moved.attributes,
            "finalUserStatus": status,
            "messageAction": "SUPPRESS",
            "desiredDeliveryMediums": ["EMAIL"],
            "forceAliasCreation": false,
        });
        self.0.answered(&response)
    }
}
