//! Events of Cognito's CustomMessage triggers: the message has the code, and no markup that the user chose.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use custom_message::{Config, CustomMessage};
use runtime::Handler;
use serde_json::Value;
use serde_json::value::RawValue;
use testkit::events;

use crate::edit::edited;
use crate::input::Input;
use crate::{samples, unchanged_but_response, wait};

/// The longest message of Cognito's API, in characters of UTF-8.
const MAX_MAIL: usize = 20_000;
/// The longest subject, in characters.
const MAX_SUBJECT: usize = 140;
/// The longest text message, in characters.
const MAX_SMS: usize = 140;

fn function() -> &'static CustomMessage {
    static FUNCTION: OnceLock<CustomMessage> = OnceLock::new();
    FUNCTION.get_or_init(|| {
        let variables = [
            ("APP_NAME", "Example"),
            ("APP_BASE_URL", "https://app.example.com"),
            ("CONFIRMATION_URL", "https://app.example.com/auth/confirm"),
        ];
        let config = Config::from_lookup(&events::variables(&variables));
        wait(CustomMessage::start(config.expect("a configuration"))).expect("a function")
    })
}

/// Runs the target.
///
/// # Panics
/// A message lacks its code, has markup of the user, is longer than Cognito accepts, or another member was changed.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let json = match input.below(2) {
        0 => String::from_utf8_lossy(input.rest()).into_owned(),
        _ => {
            let samples = samples("custom-message");
            let at = input.below(64);
            edited(&samples[at % samples.len()], input.rest())
        }
    };
    let Ok(event) = serde_json::from_str::<Box<RawValue>>(&json) else {
        return;
    };
    let Ok(answer) = wait(function().handle(&event, "request-1")) else {
        return;
    };
    unchanged_but_response(&event, &answer);
    let read = |json: &RawValue| serde_json::from_str::<Value>(json.get()).ok();
    // A string with a lone surrogate is returned as it is.
    let (Some(before), Some(after)) = (read(&event), read(&answer)) else {
        return;
    };
    if before["response"] == after["response"] {
        return;
    }
    let response = &after["response"];
    let text = |name: &str| response[name].as_str().expect("a text").to_owned();
    let (mail, subject, sms) = (
        text("emailMessage"),
        text("emailSubject"),
        text("smsMessage"),
    );
    let code = before["request"]["codeParameter"].as_str().expect("a code");
    assert!(mail.contains(code) && sms.contains(code));
    assert!(mail.chars().count() <= MAX_MAIL && sms.chars().count() <= MAX_SMS);
    assert!((1..=MAX_SUBJECT).contains(&subject.chars().count()));
    assert!(!subject.contains(char::is_control) && !sms.contains(char::is_control));
    // A template has other markup instead of a link.
    let known = [tags(&plain(&before, true)), tags(&plain(&before, false))];
    if known.iter().all(BTreeMap::is_empty) {
        // `serde_json` reads the last of two members with one name, so that this is not the same event: no message.
        return;
    }
    for (name, count) in tags(&mail) {
        let most = known.iter().filter_map(|known| known.get(&name)).max();
        assert!(most >= Some(&count), "the user adds <{name}>");
    }
}

/// The mail for the same event of a user whose name, address and user name are no markup, with an address or without.
fn plain(before: &Value, has_address: bool) -> String {
    let mut event = before.clone();
    let request = &mut event["request"];
    for (name, value) in [
        ("name", "Ada"),
        ("given_name", "Ada"),
        ("email", if has_address { "ada@example.com" } else { "" }),
    ] {
        let attributes = request["userAttributes"].as_object_mut();
        if let Some(known) = attributes.and_then(|attributes| attributes.get_mut(name))
            && known.is_string()
        {
            *known = value.into();
        }
    }
    if request["usernameParameter"]
        .as_str()
        .is_some_and(|name| !name.is_empty())
    {
        request["usernameParameter"] = "{username}".into();
    }
    let answer = wait(function().handle(&events::raw(&event), "request-1"));
    let answer: Value = serde_json::from_str(answer.expect("an answer").get()).expect("JSON");
    answer["response"]["emailMessage"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// How often each tag occurs.
fn tags(mail: &str) -> BTreeMap<String, usize> {
    let mut tags = BTreeMap::new();
    for tag in mail.split('<').skip(1) {
        let end = tag.find(|c: char| !(c.is_ascii_alphanumeric() || "/!-".contains(c)));
        let name = tag[..end.unwrap_or(tag.len())].to_ascii_lowercase();
        *tags.entry(name).or_default() += 1;
    }
    tags
}
