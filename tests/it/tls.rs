//! A TLS proxy in front of a server, with a self-issued certificate for `localhost` only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::world::unique;

/// The client's message before TLS begins, and the response.
pub(crate) struct Opening {
    pub(crate) request: &'static [u8],
    pub(crate) answer: &'static [u8],
}

impl Opening {
    /// TLS from the first byte.
    pub(crate) const NONE: Self = Self {
        request: &[],
        answer: &[],
    };
}

/// The proxy's port, and the file with the certificate that clients must trust.
pub(crate) async fn in_front_of(address: SocketAddr, opening: Opening) -> (u16, PathBuf) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let trusted = std::env::temp_dir().join(unique("gatehouse-ca"));
    std::fs::write(&trusted, cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut request = vec![0; opening.request.len()];
                client.read_exact(&mut request).await.unwrap();
                assert_eq!(request, opening.request);
                client.write_all(opening.answer).await.unwrap();
                // Clients that don't trust the certificate disconnect here.
                let Ok(mut client) = acceptor.accept(client).await else {
                    return;
                };
                let mut server = TcpStream::connect(address).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (port, trusted)
}
