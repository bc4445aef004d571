//! The layer around a service, with keys, revocations and sessions in memory.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use api_gateway::routes::Route;
use auth::api_key::{NewKey, RANDOM_BYTES, StoredKey};
use auth::memory::{MemoryApiKeys, MemoryKeys, MemoryRevocations};
use auth::{
    ApiKeyWriter, ApiKeys, Callers, Issuer, KeySet, MAX_TOKEN_BYTES, RevocationContext,
    RevocationWriter, Secret, TokenRules, TrustedIssuer, UnixSeconds, UserRef, Verifier,
};
use auth_cedar::CedarPolicies;
use auth_sessions::{BrowserSession, MemoryBrowserSessions, SealedSessions, SealingKeys};
use auth_tower::{
    ApiKeyPlace, AuthLayer, Caller, Challenges, Decision, Gate, Places, Refusal, Request, Trace,
};
use axum::Router;
use axum::body::Body;
use axum::http::{self, HeaderMap, StatusCode, header};
use axum::routing::any;
use testkit::{Pool, now};
use tower::ServiceExt;

const SESSION: &str = "0a1b2c3d-session-example-000000000001";
const SUBJECT: &str = "a1b2c3d4-5678-90ab-cdef-example11111";
const PAGE: &str = "https://app.example";

fn clock() -> UnixSeconds {
    UnixSeconds(now())
}

/// Users may do everything but `/admin`; requests with an id of `forbidden`, and one address, are forbidden.
const POLICIES: &str = r#"
permit (principal is Gatehouse::User, action, resource);
permit (principal is Gatehouse::ApiKey, action, resource);
forbid (principal, action, resource) when { context has path && context.path like "/admin*" };
forbid (principal, action, resource)
when { context.route == "/orders/{id}" && resource.hasTag("id") && resource.getTag("id") == "forbidden" };
"#;

fn policies(text: &str) -> CedarPolicies {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/schema.cedarschema");
    let schema = std::fs::read_to_string(schema).unwrap();
    let files = [("test.cedar".to_owned(), text.to_owned())];
    CedarPolicies::parse(&schema, &files, Pool::ours().id).unwrap_or_else(|error| panic!("{error}"))
}

struct Fixture {
    revocations: MemoryRevocations,
    api_keys: MemoryApiKeys,
    sessions: Arc<SealedSessions<MemoryBrowserSessions>>,
    service: Router,
    reports: Arc<Mutex<Vec<String>>>,
}

type TestGate = Gate<MemoryKeys, MemoryRevocations, MemoryApiKeys>;

/// Clones of a store in memory share their contents, so the gate can have a second value.
fn fixture(change: impl FnOnce(&mut TestGate)) -> Fixture {
    let caller = async |caller: Caller| caller.subject().to_owned();
    fixture_of(change, |layer| {
        Router::new().fallback(any(caller)).layer(layer)
    })
}

type TestLayer = AuthLayer<MemoryKeys, MemoryRevocations, MemoryApiKeys>;

fn fixture_of(
    change: impl FnOnce(&mut TestGate),
    service: impl FnOnce(TestLayer) -> Router,
) -> Fixture {
    let pool = Pool::ours();
    let issuer = Issuer::user_pool(
        pool.id.into(),
        pool.issuer(),
        vec![pool.client_id.to_owned()],
    );
    let keys = KeySet::parse(pool.jwks().to_string().as_bytes()).unwrap();
    let revocations = MemoryRevocations::default();
    let api_keys = MemoryApiKeys::default();
    let store = MemoryBrowserSessions::default();
    let text = r#"{"keys":[{"id":"k1","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}"#;
    let sealed = || SealedSessions::new(store.clone(), SealingKeys::from_json(text).unwrap());
    let mut gate = Gate {
        callers: Callers {
            verifier: Verifier::new(vec![issuer.clone()], TokenRules::default()),
            keys: MemoryKeys::new([TrustedIssuer { issuer, keys }]),
            revocations: revocations.clone(),
            api_keys: Some(ApiKeys {
                store: api_keys.clone(),
                issuer_id: pool.id.into(),
            }),
            max_token_bytes: MAX_TOKEN_BYTES,
            clock,
        },
        policies: policies(POLICIES),
        routes: vec![Route::parse("GET", "/orders/{id}").unwrap()],
        places: Places {
            cookie: Some("token".to_owned()),
            session: Some("__Host-session".to_owned()),
            api_key: Some(ApiKeyPlace::Authorization),
            allowed_origins: vec![PAGE.to_owned()],
            ..Places::default()
        },
        sessions: Some(Box::new(sealed())),
    };
    change(&mut gate);
    let reports = Arc::new(Mutex::new(Vec::new()));
    let reported = Arc::clone(&reports);
    let layer = AuthLayer::new(gate)
        .on_decision(move |result: &Result<Decision, Refusal>, trace: &Trace| {
            let word = match result {
                Ok(decision) => format!("{:?} {:?}", decision.effect, decision.reason),
                Err(refusal) => refusal.as_str().to_owned(),
            };
            let issuer = trace.issuer().unwrap_or("-");
            reported.lock().unwrap().push(format!("{word} {issuer}"));
        })
        .with_client_address(|parts| {
            let value = parts.headers.get("x-test-address")?;
            value.to_str().ok()?.parse().ok()
        });
    Fixture {
        revocations,
        api_keys,
        sessions: Arc::new(sealed()),
        service: service(layer),
        reports,
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Fixture {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send_by(http::Version::HTTP_11, method, path, headers)
            .await
    }

    async fn send_by(
        &self,
        version: http::Version,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let request = http::Request::builder().version(version);
        let mut request = request.method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.service.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = http_body_util::BodyExt::collect(body)
            .await
            .unwrap()
            .to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn status(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.send(method, path, headers).await.status.as_u16()
    }

    fn last_report(&self) -> String {
        self.reports.lock().unwrap().last().unwrap().clone()
    }
}

fn bearer() -> String {
    format!("Bearer {}", Pool::ours().access_token().build())
}

#[tokio::test]
async fn the_caller_reaches_the_inner_service() {
    let fixture = fixture(|_| {});
    let answer = fixture
        .send("GET", "/x", &[("authorization", &bearer())])
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (200, SUBJECT)
    );
    assert_eq!(
        fixture.last_report(),
        format!("Allow None {}", Pool::ours().id)
    );
}

/// Path, headers, status, challenge, and what is reported.
type Refused<'a> = (
    &'a str,
    &'a [(&'a str, &'a str)],
    u16,
    Option<&'a str>,
    &'a str,
);

#[tokio::test]
async fn refusals_name_no_reason_to_the_client() {
    let fixture = fixture(|_| {});
    let expired = Pool::ours().access_token().claim("exp", now() - 1).build();
    let expired = format!("Bearer {expired}");
    let good = bearer();
    let rows: [Refused<'_>; 6] = [
        ("/x", &[], 401, Some("Bearer"), "missing_token -"),
        (
            "/x",
            &[("authorization", &expired)],
            401,
            Some("Bearer error=\"invalid_token\""),
            "expired us-east-1_Gatehouse",
        ),
        (
            "/x",
            &[("authorization", &good), ("authorization", &good)],
            401,
            Some("Bearer error=\"invalid_token\""),
            "ambiguous_token -",
        ),
        (
            "/admin/x",
            &[("authorization", &good)],
            403,
            Some("Bearer error=\"insufficient_scope\""),
            "Deny None us-east-1_Gatehouse",
        ),
        (
            "/x/..%2fadmin",
            &[("authorization", &good)],
            403,
            None,
            "Deny Some(UnclearPath) us-east-1_Gatehouse",
        ),
        (
            "/x?access_token=a",
            &[("authorization", &good)],
            401,
            Some("Bearer error=\"invalid_token\""),
            "ambiguous_token -",
        ),
    ];
    for (path, headers, status, challenge, report) in rows {
        let answer = fixture.send("GET", path, headers).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {report}");
        let found = answer.headers.get(header::WWW_AUTHENTICATE);
        assert_eq!(
            found.map(|value| value.to_str().unwrap()),
            challenge,
            "{report}"
        );
        assert_eq!(answer.body, "", "{report}");
        assert_eq!(fixture.last_report(), report);
    }
    let after = fixture
        .status("GET", "/x", &[("authorization", &good)])
        .await;
    assert_eq!(after, 200);
}

#[tokio::test]
async fn every_spelling_of_a_path_is_decided_as_the_service_reads_it() {
    let fixture = fixture(|_| {});
    let token = bearer();
    for (path, status) in [
        ("/%61dmin/x", 403),
        ("/admin/", 403),
        ("/admin", 403),
        ("//admin", 403),
        ("/./admin", 403),
        ("/x/../admin", 403),
        ("/x/%2e%2e/admin", 403),
        ("/x/..;/admin", 403),
        ("/x%2Fadmin", 403),
        ("/x%5cadmin", 403),
        ("/x%00", 403),
        ("/x%zz", 403),
        ("/x%ff", 403),
        ("/\u{fffd}", 403),
        ("/%EF%BC%8Fadmin", 403),
        ("/orders/forbidden", 403),
        ("/orders/%66orbidden", 403),
        ("/orders/forbidden/", 403),
        ("/orders/7", 200),
        ("/orders/7/", 200),
        ("/%C3%A9", 200),
        ("/", 200),
    ] {
        let found = fixture
            .status("GET", path, &[("authorization", &token)])
            .await;
        assert_eq!(found, status, "{path}");
    }
}

#[tokio::test]
async fn a_failed_dependency_is_never_an_allow() {
    let fixture = fixture(|_| {});
    fixture.revocations.set_available(false);
    let answer = fixture
        .send("GET", "/x", &[("authorization", &bearer())])
        .await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    assert_eq!(answer.headers.get(header::WWW_AUTHENTICATE), None);
    fixture.revocations.set_available(true);
    assert_eq!(
        fixture
            .status("GET", "/x", &[("authorization", &bearer())])
            .await,
        200
    );
    let keyless = self::fixture(|gate| gate.callers.keys = MemoryKeys::default());
    assert_eq!(
        keyless
            .status("GET", "/x", &[("authorization", &bearer())])
            .await,
        503
    );
}

#[tokio::test]
async fn a_browser_session_is_a_cookie_and_ends_with_its_row() {
    let fixture = fixture(|_| {});
    let session = BrowserSession {
        access_token: Secret::new(Pool::ours().access_token().build()),
        refresh_token: None,
        expires_at: clock().plus(3_600),
    };
    let id = fixture.sessions.create(&session, clock()).await.unwrap();
    let cookie = format!("theme=dark; __Host-session={}", id.expose());
    let cookie = cookie.as_str();
    assert_eq!(
        fixture.status("GET", "/x", &[("cookie", cookie)]).await,
        200
    );
    // A page of another origin cannot use it to change something.
    for (headers, status) in [
        (vec![("cookie", cookie)], 403),
        (
            vec![("cookie", cookie), ("origin", "https://evil.example")],
            403,
        ),
        (
            vec![("cookie", cookie), ("sec-fetch-site", "cross-site")],
            403,
        ),
        (vec![("cookie", cookie), ("origin", "null")], 403),
        (vec![("cookie", cookie), ("origin", PAGE)], 200),
        (
            vec![("cookie", cookie), ("sec-fetch-site", "same-origin")],
            200,
        ),
    ] {
        assert_eq!(
            fixture.status("POST", "/x", &headers).await,
            status,
            "{headers:?}"
        );
    }
    let twice = format!("{cookie}; __Host-session={}", id.expose());
    assert_eq!(
        fixture.status("GET", "/x", &[("cookie", &twice)]).await,
        401
    );
    for unknown in [
        "__Host-session=x",
        "__Host-session=",
        "__Host-session=\"a\"",
    ] {
        assert_eq!(
            fixture.status("GET", "/x", &[("cookie", unknown)]).await,
            401,
            "{unknown}"
        );
    }
    let user = UserRef {
        issuer: Pool::ours().id,
        subject: SUBJECT,
    };
    let context = RevocationContext {
        reason: "logout",
        actor: SUBJECT,
        at: clock(),
        refresh_token_ttl_seconds: 3_600,
    };
    let revoked = user.session(SESSION);
    fixture
        .revocations
        .revoke_session(&revoked, &context)
        .await
        .unwrap();
    assert_eq!(
        fixture.status("GET", "/x", &[("cookie", cookie)]).await,
        401
    );
    assert!(fixture.last_report().starts_with("session_revoked"));
    fixture.sessions.delete(&id).await.unwrap();
    assert_eq!(
        fixture.status("GET", "/x", &[("cookie", cookie)]).await,
        401
    );
    assert!(fixture.last_report().starts_with("unknown_session"));
}

#[tokio::test]
async fn api_keys_are_accepted_and_revoked() {
    let fixture = fixture(|_| {});
    let key = NewKey::mint(&[7; RANDOM_BYTES]);
    let stored = StoredKey {
        owner: "acme".to_owned(),
        scope: String::new(),
        created_at: clock(),
        expires_at: clock().plus(60),
        usage_plan_key: None,
        salt: key.salt.clone(),
        hash: key.hash.clone(),
    };
    fixture.api_keys.put(&key.id, &stored).await.unwrap();
    let header = format!("ApiKey {}", key.text);
    let send = async || {
        let headers = [("authorization", header.as_str())];
        fixture.status("GET", "/x", &headers).await
    };
    assert_eq!(send().await, 200);
    let owner = UserRef {
        issuer: Pool::ours().id,
        subject: "acme",
    };
    let context = RevocationContext {
        reason: "test",
        actor: "test",
        at: clock(),
        refresh_token_ttl_seconds: 3_600,
    };
    let token = owner.token(&key.id);
    fixture
        .revocations
        .revoke_token(&token, &context)
        .await
        .unwrap();
    assert_eq!(send().await, 401);
}

#[tokio::test]
async fn policies_see_only_the_configured_address() {
    const INSIDE: &str = r#"
permit (principal, action, resource)
when { context has source_ip && context.source_ip.isInRange(ip("10.0.0.0/8")) };
"#;
    let fixture = fixture(|gate| gate.policies = policies(INSIDE));
    let token = bearer();
    let token = ("authorization", token.as_str());
    for (headers, status) in [
        (vec![token, ("x-test-address", "10.1.2.3")], 200),
        (vec![token, ("x-test-address", "11.1.2.3")], 403),
        (vec![token, ("x-forwarded-for", "10.1.2.3")], 403),
        (vec![token], 403),
    ] {
        assert_eq!(
            fixture.status("GET", "/x", &headers).await,
            status,
            "{headers:?}"
        );
    }
}

/// A `forbid` for a network would not apply to a request without an address.
#[tokio::test]
async fn where_a_policy_uses_addresses_each_request_needs_one() {
    const OUTSIDE: &str = r#"
permit (principal, action, resource);
forbid (principal, action, resource)
when { context has source_ip && context.source_ip.isInRange(ip("203.0.113.0/24")) };
"#;
    let fixture = fixture(|gate| gate.policies = policies(OUTSIDE));
    let token = bearer();
    let token = ("authorization", token.as_str());
    for (address, status, report) in [
        (Some("198.51.100.7"), 200, "Allow None"),
        (Some("203.0.113.7"), 403, "Deny None"),
        (Some("::ffff:203.0.113.7"), 403, "Deny None"),
        (Some("203.0.113.7:"), 403, "Deny Some(UnknownAddress)"),
        (Some(""), 403, "Deny Some(UnknownAddress)"),
        (None, 403, "Deny Some(UnknownAddress)"),
    ] {
        let address = address.map(|address| ("x-test-address", address));
        let headers: Vec<_> = std::iter::once(token).chain(address).collect();
        let answer = fixture.send("GET", "/x", &headers).await;
        assert_eq!(answer.status.as_u16(), status, "{address:?}");
        let last = fixture.last_report();
        assert!(last.starts_with(report), "{address:?}: {last}");
        let challenged = answer.headers.contains_key(header::WWW_AUTHENTICATE);
        assert_eq!(challenged, report == "Deny None", "{address:?}");
    }
}

/// A page of another origin can open a WebSocket with the browser's cookie, and read and write it.
#[tokio::test]
async fn a_web_socket_with_a_cookie_needs_a_known_origin() {
    let fixture = fixture(|_| {});
    let token = Pool::ours().access_token().build();
    let (cookie, bearer) = (format!("token={token}"), format!("Bearer {token}"));
    let key = ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==");
    let handshakes: [Vec<(&str, &str)>; 8] = [
        vec![
            key,
            ("sec-websocket-version", "13"),
            ("upgrade", "websocket"),
        ],
        vec![key],
        vec![("sec-websocket-key", ""), key],
        vec![("sec-websocket-version", "13")],
        vec![("sec-fetch-mode", "websocket")],
        vec![("sec-fetch-mode", "cors"), ("sec-fetch-mode", "WebSocket")],
        vec![("upgrade", "h2c, WebSocket")],
        vec![("upgrade", "websocket"), ("connection", "upgrade")],
    ];
    let senders: [(Vec<(&str, &str)>, u16); 7] = [
        (vec![("origin", PAGE)], 200),
        (
            vec![("origin", PAGE), ("sec-fetch-site", "cross-site")],
            200,
        ),
        (
            vec![
                ("origin", "https://x.example"),
                ("sec-fetch-site", "same-origin"),
            ],
            200,
        ),
        (
            vec![
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "same-site"),
            ],
            403,
        ),
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![], 403),
    ];
    for handshake in &handshakes {
        for (sender, status) in &senders {
            let mut headers = vec![("cookie", cookie.as_str())];
            headers.extend(handshake.iter().chain(sender));
            let found = fixture.status("GET", "/x", &headers).await;
            assert_eq!(found, *status, "{handshake:?} {sender:?}");
            // A browser adds no header to a WebSocket by itself.
            headers[0] = ("authorization", bearer.as_str());
            let found = fixture.status("GET", "/x", &headers).await;
            assert_eq!(found, 200, "{handshake:?} {sender:?}");
        }
    }
    for plain in [
        ("sec-fetch-mode", "navigate"),
        ("upgrade", "h2c"),
        ("accept", "websocket"),
    ] {
        let headers = [("cookie", cookie.as_str()), plain];
        assert_eq!(
            fixture.status("GET", "/x", &headers).await,
            200,
            "{plain:?}"
        );
    }
}

#[tokio::test]
async fn a_nested_router_is_decided_by_the_whole_path() {
    let caller = async |caller: Caller| caller.subject().to_owned();
    for depth in ["/admin", "/v1", "/v1/admin"] {
        let service = Router::new().route("/{*rest}", any(caller));
        let inner = move |layer| service.layer(layer);
        let fixture = fixture_of(
            |_| {},
            |layer| match depth {
                "/v1/admin" => {
                    let admin = Router::new().nest("/admin", inner(layer));
                    Router::new().nest("/v1", admin)
                }
                prefix => Router::new().nest(prefix, inner(layer)),
            },
        );
        let token = bearer();
        let token = [("authorization", token.as_str())];
        for (path, admin) in [("/users", 403), ("/users?path=/x", 403), ("/orders/7", 403)] {
            let status = if depth == "/admin" { admin } else { 200 };
            let path = format!("{depth}{path}");
            let found = fixture.status("GET", &path, &token).await;
            assert_eq!(found, status, "{path}");
        }
        // The rule about /orders/{id} is not one about /v1/orders/{id}.
        let path = format!("{depth}/orders/forbidden");
        let status = if depth == "/admin" { 403 } else { 200 };
        assert_eq!(fixture.status("GET", &path, &token).await, status, "{path}");
        // A token in the query is found, too.
        let path = format!("{depth}/x?access_token=a");
        assert_eq!(fixture.status("GET", &path, &token).await, 401, "{path}");
    }
}

/// RFC 9113 section 8.2.3: a client may split the field.
#[tokio::test]
async fn cookies_of_http_2_may_be_in_several_lines() {
    let fixture = fixture(|_| {});
    let token = Pool::ours().access_token().build();
    let (good, other) = (format!("token={token}"), format!("token={token}x"));
    for (lines, http_1, http_2) in [
        (vec![good.as_str()], 200, 200),
        (vec![good.as_str(), "theme=dark"], 401, 200),
        (vec!["theme=dark", good.as_str(), ""], 401, 200),
        (vec!["a=b; theme=dark", good.as_str(), "c=d"], 401, 200),
        (vec![good.as_str(), good.as_str()], 401, 401),
        (vec![good.as_str(), "theme=dark", other.as_str()], 401, 401),
        (vec![good.as_str(), "__Host-session=a"], 401, 401),
        (vec!["token=", good.as_str()], 401, 401),
        (vec!["theme=dark", "a=b"], 401, 401),
        (vec!["token", good.as_str()], 401, 200),
    ] {
        let headers: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
        for (version, status) in [
            (http::Version::HTTP_10, http_1),
            (http::Version::HTTP_11, http_1),
            (http::Version::HTTP_2, http_2),
            (http::Version::HTTP_3, http_2),
        ] {
            let answer = fixture.send_by(version, "GET", "/x", &headers).await;
            let (lines, found) = (lines.len(), answer.status.as_u16());
            assert_eq!(
                found,
                status,
                "{version:?} {lines} {}",
                fixture.last_report()
            );
        }
    }
}

#[tokio::test]
async fn a_layer_can_be_changed_after_it_was_cloned_and_used() {
    let caller = async |caller: Caller| caller.subject().to_owned();
    let reports = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&reports);
    let metadata = "https://api.example/.well-known/oauth-protected-resource";
    let fixture = fixture_of(
        |gate| {
            gate.policies = policies(
                "permit (principal, action, resource)
                when { context has source_ip && context.source_ip.isLoopback() };",
            );
        },
        |layer| {
            let used = layer.clone();
            let service = Router::new().fallback(any(caller)).layer(used);
            let changed = layer
                .clone()
                .on_decision(move |_: &Result<Decision, Refusal>, _: &Trace| {
                    *counter.lock().unwrap() += 1;
                })
                .with_client_address(|_| Some([127, 0, 0, 1].into()))
                .with_challenges(Challenges::new(Some(metadata)).unwrap());
            Router::new()
                .route("/changed", any(caller))
                .layer(changed)
                .fallback_service(service)
        },
    );
    let token = bearer();
    let headers = [("authorization", token.as_str())];
    assert_eq!(fixture.status("GET", "/changed", &headers).await, 200);
    assert_eq!(*reports.lock().unwrap(), 1);
    let refused = fixture.send("GET", "/changed", &[]).await;
    let expected = format!("Bearer resource_metadata=\"{metadata}\"");
    assert_eq!(refused.headers[header::WWW_AUTHENTICATE], expected);
    let expired = Pool::ours().access_token().claim("exp", now() - 1).build();
    let expired = format!("Bearer {expired}");
    let headers_of_expired = [("authorization", expired.as_str())];
    let refused = fixture.send("GET", "/changed", &headers_of_expired);
    let expected = format!("Bearer error=\"invalid_token\", resource_metadata=\"{metadata}\"");
    assert_eq!(refused.await.headers[header::WWW_AUTHENTICATE], expected);
    assert_eq!(*reports.lock().unwrap(), 3);
    // The layer from before the change is as it was.
    assert_eq!(fixture.status("GET", "/other", &headers).await, 403);
    assert_eq!(*reports.lock().unwrap(), 3);
}

/// The engine alone, for servers that are not tower services.
#[tokio::test]
async fn a_gate_decides_without_a_server() {
    let pool = Pool::ours();
    let issuer = Issuer::user_pool(
        pool.id.into(),
        pool.issuer(),
        vec![pool.client_id.to_owned()],
    );
    let keys = KeySet::parse(pool.jwks().to_string().as_bytes()).unwrap();
    let gate: TestGate = Gate {
        callers: Callers {
            verifier: Verifier::new(vec![issuer.clone()], TokenRules::default()),
            keys: MemoryKeys::new([TrustedIssuer { issuer, keys }]),
            revocations: MemoryRevocations::default(),
            api_keys: None,
            max_token_bytes: MAX_TOKEN_BYTES,
            clock,
        },
        policies: policies(POLICIES),
        routes: Vec::new(),
        places: Places::default(),
        sessions: None,
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, bearer().parse().unwrap());
    let request = |path| Request {
        method: "GET",
        path,
        query: None,
        headers: &headers,
        client_address: None,
    };
    let trace = Trace::default();
    for (path, allowed) in [("/x", true), ("x", false), ("", false), ("*", false)] {
        let decision = gate.decide(&request(path), &trace).await.ok().unwrap();
        assert_eq!(
            decision.effect == api_gateway::Effect::Allow,
            allowed,
            "{path}"
        );
    }
}
