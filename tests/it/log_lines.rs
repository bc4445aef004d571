//! Log lines of auth-api and the authorizer about requests that were refused or failed: outcome, level, cause, route and
//! issuer, and no text of the client.

use auth_tests::{Authorizer, Verdict, environment};
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, FakeAws, Pool};

use crate::auth_api::{PASSWORD, exception, post, request, tokens};
use crate::auth_api_page::press;

/// The lines with this message.
fn lines(binary: &Binary, message: &str) -> Vec<Value> {
    let output = binary.output();
    let lines = output.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["message"] == message)
        .collect()
}

#[tokio::test]
async fn a_line_of_auth_api_has_the_outcome_that_the_client_got_and_the_route() {
    let (store, cognito) = (FakeAws::agreeable().await, FakeAws::agreeable().await);
    let cognito_url = cognito.url();
    let more = [
        ("REFRESH_TOKEN_TTL_SECONDS", "28800"),
        ("REFUSAL_GRID_MILLISECONDS", "0"),
        ("APP_NAME", "Example"),
        ("APP_BASE_URL", "https://app.example.com"),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &*cognito_url),
    ];
    let environment = environment("", &store.url(), &more);
    let api = Binary::start("auth-api", &environment).await;
    let refresh = post("/auth/refresh", &json!({"refresh_token": "opaque"}));
    let unreadable = post("/auth/refresh", &json!({"refresh_token": "a\u{0}"}));
    let login = post(
        "/auth/login",
        &json!({"email": "grace@example.com", "password": PASSWORD}),
    );
    let confirm = press(
        "/auth/confirm",
        "email=grace%40example.com&code=123456&password=Tr0ub4dor-and-3-secret",
    );
    let resend = press("/auth/resend", "email=grace%40example.com");
    let me = request("GET", "/auth/me", &json!(null));
    let unknown = request("GET", "/auth/grace@example.com", &json!(null));
    let wrong = || exception("NotAuthorizedException", "Incorrect username or password.");
    let failed = || exception("InternalErrorException", "m");
    let (warn, error) = ("WARN", "ERROR");
    let none = Value::Null;
    for (event, fault, status, level, outcome, cause, route) in [
        (
            &refresh,
            wrong(),
            401,
            warn,
            "invalid_credentials",
            &none,
            "POST /auth/refresh",
        ),
        (
            &unreadable,
            Fault::None,
            401,
            warn,
            "invalid_credentials",
            &none,
            "POST /auth/refresh",
        ),
        (
            &refresh,
            failed(),
            503,
            error,
            "unavailable",
            &json!("other"),
            "POST /auth/refresh",
        ),
        (
            &login,
            wrong(),
            401,
            warn,
            "invalid_credentials",
            &none,
            "POST /auth/login",
        ),
        (
            &confirm,
            exception("CodeMismatchException", "m"),
            400,
            warn,
            "invalid_code",
            &none,
            "POST /auth/confirm",
        ),
        (
            &resend,
            failed(),
            503,
            error,
            "unavailable",
            &json!("other"),
            "POST /auth/resend",
        ),
        (
            &me,
            Fault::None,
            401,
            warn,
            "no_authorizer_context",
            &none,
            "GET /auth/me",
        ),
        (&unknown, Fault::None, 404, warn, "no_such_route", &none, ""),
    ] {
        cognito.set_fault(fault);
        let answer = api.invoke(event).await.answer();
        let line = lines(&api, "auth api").pop().unwrap();
        assert_eq!(answer["statusCode"], status, "{line}");
        let found = (line["level"].as_str(), line["outcome"].as_str());
        assert_eq!(found, (Some(level), Some(outcome)), "{line}");
        assert_eq!(line.get("cause").unwrap_or(&none), cause, "{line}");
        assert_eq!(line["route"].as_str().unwrap_or_default(), route, "{line}");
        let failures = line.get("Failures").and_then(Value::as_u64);
        assert_eq!(failures, (level == error).then_some(1), "{line}");
    }
    // The store answers nothing that can be read, and Cognito has replaced the refresh token.
    cognito.set_fault(Fault::None);
    let token = Pool::ours().access_token();
    for operation in ["InitiateAuth", "GetTokensFromRefreshToken"] {
        cognito.set_answer(operation, tokens(&token));
    }
    let answer = api.invoke(&refresh).await.answer();
    assert_eq!(answer["statusCode"], 503);
    let line = lines(&api, "auth api").pop().unwrap();
    let members = ["level", "outcome", "cause"].map(|name| line[name].as_str().unwrap_or_default());
    let expected = ["ERROR", "revocations_unavailable", "invalid_response"];
    assert_eq!(members, expected, "{line}");
    assert!(!api.output().contains("grace"), "no text of a client");
}

#[tokio::test]
async fn a_refusal_names_the_configured_issuer_that_the_token_names() {
    let authorizer = Authorizer::start().await;
    let ours = Pool::ours();
    let expired = ours.access_token().claim("exp", 1).build();
    let forged = expired.rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    let foreign = ours
        .access_token()
        .claim("iss", "https://ada.example.com")
        .build();
    let known = json!(ours.id);
    for (token, issuer) in [
        (&*expired, &known),
        (&forged, &known),
        (&foreign, &Value::Null),
        ("nothing", &Value::Null),
    ] {
        assert_eq!(authorizer.verdict_on(token).await, Verdict::Unauthorized);
        let line = lines(&authorizer.binary, "decision").pop().unwrap();
        assert_eq!(&line["issuer"], issuer, "{line}");
        assert_eq!(line["subject_hash"], Value::Null, "{line}");
    }
    // A failure after the issuer is known.
    authorizer.store.set_fault(Fault::Cut);
    let valid = ours.access_token().build();
    assert_eq!(authorizer.verdict_on(&valid).await, Verdict::Failure);
    let line = lines(&authorizer.binary, "decision").pop().unwrap();
    assert_eq!(
        (&line["issuer"], &line["reason"]),
        (&known, &json!("revocations_unavailable"))
    );
    assert!(!authorizer.binary.output().contains("ada.example.com"));
}
