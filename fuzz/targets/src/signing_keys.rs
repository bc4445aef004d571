//! The document of the keys of phantom tokens, the map of audiences, and the issuer's address.

use std::sync::OnceLock;

use auth_phantom::{Audiences, Minter, SigningAlgorithm, SigningKeys};
use serde_json::{Value, json};
use url::Url;

use crate::edit::edited;
use crate::input::Input;
use crate::world::AT;

struct Documents {
    keys: Value,
    private: Vec<String>,
    audiences: Value,
}

fn documents() -> &'static Documents {
    static DOCUMENTS: OnceLock<Documents> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let first = SigningKeys::first(SigningAlgorithm::Es256, AT).expect("a key");
        let keys = first
            .rotated(SigningAlgorithm::EdDsa, AT)
            .expect("a second key");
        let keys: Value = serde_json::from_str(keys.to_json().expose()).expect("JSON");
        let list = keys["keys"].as_array().expect("a list").iter();
        let private = list.filter_map(|key| key["private_key"].as_str().map(str::to_owned));
        Documents {
            private: private.collect(),
            keys: keys.clone(),
            audiences: json!({"orders.example.com": "orders", "[2001:db8::1]": "pay"}),
        }
    })
}

/// Runs the target.
///
/// # Panics
/// A document changes when it is written again, an error contains a private key, or two readers of an address disagree.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(3) {
        0 => keys(&edited(&documents().keys, input.rest())),
        1 => {
            let host = input.text().into_owned();
            audiences(&edited(&documents().audiences, input.rest()), &host);
        }
        _ => issuer(&input.text()),
    }
}

fn keys(document: &str) {
    // A copy in another member, such as `kid`, is no longer private.
    let is_private = |key: &&String| document.matches(key.as_str()).count() == 1;
    let private: Vec<&String> = documents().private.iter().filter(is_private).collect();
    match SigningKeys::from_json(document) {
        Ok(keys) => {
            let written = keys.to_json();
            let again = SigningKeys::from_json(written.expose()).expect("its own document");
            assert_eq!(again.jwks(), keys.jwks());
            assert_eq!(again.to_json().expose(), written.expose());
            assert_eq!(again.list(AT), keys.list(AT));
            let jwks = keys.jwks();
            assert!(!private.iter().any(|key| jwks.contains(key.as_str())));
        }
        Err(error) => {
            let text = format!("{error}{error:?}");
            assert!(!private.iter().any(|key| text.contains(key.as_str())));
        }
    }
}

fn audiences(document: &str, host: &str) {
    let Ok(audiences) = Audiences::from_json(document) else {
        return;
    };
    let found = audiences.get(host);
    assert_eq!(
        found,
        audiences.get(&host.to_ascii_uppercase()),
        "a host in another case"
    );
    if let Some(found) = found {
        assert!(!found.is_empty());
        // Another reader takes the same host from it.
        let url = Url::parse(&format!("https://{host}/"));
        let read: Value = serde_json::from_str(document).expect("JSON");
        let mut hosts = read.as_object().expect("an object").iter();
        if let Ok(url) = url {
            let name = url.host_str().unwrap_or_default();
            let lower = |known: &str| known.to_ascii_lowercase();
            assert!(
                hosts.any(|(known, audience)| {
                    let as_url = Url::parse(&format!("https://{known}/"));
                    let as_url = as_url.map(|url| url.host_str().unwrap_or_default().to_owned());
                    (lower(known) == name || as_url.is_ok_and(|host| host == name))
                        && audience == found
                }),
                "the audience of another host"
            );
        }
    }
}

fn issuer(text: &str) {
    if !Minter::accepts(text) {
        return;
    }
    let url = Url::parse(text).expect("a URL");
    assert_eq!(url.scheme(), "https");
    assert_eq!(url.as_str().trim_end_matches('/'), text);
    let header = http::Uri::try_from(text).expect("a URI");
    assert_eq!(header.host(), url.host_str());
    assert!(header.query().is_none());
}
