//! Fetches key sets over HTTPS, with limits, and caches them.
//!
//! [`auth::key_cache::KeyCache`] decides when to fetch; this crate executes the fetch. Each issuer has one
//! URL, from the configuration: nothing in a token can cause a request to another.

#![warn(missing_docs)]

pub mod config;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth::key_cache::{self, KeyCache, Lookup};
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
use tokio::task;
use tokio::time::Instant;
use tracing::Instrument;

/// Time limit of one attempt, from the connection to the last byte of the body.
const ATTEMPT: Duration = Duration::from_secs(1);
/// The second attempt is for a broken connection, a lost response, or a server's error.
const ATTEMPTS: usize = 2;

/// Time from the start of the hourly refresh for which decisions about valid tokens wait for it. The fetch goes on after it.
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
    running: Option<Running>,
}

struct Running {
    fetch: Fetch,
    task: task::Id,
    /// The present, as the caller that began it has read it.
    at: UnixSeconds,
    began: Instant,
    /// A key that a request waits for.
    wanted: Option<String>,
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
                let state = Mutex::new(State {
                    cache,
                    running: None,
                });
                (issuer, Arc::new(IssuerKeys { source, state }))
            })
            .collect();
        Self { sets }
    }

    /// Fetches all key sets concurrently, so that the first request does not have to. The request
    /// that needs a key set repeats a failed fetch.
    pub async fn prefetch(&self, now: UnixSeconds) {
        fetch_all(self.sets.values(), now).await;
    }

    /// Whether every issuer has a key set that may be used. Sets without one are fetched.
    pub async fn are_trusted(&self, now: UnixSeconds) -> bool {
        let is_trusted = |set: &Arc<IssuerKeys>| set.lock().cache.is_trusted(now);
        fetch_all(self.sets.values().filter(|set| !is_trusted(set)), now).await;
        self.sets.values().all(is_trusted)
    }
}

/// Fetches sets concurrently, without a request that needs them.
async fn fetch_all(sets: impl Iterator<Item = &Arc<IssuerKeys>>, now: UnixSeconds) {
    let fetches = sets.filter_map(|set| set.fetch(&mut set.lock(), None, now));
    futures_util::future::join_all(fetches.map(|(fetch, _)| fetch)).await;
}

impl IssuerKeys {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fetch under way, or a new one, and when it began; `None` if the keys are part of the configuration.
    ///
    /// It is a task of its own: a caller that is cancelled, as by a client that disconnects, neither stops the fetch nor
    /// causes another one. `kid` is the key that a request needs. Without a request, a failure begins no cool-down.
    fn fetch(
        self: &Arc<Self>,
        state: &mut State,
        kid: Option<&str>,
        now: UnixSeconds,
    ) -> Option<(Fetch, Instant)> {
        let source = self.source.as_ref()?;
        if let Some(running) = state.running.as_mut().filter(|it| it.serves(now)) {
            running.wanted = running.wanted.take().or(kid.map(str::to_owned));
            return Some((running.fetch.clone(), running.began));
        }
        let (set, source) = (Arc::clone(self), source.clone());
        let task = async move {
            let fetched = source.fetch().await;
            set.ended(task::id(), fetched);
        };
        let task = tokio::spawn(task.in_current_span());
        let running = Running {
            task: task.id(),
            fetch: task.map(drop).boxed().shared(),
            at: now,
            began: Instant::now(),
            wanted: kid.map(str::to_owned),
        };
        let begun = (running.fetch.clone(), running.began);
        state.running = Some(running);
        Some(begun)
    }

    /// What to do about `kid`, and the fetch to wait for if there is one. A fetch that ends cannot come between the two.
    fn lookup(self: &Arc<Self>, kid: &str, now: UnixSeconds) -> (Lookup, Option<(Fetch, Instant)>) {
        let mut state = self.lock();
        let lookup = state.cache.lookup(kid, now);
        let fetch = match lookup {
            Lookup::Fetch | Lookup::Refresh => self.fetch(&mut state, Some(kid), now),
            Lookup::Found(_) | Lookup::Unknown | Lookup::Unavailable(_) => None,
        };
        (lookup, fetch)
    }

    /// Keeps the result of the fetch that this task has made.
    fn ended(&self, task: task::Id, fetched: Result<KeySet, Cause>) {
        let mut state = self.lock();
        // Without this one, another has begun meanwhile.
        let Some(running) = state.running.take_if(|running| running.task == task) else {
            return;
        };
        match (fetched, running.wanted) {
            (Ok(keys), wanted) => state.cache.fetched(keys, wanted.as_deref(), running.at),
            (Err(cause), Some(_)) => {
                let took = running.began.elapsed().as_secs();
                state.cache.failed(cause, running.at.plus(took));
            }
            (Err(cause), None) => state.cache.failed_early(cause),
        }
    }
}

impl Running {
    /// Whether its result is one for a caller at `now`. A task that has ended and is still here has panicked.
    fn serves(&self, now: UnixSeconds) -> bool {
        self.fetch.peek().is_none() && key_cache::is_current(self.at, now)
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
                Err(failed @ (Cause::Connection | Cause::Timeout | Cause::Other)) => cause = failed,
                // The same request would have the same response.
                Err(failed) => return Err(failed),
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
        let (mut lookup, fetch) = set.lookup(kid, now);
        if let Some((fetch, began)) = fetch {
            if matches!(lookup, Lookup::Refresh) {
                // Without a result in time, the key stays in use.
                drop(tokio::time::timeout_at(began + REFRESH, fetch).await);
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
