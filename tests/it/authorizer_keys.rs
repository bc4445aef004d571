//! Key sets, and failures of the key server.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_tests::{Authorizer, Verdict, environment, request_event};
use serde_json::json;
use testkit::jwks_server::JwksServer;
use testkit::rows::keys::{self, KeyRow};
use testkit::server::Fault;
use testkit::{Binary, FakeAws, Pool, SigningKey};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::tls::{self, Opening};
use crate::world::unique;

#[tokio::test]
async fn cached_keys_outlive_the_key_server() {
    let authorizer = Authorizer::start().await;
    let good = Pool::ours().access_token().build();
    assert_eq!(authorizer.jwks.fetches(), 1, "fetched during init");
    let faults = [
        Fault::Cut,
        Fault::Answer(500, "{}".to_owned()),
        Fault::Answer(404, String::new()),
        Fault::Answer(200, "<html>".to_owned()),
        Fault::Answer(200, r#"{"keys":[]}"#.to_owned()),
        Fault::Hang,
        Fault::Drip,
    ];
    for fault in faults {
        authorizer.jwks.set_fault(fault.clone());
        assert_eq!(
            authorizer.verdict_on(&good).await,
            Verdict::Allow,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn missing_keys_are_an_error() {
    let pool = Pool::ours();
    let good = pool.access_token().build();
    let faults = [
        ("not JSON", Fault::Answer(200, "<html>".to_owned())),
        ("not JSON", Fault::Answer(200, String::new())),
        (
            "too large",
            Fault::Answer(
                200,
                format!(r#"{{"pad":"{}","keys":[]}}"#, "x".repeat(5_000_000)),
            ),
        ),
        ("no key set", Fault::Answer(200, "{}".to_owned())),
        (
            "no key set",
            Fault::Answer(200, r#"{"keys":{}}"#.to_owned()),
        ),
        (
            "no key set",
            Fault::Answer(200, r#"{"keys":[]}"#.to_owned()),
        ),
        ("HTTP error", Fault::Answer(301, String::new())),
        ("HTTP error", Fault::Answer(404, String::new())),
        ("HTTP error", Fault::Answer(429, String::new())),
        ("HTTP error", Fault::Answer(500, pool.jwks().to_string())),
        ("connection cut", Fault::Cut),
    ];
    let authorizer = Authorizer::start_with(&[("JWKS_URI", "http://127.0.0.1:9/jwks.json")]).await;
    assert_eq!(
        authorizer.verdict_on(&good).await,
        Verdict::Failure,
        "connection refused"
    );
    for (case, fault) in faults {
        let jwks = testkit::jwks_server::JwksServer::start(&pool.jwks()).await;
        jwks.set_fault(fault.clone());
        let authorizer = Authorizer::start_with(&[("JWKS_URI", &jwks.uri())]).await;
        assert_eq!(
            authorizer.verdict_on(&good).await,
            Verdict::Failure,
            "{case} {fault:.60?}"
        );
        // During the cool-down nothing is fetched, and every token is an error.
        assert_eq!(
            authorizer.verdict_on(&good).await,
            Verdict::Failure,
            "{case} again"
        );
    }
}

#[tokio::test]
async fn keys_are_fetched_by_the_first_request_after_an_outage() {
    let jwks = testkit::jwks_server::JwksServer::start(&Pool::ours().jwks()).await;
    jwks.set_fault(Fault::Answer(503, String::new()));
    let authorizer = Authorizer::start_with(&[("JWKS_URI", &jwks.uri())]).await;
    jwks.set_fault(Fault::None);
    let good = Pool::ours().access_token().build();
    assert_eq!(authorizer.verdict_on(&good).await, Verdict::Allow);
}

#[tokio::test]
async fn unusable_keys_are_skipped_and_weak_keys_rejected() {
    let ours = Pool::ours();
    let good = ours.access_key.jwk(ours.access_kid);
    let token = ours.access_token().build();
    let by_other = ours
        .access_token()
        .header("kid", keys::OTHER_KID)
        .signed_by(&ours.id_key)
        .build();
    let unusable = keys::unusable_keys().into_iter();
    for KeyRow { name, jwk } in unusable.chain(keys::keys_of_other_types()) {
        let jwks = json!({"keys": [jwk, good]}).to_string();
        let authorizer = Authorizer::start_with(&[("JWKS_URI", ""), ("JWKS", &jwks)]).await;
        assert_eq!(
            authorizer.verdict_on(&by_other).await,
            Verdict::Unauthorized,
            "{name} {jwk:.80}"
        );
        assert_eq!(
            authorizer.verdict_on(&token).await,
            Verdict::Allow,
            "{name} {jwk:.80}"
        );
    }

    let mut silent = good.clone();
    silent.as_object_mut().unwrap().remove("alg");
    let jwks = json!({"keys": [silent]}).to_string();
    let authorizer = Authorizer::start_with(&[("JWKS_URI", ""), ("JWKS", &jwks)]).await;
    assert_eq!(
        authorizer.verdict_on(&token).await,
        Verdict::Allow,
        "no alg in the JWK"
    );
}

#[tokio::test]
async fn conflicting_keys_with_one_kid_are_both_ignored() {
    let ours = Pool::ours();
    let twins = [
        ours.id_key.jwk(ours.access_kid),
        ours.access_key.jwk(ours.access_kid),
    ];
    let jwks = json!({"keys": [twins[0], twins[1], ours.id_key.jwk("good")]}).to_string();
    let authorizer = Authorizer::start_with(&[("JWKS_URI", ""), ("JWKS", &jwks)]).await;
    let token = ours.access_token().build();
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Unauthorized);
    let token = ours
        .access_token()
        .header("kid", "good")
        .signed_by(&ours.id_key)
        .build();
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Allow);

    let jwks = json!({"keys": [twins[1], twins[1]]}).to_string();
    let authorizer = Authorizer::start_with(&[("JWKS_URI", ""), ("JWKS", &jwks)]).await;
    let token = ours.access_token().build();
    assert_eq!(
        authorizer.verdict_on(&token).await,
        Verdict::Allow,
        "the same key twice"
    );
}

#[tokio::test]
async fn unknown_kids_share_one_fetch_and_rotation_is_noticed() {
    let ours = Pool::ours();
    let authorizer = Authorizer::start().await;
    let new = SigningKey::rsa();
    let rotated = ours
        .access_token()
        .header("kid", "rotated")
        .signed_by(&new)
        .build();
    authorizer.jwks.set_body(
        json!({"keys": [new.jwk("rotated"), ours.access_key.jwk(ours.access_kid)]}).to_string(),
    );
    assert_eq!(authorizer.verdict_on(&rotated).await, Verdict::Allow);
    assert_eq!(authorizer.jwks.fetches(), 2);
    for n in 0..200 {
        let token = ours
            .access_token()
            .header("kid", format!("random-{n}"))
            .build();
        assert_eq!(authorizer.verdict_on(&token).await, Verdict::Unauthorized);
    }
    assert_eq!(authorizer.jwks.fetches(), 3, "one fetch per cool-down");
    let gone = ours
        .access_token()
        .header("kid", ours.id_kid)
        .signed_by(&ours.id_key)
        .build();
    assert_eq!(
        authorizer.verdict_on(&gone).await,
        Verdict::Unauthorized,
        "withdrawn"
    );
}

/// A body that arrives slowly, or never, and a process that is frozen while it waits.
#[tokio::test]
async fn a_slow_key_server_delays_one_request() {
    let drip = recovers_from("slow body", Fault::Drip, false);
    let frozen = recovers_from("frozen process", Fault::Hang, true);
    tokio::join!(drip, frozen);
}

async fn recovers_from(case: &str, fault: Fault, freeze: bool) {
    let good = Pool::ours().access_token().build();
    let jwks = JwksServer::start(&Pool::ours().jwks()).await;
    jwks.set_fault(fault);
    let store = FakeAws::start().await;
    let environment = environment(&jwks.uri(), &store.url(), &[]);
    let binary = Binary::start("authorizer", &environment).await;
    let event = request_event(&format!("Bearer {good}"));
    let frozen = async {
        if freeze {
            tokio::time::sleep(Duration::from_millis(100)).await;
            binary.signal("-STOP");
            tokio::time::sleep(Duration::from_secs(4)).await;
            binary.signal("-CONT");
        }
    };
    let (outcome, ()) = tokio::join!(binary.invoke(&event), frozen);
    assert!(outcome.is_failure(), "{case} {outcome:?}");
    // The cool-down after a failed fetch is 10 s of wall-clock time.
    jwks.set_fault(Fault::None);
    let mut verdict = Verdict::Failure;
    for _ in 0..60 {
        verdict = auth_tests::verdict(&binary.invoke(&event).await);
        if verdict != Verdict::Failure {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(verdict, Verdict::Allow, "{case}: the authorizer recovers");
}

/// A host name that does not resolve, and a server without TLS behind an https URL.
#[tokio::test]
async fn unreachable_key_servers_are_an_error() {
    let plain = FakeAws::start().await;
    let no_tls = plain.url().replace("http://", "https://");
    let good = Pool::ours().access_token();
    for (case, issuer) in [
        ("unknown host", "https://gatehouse.invalid"),
        ("no TLS", no_tls.as_str()),
    ] {
        let trusted = json!([{"issuer": issuer, "alias": "other", "audiences": ["api"]}]);
        let more = [("TRUSTED_ISSUERS", trusted.to_string())];
        let more: Vec<(&str, &str)> = more.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let authorizer = Authorizer::start_with(&more).await;
        let token = good
            .clone()
            .claim("iss", issuer)
            .claim("aud", "api")
            .build();
        assert_eq!(
            authorizer.verdict_on(&token).await,
            Verdict::Failure,
            "{case} {issuer}"
        );
        let verdict = authorizer.verdict_on(&good.build()).await;
        assert_eq!(
            verdict,
            Verdict::Allow,
            "{case}: other issuers are not affected"
        );
    }
    for (case, store) in [
        ("unknown host", "http://gatehouse.invalid"),
        ("no TLS", no_tls.as_str()),
    ] {
        let jwks = JwksServer::start(&Pool::ours().jwks()).await;
        let binary = Binary::start("authorizer", &environment(&jwks.uri(), store, &[])).await;
        let event = request_event(&format!("Bearer {}", good.build()));
        assert!(binary.invoke(&event).await.is_failure(), "{case} {store}");
    }
}

/// A key server and a store behind TLS, as in an AWS account.
struct BehindTls {
    jwks: JwksServer,
    /// Kept alive.
    _store: FakeAws,
    keys_port: u16,
    store_port: u16,
    /// Files with the certificates that clients must trust: the key server's, the store's, and both.
    keys_root: PathBuf,
    store_root: PathBuf,
    both_roots: PathBuf,
}

impl BehindTls {
    async fn start() -> Self {
        let jwks = JwksServer::start(&Pool::ours().jwks()).await;
        let store = FakeAws::start().await;
        let address = |url: &str| url.split('/').nth(2).unwrap().parse().unwrap();
        let (keys_port, keys_root) = tls::in_front_of(address(&jwks.uri()), Opening::NONE).await;
        let (store_port, store_root) = tls::in_front_of(address(&store.url()), Opening::NONE).await;
        let both_roots = std::env::temp_dir().join(unique("gatehouse-roots"));
        let pems = [&keys_root, &store_root].map(|file| std::fs::read(file).unwrap());
        std::fs::write(&both_roots, pems.concat()).unwrap();
        Self {
            jwks,
            _store: store,
            keys_port,
            store_port,
            keys_root,
            store_root,
            both_roots,
        }
    }

    /// The verdict of an authorizer on a token of the issuer at this host, which it trusts.
    async fn verdict(&self, host: &str, more: &[(&str, &str)]) -> Verdict {
        let issuer = format!("https://{host}:{}", self.keys_port);
        let trusted = json!([{"issuer": issuer, "alias": "other", "audiences": ["api"]}]);
        let trusted = trusted.to_string();
        let rules = crate::authorizer_rules::rules_for_any_user();
        let own = [
            ("TRUSTED_ISSUERS", trusted.as_str()),
            ("POLICIES_DIR", rules),
        ];
        let store = format!("https://localhost:{}", self.store_port);
        let environment = environment(&self.jwks.uri(), &store, &[&own, more].concat());
        let binary = Binary::start("authorizer", &environment).await;
        let token = Pool::ours().access_token().claim("iss", issuer);
        let token = token.claim("aud", "api").build();
        let event = request_event(&format!("Bearer {token}"));
        auth_tests::verdict(&binary.invoke(&event).await)
    }
}

#[tokio::test]
async fn tls_certificates_are_verified() {
    let servers = BehindTls::start().await;
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let rows = [
        ("localhost", path(&servers.both_roots), Verdict::Allow),
        // The certificate is for another host name.
        ("127.0.0.1", path(&servers.both_roots), Verdict::Failure),
        // Only the store's certificate is trusted, or only the key server's.
        ("localhost", path(&servers.store_root), Verdict::Failure),
        ("localhost", path(&servers.keys_root), Verdict::Failure),
    ];
    for (host, roots, expected) in rows {
        let more = [("SSL_CERT_FILE", roots.as_str())];
        let verdict = servers.verdict(host, &more).await;
        assert_eq!(verdict, expected, "{host} {roots}");
    }
}

/// A proxy for `CONNECT` (RFC 9110 section 9.3.6): its URL, and the targets that it was asked for.
async fn tunnels() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let targets = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&targets);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                let mut client = BufReader::new(client);
                let mut request = String::new();
                while !request.ends_with("\r\n\r\n") {
                    assert!(client.read_line(&mut request).await.unwrap() > 0);
                }
                let target = request.strip_prefix("CONNECT ").unwrap();
                let target = target.split(' ').next().unwrap().to_owned();
                let mut server = TcpStream::connect(&target).await.unwrap();
                asked.lock().unwrap().push(target);
                let answer = b"HTTP/1.1 200 OK\r\n\r\n";
                client.write_all(answer).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (url, targets)
}

/// A function in a network that only a proxy leaves.
#[tokio::test]
async fn keys_and_table_are_reached_through_a_proxy() {
    let servers = BehindTls::start().await;
    let ports = [servers.keys_port, servers.store_port];
    for excluded in ["", "localhost"] {
        let (proxy, targets) = tunnels().await;
        let more = [
            ("SSL_CERT_FILE", servers.both_roots.to_str().unwrap()),
            ("HTTPS_PROXY", &proxy),
            ("NO_PROXY", excluded),
        ];
        let verdict = servers.verdict("localhost", &more).await;
        assert_eq!(verdict, Verdict::Allow, "NO_PROXY={excluded}");
        let mut targets = targets.lock().unwrap().clone();
        targets.sort();
        targets.dedup();
        let mut expected = ports.map(|port| format!("localhost:{port}"));
        expected.sort();
        let expected = if excluded.is_empty() {
            &expected[..]
        } else {
            &[]
        };
        assert_eq!(targets, expected, "NO_PROXY={excluded}");
    }
}

/// A proxy would look for the key server on its own loopback interface, and could respond in its place.
#[tokio::test]
async fn no_proxy_stands_before_the_loopback_interface() {
    let (jwks, store) = (
        JwksServer::start(&Pool::ours().jwks()).await,
        FakeAws::start().await,
    );
    let (proxy, targets) = tunnels().await;
    let proxies =
        ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"].map(|name| (name, proxy.as_str()));
    let binary = Binary::start(
        "authorizer",
        &environment(&jwks.uri(), &store.url(), &proxies),
    )
    .await;
    let token = Pool::ours().access_token().build();
    let event = request_event(&format!("Bearer {token}"));
    assert_eq!(
        auth_tests::verdict(&binary.invoke(&event).await),
        Verdict::Allow
    );
    assert!(jwks.fetches() > 0 && targets.lock().unwrap().is_empty());
}
