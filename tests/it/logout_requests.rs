//! The requests that logout accepts: methods, bodies, and cookies with their origins and redirects.

use serde_json::{Value, json};
use testkit::Pool;
use testkit::server::Fault;

use crate::logout::{LogoutFixture, proxy_event};
use crate::world::{World, refreshed, text_of, unique, user_token};

#[tokio::test]
async fn rejects_malformed_requests() {
    let fixture = LogoutFixture::start().await;
    let token = user_token().build();
    fixture.store.forget_requests();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post", ""] {
        let mut event = proxy_event(Some(&token));
        event["httpMethod"] = json!(method);
        assert_eq!(fixture.send(&event).await.0, 405, "{method}");
    }
    for body in [
        "x",
        "[]",
        "null",
        "7",
        r#""all""#,
        r#"["all"]"#,
        "{} {}",
        r#"{"scope":"all""#,
        r#"{"scope":"everything"}"#,
        r#"{"scope":true}"#,
        r#"{"scope":null}"#,
        r#"{"all":"true"}"#,
        r#"{"scope":"session","scope":"all"}"#,
        r#"{"scope":"all","extra":1}"#,
        r#"{"refresh_token":7}"#,
        "\u{feff}{}",
    ] {
        let (status, _) = fixture.post(&token, json!(body)).await;
        assert_eq!(status, 400, "{body}");
    }
    for body in [json!(7), json!({"scope": "all"}), json!(["x"])] {
        assert_eq!(fixture.post(&token, body.clone()).await.0, 400, "{body}");
    }
    let huge = json!(format!(r#"{{"refresh_token":"{}"}}"#, "x".repeat(20_000)));
    assert_eq!(fixture.post(&token, huge).await.0, 413);
    let mut event = proxy_event(Some(&token));
    event["isBase64Encoded"] = json!(true);
    event["body"] = json!("%%%");
    assert_eq!(fixture.send(&event).await.0, 400);
    for event in [json!(null), json!([]), json!("x"), json!({})] {
        assert_eq!(fixture.send(&event).await.0, 405, "{event}");
    }
    assert_eq!(fixture.writes(), 0);
    assert!(fixture.passes(&token).await);

    event["body"] = json!("e30=");
    assert_eq!(fixture.send(&event).await.0, 200, "base64 of {{}}");
    let mut http = json!({
        "version": "2.0", "headers": {"authorization": format!("Bearer {token}")},
        "requestContext": {"http": {"method": "POST", "path": "/auth/logout"}},
    });
    assert_eq!(fixture.send(&http).await.0, 200, "an HTTP API's event");
    http["requestContext"]["http"]["method"] = json!("GET");
    assert_eq!(fixture.send(&http).await.0, 405);
}

#[tokio::test]
async fn cookies_require_an_allowed_origin_and_redirects_are_fixed() {
    let world = World::start().await;
    let more = [
        ("TOKEN_COOKIE", "__Host-access_token"),
        ("REFRESH_COOKIE", "__Host-refresh_token"),
        ("ALLOWED_ORIGINS", "https://app.example.com"),
        ("HOSTED_UI_URL", "https://auth.example.com/"),
        ("LOGOUT_REDIRECT_URI", "https://app.example.com/bye?a=1&b=2"),
    ];
    let logout = world.function("logout", &more).await;
    let send = async |headers: Value| {
        let mut event = proxy_event(None);
        event["headers"] = headers;
        logout.invoke(&event).await.answer()
    };
    let origin = "https://app.example.com";
    let token = user_token();
    let cookie = format!(
        "__Host-access_token={}; __Host-refresh_token=opaque",
        token.build()
    );
    for (headers, status, case) in [
        (
            json!({"Cookie": cookie, "Origin": "https://evil.example"}),
            403,
            "foreign origin",
        ),
        (
            json!({"Cookie": cookie, "Origin": "null"}),
            403,
            "null origin",
        ),
        (
            json!({"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}),
            403,
            "cross-site",
        ),
        (
            json!({"Authorization": format!("Bearer {}", token.build()), "Origin": "https://evil.example"}),
            403,
            "header with a foreign origin",
        ),
        (
            json!({"Cookie": cookie, "Authorization": format!("Bearer {}", token.build()), "Origin": origin}),
            401,
            "two tokens",
        ),
        (
            json!({"Cookie": format!("{cookie}; {cookie}"), "Origin": origin}),
            401,
            "repeated cookies",
        ),
    ] {
        assert_eq!(
            send(headers.clone()).await["statusCode"],
            status,
            "{case} {headers:.300}"
        );
        assert!(world.passes(&token).await, "{case}");
    }
    assert_eq!(world.cognito.requests().len(), 0);

    let answer = send(json!({"Cookie": cookie, "Origin": origin})).await;
    assert_eq!(answer["statusCode"], 200);
    assert!(!world.passes(&token).await);
    let (operation, request) = world.cognito.requests().remove(0);
    assert_eq!(
        (operation.as_str(), &request["Token"]),
        ("RevokeToken", &json!("opaque"))
    );
    let cleared = answer["multiValueHeaders"]["set-cookie"]
        .as_array()
        .unwrap();
    for (name, line) in ["__Host-access_token", "__Host-refresh_token"]
        .iter()
        .zip(cleared)
    {
        let expected = format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
        assert_eq!(*line, json!(expected));
    }
    let clear = answer["headers"]["clear-site-data"].as_str().unwrap();
    assert!(clear.contains("\"cookies\""));
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        body["logout_url"],
        format!(
            "https://auth.example.com/logout?client_id={}&logout_uri=\
             https%3A%2F%2Fapp%2Eexample%2Ecom%2Fbye%3Fa%3D1%26b%3D2",
            Pool::ours().client_id
        )
    );

    // Without an access token, the tokens that the refresh token yields identify the session.
    let token = user_token();
    let alone = json!({"Cookie": "__Host-refresh_token=opaque", "Origin": origin});
    let send_alone = async || {
        world.cognito.forget_requests();
        let answer = send(alone.clone()).await;
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        let clears = answer["multiValueHeaders"]["set-cookie"].is_array();
        let asked: Vec<String> = world
            .cognito
            .requests()
            .into_iter()
            .map(|it| it.0)
            .collect();
        (answer["statusCode"].as_u64().unwrap(), body, clears, asked)
    };
    let brings = json!({"AuthenticationResult": {
        "AccessToken": refreshed(&token).build(), "ExpiresIn": 1_800, "RefreshToken": "opaque-2",
    }});
    for fault in [
        Fault::Answer(500, "{}".to_owned()),
        Fault::Answer(
            400,
            json!({"__type": "TooManyRequestsException"}).to_string(),
        ),
        Fault::Answer(
            400,
            json!({"__type": "NotAuthorizedException", "message": "Unable to verify secret hash"})
                .to_string(),
        ),
        Fault::Cut,
    ] {
        world.cognito.set_fault(fault.clone());
        let (status, _, clears, _) = send_alone().await;
        assert_eq!(
            (status, clears),
            (503, false),
            "the cookie is kept {fault:?}"
        );
    }
    world.cognito.set_fault(Fault::None);
    assert_eq!(send_alone().await.0, 503, "no response from Cognito");
    world
        .cognito
        .set_answer("GetTokensFromRefreshToken", brings.clone());
    world
        .store
        .set_fault_for("UpdateItem", Fault::Answer(500, "{}".to_owned()));
    let (status, _, sets, asked) = send_alone().await;
    assert_eq!(
        (status, sets),
        (503, true),
        "without the revocation the response is no success, and it has the rotated token"
    );
    assert_eq!(asked, ["GetTokensFromRefreshToken"], "no token is revoked");
    world.store.set_fault(Fault::None);
    let send_body = async |body: &str| {
        let mut event = proxy_event(None);
        event["headers"] = alone.clone();
        event["body"] = json!(body);
        let answer = logout.invoke(&event).await.answer();
        answer["statusCode"].as_u64().unwrap()
    };
    assert_eq!(send_body(r#"{"scope":"everyone"}"#).await, 400);
    assert_eq!(send_body(r#"{"scope":"others"}"#).await, 200);
    assert!(world.passes(&token).await);
    let (status, body, clears, asked) = send_alone().await;
    assert_eq!((status, clears), (200, true));
    assert_eq!(body["ended"], "session");
    assert_eq!(body["cognito"], "ended");
    assert_eq!(
        asked,
        ["GetTokensFromRefreshToken", "RevokeToken", "RevokeToken"],
        "the old and the rotated refresh token"
    );
    assert!(!world.passes(&token).await, "revoked");
    assert!(!world.passes(&refreshed(&token)).await, "revoked");
    let other = user_token();
    let of_other = json!({"AuthenticationResult": {
        "AccessToken": refreshed(&other).build(), "ExpiresIn": 1_800,
    }});
    world
        .cognito
        .set_answer("GetTokensFromRefreshToken", of_other);
    let elsewhere = other.clone().claim("origin_jti", unique("session"));
    assert!(world.passes(&elsewhere).await);
    assert_eq!(send_body(r#"{"scope":"all"}"#).await, 200);
    assert!(!world.passes(&other).await && !world.passes(&elsewhere).await);
    // An expired or malformed refresh token: nothing is queued.
    let over =
        json!({"__type": "NotAuthorizedException", "message": "Refresh Token has been revoked"});
    world
        .cognito
        .set_fault(Fault::Answer(400, over.to_string()));
    let (status, body, clears, _) = send_alone().await;
    assert_eq!((status, clears), (200, true));
    assert_eq!(
        (&body["ended"], &body["cognito"]),
        (&json!("refresh_token"), &json!("refused"))
    );
    world.cognito.set_fault(Fault::None);
    world.cognito.forget_requests();
    let long = format!("__Host-refresh_token={}", "x".repeat(8_193));
    let answer = send(json!({"Cookie": long, "Origin": origin})).await;
    assert_eq!(answer["statusCode"], 200);
    assert_eq!(world.cognito.requests().len(), 0, "no call to Cognito");
    assert_eq!(world.others.requests().len(), 0, "nothing is queued");
    assert!(
        !logout.output().contains("opaque") && !logout.output().contains(&text_of(&token, "sub"))
    );
}
