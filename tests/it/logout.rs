//! Cases L: the real binary in front of the emulated table and a Cognito that fails on demand.
//! What logout wrote is judged by what the authorizer then decides.

use std::time::Duration;

use auth_tests::{Stack, Verdict, environment, request_event};
use serde_json::{Value, json};
use testkit::jwks_server::JwksServer;
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Binary, FakeAws, Pool, TokenBuilder};

/// Logout and an authorizer over one table.
struct Edge {
    store: FakeAws,
    cognito: FakeAws,
    logout: Binary,
    authorizer: Binary,
    _jwks: JwksServer,
}

impl Edge {
    async fn start() -> Self {
        let stack = Stack::of_this_run();
        let jwks = JwksServer::start(&Pool::ours().jwks()).await;
        let store = FakeAws::in_front_of(&stack.endpoint).await;
        let cognito = FakeAws::agreeable().await;
        let more = [
            ("REVOCATION_TABLE", stack.table.as_str()),
            ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &cognito.url()),
            ("REFRESH_TOKEN_TTL_SECONDS", "28800"),
        ];
        let logout = Binary::start("logout", &environment(&jwks.uri(), &store.url(), &more)).await;
        // The authorizer reads the table directly: the faults are for logout.
        let direct = environment(&jwks.uri(), &stack.endpoint, &more);
        let authorizer = Binary::start("authorizer", &direct).await;
        Self {
            store,
            cognito,
            logout,
            authorizer,
            _jwks: jwks,
        }
    }

    async fn post(&self, token: &str, body: Value) -> (u64, Value) {
        let mut event = proxy_event(Some(token));
        event["body"] = body;
        self.send(&event).await
    }

    async fn send(&self, event: &Value) -> (u64, Value) {
        let answer = self.logout.invoke(event).await.answer();
        let body = answer["body"].as_str().unwrap();
        assert_eq!(answer["headers"]["cache-control"], "no-store");
        (
            answer["statusCode"].as_u64().unwrap(),
            serde_json::from_str(body).unwrap(),
        )
    }

    async fn passes(&self, token: &str) -> bool {
        let event = request_event(&format!("Bearer {token}"));
        match auth_tests::verdict(&self.authorizer.invoke(&event).await) {
            Verdict::Allow => true,
            Verdict::Unauthorized => false,
            other => panic!("{other:?}"),
        }
    }

    /// The operations that were asked of Cognito since the last call.
    fn cognito_calls(&self) -> Vec<String> {
        let calls = self
            .cognito
            .requests()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        self.cognito.forget_requests();
        calls
    }

    fn writes(&self) -> usize {
        let requests = self.store.requests();
        requests
            .iter()
            .filter(|(name, _)| name == "UpdateItem")
            .count()
    }
}

fn proxy_event(token: Option<&str>) -> Value {
    let headers = match token {
        Some(token) => json!({"Authorization": format!("Bearer {token}")}),
        None => json!({}),
    };
    json!({
        "resource": "/auth/logout", "path": "/auth/logout", "httpMethod": "POST",
        "headers": headers, "multiValueHeaders": null, "queryStringParameters": null,
        "requestContext": {"stage": "prod", "httpMethod": "POST"},
        "body": null, "isBase64Encoded": false,
    })
}

/// A token of a user that no other test knows.
fn somebody() -> TokenBuilder<'static> {
    Pool::ours()
        .access_token()
        .claim("sub", unique("user"))
        .claim("origin_jti", unique("session"))
        .claim("jti", unique("token"))
}

fn unique(kind: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::SeqCst);
    format!("{kind}-{}-{number}", std::process::id())
}

fn session(text: &str) -> Value {
    json!(json!({"scope": text}).to_string())
}

#[tokio::test]
async fn a_session_ends_at_once_and_the_others_go_on() {
    let edge = Edge::start().await;
    let phone = somebody();
    let laptop = phone
        .clone()
        .claim("origin_jti", unique("session"))
        .claim("jti", "laptop")
        .build();
    let refreshed = phone
        .clone()
        .claim("jti", "refreshed")
        .claim("iat", now())
        .build();
    let stranger = somebody().build();
    let phone = phone.build();
    assert!(edge.passes(&phone).await && edge.passes(&laptop).await);
    edge.store.forget_requests();

    let (status, body) = edge.post(&phone, json!(null)).await;
    assert_eq!((status, &body["ended"]), (200, &json!("session")), "L1");
    assert!(!edge.passes(&phone).await, "L1");
    assert!(
        !edge.passes(&refreshed).await,
        "L17: a refresh that lands after"
    );
    assert!(edge.passes(&laptop).await, "R2");
    assert!(edge.passes(&stranger).await, "R2");
    assert_eq!(edge.cognito_calls(), Vec::<String>::new());
    assert_eq!(edge.writes(), 1);

    let (status, _) = edge.post(&phone, json!(null)).await;
    assert_eq!(status, 200, "L2");
    let (status, _) = edge.post(&refreshed, session("session")).await;
    assert_eq!(status, 200, "L2");
}

#[tokio::test]
async fn the_refresh_token_ends_at_cognito() {
    let edge = Edge::start().await;
    let token = somebody().build();
    let body = json!(r#"{"refresh_token":"opaque"}"#);
    let (status, answer) = edge.post(&token, body.clone()).await;
    assert_eq!((status, &answer["cognito"]), (200, &json!("ended")), "L1");
    let (operation, request) = edge.cognito.requests().remove(0);
    assert_eq!(operation, "RevokeToken");
    assert_eq!(
        request,
        json!({"Token": "opaque", "ClientId": Pool::ours().client_id})
    );

    let error =
        |code: &str| Fault::Answer(400, json!({"__type": code, "message": "x"}).to_string());
    for (case, fault, cognito) in [
        ("L11", error("NotAuthorizedException"), "ended"),
        ("L11", error("UserNotFoundException"), "ended"),
        ("L12", error("UnsupportedOperationException"), "unsupported"),
        ("L10", error("TooManyRequestsException"), "failed"),
        ("L10", Fault::Answer(500, "{}".to_owned()), "failed"),
        ("L10", Fault::Cut, "failed"),
    ] {
        let token = somebody().build();
        edge.cognito.set_fault(fault.clone());
        let (status, answer) = edge.post(&token, body.clone()).await;
        assert_eq!(
            (status, &answer["cognito"]),
            (200, &json!(cognito)),
            "{case} {fault:?}"
        );
        assert!(
            !edge.passes(&token).await,
            "{case}: our side is closed all the same"
        );
    }
    assert!(!edge.logout.output().contains("opaque"));
}

#[tokio::test]
async fn all_sessions_end_with_a_living_token_only() {
    let edge = Edge::start().await;
    let phone = somebody();
    let laptop = phone
        .clone()
        .claim("origin_jti", unique("session"))
        .claim("jti", "l")
        .build();
    let expired = phone
        .clone()
        .claim("exp", now() - 10)
        .claim("origin_jti", unique("s"))
        .build();
    let ended = phone
        .clone()
        .claim("origin_jti", unique("session"))
        .claim("jti", "e")
        .build();
    let later = || {
        let new = phone
            .clone()
            .claim("origin_jti", unique("session"))
            .claim("jti", unique("t"));
        new.claim("auth_time", now()).claim("iat", now()).build()
    };
    let living = phone.build();

    assert_eq!(edge.post(&ended, json!(null)).await.0, 200);
    edge.store.forget_requests();
    assert_eq!(
        edge.post(&ended, session("all")).await.0,
        401,
        "an ended token"
    );
    assert_eq!(
        edge.post(&expired, session("all")).await.0,
        401,
        "an expired token"
    );
    assert_eq!(edge.writes(), 0);
    assert!(edge.passes(&laptop).await, "neither may end the others");
    assert_eq!(edge.cognito_calls(), Vec::<String>::new());

    let (status, answer) = edge.post(&living, session("all")).await;
    assert_eq!((status, &answer["ended"]), (200, &json!("all")), "L7");
    assert_eq!(edge.cognito_calls(), ["AdminUserGlobalSignOut"], "L7");
    assert!(
        !edge.passes(&living).await && !edge.passes(&laptop).await,
        "L7"
    );
    let rewritten = edge.writes();
    for token in [&living, &expired, &ended] {
        assert_eq!(
            edge.post(token, session("all")).await.0,
            200,
            "covered by the cutoff"
        );
    }
    assert_eq!(edge.writes(), rewritten, "nothing more to write");
    assert_eq!(edge.cognito_calls(), Vec::<String>::new());

    let cutoff = now();
    while now() <= cutoff {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(edge.passes(&later()).await, "R22: a new sign-in");
}

#[tokio::test]
async fn expired_tokens_end_their_session_while_it_could_be_refreshed() {
    let edge = Edge::start().await;
    let session_of = |token: &TokenBuilder<'_>| token.clone().claim("jti", unique("t")).build();
    let old = somebody()
        .claim("auth_time", now() - 7_200)
        .claim("iat", now() - 7_200);
    let fresh = session_of(&old.clone().claim("iat", now()));
    let expired = old.clone().claim("exp", now() - 3_600).build();
    assert!(edge.passes(&fresh).await);
    assert_eq!(edge.post(&expired, json!(null)).await.0, 200, "L3");
    assert!(!edge.passes(&fresh).await, "L3: it was the session's own");

    let long_ago = now() - 28_800 - 60;
    let ancient = somebody()
        .claim("auth_time", long_ago - 60)
        .claim("iat", long_ago - 60);
    let ancient = ancient.claim("exp", long_ago).build();
    edge.store.forget_requests();
    assert_eq!(
        edge.post(&ancient, json!(null)).await.0,
        401,
        "L3: no refresh token is that old"
    );
    assert_eq!(edge.writes(), 0);
}

#[tokio::test]
async fn id_tokens_end_the_session_too() {
    let edge = Edge::start().await;
    let access = somebody();
    let id = Pool::ours()
        .id_token()
        .claim("sub", access.get("sub").clone())
        .claim("origin_jti", access.get("origin_jti").clone());
    assert_eq!(edge.post(&id.build(), json!(null)).await.0, 200, "L5");
    assert!(!edge.passes(&access.build()).await, "L5");
}

#[tokio::test]
async fn who_may_not_log_out() {
    let edge = Edge::start().await;
    let good = somebody();
    let foreign = Pool::foreign();
    let refused = [
        good.clone().signed_by(&foreign.access_key).build(),
        foreign.access_token().build(),
        good.clone().claim("client_id", "unlisted").build(),
        good.clone().header("alg", "none").build(),
        good.clone().claim("iat", now() + 600).build(),
        "a.b.c".to_owned(),
    ];
    edge.store.forget_requests();
    for token in refused {
        assert_eq!(
            edge.post(&token, json!(null)).await.0,
            401,
            "L4 {token:.300}"
        );
        assert_eq!(
            edge.post(&token, session("all")).await.0,
            401,
            "L4 {token:.300}"
        );
    }
    assert_eq!(edge.send(&proxy_event(None)).await.0, 401, "L6");
    assert_eq!(
        edge.post(&Pool::ours().machine_token().build(), json!(null))
            .await
            .0,
        403,
        "L16"
    );
    assert_eq!(edge.writes(), 0, "L4: nothing written");
    assert_eq!(edge.cognito_calls(), Vec::<String>::new());
    assert!(edge.passes(&good.build()).await, "L4");
}

#[tokio::test]
async fn requests_that_are_not_ours() {
    let edge = Edge::start().await;
    let token = somebody().build();
    edge.store.forget_requests();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post", ""] {
        let mut event = proxy_event(Some(&token));
        event["httpMethod"] = json!(method);
        assert_eq!(edge.send(&event).await.0, 405, "L15 {method}");
    }
    for body in [
        "x",
        "[]",
        "null",
        "7",
        r#""all""#,
        r#"["all"]"#,
        "{} {}",
        r#"{"scope":"all""#,
        r#"{"scope":"everything"}"#,
        r#"{"scope":true}"#,
        r#"{"scope":null}"#,
        r#"{"all":"true"}"#,
        r#"{"scope":"session","scope":"all"}"#,
        r#"{"scope":"all","extra":1}"#,
        r#"{"refresh_token":7}"#,
        "\u{feff}{}",
    ] {
        let (status, _) = edge.post(&token, json!(body)).await;
        assert_eq!(status, 400, "L22 {body}");
    }
    for body in [json!(7), json!({"scope": "all"}), json!(["x"])] {
        assert_eq!(edge.post(&token, body.clone()).await.0, 400, "{body}");
    }
    let huge = json!(format!(r#"{{"refresh_token":"{}"}}"#, "x".repeat(20_000)));
    assert_eq!(edge.post(&token, huge).await.0, 413);
    let mut event = proxy_event(Some(&token));
    event["isBase64Encoded"] = json!(true);
    event["body"] = json!("%%%");
    assert_eq!(edge.send(&event).await.0, 400);
    for event in [json!(null), json!([]), json!("x"), json!({})] {
        assert_eq!(edge.send(&event).await.0, 405, "{event}");
    }
    assert_eq!(edge.writes(), 0);
    assert!(edge.passes(&token).await);

    event["body"] = json!("e30=");
    assert_eq!(edge.send(&event).await.0, 200, "base64 of {{}}");
    let mut http = json!({
        "version": "2.0", "headers": {"authorization": format!("Bearer {token}")},
        "requestContext": {"http": {"method": "POST", "path": "/auth/logout"}},
    });
    assert_eq!(edge.send(&http).await.0, 200, "an HTTP API's event");
    http["requestContext"]["http"]["method"] = json!("GET");
    assert_eq!(edge.send(&http).await.0, 405);
}

#[tokio::test]
async fn a_store_that_fails_is_503_and_nothing_claimed() {
    let edge = Edge::start().await;
    let refresh = || json!(r#"{"refresh_token":"opaque"}"#);
    for fault in [Fault::Answer(500, "{}".to_owned()), Fault::Cut, Fault::Hang] {
        let token = somebody().build();
        edge.store.set_fault_for("UpdateItem", fault.clone());
        assert_eq!(edge.post(&token, refresh()).await.0, 503, "L9 {fault:?}");
        assert_eq!(
            edge.cognito_calls(),
            ["RevokeToken"],
            "L9: Cognito is told all the same"
        );
        assert_eq!(
            edge.post(&token, session("all")).await.0,
            503,
            "L9 {fault:?}"
        );
        assert_eq!(edge.cognito_calls(), ["AdminUserGlobalSignOut"], "L9");
        assert!(edge.passes(&token).await, "nothing was promised");

        edge.store.set_fault(fault.clone());
        assert_eq!(edge.post(&token, session("all")).await.0, 503, "{fault:?}");
        assert_eq!(
            edge.cognito_calls(),
            Vec::<String>::new(),
            "it could be an old, ended token"
        );

        edge.store.set_fault(Fault::None);
        assert_eq!(edge.post(&token, refresh()).await.0, 200, "L9: the retry");
        assert!(!edge.passes(&token).await, "L9");
        edge.cognito.forget_requests();
    }

    // The write arrives, its answer is lost, the client comes again (L13).
    let token = somebody().build();
    edge.store
        .set_fault_after(Fault::Answer(500, "{}".to_owned()));
    assert_eq!(edge.post(&token, json!(null)).await.0, 503);
    assert!(!edge.passes(&token).await, "L13: more than promised");
    edge.store.set_fault(Fault::None);
    assert_eq!(edge.post(&token, json!(null)).await.0, 200, "L13");
}

#[tokio::test]
async fn many_at_once() {
    let edge = Edge::start().await;
    let user = somebody();
    let tokens: Vec<String> = (0..8)
        .map(|_| {
            user.clone()
                .claim("origin_jti", unique("s"))
                .claim("jti", unique("t"))
                .build()
        })
        .collect();
    let other = Edge::start().await;
    let ((one, _), (two, _)) = tokio::join!(
        edge.post(&tokens[0], session("all")),
        other.post(&tokens[1], session("all")),
    );
    assert_eq!((one, two), (200, 200), "R17");
    for token in &tokens {
        assert!(
            !edge.passes(token).await && !other.passes(token).await,
            "R17"
        );
    }
}

#[tokio::test]
async fn after_the_200_another_process_refuses() {
    let edge = Edge::start().await;
    for round in 0..1_000 {
        let token = somebody().build();
        let scope = if round % 100 == 99 { "all" } else { "session" };
        assert!(edge.passes(&token).await);
        assert_eq!(edge.post(&token, session(scope)).await.0, 200);
        assert!(!edge.passes(&token).await, "R16 round {round}, {scope}");
    }
}
