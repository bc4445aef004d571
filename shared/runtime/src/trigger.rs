//! Events of Cognito triggers, which are returned unchanged except for their `response`.
//! Source: AWS, "Customizing user pool workflows with Lambda triggers", "Lambda trigger common parameters".

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use api_gateway::headers::text;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// An event whose members are read on demand. No `Debug`: it may contain a password.
#[derive(Default)]
pub struct TriggerEvent<'a>(Members<'a>);

impl<'a> TriggerEvent<'a> {
    /// Reads an event; `None` if it is not a JSON object, or if it has two members of one name.
    #[must_use]
    pub fn parse(json: &'a RawValue) -> Option<Self> {
        Members::parse(json).map(Self)
    }

    /// `triggerSource`: why Cognito invokes the trigger.
    #[must_use]
    pub fn source(&self) -> Option<Cow<'a, str>> {
        self.0.text("triggerSource")
    }

    /// `version`: the version of the event's format.
    #[must_use]
    pub fn version(&self) -> Option<Cow<'a, str>> {
        self.0.text("version")
    }

    /// `userPoolId`, unless it is empty.
    #[must_use]
    pub fn user_pool_id(&self) -> Option<Cow<'a, str>> {
        self.0.text("userPoolId").filter(|id| !id.is_empty())
    }

    /// `userName`, unless it is empty.
    #[must_use]
    pub fn user_name(&self) -> Option<Cow<'a, str>> {
        self.0.text("userName").filter(|name| !name.is_empty())
    }

    /// `callerContext.clientId`: the app client.
    #[must_use]
    pub fn client_id(&self) -> Option<Cow<'a, str>> {
        self.0.object("callerContext")?.text("clientId")
    }

    /// `request`, if it is an object.
    #[must_use]
    pub fn request(&self) -> Option<Members<'a>> {
        self.0.object("request")
    }

    /// `response`, if it is an object.
    #[must_use]
    pub fn response(&self) -> Option<Members<'a>> {
        self.0.object("response")
    }

    /// The event with another `response` and all other members unchanged; `None` if that cannot be
    /// written as JSON.
    #[must_use]
    pub fn answered(&self, response: &impl Serialize) -> Option<Box<RawValue>> {
        let response = to_raw_value(response).ok()?;
        to_raw_value(&self.0.with("response", &response)).ok()
    }
}

/// The members of a JSON object in their order; their values are not parsed. No `Debug`.
#[derive(Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object; `None` for another value, or if it has two members of one name: which of them counts
    /// depends on the reader.
    #[must_use]
    pub fn parse(json: &'a RawValue) -> Option<Self> {
        serde_json::from_str(json.get()).ok()
    }

    /// A member as JSON.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&'a RawValue> {
        let mut named = self.0.iter().filter(|(known, _)| known == name);
        named.next().map(|(_, value)| *value)
    }

    /// A member that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.member(name).and_then(text)
    }

    /// A member that is an object.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Members<'a>> {
        self.member(name).and_then(Self::parse)
    }

    /// `userAttributes` of a request; `None` if it is missing or not an object.
    #[must_use]
    pub fn user_attributes(&self) -> Option<UserAttributes> {
        let attributes = self.object("userAttributes")?.0.into_iter();
        let attributes = attributes.map(|(name, json)| {
            let value = serde_json::from_str(json.get()).ok()?;
            Some((name.into_owned(), value))
        });
        attributes.collect::<Option<_>>().map(UserAttributes)
    }

    /// `userAttributes` of a request, empty if it has none; `None` if it is not an object.
    #[must_use]
    pub fn user_attributes_if_any(&self) -> Option<UserAttributes> {
        match self.member("userAttributes") {
            None => Some(UserAttributes::default()),
            Some(_) => self.user_attributes(),
        }
    }

    /// The members with one replaced, or added at the end.
    #[must_use]
    pub fn with<'b>(&'b self, name: &'b str, value: &'b RawValue) -> Members<'b> {
        let members = self.0.iter();
        let mut members: Vec<_> = members
            .map(|(name, value)| (Cow::Borrowed(name.as_ref()), *value))
            .collect();
        match members.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => members.push((Cow::Borrowed(name), value)),
        }
        Members(members)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with different names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, _>()? {
                    members.push((Cow::Owned(name), value));
                }
                let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
                names.sort_unstable();
                if names.array_windows().any(|[one, next]| one == next) {
                    return Err(A::Error::custom("two members have one name"));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A user's attributes. No `Debug`: they are personal data.
#[derive(Default)]
pub struct UserAttributes(BTreeMap<String, Value>);

impl UserAttributes {
    /// An attribute's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// An attribute that is a string; it may be empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// An attribute that is a string and not empty.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// Whether an attribute such as `email_verified` is true: providers send booleans, Cognito sends text.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Bool(truth)) => *truth,
            other => other.and_then(Value::as_str) == Some("true"),
        }
    }

    /// Whether the user signs in through, or is linked to, an identity provider.
    #[must_use]
    pub fn is_federated(&self) -> bool {
        self.get("identities").is_some()
            || self.text("cognito:user_status") == Some("EXTERNAL_PROVIDER")
    }

    /// Removes an attribute.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn members_are_returned_unchanged_and_in_order() {
        let json = raw(
            r#"{"version":"2","userName":"\u0041da","big":123456789012345678901234567890.10,
                "lone":"\ud800","response":{"old":1},"new":[1,{"a":null}]}"#,
        );
        let event = TriggerEvent::parse(&json).unwrap();
        let answer = event.answered(&json!({"given": true})).unwrap();
        assert_eq!(
            answer.get(),
            r#"{"version":"2","userName":"\u0041da","big":123456789012345678901234567890.10,"lone":"\ud800","response":{"given":true},"new":[1,{"a":null}]}"#
        );
        let bare = raw(r#"{"version":"2"}"#);
        let answer = TriggerEvent::parse(&bare).unwrap().answered(&json!({}));
        assert_eq!(answer.unwrap().get(), r#"{"version":"2","response":{}}"#);
    }

    #[test]
    fn typed_accessors_ignore_members_of_other_types() {
        let json = raw(
            r#"{"triggerSource":"PreSignUp_SignUp","version":"1","userPoolId":"p","userName":"\u0041da",
                "callerContext":{"clientId":"c"},"request":{"password":"x"},"response":{}}"#,
        );
        let event = TriggerEvent::parse(&json).unwrap();
        assert_eq!(event.source().as_deref(), Some("PreSignUp_SignUp"));
        assert_eq!(event.version().as_deref(), Some("1"));
        assert_eq!(event.user_pool_id().as_deref(), Some("p"));
        assert_eq!(event.user_name().as_deref(), Some("Ada"));
        assert_eq!(event.client_id().as_deref(), Some("c"));
        assert!(event.response().is_some());
        let request = event.request().unwrap();
        assert_eq!(request.text("password").as_deref(), Some("x"));
        assert!(request.user_attributes().is_none(), "it is missing");
        assert!(request.user_attributes_if_any().is_some());

        let json = raw(
            r#"{"triggerSource":1,"version":null,"userPoolId":"","userName":"","callerContext":null,
                "request":{"userAttributes":[]},"response":"x"}"#,
        );
        let event = TriggerEvent::parse(&json).unwrap();
        assert_eq!(event.source(), None);
        assert_eq!(event.version(), None);
        assert_eq!(event.user_pool_id(), None);
        assert_eq!(event.user_name(), None);
        assert_eq!(event.client_id(), None);
        assert!(event.response().is_none());
        let request = event.request().unwrap();
        assert!(request.user_attributes().is_none());
        assert!(request.user_attributes_if_any().is_none());
    }

    #[test]
    fn rejects_other_values_and_repeated_names() {
        for json in [
            "null",
            "[]",
            "1",
            "\"x\"",
            r#"{"userName":"a","userName":"b"}"#,
            r#"{"userName":"a","x":1,"userN\u0061me":"b"}"#,
        ] {
            assert!(TriggerEvent::parse(&raw(json)).is_none(), "{json}");
        }
        let json = raw(r#"{"request":{"userAttributes":{"sub":"a","sub":"b"},"x":1}}"#);
        let request = TriggerEvent::parse(&json).unwrap().request().unwrap();
        assert!(request.user_attributes().is_none());
        assert!(TriggerEvent::parse(&raw("{}")).is_some());
    }

    #[test]
    fn attributes_are_text_or_booleans() {
        let json = raw(
            r#"{"userAttributes":{"email":"a@b.c","name":"","email_verified":true,
                "phone_number_verified":"true","other":"True","locale":null,"identities":"[]"}}"#,
        );
        let mut attributes = Members::parse(&json).unwrap().user_attributes().unwrap();
        assert_eq!(attributes.text("email"), Some("a@b.c"));
        assert_eq!(attributes.text("name"), Some(""));
        assert_eq!(attributes.filled("name"), None);
        assert_eq!(attributes.text("locale"), None);
        assert!(attributes.is_true("email_verified"));
        assert!(attributes.is_true("phone_number_verified"));
        assert!(!attributes.is_true("other"));
        assert!(!attributes.is_true("missing"));
        assert!(attributes.is_federated(), "linked to a provider");
        attributes.remove("identities");
        assert!(!attributes.is_federated());
        let json = raw(r#"{"userAttributes":{"cognito:user_status":"EXTERNAL_PROVIDER"}}"#);
        let attributes = Members::parse(&json).unwrap().user_attributes().unwrap();
        assert!(attributes.is_federated());
    }
}
