//! Key sets over HTTPS: fetched, bounded, cached.
//!
//! When to fetch is decided by [`auth::KeyCache`]; this crate only carries it out. Each issuer has
//! one address, from the configuration: nothing in a token can cause another request.

#![warn(missing_docs)]

pub mod config;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use auth::jwks::MAX_KEY_SET_BYTES;
use auth::key_cache::Lookup;
use auth::{
    Issuer, KeyCache, KeySet, KeySource, Reason, Refusal, Unavailable, UnixSeconds, VerifyingKey,
};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Limited};
use tokio::sync::Mutex;

/// One attempt, from the connection to the last byte of the body.
const ATTEMPT: Duration = Duration::from_secs(1);
/// One more for a connection that is cut.
const ATTEMPTS: usize = 2;

/// All attempts together, where the key is still trusted: the hourly refresh must not cost a good
/// token the time that its decision has.
const REFRESH: Duration = Duration::from_millis(500);

/// Where one issuer's keys come from.
pub enum KeyLocation {
    /// Fetched from this address.
    Uri(Uri),
    /// Given with the configuration; no request is ever made.
    Inline(KeySet),
}

/// The keys of all configured issuers.
pub struct HttpsKeys {
    /// `None` if no set has to be fetched.
    client: Option<Connector>,
    sets: HashMap<String, IssuerKeys>,
}

struct IssuerKeys {
    uri: Option<Uri>,
    /// Held while fetching: whoever comes meanwhile waits for that one fetch. A caller that gives
    /// up releases it, and the next one fetches.
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
        // The SDK's own client: so the system's root certificates, which take more of a start than all
        // else, are read once in a process. Fetches are an hour apart, so each has a connection of its
        // own: none is left that could die while the function is frozen.
        let client = sets.values().any(|set| set.uri.is_some()).then(|| {
            Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .pool_max_idle_per_host(0)
                .build()
        });
        Self { client, sets }
    }

    /// Fetches all sets at the same time, so that the first request doesn't have to. What fails here is tried
    /// again by the request that needs it.
    pub async fn prefetch(&self, now: UnixSeconds) {
        let fetches = self.sets.values().map(async |set| {
            if let Some(uri) = &set.uri {
                let mut cache = set.cache.lock().await;
                // A failed attempt is not recorded: the cool-down is for requests.
                if let Some(keys) = self.fetch(uri).await {
                    cache.fetched(keys, None, now);
                }
            }
        });
        futures_util::future::join_all(fetches).await;
    }

    async fn fetch(&self, uri: &Uri) -> Option<KeySet> {
        for _ in 0..ATTEMPTS {
            let attempt = tokio::time::timeout(ATTEMPT, self.fetch_once(uri)).await;
            if let Ok(Some(body)) = attempt {
                return KeySet::parse(&body).ok();
            }
        }
        None
    }

    /// The body of a plain 200. Redirects are not followed.
    async fn fetch_once(&self, uri: &Uri) -> Option<Bytes> {
        let request = HttpRequest::get(uri.to_string()).ok()?;
        let response = self.client.as_ref()?.call(request).await.ok()?;
        if response.status().as_u16() != 200 {
            return None;
        }
        let body = Limited::new(response.into_body(), MAX_KEY_SET_BYTES);
        Some(body.collect().await.ok()?.to_bytes())
    }
}

impl KeySource for HttpsKeys {
    async fn key_for(
        &self,
        issuer: &Issuer,
        kid: &str,
        now: UnixSeconds,
    ) -> Result<Arc<VerifyingKey>, Refusal> {
        let set = self.sets.get(&issuer.url).ok_or(Reason::UnknownIssuer)?;
        let mut cache = set.cache.lock().await;
        let mut lookup = cache.lookup(kid, now);
        if let (Lookup::Fetch | Lookup::Refresh, Some(uri)) = (&lookup, &set.uri) {
            let fetched = if matches!(lookup, Lookup::Refresh) {
                let fetch = tokio::time::timeout(REFRESH, self.fetch(uri));
                fetch.await.ok().flatten()
            } else {
                self.fetch(uri).await
            };
            match fetched {
                Some(keys) => cache.fetched(keys, Some(kid), now),
                None => cache.failed(now),
            }
            lookup = cache.lookup_after_fetch(kid, now);
        }
        match lookup {
            Lookup::Found(key) => Ok(key),
            Lookup::Unknown => Err(Reason::UnknownKey.into()),
            Lookup::Fetch | Lookup::Refresh | Lookup::Unavailable => Err(Unavailable::Jwks.into()),
        }
    }
}
