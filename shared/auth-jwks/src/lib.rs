//! Fetches key sets over HTTPS, with limits, and caches them.
//!
//! [`auth::key_cache::KeyCache`] decides when to fetch; this crate executes the fetch. Each issuer has one
//! URL, from the configuration: nothing in a token can cause a request to another.

#![warn(missing_docs)]

pub mod config;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth::key_cache::{KeyCache, Lookup};
use auth::{
    AuthError, Cause, DenyReason, Dependency, Issuer, KeySet, KeySource, MAX_KEY_SET_BYTES,
    UnixSeconds, VerifyingKey,
};
use aws_client::{cause_of_connector, connector_without_pool, in_span};
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::Uri;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tracing::Instrument;

/// Time limit of one attempt, from the connection to the last byte of the body.
const ATTEMPT: Duration = Duration::from_secs(1);
/// The second attempt is for a broken connection.
const ATTEMPTS: usize = 2;

/// Time for which a decision about a valid token waits for the hourly refresh. The fetch goes on after it.
const REFRESH: Duration = Duration::from_millis(500);

/// Source of one issuer's keys.
pub enum KeyLocation {
    /// Fetched from this URL.
    Uri(Uri),
    /// Part of the configuration; never fetched.
    Inline(KeySet),
}

/// The keys of all configured issuers.
pub struct HttpsKeys {
    sets: HashMap<String, Arc<IssuerKeys>>,
}

struct IssuerKeys {
    source: Option<Source>,
    state: Mutex<State>,
}

/// Where a key set is fetched from.
#[derive(Clone)]
struct Source {
    client: SharedHttpConnector,
    uri: Uri,
}

#[derive(Default)]
struct State {
    cache: KeyCache,
    /// The fetch under way, for which all callers that need it wait.
    fetch: Option<Fetch>,
}

/// Completes when a fetch has ended and its result is in the cache.
type Fetch = Shared<BoxFuture<'static, ()>>;

impl HttpsKeys {
    /// Keys for issuers, named by their URL.
    #[must_use]
    pub fn new(locations: impl IntoIterator<Item = (String, KeyLocation)>) -> Self {
        // Fetches are an hour apart, so each opens a new connection.
        let mut client = None;
        let sets = locations
            .into_iter()
            .map(|(issuer, location)| {
                let (source, cache) = match location {
                    KeyLocation::Uri(uri) => {
                        let client = client.get_or_insert_with(connector_without_pool).clone();
                        (Some(Source { client, uri }), KeyCache::default())
                    }
                    KeyLocation::Inline(keys) => (None, KeyCache::pinned(keys)),
                };
                let state = Mutex::new(State { cache, fetch: None });
                (issuer, Arc::new(IssuerKeys { source, state }))
            })
            .collect();
        Self { sets }
    }

    /// Fetches all key sets concurrently, so that the first request does not have to. The request
    /// that needs a key set repeats a failed fetch.
    pub async fn prefetch(&self, now: UnixSeconds) {
        let fetches = self.sets.values().filter_map(|set| set.fetch(None, now));
        futures_util::future::join_all(fetches).await;
    }

    /// Whether every issuer has a key set that may be used. Sets without one are fetched.
    pub async fn are_trusted(&self, now: UnixSeconds) -> bool {
        let is_trusted = |set: &Arc<IssuerKeys>| set.lock().cache.is_trusted(now);
        let missing = self.sets.values().filter(|set| !is_trusted(set));
        let fetches = missing.filter_map(|set| set.fetch(None, now));
        futures_util::future::join_all(fetches).await;
        self.sets.values().all(is_trusted)
    }
}

impl IssuerKeys {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fetch under way, or a new one; `None` if the keys are part of the configuration.
    ///
    /// It is a task of its own: a caller that is cancelled, as by a client that disconnects, neither stops the fetch nor
    /// causes another one. `kid` is the key that a request needs. Without a request, a failure begins no cool-down.
    fn fetch(self: &Arc<Self>, kid: Option<&str>, now: UnixSeconds) -> Option<Fetch> {
        let source = self.source.as_ref()?;
        let mut state = self.lock();
        // One that has ended and is still here has panicked.
        if let Some(fetch) = state.fetch.clone().filter(|fetch| fetch.peek().is_none()) {
            return Some(fetch);
        }
        let (set, source) = (Arc::clone(self), source.clone());
        let kid = kid.map(str::to_owned);
        let task = async move {
            let fetched = source.fetch().await;
            let mut state = set.lock();
            match (fetched, kid) {
                (Ok(keys), kid) => state.cache.fetched(keys, kid.as_deref(), now),
                (Err(cause), Some(_)) => state.cache.failed(cause, now),
                (Err(cause), None) => state.cache.failed_early(cause),
            }
            state.fetch = None;
        };
        let task = tokio::spawn(task.in_current_span());
        let fetch = task.map(drop).boxed().shared();
        state.fetch = Some(fetch.clone());
        Some(fetch)
    }
}

impl Source {
    async fn fetch(&self) -> Result<KeySet, Cause> {
        let fetching = self.fetch_with_retry();
        in_span(Dependency::Jwks, "GetKeySet", fetching, |cause| {
            Some(*cause)
        })
        .await
    }

    async fn fetch_with_retry(&self) -> Result<KeySet, Cause> {
        let mut cause = Cause::Other;
        for _ in 0..ATTEMPTS {
            let attempt = tokio::time::timeout(ATTEMPT, self.fetch_once()).await;
            match attempt.unwrap_or(Err(Cause::Timeout)) {
                Ok(body) => return KeySet::parse(&body).map_err(|_| Cause::Invalid),
                Err(failed) => cause = failed,
            }
        }
        Err(cause)
    }

    /// The body of a response with status 200. Redirects are not followed.
    async fn fetch_once(&self) -> Result<Bytes, Cause> {
        let request = HttpRequest::get(self.uri.to_string()).map_err(|_| Cause::Other)?;
        let response = self.client.call(request).await;
        let response = response.map_err(|failed| cause_of_connector(&failed))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(Cause::of_status(status));
        }
        let body = Limited::new(response.into_body(), MAX_KEY_SET_BYTES);
        match body.collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Cause::Invalid),
            Err(_) => Err(Cause::Connection),
        }
    }
}

impl KeySource for HttpsKeys {
    async fn key_for(
        &self,
        issuer: &Issuer,
        kid: &str,
        now: UnixSeconds,
    ) -> Result<Arc<VerifyingKey>, AuthError> {
        let set = self
            .sets
            .get(&issuer.url)
            .ok_or(DenyReason::UnknownIssuer)?;
        let mut lookup = set.lock().cache.lookup(kid, now);
        if matches!(lookup, Lookup::Fetch | Lookup::Refresh)
            && let Some(fetch) = set.fetch(Some(kid), now)
        {
            if matches!(lookup, Lookup::Refresh) {
                // Without a result in time, the key stays in use.
                drop(tokio::time::timeout(REFRESH, fetch).await);
            } else {
                fetch.await;
            }
            lookup = set.lock().cache.lookup_after_fetch(kid, now);
        }
        match lookup {
            Lookup::Found(key) => Ok(key),
            Lookup::Unknown => Err(DenyReason::UnknownKey.into()),
            Lookup::Unavailable(cause) => Err(Dependency::Jwks.unavailable(cause).into()),
            Lookup::Fetch | Lookup::Refresh => {
                Err(Dependency::Jwks.unavailable(Cause::Other).into())
            }
        }
    }
}
