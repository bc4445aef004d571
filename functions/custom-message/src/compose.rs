//! Composes the message for an event: from the application's brand, in the user's language.

use runtime::TriggerEvent;

use crate::config::{Application, Config};
use crate::content::Content;
use crate::link::confirmation_link;
use crate::message::Message;
use crate::name::is_plain_name;
use crate::outcome::NoMessageError;
use crate::source::Source;

const UNCONFIRMED: &str = "UNCONFIRMED";

/// The message for an event, or the reason for its absence.
pub(crate) fn compose(
    config: &Config,
    event: &TriggerEvent<'_>,
) -> Result<Message, NoMessageError> {
    let source = event.source().ok_or(NoMessageError::NoTriggerEvent)?;
    let source = Source::of(&source).ok_or(NoMessageError::UnknownSource)?;
    let request = event.request().ok_or(NoMessageError::NoTriggerEvent)?;
    let code = request.text("codeParameter").unwrap_or_default();
    if !matches!(&*code, "{####}" | "####") {
        return Err(NoMessageError::NoCode);
    }
    let username = request.text("usernameParameter");
    let username = username.filter(|name| !name.is_empty());
    if source.names_user() && username.is_none() {
        return Err(NoMessageError::NoUsername);
    }
    let attributes = request.user_attributes().unwrap_or_default();
    let metadata = request.object("clientMetadata").unwrap_or_default();

    let application = application(config, event);
    let status = attributes.text("cognito:user_status");
    if source.has_link() && status.is_some_and(|status| status != UNCONFIRMED) {
        return Err(NoMessageError::NotUnconfirmed);
    }
    let unconfirmed = status == Some(UNCONFIRMED);
    let link = application
        .confirmation_url
        .as_ref()
        .filter(|_| source.has_link() && unconfirmed)
        .zip(attributes.text("email"))
        .and_then(|(url, email)| confirmation_link(url, email, &code));
    let name = attributes
        .text("name")
        .or_else(|| attributes.text("given_name"));
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
    let requested = metadata.text("locale");
    let wishes = [attributes.text("locale"), requested.as_deref()];
    let locale = application.brand.locale(&wishes);
    let parts = application.brand.render(locale, source, &content);
    Message::checked(parts.map_err(|_| NoMessageError::Template)?, &content)
        .map_err(|_| NoMessageError::Rules)
}

/// The application of the event's app client, or the default.
fn application<'c>(config: &'c Config, event: &TriggerEvent<'_>) -> &'c Application {
    event
        .client_id()
        .and_then(|client| config.clients.get(&*client))
        .unwrap_or(&config.default)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;

    fn example() -> Config {
        let lookup = |name: &str| match name {
            "APP_NAME" => Some("Example".to_owned()),
            "APP_BASE_URL" => Some("https://app.example.com".to_owned()),
            _ => None,
        };
        Config::from_lookup(&lookup).unwrap_or_else(|error| panic!("{error}"))
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
        let config = example();
        let locales = prop::sample::select(vec!["en", "de", "es", "ja", "ar", "xx"]);
        let sources = prop::sample::select(Source::ALL.to_vec());
        let user = (
            any_text(),
            "[!-~]{1,40}@[a-z\u{e4}-\u{f6}.]{1,30}",
            locales,
            sources,
        );
        let settings = ProptestConfig {
            cases: users,
            ..ProptestConfig::default()
        };
        let mut runner = proptest::test_runner::TestRunner::new(settings);
        let outcome = runner.run(&user, |(name, email, locale, source)| {
            let event = json!({
                "triggerSource": format!("CustomMessage_{source:?}"), "userName": name,
                "request": {"codeParameter": "{####}", "usernameParameter": "{username}",
                    "userAttributes": {"name": name, "email": email, "locale": locale,
                        "cognito:user_status": "UNCONFIRMED"}},
            });
            let event: Box<RawValue> = serde_json::from_str(&event.to_string()).unwrap();
            let event = TriggerEvent::parse(&event).unwrap();
            let Ok(message) = compose(&config, &event) else {
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
