//! The decision over an HTTP request. The steps that identify the caller are those of the authorizer
//! ([`auth::Callers`]), and so are paths, routes and policies.

use std::future::Future;
use std::time::Duration;

use api_gateway::Effect;
use api_gateway::path;
use api_gateway::routes::{self, Route};
use auth::memory::MemoryApiKeys;
use auth::{
    ApiKeyStore, Callers, Credential, DenyReason, KeySource, RevocationReader, UnixSeconds,
    VerifiedClaims,
};
use auth_cedar::CedarPolicies;

use crate::credential::{Places, Presented};
use crate::decision::{Caller, Decision, Refusal, Trace};
use crate::request::Request;
use crate::session::SessionTokens;

/// The time limit of a decision, as the authorizer's.
const BUDGET: Duration = Duration::from_millis(2_500);

/// Decides about requests. Generic over the sources of keys, revocations and API keys.
pub struct Gate<K, R, A = MemoryApiKeys> {
    /// Identifies callers.
    pub callers: Callers<K, R, A>,
    /// The policies.
    pub policies: CedarPolicies,
    /// The service's routes: policies name their templates. The route of a request that matches none is its path.
    pub routes: Vec<Route>,
    /// Where requests have their credentials.
    pub places: Places,
    /// The store of browser sessions, if [`Places::session`] names their cookie. Without it they are unknown.
    pub sessions: Option<Box<dyn SessionTokens>>,
}

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> Gate<K, R, A> {
    /// Decides about the request, within 2.5 s.
    ///
    /// # Errors
    /// The caller is not identified, or a dependency failed.
    pub async fn decide(&self, request: &Request<'_>, trace: &Trace) -> Result<Decision, Refusal> {
        let presented = self.places.presented(request)?;
        self.decide_about(&presented, request, trace).await
    }

    /// Decides about the request of the caller who presents this, within 2.5 s.
    ///
    /// # Errors
    /// As [`Gate::decide`].
    pub async fn decide_about(
        &self,
        presented: &Presented<'_>,
        request: &Request<'_>,
        trace: &Trace,
    ) -> Result<Decision, Refusal> {
        in_time(async {
            let (claims, now) = self.identified(presented, trace).await?;
            // No await from here on.
            let (effect, reason) = match self.authorize(&claims, presented, request, now) {
                Ok(effect) => (effect, None),
                Err(reason) => (Effect::Deny, Some(reason)),
            };
            Ok(Decision {
                effect,
                reason,
                caller: Caller::from(claims),
            })
        })
        .await
    }

    /// The claims, and the time at which they were valid. The order of the steps is the authorizer's (ARCHITECTURE.md,
    /// "The decision").
    async fn identified(
        &self,
        presented: &Presented<'_>,
        trace: &Trace,
    ) -> Result<(VerifiedClaims, UnixSeconds), Refusal> {
        let callers = &self.callers;
        let of_session;
        let credential = match presented {
            Presented::Credential(credential) => credential,
            Presented::Session(id) => {
                let sessions = self.sessions.as_ref().ok_or(DenyReason::UnknownSession)?;
                let token = sessions.access_token(id, (callers.clock)()).await?;
                of_session = Credential::Session(token);
                &of_session
            }
        };
        let claims = callers.verify(credential, &trace.issuer).await?;
        let revocations = callers.revocations(&claims).await?;
        if revocations.odd_expiry {
            trace.odd_expiry.get_or_init(|| ());
        }
        let now = callers
            .check(&claims, &revocations)
            .map_err(|reason| Refusal::of(reason, &claims))?;
        Ok((claims, now))
    }

    /// Whether a page of an unknown origin may have sent this request with the caller's cookie.
    #[must_use]
    pub fn may_be_forged(&self, presented: &Presented<'_>, request: &Request<'_>) -> bool {
        presented.is_cookie() && self.places.may_be_forged(request)
    }

    /// What a decision about this request depends on, of its path: the template of the route, or the path where no
    /// template matches or a policy uses paths. `None` for a path that can be read in two ways.
    #[must_use]
    pub fn route(&self, request: &Request<'_>) -> Option<String> {
        let path = normalized(request)?;
        let route = routes::route_of(&self.routes, request.method, &path);
        Some(match route {
            Some(route) if !self.policies.uses_path() => route.template().to_owned(),
            Some(_) | None => path,
        })
    }

    fn authorize(
        &self,
        claims: &VerifiedClaims,
        presented: &Presented<'_>,
        request: &Request<'_>,
        now: UnixSeconds,
    ) -> Result<Effect, DenyReason> {
        if self.may_be_forged(presented, request) {
            return Err(DenyReason::ForeignOrigin);
        }
        let path = normalized(request).ok_or(DenyReason::UnclearPath)?;
        let policies = &self.policies;
        if policies.uses_address() && request.client_address.is_none() {
            return Err(DenyReason::UnknownAddress);
        }
        let route = routes::route_of(&self.routes, request.method, &path);
        let parameters = route.filter(|_| policies.uses_tags());
        let cedar_request = auth_cedar::Request {
            verb: request.method,
            route: route.map_or(&path, |route| route.template()),
            path: Some(path.as_str()).filter(|_| policies.uses_path()),
            path_parameters: parameters.map_or_else(Vec::new, |route| route.parameters(&path)),
            source_ip: request.client_address,
            now,
        };
        Ok(policies.decide(claims, &cedar_request))
    }
}

fn normalized(request: &Request<'_>) -> Option<String> {
    path::normalize_path(request.path.strip_prefix('/')?)
}

async fn in_time<T>(step: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(BUDGET, step)
        .await
        .unwrap_or(Err(Refusal::OutOfTime))
}
