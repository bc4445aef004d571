//! The IAM policy document that an authorizer returns.

use serde::{Serialize, Serializer};

use crate::method_arn::MethodArn;

/// Allow or Deny. It has no default: the code that builds a policy must choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Effect {
    /// The request may proceed.
    Allow,
    /// The caller is known but not permitted: API Gateway answers 403.
    Deny,
}

/// A policy for one action, `execute-api:Invoke`, as API Gateway evaluates it.
/// Source: AWS, "Output from an API Gateway Lambda authorizer".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct IamPolicy {
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

/// One element, as for almost every request, or several; always a list in JSON.
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

impl IamPolicy {
    /// A policy with `effect` on one resource.
    ///
    /// A policy always has a statement: without one, API Gateway would fall back on the API's
    /// resource policy, which need not deny the request.
    #[must_use]
    pub fn new(effect: Effect, resource: String) -> Self {
        Self {
            version: VERSION,
            statement: List::One([Statement::new(effect, List::One([resource]))]),
        }
    }

    /// Adds the same effect on one more resource.
    #[must_use]
    pub fn and(mut self, resource: String) -> Self {
        if let List::One([statement]) = &mut self.statement
            && let List::One([first]) = &mut statement.resource
        {
            statement.resource = List::Several(vec![std::mem::take(first), resource]);
        }
        self
    }

    /// Whether any statement is an Allow.
    #[must_use]
    pub fn has_allow(&self) -> bool {
        self.statement.iter().any(|one| one.effect == Effect::Allow)
    }

    /// The policy that denies what this one allows, and what it denies. It covers the same requests, so that none of
    /// them is left to the API's resource policy.
    #[must_use]
    pub fn denied(mut self) -> Self {
        let statements: &mut [Statement] = match &mut self.statement {
            List::One(one) => one,
            List::Several(several) => several,
        };
        for statement in statements {
            statement.effect = Effect::Deny;
        }
        self
    }

    /// Whether any statement, Allow or Deny, covers this ARN.
    #[must_use]
    pub fn covers(&self, arn: &str) -> bool {
        self.effect_on_text(arn).is_some()
    }

    /// The effect on this request, evaluated as IAM does. `None` if no statement covers it, or if the spelling that the
    /// client sent and the decoded one have different effects: AWS does not document which of them API Gateway
    /// compares.
    #[must_use]
    pub fn effect_on(&self, arn: &MethodArn<'_>) -> Option<Effect> {
        let effect = self.effect_on_text(arn.as_str());
        match arn.decoded() {
            Some(decoded) => effect.filter(|effect| self.effect_on_text(&decoded) == Some(*effect)),
            None => effect,
        }
    }

    fn effect_on_text(&self, arn: &str) -> Option<Effect> {
        let covers = |one: &&Statement| one.resource.iter().any(|resource| glob(resource, arn));
        let effects = self.statement.iter().filter(covers).map(|one| one.effect);
        // An explicit Deny precedes any Allow.
        effects.reduce(|so_far, next| match so_far {
            Effect::Deny => so_far,
            Effect::Allow => next,
        })
    }

    /// `Allow` on some resources and `Deny` on others; `allowed` must not be empty.
    #[must_use]
    pub fn allow_and_deny(allowed: Vec<String>, denied: Vec<String>) -> Self {
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
fn glob(pattern: &str, text: &str) -> bool {
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
    fn a_denied_policy_covers_the_same_and_allows_nothing() {
        let arns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for policy in [
            IamPolicy::allow_and_deny(arns(&["a", "b"]), arns(&["c"])),
            IamPolicy::new(Effect::Allow, "a".to_owned())
                .and("b".to_owned())
                .and("c".to_owned()),
        ] {
            let covered = |policy: &IamPolicy| ["a", "b", "c", "d"].map(|arn| policy.covers(arn));
            let denied = policy.clone().denied();
            assert!(!denied.has_allow());
            assert_eq!(covered(&denied), covered(&policy));
        }
    }

    #[test]
    fn a_policy_allows_if_any_statement_does() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (policy, allows) in [
            (IamPolicy::new(Effect::Allow, "a".to_owned()), true),
            (IamPolicy::new(Effect::Deny, "a".to_owned()), false),
            (IamPolicy::allow_and_deny(list(&["a"]), list(&["b"])), true),
            (IamPolicy::allow_and_deny(list(&["a"]), list(&[])), true),
        ] {
            assert_eq!(policy.has_allow(), allows, "{policy:?}");
            assert!(policy.covers("a"), "{policy:?}");
            assert!(!policy.covers("c"), "{policy:?}");
        }
        let alone = IamPolicy::allow_and_deny(list(&["a"]), list(&[]));
        let json = serde_json::to_value(&alone).unwrap();
        assert_eq!(json["Statement"].as_array().map(Vec::len), Some(1));
        let two = IamPolicy::new(Effect::Allow, "a".to_owned()).and("b".to_owned());
        assert!(two.covers("b"));
    }

    #[test]
    fn a_deny_precedes_and_both_spellings_count() {
        let api = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod";
        let list = |names: &[&str]| names.iter().map(|name| format!("{api}/{name}")).collect();
        let policy = IamPolicy::allow_and_deny(list(&["GET/a/*", "GET/c"]), list(&["GET/a/*/b"]));
        for (request, effect) in [
            ("GET/a/1", Some(Effect::Allow)),
            ("GET/a/1/b", Some(Effect::Deny)),
            ("GET/b", None),
            ("POST/a/1", None),
            ("GET/a/%31", Some(Effect::Allow)),
            ("GET/a/%ff", Some(Effect::Allow)),
            ("GET/a/%zz", Some(Effect::Allow)),
            ("GET/a/%31/b", Some(Effect::Deny)),
            // The Deny covers one spelling alone.
            ("GET/a/1/%62", None),
            ("GET/a/1%2fb", None),
            ("GET/a/%zz/%62", None),
            // The Allow covers one spelling alone.
            ("GET/%61/1", None),
            ("GET/%63", None),
        ] {
            let arn = format!("{api}/{request}");
            let arn = MethodArn::parse(&arn).unwrap();
            assert_eq!(policy.effect_on(&arn), effect, "{request}");
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, matches) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "", false),
            ("", "", true),
            ("*", "", true),
            ("*", "a/b", true),
            ("a*", "a", true),
            ("a*", "a/b", true),
            ("a*", "b", false),
            ("*b", "a/b", true),
            ("*b", "b/a", false),
            ("a*b", "ab", true),
            ("a*b", "a", false),
            ("ab*ba", "aba", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*bb*b", "abb", false),
            ("a*bb*b", "abbb", true),
            ("a*b*b*c", "abc", false),
            ("a**c", "ac", true),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn serializes_in_the_form_that_api_gateway_reads() {
        let document = IamPolicy::new(Effect::Deny, "arn".to_owned());
        assert_eq!(
            serde_json::to_string(&document).unwrap(),
            r#"{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Deny","Resource":["arn"]}]}"#
        );
    }
}
