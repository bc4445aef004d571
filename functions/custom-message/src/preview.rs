//! Previews of every message in every language.

use crate::config::Config;
use crate::content::Content;
use crate::message::Message;
use crate::source::Source;

/// A message as a user would receive it.
pub struct Sample {
    /// The key in the texts, such as `sign_up`.
    pub source: &'static str,
    /// The language.
    pub locale: String,
    /// The mail, HTML.
    pub mail: String,
    /// Its subject.
    pub subject: String,
    /// The text message.
    pub sms: String,
}

/// The messages of the default application, with the code 123456 and a sample name.
#[must_use]
pub fn samples(config: &Config) -> Vec<Sample> {
    let application = &config.default;
    let link = application
        .confirmation_url
        .as_ref()
        .map(|url| format!("{url}?email=ada%40example.com&confirmationCode=123456"));
    let mut samples = Vec::new();
    for locale in application.brand.locales() {
        for source in Source::ALL {
            let content = Content {
                app: &application.name,
                code: if source.names_user() {
                    "k4T%&<x9"
                } else {
                    "123456"
                },
                username: source.names_user().then_some("ada"),
                name: source.may_greet_by_name().then_some("Ada Lovelace"),
                link: link.as_deref().filter(|_| source.has_link()),
            };
            let Ok(parts) = application.brand.render(locale, source, &content) else {
                continue;
            };
            // The rules concern placeholders, which previews do not contain.
            let Message { mail, subject, sms } = Message::cleaned(parts);
            samples.push(Sample {
                source: source.key(),
                locale: locale.to_owned(),
                mail,
                subject,
                sms,
            });
        }
    }
    samples
}
