//! The user of a token: groups and attributes.

use runtime::{Members, UserAttributes};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use usernames::Providers;

/// The user of a token. No `Debug`.
pub(crate) struct User {
    attributes: UserAttributes,
    groups: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Groups {
    groups_to_override: Option<Vec<String>>,
}

/// An element of the attribute `identities`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    provider_name: String,
}

impl User {
    /// Reads the user of an event's `request`; `None` if it is malformed.
    pub(crate) fn read(request: &Members<'_>) -> Option<Self> {
        let groups = request.member("groupConfiguration").map(RawValue::get);
        let groups: Option<Groups> = match groups {
            None => None,
            Some(json) => serde_json::from_str(json).ok()?,
        };
        Some(Self {
            attributes: request.user_attributes_if_any()?,
            groups: groups
                .and_then(|groups| groups.groups_to_override)
                .unwrap_or_default(),
        })
    }

    pub(crate) fn groups(&self) -> &[String] {
        &self.groups
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        // An unverified address is only the user's claim.
        let counts = match name {
            "email" => self.attributes.is_true("email_verified"),
            "phone_number" => self.attributes.is_true("phone_number_verified"),
            _ => true,
        };
        self.attributes.filled(name).filter(|_| counts)
    }

    /// Limits trust in addresses from identity providers: the address of a user who signs in
    /// through providers, or is linked to them, counts as verified only if each provider is
    /// authoritative for its domain.
    ///
    /// Google's hosted domain does not count: the app client must be permitted to write an attribute
    /// that a provider maps, so `custom:hd` is what the user says.
    /// Source: AWS, `UpdateUserPoolClient`: `WriteAttributes`.
    pub(crate) fn doubt_address(&mut self, providers: &Providers) {
        if !self.attributes.is_federated() {
            return;
        }
        let identities: Vec<Identity> = match self.attributes.get("identities") {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
            Some(other) => serde_json::from_value(other.clone()).unwrap_or_default(),
            None => Vec::new(),
        };
        let email = self.attributes.text("email");
        let decides = |one: &Identity| {
            email.is_some_and(|email| providers.decides(&one.provider_name, email, None))
        };
        if identities.is_empty() || !identities.iter().all(decides) {
            self.attributes.remove("email_verified");
        }
    }
}
