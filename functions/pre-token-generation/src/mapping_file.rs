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

use crate::mapping::{Claim, Mapping, Rule, check_values};

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
