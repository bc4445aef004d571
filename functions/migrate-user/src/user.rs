//! A user of an old store.

use std::collections::{BTreeMap, BTreeSet};

use auth::Secret;
use usernames::normalize;

/// A user of an old store. No `Debug`.
pub(crate) struct LegacyUser {
    /// The user name in the old store's spelling.
    pub(crate) username: String,
    /// Attributes, by the pool's names.
    pub(crate) attributes: BTreeMap<String, String>,
    /// The pool's names of attributes that are not migrated, because the pool would refuse their values.
    pub(crate) left_behind: BTreeSet<String>,
    /// Why the user may not sign in; `None` for a user who may.
    pub(crate) bar: Option<Bar>,
    /// Whether the user is confirmed.
    pub(crate) confirmed: bool,
    /// The time of the last sign-in, or the closest time that the store records; seconds since 1970.
    pub(crate) last_sign_in: Option<i64>,
    /// Whether the old store requires a password reset.
    pub(crate) must_reset: bool,
    /// The user's groups, by the old store's names.
    pub(crate) groups: Vec<String>,
    /// How to verify the user's password.
    pub(crate) credential: Credential,
}

/// Why a user may not sign in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Bar {
    /// The old store says so.
    Disabled,
    /// The user's `status` is this text, which migrate-user does not know.
    UnknownStatus(String),
}

/// How to verify a user's password.
pub(crate) enum Credential {
    /// With this hash.
    Hash(Secret),
    /// The source has checked the password, with this result.
    Checked(bool),
    /// With a further call to the source.
    AtSource,
    /// The old store has no password of this user.
    None,
}

impl LegacyUser {
    /// Whether the user has an address or a number, verified by the old store, to which Cognito could send a code.
    /// A pool whose user names are addresses sends codes by email only.
    pub(crate) fn is_verified(&self, username_is_email: bool) -> bool {
        self.has_verified("email_verified")
            || !username_is_email && self.has_verified("phone_number_verified")
    }

    fn has_verified(&self, name: &str) -> bool {
        self.attributes
            .get(name)
            .is_some_and(|value| value == "true")
    }

    /// Whether `name` itself is a verified address or number of the user.
    pub(crate) fn owns(&self, name: &str, case_sensitive: bool) -> bool {
        let is = |attribute: &str| {
            let value = self.attributes.get(attribute);
            value.is_some_and(|value| {
                normalize(value, case_sensitive) == normalize(name, case_sensitive)
            })
        };
        is("email") && self.has_verified("email_verified")
            || is("phone_number") && self.has_verified("phone_number_verified")
    }
}

/// The usual spellings of a name in a case-sensitive store.
pub(crate) fn spellings(typed: &str, case_sensitive: bool) -> Vec<String> {
    if case_sensitive {
        return vec![typed.to_owned()];
    }
    usernames::spellings(typed, &normalize(typed, false))
}
