//! The HTTPS client of a process: for AWS's endpoints with Amazon's roots, for all others with the system's.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::{Debug, Formatter};
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::ConnectorBuilder;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;
use rustls::CertificateError;
use tracing::warn;

use crate::roots;

/// A connector without a connection pool, for requests that are far apart: between two, an idle connection could break
/// while the function is frozen. It has no time limits; the caller sets them.
#[must_use]
pub fn connector_without_pool() -> SharedHttpConnector {
    ByIssuer::shared(|roots, proxy| {
        build(roots, proxy, |connector| {
            connector.pool_max_idle_per_host(0)
        })
    })
}

/// The HTTP client of the SDK's clients. It differs from the SDK's default one in the roots: where Amazon's suffice, it
/// reads no others.
#[derive(Debug)]
pub(crate) struct HttpsClient {
    /// Whether the process needs the system's roots.
    needs_system: bool,
    /// A connection pool for each set of time limits, as in the SDK's default client.
    connectors: Mutex<HashMap<Timeouts, SharedHttpConnector>>,
}

/// The time limits of a connector: to connect, and to read.
type Timeouts = (Option<Duration>, Option<Duration>);

impl HttpsClient {
    /// `is_elsewhere`: other authorities than Amazon Trust Services issue the certificates of this region's endpoints.
    pub(crate) fn new(is_elsewhere: bool) -> Self {
        Self {
            needs_system: is_elsewhere || roots::are_configured(&env_config::process),
            connectors: Mutex::default(),
        }
    }
}

impl HttpClient for HttpsClient {
    /// Rejects a trust store without a certificate: each call would fail. Reads the system's roots if they are needed, when
    /// the SDK's client is made: during init, when Lambda gives a function a whole core.
    fn validate_base_client_config(
        &self,
        _: &RuntimeComponentsBuilder,
        _: &ConfigBag,
    ) -> Result<(), BoxError> {
        if roots::are_missing(&env_config::process) {
            return Err("SSL_CERT_FILE and SSL_CERT_DIR name no certificate".into());
        }
        if self.needs_system {
            build(Roots::System, ProxyConfig::disabled(), |connector| {
                connector
            });
        }
        Ok(())
    }

    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let timeouts = (settings.connect_timeout(), settings.read_timeout());
        let mut connectors = self
            .connectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let connector = connectors.entry(timeouts).or_insert_with(|| {
            let (settings, sleep) = (settings.clone(), components.sleep_impl());
            ByIssuer::shared(move |roots, proxy| {
                build(roots, proxy, |mut connector| {
                    connector.set_sleep_impl(sleep.clone());
                    connector.connector_settings(settings.clone())
                })
            })
        });
        connector.clone()
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some("1.x".into())))
    }
}

fn build(
    roots: Roots,
    proxy: ProxyConfig,
    configure: impl FnOnce(ConnectorBuilder) -> ConnectorBuilder,
) -> SharedHttpConnector {
    let tls = match roots {
        Roots::Amazon => TlsContext::builder().with_trust_store(roots::amazon()),
        Roots::System => TlsContext::builder(),
    };
    let connector = configure(ConnectorBuilder::default())
        .proxy_config(proxy)
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    SharedHttpConnector::new(match tls.build() {
        Ok(tls) => connector.tls_context(tls).build(),
        // Never happens: the context is only a list of roots.
        Err(_) => connector.build(),
    })
}

/// The roots that a connector trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Roots {
    /// Those of Amazon Trust Services.
    Amazon,
    /// The system's, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name: some 150, whose reading would be the
    /// largest part of a start.
    System,
}

/// What is known of the issuer of AWS's certificates.
mod issuer {
    /// No endpoint of AWS has responded yet.
    pub(super) const UNKNOWN: u8 = 0;
    /// It is Amazon Trust Services.
    pub(super) const AMAZON: u8 = 1;
    /// It is another one, such as a proxy's.
    pub(super) const OTHER: u8 = 2;
    /// The operator has named a trust store.
    pub(super) const CONFIGURED: u8 = 3;
}

/// A connector that chooses the roots for each request by its host.
struct ByIssuer<B> {
    build: B,
    amazon: OnceLock<SharedHttpConnector>,
    system: OnceLock<SharedHttpConnector>,
    /// For this machine, without TLS and without a proxy.
    loopback: OnceLock<SharedHttpConnector>,
    issuer: AtomicU8,
    /// The roots for requests without TLS: only the connection to a proxy could need some.
    plain: Roots,
}

impl<B: Fn(Roots, ProxyConfig) -> SharedHttpConnector + Send + Sync + 'static> ByIssuer<B> {
    fn shared(build: B) -> SharedHttpConnector {
        let is_configured = roots::are_configured(&env_config::process);
        let issuer = if is_configured {
            issuer::CONFIGURED
        } else {
            issuer::UNKNOWN
        };
        let plain = if roots::has_tls_proxy(&env_config::process) {
            Roots::System
        } else {
            Roots::Amazon
        };
        Self::assuming(issuer, plain, build)
    }

    fn assuming(issuer: u8, plain: Roots, build: B) -> SharedHttpConnector {
        SharedHttpConnector::new(Shared(Arc::new(Self {
            build,
            amazon: OnceLock::new(),
            system: OnceLock::new(),
            loopback: OnceLock::new(),
            issuer: AtomicU8::new(issuer),
            plain,
        })))
    }

    fn connector(&self, roots: Roots) -> &SharedHttpConnector {
        let connector = match roots {
            Roots::Amazon => &self.amazon,
            Roots::System => &self.system,
        };
        connector.get_or_init(|| (self.build)(roots, ProxyConfig::from_env()))
    }

    /// The loopback interface is trusted without TLS. Through a proxy, another machine would respond in its place.
    fn loopback(&self) -> &SharedHttpConnector {
        self.loopback
            .get_or_init(|| (self.build)(Roots::Amazon, ProxyConfig::disabled()))
    }

    /// Calls an endpoint of AWS with Amazon's roots and, if another authority has issued its certificate, with the
    /// system's.
    async fn call_aws(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let is_first = self.issuer.load(Ordering::Relaxed) == issuer::UNKNOWN;
        // Later the caller repeats the request: a copy of each would cost more than it is worth.
        let copy = if is_first { request.try_clone() } else { None };
        let failure = match self.connector(Roots::Amazon).call(request).await {
            Ok(response) => {
                if is_first {
                    self.learn(issuer::UNKNOWN, issuer::AMAZON);
                }
                return Ok(response);
            }
            Err(failure) => failure,
        };
        if !is_of_unknown_issuer(&failure) {
            return Err(failure);
        }
        if self.learn(issuer::UNKNOWN, issuer::OTHER) || self.learn(issuer::AMAZON, issuer::OTHER) {
            warn!("an endpoint of AWS has no certificate of Amazon: the system's roots are used");
        }
        match copy {
            Some(copy) => self.call_other(copy).await,
            None => Err(failure),
        }
    }

    /// Calls an endpoint of AWS with the system's roots. If they do not suffice, nothing was learned: a single wrong
    /// certificate, as of a captive portal, must not exclude Amazon's roots from then on.
    async fn call_other(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let response = self.connector(Roots::System).call(request).await;
        if response
            .as_ref()
            .is_err_and(|failure| is_of_unknown_issuer(failure))
        {
            self.learn(issuer::OTHER, issuer::UNKNOWN);
        }
        response
    }

    fn learn(&self, known: u8, learned: u8) -> bool {
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        let changed = self
            .issuer
            .compare_exchange(known, learned, success, failure);
        changed.is_ok()
    }
}

struct Shared<B>(Arc<ByIssuer<B>>);

impl<B> Debug for Shared<B> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<B: Fn(Roots, ProxyConfig) -> SharedHttpConnector + Send + Sync + 'static> HttpConnector
    for Shared<B>
{
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self(this) = self;
        let url = request.uri();
        if url.starts_with("http://") {
            let connector = if roots::is_loopback(url) {
                this.loopback()
            } else {
                this.connector(this.plain)
            };
            return connector.call(request);
        }
        let issuer = this.issuer.load(Ordering::Relaxed);
        if issuer == issuer::CONFIGURED || !roots::are_amazons(url) {
            return this.connector(Roots::System).call(request);
        }
        let this = Arc::clone(this);
        HttpConnectorFuture::new(async move {
            if issuer == issuer::OTHER {
                this.call_other(request).await
            } else {
                this.call_aws(request).await
            }
        })
    }
}

/// Whether the connection failed because no trusted root has issued the server's certificate.
fn is_of_unknown_issuer(failure: &(dyn Error + 'static)) -> bool {
    let mut next = Some(failure);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return matches!(reason, CertificateError::UnknownIssuer);
        }
        // The source of an `io::Error` is that of the error that it contains.
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(contained) => Some(contained),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests;
