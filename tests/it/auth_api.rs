//! auth-api: its requests, its responses, and what they reveal.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, Pool, TokenBuilder};

use crate::world::{World, unique, user_token};

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
    // The first step of SRP, which proves nothing, has ten times the limit, for one network.
    world.cognito.set_fault(Fault::None);
    let challenge = json!({"ChallengeName": "PASSWORD_VERIFIER", "ChallengeParameters": {}});
    world.cognito.set_answer("InitiateAuth", challenge);
    let more = more.map(|(name, value)| match name {
        "ATTEMPTS_PER_ADDRESS" => (name, "100"),
        _ => (name, value),
    });
    let busy = world.function("auth-api", &more).await;
    let srp = |name: &str, address: &str| {
        let body = json!({"username": name, "srp_a": "A".repeat(64)});
        from(post("/auth/login", &body), address)
    };
    let (name, address) = (unique("srp"), unique("address"));
    let mut statuses = Vec::new();
    for _ in 0..31 {
        statuses.push(ask(&busy, &srp(&name, &address)).await.status);
    }
    assert_eq!(statuses[..30], [200; 30]);
    assert_eq!(statuses[30], 429);
    assert_eq!(ask(&busy, &srp(&name, &unique("owner"))).await.status, 200);
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    world.cognito.set_fault(wrong);
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
