//! Authorizes known callers by Cedar policies.
//!
//! Names are those of Amazon Verified Permissions for a policy store that is linked to an API and a
//! Cognito user pool (AWS, "Creating API-linked policy stores"): `NS::User::"<pool>|<sub>"`,
//! `NS::UserGroup::"<pool>|<group>"`, `NS::Action::"get /users"`, `NS::Application::"NS"`, the
//! token under `context.token`; and by the same scheme `NS::Role::"<pool>|<role>"`.
//!
//! Cedar skips a policy that it fails to evaluate. A skipped `permit` permits nothing, but a
//! skipped `forbid` would forbid nothing: this crate denies the request instead.

#![warn(missing_docs)]

mod uses;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use api_gateway::Effect;
use auth::{Principal, UnixSeconds, VerifiedClaims};
use cedar_policy as cedar;
use cedar_policy::{
    Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet,
    RestrictedExpression,
};

use crate::uses::Uses;

pub use cedar_files::PolicyError;

/// `auth_age` of callers that do not sign in, in seconds: longer ago than any rule asks for.
const NO_SIGN_IN: u64 = i64::MAX.unsigned_abs();

/// The schema of a folder of policies.
const SCHEMA_FILE: &str = "schema.cedarschema";

/// A request to authorize.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `GET`, or a WebSocket route such as `$connect`.
    pub verb: &'a str,
    /// The route's template.
    pub route: &'a str,
    /// The path, if the template does not fix it or the request matches no template.
    pub path: Option<&'a str>,
    /// The values of the route's parameters, by name.
    pub path_parameters: Vec<(String, String)>,
    /// The client's address. Policies see an IPv4 address that is written as an IPv6 one (`::ffff:192.0.2.1`) as IPv4.
    ///
    /// Without one, `context has source_ip` is false, so a `forbid` for a network does not apply: where
    /// [`CedarPolicies::uses_address`], a caller that expects an address must refuse a request without one.
    pub source_ip: Option<IpAddr>,
    /// The current time.
    pub now: UnixSeconds,
}

/// A set of policies that is valid for its schema.
pub struct CedarPolicies {
    policies: PolicySet,
    authorizer: cedar::Authorizer,
    types: Types,
    application: EntityUid,
    uses: Uses,
    request_scoped: Option<String>,
}

struct Types {
    user: EntityTypeName,
    user_group: EntityTypeName,
    role: EntityTypeName,
    client: EntityTypeName,
    api_key: EntityTypeName,
    action: EntityTypeName,
}

impl CedarPolicies {
    /// Parses policies, each with its file's name, and validates them strictly against `schema`,
    /// whose namespace becomes that of the entities.
    ///
    /// # Errors
    /// All problems, with their files; also if there is no policy.
    pub fn parse(
        schema: &str,
        policies: &[(String, String)],
        user_pool_id: &str,
    ) -> Result<Self, PolicyError> {
        let valid = cedar_files::validated(schema, policies, user_pool_id)?;
        Self::new(&valid.namespace, valid.policies)
    }

    /// Parses policies that [`cedar_files::validated`] has accepted, with another user pool's id, for a schema of this
    /// namespace. Reading and validating the schema would take four times as many instructions as the rest.
    ///
    /// # Errors
    /// As [`CedarPolicies::parse`], except for those that only validation finds.
    pub fn parse_validated(
        namespace: &str,
        policies: &[(&str, &str)],
        user_pool_id: &str,
    ) -> Result<Self, PolicyError> {
        Self::new(namespace, cedar_files::read(policies, user_pool_id)?)
    }

    fn new(namespace: &str, policies: PolicySet) -> Result<Self, PolicyError> {
        let type_name = |name: &str| {
            EntityTypeName::from_str(&format!("{namespace}::{name}"))
                .map_err(|error| problem(&format!("schema.cedarschema: {error}")))
        };
        let types = Types {
            user: type_name("User")?,
            user_group: type_name("UserGroup")?,
            role: type_name("Role")?,
            client: type_name("Client")?,
            api_key: type_name("ApiKey")?,
            action: type_name("Action")?,
        };
        let application =
            EntityUid::from_type_name_and_id(type_name("Application")?, EntityId::new(namespace));
        let mut uses = Uses::default();
        let mut request_scoped = None;
        for policy in policies.policies() {
            let id = policy.id().to_string();
            let used = Uses::of(policy);
            uses = uses.and(used);
            if used.is_request_scoped() && request_scoped.as_ref().is_none_or(|first| id < *first) {
                request_scoped = Some(id);
            }
        }
        Ok(Self {
            policies,
            authorizer: cedar::Authorizer::new(),
            types,
            application,
            uses,
            request_scoped,
        })
    }

    /// Reads all `*.cedar` files of a folder, sorted by name, and its `schema.cedarschema`.
    ///
    /// # Errors
    /// As [`CedarPolicies::parse`], or a file that could not be read.
    pub fn from_folder(folder: &Path, user_pool_id: &str) -> Result<Self, PolicyError> {
        let read = |name: &str| {
            std::fs::read_to_string(folder.join(name))
                .map_err(|error| problem(&format!("{name}: {error}")))
        };
        let entries = std::fs::read_dir(folder).map_err(|error| problem(&error.to_string()))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".cedar"))
            .collect();
        names.sort();
        let policies = names
            .into_iter()
            .map(|name| Ok((name.clone(), read(&name)?)))
            .collect::<Result<Vec<_>, PolicyError>>()?;
        Self::parse(&read(SCHEMA_FILE)?, &policies, user_pool_id)
    }

    /// Whether any policy uses the route's parameters or the token's other claims.
    #[must_use]
    pub fn uses_tags(&self) -> bool {
        self.uses.tags
    }

    /// Whether any policy uses the route's parameters.
    #[must_use]
    pub fn uses_parameters(&self) -> bool {
        self.uses.parameters
    }

    /// Whether any policy uses the client's IP address.
    #[must_use]
    pub fn uses_address(&self) -> bool {
        self.uses.address
    }

    /// Whether any policy uses the path of a request.
    #[must_use]
    pub fn uses_path(&self) -> bool {
        self.uses.path
    }

    /// The id of a policy whose decision may differ between two requests of the same caller to the same route and path:
    /// such a decision must not be cached.
    #[must_use]
    pub fn request_scoped_policy(&self) -> Option<&str> {
        self.request_scoped.as_deref()
    }

    /// Decides about the request. Any evaluation error is a Deny.
    #[must_use]
    pub fn decide(&self, claims: &VerifiedClaims, request: &Request<'_>) -> Effect {
        match self.evaluate(claims, request) {
            Some(true) => Effect::Allow,
            Some(false) | None => Effect::Deny,
        }
    }

    fn evaluate(&self, claims: &VerifiedClaims, request: &Request<'_>) -> Option<bool> {
        let (principal, entities) = self.entities(claims, request)?;
        let action = format!("{} {}", request.verb.to_ascii_lowercase(), request.route);
        let action =
            EntityUid::from_type_name_and_id(self.types.action.clone(), EntityId::new(action));
        let resource = self.application.clone();
        let context = context(claims, request)?;
        let cedar_request = cedar::Request::new(principal, action, resource, context, None).ok()?;
        let answer = self
            .authorizer
            .is_authorized(&cedar_request, &self.policies, &entities);
        let forbid_failed = answer.diagnostics().errors().any(|error| {
            let cedar::AuthorizationError::PolicyEvaluationError(error) = error;
            self.policies
                .policy(error.policy_id())
                .is_none_or(|policy| policy.effect() == cedar::Effect::Forbid)
        });
        Some(answer.decision() == Decision::Allow && !forbid_failed)
    }

    /// The caller with its groups and claims, and the API with the route's parameters. Claims and
    /// parameters are tags, and are omitted if no policy uses tags.
    fn entities(
        &self,
        claims: &VerifiedClaims,
        request: &Request<'_>,
    ) -> Option<(EntityUid, Entities)> {
        let issuer = claims.issuer_name();
        let uid = |kind: &EntityTypeName, id: &str| {
            EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(format!("{issuer}|{id}")))
        };
        let (principal, groups) = match claims.principal() {
            Principal::User => {
                let roles = self.uses.roles.then(|| claims.list("roles"));
                let roles = roles.flatten().unwrap_or_default();
                let roles = roles.iter().map(|role| uid(&self.types.role, role));
                let groups = claims.groups().iter();
                let groups = groups.map(|group| uid(&self.types.user_group, group));
                (
                    uid(&self.types.user, claims.subject()),
                    groups.chain(roles).collect(),
                )
            }
            Principal::Client => (uid(&self.types.client, claims.client_id()), HashSet::new()),
            Principal::ApiKey => (uid(&self.types.api_key, claims.token_id()?), HashSet::new()),
        };
        if !self.uses.tags {
            let caller = Entity::new_no_attrs(principal.clone(), groups);
            return Some((principal, Entities::from_entities([caller], None).ok()?));
        }
        let caller = tagged(principal.clone(), groups, claims.other_claims())?;
        let parameters = request.path_parameters.iter().cloned();
        let api = tagged(self.application.clone(), HashSet::new(), parameters)?;
        Some((
            principal,
            Entities::from_entities([caller, api], None).ok()?,
        ))
    }
}

fn tagged(
    uid: EntityUid,
    parents: HashSet<EntityUid>,
    tags: impl IntoIterator<Item = (String, String)>,
) -> Option<Entity> {
    let tags = tags
        .into_iter()
        .map(|(name, value)| (name, RestrictedExpression::new_string(value)));
    Entity::new_with_tags(uid, HashMap::new(), parents, tags).ok()
}

fn context(claims: &VerifiedClaims, request: &Request<'_>) -> Option<Context> {
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let seconds = |value: u64| {
        i64::try_from(value)
            .map(RestrictedExpression::new_long)
            .ok()
    };
    let signed_in = claims.authenticated_at();
    let token = RestrictedExpression::new_record([
        ("sub".to_owned(), text(claims.subject())),
        ("issuer".to_owned(), text(claims.issuer_name())),
        ("client_id".to_owned(), text(claims.client_id())),
        (
            "scope".to_owned(),
            RestrictedExpression::new_set(claims.scopes().map(text)),
        ),
        ("token_use".to_owned(), text(claims.token_use())),
        ("auth_time".to_owned(), seconds(signed_in.0)?),
    ])
    .ok()?;
    // What a key or a machine has is no sign-in, however young: it is never a recent one.
    let age = match claims.principal() {
        Principal::User => request.now.since(signed_in).unwrap_or(0),
        Principal::Client | Principal::ApiKey => NO_SIGN_IN,
    };
    let mut members = vec![
        ("token".to_owned(), token),
        ("route".to_owned(), text(request.route)),
        ("auth_age".to_owned(), seconds(age)?),
    ];
    if let Some(path) = request.path {
        members.push(("path".to_owned(), text(path)));
    }
    if let Some(address) = request.source_ip {
        members.push((
            "source_ip".to_owned(),
            RestrictedExpression::new_ip(address.to_canonical().to_string()),
        ));
    }
    Context::from_pairs(members).ok()
}

fn problem(text: &str) -> PolicyError {
    PolicyError(vec![text.to_owned()])
}
