//! What policies use of a request. The answers come from the syntax trees, in which all spellings of a condition are
//! equal: blanks, comments, parentheses, escapes in names.

use cedar_policy::Policy;
use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal, Var};

/// What one policy, or a set of them, uses. `context` as a whole, compared or put into a set, counts as a use of
/// everything, so that nothing is withheld from a policy and no decision is cached by mistake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    /// Tags of any entity.
    pub tags: bool,
    /// Tags of the API: the route's parameters.
    pub parameters: bool,
    /// Membership in roles.
    pub roles: bool,
    /// `context.source_ip`.
    pub address: bool,
    /// `context.path`.
    pub path: bool,
    /// `context.auth_age`.
    pub age: bool,
}

impl Uses {
    const EVERYTHING: Self = Self {
        tags: true,
        parameters: true,
        roles: true,
        address: true,
        path: true,
        age: true,
    };

    /// What the policy uses.
    ///
    /// Not from its JSON or `pst`: a policy that was parsed from text would be parsed again for them, which is the most
    /// expensive part of loading, and their conversions recurse, so that a long `||` exhausts the stack.
    pub(crate) fn of(policy: &Policy) -> Self {
        let mut uses = Self::default();
        let (mut contexts, mut attributes_of_context) = (0, 0);
        let condition = policy.as_ref().condition();
        for expression in condition.subexpressions() {
            match expression.expr_kind() {
                ExprKind::Lit(Literal::EntityUID(entity)) => {
                    let kind = entity.entity_type().name().basename();
                    uses.roles |= AsRef::<str>::as_ref(&kind) == "Role";
                }
                ExprKind::Var(Var::Context) => contexts += 1,
                ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } => {
                    uses.add_attribute(attr);
                    attributes_of_context += i32::from(is(expr, Var::Context));
                }
                ExprKind::ExtHasAttr { expr, attrs } => {
                    attrs.iter().for_each(|attr| uses.add_attribute(attr));
                    attributes_of_context += i32::from(is(expr, Var::Context));
                }
                ExprKind::BinaryApp {
                    op: BinaryOp::GetTag | BinaryOp::HasTag,
                    arg1,
                    ..
                } => {
                    uses.tags = true;
                    uses.parameters |= !is(arg1, Var::Principal);
                }
                // Their operands are expressions of this loop.
                ExprKind::Lit(_)
                | ExprKind::Var(Var::Principal | Var::Action | Var::Resource)
                | ExprKind::If { .. }
                | ExprKind::And { .. }
                | ExprKind::Or { .. }
                | ExprKind::UnaryApp { .. }
                | ExprKind::BinaryApp { .. }
                | ExprKind::ExtensionFunctionApp { .. }
                | ExprKind::Like { .. }
                | ExprKind::Is { .. }
                | ExprKind::Set(_)
                | ExprKind::Record(_) => {}
                ExprKind::Slot(_) | ExprKind::Unknown(_) => uses = Self::EVERYTHING,
            }
        }
        if contexts > attributes_of_context {
            return Self::EVERYTHING;
        }
        uses
    }

    /// Both uses.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            tags: self.tags || other.tags,
            parameters: self.parameters || other.parameters,
            roles: self.roles || other.roles,
            address: self.address || other.address,
            path: self.path || other.path,
            age: self.age || other.age,
        }
    }

    /// Whether the decision may differ between two requests of the same caller to the same route and path.
    pub(crate) fn is_request_scoped(self) -> bool {
        self.parameters || self.address || self.age
    }

    fn add_attribute(&mut self, name: &str) {
        self.address |= name == "source_ip";
        self.path |= name == "path";
        self.age |= name == "auth_age";
    }
}

fn is(expression: &Expr, variable: Var) -> bool {
    matches!(expression.expr_kind(), ExprKind::Var(found) if *found == variable)
}
