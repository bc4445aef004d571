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
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Mutex;

/// One attempt, from the connection to the last byte of the body.
const ATTEMPT: Duration = Duration::from_secs(1);
/// The second attempt is for a connection that died while the function was frozen.
const ATTEMPTS: usize = 2;
/// A pooled connection idle for longer is not tried again; servers close theirs after a minute.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Where one issuer's keys come from.
pub enum KeyLocation {
    /// Fetched from this address.
    Uri(Uri),
    /// Given with the configuration; no request is ever made.
    Inline(KeySet),
}

/// The keys of all configured issuers.
pub struct HttpsKeys {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
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
    ///
    /// # Errors
    /// [`Unavailable::Jwks`] if a key set has to be fetched and the system has no root
    /// certificates.
    pub fn new(
        locations: impl IntoIterator<Item = (String, KeyLocation)>,
    ) -> Result<Self, Unavailable> {
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
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector(&sets)?);
        Ok(Self { client, sets })
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
        let response = self.client.get(uri.clone()).await.ok()?;
        if response.status() != StatusCode::OK {
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
        if let (Lookup::Fetch, Some(uri)) = (&lookup, &set.uri) {
            match self.fetch(uri).await {
                Some(keys) => cache.fetched(keys, Some(kid), now),
                None => cache.failed(now),
            }
            lookup = cache.lookup_after_fetch(kid, now);
        }
        match lookup {
            Lookup::Found(key) => Ok(key),
            Lookup::Unknown => Err(Reason::UnknownKey.into()),
            Lookup::Fetch | Lookup::Unavailable => Err(Unavailable::Jwks.into()),
        }
    }
}

/// Reads the system's root certificates (about a millisecond) only if some address needs TLS.
fn connector(
    sets: &HashMap<String, IssuerKeys>,
) -> Result<HttpsConnector<HttpConnector>, Unavailable> {
    let needs_tls = sets
        .values()
        .filter_map(|set| set.uri.as_ref())
        .any(|uri| uri.scheme_str() == Some("https"));
    let builder = HttpsConnectorBuilder::new();
    let builder = if needs_tls {
        builder.with_native_roots().map_err(|_| Unavailable::Jwks)?
    } else {
        let no_roots = rustls::ClientConfig::builder_with_provider(
            rustls::crypto::aws_lc_rs::default_provider().into(),
        )
        .with_safe_default_protocol_versions()
        .map_err(|_| Unavailable::Jwks)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        builder.with_tls_config(no_roots)
    };
    Ok(builder.https_or_http().enable_http1().build())
}
