//! The user of a sign-in, and the key under which migrate-user may have stored groups.

use auth_dynamodb::LeftFor;
use runtime::{TriggerEvent, UserAttributes};
use usernames::normalize;

/// The user who signs in. No `Debug`.
pub(crate) struct User {
    pub(crate) user_pool_id: String,
    pub(crate) username: String,
    attributes: UserAttributes,
}

impl User {
    /// Reads the user; `None` if the event is incomplete.
    pub(crate) fn read(event: &TriggerEvent<'_>) -> Option<Self> {
        Some(Self {
            user_pool_id: event.user_pool_id()?.into_owned(),
            username: event.user_name()?.into_owned(),
            attributes: event.request()?.user_attributes()?,
        })
    }

    /// Whether the user signs in through, or is linked to, another identity provider.
    pub(crate) fn is_federated(&self) -> bool {
        self.attributes.is_federated()
    }

    /// The key under which migrate-user may have stored the groups. Only a verified address is
    /// used: a user must not get another user's groups by claiming their address.
    pub(crate) fn left_for(&self, case_sensitive: bool) -> Option<Name> {
        let normal = |name: &str| normalize(name, case_sensitive);
        let email = self.attributes.filled("email");
        if self.attributes.filled("email_verified") == Some("true") {
            return email.map(|email| Name::Email(normal(email)));
        }
        // In a pool with addresses as usernames, Cognito's username is the `sub`.
        if self.attributes.filled("sub") == Some(self.username.as_str()) {
            let name = email.or_else(|| self.attributes.filled("phone_number"));
            return name.map(|name| Name::Name(normal(name)));
        }
        Some(Name::Name(normal(&self.username)))
    }
}

/// A name or an address, as migrate-user normalizes it.
#[derive(PartialEq, Eq)]
pub(crate) enum Name {
    Email(String),
    Name(String),
}

impl Name {
    pub(crate) fn left_for(&self) -> LeftFor<'_> {
        match self {
            Self::Email(email) => LeftFor::Email(email),
            Self::Name(name) => LeftFor::Name(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;

    fn user(name: &str, attributes: Value) -> User {
        let event = json!({"userPoolId": "pool", "userName": name,
            "request": {"userAttributes": attributes}});
        let event: Box<RawValue> = serde_json::from_str(&event.to_string()).unwrap();
        User::read(&TriggerEvent::parse(&event).unwrap()).unwrap()
    }

    #[test]
    fn groups_are_looked_up_as_migrate_user_stores_them() {
        let email = |name: &str| Some(Name::Email(name.to_owned()));
        let named = |name: &str| Some(Name::Name(name.to_owned()));
        // (user name, attributes, key in a case-insensitive pool, key in a case-sensitive one)
        for (name, attributes, insensitive, sensitive) in [
            ("Ada", json!({}), named("ada"), named("Ada")),
            // Decomposed: migrate-user stores the composed form.
            (
                "Zoe\u{308}",
                json!({"sub": "5f7e"}),
                named("zo\u{eb}"),
                named("Zo\u{eb}"),
            ),
            (
                "5f7e",
                json!({"sub": "5f7e", "email": "E\u{301}ve@x.org", "email_verified": "true"}),
                email("\u{e9}ve@x.org"),
                email("\u{c9}ve@x.org"),
            ),
            (
                "5f7e",
                json!({"sub": "5f7e", "email": "Ada@x.org", "email_verified": "false"}),
                named("ada@x.org"),
                named("Ada@x.org"),
            ),
            (
                "5f7e",
                json!({"sub": "5f7e", "email": "", "phone_number": "+15551234567"}),
                named("+15551234567"),
                named("+15551234567"),
            ),
            ("5f7e", json!({"sub": "5f7e"}), None, None),
            ("ada", json!({"email_verified": "true"}), None, None),
        ] {
            let user = user(name, attributes);
            assert!(user.left_for(false) == insensitive, "{name:?}");
            assert!(user.left_for(true) == sensitive, "{name:?}");
        }
    }

    #[test]
    fn incomplete_events_have_no_user() {
        for event in [
            json!({}),
            json!({"userPoolId": "pool", "userName": "ada"}),
            json!({"userPoolId": "pool", "userName": "ada", "request": {}}),
            json!({"userPoolId": "pool", "userName": "ada", "request": {"userAttributes": null}}),
            json!({"userPoolId": "pool", "request": {"userAttributes": {}}}),
            json!({"userName": "ada", "request": {"userAttributes": {}}}),
        ] {
            let text: Box<RawValue> = serde_json::from_str(&event.to_string()).unwrap();
            let read = TriggerEvent::parse(&text).unwrap();
            assert!(User::read(&read).is_none(), "{event}");
        }
    }
}
