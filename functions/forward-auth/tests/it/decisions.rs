//! Decisions over stores in memory: what is cached, what is never cached, and which reads are shared.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auth::memory::{MemoryApiKeys, MemoryKeys, MemoryRevocations};
use auth::{
    RevocationContext, RevocationReader, RevocationWriter, Revocations, Unavailable, UnixSeconds,
    UserRef, VerifiedClaims,
};
use auth_tower::Coalesced;
use forward_auth::ForwardAuth;
use http::Request;
use http::request::Parts;
use testkit::{Pool, now};

const SUBJECT: &str = "a1b2c3d4-5678-90ab-cdef-example11111";
const SESSION: &str = "0a1b2c3d-session-example-000000000001";

/// Counts reads; each takes a moment.
#[derive(Clone, Default)]
struct Counting {
    store: MemoryRevocations,
    reads: Arc<AtomicU64>,
    /// How many milliseconds longer a read takes.
    slower_by: Arc<AtomicU64>,
}

impl RevocationReader for Counting {
    async fn revocations(
        &self,
        claims: &VerifiedClaims,
        now: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let result = self.store.revocations(claims, now).await;
        let slower_by = self.slower_by.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5 + slower_by)).await;
        result
    }
}

struct Fixture {
    forward_auth: Arc<ForwardAuth<MemoryKeys, Coalesced<Counting>, MemoryApiKeys>>,
    store: Counting,
}

fn fixture(variables: &[(&str, &str)]) -> Fixture {
    let store = Counting::default();
    let revocations = Coalesced::new(store.clone());
    let forward_auth = crate::common::forward_auth("forwarded", variables, revocations);
    Fixture {
        forward_auth: Arc::new(forward_auth),
        store,
    }
}

fn asks(method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get("/auth")
        .header("x-forwarded-method", method)
        .header("x-forwarded-host", host)
        .header("x-forwarded-uri", path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn token() -> String {
    format!("Bearer {}", Pool::ours().access_token().build())
}

impl Fixture {
    async fn status(&self, parts: &Parts) -> u16 {
        let answer = self.forward_auth.answer(parts, None).await;
        answer.status().as_u16()
    }

    async fn status_of(&self, token: &str, path: &str) -> u16 {
        let parts = asks("GET", "a.example", path, &[("authorization", token)]);
        self.status(&parts).await
    }

    fn reads(&self) -> u64 {
        self.store.reads.load(Ordering::SeqCst)
    }

    async fn revoke_session(&self) {
        let user = UserRef {
            issuer: Pool::ours().id,
            subject: SUBJECT,
        };
        let context = RevocationContext {
            reason: "logout",
            actor: SUBJECT,
            at: UnixSeconds(now()),
            refresh_token_ttl_seconds: 3_600,
        };
        let session = user.session(SESSION);
        self.store
            .store
            .revoke_session(&session, &context)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn without_a_cache_each_decision_reads() {
    let fixture = fixture(&[]);
    let token = token();
    for reads in 1..=3 {
        assert_eq!(fixture.status_of(&token, "/x").await, 200);
        assert_eq!(fixture.reads(), reads);
    }
    fixture.revoke_session().await;
    assert_eq!(fixture.status_of(&token, "/x").await, 401);
}

#[tokio::test]
async fn a_cached_decision_is_for_one_credential_method_host_and_route() {
    let fixture = fixture(&[("DECISION_CACHE_SECONDS", "60")]);
    let token = token();
    let other = Pool::ours().access_token().claim("jti", "other").build();
    let other = format!("Bearer {other}");
    let rows = [
        ("GET", "a.example", "/x", &token, 1),
        ("GET", "a.example", "/x", &token, 1),
        ("GET", "A.Example", "/x/", &token, 1),
        ("GET", "a.example", "/%78", &token, 1),
        ("HEAD", "a.example", "/x", &token, 2),
        ("GET", "b.example", "/x", &token, 3),
        ("GET", "a.example", "/y", &token, 4),
        ("GET", "a.example", "/x", &other, 5),
        ("GET", "a.example", "/x", &token, 5),
    ];
    for (method, host, path, token, reads) in rows {
        let parts = asks(method, host, path, &[("authorization", token)]);
        assert_eq!(fixture.status(&parts).await, 200);
        assert_eq!(fixture.reads(), reads, "{method} {host} {path}");
    }
}

#[tokio::test]
async fn a_logout_is_late_by_no_more_than_the_cache() {
    let fixture = fixture(&[("DECISION_CACHE_SECONDS", "1")]);
    let token = token();
    assert_eq!(fixture.status_of(&token, "/x").await, 200);
    fixture.revoke_session().await;
    // Requests do not prolong it.
    let refused = async {
        while fixture.status_of(&token, "/x").await == 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let bound = Duration::from_millis(1_200);
    tokio::time::timeout(bound, refused).await.unwrap();
    assert_eq!(fixture.status_of(&token, "/x").await, 401);
}

fn expiring_in(seconds: u64) -> String {
    let token = Pool::ours().access_token().claim("exp", now() + seconds);
    format!("Bearer {}", token.build())
}

#[tokio::test]
async fn a_cached_decision_ends_with_its_token() {
    let fixture = fixture(&[("DECISION_CACHE_SECONDS", "60")]);
    let token = expiring_in(3);
    assert_eq!(fixture.status_of(&token, "/x").await, 200);
    assert_eq!(fixture.status_of(&token, "/x").await, 200);
    assert_eq!(fixture.reads(), 1);
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    assert_eq!(fixture.status_of(&token, "/x").await, 401);
}

#[tokio::test]
async fn a_token_that_expires_while_it_waits_for_a_shared_read_is_refused() {
    let fixture = Arc::new(fixture(&[]));
    fixture.store.slower_by.store(1_100, Ordering::SeqCst);
    let token = expiring_in(2);
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (fixture, token) = (Arc::clone(&fixture), token.clone());
            tokio::spawn(async move { fixture.status_of(&token, "/x").await })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.push(task.await.unwrap());
    }
    // The first request reads alone, and may be in time.
    statuses.sort_unstable();
    let late = statuses.iter().filter(|status| **status != 200).count();
    assert!(late >= 9, "{statuses:?}");
    assert_eq!(fixture.reads(), 2);
}

#[tokio::test]
async fn refusals_and_failures_are_not_cached() {
    let fixture = fixture(&[("DECISION_CACHE_SECONDS", "60")]);
    let token = token();
    assert_eq!(fixture.status_of(&token, "/admin/x").await, 403);
    assert_eq!(fixture.status_of(&token, "/admin/x").await, 403);
    assert_eq!(fixture.reads(), 2);
    fixture.store.store.set_available(false);
    assert_eq!(fixture.status_of(&token, "/x").await, 503);
    fixture.store.store.set_available(true);
    assert_eq!(fixture.status_of(&token, "/x").await, 200);
    assert_eq!(fixture.reads(), 4);
}

#[tokio::test]
async fn the_origin_counts_for_each_request_of_a_cached_decision() {
    let fixture = fixture(&[
        ("DECISION_CACHE_SECONDS", "60"),
        ("TOKEN_SOURCES", "cookie"),
        ("ALLOWED_ORIGINS", "https://app.example"),
    ]);
    let cookie = format!(
        "__Host-access_token={}",
        Pool::ours().access_token().build()
    );
    for (origin, status) in [
        ("https://app.example", 200),
        ("https://evil.example", 403),
        ("https://app.example", 200),
        ("null", 403),
    ] {
        let headers = [("cookie", cookie.as_str()), ("origin", origin)];
        let parts = asks("POST", "a.example", "/x", &headers);
        assert_eq!(fixture.status(&parts).await, status, "{origin}");
    }
}

/// A folder with the repository's schema and this policy.
fn policy_folder(name: &str, policy: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/schema.cedarschema");
    std::fs::copy(schema, folder.join("schema.cedarschema")).unwrap();
    std::fs::write(folder.join("test.cedar"), policy).unwrap();
    folder
}

#[tokio::test]
async fn a_rule_about_more_than_the_route_turns_the_cache_off() {
    for (name, policy) in [
        (
            "age",
            "permit (principal, action, resource) when { context.auth_age < 3600 };",
        ),
        (
            "address",
            "permit (principal, action, resource) when { context has source_ip };",
        ),
        (
            "address-with-escape",
            "permit (principal, action, resource) when { context has \"source\\u{5f}ip\" };",
        ),
        (
            "parameter",
            "permit (principal, action, resource) unless { resource.hasTag(\"id\") };",
        ),
        (
            "parameter-in-parentheses",
            "permit (principal, action, resource) unless { (resource) .hasTag (\"id\") };",
        ),
    ] {
        let folder = policy_folder(&format!("uncached-{name}"), policy);
        let fixture = fixture(&[
            ("POLICIES_DIR", folder.to_str().unwrap()),
            ("DECISION_CACHE_SECONDS", "60"),
            ("CLIENT_ADDRESS_HEADER", "X-Forwarded-For"),
        ]);
        let token = token();
        let headers = [
            ("authorization", token.as_str()),
            ("x-forwarded-for", "9.9.9.9, 1.1.1.1"),
        ];
        for reads in 1..=2 {
            let parts = asks("GET", "a.example", "/x", &headers);
            assert_eq!(fixture.status(&parts).await, 200, "{name}");
            assert_eq!(fixture.reads(), reads, "{name}");
        }
    }
}

#[tokio::test]
async fn rules_see_the_address_of_the_trusted_hop() {
    let policy = "permit (principal, action, resource) \
                  when { context has source_ip && context.source_ip == ip(\"10.1.2.3\") };";
    let folder = policy_folder("hops", policy);
    let token = token();
    for (hops, addresses, status) in [
        ("1", "10.1.2.3", 200),
        ("1", "10.1.2.3, 9.9.9.9", 403),
        ("2", "10.1.2.3, 9.9.9.9", 200),
        ("2", "spoofed, 10.1.2.3, 9.9.9.9", 200),
        ("1", "::ffff:10.1.2.3", 200),
        ("2", "10.1.2.3", 400),
        ("1", "unknown", 400),
        ("1", "10.1.2.3,", 400),
        ("1", "", 400),
    ] {
        let fixture = fixture(&[
            ("POLICIES_DIR", folder.to_str().unwrap()),
            ("CLIENT_ADDRESS_HEADER", "X-Forwarded-For"),
            ("TRUSTED_HOPS", hops),
        ]);
        let headers = [
            ("authorization", token.as_str()),
            ("x-forwarded-for", addresses),
        ];
        let parts = asks("GET", "a.example", "/x", &headers);
        assert_eq!(fixture.status(&parts).await, status, "{hops} {addresses}");
    }
}

/// A block list fails closed: a request without an address is not one of an address that is not blocked.
#[tokio::test]
async fn a_blocked_network_cannot_hide_its_address() {
    let policy = "permit (principal, action, resource); forbid (principal, action, resource) \
                  when { context has source_ip && context.source_ip.isInRange(ip(\"203.0.113.0/24\")) };";
    let folder = policy_folder("blocked", policy);
    let token = token();
    let fixture = fixture(&[
        ("POLICIES_DIR", folder.to_str().unwrap()),
        ("CLIENT_ADDRESS_HEADER", "X-Forwarded-For"),
    ]);
    for (addresses, status) in [
        (&["198.51.100.1"][..], 200),
        (&["203.0.113.7"], 403),
        (&["::ffff:203.0.113.7"], 403),
        (&["203.0.113.7:"], 400),
        (&["203.0.113.7,"], 400),
        (&["198.51.100.1, unknown"], 400),
        (&[], 400),
    ] {
        let address = addresses.iter().map(|text| ("x-forwarded-for", *text));
        let headers: Vec<_> = address.chain([("authorization", token.as_str())]).collect();
        let parts = asks("GET", "a.example", "/x", &headers);
        assert_eq!(fixture.status(&parts).await, status, "{addresses:?}");
    }
}

#[tokio::test]
async fn where_no_rule_uses_an_address_none_is_needed() {
    let fixture = fixture(&[("CLIENT_ADDRESS_HEADER", "X-Forwarded-For")]);
    assert_eq!(fixture.status_of(&token(), "/x").await, 200);
}

#[tokio::test]
async fn the_credential_is_in_the_configured_header_alone() {
    let fixture = fixture(&[("CREDENTIAL_HEADER", "X-Original-Authorization")]);
    let token = token();
    let own = ("x-original-authorization", token.as_str());
    let signature = ("authorization", "AWS4-HMAC-SHA256 Credential=a");
    for (headers, status) in [
        (&[own][..], 200),
        (&[signature, own], 200),
        (&[("authorization", token.as_str())], 401),
        (&[own, own], 401),
        (&[signature], 401),
    ] {
        let parts = asks("GET", "a.example", "/x", headers);
        assert_eq!(fixture.status(&parts).await, status, "{}", headers.len());
    }
}

#[tokio::test]
async fn concurrent_requests_of_one_credential_share_reads() {
    let fixture = Arc::new(fixture(&[]));
    let token = token();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (fixture, token) = (Arc::clone(&fixture), token.clone());
            tokio::spawn(async move { fixture.status_of(&token, "/x").await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert!(fixture.reads() <= 10, "{}", fixture.reads());
}

/// Requests run all the time; each that begins after the write is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_request_after_a_logout_is_refused() {
    let fixture = Arc::new(fixture(&[]));
    let token = token();
    let is_revoked = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let (fixture, token) = (Arc::clone(&fixture), token.clone());
            let is_revoked = Arc::clone(&is_revoked);
            tokio::spawn(async move {
                let mut refused = 0;
                while refused < 20 {
                    let revoked_before = is_revoked.load(Ordering::SeqCst) == 1;
                    let status = fixture.status_of(&token, "/x").await;
                    assert!(
                        !revoked_before || status == 401,
                        "{status} after the logout"
                    );
                    refused += u64::from(status == 401);
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    fixture.revoke_session().await;
    is_revoked.store(1, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
}
