//! auth-api: tokens in cookies, and the origins that may send them.

use serde_json::{Value, json};
use testkit::Binary;
use testkit::server::Fault;

use crate::auth_api::{PASSWORD, ask, exception, post, request, tokens};
use crate::world::{World, user_token};

#[tokio::test]
async fn tokens_are_kept_in_cookies() {
    let world = World::start().await;
    let (access, refresh) = ("__Host-access_token", "__Host-refresh_token");
    let origin = "https://app.example.com";
    let more = [
        ("TOKEN_COOKIE", access),
        ("REFRESH_COOKIE", refresh),
        ("ALLOWED_ORIGINS", origin),
    ];
    let api = world.function("auth-api", &more).await;
    let token = user_token();
    world.cognito.set_answer("InitiateAuth", tokens(&token));
    let login = json!({"email": "ada@example.com", "password": PASSWORD});
    let mut event = post("/auth/login", &login);
    event["headers"]["Origin"] = json!(origin);
    let answer = ask(&api, &event).await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &json!({"expires_in": 1800}))
    );
    assert_eq!(answer.cookies.len(), 2);
    for cookie in &answer.cookies {
        assert!(cookie.starts_with("__Host-"));
        for part in ["; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
            assert!(cookie.contains(part), "{part}");
        }
        assert!(!cookie.contains("Domain"));
    }
    assert_eq!(answer.headers["access-control-allow-origin"], origin);
    assert_eq!(answer.headers["access-control-allow-credentials"], "true");
    assert_eq!(answer.headers["vary"], "Origin");

    // HTTP APIs with payload 2.0 and function URLs read cookies from a separate list.
    let http = json!({"version": "2.0", "routeKey": "POST /auth/login", "rawPath": "/auth/login",
        "headers": {"content-type": "application/json"}, "body": login.to_string(),
        "requestContext": {"http": {"method": "POST", "sourceIp": "203.0.113.9"}, "stage": "$default"}});
    let listed = api.invoke(&http).await.answer();
    assert_eq!(listed["cookies"], json!(answer.cookies));
    assert_eq!(listed["multiValueHeaders"], json!(null));

    // A refresh reads the cookie, needs no body, and deletes cookies that are not valid.
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
    assert_eq!(answer.status, 401);
    assert!(answer.cookies.len() == 2 && answer.cookies.iter().all(|c| c.contains("Max-Age=0")));
    world.cognito.set_fault(Fault::None);
    event["headers"]["Cookie"] = json!(format!("{refresh}=a; {refresh}=b"));
    assert_eq!(
        ask(&api, &event).await.status,
        401,
        "two cookies of one name"
    );

    // A token that is too long for a cookie is an error, without any cookie.
    let long = user_token().claim("cognito:groups", vec!["x".repeat(100); 60]);
    world.cognito.set_answer("InitiateAuth", tokens(&long));
    let answer = ask(&api, &post("/auth/login", &login)).await;
    assert_eq!((answer.status, answer.cookies.len()), (500, 0));
    let last = || world.cognito.requests().pop().unwrap();
    let revoked = |token: &str| ("RevokeToken".to_owned(), json!(token));
    let (operation, sent) = last();
    let expected = revoked("refresh.token.opaque");
    assert_eq!(
        (operation, sent["Token"].clone()),
        expected,
        "the session is revoked"
    );
    // The same after a refresh, since the browser has no cookie left to revoke the session with.
    let mut rotated = tokens(&long);
    for (refresh, expected) in [(json!("rotated"), "rotated"), (json!(null), "opaque")] {
        rotated["AuthenticationResult"]["RefreshToken"] = refresh;
        world
            .cognito
            .set_answer("GetTokensFromRefreshToken", rotated.clone());
        event["headers"]["Cookie"] = json!("__Host-refresh_token=opaque");
        let answer = ask(&api, &event).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (500, &json!("cookie_too_large"))
        );
        assert!(
            answer.cookies.iter().all(|c| c.contains("Max-Age=0")),
            "{:?}",
            answer.cookies
        );
        let (operation, sent) = last();
        assert_eq!((operation, sent["Token"].clone()), revoked(expected));
    }

    // Requests from pages of other origins are rejected.
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
        assert_eq!(answer.status, expected, "{headers}");
        assert_eq!(answer.headers["access-control-allow-origin"], json!(null));
    }

    for (more, problem) in [
        (vec![("TOKEN_COOKIE", access)], "set together"),
        (
            vec![("TOKEN_COOKIE", "a"), ("REFRESH_COOKIE", "b")],
            "__Host-",
        ),
        // The access token's cookie is sent to every route, so it needs the prefix __Host-.
        (
            vec![("TOKEN_COOKIE", "__Secure-a"), ("REFRESH_COOKIE", refresh)],
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
        assert!(output.contains(problem), "{output}");
    }
}
