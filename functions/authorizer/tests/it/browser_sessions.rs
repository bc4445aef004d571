//! `TOKEN_SOURCES=session`: decisions about the token behind the cookie of a browser session, with stores in memory.

use auth::memory::{MemoryApiKeys, MemoryKeys, MemoryRevocations};
use auth::{
    AuthError, Cause, Dependency, RevocationContext, RevocationWriter, Secret, Unavailable,
    UnixSeconds, UserRef,
};
use auth_sessions::{
    BrowserSession, BrowserSessions, Lease, MemoryBrowserSessions, RowKey, SealedSession,
    SealedSessions, SealingKeys, SessionId,
};
use authorizer::{Authorizer, Config};
use runtime::InvocationError;
use serde_json::{Value, json};
use testkit::{Pool, TokenBuilder, events, now};

use crate::effect;

const ORIGIN: &str = "https://app.example.com";
const REFUSED: Result<String, InvocationError> = Err(InvocationError::Unauthorized);
const FAILED: Result<String, InvocationError> = Err(InvocationError::Internal);

fn keys() -> SealingKeys {
    let key = r#"{"keys":[{"id":"k","key":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}]}"#;
    SealingKeys::from_json(key).unwrap()
}

const VARIABLES: &[(&str, &str)] = &[
    ("TOKEN_SOURCES", "header,session"),
    ("ALLOWED_ORIGINS", ORIGIN),
    ("BROWSER_SESSION_TABLE", "browser-sessions"),
    ("BROWSER_SESSION_KEYS_ARN", "arn:keys"),
];

struct Fixture<B> {
    authorizer: Authorizer<MemoryKeys, MemoryRevocations, MemoryApiKeys, B>,
    revocations: MemoryRevocations,
    sessions: SealedSessions<MemoryBrowserSessions>,
}

/// An authorizer without sessions.
fn plain(store: MemoryRevocations) -> Authorizer<MemoryKeys, MemoryRevocations, MemoryApiKeys> {
    crate::in_memory(VARIABLES, store)
}

fn fixture() -> Fixture<MemoryBrowserSessions> {
    let revocations = MemoryRevocations::default();
    let rows = MemoryBrowserSessions::default();
    let sessions = || SealedSessions::new(rows.clone(), keys());
    Fixture {
        authorizer: plain(revocations.clone()).with_sessions(sessions()),
        revocations,
        sessions: sessions(),
    }
}

impl<B: BrowserSessions> Fixture<B> {
    async fn session(&self, token: &TokenBuilder<'_>) -> SessionId {
        let session = BrowserSession {
            access_token: Secret::new(token.build()),
            refresh_token: None,
            expires_at: UnixSeconds(now() + 1_000),
        };
        let created = self.sessions.create(&session, UnixSeconds(now())).await;
        created.unwrap()
    }

    async fn decide(&self, event: &Value) -> Result<String, InvocationError> {
        effect(&self.authorizer, event).await
    }
}

/// A request of `GET /whoami` with these headers.
fn request(headers: Value) -> Value {
    let mut event = events::sample("authorizer/rest-request");
    event["headers"] = headers;
    event["multiValueHeaders"] = json!(null);
    event["queryStringParameters"] = json!(null);
    event["multiValueQueryStringParameters"] = json!(null);
    event
}

fn cookie(id: &SessionId) -> String {
    format!("theme=dark; __Host-session={}", id.expose())
}

fn allow() -> Result<String, InvocationError> {
    Ok("Allow".to_owned())
}

#[tokio::test]
async fn the_token_behind_the_cookie_decides() {
    let fixture = fixture();
    let token = Pool::ours().access_token();
    let id = fixture.session(&token).await;
    let event = request(json!({"Cookie": cookie(&id)}));
    assert_eq!(fixture.decide(&event).await, allow());

    // A user of 100 groups, whose token would not fit into a cookie.
    let groups: Vec<String> = (0..100)
        .map(|n| format!("group-{n:03}-{}", "x".repeat(24)))
        .collect();
    let many = token.clone().claim("cognito:groups", groups);
    assert!(many.build().len() > 4_096, "{}", many.build().len());
    let id_of_many = fixture.session(&many).await;
    let event_of_many = request(json!({"Cookie": cookie(&id_of_many)}));
    assert_eq!(fixture.decide(&event_of_many).await, allow());

    // The next request after the logout.
    let user = UserRef {
        issuer: Pool::ours().id,
        subject: token.get("sub").as_str().unwrap(),
    };
    let session = token.get("origin_jti");
    let context = RevocationContext {
        reason: "test",
        actor: "test",
        at: UnixSeconds(now()),
        refresh_token_ttl_seconds: 3_600,
    };
    let session = user.session(session.as_str().unwrap());
    let revoked = fixture.revocations.revoke_session(&session, &context);
    revoked.await.unwrap();
    assert_eq!(fixture.decide(&event).await, REFUSED);
}

#[tokio::test]
async fn sessions_that_are_over_or_wrong_are_refused() {
    let fixture = fixture();
    let token = Pool::ours().access_token();
    let id = fixture.session(&token).await;
    let good = cookie(&id);
    let bearer = format!("Bearer {}", token.build());
    let expired = fixture
        .session(&token.clone().claim("exp", now() - 1))
        .await;
    let foreign = token.clone().signed_by(&Pool::foreign().access_key);
    let foreign = fixture.session(&foreign).await;
    let deleted = fixture.session(&token).await;
    fixture.sessions.delete(&deleted).await.unwrap();
    let unknown = "A".repeat(43);
    for (name, headers) in [
        ("no credential", json!({})),
        (
            "an unknown id",
            json!({"Cookie": format!("__Host-session={unknown}")}),
        ),
        ("an empty id", json!({"Cookie": "__Host-session="})),
        (
            "two ids",
            json!({"Cookie": format!("{good}; __Host-session={unknown}")}),
        ),
        ("a longer id", json!({"Cookie": format!("{good}A")})),
        (
            "the id in another cookie",
            json!({"Cookie": format!("session={}", id.expose())}),
        ),
        (
            "the token as an id",
            json!({"Cookie": format!("__Host-session={}", token.build())}),
        ),
        (
            "the id as a token",
            json!({"Authorization": format!("Bearer {}", id.expose())}),
        ),
        (
            "two credentials",
            json!({"Cookie": good.clone(), "Authorization": bearer}),
        ),
        ("an expired token", json!({"Cookie": cookie(&expired)})),
        ("a forged token", json!({"Cookie": cookie(&foreign)})),
        ("a deleted session", json!({"Cookie": cookie(&deleted)})),
    ] {
        assert_eq!(fixture.decide(&request(headers)).await, REFUSED, "{name}");
    }
    assert_eq!(
        fixture.decide(&request(json!({"Cookie": good}))).await,
        allow()
    );

    // Without a store of sessions the cookie is no credential.
    let without = plain(MemoryRevocations::default());
    let event = request(json!({"Cookie": cookie(&id)}));
    assert_eq!(effect(&without, &event).await, REFUSED);
}

#[tokio::test]
async fn unsafe_methods_need_a_known_origin() {
    let fixture = fixture();
    let id = fixture.session(&Pool::ours().access_token()).await;
    for (origin, site, expected) in [
        (Some(ORIGIN), None, "Allow"),
        (None, Some("same-origin"), "Allow"),
        (None, None, "Deny"),
        (Some("https://evil.example"), None, "Deny"),
        (None, Some("cross-site"), "Deny"),
    ] {
        let mut event = request(json!({
            "Cookie": cookie(&id), "Origin": origin, "Sec-Fetch-Site": site,
        }));
        let arn = event["methodArn"]
            .as_str()
            .unwrap()
            .replace("/GET/", "/POST/");
        event["methodArn"] = json!(arn);
        event["httpMethod"] = json!("POST");
        event["requestContext"]["httpMethod"] = json!("POST");
        let expected = Ok(expected.to_owned());
        assert_eq!(
            fixture.decide(&event).await,
            expected,
            "{origin:?} {site:?}"
        );
    }
}

/// A table that does not respond.
struct Down;

const DOWN: Unavailable = Unavailable {
    dependency: Dependency::BrowserSessions,
    cause: Cause::Timeout,
};

impl BrowserSessions for Down {
    async fn find(&self, _: &RowKey) -> Result<Option<SealedSession>, AuthError> {
        Err(DOWN.into())
    }

    async fn create(
        &self,
        _: &RowKey,
        _: &SealedSession,
        _: UnixSeconds,
    ) -> Result<(), Unavailable> {
        Err(DOWN)
    }

    async fn replace(&self, _: &RowKey, _: &SealedSession) -> Result<bool, Unavailable> {
        Err(DOWN)
    }

    async fn lease(
        &self,
        _: &RowKey,
        _: u64,
        _: &Lease,
        _: UnixSeconds,
    ) -> Result<bool, Unavailable> {
        Err(DOWN)
    }

    async fn delete(&self, _: &RowKey) -> Result<(), Unavailable> {
        Err(DOWN)
    }
}

#[tokio::test]
async fn a_failed_table_is_an_error_and_no_refusal() {
    let of_memory = fixture();
    let id = of_memory.session(&Pool::ours().access_token()).await;
    let authorizer = plain(MemoryRevocations::default());
    let authorizer = authorizer.with_sessions(SealedSessions::new(Down, keys()));
    let event = request(json!({"Cookie": cookie(&id)}));
    assert_eq!(effect(&authorizer, &event).await, FAILED);
    // A token in the header needs no session.
    let bearer = format!("Bearer {}", Pool::ours().access_token().build());
    let event = request(json!({"Authorization": bearer}));
    assert_eq!(effect(&authorizer, &event).await, allow());
}

#[test]
fn a_source_of_sessions_needs_its_table_and_known_origins() {
    let without = |name: &str| -> Vec<(&str, &str)> {
        let all = VARIABLES.iter().copied();
        all.filter(|(known, _)| *known != name).collect()
    };
    for (variables, problem) in [
        (without("BROWSER_SESSION_TABLE"), "only set together"),
        (without("BROWSER_SESSION_KEYS_ARN"), "only set together"),
        (without("ALLOWED_ORIGINS"), "ALLOWED_ORIGINS must be set"),
        (
            vec![("TOKEN_SOURCES", "session"), ("ALLOWED_ORIGINS", ORIGIN)],
            "BROWSER_SESSION_TABLE must be set",
        ),
        (
            [&[("POLICY_SCOPE", "api")], VARIABLES].concat(),
            "POLICY_SCOPE cannot be `api`",
        ),
    ] {
        let error = Config::from_lookup(&events::variables(&variables))
            .err()
            .unwrap();
        assert!(error.to_string().contains(problem), "{error}");
    }
    // The table alone reads no cookie and no secret.
    let config = Config::from_lookup(&events::variables(&without("TOKEN_SOURCES"))).unwrap();
    assert!(config.browser_sessions.is_none());
}
