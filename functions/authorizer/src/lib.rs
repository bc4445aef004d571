//! The Lambda authorizer: identifies the caller, checks revocations, and authorizes the request.
//!
//! [`Authorizer::authorize`] is the whole decision; the rest of this crate prepares or reports it.

mod answer;
pub mod cedar;
pub mod config;
pub mod context;
pub mod event;
pub mod report;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_gateway::routes::{self, Route, RouteTable};
use api_gateway::{Effect, IamPolicy, MethodArn};
use auth::api_key::PresentedKey;
use auth::{
    ApiKeyStore, AuthError, DenyReason, KeySource, RevocationReader, Unavailable, UnixSeconds,
    UnverifiedToken, VerifiedClaims, Verifier,
};
use auth_dynamodb::{DynamoApiKeys, DynamoRevocations};
use auth_jwks::HttpsKeys;
use runtime::{Handler, InvocationError, clock};
use serde_json::value::RawValue;

use cedar::PolicyScope;
pub use config::Config;
use config::Settings;
pub use event::Event;
use event::{Credential, Kind, Method};
use report::Reporter;

/// Time limit of a decision: enough for a fetch of keys or the slowest response of the store, and
/// shorter than Lambda's timeout, so that the function responds and not the platform.
const BUDGET: Duration = Duration::from_millis(2_500);

/// Authorizes requests. Generic over the sources of keys, revocations and API keys.
pub struct Authorizer<K, R, A = DynamoApiKeys> {
    verifier: Verifier,
    keys: K,
    revocations: R,
    /// `None`: API keys are not accepted.
    api_keys: Option<ApiKeys<A>>,
    settings: Settings,
    reporter: Reporter,
}

/// The source of API keys.
pub struct ApiKeys<A> {
    /// The table.
    pub store: A,
    /// The issuer under whose id the revocations of keys and their owners are stored.
    pub issuer_id: Arc<str>,
}

/// The decision about a known caller.
pub struct Decision {
    /// Allow or Deny.
    pub effect: Effect,
    /// The reason for a Deny that no Cedar policy made.
    pub reason: Option<DenyReason>,
    /// The response, in the format of the API that sent the event.
    pub answer: Box<RawValue>,
    /// The caller's claims.
    pub claims: VerifiedClaims,
}

/// The authorization of a request.
struct Authorization {
    /// Allow or Deny for this request.
    effect: Effect,
    /// The reason for a Deny that no Cedar policy made.
    reason: Option<DenyReason>,
    /// The IAM policy; `None` for AppSync, which has no methods that a policy could name.
    policy: Option<IamPolicy>,
}

/// Why the authorizer returned no policy.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum AuthorizeError {
    /// The caller was refused, or a dependency failed.
    Refused(#[from] AuthError),
    /// The event names no valid API method.
    Event(#[from] api_gateway::method_arn::ArnError),
    /// `openapi.yaml` does not contain the route of the request, or not in this spelling: no policy
    /// can cover it.
    UnknownRoute,
    /// The response would exceed API Gateway's limit.
    AnswerTooLarge,
    /// The decision exceeded its time limit.
    OutOfTime,
}

impl AuthorizeError {
    /// The name in logs, metrics and `docs/outcomes.md`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Refused(AuthError::Unauthorized(reason)) => reason.as_str(),
            Self::Refused(AuthError::Unavailable(dependency)) => dependency.as_str(),
            Self::Event(_) => "invalid_method_arn",
            Self::UnknownRoute => "unknown_route",
            Self::AnswerTooLarge => "answer_too_large",
            Self::OutOfTime => "out_of_time",
        }
    }
}

impl From<Unavailable> for AuthorizeError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Refused(unavailable.into())
    }
}

impl From<DenyReason> for AuthorizeError {
    fn from(reason: DenyReason) -> Self {
        Self::Refused(reason.into())
    }
}

impl Authorizer<HttpsKeys, DynamoRevocations> {
    /// Fetches the keys and opens the connection to the store concurrently, during init, when
    /// Lambda gives a function a whole core.
    ///
    /// # Errors
    /// Never fails: the request that needs a connection repeats a failed attempt.
    pub async fn connect(config: Config) -> Result<Self, Infallible> {
        let (issuers, locations) = auth_jwks::config::split(config.issuers);
        let keys = HttpsKeys::new(locations);
        let sdk = aws_config::load_from_env().await;
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table);
        let issuer_id = issuers.first().map(|issuer| Arc::clone(&issuer.id));
        let api_keys = config.api_key_table.zip(issuer_id);
        let api_keys = api_keys.map(|(table, issuer_id)| ApiKeys {
            store: DynamoApiKeys::beside(&revocations, table),
            issuer_id,
        });
        tokio::join!(keys.prefetch(now()), revocations.warm_up());
        let verifier = Verifier::new(issuers, config.token_rules);
        Ok(Self::new(
            verifier,
            keys,
            revocations,
            api_keys,
            config.settings,
        ))
    }
}

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> Authorizer<K, R, A> {
    /// Creates an authorizer with these sources of keys and revocations.
    pub fn new(
        verifier: Verifier,
        keys: K,
        revocations: R,
        api_keys: Option<ApiKeys<A>>,
        settings: Settings,
    ) -> Self {
        Self {
            verifier,
            keys,
            revocations,
            api_keys,
            reporter: Reporter::new(settings.log),
            settings,
        }
    }

    /// Verifies the credential, checks revocations and evaluates the Cedar policies, in the order
    /// of ARCHITECTURE.md. Every step can only refuse.
    ///
    /// # Errors
    /// The first step that refused or failed.
    pub async fn authorize(&self, event: &Event<'_>) -> Result<Decision, AuthorizeError> {
        let header = self.settings.api_key_header.as_ref();
        let credential = event.credential(&self.settings.token_sources, header)?;
        let is_cookie = matches!(credential, Credential::Cookie(_));
        let claims = match credential {
            Credential::Token(bearer) | Credential::Cookie(bearer) => {
                self.verify_token(&bearer).await?
            }
            Credential::ApiKey(text) => self.verify_api_key(&text).await?,
        };

        let method_arn = event.method_arn();
        let method = event.method(&method_arn)?;

        let revocations = self.revocations.revocations(&claims, now()).await?;
        self.reporter.log_invalid_expiry(&revocations);
        revocations.check(&claims)?;
        // No await from here on.
        let now = now();
        self.verifier.still_valid(&claims, now)?;

        let forged = is_cookie && event.may_be_forged(&method.verb, &self.settings.allowed_origins);
        let authorization = self.authorize_request(event, &claims, &method, forged, now)?;
        self.decision_of(event, claims, authorization)
    }

    /// Verifies a token.
    async fn verify_token(&self, bearer: &str) -> Result<VerifiedClaims, AuthError> {
        let token = UnverifiedToken::parse_within(bearer, self.settings.max_token_bytes)?;
        let issuer = self.verifier.issuer_of(&token)?;
        let key = self
            .keys
            .key_for(issuer, token.unverified_kid(), now())
            .await?;
        Ok(self.verifier.verify(token, issuer, &key, now())?)
    }

    /// Verifies an API key.
    async fn verify_api_key(&self, text: &str) -> Result<VerifiedClaims, AuthError> {
        let api_keys = self.api_keys.as_ref().ok_or(DenyReason::MissingToken)?;
        let presented = PresentedKey::parse(text)?;
        let stored = api_keys.store.find(presented.id()).await?;
        let stored = stored.ok_or(DenyReason::UnknownApiKey)?;
        Ok(stored.verify(&presented, &api_keys.issuer_id, now())?)
    }

    /// Authorizes the request and builds the IAM policy.
    fn authorize_request(
        &self,
        event: &Event<'_>,
        claims: &VerifiedClaims,
        method: &Method<'_>,
        forged: bool,
        now: UnixSeconds,
    ) -> Result<Authorization, AuthorizeError> {
        match (&self.settings.scope, event.kind(), &method.arn) {
            (PolicyScope::Api(table), Kind::Token | Kind::Request | Kind::Http, Some(arn)) => {
                self.authorize_all_routes(table, claims, method, arn, now)
            }
            (_, _, arn) => {
                let template = method.template.as_deref();
                let resource = arn.map(|arn| arn.request_resource(template));
                let reason = self.denied_before_policies(event, method, forged);
                // No policy can name this path alone, and API Gateway would cache one for every
                // path.
                let unnamed = matches!(resource, Some(None)).then_some(DenyReason::UnclearPath);
                let reason = reason.or(unnamed);
                let effect = match reason {
                    Some(_) => Effect::Deny,
                    None => {
                        let request = self.cedar_request(event, method, now);
                        self.settings.policies.decide(claims, &request)
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
        if forged || event.is_from_elsewhere(&self.settings.allowed_origins) {
            return Some(DenyReason::ForeignOrigin);
        }
        let path_counts = method.template.is_none() || self.settings.policies.uses_path();
        (method.path == event::Path::Unclear && path_counts).then_some(DenyReason::UnclearPath)
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
                event::Path::Plain(path) => table.route_of(&method.verb, path) == Some(route),
                event::Path::Unasked | event::Path::Unclear => false,
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
            self.settings.policies.decide(claims, &request)
        };
        let effects: Vec<Effect> = table.routes().iter().map(decide).collect();
        let effect = at.and_then(|at| effects.get(at)).copied();
        let policy = table.policy(arn, &effects);
        // A policy that does not cover this request would leave it to the API's resource policy, so
        // an unusual spelling of a path is an error instead.
        if policy.covers(arn.as_str()) {
            Ok(Authorization {
                effect: effect.ok_or(AuthorizeError::UnknownRoute)?,
                reason: None,
                policy: Some(policy),
            })
        } else {
            Err(AuthorizeError::UnknownRoute)
        }
    }

    /// The Cedar request. If the event does not name the route, it is the route that matches the
    /// path; if no route matches, the path itself.
    fn cedar_request<'q>(
        &'q self,
        event: &Event<'_>,
        method: &'q Method<'_>,
        now: UnixSeconds,
    ) -> auth_cedar::Request<'q> {
        let policies = &self.settings.policies;
        let known = match method.template {
            Some(_) => None,
            None => routes::route_of(&self.settings.routes, &method.verb, method.route()),
        };
        let path = match &method.path {
            event::Path::Plain(path) => Some(path.as_str()),
            event::Path::Unasked | event::Path::Unclear => None,
        };
        auth_cedar::Request {
            verb: &method.verb,
            route: known.map_or(method.route(), Route::template),
            path: path.filter(|_| policies.uses_path()),
            path_parameters: if policies.uses_tags() {
                event.path_parameters()
            } else {
                Vec::new()
            },
            source_ip: if policies.uses_address() {
                event.source_ip()
            } else {
                None
            },
            now,
        }
    }

    fn decision_of(
        &self,
        event: &Event<'_>,
        claims: VerifiedClaims,
        authorization: Authorization,
    ) -> Result<Decision, AuthorizeError> {
        let (effect, reason) = (authorization.effect, authorization.reason);
        let form = self.settings.http_api_response;
        let chosen = &self.settings.context_claims;
        match answer::decided(event.kind(), form, &claims, authorization, chosen) {
            Some(answer) => Ok(Decision {
                effect,
                reason,
                answer,
                claims,
            }),
            None => Err(AuthorizeError::AnswerTooLarge),
        }
    }
}

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> Handler for Authorizer<K, R, A> {
    type Answer = Box<RawValue>;

    async fn handle(
        &self,
        event: &RawValue,
        request_id: &str,
    ) -> Result<Box<RawValue>, InvocationError> {
        let began = Instant::now();
        let event = Event::read(event);
        let decision = tokio::time::timeout_at((began + BUDGET).into(), self.authorize(&event))
            .await
            .unwrap_or(Err(AuthorizeError::OutOfTime));
        self.reporter.report(&decision, request_id, began.elapsed());
        match decision {
            Ok(decision) => Ok(decision.answer),
            Err(AuthorizeError::Refused(AuthError::Unauthorized(_))) => {
                answer::refused(event.kind()).ok_or(InvocationError::Unauthorized)
            }
            Err(
                AuthorizeError::Refused(AuthError::Unavailable(_))
                | AuthorizeError::Event(_)
                | AuthorizeError::UnknownRoute
                | AuthorizeError::AnswerTooLarge
                | AuthorizeError::OutOfTime,
            ) => Err(InvocationError::Internal),
        }
    }
}

fn now() -> UnixSeconds {
    UnixSeconds(clock::unix_seconds())
}
