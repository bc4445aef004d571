//! The rules of logout, with a store in memory and a fake Cognito.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use auth::memory::MemoryRevocations;
use auth::{ClaimsBuilder, DenyReason, RevocationReader, Secret, UnixSeconds, VerifiedClaims};
use auth_sessions::{
    BrowserSession, MemoryBrowserSessions, SealedSessions, SealingKeys, SessionId,
};
use logout::{Config, Logout};
use runtime::Handler;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::spans::recorded;
use testkit::{FakeAws, Pool, TokenBuilder, events, now};

/// Variables of the function.
type Variables<'a> = &'a [(&'a str, &'a str)];

struct Fixture {
    logout: Logout<MemoryRevocations, MemoryBrowserSessions>,
    store: MemoryRevocations,
    /// The sessions behind the cookie, over the same store as the function's.
    sessions: SealedSessions<MemoryBrowserSessions>,
    aws: FakeAws,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(more: &[(&str, &str)]) -> Self {
        let aws = FakeAws::agreeable().await;
        let keys = Pool::ours().jwks().to_string();
        let variables = [&[("JWKS", keys.as_str())], more].concat();
        let config = Config::from_lookup(&events::variables(&variables)).unwrap();
        let store = MemoryRevocations::default();
        let rows = MemoryBrowserSessions::default();
        let sessions = || SealedSessions::new(rows.clone(), session_keys());
        let of_browser = config.browser_sessions.as_ref().map(|_| sessions());
        Self {
            logout: Logout::new(&aws.sdk(), config, store.clone(), of_browser, None),
            store,
            sessions: sessions(),
            aws,
        }
    }

    async fn call(&self, event: &Value) -> (u16, Value) {
        let response = self.logout.handle(&events::raw(event), "request-1").await;
        events::status_and_body(&serde_json::to_value(response.unwrap()).unwrap())
    }

    /// Why the token is refused from now on.
    async fn refused(&self, token: &VerifiedClaims) -> Option<DenyReason> {
        let found = self.store.revocations(token, UnixSeconds(now())).await;
        found.unwrap().check(token).err()
    }
}

fn session_keys() -> SealingKeys {
    let key = r#"{"keys":[{"id":"k","key":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}]}"#;
    SealingKeys::from_json(key).unwrap()
}

fn request(token: &TokenBuilder<'_>, body: &Value) -> Value {
    with_authorization(&format!("Bearer {}", token.build()), body)
}

fn with_authorization(value: &str, body: &Value) -> Value {
    let mut event = events::sample("logout/session");
    event["headers"] = json!({"Authorization": value, "Content-Type": "application/json"});
    event["multiValueHeaders"] =
        json!({"Authorization": [value], "Content-Type": ["application/json"]});
    event["body"] = body.to_string().into();
    event
}

/// The claims of a session of the pool's user, which began `age` seconds ago.
fn session(id: &str, age: u64) -> VerifiedClaims {
    let pool = Pool::ours();
    ClaimsBuilder::user(
        "a1b2c3d4-5678-90ab-cdef-example11111",
        UnixSeconds(now() - age),
    )
    .issuer_id(pool.id)
    .client_id(pool.client_id)
    .session(Some(id))
    .token_id(Some("a-token"))
    .build()
}

/// The session of [`Pool::access_token`].
fn own() -> VerifiedClaims {
    session("0a1b2c3d-session-example-000000000001", 60)
}

#[tokio::test]
async fn revokes_the_session_of_the_token_and_no_other() {
    let fixture = Fixture::new().await;
    let (status, body) = fixture
        .call(&request(&Pool::ours().access_token(), &json!({})))
        .await;
    assert_eq!(
        (status, body),
        (200, json!({"ended": "session", "cognito": "not_asked"}))
    );
    assert_eq!(
        fixture.refused(&own()).await,
        Some(DenyReason::SessionRevoked)
    );
    assert_eq!(fixture.refused(&session("another", 60)).await, None);
}

#[tokio::test]
async fn accepts_expired_tokens_and_repetitions() {
    let fixture = Fixture::new().await;
    let expired = Pool::ours().access_token().claim("exp", now() - 10);
    for _ in 0..2 {
        let (status, _) = fixture.call(&request(&expired, &json!({}))).await;
        assert_eq!(status, 200);
    }
    assert_eq!(
        fixture.refused(&own()).await,
        Some(DenyReason::SessionRevoked)
    );
}

#[tokio::test]
async fn refuses_requests_without_a_valid_token_or_body() {
    let fixture = Fixture::new().await;
    let ours = Pool::ours();
    let token = ours.access_token();
    let mut get = request(&token, &json!({}));
    get["httpMethod"] = "GET".into();
    get["requestContext"]["httpMethod"] = "GET".into();
    let rows = [
        (
            "no token",
            with_authorization("", &json!({})),
            401,
            "unauthorized",
        ),
        (
            "no JWT",
            with_authorization("Bearer a.b.c", &json!({})),
            401,
            "unauthorized",
        ),
        (
            "another pool",
            request(&Pool::foreign().access_token(), &json!({})),
            401,
            "unauthorized",
        ),
        (
            "a token of a machine",
            request(&ours.machine_token(), &json!({})),
            403,
            "no_user",
        ),
        ("another method", get, 405, "method_not_allowed"),
        (
            "an unknown member",
            request(&token, &json!({"all": true})),
            400,
            "bad_request",
        ),
        (
            "an unknown scope",
            request(&token, &json!({"scope": "everyone"})),
            400,
            "bad_request",
        ),
        (
            "a scope that is not text",
            request(&token, &json!({"scope": 1})),
            400,
            "bad_request",
        ),
    ];
    events::check_answers(rows, async |event| fixture.call(event).await).await;
    assert_eq!(fixture.refused(&own()).await, None);
    assert_eq!(fixture.aws.operations(), Vec::<String>::new());
    assert_eq!(
        fixture.call(&request(&token, &json!({}))).await.0,
        200,
        "a good request"
    );
}

#[tokio::test]
async fn all_revokes_every_session_here_and_at_cognito_once() {
    let fixture = Fixture::new().await;
    let all = request(&Pool::ours().access_token(), &json!({"scope": "all"}));
    let (status, body) = fixture.call(&all).await;
    assert_eq!(
        (status, body),
        (200, json!({"ended": "all", "cognito": "ended"}))
    );
    assert_eq!(fixture.aws.operations(), ["AdminUserGlobalSignOut"]);
    for covered in [own(), session("another", 5)] {
        assert_eq!(
            fixture.refused(&covered).await,
            Some(DenyReason::UserRevoked)
        );
    }
    // The response came after the revoked second: a new sign-in is not covered.
    assert_eq!(fixture.refused(&session("new", 0)).await, None);
    let (status, body) = fixture.call(&all).await;
    assert_eq!(
        (status, body),
        (200, json!({"ended": "already", "cognito": "not_asked"}))
    );
    assert_eq!(fixture.refused(&session("new", 0)).await, None);

    // The earlier request may have been killed before its calls: the caller's own session ends at Cognito.
    let own_too = json!({"scope": "all", "refresh_token": "opaque.refresh.token.of.cognito"});
    let again = request(&Pool::ours().access_token(), &own_too);
    let (status, body) = fixture.call(&again).await;
    assert_eq!(
        (status, body),
        (200, json!({"ended": "already", "cognito": "ended"}))
    );
    let calls = fixture.aws.operations();
    assert_eq!(calls, ["AdminUserGlobalSignOut", "RevokeToken"]);
    assert_eq!(fixture.refused(&session("new", 0)).await, None);
}

#[tokio::test]
async fn others_keeps_the_session_of_the_token() {
    let fixture = Fixture::new().await;
    let others = request(&Pool::ours().access_token(), &json!({"scope": "others"}));
    let (status, body) = fixture.call(&others).await;
    assert_eq!(
        (status, body),
        (200, json!({"ended": "others", "cognito": "not_asked"}))
    );
    assert_eq!(fixture.refused(&own()).await, None);
    assert_eq!(
        fixture.refused(&session("another", 5)).await,
        Some(DenyReason::UserRevoked)
    );
    assert_eq!(fixture.aws.operations(), Vec::<String>::new());
}

#[tokio::test]
async fn only_a_valid_session_revokes_others() {
    let fixture = Fixture::new().await;
    let valid = Pool::ours().access_token();
    let expired = Pool::ours().access_token().claim("exp", now() - 10);
    for scope in ["all", "others"] {
        let (status, _) = fixture
            .call(&request(&expired, &json!({"scope": scope})))
            .await;
        assert_eq!(status, 401, "{scope}, expired");
    }
    assert_eq!(fixture.call(&request(&valid, &json!({}))).await.0, 200);
    for scope in ["all", "others"] {
        let (status, _) = fixture
            .call(&request(&valid, &json!({"scope": scope})))
            .await;
        assert_eq!(status, 401, "{scope}, logged out");
    }
    assert_eq!(fixture.refused(&session("another", 5)).await, None);
}

#[tokio::test]
async fn the_refresh_token_is_revoked_at_cognito_or_queued() {
    let body = json!({"refresh_token": "a-refresh-token"});
    let error = || Fault::Answer(500, "{}".to_owned());
    let invalid =
        r#"{"__type":"NotAuthorizedException","message":"Refresh Token has been revoked"}"#;
    let queue = [(
        "RETRY_QUEUE_URL",
        "https://sqs.us-east-1.amazonaws.com/1/retry",
    )];
    let unsupported = r#"{"__type":"UnsupportedOperationException"}"#;
    let rows: [(&str, Fault, Variables<'_>, &str); 5] = [
        ("Cognito answers", Fault::None, &[], "ended"),
        (
            "an invalid token",
            Fault::Answer(400, invalid.to_owned()),
            &[],
            "ended",
        ),
        (
            "revocation is off",
            Fault::Answer(400, unsupported.to_owned()),
            &[],
            "unsupported",
        ),
        ("Cognito is down", error(), &[], "failed"),
        ("Cognito is down, with a queue", error(), &queue, "queued"),
    ];
    for (name, fault, variables, cognito) in rows {
        let fixture = Fixture::with(variables).await;
        fixture.aws.set_fault_for("RevokeToken", fault);
        let event = request(&Pool::ours().access_token(), &body);
        let (answer, span) = recorded(fixture.call(&event)).await;
        let expected = json!({"ended": "session", "cognito": cognito});
        assert_eq!(answer, (200, expected), "{name}");
        let has_failed = ["failed", "queued"].contains(&cognito);
        assert_eq!(span.contains_key("cause"), has_failed, "{name}");
        assert_eq!(span["outcome"], cognito, "{name}");
        assert_eq!(span["outcome"], span["reason"], "{name}");
        let refused = fixture.refused(&own()).await;
        assert_eq!(refused, Some(DenyReason::SessionRevoked), "{name}");
        let queued = fixture.aws.operations().contains(&"SendMessage".to_owned());
        assert_eq!(queued, cognito == "queued", "{name}");
    }
}

#[tokio::test]
async fn without_the_store_the_logout_fails_but_cognito_is_called() {
    let fixture = Fixture::new().await;
    fixture.store.set_available(false);
    let token = Pool::ours().access_token();
    let body = json!({"refresh_token": "a-refresh-token"});
    let (status, answer) = fixture.call(&request(&token, &body)).await;
    assert_eq!(
        (status, answer["code"].as_str()),
        (503, Some("unavailable"))
    );
    assert_eq!(fixture.aws.operations(), ["RevokeToken"]);
    fixture.store.set_available(true);
    assert_eq!(fixture.call(&request(&token, &body)).await.0, 200);
}

#[tokio::test]
async fn with_cookies_other_origins_are_refused_and_cookies_are_cleared() {
    let fixture = Fixture::with(&[
        ("TOKEN_COOKIE", "__Host-token"),
        ("ALLOWED_ORIGINS", "https://app.example.com"),
    ])
    .await;
    let mut event = request(&Pool::ours().access_token(), &json!({}));
    for (origin, status) in [
        ("https://evil.example", 403),
        ("https://app.example.com.evil.example", 403),
        ("null", 403),
        ("https://app.example.com", 200),
    ] {
        event["headers"]["Origin"] = origin.into();
        event["multiValueHeaders"]["Origin"] = json!([origin]);
        let response = fixture
            .logout
            .handle(&events::raw(&event), "request-1")
            .await;
        let response = response.unwrap();
        assert_eq!(response.status(), status, "{origin}");
        let clears = serde_json::to_string(&response)
            .unwrap()
            .contains("__Host-token=;");
        assert_eq!(clears, status == 200, "{origin}");
    }
}

#[tokio::test]
async fn behind_a_load_balancer_cookies_need_multi_value_headers() {
    let token = format!("Bearer {}", Pool::ours().access_token().build());
    let event = |name: &str, headers: Value| {
        let mut event = json!({"requestContext": {"elb": {"targetGroupArn": "arn"}}, "httpMethod": "POST",
            "path": "/auth/logout", "body": "", "isBase64Encoded": false});
        event[name] = headers;
        event
    };
    let single = event("headers", json!({"authorization": token}));
    let several = event("multiValueHeaders", json!({"authorization": [token]}));
    let cookies = &[
        ("TOKEN_COOKIE", "__Host-token"),
        ("REFRESH_COOKIE", "__Secure-refresh"),
        ("ALLOWED_ORIGINS", "https://app.example.com"),
    ];
    for (variables, event, status, cleared) in [
        (&[][..], &single, 200, 0),
        (&[][..], &several, 200, 0),
        (cookies, &single, 500, 0),
        (cookies, &several, 200, 3),
    ] {
        let fixture = Fixture::with(variables).await;
        let raw = events::raw(event);
        let response = fixture.logout.handle(&raw, "request-1").await;
        let response = serde_json::to_value(response.unwrap()).unwrap();
        assert_eq!(response["statusCode"], status, "{response}");
        let headers = response.get("multiValueHeaders");
        assert_eq!(headers.is_some(), event == &several, "{response}");
        let found = headers.and_then(|headers| headers["set-cookie"].as_array());
        assert_eq!(found.map_or(0, Vec::len), cleared, "{response}");
        let is_over = fixture.refused(&own()).await.is_some();
        assert!(
            is_over,
            "the session ends whether or not its cookies can be deleted"
        );
    }
}

/// The variables of `COOKIE_MODE=session`.
const BROWSER: Variables<'_> = &[
    ("BROWSER_SESSION_TABLE", "browser-sessions"),
    ("BROWSER_SESSION_KEYS_ARN", "arn:keys"),
    ("ALLOWED_ORIGINS", "https://app.example.com"),
];

/// A session of the browser with this access token and the refresh token `opaque`.
async fn browser_session(fixture: &Fixture, token: &TokenBuilder<'_>) -> SessionId {
    let session = BrowserSession {
        access_token: Secret::new(token.build()),
        refresh_token: Some(Secret::new("opaque.refresh.token.of.cognito".to_owned())),
        expires_at: UnixSeconds(now() + 28_800),
    };
    let created = fixture.sessions.create(&session, UnixSeconds(now())).await;
    created.unwrap()
}

/// A logout of a page of the application, with this cookie.
fn by_cookie(cookie: &str, body: &Value) -> Value {
    let mut event = events::sample("logout/session");
    event["headers"] = json!({"Cookie": cookie, "Content-Type": "application/json",
        "Origin": "https://app.example.com"});
    event["multiValueHeaders"] = json!(null);
    event["body"] = body.to_string().into();
    event
}

#[tokio::test]
async fn a_browser_session_is_revoked_then_deleted() {
    for (scope, ended, is_deleted) in [
        (json!({}), "session", true),
        (json!({"scope": "all"}), "all", true),
        (json!({"scope": "others"}), "others", false),
    ] {
        let fixture = Fixture::with(BROWSER).await;
        let id = browser_session(&fixture, &Pool::ours().access_token()).await;
        let event = by_cookie(&format!("a=b; __Host-session={}", id.expose()), &scope);
        let response = fixture
            .logout
            .handle(&events::raw(&event), "request-1")
            .await;
        let response = serde_json::to_value(response.unwrap()).unwrap();
        let (status, body) = events::status_and_body(&response);
        assert_eq!((status, &body["ended"]), (200, &json!(ended)), "{body}");
        let cookies = &response["multiValueHeaders"]["set-cookie"];
        let cleared = "__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";
        let expected = if is_deleted {
            json!([cleared])
        } else {
            json!(null)
        };
        assert_eq!(*cookies, expected, "{scope}");
        let found = fixture.sessions.find(&id, UnixSeconds(now())).await;
        assert_eq!(found.is_err(), is_deleted, "{scope}");
        let refused = fixture.refused(&own()).await;
        assert_eq!(refused.is_some(), is_deleted, "{scope}");
        let revoked = fixture.aws.requests().into_iter().any(|(operation, sent)| {
            operation == "RevokeToken" && sent["Token"] == "opaque.refresh.token.of.cognito"
        });
        assert_eq!(revoked, is_deleted, "{scope}");
        // A repetition, because the response was lost.
        if is_deleted {
            let (status, body) = fixture.call(&event).await;
            if ended == "session" {
                let expected = json!({"ended": "already", "cognito": "not_asked"});
                assert_eq!((status, body), (200, expected), "{scope}");
            } else {
                // Whose other sessions to revoke is unknown, so none is.
                assert_eq!(status, 401, "{scope}");
            }
        }
    }
}

/// The variables of `COOKIE_MODE=refresh`.
const REFRESHING: Variables<'_> = &[
    ("REFRESH_COOKIE", "__Host-refresh"),
    ("ALLOWED_ORIGINS", "https://app.example.com"),
];

/// Cognito's response to a refresh: a token of the session, and with rotation a new refresh token.
fn refreshed(rotated: Option<&str>) -> Value {
    let token = Pool::ours().access_token().build();
    json!({"AuthenticationResult":
        {"AccessToken": token, "ExpiresIn": 1_800, "RefreshToken": rotated}})
}

#[tokio::test]
async fn the_refresh_cookie_alone_revokes_the_scope_of_the_body() {
    let rows = [
        (json!({}), "session", true),
        (json!({"scope": "session"}), "session", true),
        (json!({"scope": "all"}), "all", true),
        (json!({"scope": "others"}), "others", false),
    ];
    for (body, ended, own_is_over) in rows {
        for rotated in [None, Some("opaque-2")] {
            let fixture = Fixture::with(REFRESHING).await;
            let answer = refreshed(rotated);
            fixture.aws.set_answer("GetTokensFromRefreshToken", answer);
            let event = by_cookie("__Host-refresh=opaque", &body);
            let event = events::raw(&event);
            let response = fixture.logout.handle(&event, "request-1").await;
            let response = serde_json::to_value(response.unwrap()).unwrap();
            let (status, answer) = events::status_and_body(&response);
            assert_eq!((status, &answer["ended"]), (200, &json!(ended)), "{body}");
            let own_is_refused = fixture.refused(&own()).await.is_some();
            assert_eq!(own_is_refused, own_is_over, "{body}");
            let another_is_refused = fixture.refused(&session("another", 5)).await.is_some();
            assert_eq!(another_is_refused, ended != "session", "{body}");
            // The session that stays needs the rotated token; no other is left at Cognito.
            let cookies = &response["multiValueHeaders"]["set-cookie"];
            let mut expected =
                json!(["__Host-refresh=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"]);
            if ended == "others" {
                expected = match rotated {
                    Some(token) => json!([format!(
                        "__Host-refresh={token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=2592000"
                    )]),
                    None => json!(null),
                };
            }
            assert_eq!(*cookies, expected, "{body} {rotated:?}");
            let requests = fixture.aws.requests().into_iter();
            let revoked = requests.filter(|(operation, _)| operation == "RevokeToken");
            let revoked: Vec<_> = revoked.map(|(_, sent)| sent["Token"].clone()).collect();
            let mut expected = vec![json!("opaque")];
            expected.extend(rotated.map(|token| json!(token)));
            expected.retain(|_| own_is_over);
            assert_eq!(revoked, expected, "{body}");
        }
    }
}

/// Cognito refuses a revoked refresh token, and with rotation one that was used.
#[tokio::test]
async fn a_failed_logout_by_the_refresh_cookie_can_be_repeated() {
    for scope in ["session", "all", "others"] {
        for rotated in [None, Some("opaque-2")] {
            let case = format!("{scope} {rotated:?}");
            let fixture = Fixture::with(REFRESHING).await;
            let answer = refreshed(rotated);
            fixture.aws.set_answer("GetTokensFromRefreshToken", answer);
            fixture.store.set_available(false);
            let body = json!({ "scope": scope });
            let event = events::raw(&by_cookie("__Host-refresh=opaque", &body));
            let response = fixture.logout.handle(&event, "request-1").await;
            let response = serde_json::to_value(response.unwrap()).unwrap();
            assert_eq!(response["statusCode"], 503, "{case}");
            // No refresh token was revoked, and the browser has the one that Cognito accepts.
            let calls = fixture.aws.operations();
            assert_eq!(calls, ["GetTokensFromRefreshToken"], "{case}");
            let cookie = &response["multiValueHeaders"]["set-cookie"][0];
            let cookie = cookie.as_str().and_then(|cookie| cookie.split(';').next());
            let expected = rotated.map(|token| format!("__Host-refresh={token}"));
            assert_eq!(cookie, expected.as_deref(), "{case}");

            fixture.store.set_available(true);
            let cookie = cookie.unwrap_or("__Host-refresh=opaque");
            let (status, answer) = fixture.call(&by_cookie(cookie, &body)).await;
            assert_eq!((status, &answer["ended"]), (200, &json!(scope)), "{case}");
            let sent = fixture.aws.requests().into_iter();
            let sent = sent.filter(|(operation, _)| operation == "GetTokensFromRefreshToken");
            let sent = sent
                .map(|(_, sent)| sent["RefreshToken"].clone())
                .next_back();
            assert_eq!(sent, Some(json!(rotated.unwrap_or("opaque"))), "{case}");
            let own_is_refused = fixture.refused(&own()).await.is_some();
            assert_eq!(own_is_refused, scope != "others", "{case}");
            let another_is_refused = fixture.refused(&session("another", 5)).await.is_some();
            assert_eq!(another_is_refused, scope != "session", "{case}");
        }
    }
}

#[tokio::test]
async fn the_refresh_cookie_alone_needs_a_valid_body_and_for_others_a_valid_token() {
    let fixture = Fixture::with(REFRESHING).await;
    let mut event = by_cookie("__Host-refresh=opaque", &json!({}));
    for body in [r#"{"scope":"everyone"}"#, r#"{"all":true}"#, "{", "[]"] {
        event["body"] = body.into();
        assert_eq!(fixture.call(&event).await.0, 400, "{body}");
    }
    assert_eq!(fixture.aws.operations(), Vec::<String>::new());

    let over = r#"{"__type":"NotAuthorizedException","message":"Refresh Token has been revoked"}"#;
    fixture.aws.set_fault(Fault::Answer(400, over.to_owned()));
    for (body, status) in [
        (json!({}), 200),
        (json!({"scope": "all"}), 401),
        (json!({"scope": "others"}), 401),
    ] {
        let event = by_cookie("__Host-refresh=opaque", &body);
        assert_eq!(fixture.call(&event).await.0, status, "{body}");
    }
    assert_eq!(fixture.refused(&session("another", 5)).await, None);
}

#[tokio::test]
async fn an_expired_token_ends_its_browser_session_too() {
    let fixture = Fixture::with(BROWSER).await;
    let expired = Pool::ours().access_token().claim("exp", now() - 10);
    let id = browser_session(&fixture, &expired).await;
    let event = by_cookie(&format!("__Host-session={}", id.expose()), &json!({}));
    assert_eq!(fixture.call(&event).await.0, 200);
    let refused = fixture.refused(&own()).await;
    assert_eq!(refused, Some(DenyReason::SessionRevoked));
}

#[tokio::test]
async fn a_browser_session_stays_if_its_revocation_was_not_written() {
    let fixture = Fixture::with(BROWSER).await;
    let id = browser_session(&fixture, &Pool::ours().access_token()).await;
    fixture.store.set_available(false);
    let event = by_cookie(&format!("__Host-session={}", id.expose()), &json!({}));
    assert_eq!(fixture.call(&event).await.0, 503);
    fixture.store.set_available(true);
    assert!(fixture.sessions.find(&id, UnixSeconds(now())).await.is_ok());
    assert_eq!(fixture.call(&event).await.0, 200);
}

#[tokio::test]
async fn only_a_browser_session_of_this_application_is_accepted() {
    let fixture = Fixture::with(BROWSER).await;
    let id = browser_session(&fixture, &Pool::ours().access_token()).await;
    let cookie = format!("__Host-session={}", id.expose());
    let plain = by_cookie(&cookie, &json!({}));
    let with = |name: &str, value: &str| {
        let mut event = plain.clone();
        event["headers"][name] = json!(value);
        event
    };
    let token = Pool::ours().access_token().build();
    for (name, event, expected) in [
        (
            "two ids",
            with("Cookie", &format!("{cookie}; __Host-session=x")),
            401,
        ),
        ("a malformed id", with("Cookie", "__Host-session=x"), 401),
        ("an empty id", with("Cookie", "__Host-session="), 401),
        (
            "a token besides the id",
            with("Authorization", &format!("Bearer {token}")),
            401,
        ),
        (
            "a page of another origin",
            with("Origin", "https://evil.example"),
            403,
        ),
        (
            "a body that is not JSON",
            {
                let mut event = plain.clone();
                event["body"] = json!("{");
                event
            },
            400,
        ),
    ] {
        assert_eq!(fixture.call(&event).await.0, expected, "{name}");
    }
    assert!(fixture.sessions.find(&id, UnixSeconds(now())).await.is_ok());
    assert_eq!(fixture.refused(&own()).await, None);

    // The cookie means nothing without the table.
    let without = Fixture::new().await;
    assert_eq!(without.call(&plain).await.0, 401);
}
