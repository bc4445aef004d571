//! Cognito's CustomMessage triggers: write the mail or text message with a code, branded and in the
//! user's language.
//!
//! On any failure the event is returned unchanged and Cognito sends the pool's default text: a
//! template error never fails a sign-up. The only user input in a message is a plain name, and the
//! percent-encoded address in the link.
//! Source: AWS, "Custom message Lambda trigger".

mod brand;
mod config;
mod message;
mod preview;
mod source;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use api_gateway::headers::text;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, clock};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use brand::Content;
pub use config::{Application, Config, with_other_names};
use message::Message;
pub use preview::{Sample, samples};
use source::Source;

/// Limits for the name in a greeting, in characters and in words: a longer one may be an attacker's
/// message.
const MAX_NAME_CHARS: usize = 32;
const MAX_NAME_WORDS: usize = 4;
const UNCONFIRMED: &str = "UNCONFIRMED";
/// All characters except those that a URL does not encode (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The longest e-mail address (RFC 5321 section 4.5.3.1.3).
const MAX_EMAIL_BYTES: usize = 254;

/// The function's handler.
pub struct CustomMessage {
    config: Config,
}

/// An event that keeps its members as JSON text, so that they are returned unchanged.
#[derive(Default)]
struct Event<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// The response: the event, with a new `response` member if there is a message.
pub struct Answer {
    members: Vec<(String, Box<RawValue>)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, default)]
    user_attributes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    code_parameter: Option<&'a RawValue>,
    #[serde(borrow, default)]
    username_parameter: Option<&'a RawValue>,
    #[serde(borrow, default)]
    client_metadata: Option<&'a RawValue>,
}

impl CustomMessage {
    /// Creates the handler.
    ///
    /// # Errors
    /// Never fails: the templates were read with the configuration.
    pub async fn start(config: Config) -> Result<Self, Infallible> {
        Ok(Self { config })
    }

    /// The message for an event, or the outcome that explains its absence.
    fn message(&self, event: &Event<'_>) -> Result<Message, &'static str> {
        let source = event.member("triggerSource").and_then(text);
        let source = source.ok_or("no_trigger_event")?;
        let source = Source::of(&source).ok_or("unknown_source")?;
        let request = event.member("request").ok_or("no_trigger_event")?;
        let request: Request<'_> =
            serde_json::from_str(request.get()).map_err(|_| "no_trigger_event")?;
        let code = request.code_parameter.and_then(text).unwrap_or_default();
        if !matches!(&*code, "{####}" | "####") {
            return Err("no_code");
        }
        let username = request.username_parameter.and_then(text);
        let username = username.filter(|name| !name.is_empty());
        if source.names_user() && username.is_none() {
            return Err("no_username");
        }
        let attributes = texts(request.user_attributes);
        let metadata = texts(request.client_metadata);
        let attribute = |name: &str| attributes.get(name).map(String::as_str);

        let application = self.application(event);
        let status = attribute("cognito:user_status");
        // A user who is confirmed, or must set a new password, cannot sign up again.
        if source.has_link() && status.is_some_and(|status| status != UNCONFIRMED) {
            return Err("not_unconfirmed");
        }
        let unconfirmed = status == Some(UNCONFIRMED);
        let link = application
            .confirmation_url
            .as_ref()
            .filter(|_| source.has_link() && unconfirmed)
            .zip(attribute("email").filter(|email| is_address(email)))
            .map(|(url, email)| {
                let email = utf8_percent_encode(email, RESERVED);
                format!("{url}?email={email}&confirmationCode={code}")
            });
        let name = attribute("name").or_else(|| attribute("given_name"));
        let content = Content {
            app: &application.name,
            code: &code,
            username: username.as_deref().filter(|_| source.names_user()),
            name: name
                .filter(|_| source.may_greet_by_name())
                .map(|name| name.trim_matches(' '))
                .filter(|name| is_plain_name(name)),
            link: link.as_deref(),
        };
        let wishes = [
            attribute("locale"),
            metadata.get("locale").map(String::as_str),
        ];
        let locale = application.brand.locale(&wishes);
        let parts = application.brand.render(locale, source, &content);
        Message::checked(parts.map_err(|_| "template")?, &content).map_err(|_| "rules")
    }

    /// The application of the event's app client, or the default.
    fn application(&self, event: &Event<'_>) -> &Application {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Caller<'a> {
            #[serde(borrow)]
            client_id: Cow<'a, str>,
        }
        let caller = event.member("callerContext");
        let caller: Option<Caller<'_>> =
            caller.and_then(|caller| serde_json::from_str(caller.get()).ok());
        caller
            .and_then(|caller| self.config.clients.get(&*caller.client_id))
            .unwrap_or(&self.config.default)
    }

    /// The event's `response`, with the message.
    fn response(&self, event: &Event<'_>, message: Message) -> Map<String, Value> {
        let response = event.member("response");
        let mut response: Map<String, Value> = response
            .and_then(|response| serde_json::from_str(response.get()).ok())
            .unwrap_or_default();
        response.insert("smsMessage".to_owned(), message.sms.into());
        if self.config.sends_mail {
            response.insert("emailMessage".to_owned(), message.mail.into());
            response.insert("emailSubject".to_owned(), message.subject.into());
        }
        response
    }
}

/// The members of an object that are strings.
fn texts(object: Option<&RawValue>) -> BTreeMap<String, String> {
    let members: Map<String, Value> = object
        .and_then(|object| serde_json::from_str(object.get()).ok())
        .unwrap_or_default();
    members
        .into_iter()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        })
        .collect()
}

/// Whether a name consists of letters and their marks, spaces, apostrophes, hyphens, and full stops
/// after initials. A mail client would turn `example.com` into a link, and other characters suggest
/// an injection.
fn is_plain_name(name: &str) -> bool {
    use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};
    let mut chars = name.chars().peekable();
    let mut marks = 0;
    let mut count = 0;
    while let Some(c) = chars.next() {
        count += 1;
        let group = c.general_category_group();
        marks = if group == GeneralCategoryGroup::Mark {
            marks + 1
        } else {
            0
        };
        let plain = match c {
            ' ' | '\'' | '\u{2019}' | '-' => true,
            '.' => chars.peek().is_none_or(|next| *next == ' '),
            _ => matches!(
                group,
                GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark
            ),
        };
        // More marks on one letter than any script uses: they would cover adjacent lines.
        if !plain || marks > 3 || count > MAX_NAME_CHARS {
            return false;
        }
    }
    count > 0 && name.split(' ').filter(|word| !word.is_empty()).count() <= MAX_NAME_WORDS
}

/// Whether it looks like an address at all; its characters are encoded anyway.
fn is_address(email: &str) -> bool {
    email.len() <= MAX_EMAIL_BYTES
        && email.contains('@')
        && !email.contains(char::is_control)
        && !email.contains(char::is_whitespace)
}

impl Handler for CustomMessage {
    type Answer = Answer;

    async fn handle(&self, raw: &RawValue, request_id: &str) -> Result<Answer, InvocationError> {
        let event: Event<'_> =
            serde_json::from_str(raw.get()).map_err(|_| InvocationError::Internal)?;
        // A panic in the template engine must not fail the sign-up.
        let result = catch_unwind(AssertUnwindSafe(|| self.message(&event)));
        let result = result.unwrap_or(Err("panic"));
        let (level, outcome) = match &result {
            Ok(_) => (Level::Info, "message"),
            Err(outcome @ ("template" | "rules" | "panic")) => (Level::Error, *outcome),
            Err(outcome) => (Level::Warn, *outcome),
        };
        if level <= self.config.log_level {
            let now = clock::unix_seconds();
            log::line(
                level,
                "custom message",
                [
                    ("outcome", Value::from(outcome)),
                    ("request_id", Value::from(request_id)),
                    ("Messages", Value::from(1)),
                    ("_aws", log::metric("Messages", "outcome", now)),
                ],
            );
        }
        let response = result.ok().map(|message| self.response(&event, message));
        let response = response.map(|response| serde_json::value::to_raw_value(&response));
        let response = response
            .transpose()
            .map_err(|_| InvocationError::Internal)?;
        Ok(event.answer(response))
    }
}

impl<'a> Event<'a> {
    fn member(&self, name: &str) -> Option<&'a RawValue> {
        let member = self.0.iter().find(|(known, _)| known == name);
        member.map(|(_, value)| *value)
    }

    fn answer(&self, response: Option<Box<RawValue>>) -> Answer {
        let mut members: Vec<(String, Box<RawValue>)> = self
            .0
            .iter()
            .map(|(name, value)| (name.clone().into_owned(), (*value).to_owned()))
            .collect();
        if let Some(response) = response {
            match members.iter_mut().find(|(name, _)| name == "response") {
                Some((_, old)) => *old = response,
                None => members.push(("response".to_owned(), response)),
            }
        }
        Answer { members }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Event<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Event<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(name), value));
                }
                Ok(Event(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn function() -> CustomMessage {
        let lookup = |name: &str| match name {
            "APP_NAME" => Some("Example".to_owned()),
            "APP_BASE_URL" => Some("https://app.example.com".to_owned()),
            _ => None,
        };
        let config = Config::from_lookup(&lookup).unwrap_or_else(|error| panic!("{error}"));
        CustomMessage { config }
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,40}",
            ".{0,200}",
            "[a-zA-Z .'<>&{}#-]{0,80}",
            any::<String>()
        ]
    }

    #[test]
    fn messages_for_arbitrary_users_satisfy_cognitos_rules() {
        check_messages(3_000);
    }

    #[test]
    #[ignore = "takes minutes: `make check`"]
    fn messages_for_many_arbitrary_users_satisfy_cognitos_rules() {
        check_messages(100_000);
    }

    /// For any user attributes, Cognito accepts the message, it contains no markup from the user,
    /// and the link decodes to the user's address.
    fn check_messages(users: u32) {
        let function = function();
        let locales = prop::sample::select(vec!["en", "de", "es", "ja", "ar", "xx"]);
        let sources = prop::sample::select(Source::ALL.to_vec());
        let user = (
            any_text(),
            "[!-~]{1,40}@[a-z\u{e4}-\u{f6}.]{1,30}",
            locales,
            sources,
        );
        let config = ProptestConfig {
            cases: users,
            ..ProptestConfig::default()
        };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let outcome = runner.run(&user, |(name, email, locale, source)| {
            let event = json!({
                "triggerSource": format!("CustomMessage_{source:?}"), "userName": name,
                "request": {"codeParameter": "{####}", "usernameParameter": "{username}",
                    "userAttributes": {"name": name, "email": email, "locale": locale,
                        "cognito:user_status": "UNCONFIRMED"}},
            });
            let event = event.to_string();
            let event: Event<'_> = serde_json::from_str(&event).unwrap();
            let Ok(message) = function.message(&event) else {
                return Err(TestCaseError::fail("no message"));
            };
            let Message { mail, subject, sms } = message;
            prop_assert!(mail.is_ascii() && mail.len() <= 20_000);
            prop_assert!(!mail.contains(|c: char| c.is_control() && !"\n\t".contains(c)));
            prop_assert!(subject.chars().count() <= 140 && sms.chars().count() <= 134);
            let marked = mail.matches("<script").count() + mail.matches("onerror").count();
            prop_assert_eq!(marked, 0);
            let codes = 1 + usize::from(source.has_link());
            prop_assert_eq!(mail.matches("{####}").count(), codes);
            if source.has_link() {
                let (_, rest) = mail.split_once("?email=").unwrap();
                let (encoded, _) = rest.split_once("&amp;").unwrap();
                let decoded = percent_encoding::percent_decode_str(encoded);
                prop_assert_eq!(decoded.decode_utf8().unwrap(), email);
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }
}
