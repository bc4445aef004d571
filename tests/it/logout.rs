//! logout's real binary in front of the emulated table and a fake Cognito with injected faults.
//! The authorizer's decisions show what logout wrote.

use std::time::Duration;

use auth_tests::{Stack, Verdict, environment, request_event};
use serde_json::{Value, json};
use testkit::jwks_server::JwksServer;
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Binary, FakeAws, Pool, TokenBuilder};

use crate::world::{World, refreshed, signed_in_again, text_of, unique, user_token};

/// logout and an authorizer over one table.
pub(crate) struct LogoutFixture {
    pub(crate) store: FakeAws,
    pub(crate) cognito: FakeAws,
    pub(crate) logout: Binary,
    pub(crate) authorizer: Binary,
    pub(crate) _jwks: JwksServer,
}

impl LogoutFixture {
    pub(crate) async fn start() -> Self {
        let stack = Stack::of_this_run();
        let jwks = JwksServer::start(&Pool::ours().jwks()).await;
        let store = FakeAws::in_front_of(&stack.tables).await;
        let cognito = FakeAws::agreeable().await;
        let more = [
            ("REVOCATION_TABLE", stack.table.as_str()),
            ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &cognito.url()),
            ("REFRESH_TOKEN_TTL_SECONDS", "28800"),
        ];
        let logout = Binary::start("logout", &environment(&jwks.uri(), &store.url(), &more)).await;
        // The authorizer reads the table directly, so that faults affect only logout.
        let direct = environment(&jwks.uri(), &stack.tables, &more);
        let authorizer = Binary::start("authorizer", &direct).await;
        Self {
            store,
            cognito,
            logout,
            authorizer,
            _jwks: jwks,
        }
    }

    pub(crate) async fn post(&self, token: &str, body: Value) -> (u64, Value) {
        let mut event = proxy_event(Some(token));
        event["body"] = body;
        self.send(&event).await
    }

    pub(crate) async fn send(&self, event: &Value) -> (u64, Value) {
        let answer = self.logout.invoke(event).await.answer();
        let body = answer["body"].as_str().unwrap();
        assert_eq!(answer["headers"]["cache-control"], "no-store");
        (
            answer["statusCode"].as_u64().unwrap(),
            serde_json::from_str(body).unwrap(),
        )
    }

    pub(crate) async fn passes(&self, token: &str) -> bool {
        let event = request_event(&format!("Bearer {token}"));
        match auth_tests::verdict(&self.authorizer.invoke(&event).await) {
            Verdict::Allow => true,
            Verdict::Unauthorized => false,
            other => panic!("{other:?}"),
        }
    }

    /// The operations called at Cognito since the last call of this function.
    pub(crate) fn cognito_calls(&self) -> Vec<String> {
        let calls = self.cognito.operations();
        self.cognito.forget_requests();
        calls
    }

    pub(crate) fn writes(&self) -> usize {
        let requests = self.store.requests();
        requests
            .iter()
            .filter(|(name, _)| name == "UpdateItem")
            .count()
    }
}

pub(crate) fn proxy_event(token: Option<&str>) -> Value {
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

pub(crate) fn session(text: &str) -> Value {
    json!(json!({"scope": text}).to_string())
}

#[tokio::test]
async fn logout_revokes_only_its_own_session() {
    let fixture = LogoutFixture::start().await;
    let phone = user_token();
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
    let stranger = user_token().build();
    let phone = phone.build();
    assert!(fixture.passes(&phone).await && fixture.passes(&laptop).await);
    fixture.store.forget_requests();

    let (status, body) = fixture.post(&phone, json!(null)).await;
    assert_eq!((status, &body["ended"]), (200, &json!("session")));
    assert!(!fixture.passes(&phone).await);
    assert!(
        !fixture.passes(&refreshed).await,
        "a refresh that completes after the logout"
    );
    assert!(fixture.passes(&laptop).await);
    assert!(fixture.passes(&stranger).await);
    assert_eq!(fixture.cognito_calls(), Vec::<String>::new());
    assert_eq!(fixture.writes(), 1);

    let (status, _) = fixture.post(&phone, json!(null)).await;
    assert_eq!(status, 200);
    let (status, _) = fixture.post(&refreshed, session("session")).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_logout_of_a_known_caller_is_an_act() {
    let fixture = LogoutFixture::start().await;
    let user = user_token();
    let token = user.build();
    assert_eq!(fixture.post("no-token", json!(null)).await.0, 401);
    assert_eq!(fixture.post(&token, json!("no JSON")).await.0, 400);
    for scope in ["others", "session"] {
        assert_eq!(fixture.post(&token, session(scope)).await.0, 200);
    }
    fixture.store.set_fault(Fault::Cut);
    assert_eq!(fixture.post(&token, session("session")).await.0, 503);
    let output = fixture.logout.output();
    let acts: Vec<_> = output
        .lines()
        .filter_map(|line| runtime::Act::of_line(line, 0))
        .collect();
    let said: Vec<_> = acts
        .iter()
        .map(|act| (&*act.source, &*act.kind, &*act.outcome))
        .collect();
    assert_eq!(
        said,
        [
            ("logout", "log_out_others", "done"),
            ("logout", "log_out", "done"),
            ("logout", "log_out", "revocations_unavailable"),
        ]
    );
    let hash = auth::subject_hash(Pool::ours().id, user.get("sub").as_str().unwrap());
    assert!(
        acts.iter()
            .all(|act| (&act.actor, &act.target) == (&hash, &hash))
    );
}

#[tokio::test]
async fn revoking_all_sessions_requires_a_valid_token() {
    let fixture = LogoutFixture::start().await;
    let phone = user_token();
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

    assert_eq!(fixture.post(&ended, json!(null)).await.0, 200);
    fixture.store.forget_requests();
    assert_eq!(
        fixture.post(&ended, session("all")).await.0,
        401,
        "a revoked token"
    );
    assert_eq!(
        fixture.post(&expired, session("all")).await.0,
        401,
        "an expired token"
    );
    assert_eq!(fixture.writes(), 0);
    assert!(
        fixture.passes(&laptop).await,
        "neither may revoke other sessions"
    );
    assert_eq!(fixture.cognito_calls(), Vec::<String>::new());

    let (status, answer) = fixture.post(&living, session("all")).await;
    assert_eq!((status, &answer["ended"]), (200, &json!("all")));
    assert_eq!(fixture.cognito_calls(), ["AdminUserGlobalSignOut"]);
    assert!(!fixture.passes(&living).await && !fixture.passes(&laptop).await);
    let rewritten = fixture.writes();
    for token in [&living, &expired, &ended] {
        let (status, answer) = fixture.post(token, session("all")).await;
        assert_eq!(status, 200, "the sessions are revoked already");
        assert_eq!(
            answer["ended"], "already",
            "the response claims nothing further"
        );
    }
    assert_eq!(fixture.writes(), rewritten, "no further write");
    assert_eq!(fixture.cognito_calls(), Vec::<String>::new());

    let began = now();
    while now() <= began {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(fixture.passes(&later()).await, "a new sign-in");
}

#[tokio::test]
async fn expired_tokens_may_revoke_their_session_while_it_is_refreshable() {
    let fixture = LogoutFixture::start().await;
    let session_of = |token: &TokenBuilder<'_>| token.clone().claim("jti", unique("t")).build();
    let old = user_token()
        .claim("auth_time", now() - 7_200)
        .claim("iat", now() - 7_200);
    let fresh = session_of(&old.clone().claim("iat", now()));
    let expired = old.clone().claim("exp", now() - 3_600).build();
    assert!(fixture.passes(&fresh).await);
    assert_eq!(fixture.post(&expired, json!(null)).await.0, 200);
    assert!(
        !fixture.passes(&fresh).await,
        "the token belongs to the session"
    );

    let long_ago = now() - 28_800 - 60;
    let ancient = user_token()
        .claim("auth_time", long_ago - 60)
        .claim("iat", long_ago - 60);
    let ancient = ancient.claim("exp", long_ago).build();
    fixture.store.forget_requests();
    assert_eq!(
        fixture.post(&ancient, json!(null)).await.0,
        401,
        "older than any refresh token"
    );
    assert_eq!(fixture.writes(), 0);
}

#[tokio::test]
async fn id_tokens_may_revoke_their_session() {
    let fixture = LogoutFixture::start().await;
    let access = user_token();
    let id = Pool::ours()
        .id_token()
        .claim("sub", access.get("sub").clone())
        .claim("origin_jti", access.get("origin_jti").clone());
    assert_eq!(fixture.post(&id.build(), json!(null)).await.0, 200);
    assert!(!fixture.passes(&access.build()).await);
}

#[tokio::test]
async fn rejects_invalid_tokens() {
    let fixture = LogoutFixture::start().await;
    let good = user_token();
    let foreign = Pool::foreign();
    let refused = [
        good.clone().signed_by(&foreign.access_key).build(),
        foreign.access_token().build(),
        good.clone().claim("client_id", "unlisted").build(),
        good.clone().header("alg", "none").build(),
        good.clone().claim("iat", now() + 600).build(),
        "a.b.c".to_owned(),
    ];
    fixture.store.forget_requests();
    for token in refused {
        assert_eq!(
            fixture.post(&token, json!(null)).await.0,
            401,
            "{token:.300}"
        );
        assert_eq!(
            fixture.post(&token, session("all")).await.0,
            401,
            "{token:.300}"
        );
    }
    assert_eq!(fixture.send(&proxy_event(None)).await.0, 401);
    assert_eq!(
        fixture
            .post(&Pool::ours().machine_token().build(), json!(null))
            .await
            .0,
        403
    );
    assert_eq!(fixture.writes(), 0, "nothing written");
    assert_eq!(fixture.cognito_calls(), Vec::<String>::new());
    assert!(fixture.passes(&good.build()).await);
}

#[tokio::test]
async fn rejects_malformed_requests() {
    let fixture = LogoutFixture::start().await;
    let token = user_token().build();
    fixture.store.forget_requests();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post", ""] {
        let mut event = proxy_event(Some(&token));
        event["httpMethod"] = json!(method);
        assert_eq!(fixture.send(&event).await.0, 405, "{method}");
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
        let (status, _) = fixture.post(&token, json!(body)).await;
        assert_eq!(status, 400, "{body}");
    }
    for body in [json!(7), json!({"scope": "all"}), json!(["x"])] {
        assert_eq!(fixture.post(&token, body.clone()).await.0, 400, "{body}");
    }
    let huge = json!(format!(r#"{{"refresh_token":"{}"}}"#, "x".repeat(20_000)));
    assert_eq!(fixture.post(&token, huge).await.0, 413);
    let mut event = proxy_event(Some(&token));
    event["isBase64Encoded"] = json!(true);
    event["body"] = json!("%%%");
    assert_eq!(fixture.send(&event).await.0, 400);
    for event in [json!(null), json!([]), json!("x"), json!({})] {
        assert_eq!(fixture.send(&event).await.0, 405, "{event}");
    }
    assert_eq!(fixture.writes(), 0);
    assert!(fixture.passes(&token).await);

    event["body"] = json!("e30=");
    assert_eq!(fixture.send(&event).await.0, 200, "base64 of {{}}");
    let mut http = json!({
        "version": "2.0", "headers": {"authorization": format!("Bearer {token}")},
        "requestContext": {"http": {"method": "POST", "path": "/auth/logout"}},
    });
    assert_eq!(fixture.send(&http).await.0, 200, "an HTTP API's event");
    http["requestContext"]["http"]["method"] = json!("GET");
    assert_eq!(fixture.send(&http).await.0, 405);
}

#[tokio::test]
async fn store_failures_are_503() {
    let fixture = LogoutFixture::start().await;
    let refresh = || json!(r#"{"refresh_token":"opaque"}"#);
    for fault in [Fault::Answer(500, "{}".to_owned()), Fault::Cut, Fault::Hang] {
        let token = user_token().build();
        fixture.store.set_fault_for("UpdateItem", fault.clone());
        assert_eq!(fixture.post(&token, refresh()).await.0, 503, "{fault:?}");
        assert_eq!(
            fixture.cognito_calls(),
            ["RevokeToken"],
            "Cognito is called nevertheless"
        );
        assert_eq!(
            fixture.post(&token, session("all")).await.0,
            503,
            "{fault:?}"
        );
        assert_eq!(fixture.cognito_calls(), ["AdminUserGlobalSignOut"]);
        assert!(
            fixture.passes(&token).await,
            "no revocation was acknowledged"
        );

        fixture.store.set_fault(fault.clone());
        assert_eq!(
            fixture.post(&token, session("all")).await.0,
            503,
            "{fault:?}"
        );
        assert_eq!(
            fixture.cognito_calls(),
            Vec::<String>::new(),
            "the token could be revoked already"
        );

        fixture.store.set_fault(Fault::None);
        assert_eq!(fixture.post(&token, refresh()).await.0, 200, "the retry");
        assert!(!fixture.passes(&token).await);
        fixture.cognito.forget_requests();
    }

    // The write succeeds, its response is lost, and the client retries.
    let token = user_token().build();
    fixture
        .store
        .set_fault_after(Fault::Answer(500, "{}".to_owned()));
    assert_eq!(fixture.post(&token, json!(null)).await.0, 503);
    assert!(
        !fixture.passes(&token).await,
        "the revocation was written although the response was 503"
    );
    fixture.store.set_fault(Fault::None);
    assert_eq!(fixture.post(&token, json!(null)).await.0, 200);
}

#[tokio::test]
async fn concurrent_logouts_succeed() {
    let fixture = LogoutFixture::start().await;
    let user = user_token();
    let tokens: Vec<String> = (0..8)
        .map(|_| {
            user.clone()
                .claim("origin_jti", unique("s"))
                .claim("jti", unique("t"))
                .build()
        })
        .collect();
    let other = LogoutFixture::start().await;
    let ((one, _), (two, _)) = tokio::join!(
        fixture.post(&tokens[0], session("all")),
        other.post(&tokens[1], session("all")),
    );
    assert_eq!((one, two), (200, 200));
    for token in &tokens {
        assert!(!fixture.passes(token).await && !other.passes(token).await);
    }
}

#[tokio::test]
async fn a_200_is_enforced_by_every_process() {
    let fixture = LogoutFixture::start().await;
    for round in 0..1_000 {
        let token = user_token().build();
        let scope = if round % 100 == 99 { "all" } else { "session" };
        assert!(fixture.passes(&token).await);
        assert_eq!(fixture.post(&token, session(scope)).await.0, 200);
        assert!(!fixture.passes(&token).await, "round {round}, {scope}");
    }
}

#[tokio::test]
async fn others_revokes_all_sessions_but_the_callers() {
    let world = World::start().await;
    let logout = world.function("logout", &[]).await;
    let post = async |token: &TokenBuilder<'_>, scope: &str| {
        let mut event = proxy_event(Some(&token.build()));
        event["body"] = session(scope);
        let answer = logout.invoke(&event).await.answer();
        answer["statusCode"].as_u64().unwrap()
    };
    let phone = user_token();
    let other_session = || phone.clone().claim("origin_jti", unique("session"));
    let (laptop, tablet) = (other_session(), other_session());
    assert_eq!(post(&phone, "others").await, 200);
    assert!(
        world.passes(&phone).await,
        "the caller's session stays valid"
    );
    assert!(!world.passes(&laptop).await && !world.passes(&tablet).await);
    assert_eq!(post(&phone, "others").await, 200, "again");
    assert_eq!(
        post(&laptop, "others").await,
        401,
        "a revoked session revokes nothing"
    );
    assert_eq!(
        post(&laptop, "all").await,
        401,
        "a revoked session revokes nothing"
    );
    let later = signed_in_again(&phone);
    assert!(world.passes(&later).await, "the next sign-in is accepted");
    assert_eq!(post(&later, "others").await, 200);
    assert!(
        !world.passes(&phone).await && world.passes(&later).await,
        "the exempt session changes"
    );
    assert_eq!(post(&later, "all").await, 200);
    assert!(
        !world.passes(&later).await,
        "scope all includes every session"
    );
    assert_eq!(post(&later, "others").await, 401);
    assert!(
        !world.passes(&later).await,
        "an exemption does not restore a session"
    );
    assert!(
        world
            .cognito
            .requests()
            .iter()
            .all(|(name, _)| name == "AdminUserGlobalSignOut")
    );
    let machine = Pool::ours().machine_token();
    assert_eq!(post(&machine, "others").await, 403);
}

/// If the writer's clock is slow, tokens that the issuer signed in the gap are also revoked.
#[tokio::test]
async fn clock_skew_is_tolerated() {
    let world = World::start().await;
    let logout = world
        .function("logout", &[("CLOCK_LEEWAY_SECONDS", "3")])
        .await;
    for ahead in 0..=3 {
        let phone = user_token();
        let token = phone.clone().claim("origin_jti", unique("session"));
        // The authorizer itself has no leeway: it accepts the token once its own clock has reached `iat`.
        let gap = token
            .claim("auth_time", now() + ahead)
            .claim("iat", now() + ahead);
        let mut event = proxy_event(Some(&phone.build()));
        event["body"] = session("all");
        let ended = gap.get("auth_time").as_u64().unwrap();
        assert_eq!(logout.invoke(&event).await.answer()["statusCode"], 200);
        while now() < ended {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(!world.passes(&gap).await, "{ahead}");
    }
}

#[tokio::test]
async fn cookies_require_an_allowed_origin_and_redirects_are_fixed() {
    let world = World::start().await;
    let more = [
        ("TOKEN_COOKIE", "__Host-access_token"),
        ("REFRESH_COOKIE", "__Host-refresh_token"),
        ("ALLOWED_ORIGINS", "https://app.example.com"),
        ("HOSTED_UI_URL", "https://auth.example.com/"),
        ("LOGOUT_REDIRECT_URI", "https://app.example.com/bye?a=1&b=2"),
    ];
    let logout = world.function("logout", &more).await;
    let send = async |headers: Value| {
        let mut event = proxy_event(None);
        event["headers"] = headers;
        logout.invoke(&event).await.answer()
    };
    let origin = "https://app.example.com";
    let token = user_token();
    let cookie = format!(
        "__Host-access_token={}; __Host-refresh_token=opaque",
        token.build()
    );
    for (headers, status, case) in [
        (
            json!({"Cookie": cookie, "Origin": "https://evil.example"}),
            403,
            "foreign origin",
        ),
        (
            json!({"Cookie": cookie, "Origin": "null"}),
            403,
            "null origin",
        ),
        (
            json!({"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}),
            403,
            "cross-site",
        ),
        (
            json!({"Authorization": format!("Bearer {}", token.build()), "Origin": "https://evil.example"}),
            403,
            "header with a foreign origin",
        ),
        (
            json!({"Cookie": cookie, "Authorization": format!("Bearer {}", token.build()), "Origin": origin}),
            401,
            "two tokens",
        ),
        (
            json!({"Cookie": format!("{cookie}; {cookie}"), "Origin": origin}),
            401,
            "repeated cookies",
        ),
    ] {
        assert_eq!(
            send(headers.clone()).await["statusCode"],
            status,
            "{case} {headers:.300}"
        );
        assert!(world.passes(&token).await, "{case}");
    }
    assert_eq!(world.cognito.requests().len(), 0);

    let answer = send(json!({"Cookie": cookie, "Origin": origin})).await;
    assert_eq!(answer["statusCode"], 200);
    assert!(!world.passes(&token).await);
    let (operation, request) = world.cognito.requests().remove(0);
    assert_eq!(
        (operation.as_str(), &request["Token"]),
        ("RevokeToken", &json!("opaque"))
    );
    let cleared = answer["multiValueHeaders"]["set-cookie"]
        .as_array()
        .unwrap();
    for (name, line) in ["__Host-access_token", "__Host-refresh_token"]
        .iter()
        .zip(cleared)
    {
        let expected = format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
        assert_eq!(*line, json!(expected));
    }
    let clear = answer["headers"]["clear-site-data"].as_str().unwrap();
    assert!(clear.contains("\"cookies\""));
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        body["logout_url"],
        format!(
            "https://auth.example.com/logout?client_id={}&logout_uri=\
             https%3A%2F%2Fapp%2Eexample%2Ecom%2Fbye%3Fa%3D1%26b%3D2",
            Pool::ours().client_id
        )
    );

    // Without an access token, the tokens that the refresh token yields identify the session.
    let token = user_token();
    let alone = json!({"Cookie": "__Host-refresh_token=opaque", "Origin": origin});
    let send_alone = async || {
        world.cognito.forget_requests();
        let answer = send(alone.clone()).await;
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        let clears = answer["multiValueHeaders"]["set-cookie"].is_array();
        let asked: Vec<String> = world
            .cognito
            .requests()
            .into_iter()
            .map(|it| it.0)
            .collect();
        (answer["statusCode"].as_u64().unwrap(), body, clears, asked)
    };
    let brings = json!({"AuthenticationResult": {
        "AccessToken": refreshed(&token).build(), "ExpiresIn": 1_800, "RefreshToken": "opaque-2",
    }});
    for fault in [
        Fault::Answer(500, "{}".to_owned()),
        Fault::Answer(
            400,
            json!({"__type": "TooManyRequestsException"}).to_string(),
        ),
        Fault::Answer(
            400,
            json!({"__type": "NotAuthorizedException", "message": "Unable to verify secret hash"})
                .to_string(),
        ),
        Fault::Cut,
    ] {
        world.cognito.set_fault(fault.clone());
        let (status, _, clears, _) = send_alone().await;
        assert_eq!(
            (status, clears),
            (503, false),
            "the cookie is kept {fault:?}"
        );
    }
    world.cognito.set_fault(Fault::None);
    assert_eq!(send_alone().await.0, 503, "no response from Cognito");
    world
        .cognito
        .set_answer("GetTokensFromRefreshToken", brings.clone());
    world
        .store
        .set_fault_for("UpdateItem", Fault::Answer(500, "{}".to_owned()));
    let (status, _, clears, _) = send_alone().await;
    assert_eq!(
        (status, clears),
        (503, false),
        "without the revocation the response is no success"
    );
    world.store.set_fault(Fault::None);
    assert!(world.passes(&token).await);
    let (status, body, clears, asked) = send_alone().await;
    assert_eq!((status, clears), (200, true));
    assert_eq!(body["ended"], "session");
    assert_eq!(body["cognito"], "ended");
    assert_eq!(
        asked,
        ["GetTokensFromRefreshToken", "RevokeToken", "RevokeToken"],
        "the old and the rotated refresh token"
    );
    assert!(!world.passes(&token).await, "revoked");
    assert!(!world.passes(&refreshed(&token)).await, "revoked");
    // An expired or malformed refresh token: nothing is queued.
    let over =
        json!({"__type": "NotAuthorizedException", "message": "Refresh Token has been revoked"});
    world
        .cognito
        .set_fault(Fault::Answer(400, over.to_string()));
    let (status, body, clears, _) = send_alone().await;
    assert_eq!((status, clears), (200, true));
    assert_eq!(
        (&body["ended"], &body["cognito"]),
        (&json!("refresh_token"), &json!("refused"))
    );
    world.cognito.set_fault(Fault::None);
    world.cognito.forget_requests();
    let long = format!("__Host-refresh_token={}", "x".repeat(8_193));
    let answer = send(json!({"Cookie": long, "Origin": origin})).await;
    assert_eq!(answer["statusCode"], 200);
    assert_eq!(world.cognito.requests().len(), 0, "no call to Cognito");
    assert_eq!(world.others.requests().len(), 0, "nothing is queued");
    assert!(
        !logout.output().contains("opaque") && !logout.output().contains(&text_of(&token, "sub"))
    );
}
