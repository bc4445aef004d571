//! What clients ask of auth-api, and what they learn.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, Pool, TokenBuilder};

use crate::world::{World, next_second, signed_in_again, somebody, text_of, unique};

const PASSWORD: &str = "Tr0ub4dor-and-3-secret";
const SESSION: &str = "AYABeExample-session-of-cognito";

/// A request as API Gateway's REST API sends it.
fn request(method: &str, route: &str, body: &Value) -> Value {
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

fn post(route: &str, body: &Value) -> Value {
    request("POST", route, body)
}

/// The same, let through by the authorizer with this token.
fn signed_in(mut event: Value, token: &TokenBuilder<'_>) -> Value {
    let bearer = format!("Bearer {}", token.build());
    event["headers"]["Authorization"] = json!(bearer);
    event["requestContext"]["authorizer"] = json!({
        "principalId": token.get("sub"), "sub": token.get("sub"), "issuer": Pool::ours().id,
        "client_id": token.get("client_id"), "session": token.get("origin_jti"),
        "auth_time": token.get("auth_time").to_string(),
    });
    event
}

struct Answer {
    status: u64,
    body: Value,
    headers: Value,
    cookies: Vec<String>,
}

async fn ask(api: &Binary, event: &Value) -> Answer {
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

async fn status(api: &Binary, event: &Value) -> (u64, String) {
    let answer = ask(api, event).await;
    let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
    (answer.status, code)
}

fn exception(name: &str, message: &str) -> Fault {
    let body = json!({"__type": name, "message": message}).to_string();
    Fault::Answer(400, body)
}

fn tokens(token: &TokenBuilder<'_>) -> Value {
    json!({"AuthenticationResult": {
        "AccessToken": token.build(), "IdToken": Pool::ours().id_token().build(),
        "RefreshToken": "refresh.token.opaque", "ExpiresIn": 1800, "TokenType": "Bearer",
    }, "ChallengeParameters": {}})
}

async fn api(world: &World) -> Binary {
    world.function("auth-api", &[]).await
}

#[tokio::test]
async fn requests_that_are_none_never_reach_cognito() {
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
        ("A1", with("/body", json!(null)), 400),
        ("A1", body(""), 400),
        ("A1", body("null"), 400),
        ("A1", body("[]"), 400),
        ("A1", body("\"x\""), 400),
        ("A2", body("{\"username\":\"ada\""), 400),
        (
            "A2",
            body("{\"username\":\"a\",\"username\":\"b\",\"password\":\"x\"}"),
            400,
        ),
        ("A2", body(&format!("{login} {{}}")), 400),
        ("A2", body(&deep), 400),
        ("A2", body(&format!("\u{feff}{login}")), 400),
        ("A3", with("/isBase64Encoded", json!(true)), 400),
        (
            "A4",
            body(&format!("{{\"username\":\"{}\"}}", "x".repeat(17_000))),
            413,
        ),
        ("A5", typed(json!(null)), 415),
        ("A5", typed(json!("text/plain")), 415),
        ("A5", typed(json!("application/x-www-form-urlencoded")), 415),
        ("A5", typed(json!("application/json; charset=utf-16")), 415),
        ("A5", typed(json!("multipart/form-data; boundary=x")), 415),
        ("A8", of(json!({"username": "ada"})), 400),
        ("A8", of(json!({"username": "ada", "password": null})), 400),
        ("A8", of(json!({"username": 7, "password": PASSWORD})), 400),
        (
            "A8",
            of(json!({"username": "ada", "password": PASSWORD, "custom:role": "admin"})),
            400,
        ),
        (
            "A8",
            of(json!({"username": "ada", "email": "a@b.c", "password": PASSWORD})),
            400,
        ),
        (
            "A9",
            of(json!({"username": "x".repeat(129), "password": PASSWORD})),
            400,
        ),
        (
            "A9",
            of(json!({"username": "a\u{7}b", "password": PASSWORD})),
            400,
        ),
        (
            "A9",
            of(json!({"username": "   ", "password": PASSWORD})),
            400,
        ),
        (
            "A9",
            of(json!({"username": "ada", "password": "x".repeat(257)})),
            400,
        ),
        (
            "A9",
            of(json!({"username": "ada", "password": "with space"})),
            400,
        ),
        ("A9", of(json!({"username": "ada", "password": ""})), 400),
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
    assert_eq!(ask(&api, &gzip).await.status, 415, "A42");
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
        assert_eq!(ask(&api, &sign_up(attributes)).await.status, 400, "A8");
    }
    for name in ["not an address", "\u{212a}ate@example.com", "a@b"] {
        let body = json!({"email": name, "password": PASSWORD});
        assert_eq!(
            ask(&api, &post("/auth/signup", &body)).await.status,
            400,
            "A35"
        );
    }
    assert_eq!(
        world.cognito.requests(),
        [],
        "none of that was Cognito's business"
    );

    // The same in the other shapes is a request.
    world
        .cognito
        .set_answer("InitiateAuth", tokens(&somebody()));
    let encoded = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        login.to_string(),
    );
    let mut event = with("/isBase64Encoded", json!(true));
    event["body"] = json!(encoded);
    assert_eq!(ask(&api, &event).await.status, 200, "A3");
    let mut event = typed(json!("Application/JSON; Charset=\"UTF-8\""));
    event["headers"]["Accept-Language"] = json!("x".repeat(10_000));
    assert_eq!(ask(&api, &event).await.status, 200, "A5, A43");
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
        assert_eq!(ask(&api, &event).await.status, 200, "A39: {event}");
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
            assert_eq!(ask(&api, &event).await.status, 404, "A6: {path}");
        }
    }
    let mut event = post("/auth/login", &body);
    event["path"] = json!("/auth/login/");
    assert_eq!(
        ask(&api, &event).await.status,
        404,
        "A6: route and path differ"
    );
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "post", ""] {
        let answer = ask(&api, &request(method, "/auth/login", &body)).await;
        assert_eq!(
            (answer.status, &answer.headers["allow"]),
            (405, &json!("POST")),
            "A7 {method}"
        );
    }
    for method in ["HEAD", "PUT", "DELETE"] {
        let answer = ask(&api, &request(method, "/auth/confirm", &body)).await;
        assert_eq!(answer.headers["allow"], "GET, POST", "A7");
    }
    assert_eq!(world.cognito.requests(), []);
}

#[tokio::test]
async fn who_has_an_account_is_not_told() {
    let world = World::start().await;
    let api = api(&world).await;
    let name = "ada@example.com";
    let me = json!({"email": name});
    let secret = json!({"email": name, "password": PASSWORD});
    let coded = json!({"email": name, "code": "123456"});
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
        "A10",
        "/auth/login",
        &secret,
        &[
            ("NotAuthorizedException", "Incorrect username or password."),
            ("NotAuthorizedException", "User is disabled."),
            ("UserNotFoundException", "User does not exist."),
        ],
        401,
    )
    .await;
    same(
        "A11, A16",
        "/auth/login",
        &secret,
        &[
            ("NotAuthorizedException", "Password attempts exceeded"),
            ("TooManyRequestsException", ""),
            ("LimitExceededException", ""),
            ("TooManyFailedAttemptsException", ""),
            ("ThrottlingException", ""),
        ],
        429,
    )
    .await;
    same(
        "A13",
        "/auth/signup",
        &secret,
        &[("UsernameExistsException", "User already exists")],
        202,
    )
    .await;
    same(
        "A14",
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
        ],
        400,
    )
    .await;
    same(
        "A14",
        "/auth/confirm-forgot-password",
        &reset,
        &[
            ("CodeMismatchException", ""),
            ("ExpiredCodeException", ""),
            ("UserNotFoundException", ""),
            ("NotAuthorizedException", "User is disabled."),
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
            ],
            202,
        )
        .await;
    }
    same(
        "A15",
        "/auth/confirm-forgot-password",
        &reset,
        &[("InvalidPasswordException", "raw words")],
        400,
    )
    .await;
    same(
        "A18",
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
        ("UserNotConfirmedException", "", 403, "user_not_confirmed"),
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
        assert_eq!(answer, (expected, code.to_owned()), "A12, A17-A20: {name}");
    }
    let answer = {
        world
            .cognito
            .set_fault(exception("InvalidPasswordException", "raw words"));
        ask(&api, &post("/auth/signup", &secret)).await
    };
    assert_eq!(answer.body["code"], "password_policy", "A15");
    assert_eq!(answer.body["detail"], "Use at least 12 characters.", "A15");
    world
        .cognito
        .set_fault(exception("TooManyRequestsException", ""));
    let answer = ask(&api, &post("/auth/login", &secret)).await;
    assert_eq!(answer.headers["retry-after"], "60", "A16");

    let output = api.output();
    for secret in ["raw words", "ada@", PASSWORD, "123456", "4example"] {
        assert!(!output.contains(secret), "A31: {secret} in the log");
    }
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_is_made_once() {
    let world = World::start().await;
    let api = api(&world).await;
    let coded = json!({"email": "ada@example.com", "code": "123456"});
    for fault in [
        Fault::Cut,
        Fault::Answer(500, "{}".to_owned()),
        Fault::Answer(503, String::new()),
    ] {
        world.cognito.forget_requests();
        world.cognito.set_fault(fault);
        let answer = status(&api, &post("/auth/confirm", &coded)).await;
        assert_eq!(answer, (503, "unavailable".to_owned()), "A17");
        assert_eq!(world.cognito.requests().len(), 1, "A17: no second try");
    }
}

#[tokio::test]
async fn a_name_has_one_form_wherever_it_is_typed() {
    let world = World::start().await;
    let api = api(&world).await;
    world
        .cognito
        .set_answer("InitiateAuth", tokens(&somebody()));
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
    assert_eq!(names.len(), 1, "A35: {names:?}");
}

#[tokio::test]
async fn signing_in_by_every_way() {
    let world = World::start().await;
    let api = api(&world).await;
    let token = somebody();
    world.cognito.set_answer("InitiateAuth", tokens(&token));
    let login = json!({"email": "ada@example.com", "password": PASSWORD});
    let answer = ask(&api, &post("/auth/login", &login)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["refresh_token"], "refresh.token.opaque");
    assert_eq!(
        (&answer.body["token_type"], &answer.body["expires_in"]),
        (&json!("Bearer"), &json!(1800))
    );
    assert_eq!(answer.headers["cache-control"], "no-store", "A28");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff", "A28");
    assert_eq!(
        answer.headers["content-type"], "application/json; charset=utf-8",
        "A28"
    );

    let challenge = |name: &str, parameters: Value| json!({"ChallengeName": name, "Session": SESSION, "ChallengeParameters": parameters});
    let parameters =
        json!({"USER_ID_FOR_SRP": "5f7e-uuid", "CODE_DELIVERY_DESTINATION": "+1***", "SRP_B": "b"});
    world
        .cognito
        .set_answer("InitiateAuth", challenge("PASSWORD_VERIFIER", parameters));
    let srp = json!({"email": "ada@example.com", "srp_a": "abcdef"});
    let answer = ask(&api, &post("/auth/login", &srp)).await;
    assert_eq!(
        answer.body,
        json!({
            "challenge": "PASSWORD_VERIFIER", "session": SESSION, "username": "5f7e-uuid",
            "parameters": {"USER_ID_FOR_SRP": "5f7e-uuid", "SRP_B": "b"},
        }),
        "A21: and no more about the user than it takes"
    );
    for neither in [
        json!({"email": "a@b.c"}),
        json!({"email": "a@b.c", "password": "x", "srp_a": "y"}),
    ] {
        assert_eq!(ask(&api, &post("/auth/login", &neither)).await.status, 400);
    }

    world
        .cognito
        .set_answer("RespondToAuthChallenge", tokens(&token));
    let proof =
        json!({"secret_block": "b", "signature": "s", "timestamp": "Sun Nov 22 10:00:00 UTC 2026"});
    let rows = [
        ("SMS_MFA", "code", json!("123456"), "SMS_MFA_CODE"),
        ("EMAIL_OTP", "code", json!("123456"), "EMAIL_OTP_CODE"),
        (
            "SOFTWARE_TOKEN_MFA",
            "code",
            json!("123456"),
            "SOFTWARE_TOKEN_MFA_CODE",
        ),
        (
            "NEW_PASSWORD_REQUIRED",
            "new_password",
            json!(PASSWORD),
            "NEW_PASSWORD",
        ),
        (
            "SELECT_MFA_TYPE",
            "method",
            json!("SOFTWARE_TOKEN_MFA"),
            "ANSWER",
        ),
        ("CUSTOM_CHALLENGE", "answer", json!("42"), "ANSWER"),
        ("A_NEW_ONE", "answer", json!("42"), "ANSWER"),
        (
            "PASSWORD_VERIFIER",
            "srp",
            proof,
            "PASSWORD_CLAIM_SIGNATURE",
        ),
    ];
    for (name, member, value, parameter) in rows {
        let mut body = json!({"challenge": name, "session": SESSION, "username": "5f7e-uuid"});
        body[member] = value;
        world.cognito.forget_requests();
        assert_eq!(
            ask(&api, &post("/auth/challenge", &body)).await.status,
            200,
            "A21 {name}"
        );
        let (operation, sent) = world.cognito.requests().remove(0);
        assert_eq!(
            (operation.as_str(), &sent["ChallengeName"]),
            ("RespondToAuthChallenge", &json!(name))
        );
        assert!(sent["ChallengeResponses"][parameter].is_string(), "{sent}");
        assert_eq!(sent["ChallengeResponses"]["USERNAME"], "5f7e-uuid", "A24");
        body["other"] = json!("x");
        assert_eq!(ask(&api, &post("/auth/challenge", &body)).await.status, 400);
    }
    let good = json!({"challenge": "SMS_MFA", "session": SESSION, "username": "a", "code": "1"});
    for (member, value) in [
        ("session", json!("short")),
        ("session", json!("x".repeat(4_097))),
        ("session", json!(null)),
        ("code", json!("")),
        ("code", json!("12 34")),
        ("challenge", json!("")),
        ("challenge", json!("lower")),
        ("answer", json!("two answers")),
    ] {
        let mut body = good.clone();
        body[member] = value;
        assert_eq!(
            ask(&api, &post("/auth/challenge", &body)).await.status,
            400,
            "A21 {body}"
        );
    }

    // Whoever must set up an authenticator to sign in does it within the challenge.
    world.cognito.set_answer(
        "AssociateSoftwareToken",
        json!({"SecretCode": "JBSWY3DPEHPK3PXP", "Session": SESSION}),
    );
    world.cognito.set_answer(
        "VerifySoftwareToken",
        json!({"Status": "SUCCESS", "Session": SESSION}),
    );
    let mut setup = json!({"challenge": "MFA_SETUP", "session": SESSION, "username": "ada"});
    let answer = ask(&api, &post("/auth/challenge", &setup)).await;
    assert_eq!(
        (answer.status, &answer.body["challenge"]),
        (200, &json!("MFA_SETUP"))
    );
    assert!(answer.body["qr_svg"].as_str().unwrap().contains("<svg"));
    setup["code"] = json!("123456");
    assert_eq!(
        ask(&api, &post("/auth/challenge", &setup)).await.body["token_type"],
        "Bearer"
    );
}

#[tokio::test]
async fn tokens_in_cookies() {
    let world = World::start().await;
    let (access, refresh) = ("__Host-access_token", "__Host-refresh_token");
    let origin = "https://app.example.com";
    let more = [
        ("TOKEN_COOKIE", access),
        ("REFRESH_COOKIE", refresh),
        ("ALLOWED_ORIGINS", origin),
    ];
    let api = world.function("auth-api", &more).await;
    let token = somebody();
    world.cognito.set_answer("InitiateAuth", tokens(&token));
    let login = json!({"email": "ada@example.com", "password": PASSWORD});
    let mut event = post("/auth/login", &login);
    event["headers"]["Origin"] = json!(origin);
    let answer = ask(&api, &event).await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &json!({"expires_in": 1800})),
        "A25"
    );
    assert_eq!(answer.cookies.len(), 2);
    for cookie in &answer.cookies {
        assert!(cookie.starts_with("__Host-"), "A25");
        for part in ["; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
            assert!(cookie.contains(part), "A25: {part}");
        }
        assert!(!cookie.contains("Domain"), "A25");
    }
    assert_eq!(answer.headers["access-control-allow-origin"], origin, "A27");
    assert_eq!(
        answer.headers["access-control-allow-credentials"], "true",
        "A27"
    );
    assert_eq!(answer.headers["vary"], "Origin", "A27");

    // A refresh takes the cookie, needs no body, and clears what doesn't work.
    world
        .cognito
        .set_answer("GetTokensFromRefreshToken", tokens(&token));
    let mut event = request("POST", "/auth/refresh", &json!(null));
    event["headers"] = json!({"Cookie": format!("{refresh}=opaque"), "Origin": origin});
    event["multiValueHeaders"] = json!(null);
    assert_eq!(ask(&api, &event).await.status, 200);
    world.cognito.set_fault(exception(
        "NotAuthorizedException",
        "Refresh Token has been revoked",
    ));
    let answer = ask(&api, &event).await;
    assert_eq!(answer.status, 401, "A22");
    assert!(
        answer.cookies.len() == 2 && answer.cookies.iter().all(|c| c.contains("Max-Age=0")),
        "A22"
    );
    world.cognito.set_fault(Fault::None);
    event["headers"]["Cookie"] = json!(format!("{refresh}=a; {refresh}=b"));
    assert_eq!(ask(&api, &event).await.status, 401, "A25: two of a name");

    // A token too long for a cookie is not handed over in part.
    let long = somebody().claim("cognito:groups", vec!["x".repeat(100); 60]);
    world.cognito.set_answer("InitiateAuth", tokens(&long));
    let answer = ask(&api, &post("/auth/login", &login)).await;
    assert_eq!((answer.status, answer.cookies.len()), (500, 0), "A25");

    // Nobody else's page gets anything done.
    let sent_by = |headers: Value| {
        let mut event = post("/auth/login", &login);
        for (name, value) in headers.as_object().unwrap() {
            event["headers"][name] = value.clone();
        }
        event
    };
    for (headers, expected) in [
        (json!({"Origin": "https://evil.example"}), 403),
        (json!({"Origin": "null"}), 403),
        (
            json!({"Origin": "null", "Sec-Fetch-Site": "same-origin"}),
            403,
        ),
        (json!({"Sec-Fetch-Site": "cross-site"}), 403),
        (
            json!({"Origin": "https://app.example.com.evil.example"}),
            403,
        ),
        (
            json!({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-site"}),
            403,
        ),
    ] {
        let answer = ask(&api, &sent_by(headers.clone())).await;
        assert_eq!(answer.status, expected, "A26: {headers}");
        assert_eq!(
            answer.headers["access-control-allow-origin"],
            json!(null),
            "A27"
        );
    }

    for (more, problem) in [
        (vec![("TOKEN_COOKIE", access)], "set together"),
        (
            vec![("TOKEN_COOKIE", "a"), ("REFRESH_COOKIE", "b")],
            "__Host-",
        ),
        (
            vec![("SIGN_UP_ATTRIBUTES", "name,email_verified")],
            "no user may set",
        ),
        (vec![("SIGN_IN_URL", "javascript:alert(1)")], "SIGN_IN_URL"),
        (vec![("APP_BASE_URL", "http://example.com")], "APP_BASE_URL"),
        (vec![("APP_CLIENT_IDS", "*")], "APP_CLIENT_IDS"),
    ] {
        let environment =
            auth_tests::environment("http://127.0.0.1:9/", "http://127.0.0.1:9", &more);
        let output = Binary::start_refused("auth-api", &environment).await;
        assert!(output.contains(problem), "X1: {output}");
    }
}

#[tokio::test]
async fn a_refresh_of_what_was_ended_is_refused() {
    let world = World::start().await;
    let api = api(&world).await;
    let logout = world.function("logout", &[]).await;
    let token = somebody();
    world
        .cognito
        .set_answer("GetTokensFromRefreshToken", tokens(&token));
    let refresh = post("/auth/refresh", &json!({"refresh_token": "opaque"}));
    assert_eq!(ask(&api, &refresh).await.status, 200);
    let bearer = format!("Bearer {}", token.build());
    let event = json!({"httpMethod": "POST", "headers": {"Authorization": bearer}});
    assert_eq!(ask(&logout, &event).await.status, 200);
    assert_eq!(
        status(&api, &refresh).await,
        (401, "invalid_credentials".to_owned()),
        "A23"
    );
    let revoked = world.cognito.requests();
    assert!(
        revoked
            .iter()
            .any(|(operation, _)| operation == "RevokeToken"),
        "A23"
    );
    world.store.set_fault(Fault::Cut);
    assert_eq!(
        ask(&api, &refresh).await.status,
        503,
        "what can't be known is not handed over"
    );
    world.store.set_fault(Fault::None);

    for (name, message) in [
        ("NotAuthorizedException", "Invalid Refresh Token."),
        ("NotAuthorizedException", "Refresh Token has expired"),
        ("InvalidParameterException", ""),
        ("UserNotFoundException", ""),
    ] {
        world
            .cognito
            .set_fault_for("GetTokensFromRefreshToken", exception(name, message));
        assert_eq!(
            status(&api, &refresh).await,
            (401, "invalid_credentials".to_owned()),
            "A22"
        );
    }
    for body in [
        json!({}),
        json!({"refresh_token": null}),
        json!({"refresh_token": ""}),
        json!({"refresh_token": "a\u{0}"}),
    ] {
        let answer = ask(&api, &post("/auth/refresh", &body)).await;
        assert!(answer.status == 400 || answer.status == 401, "A22: {body}");
    }

    // A token used twice: one of the two is a thief, and the session ends.
    let token = somebody();
    let reused = exception("RefreshTokenReuseException", "");
    world
        .cognito
        .set_fault_for("GetTokensFromRefreshToken", reused);
    assert!(world.passes(&token).await);
    let answer = ask(&api, &signed_in(refresh.clone(), &token)).await;
    assert_eq!(
        (answer.status, world.passes(&token).await),
        (401, false),
        "A20"
    );
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let world = World::start().await;
    let api = api(&world).await;
    let this = somebody();
    let other = signed_in_again(&this);
    let change = |keep: bool| json!({"current_password": PASSWORD, "new_password": "another-Passw0rd", "keep_session": keep});
    let route = "/auth/change-password";
    assert!(world.passes(&this).await && world.passes(&other).await);

    // Only who is signed in, with the token that the authorizer saw.
    assert_eq!(
        status(&api, &post(route, &change(true))).await,
        (401, "no_authorizer_context".to_owned()),
        "A40"
    );
    let mut event = signed_in(post(route, &change(true)), &this);
    event["headers"]["Authorization"] = json!(format!("Bearer {}", somebody().build()));
    assert_eq!(ask(&api, &event).await.status, 401, "A40: two people");
    let mut event = signed_in(post(route, &change(true)), &this);
    event["requestContext"]["authorizer"]["issuer"] = json!("elsewhere");
    assert_eq!(ask(&api, &event).await.status, 401, "A40");
    assert_eq!(world.cognito.requests(), []);

    // A wrong password ends nothing, however often.
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
            expected,
            "A33"
        );
    }
    world.cognito.set_fault(Fault::None);
    assert!(
        world.passes(&this).await && world.passes(&other).await,
        "A33"
    );

    let answer = ask(&api, &signed_in(post(route, &change(true)), &this)).await;
    assert_eq!(
        (answer.status, &answer.body["ended"]),
        (200, &json!("others")),
        "A32"
    );
    assert!(
        world.passes(&this).await && !world.passes(&other).await,
        "A32"
    );
    let later = signed_in_again(&this);
    assert!(world.passes(&later).await, "who signs in after that is in");
    let answer = ask(&api, &signed_in(post(route, &change(false)), &this)).await;
    assert_eq!(
        answer.body["ended"], "all",
        "A32: this one too unless asked"
    );
    assert!(!world.passes(&this).await && !world.passes(&later).await);

    // The password is changed, and the mark can't be written: the client is told, and Cognito asked.
    next_second().await;
    let this = somebody();
    world.store.set_fault(Fault::Cut);
    world.cognito.forget_requests();
    let answer = status(&api, &signed_in(post(route, &change(false)), &this)).await;
    assert_eq!(answer, (503, "sessions_not_ended".to_owned()), "A32");
    let asked = world.cognito.requests();
    assert!(
        asked
            .iter()
            .any(|(operation, _)| operation == "GlobalSignOut"),
        "A32: {asked:?}"
    );
}

#[tokio::test]
async fn ones_own_account() {
    let world = World::start().await;
    let api = api(&world).await;
    let token = somebody();
    world.cognito.set_answer("GetUser", json!({"Username": "u", "UserMFASettingList": ["SOFTWARE_TOKEN_MFA"], "UserAttributes": [
        {"Name": "sub", "Value": text_of(&token, "sub")}, {"Name": "email", "Value": "ada@example.com"},
        {"Name": "name", "Value": "<b>Ada</b>"}, {"Name": "custom:internal_rating", "Value": "7"},
    ]}));
    let get = request("GET", "/auth/me", &json!(null));
    assert_eq!(ask(&api, &get).await.status, 401, "A40");
    let answer = ask(&api, &signed_in(get, &token)).await;
    assert_eq!(
        answer.body["attributes"],
        json!({
            "sub": text_of(&token, "sub"), "email": "ada@example.com", "name": "<b>Ada</b>",
        })
    );
    assert_eq!(answer.body["mfa"], json!(["SOFTWARE_TOKEN_MFA"]));

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
        (200, &json!(["email"])),
        "A36"
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
        assert_eq!(ask(&api, &patch(attributes)).await.status, 400, "A8");
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
        assert!(!output.contains(secret), "A31: {secret}");
    }
}

#[tokio::test]
async fn too_many_attempts_are_stopped_here() {
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
        // Whoever asks for a number of addresses of their own gets none.
        event["headers"]["X-Forwarded-For"] = json!(unique("spoofed"));
        event
    };
    let first = unique("ada");
    // The window may turn in between; then the count begins anew, once.
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(ask(&api, &attempt(&first)).await.status);
    }
    assert_eq!(statuses[..3], [401, 401, 401]);
    assert!(statuses.contains(&429), "A38: by user: {statuses:?}");
    let mut statuses = Vec::new();
    for _ in 0..18 {
        statuses.push(ask(&api, &attempt(&unique("bob"))).await.status);
    }
    assert!(
        statuses.contains(&429),
        "A38, A29: by address: {statuses:?}"
    );
    world.store.set_fault(Fault::Cut);
    assert_eq!(
        ask(&api, &attempt(&unique("eve"))).await.status,
        503,
        "no limiter, no guesses"
    );
}

#[tokio::test]
async fn an_app_client_with_a_secret() {
    let world = World::start().await;
    let secret = json!({"ARN": "arn", "Name": "n", "VersionId": "v", "SecretString": "s3cr3t-of-the-client"});
    world.others.set_answer("GetSecretValue", secret);
    let others = world.others.url();
    let more = [
        (
            "APP_CLIENT_SECRET_ARN",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:x",
        ),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", others.as_str()),
    ];
    let api = world.function("auth-api", &more).await;
    let token = somebody();
    world.cognito.set_answer("InitiateAuth", tokens(&token));
    world
        .cognito
        .set_answer("GetTokensFromRefreshToken", tokens(&token));
    let login = json!({"email": "Ada@example.com", "password": PASSWORD});
    assert_eq!(ask(&api, &post("/auth/login", &login)).await.status, 200);
    let refresh = json!({"refresh_token": "opaque"});
    assert_eq!(
        ask(&api, &post("/auth/refresh", &refresh)).await.status,
        200
    );
    let asked = world.cognito.requests();
    // base64(hmac-sha256("s3cr3t-of-the-client", "ada@example.com" + client id)), by Python.
    assert_eq!(
        asked[0].1["AuthParameters"]["SECRET_HASH"], SECRET_HASH,
        "A24"
    );
    assert_eq!(asked[1].1["ClientSecret"], "s3cr3t-of-the-client", "A24");
    assert!(!api.output().contains("s3cr3t"));

    world.others.set_fault(Fault::Answer(400, "{}".to_owned()));
    let mut environment = auth_tests::environment("http://127.0.0.1:9/", &world.store.url(), &more);
    environment.push(("APP_BASE_URL", "https://app.example.com".to_owned()));
    let output = Binary::start_refused("auth-api", &environment).await;
    assert!(output.contains("secret could not be read"), "{output}");
}

const SECRET_HASH: &str = "xLo3/+7+KJfYTIL4SfK/uyV5Zo3FZv37+fSMVupHpUQ=";

/// The landing page behind the mail's link.
mod page {
    use super::{Fault, Value, World, api, ask, exception, json, request};

    /// Addresses that break what is not encoded.
    const ADDRESSES: &[&str] = &[
        "a+b&c%d@example.com",
        "\"><script>alert(1)</script>@example.com",
        "o'hara@example.com",
        "{{ 7*7 }}@example.com",
    ];

    fn open(email: &str, code: &str) -> Value {
        let mut event = request("GET", "/auth/confirm", &json!(null));
        event["queryStringParameters"] = json!({"email": email, "confirmationCode": code});
        event["headers"] = json!({"Accept": "text/html"});
        event
    }

    fn press(path: &str, form: &str) -> Value {
        let mut event = request("POST", path, &json!(null));
        event["headers"] = json!({
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": "https://app.example.com", "Sec-Fetch-Site": "same-origin",
        });
        event["multiValueHeaders"] = json!(null);
        event["body"] = json!(form);
        event
    }

    #[tokio::test]
    async fn opening_it_confirms_nothing() {
        let world = World::start().await;
        let api = api(&world).await;
        for email in ADDRESSES {
            let answer = ask(&api, &open(email, "123456")).await;
            let page = answer.body.as_str().unwrap();
            assert_eq!(answer.status, 200);
            assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
            let policy = answer.headers["content-security-policy"].as_str().unwrap();
            assert!(
                policy.starts_with("default-src 'none'; style-src 'sha256-"),
                "{policy}"
            );
            assert_eq!(answer.headers["referrer-policy"], "same-origin");
            assert_eq!(answer.headers["cache-control"], "no-store");
            assert!(!page.contains("<script") && !page.contains("49@"), "{page}");
            assert!(page.contains("<form method=\"post\" action=\"confirm\">"));
        }
        for event in [open("", ""), request("GET", "/auth/confirm", &json!(null))] {
            let page = ask(&api, &event).await.body;
            assert!(
                page.as_str().unwrap().contains("name=\"code\""),
                "typed by hand"
            );
        }
        assert_eq!(world.cognito.requests(), [], "C23");
    }

    #[tokio::test]
    async fn its_button_does() {
        let world = World::start().await;
        let api = api(&world).await;
        let form = "email=A%2Bb%26c%25d%40example.com&code=123456";
        let answer = ask(&api, &press("/auth/confirm", form)).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.as_str().unwrap().contains("is confirmed"));
        let (operation, sent) = world.cognito.requests().remove(0);
        assert_eq!(
            (operation.as_str(), &sent["Username"]),
            ("ConfirmSignUp", &json!("a+b&c%d@example.com"))
        );
        assert_eq!(sent["ConfirmationCode"], "123456");

        let mut pages = std::collections::BTreeSet::new();
        for (name, message) in [
            ("CodeMismatchException", ""),
            ("ExpiredCodeException", ""),
            (
                "NotAuthorizedException",
                "User cannot be confirmed. Current status is CONFIRMED",
            ),
            ("UserNotFoundException", ""),
        ] {
            world.cognito.set_fault(exception(name, message));
            let answer = ask(&api, &press("/auth/confirm", form)).await;
            assert_eq!(answer.status, 400);
            pages.insert(answer.body.to_string());
        }
        assert_eq!(pages.len(), 1, "one page for all of them");
        let page = pages.pop_first().unwrap();
        assert!(
            page.contains("used already")
                && page.contains("older than")
                && page.contains("newest mail")
        );
        assert!(page.contains("action=\\\"resend\\\""));
        world.cognito.set_fault(Fault::Cut);
        assert_eq!(ask(&api, &press("/auth/confirm", form)).await.status, 503);
        world.cognito.set_fault(Fault::None);

        let answer = ask(&api, &press("/auth/resend", "email=a%40example.com")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            world.cognito.requests().pop().unwrap().0,
            "ResendConfirmationCode"
        );
    }

    #[tokio::test]
    async fn nobody_elses_page_presses_it() {
        let world = World::start().await;
        let api = api(&world).await;
        let form = "email=a%40example.com&code=1";
        for (header, value, expected) in [
            ("Origin", json!("https://evil.example"), 403),
            ("Origin", json!("null"), 403),
            ("Content-Type", json!("text/plain"), 415),
        ] {
            let mut event = press("/auth/confirm", form);
            event["headers"][header] = value;
            event["headers"]["Sec-Fetch-Site"] = json!("cross-site");
            if expected == 415 {
                event["headers"]["Sec-Fetch-Site"] = json!("same-origin");
            }
            assert_eq!(ask(&api, &event).await.status, expected, "{header}");
        }
        let mut event = press("/auth/confirm", form);
        event["headers"] = json!({"Content-Type": "application/x-www-form-urlencoded"});
        assert_eq!(ask(&api, &event).await.status, 415, "A5: from nobody");
        assert_eq!(world.cognito.requests(), []);
    }

    #[tokio::test]
    async fn in_the_readers_language() {
        let world = World::start().await;
        let api = api(&world).await;
        let long = "x,".repeat(5_000);
        for (accept, lang) in [
            ("de-CH,de;q=0.9,en;q=0.8", "lang=\"de\" dir=\"ltr\""),
            ("ar", "lang=\"ar\" dir=\"rtl\""),
            ("fr, ja;q=0.5", "lang=\"ja\""),
            ("xx", "lang=\"en\""),
            (long.as_str(), "lang=\"en\""),
        ] {
            let mut event = open("a@example.com", "1");
            event["headers"]["Accept-Language"] = json!(accept);
            let page = ask(&api, &event).await.body;
            assert!(page.as_str().unwrap().contains(lang), "A43: {accept:.40}");
        }
    }
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
    let known: BTreeMap<String, &str> = auth_api::outcome::EXCEPTIONS
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
    assert!(seen > 50, "{seen}: the SDK's source looks otherwise now");
    let docs = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/outcomes.md"),
    )
    .unwrap();
    for (name, outcome) in auth_api::outcome::EXCEPTIONS {
        let row = format!("| `{name}` | {} | `{}` |", outcome.status(), outcome.code());
        assert!(docs.contains(&row), "docs/outcomes.md has no row {row}");
    }
}
