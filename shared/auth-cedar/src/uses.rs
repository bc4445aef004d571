//! What policies use of a request. The answers come from the syntax trees, in which all spellings of a condition are
//! equal: blanks, comments, parentheses, escapes in names.

use cedar_policy::Policy;
use cedar_policy::pst::{
    BinaryOp, Clause, EntityOrSlot, EntityUID, Expr, Literal, PrincipalConstraint,
    PstConstructionError, ResourceConstraint, Var,
};

/// What one policy, or a set of them, uses. A form of expression that this module does not know counts as a use of
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
    /// # Errors
    /// The policy has no syntax tree, which no policy without slots has as a result of parsing.
    pub(crate) fn of(policy: &Policy) -> Result<Self, PstConstructionError> {
        // A policy that was parsed from text keeps the text, and `to_pst` would parse it again, which is the most
        // expensive part of loading. Only the syntax tree that Cedar evaluates is copied here.
        let evaluated = Policy::from(policy.as_ref().clone());
        let policy = evaluated.try_into_pst()?;
        let body = policy.body();
        let mut uses = Self::default();
        match &body.principal {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => {}
            PrincipalConstraint::Eq(entity)
            | PrincipalConstraint::In(entity)
            | PrincipalConstraint::IsIn(_, entity) => uses.add_scope(entity),
        }
        match &body.resource {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => {}
            ResourceConstraint::Eq(entity)
            | ResourceConstraint::In(entity)
            | ResourceConstraint::IsIn(_, entity) => uses.add_scope(entity),
        }
        for clause in body.clauses() {
            match clause {
                Clause::When(condition) | Clause::Unless(condition) => uses.add(condition),
            }
        }
        Ok(uses)
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

    fn add_scope(&mut self, entity: &EntityOrSlot) {
        match entity {
            EntityOrSlot::Entity(entity) => self.add_entity(entity),
            EntityOrSlot::Slot(_) => *self = Self::EVERYTHING,
        }
    }

    fn add_entity(&mut self, entity: &EntityUID) {
        self.roles |= entity.ty.0.id.as_str() == "Role";
    }

    fn add(&mut self, expression: &Expr) {
        match expression {
            Expr::Literal(Literal::EntityUID(entity)) => self.add_entity(entity),
            Expr::Literal(_) | Expr::Var(Var::Principal | Var::Action | Var::Resource) => {}
            Expr::GetAttr { expr, attr } => {
                self.add_attribute(attr);
                self.add_owner(expr);
            }
            Expr::HasAttr { expr, attrs } => {
                attrs.iter().for_each(|attr| self.add_attribute(attr));
                self.add_owner(expr);
            }
            Expr::BinaryOp { op, left, right } => {
                if matches!(op, BinaryOp::GetTag | BinaryOp::HasTag) {
                    self.tags = true;
                    self.parameters |= !matches!(**left, Expr::Var(Var::Principal));
                }
                self.add(left);
                self.add(right);
            }
            Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => self.add(expr),
            Expr::Is { expr, in_expr, .. } => {
                self.add(expr);
                in_expr.iter().for_each(|parent| self.add(parent));
            }
            Expr::IfThenElse {
                cond,
                then_expr,
                else_expr,
            } => {
                self.add(cond);
                self.add(then_expr);
                self.add(else_expr);
            }
            Expr::Set(members) => members.iter().for_each(|member| self.add(member)),
            Expr::Record(members) => members.values().for_each(|member| self.add(member)),
            // `context` as a whole, compared or put into a set, has every attribute.
            _ => *self = Self::EVERYTHING,
        }
    }

    fn add_attribute(&mut self, name: &str) {
        self.address |= name == "source_ip";
        self.path |= name == "path";
        self.age |= name == "auth_age";
    }

    /// The expression before an attribute's name. Of `context` only that attribute is used.
    fn add_owner(&mut self, expression: &Expr) {
        if !matches!(expression, Expr::Var(Var::Context)) {
            self.add(expression);
        }
    }
}
