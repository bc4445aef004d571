//! auth-api: sign-in with every challenge, cookies and refresh.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, Pool};

use crate::auth_api::{PASSWORD, SESSION, api, ask, exception, post, request, status, tokens};
use crate::world::{World, signed_in_again, text_of, unique, user_token};

const SECRET_HASH: &str = "xLo3/+7+KJfYTIL4SfK/uyV5Zo3FZv37+fSMVupHpUQ=";

#[tokio::test]
async fn every_challenge_can_be_answered() {
    let world = World::start().await;
    let api = api(&world).await;
    let token = user_token();
    world.cognito.set_answer("InitiateAuth", tokens(&token));
    let login = json!({"email": "ada@example.com", "password": PASSWORD});
    let answer = ask(&api, &post("/auth/login", &login)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["refresh_token"], "refresh.token.opaque");
    let (sub, session) = (text_of(&token, "sub"), text_of(&token, "origin_jti"));
    let key = [
        ("pk", format!("{}#user#{sub}", Pool::ours().id)),
        ("sk", format!("session#{session}")),
    ];
    let key = key.each_ref().map(|(name, value)| (*name, value.as_str()));
    let row = world.row(&world.stack.session_table, &key).await;
    assert_eq!(
        row["session"],
        session.as_str(),
        "the sign-in is recorded: {row}"
    );
    assert_eq!(row["auth_time"], token.get("auth_time").to_string());
    assert!(
        row["ip_hash"].is_string() && !row.to_string().contains("203.0.113.7"),
        "{row}"
    );
    world.store.set_fault_for("UpdateItem", Fault::Cut);
    let again = ask(&api, &post("/auth/login", &login)).await;
    world.store.set_fault(Fault::None);
    assert_eq!(
        again.status, 200,
        "a sign-in succeeds even if it cannot be recorded"
    );
    assert!(api.output().contains("could not record the session"));
    assert_eq!(
        (&answer.body["token_type"], &answer.body["expires_in"]),
        (&json!("Bearer"), &json!(1800))
    );
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(
        answer.headers["content-type"],
        "application/json; charset=utf-8"
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
        "no further data about the user"
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
            "{name}"
        );
        let (operation, sent) = world.cognito.requests().remove(0);
        assert_eq!(
            (operation.as_str(), &sent["ChallengeName"]),
            ("RespondToAuthChallenge", &json!(name))
        );
        assert!(sent["ChallengeResponses"][parameter].is_string(), "{sent}");
        assert_eq!(sent["ChallengeResponses"]["USERNAME"], "5f7e-uuid");
        body["other"] = json!("x");
        assert_eq!(ask(&api, &post("/auth/challenge", &body)).await.status, 400);
    }
    // The attributes that the pool requires of a user whom an administrator created.
    let mut body = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": SESSION, "username": "u",
        "new_password": PASSWORD, "attributes": {"name": "Ada"}});
    world.cognito.forget_requests();
    assert_eq!(ask(&api, &post("/auth/challenge", &body)).await.status, 200);
    let (_, sent) = world.cognito.requests().remove(0);
    assert_eq!(
        sent["ChallengeResponses"],
        json!({"USERNAME": "u", "NEW_PASSWORD": PASSWORD, "userAttributes.name": "Ada"})
    );
    for attributes in [
        json!({"custom:role": "admin"}),
        json!({"email_verified": "true"}),
        json!({"email": "other@example.com"}),
        json!({"name": "a\nb"}),
        json!(null),
        json!(["name"]),
    ] {
        body["attributes"] = attributes;
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
        ("attributes", json!({"name": "Ada"})),
    ] {
        let mut body = good.clone();
        body[member] = value;
        assert_eq!(
            ask(&api, &post("/auth/challenge", &body)).await.status,
            400,
            "{body}"
        );
    }

    // A required authenticator is set up within the challenge.
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

#[tokio::test]
async fn secret_hashes_are_sent_for_confidential_clients() {
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
    let token = user_token();
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
    assert_eq!(asked[0].1["AuthParameters"]["SECRET_HASH"], SECRET_HASH);
    assert_eq!(asked[1].1["ClientSecret"], "s3cr3t-of-the-client");
    assert!(!api.output().contains("s3cr3t"));

    // The operator's error is not the user's: it is no 401, and the log says so.
    world.cognito.set_fault(exception(
        "NotAuthorizedException",
        "Unable to verify secret hash for client c",
    ));
    let coded = json!({"email": "ada@example.com", "code": "123456", "password": PASSWORD});
    let email = json!({"email": "ada@example.com"});
    for (route, body) in [
        ("login", &login),
        (
            "login",
            &json!({"email": "ada@example.com", "srp_a": "A".repeat(64)}),
        ),
        ("signup", &login),
        ("confirm", &coded),
        ("resend", &email),
        ("forgot-password", &email),
        ("confirm-forgot-password", &coded),
        ("refresh", &refresh),
    ] {
        let event = post(&format!("/auth/{route}"), body);
        let answer = status(&api, &event).await;
        assert_eq!(answer, (500, "internal_error".to_owned()), "{route}");
    }
    assert!(api.output().contains("\"cause\":\"access_denied\""));
    world.cognito.set_fault(Fault::None);

    world.others.set_fault(Fault::Answer(400, "{}".to_owned()));
    let mut environment = auth_tests::environment("http://127.0.0.1:9/", &world.store.url(), &more);
    environment.push(("APP_BASE_URL", "https://app.example.com".to_owned()));
    let output = Binary::start_refused("auth-api", &environment).await;
    assert!(output.contains("secret could not be read"), "{output}");
}

/// migrate-user has moved a password that the pool's policy would refuse: a sign-in returns no tokens before
/// it is changed.
#[tokio::test]
async fn a_demanded_password_change_precedes_tokens() {
    const ATTRIBUTE: &str = "custom:password_is_old";
    const NEW: &str = "another-Pass-phrase-2";
    let world = World::start().await;
    let demanding = [("PASSWORD_CHANGE_ATTRIBUTE", ATTRIBUTE)];
    let api = world.function("auth-api", &demanding).await;
    let lenient = world.function("auth-api", &[]).await;
    let token = user_token();
    world.cognito.set_answer("InitiateAuth", tokens(&token));
    world
        .cognito
        .set_answer("RespondToAuthChallenge", tokens(&token));
    let user = |value: Option<&str>| {
        let mut attributes = vec![json!({"Name": "sub", "Value": token.get("sub")})];
        attributes.extend(value.map(|value| json!({"Name": ATTRIBUTE, "Value": value})));
        json!({"Username": token.get("username"), "UserAttributes": attributes})
    };
    let email = format!("{}@example.com", unique("ada"));
    let login = post(
        "/auth/login",
        &json!({"email": email, "password": PASSWORD}),
    );
    let with = |new: &str| {
        let body = json!({"email": email, "password": PASSWORD, "new_password": new});
        post("/auth/login", &body)
    };
    let proof = post(
        "/auth/challenge",
        &json!({"challenge": "PASSWORD_VERIFIER", "session": SESSION, "username": email,
            "srp": {"secret_block": "b", "signature": "s", "timestamp": "t"}}),
    );
    let code = |more: Value| {
        let mut body = json!({"challenge": "SOFTWARE_TOKEN_MFA", "session": SESSION,
            "username": email, "code": "123456"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        post("/auth/challenge", &body)
    };
    let required = (403, "password_change_required".to_owned());

    // Without the variable, and for a user without the attribute, a sign-in is as ever.
    world.cognito.set_answer("AdminGetUser", user(Some("true")));
    assert_eq!(ask(&lenient, &login).await.status, 200);
    assert_eq!(world.cognito.operations(), ["InitiateAuth"]);
    assert_eq!(status(&lenient, &with(NEW)).await.0, 400);
    for value in [None, Some("false"), Some("")] {
        world.cognito.set_answer("AdminGetUser", user(value));
        world.cognito.forget_requests();
        let answer = ask(&api, &login).await;
        assert_eq!(answer.status, 200, "{value:?}");
        assert!(answer.body["access_token"].is_string(), "{value:?}");
        assert_eq!(
            world.cognito.operations(),
            ["InitiateAuth", "AdminGetUser"],
            "{value:?}"
        );
        let answer = status(&api, &with(NEW)).await;
        assert_eq!(answer, (400, "bad_request".to_owned()), "{value:?}");
        assert_eq!(world.cognito.operations().last().unwrap(), "RevokeToken");
    }

    // With it every way to sign in returns no tokens, and the session is revoked.
    world.cognito.set_answer("AdminGetUser", user(Some("true")));
    for (event, call) in [
        (&login, "InitiateAuth"),
        (&proof, "RespondToAuthChallenge"),
        (&code(json!({})), "RespondToAuthChallenge"),
    ] {
        world.cognito.forget_requests();
        let answer = ask(&api, event).await;
        assert_eq!((answer.status, answer.cookies.len()), (403, 0), "{call}");
        assert_eq!(answer.body["code"], required.1, "{call}");
        assert!(answer.body.get("access_token").is_none(), "{call}");
        let expected = [call, "AdminGetUser", "RevokeToken"];
        assert_eq!(world.cognito.operations(), expected);
    }
    // If Cognito does not say, neither.
    for fault in [
        exception("TooManyRequestsException", ""),
        exception("UserNotFoundException", ""),
        exception("AccessDeniedException", ""),
    ] {
        world.cognito.set_fault_for("AdminGetUser", fault);
        let answer = status(&api, &login).await;
        assert_eq!(answer, (503, "unavailable".to_owned()));
        assert_eq!(world.cognito.operations().last().unwrap(), "RevokeToken");
    }
    world.cognito.set_fault(Fault::None);

    // A new password that Cognito need not see.
    world.cognito.forget_requests();
    let answer = status(&api, &with(PASSWORD)).await;
    assert_eq!(answer, (400, "password_reused".to_owned()));
    for body in [
        json!({"email": email, "password": PASSWORD, "new_password": ""}),
        json!({"email": email, "srp_a": "abcdef", "new_password": NEW}),
        json!({"email": email, "new_password": NEW}),
    ] {
        assert_eq!(status(&api, &post("/auth/login", &body)).await.0, 400);
    }
    for more in [
        json!({"current_password": PASSWORD}),
        json!({"current_password": PASSWORD, "new_password": PASSWORD}),
        json!({"new_password": NEW}),
    ] {
        assert_eq!(status(&api, &code(more.clone())).await.0, 400, "{more}");
    }
    assert_eq!(world.cognito.requests(), []);

    // The pool's policy decides.
    let weak = exception("InvalidPasswordException", "raw words");
    world.cognito.set_fault_for("ChangePassword", weak);
    let answer = status(&api, &with("short")).await;
    assert_eq!(answer, (400, "password_policy".to_owned()));
    let expected = [
        "InitiateAuth",
        "AdminGetUser",
        "ChangePassword",
        "RevokeToken",
    ];
    assert_eq!(world.cognito.operations(), expected);
    world.cognito.set_fault(Fault::None);

    let both = json!({"current_password": PASSWORD, "new_password": NEW});
    for event in [with(NEW), code(both)] {
        world.cognito.forget_requests();
        let answer = ask(&api, &event).await;
        // Here Cognito's second sign-in is no newer than the revocation, so it returns no tokens either.
        let expected = json!({"status": "password_changed", "ended": "all"});
        assert_eq!((answer.status, answer.body), (200, expected));
        assert!(!world.passes(&token).await, "earlier sessions are revoked");
        let requests = world.cognito.requests();
        let of = |operation: &str| {
            let found = requests.iter().filter(|(name, _)| name == operation);
            found.map(|(_, sent)| sent.clone()).collect::<Vec<Value>>()
        };
        let changed = of("ChangePassword");
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0]["PreviousPassword"], PASSWORD);
        assert_eq!(changed[0]["ProposedPassword"], NEW);
        assert_eq!(of("GlobalSignOut").len(), 1);
        let removed = of("AdminUpdateUserAttributes");
        let empty = json!([{"Name": ATTRIBUTE, "Value": ""}]);
        assert_eq!(removed.len(), 1);
        assert_eq!(removed[0]["UserAttributes"], empty);
        assert_eq!(removed[0]["Username"], *token.get("username"));
    }

    // A reset and an administrator's password end the demand too.
    let reset = json!({"email": email, "code": "123456", "password": NEW});
    let temporary = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": SESSION,
        "username": email, "new_password": NEW});
    for (route, body, expected) in [
        ("/auth/confirm-forgot-password", &reset, 200),
        ("/auth/challenge", &temporary, 403),
    ] {
        for fault in [Fault::None, exception("InternalErrorException", "")] {
            world
                .cognito
                .set_fault_for("AdminUpdateUserAttributes", fault);
            world.cognito.forget_requests();
            assert_eq!(
                ask(&api, &post(route, body)).await.status,
                expected,
                "{route}"
            );
            let operations = world.cognito.operations();
            assert_eq!(operations[1], "AdminGetUser", "{route}");
            assert_eq!(operations[2], "AdminUpdateUserAttributes", "{route}");
        }
    }
    assert!(
        api.output()
            .contains("could not end the demand for a new password")
    );
    for secret in [PASSWORD, NEW, "raw words"] {
        assert!(!api.output().contains(secret), "the log contains {secret}");
    }
}
