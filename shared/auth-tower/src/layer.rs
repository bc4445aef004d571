//! The decision as a tower layer.

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use api_gateway::Effect;
use auth::{ApiKeyStore, KeySource, RevocationReader};
use http::header::{CACHE_CONTROL, COOKIE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Request as HttpRequest, Response, StatusCode, Uri, Version};
use tower_layer::Layer;
use tower_service::Service;

use crate::challenge::Challenges;
use crate::decision::{Decision, Refusal, Trace};
use crate::gate::Gate;
use crate::request::Request;

/// Called with the result of each decision, for logs and metrics.
type Report = dyn Fn(&Result<Decision, Refusal>, &Trace) + Send + Sync;

/// Finds the client's address in a request.
type ClientAddress = dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync;

/// A layer that passes a request on only if its caller may send it. The inner service finds the caller in the request's
/// extensions ([`crate::Caller`]).
///
/// Other requests get an empty response: 401 with `WWW-Authenticate` ([RFC 6750] section 3), 403, or 503 with
/// `Retry-After` if a dependency failed.
///
/// **The layer decides about the path that it sees.** Put it around the whole service. Inside of what removes a prefix,
/// such as `Router::nest` of axum, `/admin/users` is `/users`, and a rule about `/admin` does not apply. With the feature
/// `axum` the layer takes the path from before every `nest` (`axum::extract::OriginalUri`).
///
/// [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750
pub struct AuthLayer<K, R, A> {
    shared: Shared<K, R, A>,
}

struct Shared<K, R, A> {
    gate: Arc<Gate<K, R, A>>,
    challenges: Arc<Challenges>,
    report: Option<Arc<Report>>,
    client_address: Option<Arc<ClientAddress>>,
}

impl<K, R, A> Clone for Shared<K, R, A> {
    fn clone(&self) -> Self {
        Self {
            gate: Arc::clone(&self.gate),
            challenges: Arc::clone(&self.challenges),
            report: self.report.clone(),
            client_address: self.client_address.clone(),
        }
    }
}

impl<K, R, A> AuthLayer<K, R, A> {
    /// A layer that asks `gate`.
    #[must_use]
    pub fn new(gate: Gate<K, R, A>) -> Self {
        let shared = Shared {
            gate: Arc::new(gate),
            challenges: Arc::default(),
            report: None,
            client_address: None,
        };
        Self { shared }
    }

    /// Calls `report` with the result of each decision. Neither of its arguments prints a secret, but the claims of a
    /// caller contain names: log [`auth::VerifiedClaims::subject_hash`] instead.
    #[must_use]
    pub fn on_decision(
        mut self,
        report: impl Fn(&Result<Decision, Refusal>, &Trace) + Send + Sync + 'static,
    ) -> Self {
        self.shared.report = Some(Arc::new(report));
        self
    }

    /// Takes the client's address from the request. Where a policy uses addresses, a request without one is denied
    /// (403, `unknown_address`), and so is every request if this is not called.
    #[must_use]
    pub fn with_client_address(
        mut self,
        find: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.shared.client_address = Some(Arc::new(find));
        self
    }

    /// Sends these challenges to refused callers. By default they name no metadata of the resource.
    #[must_use]
    pub fn with_challenges(mut self, challenges: Challenges) -> Self {
        self.shared.challenges = Arc::new(challenges);
        self
    }
}

impl<K, R, A> Clone for AuthLayer<K, R, A> {
    fn clone(&self) -> Self {
        let shared = self.shared.clone();
        Self { shared }
    }
}

impl<S, K, R, A> Layer<S> for AuthLayer<K, R, A> {
    type Service = AuthService<S, K, R, A>;

    fn layer(&self, inner: S) -> Self::Service {
        let shared = self.shared.clone();
        AuthService { inner, shared }
    }
}

/// The service that [`AuthLayer`] makes.
pub struct AuthService<S, K, R, A> {
    inner: S,
    shared: Shared<K, R, A>,
}

impl<S: Clone, K, R, A> Clone for AuthService<S, K, R, A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: self.shared.clone(),
        }
    }
}

impl<S, K, R, A, B, C> Service<HttpRequest<B>> for AuthService<S, K, R, A>
where
    S: Service<HttpRequest<B>, Response = Response<C>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    C: Default,
    K: KeySource + Send + Sync + 'static,
    R: RevocationReader + Send + Sync + 'static,
    A: ApiKeyStore + Send + Sync + 'static,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<C>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        // The service that is ready must be the one that is called.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let shared = self.shared.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match shared.decide(&parts).await {
                Ok(Decision {
                    effect: Effect::Allow,
                    caller,
                    ..
                }) => {
                    parts.extensions.insert(caller);
                    inner.call(HttpRequest::from_parts(parts, body)).await
                }
                Ok(denied) => {
                    let challenge = shared.challenges.of_denied(&denied);
                    Ok(empty(StatusCode::FORBIDDEN, challenge))
                }
                Err(refusal) => {
                    let challenge = shared.challenges.of_refusal(&refusal);
                    Ok(empty(refusal.status(), challenge))
                }
            }
        })
    }
}

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> Shared<K, R, A> {
    async fn decide(&self, parts: &Parts) -> Result<Decision, Refusal> {
        let trace = Trace::default();
        let find = self.client_address.as_ref();
        let uri = original_uri(parts);
        let headers = with_one_cookie_line(parts);
        let request = Request {
            method: parts.method.as_str(),
            path: uri.path(),
            query: uri.query(),
            headers: &headers,
            client_address: find.and_then(|find| find(parts)),
        };
        let result = self.gate.decide(&request, &trace).await;
        if let Some(report) = &self.report {
            report(&result, &trace);
        }
        result
    }
}

/// The URI that the client sent.
fn original_uri(parts: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    &parts.uri
}

/// The headers, with the lines of `Cookie` joined where the version of HTTP lets a client split them (RFC 9113 section
/// 8.2.3; RFC 9114 section 4.2.1).
fn with_one_cookie_line(parts: &Parts) -> Cow<'_, HeaderMap> {
    let lines: Vec<&[u8]> = parts
        .headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if parts.version < Version::HTTP_2 || lines.len() < 2 {
        return Cow::Borrowed(&parts.headers);
    }
    let mut headers = parts.headers.clone();
    // Valid lines cannot make an invalid one; if they did, the request would stay ambiguous.
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(b"; ".as_slice())) {
        headers.insert(COOKIE, joined);
    }
    Cow::Owned(headers)
}

/// An empty response that is not cached.
fn empty<C: Default>(status: StatusCode, challenge: Option<&HeaderValue>) -> Response<C> {
    let mut response = Response::new(C::default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = challenge {
        headers.insert(WWW_AUTHENTICATE, challenge.clone());
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(feature = "axum")]
mod extract {
    use axum::extract::FromRequestParts;
    use http::StatusCode;
    use http::request::Parts;

    use crate::decision::Caller;

    impl<S: Sync> FromRequestParts<S> for Caller {
        type Rejection = StatusCode;

        /// The caller that [`crate::AuthLayer`] identified. A route without the layer is a mistake of the service: 500.
        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
            let caller = parts.extensions.get::<Self>().cloned();
            caller.ok_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}
