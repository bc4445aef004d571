//! Cognito's event, read without taking the password apart from it more often than once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use auth::Secret;
use auth::headers::text;
use lambda::TriggerEvent;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::{MAX_PASSWORD_CHARS, MAX_USERNAME_CHARS};

/// The event, its members unread until they are asked for. No `Debug`.
pub(crate) struct Event<'a>(TriggerEvent<'a>);

/// When the trigger is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    SignIn,
    ForgotPassword,
}

/// Somebody who is moved.
pub(crate) struct Moved {
    pub(crate) attributes: BTreeMap<String, String>,
    /// By the new pool's names. They don't go into the answer.
    pub(crate) groups: Vec<String>,
    /// The names of attributes whose values the pool would refuse.
    pub(crate) left_behind: BTreeSet<String>,
    pub(crate) next: Next,
}

/// What a moved user has to do about their password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Nothing,
    /// Choose another when they are in: the pool would not have taken this one.
    Change,
    /// Choose another by a code to a verified address or number, before they get in.
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

    /// The name as it was typed, if it is one.
    pub(crate) fn username(&self) -> Option<Cow<'a, str>> {
        self.0.text("userName").filter(|name| {
            !name.is_empty()
                && name.chars().count() <= MAX_USERNAME_CHARS
                && !name.contains(|c: char| c.is_control() || c.is_whitespace())
        })
    }

    /// The password, at sign-in; `Err` if there is none that could be one.
    pub(crate) fn password(&self, occasion: Occasion) -> Result<Option<Secret>, ()> {
        if occasion == Occasion::ForgotPassword {
            return Ok(None);
        }
        let request = self.0.member("request").ok_or(())?;
        // Four bytes a character, six for each that JSON escapes: a longer text is none.
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

    /// The event with its answer, every other member as it came.
    pub(crate) fn answered(&self, moved: &Moved) -> Option<Box<RawValue>> {
        let status = match moved.next {
            Next::Nothing | Next::Change => "CONFIRMED",
            Next::Reset => "RESET_REQUIRED",
        };
        // Without these Cognito would send a welcome by SMS, and take an alias from whoever has it.
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
