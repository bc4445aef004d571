//! Every message in every language, for people to look at.

use crate::brand::Content;
use crate::config::Config;
use crate::message::Message;
use crate::source::Source;

/// A message as somebody would get it.
pub struct Sample {
    /// `sign_up`, as in the texts.
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

/// The messages of the default application, with the code 123456 and somebody's name.
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
            // The rules are about placeholders, which these have none of.
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
