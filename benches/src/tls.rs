//! TLS in front of a server, as keys and store have it in an AWS account: a certificate for `localhost` with an RSA key,
//! issued by an intermediate authority with an RSA key, as Amazon Trust Services issues those of most endpoints.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Where Debian, Amazon Linux and Fedora have the system's root certificates.
const SYSTEM_ROOTS: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// The roots that functions have for AWS's own hosts.
const AMAZON_ROOTS: &str = "../shared/aws-client/src/amazon-roots.pem";

/// One certificate for several servers.
pub struct Tls {
    acceptor: TlsAcceptor,
    pem: String,
    files: Vec<PathBuf>,
}

impl Tls {
    /// Makes a root, an intermediate authority and a certificate.
    ///
    /// # Panics
    /// If there is no randomness.
    #[must_use]
    pub fn new() -> Self {
        let key = || {
            let (algorithm, size) = (&PKCS_RSA_SHA256, RsaKeySize::_2048);
            KeyPair::generate_rsa_for(algorithm, size).expect("a key")
        };
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let (root, root_key) = (authority("Root"), key());
        let pem = root.self_signed(&root_key).expect("a certificate").pem();
        let root = Issuer::new(root, root_key);
        let (middle, middle_key) = (authority("RSA 2048"), key());
        let middle_cert = middle.signed_by(&middle_key, &root).expect("a certificate");
        let middle = Issuer::new(middle, middle_key);
        let leaf = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let leaf_key = key();
        let leaf = leaf.signed_by(&leaf_key, &middle).expect("a certificate");
        let chain = vec![leaf.der().clone(), middle_cert.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a key that fits");
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            pem,
            files: Vec::new(),
        }
    }

    /// A file with the system's root certificates and this one, as `SSL_CERT_FILE` of a function, and their number.
    ///
    /// # Panics
    /// If the system has no root certificates.
    pub fn beside_system_roots(&mut self) -> (PathBuf, usize) {
        let mut read = SYSTEM_ROOTS.iter().map(std::fs::read_to_string);
        let system = read.find_map(Result::ok);
        self.beside(&system.expect("the system's root certificates"))
    }

    /// The same with the roots of AWS's own hosts; `None` where functions have no such roots.
    pub fn beside_amazon_roots(&mut self) -> Option<(PathBuf, usize)> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(AMAZON_ROOTS);
        let roots = std::fs::read_to_string(file).ok()?;
        Some(self.beside(&roots))
    }

    fn beside(&mut self, roots: &str) -> (PathBuf, usize) {
        let count = roots.matches("BEGIN CERTIFICATE").count();
        let name = format!("gatehouse-roots-{}-{count}", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, format!("{roots}\n{}", self.pem)).expect("a temporary file");
        self.files.push(file.clone());
        (file, count)
    }

    /// A TLS server in front of `http://127.0.0.1:port`: its URL.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn in_front_of(&self, url: &str) -> String {
        let address = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let acceptor = self.acceptor.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Otherwise the end of the handshake waits 40 ms for an acknowledgement.
                client.set_nodelay(true).expect("a socket");
                let (acceptor, address) = (acceptor.clone(), address.clone());
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else {
                        return;
                    };
                    let mut server = TcpStream::connect(address).await.expect("the server");
                    server.set_nodelay(true).expect("a socket");
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        format!("https://localhost:{port}")
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}
