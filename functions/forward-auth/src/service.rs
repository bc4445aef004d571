//! Answers one request of a proxy.

use std::borrow::Cow;
use std::time::Duration;

use api_gateway::Effect;
use auth::{ApiKeyStore, DenyReason, KeySource, RevocationReader};
use auth_dynamodb::DynamoApiKeys;
use auth_jwks::HttpsKeys;
use auth_tower::{Caller, Decision, Gate, Presented, Request, Trace};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use runtime::decision_log::{Decided, DecisionLog};
use runtime::{clock, log};
use serde_json::Value;

use crate::answer::{self, Answer};
use crate::cache::{self, DecisionCache, Moment};
use crate::config::Settings;
use crate::dialect::{Dialect, InvalidOriginal};
use crate::identity::{self, TooLarge};
use crate::metrics::Metrics;
use crate::outcome::{DENIED, Outcome};
use crate::phantom::{self, NoToken, Phantom};
use crate::store::{Memory, Store};

/// The largest size of a request's header fields, names and values, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Answers requests of proxies. Generic over the sources of keys, revocations and API keys.
pub struct ForwardAuth<K = HttpsKeys, R = Store, A = DynamoApiKeys> {
    pub(crate) gate: Gate<K, R, A>,
    pub(crate) settings: Settings,
    /// The store that `POST /logout` writes; `None` where other functions write it.
    memory: Option<Memory>,
    /// `None`: backends get no token.
    phantom: Option<Phantom>,
    pub(crate) cache: DecisionCache,
    pub(crate) log: DecisionLog,
    pub(crate) metrics: Metrics,
}

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> ForwardAuth<K, R, A> {
    /// Answers by the decisions of `gate`. With `memory`, which must be the store of `gate`, callers can log out here.
    #[must_use]
    pub fn new(
        gate: Gate<K, R, A>,
        settings: Settings,
        memory: Option<Memory>,
        phantom: Option<Phantom>,
    ) -> Self {
        let scoped = gate.policies.request_scoped_policy();
        let kept_for = match &scoped {
            Some(_) => Duration::ZERO,
            None => settings.cache,
        };
        Self {
            gate,
            memory,
            phantom,
            cache: DecisionCache::new(kept_for),
            log: DecisionLog::new(settings.log),
            metrics: Metrics::new(kept_for),
            settings,
        }
    }

    /// Logs the bound between a logout and the first refusal.
    pub fn log_bound(&self) {
        let seconds = self.cache.kept_for().as_secs();
        let policy = self.gate.policies.request_scoped_policy();
        let policy = policy.filter(|_| !self.settings.cache.is_zero());
        let uncached = policy.map(|policy| ("uncached_because_of_policy", Value::from(policy)));
        let bound = ("revocation_bound_seconds", Value::from(seconds));
        log::line(
            log::Level::Info,
            "a logout takes effect within the bound",
            std::iter::once(bound).chain(uncached),
        );
        if self.memory.is_some() {
            log::line(
                log::Level::Warn,
                "revocations are in memory: a restart forgets them, and other processes do not see them",
                [],
            );
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.settings.dialect
    }

    /// Answers a request. `request_id` is the platform's, for the log.
    pub async fn answer(&self, parts: &Parts, request_id: Option<&str>) -> Answer {
        match parts.uri.path() {
            path if self.settings.dialect.asks(path) => self.decide(parts, request_id).await,
            "/.well-known/jwks.json" => match &self.phantom {
                Some(phantom) => {
                    let now = clock::now();
                    phantom.follow_overdue_keys(now).await;
                    let keys = phantom.jwks(now);
                    answer::read_only(&parts.method, || {
                        keys.map_or_else(answer::unavailable, answer::key_set)
                    })
                }
                None => answer::empty(StatusCode::NOT_FOUND),
            },
            "/healthz" => answer::read_only(&parts.method, || {
                answer::text("text/plain", "ok\n".to_owned())
            }),
            "/logout" => match &self.memory {
                Some(memory) if parts.method == Method::POST => self.log_out(memory, parts).await,
                Some(_) => answer::not_allowed("POST"),
                None => answer::empty(StatusCode::NOT_FOUND),
            },
            _ => answer::empty(StatusCode::NOT_FOUND),
        }
    }

    async fn decide(&self, parts: &Parts, request_id: Option<&str>) -> Answer {
        let began = Moment::now();
        let trace = Trace::default();
        let mut headers = Vec::new();
        let outcome = match self.outcome(parts, &trace, began).await {
            Ok((caller, host)) => match self.headers(&caller, &host).await {
                Ok(all) => {
                    headers = all;
                    Outcome::Allowed(caller)
                }
                Err(outcome) => outcome,
            },
            Err(outcome) => outcome,
        };
        if trace.odd_expiry() {
            self.log.log_odd_expiry();
        }
        let took = began.monotonic.elapsed();
        self.metrics.count(outcome.word(), outcome.reason(), took);
        self.log.report(&Decided {
            level: outcome.level(),
            outcome: outcome.word(),
            reason: outcome.reason(),
            cause: outcome.cause(),
            caller: outcome.caller(),
            // A decision from the cache has no trace.
            issuer: trace.issuer().or_else(|| issuer_of(&outcome)),
            request_id,
            took,
        });
        answer::decided(&outcome, &self.settings.challenges, headers)
    }

    /// The caller of an allowed request and the original host, or another outcome.
    async fn outcome(
        &self,
        parts: &Parts,
        trace: &Trace,
        began: Moment,
    ) -> Result<(Caller, String), Outcome> {
        let headers = self.headers_of(parts)?;
        let original = self.settings.dialect.original(parts);
        let original = original.map_err(|InvalidOriginal| Outcome::InvalidOriginal)?;
        // A rule that forbids addresses would not apply to a request without one.
        let place = self.settings.client_address.as_ref();
        let place = place.filter(|_| self.gate.policies.uses_address());
        let client_address = place.map(|place| place.of(&parts.headers)).transpose();
        let request = Request {
            method: &original.method,
            path: &original.path,
            query: original.query.as_deref(),
            headers: &headers,
            client_address: client_address.map_err(|InvalidOriginal| Outcome::InvalidOriginal)?,
        };
        let presented = self.gate.places.presented(&request);
        let presented = presented.map_err(|reason| Outcome::Refused(reason.into()))?;
        let key = self.cache_key(&presented, &request, &original.host);
        if let Some(key) = &key
            && let Some(caller) = self.cache.find(key, began)
        {
            self.metrics.count_remembered();
            return Ok((caller, original.host));
        }
        match self.gate.decide_about(&presented, &request, trace).await {
            Ok(Decision {
                effect: Effect::Allow,
                caller,
                ..
            }) => {
                if let Some(key) = key {
                    self.cache.remember(key, &caller, began);
                }
                Ok((caller, original.host))
            }
            Ok(Decision { reason, caller, .. }) => Err(Outcome::Denied {
                reason: reason.map_or(DENIED, DenyReason::as_str),
                caller,
            }),
            Err(refusal) => Err(Outcome::Refused(refusal)),
        }
    }

    /// The request's headers, within their limit, with the caller's credential in `Authorization`.
    pub(crate) fn headers_of<'a>(&self, parts: &'a Parts) -> Result<Cow<'a, HeaderMap>, Outcome> {
        let fields = parts.headers.iter();
        let size: usize = fields
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if size > MAX_HEADER_BYTES {
            return Err(Outcome::HeadersTooLarge);
        }
        let Some(name) = &self.settings.credential_header else {
            return Ok(Cow::Borrowed(&parts.headers));
        };
        let mut headers = parts.headers.clone();
        headers.remove(AUTHORIZATION);
        for value in parts.headers.get_all(name) {
            headers.append(AUTHORIZATION, value.clone());
        }
        Ok(Cow::Owned(headers))
    }

    /// The headers of an allowed request, or the reason why it is not allowed after all.
    async fn headers(
        &self,
        caller: &Caller,
        host: &str,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Outcome> {
        let denied = |reason| Outcome::Denied {
            reason,
            caller: caller.clone(),
        };
        let headers = identity::headers(&self.settings.identity, caller);
        let mut headers = headers.map_err(|TooLarge| denied("identity_too_large"))?;
        if let Some(phantom) = &self.phantom {
            phantom.follow_overdue_keys(clock::now()).await;
            let token = phantom.token(caller, host, clock::now());
            let token = token.map_err(|missing| match missing {
                NoToken::UnknownAudience => denied("unknown_audience"),
                NoToken::TooLarge => denied("identity_too_large"),
                NoToken::Expired => Outcome::Refused(DenyReason::Expired.into()),
                NoToken::NotSigned => Outcome::NotSigned,
            })?;
            headers.push((phantom::HEADER, token));
        }
        Ok(headers)
    }

    /// Whether the keys of phantom tokens are too old to sign.
    pub(crate) fn lacks_keys(&self) -> bool {
        let phantom = self.phantom.as_ref();
        phantom.is_some_and(|phantom| !phantom.are_usable(clock::now()))
    }

    /// Reads the keys of phantom tokens again if that is due, for at most this time.
    pub(crate) async fn follow_keys(&self, limit: Duration) {
        if let Some(phantom) = &self.phantom {
            phantom.follow_keys(clock::now(), limit).await;
        }
    }

    /// The key under which the decision is remembered; `None` if it must not be, or if the request itself counts.
    fn cache_key(
        &self,
        presented: &Presented<'_>,
        request: &Request<'_>,
        host: &str,
    ) -> Option<cache::Key> {
        if !self.cache.is_on() || self.gate.may_be_forged(presented, request) {
            return None;
        }
        let route = self.gate.route(request)?;
        Some(cache::key(presented, [request.method, host, &route]))
    }
}

fn issuer_of(outcome: &Outcome) -> Option<&str> {
    outcome.known().map(|caller| caller.issuer_id())
}
