//! Events of Cognito's triggers, which go back as they came but for their `response`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use auth::headers::text;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// An event, its members unread until they are asked for. No `Debug`: it may hold a password.
pub struct TriggerEvent<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> TriggerEvent<'a> {
    /// An event; without any member if it is no object.
    #[must_use]
    pub fn read(json: &'a RawValue) -> Self {
        Self(serde_json::from_str(json.get()).unwrap_or_default())
    }

    /// A member, unread.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    /// A member that is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.member(name).and_then(text)
    }

    /// The event with another `response`, every other member as it came; `None` if that can't be
    /// written as JSON.
    #[must_use]
    pub fn answered(&self, response: &impl Serialize) -> Option<Box<RawValue>> {
        let response = to_raw_value(response).ok()?;
        let mut members = self.0.clone();
        members.insert(Cow::Borrowed("response"), &response);
        to_raw_value(&members).ok()
    }
}
