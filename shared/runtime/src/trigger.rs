//! Events of Cognito triggers, which are returned unchanged except for their `response`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use api_gateway::headers::text;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// An event whose members are read on demand. No `Debug`: it may contain a password.
pub struct TriggerEvent<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> TriggerEvent<'a> {
    /// Reads an event; it has no members if it is not a JSON object.
    #[must_use]
    pub fn read(json: &'a RawValue) -> Self {
        Self(serde_json::from_str(json.get()).unwrap_or_default())
    }

    /// A member as raw JSON.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    /// A member that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.member(name).and_then(text)
    }

    /// The event with another `response` and all other members unchanged; `None` if that cannot be
    /// written as JSON.
    #[must_use]
    pub fn answered(&self, response: &impl Serialize) -> Option<Box<RawValue>> {
        let response = to_raw_value(response).ok()?;
        let mut members = self.0.clone();
        members.insert(Cow::Borrowed("response"), &response);
        to_raw_value(&members).ok()
    }
}
