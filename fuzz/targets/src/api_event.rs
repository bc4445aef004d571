//! Requests to the functions behind routes, with the responses of AWS that the input chooses: a response is well-formed and
//! has no secret of the request, and a caller who is not known causes no call.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use admin::Admin;
use auth::memory::MemoryRevocations;
use auth_api::AuthApi;
use auth_sessions::MemoryBrowserSessions;
use connections::Connections;
use logout::Logout;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sessions::Sessions;
use testkit::{Pool, events};
use whoami::Whoami;

use crate::aws::Aws;
use crate::edit::edited;
use crate::input::Input;
use crate::{LOG_LEVEL, announce, asked, no_call_to_another_pool, no_row_of_another_pool, samples};

/// The routes with the bodies that they accept.
const ROUTES: [(&str, &str, &str, &str); 28] = [
    ("whoami", "GET", "/whoami", "null"),
    (
        "logout",
        "POST",
        "/auth/logout",
        r#"{"scope":"session","refresh_token":"R-secret-value-0001"}"#,
    ),
    ("logout", "POST", "/auth/logout", r#"{"scope":"all"}"#),
    (
        "auth-api",
        "POST",
        "/auth/signup",
        r#"{"email":"ada@example.com","password":"P-secret-value-0001","attributes":{"name":"Ada"}}"#,
    ),
    ("auth-api", "GET", "/auth/confirm", "null"),
    (
        "auth-api",
        "POST",
        "/auth/confirm",
        r#"{"email":"ada@example.com","code":"123456","password":"P-secret-value-0001"}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/resend",
        r#"{"email":"ada@example.com"}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/login",
        r#"{"username":"ada","password":"P-secret-value-0001"}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/login",
        r#"{"username":"ada","srp_a":"abcdef0123456789"}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/challenge",
        r#"{"challenge":"SOFTWARE_TOKEN_MFA","session":"S-secret-value-0001","username":"ada","code":"123456"}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/challenge",
        r#"{"challenge":"PASSWORD_VERIFIER","username":"ada","srp":{"secret_block":"ab","signature":"cd","timestamp":"Thu Nov 26 10:00:00 UTC 2026"}}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/refresh",
        r#"{"refresh_token":"R-secret-value-0001"}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/forgot-password",
        r#"{"username":"ada"}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/confirm-forgot-password",
        r#"{"username":"ada","code":"123456","password":"P-secret-value-0001"}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/change-password",
        r#"{"current_password":"P-secret-value-0001","new_password":"N-secret-value-0001","keep_session":true}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/mfa/totp",
        r#"{"current_password":"P-secret-value-0001"}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/mfa/totp/verify",
        r#"{"code":"123456"}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/mfa/totp/disable",
        r#"{"code":"123456"}"#,
    ),
    ("auth-api", "GET", "/auth/me", "null"),
    (
        "auth-api",
        "PATCH",
        "/auth/me",
        r#"{"attributes":{"name":"Ada"},"current_password":"P-secret-value-0001"}"#,
    ),
    (
        "auth-api",
        "POST",
        "/auth/me/verify",
        r#"{"attribute":"email","code":"123456"}"#,
    ),
    ("sessions", "GET", "/auth/sessions", "null"),
    (
        "sessions",
        "POST",
        "/auth/sessions",
        r#"{"device":"a phone"}"#,
    ),
    ("sessions", "DELETE", "/auth/sessions/{id}", "null"),
    (
        "admin",
        "POST",
        "/admin/users/{username}/disable",
        r#"{"reason":"a reason"}"#,
    ),
    ("admin", "GET", "/admin/users/{username}/marks", "null"),
    ("admin", "POST", "/admin/clients/{client_id}/revoke", "null"),
    ("admin", "POST", "/admin/everyone/revoke", "null"),
];
/// The functions of which the samples are read, too.
const SAMPLED: [&str; 6] = [
    "whoami",
    "logout",
    "auth-api",
    "sessions",
    "admin",
    "connections",
];

struct Functions {
    aws: Aws,
    whoami: Whoami,
    logout: Logout<MemoryRevocations, MemoryBrowserSessions>,
    auth_api: AuthApi<MemoryBrowserSessions>,
    with_cookies: AuthApi<MemoryBrowserSessions>,
    sessions: Sessions,
    admin: Admin,
    connections: Connections,
}

fn functions() -> &'static Functions {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let keys = Pool::ours().jwks().to_string();
        let variables = [
            ("LOG_LEVEL", LOG_LEVEL),
            ("APP_NAME", "Example"),
            ("REFRESH_TOKEN_TTL_SECONDS", "28800"),
            ("REFUSAL_GRID_MILLISECONDS", "0"),
            ("SIGN_IN_URL", "https://app.example.com"),
            ("SESSION_TABLE", "sessions"),
            ("CONNECTION_TABLE", "connections"),
            ("JWKS", &keys),
        ];
        let cookies = [
            ("COOKIE_MODE", "tokens"),
            ("ALLOWED_ORIGINS", "https://app.example.com"),
        ];
        let aws = Aws::default();
        let sdk = aws.sdk();
        let lookup = events::variables(&variables);
        let of_cookies = [&variables[..], &cookies].concat();
        let api = |lookup: &dyn Fn(&str) -> Option<String>| {
            let config = auth_api::Config::from_lookup(lookup).expect("a configuration");
            AuthApi::new(&sdk, config, None, None).unwrap_or_else(|error| panic!("{error}"))
        };
        let revocations = MemoryRevocations::default();
        Functions {
            whoami: Whoami,
            logout: Logout::new(
                &sdk,
                logout::Config::from_lookup(&lookup).expect("a configuration"),
                revocations,
                None,
                None,
            ),
            auth_api: api(&lookup),
            with_cookies: api(&events::variables(&of_cookies)),
            sessions: Sessions::new(
                &sdk,
                sessions::Config::from_lookup(&lookup).expect("a configuration"),
            ),
            admin: Admin::new(
                &sdk,
                admin::Config::from_lookup(&lookup).expect("a configuration"),
            ),
            connections: Connections::new(
                &sdk,
                connections::Config::from_lookup(&lookup).expect("a configuration"),
            ),
            aws,
        }
    })
}

/// A token of the pool, whose RSA signature takes a millisecond: a new one every ten minutes.
fn token() -> String {
    static TOKEN: Mutex<Option<(Instant, String)>> = Mutex::new(None);
    const AGE: Duration = Duration::from_secs(600);
    let mut token = TOKEN.lock().unwrap_or_else(PoisonError::into_inner);
    match &*token {
        Some((at, text)) if at.elapsed() < AGE => text.clone(),
        _ => {
            // Cognito's responses have another one.
            let text = Pool::ours().access_token().claim("jti", "the-callers");
            let text = text.build();
            *token = Some((Instant::now(), text.clone()));
            text
        }
    }
}

/// Runs the target.
///
/// # Panics
/// A response is malformed or has a secret, or a call is made for a caller who is not known.
pub fn run(bytes: &[u8]) {
    announce(bytes);
    let mut input = Input::new(bytes);
    let variant = input.below(3);
    let at = input.below(64);
    let script = input.bytes();
    let body_program = input.program();
    let (function, json) = match variant {
        0 => {
            let function = SAMPLED[at % SAMPLED.len()];
            (
                function,
                String::from_utf8_lossy(input.bytes()).into_owned(),
            )
        }
        1 => {
            let function = SAMPLED[at % SAMPLED.len()];
            let samples = samples(function);
            let sample = &samples[at / SAMPLED.len() % samples.len()];
            (function, edited(sample, &input.program()))
        }
        _ => {
            let (function, method, route, body) = ROUTES[at % ROUTES.len()];
            let body: Value = serde_json::from_str(body).expect("JSON");
            let body = edited(&body, &body_program);
            let parameters = json!({"id": "a-session", "username": "ada", "client_id": "a-client"});
            let context = events::caller();
            let mut event = events::rest(method, route, &parameters, &context, &Value::Null);
            let authorization = format!("Bearer {}", token());
            event["headers"]["Authorization"] = authorization.as_str().into();
            event["multiValueHeaders"]["Authorization"] = [authorization].as_slice().into();
            event["body"] = body.into();
            (function, edited(&event, &input.program()))
        }
    };
    let json = json.replace("{{ACCESS_TOKEN}}", &token());
    let Ok(event) = serde_json::from_str::<Box<RawValue>>(&json) else {
        return;
    };
    let all = functions();
    all.aws.follow(script);
    let answer = match function {
        "whoami" => asked(&all.whoami, &event),
        "logout" => asked(&all.logout, &event),
        "auth-api" if at.is_multiple_of(2) => asked(&all.with_cookies, &event),
        "auth-api" => asked(&all.auth_api, &event),
        "sessions" => asked(&all.sessions, &event),
        "admin" => asked(&all.admin, &event),
        _ => asked(&all.connections, &event),
    };
    let calls = all.aws.calls();
    no_call_to_another_pool(&calls);
    // Of connections, the context names the user's issuer, which may be any trusted one.
    if function != "connections" {
        no_row_of_another_pool(&calls);
    }
    let read: Value = serde_json::from_str(&json).unwrap_or_default();
    if matches!(function, "sessions" | "admin") {
        // As the authorizer names the issuer of the token.
        let issuer = &read["requestContext"]["authorizer"]["issuer"];
        assert!(
            read.is_null() || *issuer == Pool::ours().id || calls.is_empty(),
            "{function}: a call for an unknown caller"
        );
    }
    let Ok(answer) = answer else {
        return;
    };
    well_formed(&answer, function);
    has_no_secret(&answer, &json, &read);
}

fn well_formed(answer: &Value, function: &str) {
    let status = answer["statusCode"].as_u64().expect("a status");
    assert!((200..600).contains(&status), "{status}");
    let headers = answer["headers"].as_object().into_iter().flatten();
    let several = answer["multiValueHeaders"]
        .as_object()
        .into_iter()
        .flatten();
    let several = several.flat_map(|(name, values)| {
        let values = values.as_array().expect("a list");
        values.iter().map(move |value| (name, value))
    });
    for (name, value) in headers.chain(several) {
        http::HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        let value = value.as_str().expect("text");
        http::HeaderValue::from_str(value).expect("a header value");
        if name.eq_ignore_ascii_case("set-cookie") {
            let lower = value.to_ascii_lowercase();
            assert!(
                lower.contains("; httponly") && lower.contains("; secure"),
                "{name}"
            );
            assert!(value.is_ascii());
        }
    }
    if function == "connections" {
        return;
    }
    let body = answer["body"].as_str().expect("a body");
    let is_page = body.trim_start().starts_with('<');
    assert!(is_page || body.is_empty() || serde_json::from_str::<Value>(body).is_ok());
    if is_page {
        assert!(
            !body.contains("<b>") && !body.contains("javascript:"),
            "markup of the request"
        );
    }
}

fn has_no_secret(answer: &Value, json: &str, event: &Value) {
    let answer = answer.to_string();
    for secret in [
        "P-secret-value-0001",
        "N-secret-value-0001",
        "R-secret-value-0001",
    ] {
        // A copy may stand where a response repeats it.
        let is_once = json.matches(secret).count() == 1;
        assert!(
            !is_once || !answer.contains(secret),
            "a secret of the request"
        );
    }
    let token = token();
    let signature = token.rsplit('.').next().unwrap_or_default();
    // Responses repeat the request's id, and whoami the context: the event has no token there, but a copy may.
    let mut others = event.clone();
    if let Some(members) = others.as_object_mut() {
        members
            .retain(|name, _| !["headers", "multiValueHeaders", "body"].contains(&name.as_str()));
    }
    // A number that `Value` cannot hold hides where the token is, and one of two members of a name.
    let is_copied = event.is_null() || json.matches(signature).count() > 2;
    let is_elsewhere = is_copied || others.to_string().contains(signature);
    assert!(
        is_elsewhere || !answer.contains(signature),
        "the caller's token"
    );
}
