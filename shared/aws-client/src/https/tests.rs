//! The roots that requests are made with, against TLS servers of two authorities, one of them in Amazon's place.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicUsize;

use aws_smithy_http_client::tls::TrustStore;
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const AWS: &str = "dynamodb.eu-central-1.amazonaws.com";
const ELSEWHERE: &str = "login.example.com";

static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A server with a certificate for both hosts, and the authority that issued it.
struct Server {
    port: u16,
    root: String,
    requests: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Self {
        let names = vec![AWS.to_owned(), ELSEWHERE.to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        // A name of its own: one authority is told from another by its name.
        let number = STARTED.fetch_add(1, Ordering::SeqCst).to_string();
        params.distinguished_name.push(DnType::CommonName, number);
        let signing_key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&signing_key).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                counted.fetch_add(1, Ordering::SeqCst);
                let response = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(response).await;
                let _ = stream.shutdown().await;
            }
        });
        Self {
            port,
            root: cert.pem(),
            requests,
        }
    }

    fn served(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.port)
    }
}

#[derive(Clone, Debug)]
struct Loopback;

impl ResolveDns for Loopback {
    fn resolve_dns<'a>(&'a self, _: &'a str) -> DnsFuture<'a> {
        DnsFuture::ready(Ok(vec![Ipv4Addr::LOCALHOST.into()]))
    }
}

/// A connector for which `amazon` is Amazon's authority and `system` the system's only one, and the roots that it has read.
fn connector(
    issuer: u8,
    amazon: &Server,
    system: &Server,
) -> (SharedHttpConnector, Arc<Mutex<Vec<Roots>>>) {
    let pems = [amazon.root.clone(), system.root.clone()];
    let read = Arc::new(Mutex::new(Vec::new()));
    let reading = Arc::clone(&read);
    let connector = ByIssuer::assuming(issuer, Roots::Amazon, move |roots, _| {
        reading.lock().unwrap().push(roots);
        let [amazon, system] = &pems;
        let pem = match roots {
            Roots::Amazon => amazon,
            Roots::System => system,
        };
        let store = TrustStore::empty().with_pem_certificate(pem.as_bytes());
        let tls = TlsContext::builder()
            .with_trust_store(store)
            .build()
            .unwrap();
        let connector = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls)
            .build_with_resolver(Loopback);
        SharedHttpConnector::new(connector)
    });
    (connector, read)
}

async fn succeeds(connector: &SharedHttpConnector, url: &str) -> bool {
    let request = HttpRequest::get(url).unwrap();
    let answer = connector.call(request).await;
    answer.is_ok_and(|response| response.status().is_success())
}

#[tokio::test]
async fn endpoints_of_aws_need_only_amazons_roots() {
    let (amazon, system) = (Server::start().await, Server::start().await);
    let (connector, read) = connector(issuer::UNKNOWN, &amazon, &system);
    for _ in 0..3 {
        assert!(succeeds(&connector, &amazon.url(AWS)).await);
    }
    assert_eq!(*read.lock().unwrap(), [Roots::Amazon]);
}

#[tokio::test]
async fn another_authority_is_found_in_the_systems_store() {
    let (amazon, system) = (Server::start().await, Server::start().await);
    let (connector, read) = connector(issuer::UNKNOWN, &amazon, &system);
    for _ in 0..3 {
        assert!(succeeds(&connector, &system.url(AWS)).await);
    }
    assert_eq!(system.served(), 3);
    assert_eq!(*read.lock().unwrap(), [Roots::Amazon, Roots::System]);
}

#[tokio::test]
async fn a_change_of_the_authority_costs_one_failure() {
    let (amazon, system) = (Server::start().await, Server::start().await);
    let (connector, _) = connector(issuer::UNKNOWN, &amazon, &system);
    assert!(succeeds(&connector, &amazon.url(AWS)).await);
    assert!(!succeeds(&connector, &system.url(AWS)).await);
    assert!(succeeds(&connector, &system.url(AWS)).await);
}

#[tokio::test]
async fn other_hosts_need_the_systems_roots() {
    let (amazon, system) = (Server::start().await, Server::start().await);
    let (connector, read) = connector(issuer::UNKNOWN, &amazon, &system);
    assert!(succeeds(&connector, &system.url(ELSEWHERE)).await);
    assert!(!succeeds(&connector, &amazon.url(ELSEWHERE)).await);
    assert_eq!(amazon.served(), 0);
    assert_eq!(*read.lock().unwrap(), [Roots::System]);
}

#[tokio::test]
async fn an_unknown_authority_is_refused_everywhere() {
    let (amazon, system) = (Server::start().await, Server::start().await);
    let unknown = Server::start().await;
    let (connector, _) = connector(issuer::UNKNOWN, &amazon, &system);
    for host in [AWS, AWS, ELSEWHERE] {
        assert!(!succeeds(&connector, &unknown.url(host)).await);
    }
    assert_eq!(unknown.served(), 0);
}

#[tokio::test]
async fn a_refused_certificate_does_not_exclude_amazons_roots() {
    let (amazon, system) = (Server::start().await, Server::start().await);
    let unknown = Server::start().await;
    for known in [issuer::UNKNOWN, issuer::AMAZON, issuer::OTHER] {
        let (connector, _) = connector(known, &amazon, &system);
        for _ in 0..2 {
            assert!(!succeeds(&connector, &unknown.url(AWS)).await);
        }
        assert!(succeeds(&connector, &amazon.url(AWS)).await, "{known}");
        let (first, second) = (
            succeeds(&connector, &system.url(AWS)).await,
            succeeds(&connector, &system.url(AWS)).await,
        );
        assert!(first || second, "the SDK repeats an attempt: {known}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let (amazon, system) = (Server::start().await, Server::start().await);
    let (connector, read) = connector(issuer::UNKNOWN, &amazon, &system);
    let other = "sqs.eu-central-1.amazonaws.com";
    assert!(!succeeds(&connector, &amazon.url(other)).await);
    assert!(!succeeds(&connector, &system.url(other)).await);
    assert_eq!(*read.lock().unwrap(), [Roots::Amazon, Roots::System]);
}

#[tokio::test]
async fn a_configured_store_is_the_only_one() {
    let (amazon, system) = (Server::start().await, Server::start().await);
    let (connector, read) = connector(issuer::CONFIGURED, &amazon, &system);
    for _ in 0..2 {
        assert!(!succeeds(&connector, &amazon.url(AWS)).await);
        assert!(succeeds(&connector, &system.url(AWS)).await);
    }
    assert_eq!(*read.lock().unwrap(), [Roots::System]);
}

#[tokio::test]
async fn other_failures_do_not_read_the_systems_roots() {
    let (amazon, system) = (Server::start().await, Server::start().await);
    let (connector, read) = connector(issuer::UNKNOWN, &amazon, &system);
    let unused = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
    let address = unused.unwrap().local_addr().unwrap();
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://{AWS}:{}/", address.port());
        assert!(!succeeds(&connector, &url).await);
    }
    assert_eq!(*read.lock().unwrap(), [Roots::Amazon]);
}

#[tokio::test]
async fn plain_http_reads_no_roots_of_the_system() {
    let (amazon, system) = (Server::start().await, Server::start().await);
    let (connector, read) = connector(issuer::OTHER, &amazon, &system);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let response = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(response).await.unwrap();
    });
    assert!(succeeds(&connector, &url).await);
    assert_eq!(*read.lock().unwrap(), [Roots::Amazon]);
}

/// `.cargo/config.toml` sets them. With the first, each start on x86-64 takes 24 ms less of the processor; with the second,
/// the library is the one that Cargo.lock pins.
#[test]
fn the_build_sets_aws_lcs_variables() {
    let variable = option_env!("AWS_LC_SYS_NO_JITTER_ENTROPY_x86_64_unknown_linux_gnu");
    assert_eq!(variable, Some("1"));
    assert_eq!(option_env!("AWS_LC_SYS_USE_SYSTEM"), Some("0"));
}
