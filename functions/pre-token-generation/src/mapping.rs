//! The mapping file: maps groups and attributes to the claims of a user's tokens.
//!
//! ```json
//! {
//!   "roles":  { "all":   [ { "group": "admins", "value": "administrator" } ] },
//!   "tenant": { "first": [ { "attribute": "custom:tenant" } ] }
//! }
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use usernames::Providers;

/// Claims that Cognito writes and triggers cannot change, and claims that identify the user.
/// Source: AWS, "Pre token generation Lambda trigger", "Excluded claims".
const RESERVED: &[&str] = &[
    "acr",
    "act",
    "address",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "azp",
    "client_id",
    "device_key",
    "email",
    "email_verified",
    "event_id",
    "exp",
    "iat",
    "identities",
    "iss",
    "jti",
    "nbf",
    "nonce",
    "origin_jti",
    "phone_number",
    "phone_number_verified",
    "scope",
    "sub",
    "token_use",
    "username",
    "version",
];
const RESERVED_PREFIXES: &[&str] = &["aws:", "cognito:", "dev:"];
const MAX_NAME_CHARS: usize = 64;
const MAX_VALUE_CHARS: usize = 256;

/// The user of a token. No `Debug`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    #[serde(default)]
    user_attributes: BTreeMap<String, Value>,
    #[serde(default)]
    group_configuration: Option<Groups>,
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
    fn groups(&self) -> &[String] {
        let groups = self.group_configuration.as_ref();
        groups
            .and_then(|groups| groups.groups_to_override.as_deref())
            .unwrap_or_default()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        let value = self.user_attributes.get(name)?.as_str()?;
        // An unverified address is only the user's claim.
        let counts = match name {
            "email" => self.is("email_verified"),
            "phone_number" => self.is("phone_number_verified"),
            _ => true,
        };
        (counts && !value.is_empty()).then_some(value)
    }

    /// Limits trust in addresses from identity providers: the address of a user who signs in
    /// through providers, or is linked to them, counts as verified only if each provider is
    /// authoritative for its domain.
    pub(crate) fn doubt_address(&mut self, providers: &Providers) {
        let is_external = self.user_attributes.get("cognito:user_status")
            == Some(&Value::from("EXTERNAL_PROVIDER"));
        let identities = self.user_attributes.get("identities");
        if identities.is_none() && !is_external {
            return;
        }
        let identities: Vec<Identity> = match identities {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
            Some(other) => serde_json::from_value(other.clone()).unwrap_or_default(),
            None => Vec::new(),
        };
        let email = self.user_attributes.get("email").and_then(Value::as_str);
        let hosted = self.user_attributes.get("custom:hd");
        let hosted = hosted.and_then(Value::as_str);
        let decides = |one: &Identity| {
            email.is_some_and(|email| providers.decides(&one.provider_name, email, hosted))
        };
        if identities.is_empty() || !identities.iter().all(decides) {
            self.user_attributes.remove("email_verified");
        }
    }

    fn is(&self, name: &str) -> bool {
        let value = self.user_attributes.get(name);
        value.is_some_and(|value| value == "true" || value == &Value::Bool(true))
    }
}

/// The mapping.
#[derive(Default)]
pub struct Mapping(BTreeMap<String, Claim>);

/// The source of a claim.
enum Claim {
    /// A list of strings: every matching rule adds its values.
    All(Vec<Rule>),
    /// A string: the value of the first matching rule.
    First(Vec<Rule>),
}

enum Rule {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum WrittenClaim {
    All(Vec<WrittenRule>),
    First(Vec<WrittenRule>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    group: Option<String>,
    group_prefix: Option<String>,
    attribute: Option<String>,
    equals: Option<String>,
    email_domain: Option<String>,
    value: Option<String>,
}

impl Mapping {
    /// Parses a mapping file.
    ///
    /// # Errors
    /// All problems of the file.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let written: BTreeMap<String, WrittenClaim> =
            serde_json::from_str(text).map_err(|error| vec![error.to_string()])?;
        let mut problems = Vec::new();
        let mut claims = BTreeMap::new();
        for (name, claim) in written {
            if let Err(problem) = check_claim_name(&name) {
                problems.push(format!("`{name}` {problem}"));
            }
            let (make, rules): (fn(Vec<Rule>) -> Claim, _) = match claim {
                WrittenClaim::All(rules) => (Claim::All, rules),
                WrittenClaim::First(rules) => (Claim::First, rules),
            };
            let mut read = Vec::new();
            for (at, rule) in rules.into_iter().enumerate() {
                match rule.read() {
                    Ok(rule) => read.push(rule),
                    Err(problem) => problems.push(format!("`{name}`, rule {}, {problem}", at + 1)),
                }
            }
            claims.insert(name, make(read));
        }
        if problems.is_empty() {
            Ok(Self(claims))
        } else {
            Err(problems)
        }
    }

    /// A user's claims; claims without a value are omitted.
    ///
    /// # Errors
    /// A value that a token cannot contain.
    pub(crate) fn claims(&self, user: &User) -> Result<BTreeMap<&str, Value>, &'static str> {
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

impl WrittenRule {
    fn read(self) -> Result<Rule, &'static str> {
        let value = |value: Option<String>| {
            let value = value.ok_or("has no `value`")?;
            check_values(&[&value])
                .map_err(|_| "has a `value` that is empty, too long or unprintable")?;
            Ok::<_, &'static str>(value)
        };
        let conditions = (
            self.group,
            self.group_prefix,
            self.attribute,
            self.email_domain,
        );
        match (conditions, self.equals, self.value) {
            ((Some(name), None, None, None), None, given) => Ok(Rule::Group {
                name,
                value: value(given)?,
            }),
            ((None, Some(prefix), None, None), None, None) => Ok(Rule::GroupPrefix(prefix)),
            ((None, None, Some(name), None), None, None) => Ok(Rule::Attribute(name)),
            ((None, None, Some(name), None), Some(equals), given) => Ok(Rule::AttributeEquals {
                name,
                equals,
                value: value(given)?,
            }),
            ((None, None, None, Some(domain)), None, given) => Ok(Rule::EmailDomain {
                domain,
                value: value(given)?,
            }),
            _ => Err(
                "is not one of `group` and `value`, `group_prefix`, `attribute`, `attribute`, `equals` and \
                 `value`, `email_domain` and `value`",
            ),
        }
    }
}

fn check_claim_name(name: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.' | '/');
    if RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
    {
        Err("is Cognito's own")
    } else if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(plain) {
        Err("is no name for a claim")
    } else {
        Ok(())
    }
}

fn check_values(values: &[&str]) -> Result<(), &'static str> {
    let fits = |value: &&str| {
        !value.is_empty()
            && value.chars().count() <= MAX_VALUE_CHARS
            && !value.chars().any(char::is_control)
    };
    if values.iter().all(fits) {
        Ok(())
    } else {
        Err("unfit_value")
    }
}
