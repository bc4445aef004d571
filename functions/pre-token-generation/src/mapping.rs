//! The mapping: which claims a user's tokens get from groups and attributes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::user::User;

const MAX_VALUE_CHARS: usize = 256;

/// The mapping.
#[derive(Default)]
pub struct Mapping(pub(crate) BTreeMap<String, Claim>);

/// The source of a claim.
pub(crate) enum Claim {
    /// A list of strings: every matching rule adds its values.
    All(Vec<Rule>),
    /// A string: the value of the first matching rule.
    First(Vec<Rule>),
}

/// A source of values.
pub(crate) enum Rule {
    Group {
        name: String,
        value: String,
    },
    GroupPrefix(String),
    Attribute(String),
    AttributeEquals {
        name: String,
        equals: String,
        value: String,
    },
    EmailDomain {
        domain: String,
        value: String,
    },
}

impl Mapping {
    /// A user's claims; claims without a value are omitted.
    ///
    /// # Errors
    /// A value that a token cannot contain.
    pub(crate) fn claims(&self, user: &User) -> Result<BTreeMap<&str, Value>, UnfitValueError> {
        let mut claims = BTreeMap::new();
        for (name, claim) in &self.0 {
            let value = match claim {
                Claim::All(rules) => {
                    let mut all: Vec<&str> = Vec::new();
                    for value in rules.iter().flat_map(|rule| rule.values(user)) {
                        if !all.contains(&value) {
                            all.push(value);
                        }
                    }
                    check_values(&all)?;
                    Some(all).filter(|all| !all.is_empty()).map(Value::from)
                }
                Claim::First(rules) => {
                    let first = rules.iter().find_map(|rule| rule.values(user).next());
                    check_values(first.as_slice())?;
                    first.map(Value::from)
                }
            };
            claims.extend(value.map(|value| (name.as_str(), value)));
        }
        Ok(claims)
    }
}

impl Rule {
    /// The rule's values for a user: none, one, or several for a group prefix.
    fn values<'a>(&'a self, user: &'a User) -> impl Iterator<Item = &'a str> {
        let (one, many) = match self {
            Self::Group { name, value } => {
                let member = user.groups().contains(name);
                (member.then_some(value.as_str()), None)
            }
            Self::GroupPrefix(prefix) => {
                let groups = user.groups().iter();
                let rest = groups.filter_map(|group| group.strip_prefix(prefix.as_str()));
                (None, Some(rest.filter(|rest| !rest.is_empty())))
            }
            Self::Attribute(name) => (user.attribute(name), None),
            Self::AttributeEquals {
                name,
                equals,
                value,
            } => {
                let same = user.attribute(name) == Some(equals);
                (same.then_some(value.as_str()), None)
            }
            Self::EmailDomain { domain, value } => {
                let email = user
                    .attribute("email")
                    .and_then(|email| email.rsplit_once('@'));
                let same = email.is_some_and(|(_, of)| of.eq_ignore_ascii_case(domain));
                (same.then_some(value.as_str()), None)
            }
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

/// A value that is empty, too long or unprintable: a token cannot contain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnfitValueError;

pub(crate) fn check_values(values: &[&str]) -> Result<(), UnfitValueError> {
    let fits = |value: &&str| {
        !value.is_empty()
            && value.chars().count() <= MAX_VALUE_CHARS
            && !value.chars().any(char::is_control)
    };
    if values.iter().all(fits) {
        Ok(())
    } else {
        Err(UnfitValueError)
    }
}
