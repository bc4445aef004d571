//! Fetches key sets over HTTPS, with limits, and caches them.
//!
//! [`auth::key_cache::KeyCache`] decides when to fetch; this crate executes the fetch. Each issuer has one
//! URL, from the configuration: nothing in a token can cause a request to another.

#![warn(missing_docs)]

pub mod config;

use std::collections::HashMap;
use std::sync::Arc;
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
use http::Uri;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::Mutex;

/// Time limit of one attempt, from the connection to the last byte of the body.
const ATTEMPT: Duration = Duration::from_secs(1);
/// The second attempt is for a broken connection.
const ATTEMPTS: usize = 2;

/// Time limit of all attempts while the key is still trusted: the hourly refresh must not use up
/// the time for the decision about a valid token.
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
    /// `None` if no key set has to be fetched.
    client: Option<SharedHttpConnector>,
    sets: HashMap<String, IssuerKeys>,
}

struct IssuerKeys {
    uri: Option<Uri>,
    /// Locked during a fetch: concurrent callers wait for that one fetch. A caller that is
    /// cancelled releases the lock, and the next one fetches.
    cache: Mutex<KeyCache>,
}

impl HttpsKeys {
    /// Keys for issuers, named by their URL.
    #[must_use]
    pub fn new(locations: impl IntoIterator<Item = (String, KeyLocation)>) -> Self {
        let sets: HashMap<_, _> = locations
            .into_iter()
            .map(|(issuer, location)| {
                let (uri, cache) = match location {
                    KeyLocation::Uri(uri) => (Some(uri), KeyCache::default()),
                    KeyLocation::Inline(keys) => (None, KeyCache::pinned(keys)),
                };
                let cache = Mutex::new(cache);
                (issuer, IssuerKeys { uri, cache })
            })
            .collect();
        // Fetches are an hour apart, so each opens a new connection.
        let is_fetched = sets.values().any(|set| set.uri.is_some());
        let client = is_fetched.then(connector_without_pool);
        Self { client, sets }
    }

    /// Fetches all key sets concurrently, so that the first request does not have to. The request
    /// that needs a key set repeats a failed fetch.
    pub async fn prefetch(&self, now: UnixSeconds) {
        let fetches = self.sets.values().map(async |set| {
            if let Some(uri) = &set.uri {
                let mut cache = set.cache.lock().await;
                // A failure is not recorded: the cool-down applies to requests only.
                if let Ok(keys) = self.fetch(uri).await {
                    cache.fetched(keys, None, now);
                }
            }
        });
        futures_util::future::join_all(fetches).await;
    }

    /// Whether every issuer has a key set that may be used. Sets without one are fetched.
    pub async fn are_trusted(&self, now: UnixSeconds) -> bool {
        let checks = self.sets.values().map(async |set| {
            let mut cache = set.cache.lock().await;
            if let (false, Some(uri)) = (cache.is_trusted(now), &set.uri)
                && let Ok(keys) = self.fetch(uri).await
            {
                cache.fetched(keys, None, now);
            }
            cache.is_trusted(now)
        });
        let trusted = futures_util::future::join_all(checks).await;
        trusted.into_iter().all(|is_trusted| is_trusted)
    }

    async fn fetch(&self, uri: &Uri) -> Result<KeySet, Cause> {
        let fetching = self.fetch_with_retry(uri);
        in_span(Dependency::Jwks, "GetKeySet", fetching, |cause| {
            Some(*cause)
        })
        .await
    }

    async fn fetch_with_retry(&self, uri: &Uri) -> Result<KeySet, Cause> {
        let mut cause = Cause::Other;
        for _ in 0..ATTEMPTS {
            let attempt = tokio::time::timeout(ATTEMPT, self.fetch_once(uri)).await;
            match attempt.unwrap_or(Err(Cause::Timeout)) {
                Ok(body) => return KeySet::parse(&body).map_err(|_| Cause::Invalid),
                Err(failed) => cause = failed,
            }
        }
        Err(cause)
    }

    /// The body of a response with status 200. Redirects are not followed.
    async fn fetch_once(&self, uri: &Uri) -> Result<Bytes, Cause> {
        let request = HttpRequest::get(uri.to_string()).map_err(|_| Cause::Other)?;
        let client = self.client.as_ref().ok_or(Cause::Other)?;
        let response = client.call(request).await;
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
        let mut cache = set.cache.lock().await;
        let mut lookup = cache.lookup(kid, now);
        if let (Lookup::Fetch | Lookup::Refresh, Some(uri)) = (&lookup, &set.uri) {
            let fetched = if matches!(lookup, Lookup::Refresh) {
                let fetch = tokio::time::timeout(REFRESH, self.fetch(uri));
                fetch.await.unwrap_or(Err(Cause::Timeout))
            } else {
                self.fetch(uri).await
            };
            match fetched {
                Ok(keys) => cache.fetched(keys, Some(kid), now),
                Err(cause) => cache.failed(cause, now),
            }
            lookup = cache.lookup_after_fetch(kid, now);
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
