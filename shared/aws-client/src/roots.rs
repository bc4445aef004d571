//! Which certificate authorities issue the certificate of a host.

use std::fs;
use std::net::IpAddr;

use aws_smithy_http_client::tls::TrustStore;

/// The roots of Amazon Trust Services, which issues the certificates of AWS's endpoints in the partitions `aws` and
/// `aws-us-gov`. Its repository recommends all five to clients with trust stores of their own. `docs/supply-chain.md` has
/// their hashes and when each expires.
/// Source: Amazon Trust Services, "Repository".
const AMAZON: &[u8] = include_bytes!("amazon-roots.pem");

/// Whether Amazon Trust Services is expected to issue the certificate of the URL's host. The endpoints of other
/// partitions (China, the European Sovereign Cloud) have other names, and other issuers.
pub(crate) fn are_amazons(url: &str) -> bool {
    let Some(host) = host(url) else {
        return false;
    };
    let ends_with = |domain: &str| {
        let start = host.len().checked_sub(domain.len());
        let end = start.and_then(|start| host.get(start..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(domain))
    };
    ends_with(".amazonaws.com") || ends_with(".api.aws")
}

/// Whether the URL's host is this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let Some(host) = host(url) else {
        return false;
    };
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let address: Result<IpAddr, _> = address.unwrap_or(host).parse();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// The host of a URL, without its port; an IPv6 address in brackets.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Some(host),
        _ => Some(authority),
    }
}

/// A trust store of Amazon's roots only.
pub(crate) fn amazon() -> TrustStore {
    TrustStore::empty().with_pem_certificate(AMAZON)
}

/// Whether other authorities than Amazon Trust Services issue the certificates of AWS's endpoints in this region: in China,
/// the European Sovereign Cloud, and isolated regions.
pub(crate) fn are_other_in(region: &str) -> bool {
    ["cn-", "eusc-", "us-iso", "eu-iso"]
        .iter()
        .any(|prefix| region.starts_with(prefix))
}

/// Whether the operator has named a trust store, by the variables that rustls-native-certs reads: no other is used then.
pub(crate) fn are_configured(lookup: &dyn Fn(&str) -> Option<String>) -> bool {
    let is_set = |name| lookup(name).is_some_and(|value| !value.is_empty());
    is_set("SSL_CERT_FILE") || is_set("SSL_CERT_DIR")
}

/// Whether these variables name no certificate. An empty variable is a name, too: rustls-native-certs then does not look
/// where the system has its store.
pub(crate) fn are_missing(lookup: &dyn Fn(&str) -> Option<String>) -> bool {
    let (file, folder) = (lookup("SSL_CERT_FILE"), lookup("SSL_CERT_DIR"));
    if file.is_none() && folder.is_none() {
        return false;
    }
    let has_certificate = |path| {
        let start = b"-----BEGIN ";
        fs::read(path).is_ok_and(|text| text.windows(start.len()).any(|part| part == start))
    };
    let has_file = |path| fs::read_dir(path).is_ok_and(|mut files| files.next().is_some());
    !file.is_some_and(has_certificate) && !folder.is_some_and(has_file)
}

/// Whether requests without TLS go through a proxy that is itself called by TLS.
pub(crate) fn has_tls_proxy(lookup: &dyn Fn(&str) -> Option<String>) -> bool {
    let starts = |proxy: String| {
        let scheme = proxy.get(.."https:".len());
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    };
    ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| lookup(name).is_some_and(starts))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};
    use rustls::RootCertStore;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn amazons() -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(AMAZON)
            .collect::<Result<_, _>>()
            .unwrap()
    }

    /// SHA-256 of each root's public key.
    /// Source: Amazon Trust Services, "Repository", <https://www.amazontrust.com/repository/>.
    const KEYS: [&str; 5] = [
        "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2",
        "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461",
        "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9",
        "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5",
        "2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92",
    ];

    #[test]
    fn the_roots_are_those_of_amazons_repository() {
        let mut store = RootCertStore::empty();
        for root in amazons() {
            store.add(root).unwrap();
        }
        let keys: Vec<String> = store
            .roots
            .iter()
            .map(|root| {
                // The anchor omits the outer SEQUENCE, whose length takes one, two or three bytes.
                let key = &*root.subject_public_key_info;
                let length = u16::try_from(key.len()).unwrap().to_be_bytes();
                let header = match key.len() {
                    0..0x80 => vec![0x30, length[1]],
                    0x80..0x100 => vec![0x30, 0x81, length[1]],
                    _ => vec![0x30, 0x82, length[0], length[1]],
                };
                hex::encode(digest(&SHA256, &[&header, key].concat()))
            })
            .collect();
        assert_eq!(keys, KEYS);
    }

    /// Fails when Mozilla's root program, the source of most systems' stores, has withdrawn one.
    #[test]
    fn the_systems_store_contains_the_roots() {
        let system = rustls_native_certs::load_native_certs().certs;
        if system.is_empty() {
            testkit::report::skip(
                "the comparison of Amazon's roots with the system's, without a trust store",
            );
            return;
        }
        for (root, key) in amazons().iter().zip(KEYS) {
            assert!(system.contains(root), "{key}");
        }
    }

    #[test]
    fn partitions_with_other_authorities_are_known() {
        for region in [
            "cn-north-1",
            "eusc-de-east-1",
            "us-iso-east-1",
            "us-isob-east-1",
        ] {
            assert!(are_other_in(region), "{region}");
        }
        for region in ["us-east-1", "eu-central-1", "us-gov-west-1", "ca-central-1"] {
            assert!(!are_other_in(region), "{region}");
        }
    }

    #[test]
    fn an_operator_may_name_another_store() {
        let with = |name: &'static str, value: &'static str| {
            are_configured(&move |wanted| (wanted == name).then(|| value.to_owned()))
        };
        assert!(with("SSL_CERT_FILE", "/opt/roots.pem"));
        assert!(with("SSL_CERT_DIR", "/opt/roots"));
        assert!(!with("SSL_CERT_FILE", "") && !with("OTHER", "/opt/roots.pem"));
    }

    #[test]
    fn a_named_store_without_a_certificate_is_known() {
        let folder = std::env::temp_dir().join(format!("gatehouse-store-{}", std::process::id()));
        let empty = folder.join("empty");
        std::fs::create_dir_all(&empty).unwrap();
        let [good, garbage] = ["good.pem", "garbage.pem"].map(|name| folder.join(name));
        std::fs::write(&good, [b"a comment\n", AMAZON].concat()).unwrap();
        std::fs::write(&garbage, "no certificate").unwrap();
        let path = |path: &std::path::Path| Some(path.to_str().unwrap().to_owned());
        let blank = || Some(String::new());
        for (file, dir, missing) in [
            (None, None, false),
            (path(&good), None, false),
            (None, path(&folder), false),
            (blank(), path(&folder), false),
            (path(&garbage), path(&folder), false),
            (path(&good), path(&empty), false),
            (blank(), None, true),
            (None, blank(), true),
            (path(&garbage), None, true),
            (path(&folder.join("absent.pem")), None, true),
            (path(&folder), None, true),
            (path(&garbage), path(&empty), true),
        ] {
            let lookup = |name: &str| match name {
                "SSL_CERT_FILE" => file.clone(),
                _ => dir.clone(),
            };
            assert_eq!(are_missing(&lookup), missing, "{file:?} {dir:?}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_proxy_with_tls_is_known() {
        let with = |name: &'static str, value: &'static str| {
            has_tls_proxy(&move |wanted| (wanted == name).then(|| value.to_owned()))
        };
        assert!(with("HTTP_PROXY", "https://proxy.example:3128"));
        assert!(with("all_proxy", "HTTPS://proxy.example"));
        assert!(!with("HTTP_PROXY", "http://proxy.example") && !with("HTTP_PROXY", "\u{e9}"));
        assert!(
            !with("HTTPS_PROXY", "https://proxy.example"),
            "these use TLS anyway"
        );
    }

    #[test]
    fn this_machine_is_recognized() {
        for url in [
            "http://127.0.0.1:8080/jwks.json",
            "http://127.9.9.9",
            "http://LOCALHOST/?a=b",
            "http://[::1]:8000/",
            "http://[::1]",
            "http://user@localhost:1/",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://keys.example/",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "http://127.0.0.1:1@keys.example/",
            "http://keys.example/@localhost",
            "http://10.0.0.1:8000/",
            "http://[::2]/",
            "localhost",
            "",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn hosts_of_aws_are_recognized() {
        for url in [
            "https://dynamodb.eu-central-1.amazonaws.com/",
            "https://dynamodb.eu-central-1.amazonaws.com",
            "https://123456789012.ddb.eu-central-1.amazonaws.com/",
            "https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_a/.well-known/jwks.json",
            "https://COGNITO-IDP.us-east-1.AMAZONAWS.COM:443/?a=b",
            "https://dynamodb.us-east-1.api.aws/",
        ] {
            assert!(are_amazons(url), "{url}");
        }
        for url in [
            "https://dynamodb.cn-north-1.amazonaws.com.cn/",
            "https://dynamodb.eusc-de-east-1.amazonaws.eu/",
            "https://www.googleapis.com/oauth2/v3/certs",
            "https://login.example.com/.amazonaws.com",
            "https://login.example.com?.amazonaws.com",
            "https://dynamodb.eu-central-1.amazonaws.com:443@login.example.com/",
            "https://notamazonaws.com/",
            "https://xn--mazonaws-kza.com/",
            "https://localhost:8000/",
            "https://[::1]:8000/",
            "https://\u{e4}.com/",
            "dynamodb.eu-central-1.amazonaws.com",
            "",
        ] {
            assert!(!are_amazons(url), "{url}");
        }
    }
}
