//! Reads Cedar policies from the texts of their files, and validates them against their schema: for the programs that read
//! a folder of policies, and for the build of those that have policies compiled in.

#![warn(missing_docs)]

use std::str::FromStr;

use cedar_policy::{EntityTypeName, PolicyId, PolicySet, Schema, ValidationMode, Validator};

/// Placeholder for the user pool's id in policies: the names of groups contain it.
const POOL_PLACEHOLDER: &str = "{{USER_POOL_ID}}";

/// The problems of the policies, each with its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError(pub Vec<String>);

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for PolicyError {}

/// Policies that are valid for a schema.
pub struct Validated {
    /// The policies.
    pub policies: PolicySet,
    /// The namespace of the schema's entity types.
    pub namespace: String,
}

/// Reads policies, each with its file's name, and validates them strictly against `schema`. Whether they are valid
/// does not depend on the user pool's id.
///
/// # Errors
/// All problems, with their files; also if there is no policy.
pub fn validated<T: AsRef<str>>(
    schema: &str,
    files: &[(T, T)],
    user_pool_id: &str,
) -> Result<Validated, PolicyError> {
    let in_schema = |problem: &str| PolicyError(vec![format!("schema.cedarschema: {problem}")]);
    let (schema, _) =
        Schema::from_cedarschema_str(schema).map_err(|error| in_schema(&error.to_string()))?;
    let namespace = schema
        .entity_types()
        .find(|name| name.basename() == "Application")
        .map(EntityTypeName::namespace)
        .ok_or_else(|| in_schema("no entity type Application"))?;
    let policies = read(files, user_pool_id)?;
    let result = Validator::new(schema).validate(&policies, ValidationMode::Strict);
    if !result.validation_passed() {
        let errors = result.validation_errors();
        return Err(PolicyError(errors.map(ToString::to_string).collect()));
    }
    Ok(Validated {
        policies,
        namespace,
    })
}

/// All policies of all files in one set, each under its `@id` or its file and position; not validated.
///
/// # Errors
/// All problems, with their files; also if there is no policy.
pub fn read<T: AsRef<str>>(files: &[(T, T)], user_pool_id: &str) -> Result<PolicySet, PolicyError> {
    let mut all = PolicySet::new();
    let mut problems = Vec::new();
    for (file, text) in files {
        let (file, text) = (file.as_ref(), text.as_ref());
        let text = text.replace(POOL_PLACEHOLDER, user_pool_id);
        let policies = match PolicySet::from_str(&text) {
            Ok(policies) => policies,
            Err(error) => {
                problems.push(format!("{file}: {error}"));
                continue;
            }
        };
        if policies.templates().next().is_some() {
            problems.push(format!("{file}: policy templates are not supported"));
        }
        for policy in policies.policies() {
            let id = policy
                .annotation("id")
                .map_or_else(|| format!("{file} {}", policy.id()), str::to_owned);
            if all.add(policy.new_id(PolicyId::new(&id))).is_err() {
                problems.push(format!("{file}: a second policy has the id `{id}`"));
            }
        }
    }
    if all.is_empty() && problems.is_empty() {
        problems.push("there is no policy".to_owned());
    }
    if problems.is_empty() {
        Ok(all)
    } else {
        Err(PolicyError(problems))
    }
}
