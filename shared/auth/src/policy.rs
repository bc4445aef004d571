//! The IAM policy document that an authorizer answers with.

use serde::{Serialize, Serializer};

/// Allowed or denied. There is no default: whoever builds a policy writes which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Effect {
    /// The caller may go on.
    Allow,
    /// A known caller may not: API Gateway answers 403.
    Deny,
}

/// A policy of one action, `execute-api:Invoke`, as API Gateway evaluates it.
/// Source: AWS, "Output from an API Gateway Lambda authorizer".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDocument {
    version: &'static str,
    statement: List<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    action: &'static str,
    effect: Effect,
    resource: List<String>,
}

/// One, as for almost every request, or several; a list in JSON either way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum List<T> {
    One([T; 1]),
    Several(Vec<T>),
}

impl<T> std::ops::Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(one) => one,
            Self::Several(several) => several,
        }
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl PolicyDocument {
    /// `effect` on one resource.
    ///
    /// There is always a statement: with none, API Gateway would fall back on the API's resource
    /// policy, and silence there is not a refusal.
    #[must_use]
    pub fn new(effect: Effect, resource: String) -> Self {
        Self {
            version: VERSION,
            statement: List::One([Statement::new(effect, List::One([resource]))]),
        }
    }

    /// The same effect on one resource more.
    #[must_use]
    pub fn and(mut self, resource: String) -> Self {
        if let List::One([statement]) = &mut self.statement
            && let List::One([first]) = &mut statement.resource
        {
            statement.resource = List::Several(vec![std::mem::take(first), resource]);
        }
        self
    }

    /// Whether there is an Allow in it.
    #[must_use]
    pub fn allows_something(&self) -> bool {
        self.statement.iter().any(|one| one.effect == Effect::Allow)
    }

    /// Whether some statement, of either effect, covers this ARN.
    #[must_use]
    pub fn speaks_of(&self, arn: &str) -> bool {
        let mut resources = self.statement.iter().flat_map(|one| one.resource.iter());
        resources.any(|resource| glob(resource, arn))
    }

    /// `Allow` on some resources, `Deny` on others; at least one of `allowed`.
    #[must_use]
    pub fn of(allowed: Vec<String>, denied: Vec<String>) -> Self {
        let mut statement = vec![Statement::new(Effect::Allow, List::Several(allowed))];
        if !denied.is_empty() {
            statement.push(Statement::new(Effect::Deny, List::Several(denied)));
        }
        Self {
            version: VERSION,
            statement: List::Several(statement),
        }
    }
}

const VERSION: &str = "2012-10-17";

impl Statement {
    fn new(effect: Effect, resource: List<String>) -> Self {
        Self {
            action: "execute-api:Invoke",
            effect,
            resource,
        }
    }
}

/// IAM's `*`: any characters, slashes included.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_is_what_api_gateway_reads() {
        let document = PolicyDocument::new(Effect::Deny, "arn".to_owned());
        assert_eq!(
            serde_json::to_string(&document).unwrap(),
            r#"{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Deny","Resource":["arn"]}]}"#
        );
    }
}
