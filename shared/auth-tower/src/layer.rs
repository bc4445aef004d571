//! The decision as a tower layer.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use api_gateway::Effect;
use auth::{ApiKeyStore, DenyReason, KeySource, RevocationReader};
use http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request as HttpRequest, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::decision::{Decision, Refusal, Trace};
use crate::gate::Gate;
use crate::request::Request;

/// Called with the result of each decision, for logs and metrics.
type Report = dyn Fn(&Result<Decision, Refusal>, &Trace) + Send + Sync;

/// Finds the client's address in a request.
type ClientAddress = dyn Fn(&http::request::Parts) -> Option<IpAddr> + Send + Sync;

/// A layer that passes a request on only if its caller may send it. The inner service finds the caller in the request's
/// extensions ([`crate::Caller`]).
///
/// Other requests get an empty response: 401 with `WWW-Authenticate` ([RFC 6750] section 3), 403, or 503 with
/// `Retry-After` if a dependency failed.
///
/// [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750
pub struct AuthLayer<K, R, A> {
    shared: Arc<Shared<K, R, A>>,
}

struct Shared<K, R, A> {
    gate: Gate<K, R, A>,
    report: Option<Box<Report>>,
    client_address: Option<Box<ClientAddress>>,
}

impl<K, R, A> AuthLayer<K, R, A> {
    /// A layer that asks `gate`.
    #[must_use]
    pub fn new(gate: Gate<K, R, A>) -> Self {
        let shared = Shared {
            gate,
            report: None,
            client_address: None,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Calls `report` with the result of each decision. Neither of its arguments prints a secret, but the claims of a
    /// caller contain names: log [`auth::VerifiedClaims::subject_hash`] instead. Call it before the layer is cloned.
    #[must_use]
    pub fn on_decision(
        mut self,
        report: impl Fn(&Result<Decision, Refusal>, &Trace) + Send + Sync + 'static,
    ) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.report = Some(Box::new(report));
        }
        self
    }

    /// Takes the client's address, for policies that use it, from the request. Without this there is none, and such
    /// policies deny. Call it before the layer is cloned.
    #[must_use]
    pub fn with_client_address(
        mut self,
        find: impl Fn(&http::request::Parts) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.client_address = Some(Box::new(find));
        }
        self
    }
}

impl<K, R, A> Clone for AuthLayer<K, R, A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, K, R, A> Layer<S> for AuthLayer<K, R, A> {
    type Service = AuthService<S, K, R, A>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// The service that [`AuthLayer`] makes.
pub struct AuthService<S, K, R, A> {
    inner: S,
    shared: Arc<Shared<K, R, A>>,
}

impl<S: Clone, K, R, A> Clone for AuthService<S, K, R, A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
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
        let shared = Arc::clone(&self.shared);
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
                Ok(denied) => Ok(forbidden(&denied)),
                Err(refusal) => Ok(refused(&refusal)),
            }
        })
    }
}

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> Shared<K, R, A> {
    async fn decide(&self, parts: &http::request::Parts) -> Result<Decision, Refusal> {
        let trace = Trace::default();
        let find = self.client_address.as_ref();
        let request = Request {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
            client_address: find.and_then(|find| find(parts)),
        };
        let result = self.gate.decide(&request, &trace).await;
        if let Some(report) = &self.report {
            report(&result, &trace);
        }
        result
    }
}

fn forbidden<C: Default>(denied: &Decision) -> Response<C> {
    let mut response = empty(StatusCode::FORBIDDEN);
    // Only a policy's decision is about what the caller may do.
    if denied.reason.is_none() {
        let challenge = HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

fn refused<C: Default>(refusal: &Refusal) -> Response<C> {
    let (status, name, value) = match refusal {
        // RFC 6750 section 3.1: no error code without credentials.
        Refusal::Unauthorized(DenyReason::MissingToken) => {
            (StatusCode::UNAUTHORIZED, WWW_AUTHENTICATE, "Bearer")
        }
        Refusal::Unauthorized(_) | Refusal::Revoked(..) => (
            StatusCode::UNAUTHORIZED,
            WWW_AUTHENTICATE,
            "Bearer error=\"invalid_token\"",
        ),
        Refusal::Unavailable(_) | Refusal::OutOfTime => {
            (StatusCode::SERVICE_UNAVAILABLE, RETRY_AFTER, "1")
        }
    };
    let mut response = empty(status);
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    response
}

fn empty<C: Default>(status: StatusCode) -> Response<C> {
    let mut response = Response::new(C::default());
    *response.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

#[cfg(feature = "axum")]
mod extract {
    use axum_core::extract::FromRequestParts;
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
