//! Decides by the Cedar policies about a known caller's request, and builds the IAM policy.

use api_gateway::routes::{self, Route, RouteTable};
use api_gateway::{Effect, IamPolicy, MethodArn};
use auth::{DenyReason, UnixSeconds, VerifiedClaims};

use crate::Event;
use crate::config::Settings;
use crate::event::Kind;
use crate::method::{Method, Path};
use crate::outcome::{Authorization, AuthorizeError};
use crate::policy_scope::PolicyScope;

impl Settings {
    /// Authorizes the request and builds the IAM policy.
    pub(crate) fn authorize_request(
        &self,
        event: &Event<'_>,
        claims: &VerifiedClaims,
        method: &Method<'_>,
        forged: bool,
        now: UnixSeconds,
    ) -> Result<Authorization, AuthorizeError> {
        match (&self.scope, event.kind(), &method.arn) {
            (PolicyScope::Api(table), Kind::Token | Kind::Request | Kind::Http, Some(arn)) => {
                self.authorize_all_routes(table, claims, method, arn, now)
            }
            (_, _, arn) => {
                let template = method.template.as_deref();
                let resource = arn.map(|arn| arn.request_resource(template));
                let known = self.known_route(method);
                let parameters = self.path_parameters(event, method, known);
                let unclear = parameters.is_none().then_some(DenyReason::UnclearPath);
                let reason = self.denied_before_policies(event, method, forged);
                let reason = reason.or(unclear);
                // No policy can name this path alone, and API Gateway would cache one for every
                // path.
                let unnamed = matches!(resource, Some(None)).then_some(DenyReason::UnclearPath);
                let reason = reason.or(unnamed);
                let effect = match reason {
                    Some(_) => Effect::Deny,
                    None => {
                        let parameters = parameters.unwrap_or_default();
                        let request = self.cedar_request(event, method, known, parameters, now);
                        self.policies.decide(claims, &request)
                    }
                };
                let policy = arn.map(|arn| {
                    let resource = resource.flatten();
                    let resource = resource.unwrap_or_else(|| arn.resource_of_verb());
                    let policy = IamPolicy::new(effect, resource);
                    match arn.decoded_resource() {
                        Some(decoded) => policy.and(decoded),
                        None => policy,
                    }
                });
                Ok(Authorization {
                    effect,
                    reason,
                    policy,
                })
            }
        }
    }

    /// Denies that precede the Cedar policies.
    fn denied_before_policies(
        &self,
        event: &Event<'_>,
        method: &Method<'_>,
        forged: bool,
    ) -> Option<DenyReason> {
        if forged || event.is_from_elsewhere(&self.allowed_origins) {
            return Some(DenyReason::ForeignOrigin);
        }
        let path_counts = method.template.is_none() || self.policies.uses_path();
        if method.path == Path::Unclear && path_counts {
            return Some(DenyReason::UnclearPath);
        }
        // A `forbid` for an address would not apply. Events of these kinds never have one.
        let has_address = !matches!(event.kind(), Kind::Token | Kind::AppSync);
        let is_unknown = has_address && self.policies.uses_address() && event.source_ip().is_none();
        is_unknown.then_some(DenyReason::UnknownAddress)
    }

    /// Decides about every route, so that the policy is valid for all of them.
    fn authorize_all_routes(
        &self,
        table: &RouteTable,
        claims: &VerifiedClaims,
        method: &Method<'_>,
        arn: &MethodArn<'_>,
        now: UnixSeconds,
    ) -> Result<Authorization, AuthorizeError> {
        let here = |route: &Route| match &method.template {
            Some(template) => route.verb() == method.verb && route.template() == template,
            None => match &method.path {
                Path::Plain(path) => table.route_of(&method.verb, path) == Some(route),
                Path::Unasked | Path::Unclear => false,
            },
        };
        let at = table.routes().iter().position(here);
        let decide = |route: &Route| {
            let request = auth_cedar::Request {
                verb: route.verb(),
                route: route.template(),
                path_parameters: Vec::new(),
                path: None,
                source_ip: None,
                now,
            };
            self.policies.decide(claims, &request)
        };
        let effects: Vec<Effect> = table.routes().iter().map(decide).collect();
        let effect = at.and_then(|at| effects.get(at)).copied();
        let effect = effect.ok_or(AuthorizeError::UnknownRoute)?;
        let policy = table.policy(arn, &effects);
        // API Gateway compares the client's spelling of the path, which the route's pattern may not cover:
        // another route's could allow what is denied here, and without any the API's resource policy decides.
        if policy.effect_on(arn) == Some(effect) {
            Ok(Authorization {
                effect,
                reason: None,
                policy: Some(policy),
            })
        } else {
            Err(AuthorizeError::UnknownRoute)
        }
    }

    /// The route that matches the path, if the event does not name one.
    fn known_route(&self, method: &Method<'_>) -> Option<&Route> {
        match method.template {
            Some(_) => None,
            None => routes::route_of(&self.routes, &method.verb, method.route()),
        }
    }

    /// The parameters of the route, if policies use them; `None` if one is missing or unclear: a `forbid` for its value
    /// would not apply.
    fn path_parameters(
        &self,
        event: &Event<'_>,
        method: &Method<'_>,
        known: Option<&Route>,
    ) -> Option<Vec<(String, String)>> {
        if !self.policies.uses_parameters() {
            return Some(Vec::new());
        }
        match (&method.template, known, &method.path) {
            (Some(template), ..) => event.path_parameters(template),
            (None, Some(route), Path::Plain(path)) => Some(route.parameters(path)),
            (None, ..) => Some(Vec::new()),
        }
    }

    /// The Cedar request. If the event does not name the route, it is the route that matches the
    /// path; if no route matches, the path itself.
    fn cedar_request<'q>(
        &'q self,
        event: &Event<'_>,
        method: &'q Method<'_>,
        known: Option<&'q Route>,
        path_parameters: Vec<(String, String)>,
        now: UnixSeconds,
    ) -> auth_cedar::Request<'q> {
        let policies = &self.policies;
        let path = match &method.path {
            Path::Plain(path) => Some(path.as_str()),
            Path::Unasked | Path::Unclear => None,
        };
        auth_cedar::Request {
            verb: &method.verb,
            route: known.map_or(method.route(), Route::template),
            path: path.filter(|_| policies.uses_path()),
            path_parameters,
            source_ip: if policies.uses_address() {
                event.source_ip()
            } else {
                None
            },
            now,
        }
    }
}
