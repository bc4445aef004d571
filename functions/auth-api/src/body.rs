//! Request bodies of auth-api. Unknown members are rejected, so that a client cannot set attributes
//! that are not on the list, and so are repeated ones, in `attributes` too: a firewall before this function may have
//! read the other value.

use std::collections::BTreeMap;
use std::fmt;

use auth::Secret;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// Attributes by name. A repeated name is an error; in serde's own maps the last value is used.
#[derive(Clone, Default)]
pub(crate) struct Attributes(pub(crate) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Distinct;

        impl<'de> Visitor<'de> for Distinct {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings with distinct names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut attributes = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if attributes.insert(name, value).is_some() {
                        return Err(A::Error::custom("repeats a name"));
                    }
                }
                Ok(Attributes(attributes))
            }
        }

        deserializer.deserialize_map(Distinct)
    }
}

/// A request that carries only a user's identifier: `resend`, `forgot-password`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserIdentifier {
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignUp {
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) password: Secret,
    #[serde(default)]
    pub(crate) attributes: Attributes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirm {
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) code: Secret,
    pub(crate) password: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmForgotPassword {
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) code: Secret,
    pub(crate) password: Secret,
}

/// Sign-in with a password, or with the first SRP message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) srp_a: Option<String>,
    /// With `password`, after `password_change_required`.
    pub(crate) new_password: Option<Secret>,
}

/// The response to a Cognito challenge. The challenge decides which members are required.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub(crate) challenge: String,
    pub(crate) session: Option<String>,
    pub(crate) username: String,
    pub(crate) code: Option<Secret>,
    /// After `password_change_required`, with the new password.
    pub(crate) current_password: Option<Secret>,
    pub(crate) new_password: Option<Secret>,
    /// With a new password: the attributes that the pool requires and the user does not have yet.
    #[serde(default)]
    pub(crate) attributes: Attributes,
    pub(crate) method: Option<String>,
    pub(crate) answer: Option<Secret>,
    pub(crate) srp: Option<SrpProof>,
}

/// The last SRP message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SrpProof {
    pub(crate) secret_block: String,
    pub(crate) signature: String,
    pub(crate) timestamp: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    pub(crate) refresh_token: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    pub(crate) current_password: Secret,
    pub(crate) new_password: Secret,
    pub(crate) code: Option<Secret>,
    #[serde(default)]
    pub(crate) keep_session: bool,
}

/// A request that carries only a proof of ownership: `mfa/totp`, `mfa/totp/disable`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proved {
    pub(crate) current_password: Option<Secret>,
    pub(crate) code: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    pub(crate) code: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyAttribute {
    pub(crate) attribute: String,
    pub(crate) code: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Update {
    pub(crate) attributes: Attributes,
    pub(crate) current_password: Option<Secret>,
    pub(crate) code: Option<Secret>,
}
