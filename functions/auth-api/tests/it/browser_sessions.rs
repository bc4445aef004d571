//! `COOKIE_MODE=session`: the browser's cookie, the tokens behind it, and their refresh, with sessions in memory.

use auth::{AuthError, DenyReason, Secret, UnixSeconds};
use auth_api::{AuthApi, Config};
use auth_sessions::{MemoryBrowserSessions, SealedSessions, SealingKeys, SessionId};
use runtime::Handler;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, Pool, TokenBuilder, events, now};

const PASSWORD: &str = "Tr0ub4dor-and-3-secret";
const COOKIE: &str = "__Host-session";
const ORIGIN: &str = "https://app.example.com";
const TTL: u64 = 28_800;

struct World {
    api: AuthApi<MemoryBrowserSessions>,
    aws: FakeAws,
    sessions: SealedSessions<MemoryBrowserSessions>,
}

struct Answer {
    status: u64,
    body: Value,
    cookies: Vec<String>,
}

fn variables(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut all = more.to_vec();
    all.extend([
        ("COOKIE_MODE", "session"),
        ("BROWSER_SESSION_TABLE", "browser-sessions"),
        ("BROWSER_SESSION_KEYS_ARN", "arn:keys"),
        ("ALLOWED_ORIGINS", ORIGIN),
        ("APP_NAME", "Example"),
        ("REFRESH_TOKEN_TTL_SECONDS", "28800"),
        ("REFUSAL_GRID_MILLISECONDS", "0"),
    ]);
    all
}

fn keys() -> SealingKeys {
    let text = format!(r#"{{"keys":[],"generated":"{}"}}"#, "a1B2".repeat(16));
    SealingKeys::from_json(&text).unwrap()
}

impl World {
    async fn start() -> Self {
        let aws = FakeAws::with_tables().await;
        let jwks = Pool::ours().jwks().to_string();
        let mut variables = variables(&[]);
        variables.push(("JWKS", &jwks));
        let config = Config::from_lookup(&events::variables(&variables)).unwrap();
        let rows = MemoryBrowserSessions::default();
        let sessions = || SealedSessions::new(rows.clone(), keys());
        Self {
            api: AuthApi::new(&aws.sdk(), config, None, Some(sessions())).unwrap(),
            aws,
            sessions: sessions(),
        }
    }

    async fn ask(&self, event: &Value) -> Answer {
        let response = self.api.handle(&events::raw(event), "request-1").await;
        let answer = serde_json::to_value(response.unwrap()).unwrap();
        let cookies = &answer["multiValueHeaders"]["set-cookie"];
        Answer {
            status: answer["statusCode"].as_u64().unwrap(),
            body: serde_json::from_str(answer["body"].as_str().unwrap()).unwrap(),
            cookies: serde_json::from_value(cookies.clone()).unwrap_or_default(),
        }
    }

    /// Signs in, and returns the id in the cookie.
    async fn sign_in(&self, token: &TokenBuilder<'_>) -> SessionId {
        self.aws
            .set_answer("InitiateAuth", tokens(token, Some("r1")));
        let answer = self.ask(&login()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        id_of(&answer)
    }

    /// The tokens in the store.
    async fn stored(&self, id: &SessionId) -> Result<(String, String), DenyReason> {
        match self.sessions.find(id, UnixSeconds(now())).await {
            Ok(found) => {
                let refresh = found.session.refresh_token.as_ref().map(Secret::expose);
                let access = found.session.access_token.expose().to_owned();
                Ok((access, refresh.unwrap_or_default().to_owned()))
            }
            Err(AuthError::Unauthorized(reason)) => Err(reason),
            Err(AuthError::Unavailable(_)) => panic!("memory is always there"),
        }
    }

    /// The tokens that were revoked at Cognito.
    fn revoked(&self) -> Vec<Value> {
        let requests = self.aws.requests().into_iter();
        let revoked = requests.filter(|(operation, _)| operation == "RevokeToken");
        revoked.map(|(_, sent)| sent["Token"].clone()).collect()
    }
}

fn tokens(token: &TokenBuilder<'_>, refresh: Option<&str>) -> Value {
    json!({"AuthenticationResult": {
        "AccessToken": token.build(), "IdToken": Pool::ours().id_token().build(),
        "RefreshToken": refresh, "ExpiresIn": 1800, "TokenType": "Bearer",
    }, "ChallengeParameters": {}})
}

fn post(route: &str, body: &Value) -> Value {
    json!({
        "resource": route, "path": route, "httpMethod": "POST",
        "headers": {"Content-Type": "application/json", "Origin": ORIGIN},
        "multiValueHeaders": null, "queryStringParameters": null, "pathParameters": null,
        "body": if body.is_null() { json!(null) } else { json!(body.to_string()) },
        "isBase64Encoded": false,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "203.0.113.9"}},
    })
}

fn login() -> Value {
    post(
        "/auth/login",
        &json!({"email": "ada@example.com", "password": PASSWORD}),
    )
}

#[tokio::test]
async fn behind_a_load_balancer_cookies_need_multi_value_headers() {
    let world = World::start().await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD}).to_string();
    let tokens = tokens(&Pool::ours().access_token(), Some("r1"));
    world.aws.set_answer("InitiateAuth", tokens);
    let event = |name: &str, headers: Value| {
        let mut event = json!({"requestContext": {"elb": {"targetGroupArn": "arn"}}, "httpMethod": "POST",
            "path": "/auth/login", "body": body, "isBase64Encoded": false});
        event[name] = headers;
        event
    };
    let single = json!({"content-type": "application/json", "origin": ORIGIN,
        "x-forwarded-for": "203.0.113.9"});
    let answer = world.ask(&event("headers", single)).await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (500, &json!("multi_value_headers_needed"))
    );
    assert_eq!(world.aws.requests(), [], "no sign-in without its cookie");
    let several = json!({"content-type": ["application/json"], "origin": [ORIGIN],
        "x-forwarded-for": ["203.0.113.9"]});
    let answer = world.ask(&event("multiValueHeaders", several)).await;
    assert_eq!((answer.status, answer.cookies.len()), (200, 1));
}

fn with_cookie(mut event: Value, cookie: &str) -> Value {
    event["headers"]["Cookie"] = json!(cookie);
    event
}

fn refresh(id: &SessionId) -> Value {
    with_cookie(post("/auth/refresh", &json!(null)), &cookie(id))
}

fn cookie(id: &SessionId) -> String {
    format!("theme=dark; {COOKIE}={}", id.expose())
}

fn id_of(answer: &Answer) -> SessionId {
    let [cookie] = answer.cookies.as_slice() else {
        panic!("{:?}", answer.cookies);
    };
    let value = cookie.strip_prefix(&format!("{COOKIE}=")).unwrap();
    SessionId::parse(value.split(';').next().unwrap()).unwrap()
}

/// A request behind the authorizer, which has read the token from the same cookie.
fn signed_in(mut event: Value, token: &TokenBuilder<'_>, id: &SessionId) -> Value {
    event["requestContext"]["authorizer"] = json!({
        "principalId": token.get("sub"), "sub": token.get("sub"), "issuer": Pool::ours().id,
        "client_id": token.get("client_id"), "session": token.get("origin_jti"),
        "auth_time": token.get("auth_time").to_string(),
    });
    with_cookie(event, &cookie(id))
}

fn is_cleared(answer: &Answer) -> bool {
    answer.cookies
        == [format!(
            "{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
        )]
}

fn exception(name: &str, message: &str) -> Fault {
    Fault::Answer(400, json!({"__type": name, "message": message}).to_string())
}

#[tokio::test]
async fn a_sign_in_returns_an_id_and_no_token() {
    let world = World::start().await;
    // A user of 100 groups, whose token does not fit into a cookie.
    let groups: Vec<String> = (0..100)
        .map(|n| format!("group-{n:03}-{}", "x".repeat(48)))
        .collect();
    let token = Pool::ours().access_token().claim("cognito:groups", groups);
    let text = token.build();
    assert!(text.len() > 8_000, "{}", text.len());
    world
        .aws
        .set_answer("InitiateAuth", tokens(&token, Some("r1")));
    let answer = world.ask(&login()).await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &json!({"expires_in": 1800}))
    );
    let id = id_of(&answer);
    let set = answer.cookies.first().unwrap();
    let expected = format!(
        "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={TTL}",
        id.expose()
    );
    assert_eq!(*set, expected);
    assert!(set.len() < 200, "{}", set.len());
    assert_eq!(world.stored(&id).await, Ok((text, "r1".to_owned())));

    // Each sign-in has a new id, also with another one in the request (session fixation).
    let planted = with_cookie(login(), &cookie(&id));
    let again = id_of(&world.ask(&planted).await);
    assert_ne!(again.expose(), id.expose());
}

#[tokio::test]
async fn the_answer_to_a_challenge_returns_an_id_and_no_token() {
    let world = World::start().await;
    let token = Pool::ours().access_token();
    let operation = "RespondToAuthChallenge";
    world.aws.set_answer(operation, tokens(&token, Some("r1")));
    let challenge = json!({"challenge": "SOFTWARE_TOKEN_MFA", "username": "ada",
        "session": "AYABeExample-session-of-cognito", "code": "123456"});
    let answer = world.ask(&post("/auth/challenge", &challenge)).await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &json!({"expires_in": 1800}))
    );
    let stored = world.stored(&id_of(&answer)).await;
    assert_eq!(stored, Ok((token.build(), "r1".to_owned())));
}

#[tokio::test]
async fn a_session_that_cannot_be_stored_is_revoked() {
    let aws = FakeAws::agreeable().await;
    let variables = variables(&[]);
    let config = Config::from_lookup(&events::variables(&variables)).unwrap();
    let full = SealedSessions::new(MemoryBrowserSessions::new(0), keys());
    let api = AuthApi::new(&aws.sdk(), config, None, Some(full)).unwrap();
    let world = World {
        api,
        aws,
        sessions: SealedSessions::new(MemoryBrowserSessions::default(), keys()),
    };
    let token = Pool::ours().access_token();
    world
        .aws
        .set_answer("InitiateAuth", tokens(&token, Some("r1")));
    let answer = world.ask(&login()).await;
    assert_eq!((answer.status, answer.cookies.len()), (503, 0));
    assert_eq!(answer.body["access_token"], json!(null));
    assert_eq!(world.revoked(), [json!("r1")]);
}

#[tokio::test]
async fn a_token_that_no_function_accepts_is_an_error_and_no_session() {
    let world = World::start().await;
    let groups: Vec<String> = (0..300)
        .map(|n| format!("group-{n:03}-{}", "x".repeat(48)))
        .collect();
    let long = Pool::ours().access_token().claim("cognito:groups", groups);
    world
        .aws
        .set_answer("InitiateAuth", tokens(&long, Some("r1")));
    let answer = world.ask(&login()).await;
    let code = &answer.body["code"];
    assert_eq!((answer.status, code), (500, &json!("token_too_large")));
    assert!(answer.cookies.is_empty());
    assert_eq!(world.revoked(), [json!("r1")]);

    // The user's groups have grown since the sign-in.
    let id = world.sign_in(&Pool::ours().access_token()).await;
    let operation = "GetTokensFromRefreshToken";
    world.aws.set_answer(operation, tokens(&long, Some("r2")));
    let answer = world.ask(&refresh(&id)).await;
    assert_eq!(answer.body["code"], json!("token_too_large"));
    assert!(is_cleared(&answer));
    assert_eq!(
        world.stored(&id).await.err(),
        Some(DenyReason::UnknownSession)
    );
    assert_eq!(world.revoked(), [json!("r1"), json!("r2")]);
}

#[tokio::test]
async fn a_refresh_replaces_the_tokens_behind_the_same_cookie() {
    let world = World::start().await;
    let token = Pool::ours().access_token();
    let id = world.sign_in(&token).await;
    let new = token
        .clone()
        .claim("jti", "another")
        .claim("exp", now() + 900);
    let operation = "GetTokensFromRefreshToken";
    for (rotated, stored) in [(Some("r2"), "r2"), (None, "r2"), (Some("r3"), "r3")] {
        world.aws.set_answer(operation, tokens(&new, rotated));
        let answer = world.ask(&refresh(&id)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        // The browser's cookie stays valid, also if this response is lost.
        assert!(answer.cookies.is_empty());
        let members: Vec<&String> = answer.body.as_object().unwrap().keys().collect();
        assert_eq!(members, ["expires_in"]);
        let left = answer.body["expires_in"].as_u64().unwrap();
        assert!((890..=900).contains(&left), "{left}");
        assert_eq!(
            world.stored(&id).await,
            Ok((new.build(), stored.to_owned()))
        );
    }
}

#[tokio::test]
async fn two_refreshes_at_once_both_succeed() {
    let world = World::start().await;
    let token = Pool::ours().access_token();
    let id = world.sign_in(&token).await;
    let operation = "GetTokensFromRefreshToken";
    world.aws.set_answer(operation, tokens(&token, Some("r2")));
    world.aws.forget_requests();
    let event = refresh(&id);
    let (one, other, third) = tokio::join!(world.ask(&event), world.ask(&event), world.ask(&event));
    assert_eq!((one.status, other.status, third.status), (200, 200, 200));
    let exchanged = world
        .aws
        .operations()
        .into_iter()
        .filter(|found| found == operation);
    assert_eq!(exchanged.count(), 1);
    assert!(world.revoked().is_empty());
}

#[tokio::test]
async fn a_refused_refresh_ends_the_session() {
    let refused = [
        (
            "NotAuthorizedException",
            "Refresh Token has been revoked",
            401,
            true,
        ),
        ("UserNotFoundException", "User does not exist.", 401, true),
        (
            "RefreshTokenReuseException",
            "Refresh token has been reused",
            401,
            true,
        ),
        // Nothing is known about the session.
        ("InternalErrorException", "", 503, false),
        ("TooManyRequestsException", "", 429, false),
        (
            "NotAuthorizedException",
            "Unable to verify secret hash for client x",
            500,
            false,
        ),
    ];
    for (name, message, status, ends) in refused {
        let world = World::start().await;
        let id = world.sign_in(&Pool::ours().access_token()).await;
        let operation = "GetTokensFromRefreshToken";
        world.aws.set_fault_for(operation, exception(name, message));
        let answer = world.ask(&refresh(&id)).await;
        assert_eq!(answer.status, status, "{name} {message}");
        assert_eq!(is_cleared(&answer), ends, "{name} {message}");
        let stored = world.stored(&id).await;
        assert_eq!(stored.err().is_some(), ends, "{name} {message}");
        let is_revoked = world
            .aws
            .operations()
            .iter()
            .any(|found| found == "UpdateItem");
        // One of two holders of a refresh token is a thief.
        assert_eq!(is_revoked, name == "RefreshTokenReuseException", "{name}");
    }
}

#[tokio::test]
async fn a_lost_response_of_cognito_does_not_end_the_session() {
    let world = World::start().await;
    let token = Pool::ours().access_token();
    let id = world.sign_in(&token).await;
    let operation = "GetTokensFromRefreshToken";
    world.aws.set_answer(operation, tokens(&token, Some("r2")));
    world.aws.set_fault_times(Fault::Cut, 1);
    assert_eq!(
        world.ask(&refresh(&id)).await.status,
        200,
        "a second attempt"
    );
    assert_eq!(world.stored(&id).await.unwrap().1, "r2");
    world.aws.set_fault_for(operation, Fault::Cut);
    let answer = world.ask(&refresh(&id)).await;
    assert_eq!((answer.status, answer.cookies.len()), (503, 0));
    assert_eq!(world.stored(&id).await.unwrap().1, "r2");
    world.aws.set_fault(Fault::None);
    assert_eq!(world.ask(&refresh(&id)).await.status, 200);
}

#[tokio::test]
async fn a_revoked_session_is_not_refreshed() {
    let world = World::start().await;
    let token = Pool::ours().access_token();
    let id = world.sign_in(&token).await;
    let operation = "GetTokensFromRefreshToken";
    world.aws.set_answer(operation, tokens(&token, Some("r2")));
    // The table fails: an error, and Cognito's new tokens are kept.
    world
        .aws
        .set_fault_for("BatchGetItem", Fault::Answer(500, String::new()));
    let answer = world.ask(&refresh(&id)).await;
    assert_eq!((answer.status, answer.cookies.len()), (503, 0));
    assert_eq!(world.stored(&id).await.unwrap().1, "r2");
    world.aws.set_fault(Fault::None);

    let user = format!(
        "{}#user#{}",
        Pool::ours().id,
        token.get("sub").as_str().unwrap()
    );
    let session = format!("session#{}", token.get("origin_jti").as_str().unwrap());
    world.aws.put(
        &user,
        &session,
        json!({"revoked_at": {"N": now().to_string()}}),
    );
    let answer = world.ask(&refresh(&id)).await;
    assert!(answer.status == 401 && is_cleared(&answer));
    assert_eq!(
        world.stored(&id).await.err(),
        Some(DenyReason::UnknownSession)
    );
    assert_eq!(world.revoked(), [json!("r2")]);
}

#[tokio::test]
async fn ids_that_name_no_session_never_reach_cognito() {
    let world = World::start().await;
    let id = world.sign_in(&Pool::ours().access_token()).await;
    world.aws.forget_requests();
    let plain = post("/auth/refresh", &json!(null));
    let known = cookie(&id);
    let unknown = format!("{COOKIE}={}", "A".repeat(43));
    let body = with_cookie(
        post("/auth/refresh", &json!({"refresh_token": "r1"})),
        &known,
    );
    for (name, event, status) in [
        ("no cookie", plain.clone(), 401),
        ("an unknown id", with_cookie(plain.clone(), &unknown), 401),
        (
            "an empty id",
            with_cookie(plain.clone(), &format!("{COOKIE}=")),
            401,
        ),
        (
            "two ids",
            with_cookie(plain.clone(), &format!("{known}; {unknown}")),
            401,
        ),
        (
            "a longer id",
            with_cookie(plain.clone(), &format!("{known}A")),
            401,
        ),
        (
            "non-ASCII",
            with_cookie(plain.clone(), &format!("{COOKIE}=\u{e4}")),
            401,
        ),
        ("a refresh token in the body", body, 400),
    ] {
        let answer = world.ask(&event).await;
        assert_eq!(answer.status, status, "{name}");
        let operations = world.aws.operations();
        assert!(
            !operations
                .iter()
                .any(|found| found.starts_with("GetTokens")),
            "{name}"
        );
    }
    assert!(world.stored(&id).await.is_ok());
    let mut foreign = refresh(&id);
    foreign["headers"]["Origin"] = json!("https://evil.example");
    assert_eq!(world.ask(&foreign).await.status, 403);
}

#[tokio::test]
async fn protected_routes_use_the_token_behind_the_cookie() {
    let world = World::start().await;
    let token = Pool::ours().access_token();
    let id = world.sign_in(&token).await;
    world
        .aws
        .set_answer("GetUser", json!({"Username": "ada", "UserAttributes": []}));
    let mut me = post("/auth/me", &json!(null));
    me["httpMethod"] = json!("GET");
    let answer = world.ask(&signed_in(me.clone(), &token, &id)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (operation, sent) = world.aws.requests().pop().unwrap();
    assert_eq!(
        (operation.as_str(), &sent["AccessToken"]),
        ("GetUser", &json!(token.build()))
    );

    // The session of another user than the authorizer's, no session, and two credentials.
    let other = token
        .clone()
        .claim("sub", "another")
        .claim("origin_jti", "other");
    let mut both = signed_in(me.clone(), &token, &id);
    both["headers"]["Authorization"] = json!(format!("Bearer {}", token.build()));
    let mut none = signed_in(me.clone(), &token, &id);
    none["headers"]["Cookie"] = json!(null);
    for (name, event) in [
        ("another user", signed_in(me.clone(), &other, &id)),
        ("two credentials", both),
        ("no credential", none),
    ] {
        let answer = world.ask(&event).await;
        assert_eq!(answer.status, 401, "{name}");
    }
    // A client that is no browser sends its token itself.
    let mut bearer = signed_in(me, &token, &id);
    bearer["headers"]["Cookie"] = json!(null);
    bearer["headers"]["Authorization"] = json!(format!("Bearer {}", token.build()));
    assert_eq!(world.ask(&bearer).await.status, 200);
}

#[tokio::test]
async fn a_kept_session_after_a_password_change_has_a_new_id() {
    let world = World::start().await;
    let token = Pool::ours().access_token();
    let id = world.sign_in(&token).await;
    let new = token.clone().claim("origin_jti", "new-session");
    let new = new.claim("auth_time", now() + 5).claim("iat", now() + 5);
    world
        .aws
        .set_answer("InitiateAuth", tokens(&new, Some("r9")));
    world
        .aws
        .set_answer("GetUser", json!({"Username": "ada", "UserAttributes": []}));
    let change = json!({"current_password": PASSWORD, "new_password": "An0ther-long-password",
        "keep_session": true});
    let answer = world
        .ask(&signed_in(
            post("/auth/change-password", &change),
            &token,
            &id,
        ))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let kept = id_of(&answer);
    assert_ne!(kept.expose(), id.expose());
    assert_eq!(world.stored(&kept).await.unwrap().1, "r9");
    assert_eq!(answer.body.get("access_token"), None);
}

#[tokio::test]
async fn the_modes_of_cookies_exclude_each_other() {
    let session = variables(&[]);
    let with = |more: &[(&'static str, &'static str)]| variables(more);
    let without = |name: &str| -> Vec<(&'static str, &'static str)> {
        let all = session.iter().copied();
        all.filter(|(known, _)| *known != name).collect()
    };
    let cookies = [("TOKEN_COOKIE", "__Host-a"), ("REFRESH_COOKIE", "__Host-b")];
    for (variables, problem) in [
        (with(&cookies), "TOKEN_COOKIE cannot be set"),
        (
            with(&[("COOKIE_MODE", "tokens")]),
            "COOKIE_MODE is not `session`",
        ),
        (with(&[("COOKIE_MODE", "both")]), "COOKIE_MODE is neither"),
        (without("COOKIE_MODE"), "COOKIE_MODE is not `session`"),
        (without("BROWSER_SESSION_TABLE"), "only set together"),
        (without("BROWSER_SESSION_KEYS_ARN"), "only set together"),
        (with(&[("SESSION_COOKIE", "session")]), "SESSION_COOKIE"),
    ] {
        let error = Config::from_lookup(&events::variables(&variables))
            .err()
            .unwrap();
        assert!(error.to_string().contains(problem), "{error}");
    }
    let config = Config::from_lookup(&events::variables(&session)).unwrap();
    let aws = FakeAws::agreeable().await;
    let none = None::<SealedSessions<MemoryBrowserSessions>>;
    assert!(AuthApi::new(&aws.sdk(), config, None, none).is_err());
}
