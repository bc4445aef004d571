//! The built server, over real connections: keys from the configuration, revocations in memory.

mod browser_sessions;
mod connections;
mod keys;
mod readiness;
mod store;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use forward_auth::{Config, ForwardAuth, server};
use testkit::{Pool, events, now};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
const SUBJECT: &str = "a1b2c3d4-5678-90ab-cdef-example11111";

struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        lines.find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

fn config(variables: &[(&str, &str)]) -> Config {
    let jwks = Pool::ours().jwks().to_string();
    let given = [
        ("PROXY_DIALECT", "nginx"),
        ("POLICIES_DIR", POLICIES),
        ("REVOCATION_STORE", "memory"),
        ("REVOCATION_TABLE", ""),
        ("JWKS", jwks.as_str()),
    ];
    let all: Vec<(&str, &str)> = variables.iter().copied().chain(given).collect();
    let config = Config::from_lookup(&events::variables(&all));
    config.unwrap_or_else(|error| panic!("{error}"))
}

async fn start(variables: &[(&str, &str)]) -> Running {
    serve(ForwardAuth::connect(config(variables)).await.unwrap()).await
}

async fn serve(forward_auth: ForwardAuth) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        stopped.await.unwrap();
    };
    Running {
        address,
        stop: Some(stop),
        served: tokio::spawn(server::serve(listener, forward_auth, stopped)),
    }
}

/// Reads one response, by its `content-length`.
async fn read(stream: &mut TcpStream) -> Option<Reply> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        let mut some = [0; 4_096];
        let number = stream
            .read(&mut some)
            .await
            .ok()
            .filter(|number| *number > 0)?;
        bytes.extend_from_slice(&some[..number]);
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut reply = Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: String::new(),
    };
    let length: usize = reply
        .header("content-length")
        .unwrap_or("0")
        .parse()
        .unwrap();
    let mut body = bytes[head_end..].to_vec();
    while body.len() < length {
        let mut some = [0; 4_096];
        let number = stream.read(&mut some).await.unwrap();
        body.extend_from_slice(&some[..number]);
    }
    reply.body = String::from_utf8(body).unwrap();
    Some(reply)
}

impl Running {
    async fn connection(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these lines as a request's head.
    async fn raw(&self, lines: &[&str]) -> Reply {
        let mut stream = self.connection().await;
        let head = lines.join("\r\n") + "\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        read(&mut stream).await.unwrap()
    }

    async fn get(&self, path: &str) -> Reply {
        self.raw(&[&format!("GET {path} HTTP/1.1"), "Host: auth"])
            .await
    }

    /// Asks about a request in nginx's dialect.
    async fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Reply {
        let (method, path) = (
            format!("X-Original-Method: {method}"),
            format!("X-Original-URI: {path}"),
        );
        let host = "X-Original-Host: orders.example.com";
        let start = ["GET /auth HTTP/1.1", "Host: auth", &method, host, &path];
        let lines: Vec<&str> = start.into_iter().chain(headers.iter().copied()).collect();
        self.raw(&lines).await
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn good() -> String {
    bearer(&Pool::ours().access_token().build())
}

#[tokio::test]
async fn an_allowed_request_has_every_identity_header() {
    let server = start(&[]).await;
    let spoofed = ["X-Auth-Subject: admin", "X-Auth-Groups: admins"];
    let token = good();
    let reply = server
        .ask("GET", "/orders/7", &[&token, spoofed[0], spoofed[1]])
        .await;
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    for (name, value) in [
        ("x-auth-subject", SUBJECT),
        ("x-auth-username", "ada"),
        ("x-auth-groups", ""),
        ("x-auth-scope", "aws.cognito.signin.user.admin"),
        ("x-auth-client-id", Pool::ours().client_id),
        ("x-auth-issuer", Pool::ours().id),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
        let lines = reply.head.lines();
        let number = lines
            .filter(|line| line.to_lowercase().starts_with(&format!("{name}:")))
            .count();
        assert_eq!(number, 1, "{name}");
    }
}

/// The bad inputs of `docs/outcomes.md`, and a good request after each.
#[tokio::test]
async fn each_bad_input_has_its_outcome() {
    let server = start(&[
        ("TOKEN_SOURCES", "header,cookie"),
        ("ALLOWED_ORIGINS", "https://app.example"),
    ])
    .await;
    let pool = Pool::ours();
    let token = pool.access_token();
    let good = good();
    let raw = token.build();
    let cookie = format!("Cookie: __Host-access_token={raw}");
    let two_cookies = format!("Cookie: __Host-access_token={raw}; __Host-access_token={raw}");
    let big = format!("X-Big: {}", "a".repeat(64 * 1024));
    let behind = bearer(&token.clone().claim("iat", now() + 30).build());
    let rotated = bearer(&token.clone().header("kid", "rotated").build());
    let withdrawn = bearer(&token.clone().signed_by(&Pool::foreign().access_key).build());
    let foreign = bearer(&Pool::foreign().access_token().build());
    let named = |name: &str| bearer(&token.clone().claim("username", name).build());
    let broken = named("a\r\nX-Auth-Groups: admins");
    let injected = named("zo\u{eb}, X-Auth-Groups: admins");
    let groups: Vec<String> = (0..100).map(|number| format!("team-{number:03}")).collect();
    let many = bearer(
        &token
            .clone()
            .claim("cognito:groups", groups.clone())
            .build(),
    );
    let groups: Vec<String> = (0..100).map(|number| format!("{number:050}")).collect();
    let too_many = bearer(&token.clone().claim("cognito:groups", groups).build());
    let rows: Vec<(&str, &str, &str, Vec<&str>, u16)> = vec![
        ("two cookies", "GET", "/x", vec![&two_cookies], 401),
        (
            "a header and a cookie",
            "GET",
            "/x",
            vec![&cookie, &good],
            401,
        ),
        ("a cookie", "GET", "/x", vec![&cookie], 200),
        ("a cookie and no origin", "POST", "/x", vec![&cookie], 403),
        (
            "a cookie and its page",
            "POST",
            "/x",
            vec![&cookie, "Origin: https://app.example"],
            200,
        ),
        (
            "a cookie and another page",
            "POST",
            "/x",
            vec![&cookie, "Origin: https://evil.example"],
            403,
        ),
        ("64 KB of headers", "GET", "/x", vec![&good, &big], 431),
        ("a clock behind", "GET", "/x", vec![&behind], 401),
        ("a rotated key", "GET", "/x", vec![&rotated], 401),
        ("another key", "GET", "/x", vec![&withdrawn], 401),
        ("another issuer", "GET", "/x", vec![&foreign], 401),
        ("line breaks in a claim", "GET", "/x", vec![&broken], 401),
        ("a header in a claim", "GET", "/x", vec![&injected], 200),
        ("100 groups", "GET", "/x", vec![&many], 200),
        ("5 KB of groups", "GET", "/x", vec![&too_many], 403),
        ("a path with dots", "GET", "/x/../admin", vec![&good], 403),
        ("an encoded slash", "GET", "/x%2fadmin", vec![&good], 403),
        (
            "an administrators' path",
            "GET",
            "/%61dmin/x",
            vec![&good],
            403,
        ),
        ("a method in lower case", "get", "/x", vec![&good], 400),
        (
            "a second method",
            "GET",
            "/x",
            vec![&good, "X-Original-Method: GET"],
            400,
        ),
        (
            "a second path",
            "GET",
            "/x",
            vec![&good, "X-Original-URI: /y"],
            400,
        ),
        (
            "a second host",
            "GET",
            "/x",
            vec![&good, "X-Original-Host: b"],
            400,
        ),
        ("no path", "GET", "", vec![&good], 400),
        ("an absolute path", "GET", "http://a/x", vec![&good], 400),
        ("no credential", "GET", "/x", vec![], 401),
    ];
    for (name, method, path, headers, status) in rows {
        let reply = server.ask(method, path, &headers).await;
        assert_eq!(reply.status, status, "{name}");
        if name == "a header in a claim" {
            let expected = Some("zo%C3%AB%2C%20X-Auth-Groups:%20admins");
            assert_eq!(reply.header("x-auth-username"), expected);
            assert_eq!(reply.header("x-auth-groups"), Some(""));
        }
        if name == "100 groups" {
            let groups = reply.header("x-auth-groups").unwrap();
            assert_eq!(groups.split(',').count(), 100);
        }
        let after = server.ask("GET", "/x", &[&good]).await;
        assert_eq!(after.status, 200, "after {name}");
    }
    let many_fields = vec!["X-Field: 1"; 600];
    assert_eq!(server.ask("GET", "/x", &many_fields).await.status, 431);
}

#[tokio::test]
async fn a_logout_takes_effect_on_the_next_request() {
    let server = start(&[]).await;
    let token = good();
    assert_eq!(server.ask("GET", "/x", &[&token]).await.status, 200);
    let anonymous = server.raw(&["POST /logout HTTP/1.1", "Host: a"]).await;
    assert_eq!(anonymous.status, 401);
    let logout = ["POST /logout HTTP/1.1", "Host: a", &token];
    assert_eq!(server.raw(&logout).await.status, 204);
    let reply = server.ask("GET", "/x", &[&token]).await;
    assert_eq!(reply.status, 401);
    let challenge = reply.header("www-authenticate");
    assert_eq!(challenge, Some("Bearer error=\"invalid_token\""));
    let other = Pool::ours()
        .access_token()
        .claim("origin_jti", "another-session");
    let other = bearer(&other.build());
    assert_eq!(server.ask("GET", "/x", &[&other]).await.status, 200);
    assert_eq!(server.raw(&logout).await.status, 401, "revoked already");
    let read = server
        .raw(&["GET /logout HTTP/1.1", "Host: a", &other])
        .await;
    assert_eq!((read.status, read.header("allow")), (405, Some("POST")));
    let metrics = server.get("/metrics").await.body;
    for (outcome, reason, number) in [
        ("allowed", "logged_out", 1),
        ("unauthorized", "missing_token", 1),
        ("unauthorized", "session_revoked", 1),
    ] {
        let labels = format!("{{outcome=\"{outcome}\",reason=\"{reason}\"}}");
        let line = format!("gatehouse_forward_auth_logouts_total{labels} {number}");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    let big = format!("X-Big: {}", "a".repeat(64 * 1024));
    let logout = ["POST /logout HTTP/1.1", "Host: a", &other, &big];
    assert_eq!(server.raw(&logout).await.status, 431);
}

#[tokio::test]
async fn an_expired_token_logs_its_session_out() {
    let server = start(&[("REFRESH_TOKEN_TTL_SECONDS", "3600")]).await;
    let token = Pool::ours().access_token();
    let live = bearer(&token.build());
    let expired = |seconds: u64| {
        let (iat, exp) = (now() - seconds - 3_600, now() - seconds);
        let token = token.clone().claim("iat", iat).claim("exp", exp);
        bearer(&token.claim("auth_time", iat).build())
    };
    let log_out = async |token: &str| {
        let head = ["POST /logout HTTP/1.1", "Host: a", token];
        server.raw(&head).await.status
    };
    assert_eq!(
        server.ask("GET", "/x", &[&expired(1_800)]).await.status,
        401
    );
    // No refresh token of the session is left.
    assert_eq!(log_out(&expired(3_700)).await, 401);
    assert_eq!(server.ask("GET", "/x", &[&live]).await.status, 200);
    assert_eq!(log_out(&expired(1_800)).await, 204);
    assert_eq!(server.ask("GET", "/x", &[&live]).await.status, 401);
}

#[tokio::test]
async fn resources_that_can_only_be_read_refuse_other_methods() {
    let keys = phantom_keys("server-phantom-methods.json");
    let server = start(&phantom_of(&keys)).await;
    for path in ["/healthz", "/readyz", "/metrics", "/.well-known/jwks.json"] {
        for (method, status) in [("GET", 200), ("HEAD", 200), ("POST", 405), ("DELETE", 405)] {
            let mut stream = server.connection().await;
            let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut start = [0; 12];
            stream.read_exact(&mut start).await.unwrap();
            let expected = format!("HTTP/1.1 {status}");
            assert_eq!(start, expected.as_bytes(), "{method} {path}");
        }
        let line = format!("PUT {path} HTTP/1.1");
        let reply = server.raw(&[&line, "Host: a"]).await;
        assert_eq!(reply.header("allow"), Some("GET, HEAD"), "{path}");
    }
}

/// A file with a new key of phantom tokens.
fn phantom_keys(name: &str) -> std::path::PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let now = auth::UnixSeconds(now());
    let made = auth_phantom::SigningKeys::first(auth_phantom::SigningAlgorithm::Es256, now);
    std::fs::write(&file, made.unwrap().to_json().expose()).unwrap();
    file
}

fn phantom_of(keys: &Path) -> [(&'static str, &str); 3] {
    [
        ("PHANTOM_ISSUER", "https://auth.example.com"),
        ("PHANTOM_KEYS_FILE", keys.to_str().unwrap()),
        ("PHANTOM_AUDIENCES", "{\"orders.example.com\": \"orders\"}"),
    ]
}

#[tokio::test]
async fn a_cached_decision_has_a_new_token_for_each_answer() {
    let keys = phantom_keys("server-phantom-cached.json");
    let [issuer, file, audiences] = phantom_of(&keys);
    let cache = ("DECISION_CACHE_SECONDS", "60");
    let server = start(&[issuer, file, audiences, cache]).await;
    let token = good();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        let reply = server.ask("GET", "/x", &[&token]).await;
        assert!(seen.insert(reply.header("x-auth-token").unwrap().to_owned()));
    }
    let metrics = server.get("/metrics").await.body;
    let line = "gatehouse_forward_auth_cached_decisions_total 2";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_logout_by_cookie_needs_its_page() {
    let server = start(&[
        ("TOKEN_SOURCES", "cookie"),
        ("ALLOWED_ORIGINS", "https://app.example"),
    ])
    .await;
    let cookie = format!(
        "Cookie: __Host-access_token={}",
        Pool::ours().access_token().build()
    );
    let start = ["POST /logout HTTP/1.1", "Host: a", &cookie];
    let from = |origin| [start[0], start[1], start[2], origin];
    assert_eq!(server.raw(&start).await.status, 403);
    let foreign = from("Origin: https://evil.example");
    assert_eq!(server.raw(&foreign).await.status, 403);
    assert_eq!(server.ask("GET", "/x", &[&cookie]).await.status, 200);
    let own = from("Origin: https://app.example");
    assert_eq!(server.raw(&own).await.status, 204);
    assert_eq!(server.ask("GET", "/x", &[&cookie]).await.status, 401);
}

#[tokio::test]
async fn other_paths_are_not_found_and_health_is_public() {
    let server = start(&[]).await;
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/.well-known/jwks.json", 404),
        ("/auth/x", 404),
        ("/authx", 404),
        ("/", 404),
        ("/x?/auth", 404),
    ] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
    server.ask("GET", "/admin/x", &[&good()]).await;
    let metrics = server.get("/metrics").await.body;
    let line = "gatehouse_forward_auth_decisions_total{outcome=\"denied\",reason=\"denied\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
    assert!(!metrics.contains(SUBJECT));
}

#[tokio::test]
async fn a_server_without_keys_is_not_ready_until_it_has_them() {
    let keys = testkit::jwks_server::JwksServer::start(&Pool::ours().jwks()).await;
    keys.set_body("{");
    let uri = keys.uri();
    let server = start(&[("JWKS", ""), ("JWKS_URI", &uri)]).await;
    let reply = server.get("/readyz").await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (503, "jwks_unavailable\n")
    );
    let refused = server.ask("GET", "/x", &[&good()]).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    keys.set_body(Pool::ours().jwks().to_string());
    let ready = async {
        while server.get("/readyz").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ready)
        .await
        .unwrap();
    assert_eq!(server.ask("GET", "/x", &[&good()]).await.status, 200);
}

#[tokio::test]
async fn added_keys_are_followed_and_withdrawn_ones_refused() {
    let (pool, foreign) = (Pool::ours(), Pool::foreign());
    let keys = testkit::jwks_server::JwksServer::start(&pool.jwks()).await;
    let uri = keys.uri();
    let server = start(&[("JWKS", ""), ("JWKS_URI", &uri)]).await;
    let old = good();
    let rotated = pool
        .access_token()
        .header("kid", "rotated")
        .signed_by(&foreign.access_key)
        .build();
    let rotated = bearer(&rotated);
    assert_eq!(server.ask("GET", "/x", &[&old]).await.status, 200);
    // The issuer adds a key and withdraws the old one.
    let set = serde_json::json!({"keys": [foreign.access_key.jwk("rotated")]});
    keys.set_body(set.to_string());
    assert_eq!(server.ask("GET", "/x", &[&rotated]).await.status, 200);
    assert_eq!(server.ask("GET", "/x", &[&old]).await.status, 401);
    assert_eq!(server.ask("GET", "/x", &[&rotated]).await.status, 200);
}

#[tokio::test]
async fn connections_are_kept_and_the_server_stops_gracefully() {
    let mut server = start(&[]).await;
    let mut kept = server.connection().await;
    let head = format!(
        "GET /auth HTTP/1.1\r\nHost: a\r\nX-Original-Method: GET\r\nX-Original-Host: a\r\nX-Original-URI: /x\r\n{}\r\n\r\n",
        good()
    );
    for _ in 0..3 {
        kept.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(read(&mut kept).await.unwrap().status, 200);
    }
    server.stop.take().unwrap().send(()).unwrap();
    let unready = async {
        loop {
            let reply = server.get("/readyz").await;
            if reply.status == 503 {
                break reply.body;
            }
        }
    };
    let body = tokio::time::timeout(Duration::from_secs(1), unready)
        .await
        .unwrap();
    assert_eq!(body, "stopping\n");
    kept.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(
        read(&mut kept).await.unwrap().status,
        200,
        "while it drains"
    );
    tokio::time::timeout(Duration::from_secs(8), server.served)
        .await
        .unwrap()
        .unwrap();
    assert!(read(&mut kept).await.is_none(), "closed");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn envoy_asks_with_the_request_line() {
    let server = start(&[("PROXY_DIALECT", "envoy")]).await;
    let token = good();
    let ask = async |line: &str| {
        let reply = server
            .raw(&[line, "Host: orders.example.com", &token])
            .await;
        reply.status
    };
    assert_eq!(ask("DELETE /auth/orders/7?x=y HTTP/1.1").await, 200);
    assert_eq!(ask("GET /auth/admin/x HTTP/1.1").await, 403);
    assert_eq!(ask("GET /auth//admin HTTP/1.1").await, 403);
    assert_eq!(ask("GET /auth/x/..%2fadmin HTTP/1.1").await, 403);
    assert_eq!(ask("GET /auth HTTP/1.1").await, 400);
    assert_eq!(ask("GET http://a.example/auth/x HTTP/1.1").await, 400);
    assert_eq!(ask("GET /orders/7 HTTP/1.1").await, 404);
    let two = server
        .raw(&["GET /auth/x HTTP/1.1", "Host: a", "Host: b", &token])
        .await;
    assert_eq!(two.status, 400);
}

#[tokio::test]
async fn a_backend_gets_a_token_for_its_own_service_only() {
    let keys = phantom_keys("server-phantom-keys.json");
    let server = start(&phantom_of(&keys)).await;
    let reply = server
        .ask("GET", "/x", &[&good(), "X-Auth-Token: spoofed"])
        .await;
    let token = reply.header("x-auth-token").unwrap().to_owned();
    let published = server.get("/.well-known/jwks.json").await;
    assert_eq!(
        published.header("content-type"),
        Some("application/jwk-set+json")
    );
    assert_eq!(
        published.header("cache-control"),
        Some("public, max-age=300")
    );
    let issuer = |audience: &str| auth::TrustedIssuer {
        issuer: auth::Issuer {
            id: "gateway".into(),
            alias: Some("gateway".into()),
            url: "https://auth.example.com".to_owned(),
            algorithms: vec![auth::Algorithm::Es256],
            audiences: vec![audience.to_owned()],
            kind: auth::IssuerKind::Oidc,
            clients: Vec::new(),
            takes_id_tokens: false,
            max_lifetime_seconds: 300,
        },
        keys: auth::KeySet::parse(published.body.as_bytes()).unwrap(),
    };
    let rules = auth::TokenRules::default();
    let now = auth::UnixSeconds(testkit::now());
    let verify = |audience| auth::verify(&token, &[issuer(audience)], &rules, now);
    assert_eq!(verify("orders").ok().unwrap().subject(), SUBJECT);
    // A stolen one at another service.
    assert_eq!(
        verify("payments").err(),
        Some(auth::DenyReason::WrongAudience)
    );
    // It is no credential here.
    let replayed = bearer(&token);
    assert_eq!(server.ask("GET", "/x", &[&replayed]).await.status, 401);
    let other_host = server
        .raw(&[
            "GET /auth HTTP/1.1",
            "Host: a",
            "X-Original-Method: GET",
            "X-Original-Host: other.example.com",
            "X-Original-URI: /x",
            &good(),
        ])
        .await;
    assert_eq!(other_host.status, 403);
    assert_eq!(other_host.header("x-auth-token"), None);
}

#[tokio::test]
async fn memory_is_not_for_lambda() {
    let result = ForwardAuth::connect_in_lambda(config(&[])).await;
    let error = result.err().unwrap();
    assert_eq!(error, forward_auth::ConnectError::MemoryInLambda);
}
