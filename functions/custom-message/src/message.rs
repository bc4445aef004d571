//! Messages that satisfy Cognito's rules.
//!
//! Cognito matches a trigger's response against an expression that allows letters, marks, symbols,
//! numbers, punctuation and ASCII spaces. The sign-up itself fails if the response does not match:
//! for a no-break space, for the joiner in a family emoji, for a letter that is newer than
//! Cognito's version of Unicode. Therefore mails are pure ASCII with numeric entities for all other
//! characters, and rejected characters are removed from subjects and text messages, which contain
//! no user input.
//! Source: AWS, "Custom message Lambda trigger"; `EmailVerificationMessageType` in the API's model.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::content::Content;

/// Cognito's limits in characters, including the placeholder.
const MAX_MAIL: usize = 20_000;
const MAX_SUBJECT: usize = 140;
const MAX_SMS: usize = 140;
/// The length of a code. `{####}` has six characters too; a temporary password is longer.
const MAX_CODE: usize = 6;

/// The rendered templates.
pub(crate) struct Parts {
    pub(crate) html: String,
    pub(crate) subject: String,
    pub(crate) sms: String,
}

/// A message within Cognito's rules.
pub(crate) struct Message {
    pub(crate) mail: String,
    pub(crate) subject: String,
    pub(crate) sms: String,
}

impl Message {
    /// The parts, reduced to characters that Cognito accepts.
    pub(crate) fn cleaned(parts: Parts) -> Self {
        Self {
            mail: ascii(&parts.html),
            subject: one_line(&parts.subject),
            sms: one_line(&parts.sms),
        }
    }

    /// The cleaned parts, checked against Cognito's limits.
    ///
    /// # Errors
    /// A sentence about the violated rule.
    pub(crate) fn checked(parts: Parts, content: &Content<'_>) -> Result<Self, &'static str> {
        let message = Self::cleaned(parts);
        let long = |text: &str, limit: usize| text.chars().count() > limit;
        let rules = [
            (
                long(&message.mail, MAX_MAIL),
                "the mail is longer than 20,000 characters",
            ),
            (
                long(&message.subject, MAX_SUBJECT),
                "the subject is longer than 140 characters",
            ),
            (
                long(&message.sms, MAX_SMS - MAX_CODE),
                "the text message is longer than 134 characters",
            ),
            (message.subject.is_empty(), "the subject is empty"),
            (
                message.subject.contains(content.code),
                "the subject has the code",
            ),
            (
                !message.mail.contains(content.code) || !message.sms.contains(content.code),
                "the code is missing",
            ),
            (
                content.username.is_some_and(|name| {
                    !message.mail.contains(name) || !message.sms.contains(name)
                }),
                "the user's name is missing",
            ),
        ];
        match rules.into_iter().find(|(broken, _)| *broken) {
            Some((_, rule)) => Err(rule),
            None => Ok(message),
        }
    }
}

/// HTML with numeric entities for all non-ASCII characters. Control characters, which have no
/// entities, are removed.
fn ascii(html: &str) -> String {
    let mut text = String::with_capacity(html.len() + html.len() / 4);
    for c in html.chars() {
        match c {
            '\n' | '\t' | ' '..='~' => text.push(c),
            c if c.is_ascii_control() || c.is_control() => {}
            c => text.push_str(&format!("&#{};", u32::from(c))),
        }
    }
    text
}

/// Text in one line, without characters that Cognito's expression does not allow.
fn one_line(text: &str) -> String {
    let known = |c: char| {
        use GeneralCategoryGroup::{Letter, Mark, Number, Punctuation, Symbol};
        matches!(
            c.general_category_group(),
            Letter | Mark | Number | Punctuation | Symbol
        )
    };
    let spaced: String = text
        .chars()
        .filter_map(|c| match c {
            c if c.is_whitespace() => Some(' '),
            c if known(c) => Some(c),
            _ => None,
        })
        .collect();
    spaced
        .split_ascii_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
