//! Cognito's event. The password is copied from it only once.

use std::borrow::Cow;

use auth::Secret;
use runtime::TriggerEvent;
use serde_json::json;
use serde_json::value::RawValue;

use crate::outcome::{MigratedUser, Next};

/// Cognito's maximum lengths of a password and of a user name.
const MAX_PASSWORD_CHARS: usize = 256;
const MAX_USERNAME_CHARS: usize = 128;

/// The event; its members are parsed on access. No `Debug`.
pub(crate) struct Event<'a>(TriggerEvent<'a>);

/// Why Cognito invokes the trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    SignIn,
    ForgotPassword,
}

impl<'a> Event<'a> {
    pub(crate) fn read(json: &'a RawValue) -> Self {
        Self(TriggerEvent::parse(json).unwrap_or_default())
    }

    pub(crate) fn occasion(&self) -> Option<Occasion> {
        match self.0.source()?.as_ref() {
            "UserMigration_Authentication" => Some(Occasion::SignIn),
            "UserMigration_ForgotPassword" => Some(Occasion::ForgotPassword),
            _ => None,
        }
    }

    pub(crate) fn user_pool_id(&self) -> Cow<'a, str> {
        self.0.user_pool_id().unwrap_or_default()
    }

    /// The name as the user typed it; `None` if Cognito would not accept it.
    pub(crate) fn username(&self) -> Option<Cow<'a, str>> {
        self.0.user_name().filter(|name| {
            name.chars().count() <= MAX_USERNAME_CHARS
                && !name.contains(|c: char| c.is_control() || c.is_whitespace())
        })
    }

    /// The password, at sign-in; `Err` if it is missing or Cognito would not accept it.
    pub(crate) fn password(&self, occasion: Occasion) -> Result<Option<Secret>, ()> {
        if occasion == Occasion::ForgotPassword {
            return Ok(None);
        }
        let request = self.0.request().ok_or(())?;
        // A character has up to four bytes, and JSON escapes take six bytes each: longer text is not a password.
        let is_long = |password: &RawValue| password.get().len() > 1024 * 1024;
        if request.member("password").is_some_and(is_long) {
            return Err(());
        }
        let password = request.text("password").ok_or(())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn passwords_that_cognito_would_not_accept_are_malformed() {
        let password = |request: &str| {
            let json = raw(&format!("{{\"request\":{request}}}"));
            let found = Event::read(&json).password(Occasion::SignIn);
            found.map(|password| password.map(|password| password.expose().to_owned()))
        };
        let with = |text: &str| format!("{{\"password\":\"{text}\",\"validationData\":null}}");
        assert_eq!(
            password(&with("p\\u00e4ss")),
            Ok(Some("p\u{e4}ss".to_owned()))
        );
        assert!(password(&with(&"x".repeat(256))).is_ok());
        for request in [
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            "{\"password\":null}".to_owned(),
            "{\"password\":1}".to_owned(),
            "{\"password\":\"a\",\"password\":\"b\"}".to_owned(),
            with(""),
            with(&"x".repeat(257)),
            with("\\ud800"),
        ] {
            assert_eq!(password(&request), Err(()), "{}", request.len());
        }
        let json = raw("{\"request\":{\"password\":\"ignored\"}}");
        let forgotten = Event::read(&json).password(Occasion::ForgotPassword);
        assert!(matches!(forgotten, Ok(None)));
    }

    #[test]
    fn other_values_are_events_without_members() {
        for json in ["null", "[]", "\"x\"", "{}"] {
            let json = raw(json);
            let event = Event::read(&json);
            assert_eq!(event.occasion(), None);
            assert_eq!(event.username(), None);
            assert_eq!(event.user_pool_id(), "");
        }
    }
}
