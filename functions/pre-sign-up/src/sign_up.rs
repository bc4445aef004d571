//! The user who signs up.

use std::collections::BTreeSet;

use runtime::{TriggerEvent, UserAttributes};

/// The user who signs up. No `Debug`.
pub(crate) struct SignUp {
    pub(crate) user_pool_id: String,
    /// May be empty.
    pub(crate) username: String,
    attributes: UserAttributes,
}

impl SignUp {
    /// Reads the user; `None` if the pool's id or the request is missing or malformed.
    pub(crate) fn read(event: &TriggerEvent<'_>) -> Option<Self> {
        Some(Self {
            user_pool_id: event.user_pool_id()?.into_owned(),
            username: event.user_name().unwrap_or_default().into_owned(),
            attributes: event.request()?.user_attributes_if_any()?,
        })
    }

    /// An attribute that is not empty.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.filled(name)
    }

    /// Whether the provider, or Cognito, has verified the address. Providers send booleans as text.
    pub(crate) fn email_is_verified(&self) -> bool {
        self.attributes.is_true("email_verified")
    }

    /// Whether Cognito creates this user itself: no client may write these attributes.
    pub(crate) fn is_verified(&self) -> bool {
        self.email_is_verified() || self.attributes.is_true("phone_number_verified")
    }

    /// All names that the user could sign in with.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let aliases = ["email", "phone_number", "preferred_username"];
        let aliases = aliases.into_iter().filter_map(|name| self.attribute(name));
        // Where names are addresses, Cognito generates a UUID as the user's name.
        let name = Some(self.username.as_str())
            .filter(|name| !name.is_empty() && !auth_cognito::is_uuid(name));
        aliases.chain(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;

    fn read(event: &Value) -> Option<SignUp> {
        let event: Box<RawValue> = serde_json::from_str(&event.to_string()).unwrap();
        SignUp::read(&TriggerEvent::parse(&event)?)
    }

    #[test]
    fn every_name_of_a_sign_in_counts() {
        let attributes = json!({"email": "ada@x.org", "phone_number": "", "preferred_username": "countess",
            "name": "Ada", "email_verified": "false", "phone_number_verified": true});
        let mut event = json!({"userPoolId": "pool", "userName": "ada",
            "request": {"userAttributes": attributes}});
        let sign_up = read(&event).unwrap();
        let names = BTreeSet::from(["ada", "ada@x.org", "countess"]);
        assert_eq!(sign_up.names(), names);
        assert!(!sign_up.email_is_verified());
        assert!(sign_up.is_verified());
        event["userName"] = json!("0b0e8d10-6f0c-4a3e-9d0f-5f7e00000000");
        let sign_up = read(&event).unwrap();
        assert!(
            !sign_up
                .names()
                .contains("0b0e8d10-6f0c-4a3e-9d0f-5f7e00000000")
        );
    }

    #[test]
    fn malformed_requests_are_not_read() {
        let event = json!({"userPoolId": "pool", "userName": "ada", "request": {}});
        assert!(
            read(&event).unwrap().names().contains("ada"),
            "no attributes"
        );
        for (pointer, value) in [
            ("/userPoolId", json!("")),
            ("/userPoolId", json!(null)),
            ("/request", json!(null)),
            ("/request", json!({"userAttributes": null})),
            ("/request", json!({"userAttributes": []})),
        ] {
            let mut event = event.clone();
            *event.pointer_mut(pointer).unwrap() = value;
            assert!(read(&event).is_none(), "{event}");
        }
    }
}
