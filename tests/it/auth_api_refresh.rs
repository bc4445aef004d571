//! auth-api: refreshing a session, and sessions that were revoked.

use serde_json::json;
use testkit::server::Fault;

use crate::auth_api::{api, ask, exception, post, request, status, tokens};
use crate::world::{World, signed_in_again, user_token};

#[tokio::test]
async fn refreshing_a_revoked_session_is_rejected() {
    let world = World::start().await;
    let api = api(&world).await;
    let logout = world.function("logout", &[]).await;
    let token = user_token();
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
        (401, "invalid_credentials".to_owned())
    );
    let revoked = world.cognito.requests();
    assert!(
        revoked
            .iter()
            .any(|(operation, _)| operation == "RevokeToken")
    );
    // If the revocations cannot be read, no access token is returned. A rotated refresh token is returned, because
    // the client's old one would count as stolen at its next use.
    world.store.set_fault(Fault::Cut);
    let mut plain = tokens(&token);
    let answer = ask(&api, &refresh).await;
    let unavailable = json!({"title": "Service Unavailable", "status": 503, "code": "unavailable",
        "refresh_token": "refresh.token.opaque"});
    assert_eq!((answer.status, answer.body), (503, unavailable));
    plain["AuthenticationResult"]
        .as_object_mut()
        .unwrap()
        .remove("RefreshToken");
    world.cognito.set_answer("GetTokensFromRefreshToken", plain);
    let answer = ask(&api, &refresh).await;
    assert_eq!(
        (answer.status, &answer.body["refresh_token"]),
        (503, &json!(null))
    );
    world
        .cognito
        .set_answer("GetTokensFromRefreshToken", tokens(&token));
    let cookies = [
        ("TOKEN_COOKIE", "__Host-access_token"),
        ("REFRESH_COOKIE", "__Secure-refresh_token"),
        ("ALLOWED_ORIGINS", "https://app.example.com"),
    ];
    let by_cookies = world.function("auth-api", &cookies).await;
    let mut event = request("POST", "/auth/refresh", &json!(null));
    event["headers"] = json!({"Cookie": "__Secure-refresh_token=opaque"});
    event["multiValueHeaders"] = json!(null);
    event["requestContext"]["path"] = json!("/prod/auth/refresh");
    let answer = ask(&by_cookies, &event).await;
    let cookie = "__Secure-refresh_token=refresh.token.opaque; Path=/prod/auth; Secure; HttpOnly; \
        SameSite=Strict; Max-Age=28800";
    assert_eq!(
        (answer.status, answer.cookies),
        (503, vec![cookie.to_owned()])
    );
    world.store.set_fault(Fault::None);

    // The cookie is sent only to routes under /auth; one with the previous name is accepted once.
    let token = user_token();
    world
        .cognito
        .set_answer("GetTokensFromRefreshToken", tokens(&token));
    event["headers"] = json!({"Cookie": "__Host-refresh_token=former"});
    let answer = ask(&by_cookies, &event).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.cookies.len(), 3);
    assert!(answer.cookies[0].starts_with("__Host-access_token=ey"));
    assert_eq!(answer.cookies[1], cookie);
    assert!(answer.cookies[2].starts_with("__Host-refresh_token=; Path=/; "));
    let by_cookies = world.function("logout", &cookies).await;
    let mut event = json!({"httpMethod": "POST", "path": "/auth/logout",
        "headers": {"Origin": "https://app.example.com", "Cookie":
            format!("__Host-access_token={}; __Secure-refresh_token=opaque", token.build())},
        "requestContext": {"path": "/prod/auth/logout", "stage": "prod"}});
    let answer = ask(&by_cookies, &event).await;
    let names = [
        "__Host-access_token=; Path=/;",
        "__Secure-refresh_token=; Path=/prod/auth;",
        "__Host-refresh_token=; Path=/;",
    ];
    assert_eq!(answer.status, 200);
    for (cookie, name) in answer.cookies.iter().zip(names) {
        assert!(
            cookie.starts_with(name) && cookie.ends_with("Max-Age=0"),
            "{cookie}"
        );
    }
    let (_, sent) = world.cognito.requests().pop().unwrap();
    assert_eq!(sent["Token"], "opaque");
    event["rawPath"] = json!("/prod/auth/logout");
    event["path"] = json!(null);
    event["requestContext"] = json!({"stage": "prod", "http": {"method": "POST"}});
    event["httpMethod"] = json!(null);
    let listed = by_cookies.invoke(&event).await.answer();
    assert_eq!(listed["cookies"], json!(answer.cookies));
    let token = user_token();
    world
        .cognito
        .set_answer("GetTokensFromRefreshToken", tokens(&token));

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
            (401, "invalid_credentials".to_owned())
        );
    }
    for body in [
        json!({}),
        json!({"refresh_token": null}),
        json!({"refresh_token": ""}),
        json!({"refresh_token": "a\u{0}"}),
    ] {
        let answer = ask(&api, &post("/auth/refresh", &body)).await;
        assert!(answer.status == 400 || answer.status == 401, "{body}");
    }

    // If a token is used twice, one of the two uses is a thief's, and the session is revoked.
    let token = user_token();
    let reused = exception("RefreshTokenReuseException", "");
    world
        .cognito
        .set_fault_for("GetTokensFromRefreshToken", reused);
    assert!(world.passes(&token).await);
    // The route has no authorizer, so auth-api verifies the access token of the request.
    let mut event = refresh.clone();
    event["headers"]["Authorization"] = json!(format!("Bearer {}", token.build()));
    let forged = {
        let mut parts: Vec<String> = token.build().split('.').map(str::to_owned).collect();
        parts[2] = user_token().build().rsplit('.').next().unwrap().to_owned();
        parts.join(".")
    };
    let mut by_forgery = refresh.clone();
    by_forgery["headers"]["Authorization"] = json!(format!("Bearer {forged}"));
    assert_eq!(ask(&api, &by_forgery).await.status, 401);
    assert!(
        world.passes(&token).await,
        "an unverified token revokes nothing"
    );
    assert_eq!(ask(&api, &refresh).await.status, 401);
    let answer = ask(&api, &event).await;
    assert_eq!((answer.status, world.passes(&token).await), (401, false));
    let other = signed_in_again(&token);
    assert!(world.passes(&other).await, "only that session is revoked");
}
