//! Cognito's CustomMessage triggers: write the mail or text message with a code, branded and in the
//! user's language.
//!
//! On any failure the event is returned unchanged and Cognito sends the pool's default text: a
//! template error never fails a sign-up. The only user input in a message is a plain name, and the
//! percent-encoded address in the link.
//! Source: AWS, "Custom message Lambda trigger".

mod brand;
mod compose;
mod config;
mod content;
mod link;
mod message;
mod name;
mod outcome;
mod preview;
mod source;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, TriggerEvent};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::compose::compose;
pub use crate::config::{Application, Config, with_other_names};
use crate::message::Message;
use crate::outcome::{MESSAGE, NoMessageError};
pub use crate::preview::{Sample, samples};

/// The function's handler.
pub struct CustomMessage {
    config: Config,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&with_other_names(env_config::process)),
        CustomMessage::start,
    )
}

impl CustomMessage {
    /// Creates the handler.
    ///
    /// # Errors
    /// Never fails: the templates were read with the configuration.
    pub async fn start(config: Config) -> Result<Self, Infallible> {
        Ok(Self { config })
    }

    /// The event's `response`, with the message.
    fn response(&self, event: &TriggerEvent<'_>, message: Message) -> Map<String, Value> {
        let response = event.response();
        let mut response: Map<String, Value> = response
            .and_then(|response| serde_json::from_value(serde_json::to_value(response).ok()?).ok())
            .unwrap_or_default();
        response.insert("smsMessage".to_owned(), message.sms.into());
        if self.config.sends_mail {
            response.insert("emailMessage".to_owned(), message.mail.into());
            response.insert("emailSubject".to_owned(), message.subject.into());
        }
        response
    }
}

impl Handler for CustomMessage {
    type Answer = Box<RawValue>;

    async fn handle(
        &self,
        raw: &RawValue,
        request_id: &str,
    ) -> Result<Box<RawValue>, InvocationError> {
        let event = TriggerEvent::parse(raw).ok_or(InvocationError::Internal)?;
        // A panic in the template engine must not fail the sign-up.
        let result = catch_unwind(AssertUnwindSafe(|| compose(&self.config, &event)));
        let result = result.unwrap_or(Err(NoMessageError::Panic));
        let (level, outcome) = match &result {
            Ok(_) => (Level::Info, MESSAGE),
            Err(error) => (error.level(), error.as_str()),
        };
        if level <= self.config.log_level {
            log::outcome(level, "custom message", "Messages", outcome, request_id);
        }
        match result {
            Ok(message) => {
                let answer = event.answered(&self.response(&event, message));
                answer.ok_or(InvocationError::Internal)
            }
            Err(_) => Ok(raw.to_owned()),
        }
    }
}
