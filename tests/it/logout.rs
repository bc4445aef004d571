//! logout's real binary in front of the emulated table and a fake Cognito: what each scope revokes, and for which
//! tokens. The authorizer's decisions show what logout wrote.

use std::time::Duration;

use auth_tests::{Stack, Verdict, environment, request_event};
use serde_json::{Value, json};
use testkit::jwks_server::JwksServer;
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Binary, FakeAws, Pool, TokenBuilder};

use crate::world::{World, signed_in_again, unique, user_token};

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
