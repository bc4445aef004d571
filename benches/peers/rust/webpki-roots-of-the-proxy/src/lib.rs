//! The root certificates of the file that `SSL_CERT_FILE` names, in place of those that webpki-roots compiles in. With
//! them jwt-verify trusts the proxy that answers for Cognito. What it does with a token is not changed.

use std::sync::LazyLock;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor};

/// Read at the first use.
pub static TLS_SERVER_ROOTS: LazyLock<Vec<TrustAnchor<'static>>> = LazyLock::new(|| {
    let file = std::env::var_os("SSL_CERT_FILE").expect("SSL_CERT_FILE");
    let certificates = CertificateDer::pem_file_iter(file).expect("a file of certificates");
    let root = |certificate: CertificateDer<'static>| {
        webpki::anchor_from_trusted_cert(&certificate).expect("a root certificate").to_owned()
    };
    certificates.map(|certificate| root(certificate.expect("a certificate"))).collect()
});
