//! Which attempts count, over a fake Cognito and a table that counts.

use auth::Secret;
use auth_api::{AuthApi, Config};
use runtime::Handler;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, Pool, events};

const PASSWORD: &str = "Tr0ub4dor-and-3-secret";
const SESSION: &str = "a-session-of-twenty-characters";

/// The function with an app client's secret, which admits three attempts for a user.
async fn api() -> (AuthApi, FakeAws) {
    let limits = [("ATTEMPT_TABLE", "attempts"), ("ATTEMPTS_PER_USER", "3")];
    api_with(&limits).await
}

async fn api_with(limits: &[(&str, &str)]) -> (AuthApi, FakeAws) {
    let aws = FakeAws::with_tables().await;
    let user = json!({
        "Username": "ada", "UserAttributes": [{"Name": "email", "Value": "ada@example.com"}],
    });
    aws.set_answer("GetUser", user);
    let variables = [
        ("REFUSAL_GRID_MILLISECONDS", "0"),
        ("SIGN_IN_URL", "https://app.example.com"),
    ];
    let variables = [&variables[..], limits].concat();
    let config = Config::from_lookup(&events::variables(&variables)).unwrap();
    let secret = Some(Secret::new("s3cr3t-of-the-client".to_owned()));
    (AuthApi::new(&aws.sdk(), config, secret, None).unwrap(), aws)
}

fn request(method: &str, route: &str, body: &Value) -> Value {
    json!({
        "resource": route, "path": route, "httpMethod": method,
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "body": body.to_string(), "isBase64Encoded": false,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "203.0.113.9"}},
    })
}

/// The same request from a signed-in user.
fn signed_in(mut event: Value) -> Value {
    let token = Pool::ours().access_token();
    event["headers"]["Authorization"] = json!(format!("Bearer {}", token.build()));
    event["requestContext"]["authorizer"] = json!({
        "principalId": token.get("sub"), "sub": token.get("sub"), "issuer": Pool::ours().id,
        "client_id": token.get("client_id"), "session": token.get("origin_jti"),
        "auth_time": token.get("auth_time").to_string(),
    });
    event
}

async fn status(api: &AuthApi, event: &Value) -> u16 {
    let response = api.handle(&events::raw(event), "request-1").await;
    response.unwrap().status()
}

fn fail_every_call(aws: &FakeAws, message: &str) {
    let refused = json!({"__type": "NotAuthorizedException", "message": message}).to_string();
    let fault = || Fault::Answer(400, refused.clone());
    aws.set_fault_for("InitiateAuth", fault());
    for operation in [
        "RespondToAuthChallenge",
        "GetTokensFromRefreshToken",
        "SignUp",
        "ConfirmSignUp",
        "ResendConfirmationCode",
        "ForgotPassword",
        "ConfirmForgotPassword",
    ] {
        aws.add_fault_for(operation, fault());
    }
}

/// Cognito compares the secret before anything that the user sent.
#[tokio::test]
async fn a_wrong_secret_of_the_app_client_uses_up_no_attempts() {
    let email = json!({"email": "ada@example.com"});
    let login = json!({"email": "ada@example.com", "password": PASSWORD});
    let coded = json!({"email": "ada@example.com", "code": "123456", "password": PASSWORD});
    let post = |route: &str, body: &Value| request("POST", route, body);
    let rows = [
        post("/auth/login", &login),
        post(
            "/auth/login",
            &json!({"email": "ada@example.com", "srp_a": "A".repeat(64)}),
        ),
        post("/auth/refresh", &json!({"refresh_token": "opaque"})),
        post("/auth/signup", &login),
        post("/auth/confirm", &coded),
        post("/auth/resend", &email),
        post("/auth/forgot-password", &email),
        post("/auth/confirm-forgot-password", &coded),
        signed_in(request(
            "PATCH",
            "/auth/me",
            &json!({"attributes": {"email": "eve@example.com"}, "current_password": PASSWORD}),
        )),
    ];
    for event in rows {
        let (api, aws) = api().await;
        fail_every_call(&aws, "Unable to verify secret hash for client c");
        for _ in 0..3 {
            assert_eq!(status(&api, &event).await, 500, "{event}");
        }
        let counted = aws.attempts();
        assert!(!counted.is_empty(), "{event}");
        let left = counted.iter().filter(|(_, count)| **count != 0);
        assert_eq!(left.count(), 0, "{counted:?}: {event}");

        // The operator has corrected the secret.
        fail_every_call(&aws, "Incorrect username or password.");
        assert_ne!(status(&api, &event).await, 429, "{event}");
        assert!(aws.attempts().values().any(|count| *count > 0), "{event}");
    }
}

/// For a name other than Cognito's own, such as the email address, Cognito reports a wrong secret.
#[tokio::test]
async fn another_name_in_a_challenge_is_refused_and_counted() {
    let post = |route: &str, body: &Value| request("POST", route, body);
    let rows = [
        post(
            "/auth/challenge",
            &json!({"challenge": "SOFTWARE_TOKEN_MFA", "session": SESSION, "username": "ada@example.com", "code": "123456"}),
        ),
        post(
            "/auth/challenge",
            &json!({"challenge": "PASSWORD_VERIFIER", "session": SESSION, "username": "ada@example.com",
                "srp": {"secret_block": "b", "signature": "s", "timestamp": "t"}}),
        ),
    ];
    for event in rows {
        let (api, aws) = api().await;
        fail_every_call(&aws, "Unable to verify secret hash for client c");
        assert_eq!(status(&api, &event).await, 401, "{event}");
        assert!(aws.attempts().values().any(|count| *count > 0), "{event}");
    }
}

/// The name by which Cognito simulates the challenge of an unconfirmed account cannot be computed by a client.
#[tokio::test]
async fn the_challenge_of_an_unconfirmed_account_is_that_of_a_secret_name() {
    let login = json!({"email": "ada@example.com", "srp_a": "A".repeat(64)});
    let event = request("POST", "/auth/login", &login);
    let mut names = Vec::new();
    for _ in 0..2 {
        let (api, aws) = api_with(&[]).await;
        let simulated = json!({
            "ChallengeName": "PASSWORD_VERIFIER",
            "ChallengeParameters": {"SALT": "5a17", "SRP_B": "b", "USER_ID_FOR_SRP": "01234567-uuid"},
        });
        aws.set_answer("InitiateAuth", simulated);
        let unconfirmed = json!({"__type": "UserNotConfirmedException", "message": "x"});
        aws.set_fault_times(Fault::Answer(400, unconfirmed.to_string()), 1);
        assert_eq!(status(&api, &event).await, 200);
        let asked = aws.requests().into_iter();
        let asked = asked.filter(|(operation, _)| operation == "InitiateAuth");
        let asked: Vec<Value> = asked
            .map(|(_, body)| body["AuthParameters"]["USERNAME"].clone())
            .collect();
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert_eq!(asked[0], "ada@example.com");
        names.push(asked[1].clone());
    }
    assert_eq!(names[0], names[1], "the salt of a name is always the same");
    let digest = "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72";
    assert_ne!(names[0], format!("{digest}@unused.invalid"));
}

fn proof(name: &str) -> Value {
    let srp = json!({"secret_block": "b", "signature": "s", "timestamp": "t"});
    let body = json!({"challenge": "PASSWORD_VERIFIER", "username": name, "srp": srp});
    request("POST", "/auth/challenge", &body)
}

#[tokio::test]
async fn proofs_under_all_spellings_of_a_name_share_one_count() {
    let names = ["zoe\u{308}", "zo\u{eb}", "ZOE\u{308}", "Zo\u{eb}"];
    let in_one_case = ["zoe\u{308}", "zo\u{eb}", "zoe\u{308}", "zo\u{eb}"];
    for (case_sensitive, names, expected) in [
        ("false", names, [401, 401, 401, 429]),
        ("true", in_one_case, [401, 401, 401, 429]),
        // Two other names.
        ("true", names, [401, 401, 401, 401]),
    ] {
        let (api, aws) = api_with(&[
            ("ATTEMPT_TABLE", "attempts"),
            ("ATTEMPTS_PER_USER", "3"),
            ("USERNAME_CASE_SENSITIVE", case_sensitive),
        ])
        .await;
        fail_every_call(&aws, "Incorrect username or password.");
        let mut statuses = Vec::new();
        for name in names {
            statuses.push(status(&api, &proof(name)).await);
        }
        assert_eq!(statuses, expected, "{case_sensitive} {names:?}");
        // Cognito gets each name as it was sent.
        let asked = aws.requests().into_iter();
        let asked: Vec<Value> = asked
            .filter(|(operation, _)| operation == "RespondToAuthChallenge")
            .map(|(_, body)| body["ChallengeResponses"]["USERNAME"].clone())
            .collect();
        let admitted = expected.iter().filter(|status| **status == 401).count();
        let sent: Vec<Value> = names.into_iter().take(admitted).map(Value::from).collect();
        assert_eq!(asked, sent, "{case_sensitive}");
    }
}
