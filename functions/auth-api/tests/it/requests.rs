//! auth-api's requests: what is malformed, which routes exist, and what reaches Cognito, over a fake AWS.

use std::collections::BTreeMap;

use auth_api::{AuthApi, Config};
use runtime::Handler;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, Pool, TokenBuilder, events};

const PASSWORD: &str = "Tr0ub4dor-and-3-secret";

/// A request as API Gateway's REST API sends it.
fn request(method: &str, route: &str, body: &Value) -> Value {
    json!({
        "resource": route, "path": route, "httpMethod": method,
        "headers": {"Content-Type": "application/json", "Host": "evil.example"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "queryStringParameters": null, "pathParameters": null,
        "body": if body.is_null() { json!(null) } else { json!(body.to_string()) },
        "isBase64Encoded": false,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "203.0.113.9"}},
    })
}

fn post(route: &str, body: &Value) -> Value {
    request("POST", route, body)
}

/// The same request with the context that the authorizer adds for this token.
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
}

async fn ask(api: &AuthApi, event: &Value) -> Answer {
    let response = api.handle(&events::raw(event), "request-1").await.unwrap();
    let answer = serde_json::to_value(&response).unwrap();
    let body = answer["body"].as_str().unwrap();
    Answer {
        status: answer["statusCode"].as_u64().unwrap(),
        body: serde_json::from_str(body).unwrap_or_else(|_| json!(body)),
        headers: answer["headers"].clone(),
    }
}

async fn status(api: &AuthApi, event: &Value) -> (u64, String) {
    let answer = ask(api, event).await;
    let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
    (answer.status, code)
}

fn tokens(token: &TokenBuilder<'_>) -> Value {
    json!({"AuthenticationResult": {
        "AccessToken": token.build(), "IdToken": Pool::ours().id_token().build(),
        "RefreshToken": "refresh.token.opaque", "ExpiresIn": 1800, "TokenType": "Bearer",
    }, "ChallengeParameters": {}})
}

/// The function, and the services that it calls.
async fn api() -> (AuthApi, FakeAws) {
    let aws = FakeAws::agreeable().await;
    let variables = [
        (
            "RETRY_QUEUE_URL",
            "https://sqs.us-east-1.amazonaws.com/123456789012/retry",
        ),
        ("APP_NAME", "Example"),
        ("REFRESH_TOKEN_TTL_SECONDS", "28800"),
        ("REFUSAL_GRID_MILLISECONDS", "0"),
        ("SIGN_IN_URL", "https://app.example.com"),
    ];
    let config = Config::from_lookup(&events::variables(&variables)).unwrap();
    (AuthApi::new(&aws.sdk(), config, None, None).unwrap(), aws)
}

#[tokio::test]
async fn malformed_requests_never_reach_cognito() {
    let (api, aws) = api().await;
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
    // A repeated name, which JSON allows: also one with an escape, and with the same value.
    for attributes in [
        r#"{"name":"A","name":"B"}"#,
        r#"{"name":"A","nickname":"b","n\u0061me":"A"}"#,
    ] {
        let texts = [
            (
                "POST",
                "/auth/signup",
                format!(
                    r#"{{"email":"a@example.com","password":"{PASSWORD}","attributes":{attributes}}}"#
                ),
            ),
            (
                "POST",
                "/auth/challenge",
                format!(
                    r#"{{"challenge":"NEW_PASSWORD_REQUIRED","session":"{}","username":"ada",
                        "new_password":"{PASSWORD}","attributes":{attributes}}}"#,
                    "s".repeat(20)
                ),
            ),
            (
                "PATCH",
                "/auth/me",
                format!(r#"{{"attributes":{attributes}}}"#),
            ),
        ];
        for (method, route, text) in texts {
            let mut event = request(method, route, &json!({}));
            event["body"] = json!(text);
            let event = signed_in(event, &Pool::ours().access_token());
            assert_eq!(ask(&api, &event).await.status, 400, "{route} {text}");
        }
    }
    for name in ["not an address", "\u{212a}ate@example.com", "a@b"] {
        let body = json!({"email": name, "password": PASSWORD});
        assert_eq!(ask(&api, &post("/auth/signup", &body)).await.status, 400);
    }
    assert_eq!(
        aws.requests(),
        [],
        "malformed requests do not reach Cognito"
    );

    // Spaces inside a password are part of it, on every route that takes one.
    let phrase = "correct  horse battery staple";
    let token = Pool::ours().access_token();
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
        aws.forget_requests();
        ask(&api, &event).await;
        let sent = aws.requests();
        let found = sent.iter().find_map(|(_, body)| body.pointer(pointer));
        assert_eq!(found, Some(&json!(phrase)), "{pointer}: {sent:?}");
    }

    // The same body is valid in the other event formats.
    aws.set_answer("InitiateAuth", tokens(&Pool::ours().access_token()));
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
    let (api, aws) = api().await;
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
    assert_eq!(aws.requests(), []);
}

#[tokio::test]
async fn calls_that_change_something_are_not_retried() {
    let (api, aws) = api().await;
    let coded = json!({"email": "ada@example.com", "code": "123456", "password": PASSWORD});
    for fault in [
        Fault::Cut,
        Fault::Answer(500, "{}".to_owned()),
        Fault::Answer(503, String::new()),
    ] {
        aws.forget_requests();
        aws.set_fault(fault);
        let answer = status(&api, &post("/auth/confirm", &coded)).await;
        assert_eq!(answer, (503, "unavailable".to_owned()));
        let requests = aws.requests();
        let confirmed = requests.iter().filter(|(name, _)| name == "ConfirmSignUp");
        assert_eq!(confirmed.count(), 1, "the call is not retried");
    }
}

#[tokio::test]
async fn usernames_are_normalised_on_every_route() {
    let (api, aws) = api().await;
    aws.set_answer("InitiateAuth", tokens(&Pool::ours().access_token()));
    for name in ["Ada@Example.com", "ADA@EXAMPLE.COM", "ada@example.com"] {
        let body = json!({"email": name, "password": PASSWORD});
        assert_eq!(ask(&api, &post("/auth/login", &body)).await.status, 200);
        assert_eq!(ask(&api, &post("/auth/signup", &body)).await.status, 202);
    }
    let names: std::collections::BTreeSet<String> = aws
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

/// The ids of the calls to Cognito that were noted as Gatehouse's own.
fn noted(aws: &FakeAws) -> Vec<String> {
    let writes = aws.requests().into_iter();
    let partitions = writes.filter_map(|(operation, sent)| {
        let partition = sent["Key"]["pk"]["S"].as_str()?.to_owned();
        let prefix = format!("{}#call#", Pool::ours().id);
        let id = partition.strip_prefix(&prefix)?;
        (operation == "UpdateItem").then(|| id.to_owned())
    });
    partitions.collect()
}

/// The tasks for logout-retry.
fn queued(aws: &FakeAws) -> Vec<Value> {
    let requests = aws.requests().into_iter();
    let sent = requests.filter(|(operation, _)| operation == "SendMessage");
    sent.map(|(_, sent)| serde_json::from_str(sent["MessageBody"].as_str().unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn the_end_of_a_proofs_session_is_noted_as_a_call_of_gatehouse() {
    let token = Pool::ours().access_token();
    let totp = post("/auth/mfa/totp", &json!({"current_password": PASSWORD}));
    let totp = signed_in(totp, &token);
    let failed = || Fault::Answer(500, "{}".to_owned());
    for (fault, notes, tasks) in [
        (None, 1, 0),
        // The proof does not depend on the note.
        (Some("UpdateItem"), 1, 0),
        // Then logout-retry notes its own call.
        (Some("RevokeToken"), 0, 1),
    ] {
        let (api, aws) = api().await;
        aws.set_answer("InitiateAuth", tokens(&token));
        aws.set_answer("GetUser", json!({"Username": "ada", "UserAttributes": []}));
        aws.set_answer(
            "AssociateSoftwareToken",
            json!({"SecretCode": "JBSWY3DPEHPK3PXP"}),
        );
        if let Some(operation) = fault {
            aws.set_fault_for(operation, failed());
        }
        let answer = ask(&api, &totp).await;
        assert_eq!(answer.status, 200, "{fault:?} {}", answer.body);
        let operations = aws.operations();
        let at = operations.iter().position(|name| name == "RevokeToken");
        let own = format!("RevokeToken-{}", at.unwrap() + 1);
        let mut noted = noted(&aws);
        noted.dedup();
        assert_eq!(noted, vec![own; notes], "{fault:?}");
        let queued = queued(&aws);
        assert_eq!(queued.len(), tasks, "{fault:?}");
        assert!(queued.iter().all(|task| task["record_revokes"].is_null()));
    }
}

#[tokio::test]
async fn the_end_of_a_stolen_session_is_not_noted() {
    let reuse = json!({"__type": "RefreshTokenReuseException", "message": "x"});
    let refresh = post(
        "/auth/refresh",
        &json!({"refresh_token": "refresh.token.opaque"}),
    );
    for is_queued in [false, true] {
        let (api, aws) = api().await;
        if is_queued {
            aws.set_fault_for("RevokeToken", Fault::Answer(500, "{}".to_owned()));
        }
        let refused = Fault::Answer(400, reuse.to_string());
        aws.add_fault_for("GetTokensFromRefreshToken", refused);
        assert_eq!(ask(&api, &refresh).await.status, 401);
        assert!(aws.operations().contains(&"RevokeToken".to_owned()));
        assert_eq!(noted(&aws), Vec::<String>::new());
        let tasks = queued(&aws);
        assert_eq!(tasks.len(), usize::from(is_queued));
        assert!(tasks.iter().all(|task| task["record_revokes"] == true));
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
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/outcomes.md"),
    )
    .unwrap();
    for (name, outcome) in auth_api::exceptions::EXCEPTIONS {
        let row = format!("| `{name}` | {} | `{}` |", outcome.status(), outcome.code());
        assert!(docs.contains(&row), "docs/outcomes.md has no row {row}");
    }
}
