//! auth-api: its requests, its responses, and what they reveal.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, Pool, TokenBuilder};

use crate::world::{World, next_second, signed_in_again, text_of, unique, user_token};

pub(crate) const PASSWORD: &str = "Tr0ub4dor-and-3-secret";
pub(crate) const SESSION: &str = "AYABeExample-session-of-cognito";

/// A request as API Gateway's REST API sends it.
pub(crate) fn request(method: &str, route: &str, body: &Value) -> Value {
    json!({
        "resource": route, "path": route, "httpMethod": method,
        "headers": {"Content-Type": "application/json", "Host": "evil.example"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "queryStringParameters": null, "pathParameters": null,
        "body": if body.is_null() { json!(null) } else { json!(body.to_string()) },
        "isBase64Encoded": false,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": unique("ip")}},
    })
}

pub(crate) fn post(route: &str, body: &Value) -> Value {
    request("POST", route, body)
}

/// The same request with the context that the authorizer adds for this token.
pub(crate) fn signed_in(mut event: Value, token: &TokenBuilder<'_>) -> Value {
    let bearer = format!("Bearer {}", token.build());
    event["headers"]["Authorization"] = json!(bearer);
    event["requestContext"]["authorizer"] = json!({
        "principalId": token.get("sub"), "sub": token.get("sub"), "issuer": Pool::ours().id,
        "client_id": token.get("client_id"), "session": token.get("origin_jti"),
        "auth_time": token.get("auth_time").to_string(),
    });
    event
}

pub(crate) struct Answer {
    pub(crate) status: u64,
    pub(crate) body: Value,
    pub(crate) headers: Value,
    pub(crate) cookies: Vec<String>,
}

pub(crate) async fn ask(api: &Binary, event: &Value) -> Answer {
    let answer = api.invoke(event).await.answer();
    let body = answer["body"].as_str().unwrap();
    let cookies = answer["multiValueHeaders"]["set-cookie"].as_array();
    let cookies = cookies.cloned().unwrap_or_default();
    Answer {
        status: answer["statusCode"].as_u64().unwrap(),
        body: serde_json::from_str(body).unwrap_or_else(|_| json!(body)),
        headers: answer["headers"].clone(),
        cookies: cookies
            .iter()
            .map(|c| c.as_str().unwrap().to_owned())
            .collect(),
    }
}

pub(crate) async fn status(api: &Binary, event: &Value) -> (u64, String) {
    let answer = ask(api, event).await;
    let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
    (answer.status, code)
}

pub(crate) fn exception(name: &str, message: &str) -> Fault {
    let body = json!({"__type": name, "message": message}).to_string();
    Fault::Answer(400, body)
}

pub(crate) fn tokens(token: &TokenBuilder<'_>) -> Value {
    json!({"AuthenticationResult": {
        "AccessToken": token.build(), "IdToken": Pool::ours().id_token().build(),
        "RefreshToken": "refresh.token.opaque", "ExpiresIn": 1800, "TokenType": "Bearer",
    }, "ChallengeParameters": {}})
}

pub(crate) async fn api(world: &World) -> Binary {
    world.function("auth-api", &[]).await
}

#[tokio::test]
async fn malformed_requests_never_reach_cognito() {
    let world = World::start().await;
    let api = api(&world).await;
    let login = json!({"username": "ada", "password": PASSWORD});
    let with = |pointer: &str, value: Value| {
        let mut event = post("/auth/login", &login);
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    let typed = |content_type: Value| {
        let mut event = with("/headers/Content-Type", content_type);
        event["multiValueHeaders"] = json!(null);
        event
    };
    let body = |text: &str| with("/body", json!(text));
    let of = |value: Value| with("/body", json!(value.to_string()));
    let deep = format!("{{\"username\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    let rows: Vec<(&str, Value, u64)> = vec![
        ("no body", with("/body", json!(null)), 400),
        ("empty body", body(""), 400),
        ("body is not an object", body("null"), 400),
        ("body is not an object", body("[]"), 400),
        ("body is not an object", body("\"x\""), 400),
        ("truncated JSON", body("{\"username\":\"ada\""), 400),
        (
            "duplicate member",
            body("{\"username\":\"a\",\"username\":\"b\",\"password\":\"x\"}"),
            400,
        ),
        ("trailing text", body(&format!("{login} {{}}")), 400),
        ("deeply nested", body(&deep), 400),
        ("byte order mark", body(&format!("\u{feff}{login}")), 400),
        ("invalid base64", with("/isBase64Encoded", json!(true)), 400),
        (
            "body too large",
            body(&format!("{{\"username\":\"{}\"}}", "x".repeat(17_000))),
            413,
        ),
        ("without a content type", typed(json!(null)), 415),
        ("content type is not JSON", typed(json!("text/plain")), 415),
        (
            "content type is not JSON",
            typed(json!("application/x-www-form-urlencoded")),
            415,
        ),
        (
            "charset is not UTF-8",
            typed(json!("application/json; charset=utf-16")),
            415,
        ),
        (
            "content type is not JSON",
            typed(json!("multipart/form-data; boundary=x")),
            415,
        ),
        ("without a password", of(json!({"username": "ada"})), 400),
        (
            "member of another type",
            of(json!({"username": "ada", "password": null})),
            400,
        ),
        (
            "member of another type",
            of(json!({"username": 7, "password": PASSWORD})),
            400,
        ),
        (
            "unknown member",
            of(json!({"username": "ada", "password": PASSWORD, "custom:role": "admin"})),
            400,
        ),
        (
            "two names",
            of(json!({"username": "ada", "email": "a@b.c", "password": PASSWORD})),
            400,
        ),
        (
            "name too long",
            of(json!({"username": "x".repeat(129), "password": PASSWORD})),
            400,
        ),
        (
            "control character in the name",
            of(json!({"username": "a\u{7}b", "password": PASSWORD})),
            400,
        ),
        (
            "blank name",
            of(json!({"username": "   ", "password": PASSWORD})),
            400,
        ),
        (
            "password too long",
            of(json!({"username": "ada", "password": "x".repeat(257)})),
            400,
        ),
        (
            "password with a trailing space",
            of(json!({"username": "ada", "password": "blank at the end "})),
            400,
        ),
        (
            "blank password",
            of(json!({"username": "ada", "password": "   "})),
            400,
        ),
        (
            "empty password",
            of(json!({"username": "ada", "password": ""})),
            400,
        ),
    ];
    for (case, event, expected) in rows {
        assert_eq!(
            ask(&api, &event).await.status,
            expected,
            "{case}: {event:.300}"
        );
    }
    let mut gzip = post("/auth/login", &login);
    gzip["headers"]["Content-Encoding"] = json!("gzip");
    assert_eq!(ask(&api, &gzip).await.status, 415);
    let sign_up = |attributes: Value| {
        let body =
            json!({"email": "a@example.com", "password": PASSWORD, "attributes": attributes});
        post("/auth/signup", &body)
    };
    for attributes in [
        json!({"custom:role": "admin"}),
        json!({"email_verified": "true"}),
        json!({"name": 7}),
        json!({"name": "a\nb"}),
        json!({"name": "x".repeat(2_049)}),
    ] {
        assert_eq!(ask(&api, &sign_up(attributes)).await.status, 400);
    }
    for name in ["not an address", "\u{212a}ate@example.com", "a@b"] {
        let body = json!({"email": name, "password": PASSWORD});
        assert_eq!(ask(&api, &post("/auth/signup", &body)).await.status, 400);
    }
    assert_eq!(
        world.cognito.requests(),
        [],
        "malformed requests do not reach Cognito"
    );

    // Spaces inside a password are part of it, on every route that takes one.
    let phrase = "correct  horse battery staple";
    let token = user_token();
    let coded = json!({"email": "a@example.com", "code": "123456", "password": phrase});
    let change = json!({"current_password": phrase, "new_password": "another long phrase"});
    for (event, pointer) in [
        (
            post(
                "/auth/login",
                &json!({"username": "ada", "password": phrase}),
            ),
            "/AuthParameters/PASSWORD",
        ),
        (
            post(
                "/auth/signup",
                &json!({"email": "a@example.com", "password": phrase}),
            ),
            "/Password",
        ),
        (post("/auth/confirm-forgot-password", &coded), "/Password"),
        (
            signed_in(post("/auth/change-password", &change), &token),
            "/PreviousPassword",
        ),
    ] {
        world.cognito.forget_requests();
        ask(&api, &event).await;
        let sent = world.cognito.requests();
        let found = sent.iter().find_map(|(_, body)| body.pointer(pointer));
        assert_eq!(found, Some(&json!(phrase)), "{pointer}: {sent:?}");
    }

    // The same body is valid in the other event formats.
    world
        .cognito
        .set_answer("InitiateAuth", tokens(&user_token()));
    let encoded = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        login.to_string(),
    );
    let mut event = with("/isBase64Encoded", json!(true));
    event["body"] = json!(encoded);
    assert_eq!(ask(&api, &event).await.status, 200);
    let mut event = typed(json!("Application/JSON; Charset=\"UTF-8\""));
    event["headers"]["Accept-Language"] = json!("x".repeat(10_000));
    assert_eq!(ask(&api, &event).await.status, 200);
    for event in [
        json!({"version": "2.0", "routeKey": "POST /auth/login", "rawPath": "/auth/login",
            "headers": {"content-type": "application/json"}, "body": login.to_string(),
            "requestContext": {"http": {"method": "POST", "sourceIp": "203.0.113.9"}, "stage": "$default"}}),
        json!({"version": "2.0", "routeKey": "$default", "rawPath": "/v1/auth/login",
            "headers": {"content-type": "application/json"}, "body": login.to_string(),
            "requestContext": {"http": {"method": "POST", "sourceIp": "203.0.113.9"}, "stage": "v1"}}),
        json!({"requestContext": {"elb": {"targetGroupArn": "arn"}}, "httpMethod": "POST",
            "path": "/auth/login", "queryStringParameters": {}, "body": login.to_string(),
            "headers": {"content-type": "application/json", "x-forwarded-for": "evil, 203.0.113.9"}}),
        json!({"resource": "/auth/login", "path": "/base/auth/login", "httpMethod": "POST",
            "headers": {"content-type": "application/json"}, "body": login.to_string(),
            "requestContext": {"stage": "prod", "identity": {"sourceIp": "203.0.113.9"}}}),
    ] {
        assert_eq!(ask(&api, &event).await.status, 200, "{event}");
    }
}

#[tokio::test]
async fn routes_and_methods_are_exact() {
    let world = World::start().await;
    let api = api(&world).await;
    let body = json!({"username": "ada", "password": PASSWORD});
    for path in [
        "/auth/login/",
        "/auth//login",
        "/auth%2flogin",
        "/AUTH/LOGIN",
        "/auth/log%69n",
        "/auth/login;x",
        "//auth/login",
        "/auth/../auth/login",
        "/auth/unknown",
        "/",
        "",
    ] {
        for resource in [json!("/{proxy+}"), json!(null)] {
            let mut event = post("/auth/login", &body);
            event["path"] = json!(path);
            event["resource"] = resource;
            assert_eq!(ask(&api, &event).await.status, 404, "{path}");
        }
    }
    let mut event = post("/auth/login", &body);
    event["path"] = json!("/auth/login/");
    assert_eq!(ask(&api, &event).await.status, 404, "route and path differ");
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "post", ""] {
        let answer = ask(&api, &request(method, "/auth/login", &body)).await;
        assert_eq!(
            (answer.status, &answer.headers["allow"]),
            (405, &json!("POST")),
            "{method}"
        );
    }
    for method in ["HEAD", "PUT", "DELETE"] {
        let answer = ask(&api, &request(method, "/auth/confirm", &body)).await;
        assert_eq!(answer.headers["allow"], "GET, POST");
    }
    assert_eq!(world.cognito.requests(), []);
}

#[tokio::test]
async fn responses_do_not_reveal_accounts() {
    let world = World::start().await;
    let api = api(&world).await;
    let name = "ada@example.com";
    let me = json!({"email": name});
    let secret = json!({"email": name, "password": PASSWORD});
    let coded = json!({"email": name, "code": "123456", "password": PASSWORD});
    let reset = json!({"email": name, "code": "123456", "password": PASSWORD});
    let same = async |case: &str, route: &str, body: &Value, faults: &[(&str, &str)], expected| {
        let mut answers = std::collections::BTreeSet::new();
        for (name, message) in faults {
            world.cognito.set_fault(exception(name, message));
            let answer = api.invoke(&post(route, body)).await.answer();
            assert_eq!(answer["statusCode"], expected, "{case} {route} {name}");
            answers.insert(answer.to_string());
        }
        if expected == 202 {
            world.cognito.set_fault(Fault::None);
            answers.insert(api.invoke(&post(route, body)).await.answer().to_string());
        }
        assert_eq!(answers.len(), 1, "{case} {route}: {answers:?}");
    };
    same(
        "failed sign-in",
        "/auth/login",
        &secret,
        &[
            ("NotAuthorizedException", "Incorrect username or password."),
            ("NotAuthorizedException", "User is disabled."),
            ("UserNotFoundException", "User does not exist."),
            // Cognito's limits per user. For an unknown name it returns none of them, so these would reveal accounts.
            ("NotAuthorizedException", "Password attempts exceeded"),
            ("LimitExceededException", ""),
            ("TooManyFailedAttemptsException", ""),
            // A sign-up of a stranger creates such an account only if the name has none.
            ("UserNotConfirmedException", "User is not confirmed."),
        ],
        401,
    )
    .await;
    // The quotas of all users together.
    same(
        "throttled",
        "/auth/login",
        &secret,
        &[
            ("TooManyRequestsException", ""),
            ("ThrottlingException", ""),
        ],
        429,
    )
    .await;
    same(
        "sign-up",
        "/auth/signup",
        &secret,
        &[
            ("UsernameExistsException", "User already exists"),
            // The user was created, but the email was not sent.
            ("LimitExceededException", "Exceeded daily email limit"),
            ("CodeDeliveryFailureException", ""),
            (
                "UserLambdaValidationException",
                "CustomMessage failed with error Internal Server Error.",
            ),
        ],
        202,
    )
    .await;
    same(
        "wrong code",
        "/auth/confirm",
        &coded,
        &[
            ("CodeMismatchException", ""),
            ("ExpiredCodeException", ""),
            ("UserNotFoundException", ""),
            (
                "NotAuthorizedException",
                "User cannot be confirmed. Current status is CONFIRMED",
            ),
            ("AliasExistsException", ""),
            ("LimitExceededException", "Attempt limit exceeded"),
            ("TooManyFailedAttemptsException", ""),
            ("InvalidParameterException", ""),
        ],
        400,
    )
    .await;
    same(
        "wrong code",
        "/auth/confirm-forgot-password",
        &reset,
        &[
            ("CodeMismatchException", ""),
            ("ExpiredCodeException", ""),
            ("UserNotFoundException", ""),
            ("NotAuthorizedException", "User is disabled."),
            ("LimitExceededException", "Attempt limit exceeded"),
            ("TooManyFailedAttemptsException", ""),
            ("InvalidParameterException", ""),
            ("UserNotConfirmedException", ""),
        ],
        400,
    )
    .await;
    for route in ["/auth/forgot-password", "/auth/resend"] {
        same(
            "enumeration",
            route,
            &me,
            &[
                ("UserNotFoundException", ""),
                ("NotAuthorizedException", "User is disabled"),
                ("InvalidParameterException", "User is already confirmed."),
                ("LimitExceededException", "Attempt limit exceeded"),
                ("TooManyFailedAttemptsException", ""),
                ("CodeDeliveryFailureException", ""),
                ("UserLambdaValidationException", "CustomMessage failed"),
                ("UnexpectedLambdaException", ""),
            ],
            202,
        )
        .await;
    }
    same(
        "password policy",
        "/auth/confirm-forgot-password",
        &reset,
        &[("InvalidPasswordException", "raw words")],
        400,
    )
    .await;
    same(
        "sign-up trigger",
        "/auth/login",
        &secret,
        &[(
            "UserLambdaValidationException",
            "PreSignUp failed with error raw words",
        )],
        502,
    )
    .await;
    for (name, message, expected, code) in [
        (
            "UserLambdaValidationException",
            "PreSignUp failed with error sign-up refused.",
            400,
            "sign_up_refused",
        ),
        (
            "PasswordResetRequiredException",
            "",
            403,
            "password_reset_required",
        ),
        ("InternalErrorException", "", 503, "unavailable"),
        (
            "UnexpectedLambdaException",
            "raw words",
            502,
            "trigger_failed",
        ),
        (
            "InvalidLambdaResponseException",
            "raw words",
            502,
            "trigger_failed",
        ),
        ("CodeDeliveryFailureException", "", 502, "delivery_failed"),
        (
            "InvalidSmsRoleTrustRelationshipException",
            "",
            502,
            "delivery_failed",
        ),
        ("ForbiddenException", "WAF", 403, "forbidden"),
        ("OperationNotEnabledException", "", 503, "unavailable"),
        ("SomethingNewException", "raw words", 500, "internal_error"),
        (
            "ResourceNotFoundException",
            "client 4example",
            500,
            "internal_error",
        ),
    ] {
        world.cognito.set_fault(exception(name, message));
        let answer = status(&api, &post("/auth/login", &secret)).await;
        assert_eq!(answer, (expected, code.to_owned()), "{name}");
    }
    let answer = {
        world
            .cognito
            .set_fault(exception("InvalidPasswordException", "raw words"));
        ask(&api, &post("/auth/signup", &secret)).await
    };
    assert_eq!(answer.body["code"], "password_policy");
    assert_eq!(answer.body["detail"], "Use at least 12 characters.");
    world
        .cognito
        .set_fault(exception("TooManyRequestsException", ""));
    let answer = ask(&api, &post("/auth/login", &secret)).await;
    assert_eq!(answer.headers["retry-after"], "60");

    let output = api.output();
    for secret in ["raw words", "ada@", PASSWORD, "123456", "4example"] {
        assert!(!output.contains(secret), "the log contains {secret}");
    }
}

#[tokio::test]
async fn calls_that_change_something_are_not_retried() {
    let world = World::start().await;
    let api = api(&world).await;
    let coded = json!({"email": "ada@example.com", "code": "123456", "password": PASSWORD});
    for fault in [
        Fault::Cut,
        Fault::Answer(500, "{}".to_owned()),
        Fault::Answer(503, String::new()),
    ] {
        world.cognito.forget_requests();
        world.cognito.set_fault(fault);
        let answer = status(&api, &post("/auth/confirm", &coded)).await;
        assert_eq!(answer, (503, "unavailable".to_owned()));
        let requests = world.cognito.requests();
        let confirmed = requests.iter().filter(|(name, _)| name == "ConfirmSignUp");
        assert_eq!(confirmed.count(), 1, "the call is not retried");
    }
}

#[tokio::test]
async fn usernames_are_normalised_on_every_route() {
    let world = World::start().await;
    let api = api(&world).await;
    world
        .cognito
        .set_answer("InitiateAuth", tokens(&user_token()));
    for name in ["Ada@Example.com", "ADA@EXAMPLE.COM", "ada@example.com"] {
        let body = json!({"email": name, "password": PASSWORD});
        assert_eq!(ask(&api, &post("/auth/login", &body)).await.status, 200);
        assert_eq!(ask(&api, &post("/auth/signup", &body)).await.status, 202);
    }
    let names: std::collections::BTreeSet<String> = world
        .cognito
        .requests()
        .iter()
        .map(|(operation, body)| match operation.as_str() {
            "SignUp" => {
                assert_eq!(
                    body["UserAttributes"],
                    json!([{"Name": "email", "Value": "ada@example.com"}])
                );
                body["Username"].to_string()
            }
            _ => body["AuthParameters"]["USERNAME"].to_string(),
        })
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[tokio::test]
async fn a_password_change_revokes_all_sessions_here_and_at_cognito() {
    let world = World::start().await;
    let queue = [(
        "RETRY_QUEUE_URL",
        "https://sqs.us-east-1.amazonaws.com/1/retry",
    )];
    let api = world.function("auth-api", &queue).await;
    let this = user_token();
    let other = signed_in_again(&this);
    let change = |keep: bool| json!({"current_password": PASSWORD, "new_password": "another-Passw0rd", "keep_session": keep});
    let route = "/auth/change-password";
    assert!(world.passes(&this).await && world.passes(&other).await);

    // Requires a signed-in user, and the token that the authorizer verified.
    assert_eq!(
        status(&api, &post(route, &change(true))).await,
        (401, "no_authorizer_context".to_owned())
    );
    let mut event = signed_in(post(route, &change(true)), &this);
    event["headers"]["Authorization"] = json!(format!("Bearer {}", user_token().build()));
    assert_eq!(
        ask(&api, &event).await.status,
        401,
        "the token and the authorizer's context differ"
    );
    let mut event = signed_in(post(route, &change(true)), &this);
    event["requestContext"]["authorizer"]["issuer"] = json!("elsewhere");
    assert_eq!(ask(&api, &event).await.status, 401);
    assert_eq!(world.cognito.requests(), []);

    // A wrong password revokes nothing, even if it is repeated.
    for (name, expected) in [
        ("NotAuthorizedException", 401),
        ("LimitExceededException", 429),
        ("InvalidPasswordException", 400),
    ] {
        world
            .cognito
            .set_fault(exception(name, "Incorrect username or password."));
        assert_eq!(
            ask(&api, &signed_in(post(route, &change(false)), &this))
                .await
                .status,
            expected
        );
    }
    world.cognito.set_fault(Fault::None);
    assert!(world.passes(&this).await && world.passes(&other).await);

    // The caller gets a new session; all others are revoked, here and at Cognito.
    let kept = {
        let soon = testkit::token::now() + 3;
        let token = signed_in_again(&this);
        token.claim("auth_time", soon).claim("iat", soon)
    };
    world.cognito.set_answer("InitiateAuth", tokens(&kept));
    world.cognito.forget_requests();
    let answer = ask(&api, &signed_in(post(route, &change(true)), &this)).await;
    assert_eq!((answer.status, &answer.body["ended"]), (200, &json!("all")));
    assert_eq!(answer.body["access_token"], json!(kept.build()));
    assert_eq!(answer.body["refresh_token"], "refresh.token.opaque");
    let asked: Vec<String> = world
        .cognito
        .requests()
        .into_iter()
        .map(|(o, _)| o)
        .collect();
    assert_eq!(
        asked,
        ["GetUser", "ChangePassword", "GlobalSignOut", "InitiateAuth"]
    );
    let sent = world.cognito.requests().pop().unwrap().1;
    assert_eq!(
        sent["AuthParameters"],
        json!({"USERNAME": "ada", "PASSWORD": "another-Passw0rd"})
    );
    assert!(!world.passes(&this).await && !world.passes(&other).await);
    while testkit::token::now() < kept.get("auth_time").as_u64().unwrap() {
        next_second().await;
    }
    assert!(world.passes(&kept).await, "the new session is accepted");

    // If the response is lost, a sign-in with the new password shows whether it was changed.
    let this = user_token();
    world.cognito.set_fault_for("ChangePassword", Fault::Cut);
    let answer = ask(&api, &signed_in(post(route, &change(false)), &this)).await;
    assert_eq!((answer.status, &answer.body["ended"]), (200, &json!("all")));
    assert!(!world.passes(&this).await);
    let this = user_token();
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    world.cognito.add_fault_for("InitiateAuth", wrong);
    let answer = status(&api, &signed_in(post(route, &change(false)), &this)).await;
    assert_eq!(answer, (503, "unavailable".to_owned()));
    assert!(world.passes(&this).await, "the password was not changed");
    world.cognito.set_fault(Fault::None);

    // If the sign-in requires a challenge, or returns another user's tokens, all sessions are revoked.
    let challenge = json!({"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": SESSION});
    for answer in [challenge, tokens(&user_token()), json!({})] {
        next_second().await;
        let this = signed_in_again(&this);
        world.cognito.set_answer("InitiateAuth", answer);
        let answer = ask(&api, &signed_in(post(route, &change(true)), &this)).await;
        let expected = json!({"status": "password_changed", "ended": "all"});
        assert_eq!((answer.status, answer.body), (200, expected));
        assert!(!world.passes(&this).await);
    }
    let this = signed_in_again(&this);
    world.cognito.forget_requests();
    let answer = ask(&api, &signed_in(post(route, &change(false)), &this)).await;
    assert_eq!(answer.body["ended"], "all", "all sessions were requested");
    assert!(!world.passes(&this).await);
    assert_eq!(world.cognito.requests().len(), 3, "no sign-in follows");

    // Tokens that don't fit into cookies are revoked; the password is changed nevertheless.
    let cookies = [
        ("TOKEN_COOKIE", "__Host-access_token"),
        ("REFRESH_COOKIE", "__Host-refresh_token"),
        ("ALLOWED_ORIGINS", "https://app.example.com"),
    ];
    let by_cookies = world.function("auth-api", &cookies).await;
    let this = user_token();
    let soon = testkit::token::now() + 3;
    let long = signed_in_again(&this)
        .claim("auth_time", soon)
        .claim("iat", soon)
        .claim("cognito:groups", vec!["x".repeat(100); 60]);
    world.cognito.set_answer("InitiateAuth", tokens(&long));
    let event = signed_in(post(route, &change(true)), &this);
    let answer = ask(&by_cookies, &event).await;
    let expected = json!({"status": "password_changed", "ended": "all"});
    assert_eq!((answer.status, answer.body), (200, expected));
    assert_eq!(answer.cookies, [""; 0]);
    assert_eq!(world.cognito.requests().pop().unwrap().0, "RevokeToken");

    // If Cognito does not respond to the sign-out, logout-retry repeats it.
    let this = user_token();
    world.cognito.set_fault_for("GlobalSignOut", Fault::Hang);
    world.others.forget_requests();
    let answer = ask(&api, &signed_in(post(route, &change(false)), &this)).await;
    assert_eq!(answer.status, 200);
    let (_, queued) = world.others.requests().remove(0);
    let expected = json!({"kind": "sign_out_everywhere", "username": "ada"});
    assert_eq!(queued["MessageBody"], expected.to_string());
    world.cognito.set_fault(Fault::None);

    // If the password was changed and the revocation can't be written, the response says so, Cognito is called, and
    // the revocation is written later with the time of the change.
    for keep in [true, false] {
        next_second().await;
        let this = user_token();
        let other = signed_in_again(&this);
        world.store.set_fault(Fault::Cut);
        world.cognito.forget_requests();
        world.others.forget_requests();
        let answer = status(&api, &signed_in(post(route, &change(keep)), &this)).await;
        let expected = (503, "sessions_not_ended".to_owned());
        assert_eq!(answer, expected);
        let asked = world.cognito.requests();
        let is_sign_out = |(operation, _): &(String, Value)| operation == "GlobalSignOut";
        assert!(asked.iter().any(is_sign_out), "{asked:?}");
        world.store.set_fault(Fault::None);
        next_second().await;
        let later = signed_in_again(&this);
        let (_, queued) = world.others.requests().remove(0);
        let message = queued["MessageBody"].as_str().unwrap().to_owned();
        let retry = world.function("logout-retry", &[]).await;
        assert!(world.passes(&other).await);
        let batch = crate::world::batch(&[message]);
        assert_eq!(
            crate::world::failures(&retry.invoke(&batch).await.answer()),
            Vec::<&str>::new()
        );
        assert!(!world.passes(&this).await);
        assert!(!world.passes(&other).await && world.passes(&later).await);
    }
}

#[tokio::test]
async fn users_read_and_change_their_own_account() {
    let world = World::start().await;
    let api = api(&world).await;
    let token = user_token();
    world.cognito.set_answer("GetUser", json!({"Username": "u", "UserMFASettingList": ["SOFTWARE_TOKEN_MFA"], "UserAttributes": [
        {"Name": "sub", "Value": text_of(&token, "sub")}, {"Name": "email", "Value": "ada@example.com"},
        {"Name": "name", "Value": "<b>Ada</b>"}, {"Name": "custom:internal_rating", "Value": "7"},
    ]}));
    let get = request("GET", "/auth/me", &json!(null));
    assert_eq!(ask(&api, &get).await.status, 401);
    let answer = ask(&api, &signed_in(get, &token)).await;
    assert_eq!(
        answer.body["attributes"],
        json!({
            "sub": text_of(&token, "sub"), "email": "ada@example.com", "name": "<b>Ada</b>",
        })
    );
    assert_eq!(answer.body["mfa"], json!(["SOFTWARE_TOKEN_MFA"]));

    // Without an authenticator, a sign-in one minute ago is sufficient proof.
    world.cognito.set_answer(
        "GetUser",
        json!({"Username": "u", "UserAttributes": [
            {"Name": "email", "Value": "ada@example.com"}]}),
    );
    let patch = |attributes: Value| {
        signed_in(
            request("PATCH", "/auth/me", &json!({"attributes": attributes})),
            &token,
        )
    };
    world.cognito.set_answer(
        "UpdateUserAttributes",
        json!({"CodeDeliveryDetailsList": [{"AttributeName": "email"}]}),
    );
    let answer = ask(&api, &patch(json!({"email": "New@Example.com"}))).await;
    assert_eq!(
        (answer.status, &answer.body["to_verify"]),
        (200, &json!(["email"]))
    );
    let sent = world.cognito.requests().pop().unwrap().1;
    assert_eq!(
        sent["UserAttributes"],
        json!([{"Name": "email", "Value": "new@example.com"}])
    );
    for attributes in [
        json!({"custom:role": "admin"}),
        json!({"email_verified": "true"}),
        json!({}),
        json!({"email": "x"}),
    ] {
        assert_eq!(ask(&api, &patch(attributes)).await.status, 400);
    }
    // The rules for sign-up also apply to a changed address.
    let rules = [
        ("ALLOWED_EMAIL_DOMAINS", "example.com,*.example.org"),
        ("DENIED_EMAIL_DOMAINS", "old.example.org"),
        ("SIGN_UP_ATTRIBUTES", "name,preferred_username"),
    ];
    let guarded = world.function("auth-api", &rules).await;
    let off = [rules[0], rules[1], rules[2], ("SIGN_UP_GUARD", "false")];
    let unguarded = world.function("auth-api", &off).await;
    world.cognito.forget_requests();
    for (attribute, value) in [
        ("email", "new@elsewhere.example"),
        ("email", "new@old.example.org"),
        ("email", "n\u{e9}w@example.com"),
        ("email", "new@xn--pple-43d.com"),
        ("preferred_username", "\u{430}dm\u{456}n1"),
    ] {
        let event = patch(json!({attribute: value}));
        let answer = status(&guarded, &event).await;
        assert_eq!(answer, (400, "address_refused".to_owned()), "{value}");
        assert_eq!(world.cognito.requests(), [], "{value}");
        assert_eq!(ask(&unguarded, &event).await.status, 200, "{value}");
        world.cognito.forget_requests();
    }
    for value in ["new@example.com", "new@sub.example.org"] {
        let event = patch(json!({"email": value}));
        assert_eq!(ask(&guarded, &event).await.status, 200, "{value}");
    }
    let verify = |body: Value| signed_in(post("/auth/me/verify", &body), &token);
    assert_eq!(
        ask(
            &api,
            &verify(json!({"attribute": "email", "code": "123456"}))
        )
        .await
        .status,
        200
    );
    assert_eq!(
        ask(
            &api,
            &verify(json!({"attribute": "custom:x", "code": "123456"}))
        )
        .await
        .status,
        400
    );

    world.cognito.set_answer(
        "AssociateSoftwareToken",
        json!({"SecretCode": "JBSWY3DPEHPK3PXP"}),
    );
    let answer = ask(&api, &signed_in(post("/auth/mfa/totp", &json!({})), &token)).await;
    assert_eq!(
        answer.body["otpauth_uri"],
        "otpauth://totp/Example:ada%40example%2Ecom?secret=JBSWY3DPEHPK3PXP\
        &issuer=Example&algorithm=SHA1&digits=6&period=30"
    );
    let confirm = signed_in(
        post("/auth/mfa/totp/verify", &json!({"code": "123456"})),
        &token,
    );
    world
        .cognito
        .set_answer("VerifySoftwareToken", json!({"Status": "ERROR"}));
    assert_eq!(
        status(&api, &confirm).await,
        (400, "invalid_code".to_owned())
    );
    world
        .cognito
        .set_answer("VerifySoftwareToken", json!({"Status": "SUCCESS"}));
    assert_eq!(ask(&api, &confirm).await.status, 200);
    let (operation, sent) = world.cognito.requests().pop().unwrap();
    assert_eq!(operation, "SetUserMFAPreference");
    assert_eq!(
        sent["SoftwareTokenMfaSettings"],
        json!({"Enabled": true, "PreferredMfa": true})
    );
    let output = api.output();
    for secret in ["JBSWY3DPEHPK3PXP", "123456", "example.com"] {
        assert!(!output.contains(secret), "{secret}");
    }
}

/// A stolen access token alone changes neither the address nor the authenticator.
#[tokio::test]
async fn changes_of_ownership_require_proof() {
    let world = World::start().await;
    let api = api(&world).await;
    let now = testkit::token::now();
    let this = user_token().claim("auth_time", now - 301);
    let other = signed_in_again(&this);
    let calls = |name: &str| {
        let asked = world.cognito.requests();
        asked.iter().filter(|(asked, _)| asked == name).count()
    };
    let patch = |proof: Value| {
        let mut body = json!({"attributes": {"email": "new@example.com"}});
        for (name, value) in proof.as_object().unwrap() {
            body[name] = value.clone();
        }
        signed_in(request("PATCH", "/auth/me", &body), &this)
    };
    let post = |route: &str, body: Value| signed_in(post(route, &body), &this);
    let needed = (403, "proof_needed".to_owned());
    for event in [
        patch(json!({})),
        post("/auth/mfa/totp", json!({})),
        post("/auth/mfa/totp/disable", json!({})),
    ] {
        assert_eq!(status(&api, &event).await, needed);
    }
    let name = request("PATCH", "/auth/me", &json!({"attributes": {"name": "A"}}));
    assert_eq!(ask(&api, &signed_in(name, &this)).await.status, 200);
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    world.cognito.set_fault_for("InitiateAuth", wrong);
    let proof = json!({"current_password": PASSWORD});
    assert_eq!(ask(&api, &patch(proof.clone())).await.status, 401);
    world.cognito.set_fault(Fault::None);
    // Another user's password proves nothing.
    world
        .cognito
        .set_answer("InitiateAuth", tokens(&user_token()));
    assert_eq!(ask(&api, &patch(proof.clone())).await.status, 401);
    assert_eq!(calls("UpdateUserAttributes"), 1, "only the name is changed");
    assert!(world.passes(&this).await && world.passes(&other).await);

    world.cognito.set_answer("InitiateAuth", tokens(&this));
    let sent = json!({"CodeDeliveryDetailsList": [{"AttributeName": "email"}]});
    world.cognito.set_answer("UpdateUserAttributes", sent);
    world.cognito.forget_requests();
    let answer = ask(&api, &patch(proof.clone())).await;
    let expected = (200, json!({"to_verify": ["email"]}));
    assert_eq!((answer.status, answer.body), expected);
    assert_eq!(
        calls("RevokeToken"),
        1,
        "the session that the proof opened is revoked"
    );
    assert!(world.passes(&this).await && !world.passes(&other).await);
    // Another user's address gets the same response, and so does an address that cannot receive email.
    for name in ["AliasExistsException", "CodeDeliveryFailureException"] {
        let fault = exception(name, "");
        world.cognito.set_fault_for("UpdateUserAttributes", fault);
        let answer = ask(&api, &patch(proof.clone())).await;
        assert_eq!((answer.status, answer.body), expected, "{name}");
    }
    world.cognito.set_fault(Fault::None);

    // With an authenticator, neither a recent sign-in nor the password without a code is sufficient.
    let totp = json!({"Username": "u", "UserMFASettingList": ["SOFTWARE_TOKEN_MFA"]});
    world.cognito.set_answer("GetUser", totp);
    let challenge = json!({"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": SESSION});
    world.cognito.set_answer("InitiateAuth", challenge);
    world
        .cognito
        .set_answer("RespondToAuthChallenge", tokens(&this));
    let recent = signed_in_again(&this);
    let body = json!({"attributes": {"email": "new@example.com"}});
    let event = signed_in(request("PATCH", "/auth/me", &body), &recent);
    assert_eq!(status(&api, &event).await, needed);
    let change = json!({"current_password": PASSWORD, "new_password": "another-Passw0rd"});
    for event in [
        patch(proof.clone()),
        post("/auth/mfa/totp", proof.clone()),
        post("/auth/mfa/totp/disable", proof.clone()),
        post("/auth/change-password", change),
    ] {
        assert_eq!(status(&api, &event).await, needed);
    }
    assert_eq!(calls("ChangePassword"), 0);
    let proof = json!({"current_password": PASSWORD, "code": "123456"});
    assert_eq!(ask(&api, &patch(proof.clone())).await.status, 200);
    let other = signed_in_again(&this);
    next_second().await;
    let answer = ask(&api, &post("/auth/mfa/totp/disable", proof)).await;
    assert_eq!((answer.status, answer.body), (200, json!({"mfa": []})));
    let (operation, sent) = world.cognito.requests().pop().unwrap();
    assert_eq!(operation, "SetUserMFAPreference");
    assert_eq!(
        sent["SoftwareTokenMfaSettings"],
        json!({"Enabled": false, "PreferredMfa": false})
    );
    assert!(world.passes(&this).await && !world.passes(&other).await);
}

/// The code proves control of the address; the password proves that the person who confirms made the account.
#[tokio::test]
async fn confirmation_requires_the_account_password() {
    let world = World::start().await;
    let queue = [(
        "RETRY_QUEUE_URL",
        "https://sqs.us-east-1.amazonaws.com/1/retry",
    )];
    let api = world.function("auth-api", &queue).await;
    let route = "/auth/confirm";
    let confirm = post(
        route,
        &json!({"email": "ada@example.com", "code": "123456", "password": PASSWORD}),
    );
    for body in [
        json!({"email": "ada@example.com", "code": "123456"}),
        json!({"email": "ada@example.com", "code": "123456", "password": ""}),
        json!({"email": "ada@example.com", "code": "123456", "password": null}),
    ] {
        let answer = status(&api, &post(route, &body)).await;
        assert_eq!(answer, (400, "bad_request".to_owned()), "{body}");
    }
    assert_eq!(world.cognito.operations(), [""; 0]);

    // The session that the check opened is revoked.
    let stranger = user_token();
    world.cognito.set_answer("InitiateAuth", tokens(&stranger));
    let answer = ask(&api, &confirm).await;
    assert_eq!(
        (answer.status, answer.body),
        (200, json!({"status": "confirmed"}))
    );
    let expected = [
        "AdminGetUser",
        "ConfirmSignUp",
        "InitiateAuth",
        "RevokeToken",
    ];
    assert_eq!(world.cognito.operations(), expected);
    let sent = world.cognito.requests().remove(2).1;
    let parameters = json!({"USERNAME": "ada@example.com", "PASSWORD": PASSWORD});
    assert_eq!(sent["AuthParameters"], parameters);
    let challenge = json!({"ChallengeName": "MFA_SETUP", "Session": SESSION});
    world.cognito.set_answer("InitiateAuth", challenge);
    assert_eq!(
        ask(&api, &confirm).await.status,
        200,
        "a challenge follows the password"
    );

    // After a wrong code the password is not tried.
    world.cognito.forget_requests();
    world
        .cognito
        .set_fault_for("ConfirmSignUp", exception("CodeMismatchException", ""));
    let answer = status(&api, &confirm).await;
    assert_eq!(answer, (400, "invalid_code".to_owned()));
    assert_eq!(
        world.cognito.operations(),
        ["AdminGetUser", "ConfirmSignUp"]
    );

    // If the password is wrong or cannot be checked, the password of the sign-up is invalidated and
    // the sessions that it opened are revoked.
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    for fault in [
        wrong.clone(),
        Fault::Cut,
        exception("TooManyRequestsException", ""),
    ] {
        next_second().await;
        let stranger = signed_in_again(&user_token());
        let user = json!({"Username": "u", "Enabled": true,
            "UserAttributes": [{"Name": "sub", "Value": text_of(&stranger, "sub")}]});
        world.cognito.set_answer("AdminGetUser", user);
        assert!(world.passes(&stranger).await);
        world.cognito.forget_requests();
        world.cognito.set_fault_for("InitiateAuth", fault);
        let answer = status(&api, &confirm).await;
        assert_eq!(answer, (403, "password_reset_required".to_owned()));
        let expected = ["ConfirmSignUp", "InitiateAuth", "AdminResetUserPassword"];
        assert_eq!(world.cognito.operations()[1..4], expected);
        assert!(
            world
                .cognito
                .operations()
                .contains(&"AdminUserGlobalSignOut".to_owned())
        );
        let reset = world.cognito.requests().remove(3).1;
        assert_eq!(reset["Username"], "ada@example.com");
        assert!(!world.passes(&stranger).await);
    }

    // A failed reset is retried; if that is impossible, the response is an error.
    world.cognito.set_fault_for("InitiateAuth", wrong.clone());
    world.cognito.add_fault_for(
        "AdminResetUserPassword",
        Fault::Answer(500, "{}".to_owned()),
    );
    world.others.forget_requests();
    let answer = status(&api, &confirm).await;
    assert_eq!(answer, (403, "password_reset_required".to_owned()));
    let (_, queued) = world.others.requests().remove(0);
    let message = queued["MessageBody"].as_str().unwrap().to_owned();
    let expected = json!({"kind": "reset_password", "username": "ada@example.com"});
    assert_eq!(message, expected.to_string());
    world.others.set_fault(Fault::Cut);
    let answer = status(&api, &confirm).await;
    assert_eq!(answer, (503, "unavailable".to_owned()));
    assert!(
        api.output()
            .contains("could not reset an unproven password")
    );

    let retry = world.function("logout-retry", &[]).await;
    let batch = crate::world::batch(&[message]);
    let failed = retry.invoke(&batch).await.answer();
    assert_eq!(
        crate::world::failures(&failed).len(),
        1,
        "the reset is retried"
    );
    world.cognito.set_fault(Fault::None);
    world.cognito.forget_requests();
    let done = retry.invoke(&batch).await.answer();
    assert_eq!(crate::world::failures(&done), Vec::<&str>::new());
    let expected = ["AdminResetUserPassword", "AdminUserGlobalSignOut"];
    assert_eq!(
        world.cognito.operations(),
        expected,
        "sessions since then end too"
    );
}

/// Cognito invokes PostConfirmation after it has confirmed the account: neither its failure nor a lost response leaves
/// the account confirmed with a password that was not proved.
#[tokio::test]
async fn an_error_after_the_confirmation_does_not_skip_the_proof() {
    let world = World::start().await;
    let api = api(&world).await;
    let coded = json!({"email": "ada@example.com", "code": "123456", "password": PASSWORD});
    let confirm = post("/auth/confirm", &coded);
    let wrong = || exception("NotAuthorizedException", "Incorrect username or password.");
    let failed = [
        (
            "UserLambdaValidationException",
            "PostConfirmation failed with error x.",
        ),
        (
            "UnexpectedLambdaException",
            "PostConfirmation invocation failed",
        ),
        (
            "InvalidLambdaResponseException",
            "Unrecognizable PostConfirmation output",
        ),
    ];
    for (name, message) in failed {
        world
            .cognito
            .set_fault_for("ConfirmSignUp", exception(name, message));
        world
            .cognito
            .set_answer("InitiateAuth", tokens(&user_token()));
        assert_eq!(ask(&api, &confirm).await.status, 200, "{name}");
        world.cognito.add_fault_for("InitiateAuth", wrong());
        world.cognito.forget_requests();
        let answer = status(&api, &confirm).await;
        let reset = (403, "password_reset_required".to_owned());
        assert_eq!(answer, reset, "{name}");
        assert!(
            world
                .cognito
                .operations()
                .contains(&"AdminResetUserPassword".to_owned())
        );
    }
    // The account was not unconfirmed before, so this request has not confirmed it.
    let user = json!({"Username": "u", "Enabled": true, "UserStatus": "CONFIRMED",
        "UserAttributes": [{"Name": "sub", "Value": "s"}]});
    world.cognito.set_answer("AdminGetUser", user);
    for fault in [Fault::Cut, Fault::Answer(500, "{}".to_owned())] {
        world.cognito.set_fault_for("ConfirmSignUp", fault);
        world.cognito.add_fault_for("InitiateAuth", wrong());
        world.cognito.forget_requests();
        assert!(ask(&api, &confirm).await.status >= 500);
        let asked = world.cognito.operations();
        assert_eq!(asked, ["AdminGetUser", "ConfirmSignUp"], "{asked:?}");
    }
    // Slow enough to change the state between the two look-ups.
    let user = |status: &str| {
        json!({"Username": "u", "Enabled": true, "UserStatus": status,
            "UserAttributes": [{"Name": "sub", "Value": "s"}]})
    };
    for (after, expected) in [("CONFIRMED", 403), ("UNCONFIRMED", 503)] {
        world
            .cognito
            .set_answer("AdminGetUser", user("UNCONFIRMED"));
        world.cognito.set_fault_for("ConfirmSignUp", Fault::Hang);
        world.cognito.add_fault_for("InitiateAuth", wrong());
        world.cognito.forget_requests();
        let change = async {
            while !world
                .cognito
                .operations()
                .contains(&"ConfirmSignUp".to_owned())
            {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            world.cognito.set_answer("AdminGetUser", user(after));
        };
        let (answer, ()) = tokio::join!(ask(&api, &confirm), change);
        assert_eq!(answer.status, expected, "{after}: {}", answer.body);
    }
}

/// The sign-out at Cognito needs the name alone.
#[tokio::test]
async fn a_failed_look_up_does_not_skip_the_sign_out() {
    let world = World::start().await;
    let api = api(&world).await;
    let coded = json!({"email": "ada@example.com", "code": "123456", "password": PASSWORD});
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    world.cognito.set_fault_for("InitiateAuth", wrong);
    let throttled = exception("TooManyRequestsException", "Rate exceeded");
    world.cognito.add_fault_for("AdminGetUser", throttled);
    let answer = status(&api, &post("/auth/confirm", &coded)).await;
    assert_eq!(answer, (403, "password_reset_required".to_owned()));
    let asked = world.cognito.operations();
    assert!(
        asked.contains(&"AdminUserGlobalSignOut".to_owned()),
        "{asked:?}"
    );
}

/// Each attribute that gives access to the account is changed by a call of its own, after the others.
#[tokio::test]
async fn a_taken_address_does_not_undo_other_changes() {
    let world = World::start().await;
    let grid = [
        ("REFUSAL_GRID_MILLISECONDS", "700"),
        ("SIGN_UP_ATTRIBUTES", "name,phone_number"),
    ];
    let api = world.function("auth-api", &grid).await;
    let token = user_token();
    world
        .cognito
        .set_answer("GetUser", json!({"Username": "u", "UserAttributes": []}));
    let body = json!({"attributes": {"email": "new@example.com", "name": "A", "phone_number": "+15551234567"}});
    let event = signed_in(request("PATCH", "/auth/me", &body), &token);
    let taken = exception("AliasExistsException", "");
    world
        .cognito
        .set_fault_for("UpdateUserAttributes", taken.clone());
    assert_eq!(
        ask(&api, &event).await.status,
        409,
        "the name is no address"
    );
    world.cognito.set_fault(Fault::None);
    world.cognito.forget_requests();
    assert_eq!(ask(&api, &event).await.status, 200);
    let asked = world.cognito.requests();
    let updates: Vec<Value> = asked
        .iter()
        .filter(|(operation, _)| operation == "UpdateUserAttributes")
        .map(|(_, sent)| sent["UserAttributes"].clone())
        .collect();
    let one = |name: &str, value: &str| json!([{"Name": name, "Value": value}]);
    let expected = [
        one("name", "A"),
        one("email", "new@example.com"),
        one("phone_number", "+15551234567"),
    ];
    assert_eq!(updates, expected);

    // The response to a taken address is sent on the grid.
    let body = json!({"attributes": {"email": "new@example.com"}});
    let event = signed_in(request("PATCH", "/auth/me", &body), &token);
    world.cognito.set_fault_for("UpdateUserAttributes", taken);
    let began = std::time::Instant::now();
    let answer = ask(&api, &event).await;
    assert_eq!(answer.body, json!({"to_verify": ["email"]}));
    assert!(began.elapsed() >= std::time::Duration::from_millis(700));
}

/// A sign-up with a taken name gets the same response as one with a new name, and the owner gets an email
/// that explains how to sign in.
#[tokio::test]
async fn a_repeated_sign_up_mails_the_owner() {
    let world = World::start().await;
    let more = [
        ("ATTEMPT_TABLE", world.stack.attempt_table.as_str()),
        ("ATTEMPTS_PER_USER", "2"),
    ];
    let api = world.function("auth-api", &more).await;
    let sign_up = |name: &str| {
        let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        post("/auth/signup", &body)
    };
    let taken = || exception("UsernameExistsException", "User already exists");
    world.cognito.set_fault_for("SignUp", taken());
    let answer = ask(&api, &sign_up(&unique("ada"))).await;
    assert_eq!(answer.status, 202);
    let expected = ["SignUp", "ResendConfirmationCode"];
    assert_eq!(
        world.cognito.operations(),
        expected,
        "the account is not confirmed yet"
    );

    let confirmed = exception("InvalidParameterException", "User is already confirmed.");
    world
        .cognito
        .add_fault_for("ResendConfirmationCode", confirmed);
    world.cognito.forget_requests();
    let name = unique("eve");
    let network = unique("network");
    let from_network = |mut event: Value| {
        event["requestContext"]["identity"]["sourceIp"] = json!(network);
        event
    };
    for _ in 0..2 {
        let answer = ask(&api, &from_network(sign_up(&name))).await;
        assert_eq!(answer.status, 202);
    }
    let expected = ["SignUp", "ResendConfirmationCode", "ForgotPassword"];
    assert_eq!(world.cognito.operations(), [expected, expected].concat());
    // These emails use up nothing of the limits of other routes, which would reveal the account.
    let email = json!({"email": format!("{name}@example.com")});
    for route in ["/auth/forgot-password", "/auth/resend"] {
        for expected in [202, 202, 429] {
            let answer = ask(&api, &from_network(post(route, &email))).await;
            assert_eq!(answer.status, expected, "{route}");
        }
    }

    // A name that has not been migrated has no user in this pool: its owner signs in with the old password.
    world.cognito.forget_requests();
    let old = "PreSignUp failed with error already known.";
    let old = exception("UserLambdaValidationException", old);
    world.cognito.set_fault_for("SignUp", old);
    assert_eq!(ask(&api, &sign_up(&unique("bob"))).await.status, 202);
    assert_eq!(world.cognito.operations(), ["SignUp"]);
}

/// A stranger signs up with an address and signs in with the same password. The response is that of a
/// wrong password, whether the address had an account or has an unconfirmed one now.
#[tokio::test]
async fn a_sign_in_does_not_reveal_unconfirmed_accounts() {
    let world = World::start().await;
    let limited = [
        ("ATTEMPT_TABLE", world.stack.attempt_table.as_str()),
        ("ATTEMPTS_PER_USER", "3"),
    ];
    let api = world.function("auth-api", &limited).await;
    let network = unique("network");
    let from_network = |route: &str, body: &Value| {
        let mut event = post(route, body);
        event["requestContext"]["identity"]["sourceIp"] = json!(network);
        event
    };
    let wrong = || exception("NotAuthorizedException", "Incorrect username or password.");
    let unconfirmed = || exception("UserNotConfirmedException", "User is not confirmed.");
    let email = |name: &str| format!("{name}@example.com");
    let by_password = |name: &str| {
        let body = json!({"email": email(name), "password": PASSWORD});
        from_network("/auth/login", &body)
    };
    let by_srp = |name: &str| {
        let body = json!({"email": email(name), "srp_a": "abcdef"});
        from_network("/auth/login", &body)
    };
    let by_proof = |name: &str| {
        let session = format!("{SESSION}-{}", unique("session"));
        let body = json!({"challenge": "PASSWORD_VERIFIER", "session": session, "username": name,
            "srp": {"secret_block": "b", "signature": "s", "timestamp": "t"}});
        from_network("/auth/challenge", &body)
    };
    let passwords = "InitiateAuth";
    let proofs = "RespondToAuthChallenge";
    for call in [passwords, proofs] {
        let request = |name: &str| match call {
            "InitiateAuth" => by_password(name),
            _ => by_proof(name),
        };
        let (name, other) = (unique("eve"), unique("ada"));
        // One more than the limit: the codes have a limit of their own.
        for attempt in 0..4 {
            world.cognito.set_fault_for(call, wrong());
            let taken = api.invoke(&request(&other)).await.answer();
            world.cognito.forget_requests();
            world.cognito.set_fault_for(call, unconfirmed());
            let free = api.invoke(&request(&name)).await.answer();
            assert_eq!(free, taken, "{call} {attempt}");
            let expected = if attempt == 3 { 429 } else { 401 };
            assert_eq!(free["statusCode"], expected, "{call} {attempt}");
            let mailed = [call, "ResendConfirmationCode"];
            let expected: &[&str] = if attempt == 3 { &[] } else { &mailed };
            assert_eq!(world.cognito.operations(), expected, "{call} {attempt}");
        }
        // The codes use up nothing of the limit of requests for a code, which would reveal the account.
        world.cognito.set_fault(Fault::None);
        let answer = ask(
            &api,
            &from_network("/auth/resend", &json!({"email": email(&name)})),
        )
        .await;
        assert_eq!(answer.status, 202, "{call}");
    }

    // The code is not sent, or not in time: the response is the same.
    world.cognito.set_fault_for("InitiateAuth", wrong());
    let taken = api.invoke(&by_password(&unique("ada"))).await.answer();
    world.cognito.set_fault_for("InitiateAuth", unconfirmed());
    for fault in [
        exception("LimitExceededException", ""),
        exception("InvalidParameterException", "User is already confirmed."),
        exception("CodeDeliveryFailureException", ""),
        Fault::Cut,
    ] {
        world.cognito.add_fault_for("ResendConfirmationCode", fault);
        let free = api.invoke(&by_password(&unique("eve"))).await.answer();
        assert_eq!(free, taken);
    }

    // SRP begins with a challenge for every name. Its parameters are those of a name without an account.
    let challenge = |name: &str| {
        json!({"ChallengeName": "PASSWORD_VERIFIER", "ChallengeParameters": {
            "SALT": "5a17", "SECRET_BLOCK": "block", "SRP_B": "b", "USER_ID_FOR_SRP": name}})
    };
    let name = unique("eve");
    world
        .cognito
        .set_answer("InitiateAuth", challenge("01234567-uuid"));
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..2 {
        world.cognito.forget_requests();
        world.cognito.set_fault_times(unconfirmed(), 1);
        let answer = ask(&api, &by_srp(&name)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body["challenge"], "PASSWORD_VERIFIER");
        assert_eq!(answer.body["username"], "01234567-uuid");
        let requests = world.cognito.requests();
        let operations: Vec<&str> = requests.iter().map(|(call, _)| call.as_str()).collect();
        assert_eq!(operations, [passwords, "ResendConfirmationCode", passwords]);
        let decoy = requests[2].1["AuthParameters"]["USERNAME"]
            .as_str()
            .unwrap();
        assert!(decoy.ends_with("@unused.invalid"), "{decoy}");
        names.insert(decoy.to_owned());
    }
    assert_eq!(
        names.len(),
        1,
        "the simulated salt of a name is always the same"
    );
    // A pool without aliases repeats the name that it was asked for.
    let decoy = names.first().unwrap();
    world.cognito.set_answer("InitiateAuth", challenge(decoy));
    world.cognito.set_fault_times(unconfirmed(), 1);
    let answer = ask(&api, &by_srp(&name)).await;
    let shown = email(&name);
    assert_eq!(answer.body["username"], *shown);
    assert_eq!(answer.body["parameters"]["USER_ID_FOR_SRP"], *shown);
    world.cognito.set_fault_for("InitiateAuth", unconfirmed());
    let answer = status(&api, &by_srp(&unique("eve"))).await;
    assert_eq!(answer, (401, "invalid_credentials".to_owned()));

    let reveals = world
        .function("auth-api", &[("REVEAL_EXISTING_USERS", "true")])
        .await;
    world.cognito.forget_requests();
    world.cognito.set_fault(unconfirmed());
    for (event, call) in [
        (by_password(&name), passwords),
        (by_srp(&name), passwords),
        (by_proof(&name), proofs),
    ] {
        world.cognito.forget_requests();
        let answer = status(&reveals, &event).await;
        assert_eq!(answer, (403, "user_not_confirmed".to_owned()));
        assert_eq!(world.cognito.operations(), [call]);
    }
}

/// Responses that depend on a user are sent on a time grid, independent of Cognito's latency; others at once.
#[tokio::test]
async fn response_times_do_not_reveal_accounts() {
    const GRID: std::time::Duration = std::time::Duration::from_millis(700);
    let world = World::start().await;
    let grid = [("REFUSAL_GRID_MILLISECONDS", "700")];
    let api = world.function("auth-api", &grid).await;
    let secret = json!({"email": "ada@example.com", "password": PASSWORD});
    let coded = json!({"email": "ada@example.com", "code": "123456", "password": PASSWORD});
    let srp = json!({"email": "ada@example.com", "srp_a": "abcdef"});
    let proof = json!({"challenge": "PASSWORD_VERIFIER", "session": SESSION, "username": "u",
        "srp": {"secret_block": "b", "signature": "s", "timestamp": "t"}});
    let me = json!({"email": "ada@example.com"});
    let body = |name: &str| json!({"__type": name, "message": ""}).to_string();
    let rows = [
        ("/auth/login", &secret, "NotAuthorizedException"),
        ("/auth/login", &secret, "UserNotConfirmedException"),
        ("/auth/login", &srp, "NotAuthorizedException"),
        ("/auth/login", &srp, "UserNotConfirmedException"),
        ("/auth/challenge", &proof, "NotAuthorizedException"),
        ("/auth/challenge", &proof, "UserNotConfirmedException"),
        ("/auth/signup", &secret, "UsernameExistsException"),
        ("/auth/signup", &secret, ""),
        ("/auth/resend", &me, "UserNotFoundException"),
        ("/auth/resend", &me, ""),
        ("/auth/forgot-password", &me, "LimitExceededException"),
        ("/auth/forgot-password", &me, ""),
        ("/auth/confirm", &coded, "CodeMismatchException"),
        (
            "/auth/confirm-forgot-password",
            &coded,
            "ExpiredCodeException",
        ),
    ];
    for (route, request, refusal) in rows {
        for took in [0, 150] {
            world.cognito.set_fault(match refusal {
                "" => Fault::Slow(took),
                name => Fault::SlowAnswer(took, 400, body(name)),
            });
            let began = std::time::Instant::now();
            ask(&api, &post(route, request)).await;
            // A sleep may end late, never early.
            assert!(began.elapsed() >= GRID, "{route} {refusal} {took}");
        }
    }
    world.cognito.set_fault(Fault::None);
    let hides = |text: &str| api.output().contains(text);
    assert!(hides("the response hides a Cognito exception") && hides("LimitExceededException"));
}

/// Attempts from one network, spellings of a name, or a limit that was reached already do not
/// lock out a user who signs in from another network.
#[tokio::test]
async fn attempts_are_limited_per_name_and_network() {
    let world = World::start().await;
    let more = [
        ("ATTEMPT_TABLE", world.stack.attempt_table.as_str()),
        ("ATTEMPTS_PER_USER", "3"),
        ("ATTEMPTS_PER_ADDRESS", "5"),
    ];
    let api = world.function("auth-api", &more).await;
    let from = |mut event: Value, address: &str| {
        event["requestContext"]["identity"]["sourceIp"] = json!(address);
        event
    };
    let login = |name: &str, address: &str| {
        let body = json!({"username": name, "password": PASSWORD});
        from(post("/auth/login", &body), address)
    };
    // Successful sign-ins do not count.
    let (name, address) = (unique("ada"), unique("address"));
    world
        .cognito
        .set_answer("InitiateAuth", tokens(&user_token()));
    for _ in 0..6 {
        let answer = ask(&api, &login(&name, &address)).await;
        assert_eq!(answer.status, 200);
    }
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    world.cognito.set_fault(wrong);
    // Attempts from an address above its limit do not count for the name.
    for _ in 0..6 {
        ask(&api, &login(&unique("bob"), &address)).await;
    }
    for _ in 0..4 {
        assert_eq!(ask(&api, &login(&name, &address)).await.status, 429);
    }
    for _ in 0..3 {
        let elsewhere = unique("elsewhere");
        assert_eq!(ask(&api, &login(&name, &elsewhere)).await.status, 401);
    }
    // One network can use up only its own share of the attempts.
    let (name, address) = (unique("eve"), unique("address"));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(ask(&api, &login(&name, &address)).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    let answer = ask(&api, &login(&name, &unique("owner"))).await;
    assert_eq!(answer.status, 401, "the attempt reached Cognito");
    // Nor can many networks: a network from which the owner has signed in has a share of its own.
    let (name, home) = (unique("ivy"), unique("home"));
    world.cognito.set_fault(Fault::None);
    assert_eq!(ask(&api, &login(&name, &home)).await.status, 200);
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    world.cognito.set_fault(wrong);
    let mut statuses = Vec::new();
    for _ in 0..16 {
        statuses.push(ask(&api, &login(&name, &unique("bot"))).await.status);
    }
    assert!(statuses.ends_with(&[429, 429, 429]), "{statuses:?}");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(ask(&api, &login(&name, &home)).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429], "that share is limited too");
    // Challenges are limited per name in any spelling, and per session with any name.
    let challenge = |name: &str, session: &str| {
        let body = json!({"challenge": "SOFTWARE_TOKEN_MFA", "session": session,
            "username": name, "code": "123456"});
        post("/auth/challenge", &body)
    };
    let address = unique("address");
    let mut statuses = Vec::new();
    for name in ["Zoe", "ZOE", "zoe", "zOe"] {
        let session = unique("session-of-twenty-characters");
        let name = format!("{name}-{}", std::process::id());
        let event = from(challenge(&name, &session), &address);
        statuses.push(ask(&api, &event).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429]);
    let session = unique("session-of-twenty-characters");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let event = challenge(&unique("name"), &session);
        statuses.push(ask(&api, &event).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429]);
}

#[tokio::test]
async fn attempts_above_the_limits_are_rejected() {
    let world = World::start().await;
    let table = world.stack.attempt_table.as_str();
    let more = [
        ("ATTEMPT_TABLE", table),
        ("ATTEMPTS_PER_USER", "3"),
        ("ATTEMPTS_PER_ADDRESS", "8"),
    ];
    let api = world.function("auth-api", &more).await;
    world.cognito.set_fault(exception(
        "NotAuthorizedException",
        "Incorrect username or password.",
    ));
    let address = unique("address");
    let attempt = |name: &str| {
        let mut event = post(
            "/auth/login",
            &json!({"username": name, "password": PASSWORD}),
        );
        event["requestContext"]["identity"]["sourceIp"] = json!(address);
        // X-Forwarded-For from the client does not give a request another address.
        event["headers"]["X-Forwarded-For"] = json!(unique("spoofed"));
        event
    };
    let first = unique("ada");
    // The window may end during the test; then the count restarts, once.
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(ask(&api, &attempt(&first)).await.status);
    }
    assert_eq!(statuses[..3], [401, 401, 401]);
    assert!(statuses.contains(&429), "the limit per user: {statuses:?}");
    let mut statuses = Vec::new();
    for _ in 0..18 {
        statuses.push(ask(&api, &attempt(&unique("bob"))).await.status);
    }
    assert!(
        statuses.contains(&429),
        "the limit per address: {statuses:?}"
    );
    // Each lock-out is one act, however many attempts follow; the window may have restarted once.
    let output = api.output();
    let acts: Vec<_> = output
        .lines()
        .filter_map(|line| runtime::Act::of_line(line, 0))
        .collect();
    for kind in ["lock_out_name", "lock_out_address"] {
        let of_kind: Vec<_> = acts.iter().filter(|act| act.kind == kind).collect();
        assert!((1..=2).contains(&of_kind.len()), "{kind}: {acts:?}");
        assert!(of_kind.iter().all(|act| act.target.len() == 16), "{acts:?}");
        assert_eq!(of_kind[0].outcome, "too_many_attempts");
    }
    assert!(!output.contains(&first) && !output.contains(&address));
    world.store.set_fault(Fault::Cut);
    assert_eq!(
        ask(&api, &attempt(&unique("eve"))).await.status,
        503,
        "without the table, attempts are rejected"
    );
}

#[test]
fn every_exception_of_cognito_has_an_outcome() {
    let metadata = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let sdk = packages
        .iter()
        .find(|package| package["name"] == "aws-sdk-cognitoidentityprovider")
        .unwrap();
    let manifest = std::path::Path::new(sdk["manifest_path"].as_str().unwrap());
    let source = manifest.with_file_name("src").join("error_meta.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let known: BTreeMap<String, &str> = auth_api::exceptions::EXCEPTIONS
        .iter()
        .map(|(name, _)| (name.to_lowercase(), *name))
        .collect();
    let mut seen = 0;
    for (_, rest) in source
        .match_indices("crate::types::error::")
        .map(|(at, found)| source.split_at(at + found.len()))
    {
        let name: String = rest
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        if name.ends_with("Exception") {
            assert!(
                known.contains_key(&name.to_lowercase()),
                "{name} has no outcome"
            );
            seen += 1;
        }
    }
    assert!(seen > 50, "found only {seen}: the SDK's source has changed");
    let docs = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/outcomes.md"),
    )
    .unwrap();
    for (name, outcome) in auth_api::exceptions::EXCEPTIONS {
        let row = format!("| `{name}` | {} | `{}` |", outcome.status(), outcome.code());
        assert!(docs.contains(&row), "docs/outcomes.md has no row {row}");
    }
}
