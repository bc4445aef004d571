//! auth-api: changes of the own account, and the proof that they require.

use serde_json::{Value, json};
use testkit::server::Fault;

use crate::auth_api::{
    PASSWORD, SESSION, api, ask, exception, post, request, signed_in, status, tokens,
};
use crate::world::{World, next_second, signed_in_again, text_of, user_token};

#[tokio::test]
async fn a_password_change_revokes_all_sessions_here_and_at_cognito() {
    let world = World::start().await;
    let queue = [(
        "RETRY_QUEUE_URL",
        "https://sqs.us-east-1.amazonaws.com/1/retry",
    )];
    let api = world.function("auth-api", &queue).await;
    let this = user_token();
    let other = signed_in_again(&this);
    let change = |keep: bool| json!({"current_password": PASSWORD, "new_password": "another-Passw0rd", "keep_session": keep});
    let route = "/auth/change-password";
    assert!(world.passes(&this).await && world.passes(&other).await);

    // Requires a signed-in user, and the token that the authorizer verified.
    assert_eq!(
        status(&api, &post(route, &change(true))).await,
        (401, "no_authorizer_context".to_owned())
    );
    let mut event = signed_in(post(route, &change(true)), &this);
    event["headers"]["Authorization"] = json!(format!("Bearer {}", user_token().build()));
    assert_eq!(
        ask(&api, &event).await.status,
        401,
        "the token and the authorizer's context differ"
    );
    let mut event = signed_in(post(route, &change(true)), &this);
    event["requestContext"]["authorizer"]["issuer"] = json!("elsewhere");
    assert_eq!(ask(&api, &event).await.status, 401);
    assert_eq!(world.cognito.requests(), []);

    // A wrong password revokes nothing, even if it is repeated.
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
            expected
        );
    }
    world.cognito.set_fault(Fault::None);
    assert!(world.passes(&this).await && world.passes(&other).await);

    // The caller gets a new session; all others are revoked, here and at Cognito.
    let kept = {
        let soon = testkit::token::now() + 3;
        let token = signed_in_again(&this);
        token.claim("auth_time", soon).claim("iat", soon)
    };
    world.cognito.set_answer("InitiateAuth", tokens(&kept));
    world.cognito.forget_requests();
    let answer = ask(&api, &signed_in(post(route, &change(true)), &this)).await;
    assert_eq!((answer.status, &answer.body["ended"]), (200, &json!("all")));
    assert_eq!(answer.body["access_token"], json!(kept.build()));
    assert_eq!(answer.body["refresh_token"], "refresh.token.opaque");
    let asked: Vec<String> = world
        .cognito
        .requests()
        .into_iter()
        .map(|(o, _)| o)
        .collect();
    assert_eq!(
        asked,
        ["GetUser", "ChangePassword", "GlobalSignOut", "InitiateAuth"]
    );
    let sent = world.cognito.requests().pop().unwrap().1;
    assert_eq!(
        sent["AuthParameters"],
        json!({"USERNAME": "ada", "PASSWORD": "another-Passw0rd"})
    );
    assert!(!world.passes(&this).await && !world.passes(&other).await);
    while testkit::token::now() < kept.get("auth_time").as_u64().unwrap() {
        next_second().await;
    }
    assert!(world.passes(&kept).await, "the new session is accepted");

    // If the response is lost, a sign-in with the new password shows whether it was changed.
    let this = user_token();
    world.cognito.set_fault_for("ChangePassword", Fault::Cut);
    let answer = ask(&api, &signed_in(post(route, &change(false)), &this)).await;
    assert_eq!((answer.status, &answer.body["ended"]), (200, &json!("all")));
    assert!(!world.passes(&this).await);
    let this = user_token();
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    world.cognito.add_fault_for("InitiateAuth", wrong);
    let answer = status(&api, &signed_in(post(route, &change(false)), &this)).await;
    assert_eq!(answer, (503, "unavailable".to_owned()));
    assert!(world.passes(&this).await, "the password was not changed");
    world.cognito.set_fault(Fault::None);

    // If the sign-in requires a challenge, or returns another user's tokens, all sessions are revoked.
    let challenge = json!({"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": SESSION});
    for answer in [challenge, tokens(&user_token()), json!({})] {
        next_second().await;
        let this = signed_in_again(&this);
        world.cognito.set_answer("InitiateAuth", answer);
        let answer = ask(&api, &signed_in(post(route, &change(true)), &this)).await;
        let expected = json!({"status": "password_changed", "ended": "all"});
        assert_eq!((answer.status, answer.body), (200, expected));
        assert!(!world.passes(&this).await);
    }
    let this = signed_in_again(&this);
    world.cognito.forget_requests();
    let answer = ask(&api, &signed_in(post(route, &change(false)), &this)).await;
    assert_eq!(answer.body["ended"], "all", "all sessions were requested");
    assert!(!world.passes(&this).await);
    assert_eq!(world.cognito.requests().len(), 3, "no sign-in follows");

    // Tokens that don't fit into cookies are revoked; the password is changed nevertheless.
    let cookies = [
        ("TOKEN_COOKIE", "__Host-access_token"),
        ("REFRESH_COOKIE", "__Host-refresh_token"),
        ("ALLOWED_ORIGINS", "https://app.example.com"),
    ];
    let by_cookies = world.function("auth-api", &cookies).await;
    let this = user_token();
    let soon = testkit::token::now() + 3;
    let long = signed_in_again(&this)
        .claim("auth_time", soon)
        .claim("iat", soon)
        .claim("cognito:groups", vec!["x".repeat(100); 60]);
    world.cognito.set_answer("InitiateAuth", tokens(&long));
    let event = signed_in(post(route, &change(true)), &this);
    let answer = ask(&by_cookies, &event).await;
    let expected = json!({"status": "password_changed", "ended": "all"});
    assert_eq!((answer.status, answer.body), (200, expected));
    assert_eq!(answer.cookies, [""; 0]);
    assert_eq!(world.cognito.requests().pop().unwrap().0, "RevokeToken");

    // If Cognito does not respond to the sign-out, logout-retry repeats it.
    let this = user_token();
    world.cognito.set_fault_for("GlobalSignOut", Fault::Hang);
    world.others.forget_requests();
    let answer = ask(&api, &signed_in(post(route, &change(false)), &this)).await;
    assert_eq!(answer.status, 200);
    let (_, queued) = world.others.requests().remove(0);
    let expected = json!({"kind": "sign_out_everywhere", "username": "ada"});
    assert_eq!(queued["MessageBody"], expected.to_string());
    world.cognito.set_fault(Fault::None);

    // If the password was changed and the revocation can't be written, the response says so, Cognito is called, and
    // the revocation is written later with the time of the change.
    for keep in [true, false] {
        next_second().await;
        let this = user_token();
        let other = signed_in_again(&this);
        world.store.set_fault(Fault::Cut);
        world.cognito.forget_requests();
        world.others.forget_requests();
        let answer = status(&api, &signed_in(post(route, &change(keep)), &this)).await;
        let expected = (503, "sessions_not_ended".to_owned());
        assert_eq!(answer, expected);
        let asked = world.cognito.requests();
        let is_sign_out = |(operation, _): &(String, Value)| operation == "GlobalSignOut";
        assert!(asked.iter().any(is_sign_out), "{asked:?}");
        world.store.set_fault(Fault::None);
        next_second().await;
        let later = signed_in_again(&this);
        let (_, queued) = world.others.requests().remove(0);
        let message = queued["MessageBody"].as_str().unwrap().to_owned();
        let retry = world.function("logout-retry", &[]).await;
        assert!(world.passes(&other).await);
        let batch = crate::world::batch(&[message]);
        assert_eq!(
            crate::world::failures(&retry.invoke(&batch).await.answer()),
            Vec::<&str>::new()
        );
        assert!(!world.passes(&this).await);
        assert!(!world.passes(&other).await && world.passes(&later).await);
    }
}

#[tokio::test]
async fn users_read_and_change_their_own_account() {
    let world = World::start().await;
    let api = api(&world).await;
    let token = user_token();
    world.cognito.set_answer("GetUser", json!({"Username": "u", "UserMFASettingList": ["SOFTWARE_TOKEN_MFA"], "UserAttributes": [
        {"Name": "sub", "Value": text_of(&token, "sub")}, {"Name": "email", "Value": "ada@example.com"},
        {"Name": "name", "Value": "<b>Ada</b>"}, {"Name": "custom:internal_rating", "Value": "7"},
    ]}));
    let get = request("GET", "/auth/me", &json!(null));
    assert_eq!(ask(&api, &get).await.status, 401);
    let answer = ask(&api, &signed_in(get, &token)).await;
    assert_eq!(
        answer.body["attributes"],
        json!({
            "sub": text_of(&token, "sub"), "email": "ada@example.com", "name": "<b>Ada</b>",
        })
    );
    assert_eq!(answer.body["mfa"], json!(["SOFTWARE_TOKEN_MFA"]));

    // Without an authenticator, a sign-in one minute ago is sufficient proof.
    world.cognito.set_answer(
        "GetUser",
        json!({"Username": "u", "UserAttributes": [
            {"Name": "email", "Value": "ada@example.com"}]}),
    );
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
        (200, &json!(["email"]))
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
        assert_eq!(ask(&api, &patch(attributes)).await.status, 400);
    }
    // The rules for sign-up also apply to a changed address.
    let rules = [
        ("ALLOWED_EMAIL_DOMAINS", "example.com,*.example.org"),
        ("DENIED_EMAIL_DOMAINS", "old.example.org"),
        ("SIGN_UP_ATTRIBUTES", "name,preferred_username"),
    ];
    let guarded = world.function("auth-api", &rules).await;
    let off = [rules[0], rules[1], rules[2], ("SIGN_UP_GUARD", "false")];
    let unguarded = world.function("auth-api", &off).await;
    world.cognito.forget_requests();
    for (attribute, value) in [
        ("email", "new@elsewhere.example"),
        ("email", "new@old.example.org"),
        ("email", "n\u{e9}w@example.com"),
        ("email", "new@xn--pple-43d.com"),
        ("preferred_username", "\u{430}dm\u{456}n1"),
    ] {
        let event = patch(json!({attribute: value}));
        let answer = status(&guarded, &event).await;
        assert_eq!(answer, (400, "address_refused".to_owned()), "{value}");
        assert_eq!(world.cognito.requests(), [], "{value}");
        assert_eq!(ask(&unguarded, &event).await.status, 200, "{value}");
        world.cognito.forget_requests();
    }
    for value in ["new@example.com", "new@sub.example.org"] {
        let event = patch(json!({"email": value}));
        assert_eq!(ask(&guarded, &event).await.status, 200, "{value}");
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
        assert!(!output.contains(secret), "{secret}");
    }
}

/// A stolen access token alone changes neither the address nor the authenticator.
#[tokio::test]
async fn changes_of_ownership_require_proof() {
    let world = World::start().await;
    let api = api(&world).await;
    let now = testkit::token::now();
    let this = user_token().claim("auth_time", now - 301);
    let other = signed_in_again(&this);
    let calls = |name: &str| {
        let asked = world.cognito.requests();
        asked.iter().filter(|(asked, _)| asked == name).count()
    };
    let patch = |proof: Value| {
        let mut body = json!({"attributes": {"email": "new@example.com"}});
        for (name, value) in proof.as_object().unwrap() {
            body[name] = value.clone();
        }
        signed_in(request("PATCH", "/auth/me", &body), &this)
    };
    let post = |route: &str, body: Value| signed_in(post(route, &body), &this);
    let needed = (403, "proof_needed".to_owned());
    for event in [
        patch(json!({})),
        post("/auth/mfa/totp", json!({})),
        post("/auth/mfa/totp/disable", json!({})),
    ] {
        assert_eq!(status(&api, &event).await, needed);
    }
    let name = request("PATCH", "/auth/me", &json!({"attributes": {"name": "A"}}));
    assert_eq!(ask(&api, &signed_in(name, &this)).await.status, 200);
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    world.cognito.set_fault_for("InitiateAuth", wrong);
    let proof = json!({"current_password": PASSWORD});
    assert_eq!(ask(&api, &patch(proof.clone())).await.status, 401);
    world.cognito.set_fault(Fault::None);
    // Another user's password proves nothing.
    world
        .cognito
        .set_answer("InitiateAuth", tokens(&user_token()));
    assert_eq!(ask(&api, &patch(proof.clone())).await.status, 401);
    assert_eq!(calls("UpdateUserAttributes"), 1, "only the name is changed");
    assert!(world.passes(&this).await && world.passes(&other).await);

    world.cognito.set_answer("InitiateAuth", tokens(&this));
    let sent = json!({"CodeDeliveryDetailsList": [{"AttributeName": "email"}]});
    world.cognito.set_answer("UpdateUserAttributes", sent);
    world.cognito.forget_requests();
    let answer = ask(&api, &patch(proof.clone())).await;
    let expected = (200, json!({"to_verify": ["email"]}));
    assert_eq!((answer.status, answer.body), expected);
    assert_eq!(
        calls("RevokeToken"),
        1,
        "the session that the proof opened is revoked"
    );
    assert!(world.passes(&this).await && !world.passes(&other).await);
    // Another user's address gets the same response, and so does an address that cannot receive email.
    for name in ["AliasExistsException", "CodeDeliveryFailureException"] {
        let fault = exception(name, "");
        world.cognito.set_fault_for("UpdateUserAttributes", fault);
        let answer = ask(&api, &patch(proof.clone())).await;
        assert_eq!((answer.status, answer.body), expected, "{name}");
    }
    world.cognito.set_fault(Fault::None);

    // With an authenticator, neither a recent sign-in nor the password without a code is sufficient.
    let totp = json!({"Username": "u", "UserMFASettingList": ["SOFTWARE_TOKEN_MFA"]});
    world.cognito.set_answer("GetUser", totp);
    let challenge = json!({"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": SESSION});
    world.cognito.set_answer("InitiateAuth", challenge);
    world
        .cognito
        .set_answer("RespondToAuthChallenge", tokens(&this));
    let recent = signed_in_again(&this);
    let body = json!({"attributes": {"email": "new@example.com"}});
    let event = signed_in(request("PATCH", "/auth/me", &body), &recent);
    assert_eq!(status(&api, &event).await, needed);
    let change = json!({"current_password": PASSWORD, "new_password": "another-Passw0rd"});
    for event in [
        patch(proof.clone()),
        post("/auth/mfa/totp", proof.clone()),
        post("/auth/mfa/totp/disable", proof.clone()),
        post("/auth/change-password", change),
    ] {
        assert_eq!(status(&api, &event).await, needed);
    }
    assert_eq!(calls("ChangePassword"), 0);
    let proof = json!({"current_password": PASSWORD, "code": "123456"});
    assert_eq!(ask(&api, &patch(proof.clone())).await.status, 200);
    let other = signed_in_again(&this);
    next_second().await;
    let answer = ask(&api, &post("/auth/mfa/totp/disable", proof)).await;
    assert_eq!((answer.status, answer.body), (200, json!({"mfa": []})));
    let (operation, sent) = world.cognito.requests().pop().unwrap();
    assert_eq!(operation, "SetUserMFAPreference");
    assert_eq!(
        sent["SoftwareTokenMfaSettings"],
        json!({"Enabled": false, "PreferredMfa": false})
    );
    assert!(world.passes(&this).await && !world.passes(&other).await);
}

/// The sign-out at Cognito needs the name alone.
#[tokio::test]
async fn a_failed_look_up_does_not_skip_the_sign_out() {
    let world = World::start().await;
    let api = api(&world).await;
    let coded = json!({"email": "ada@example.com", "code": "123456", "password": PASSWORD});
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    world.cognito.set_fault_for("InitiateAuth", wrong);
    let throttled = exception("TooManyRequestsException", "Rate exceeded");
    world.cognito.add_fault_for("AdminGetUser", throttled);
    let answer = status(&api, &post("/auth/confirm", &coded)).await;
    assert_eq!(answer, (403, "password_reset_required".to_owned()));
    let asked = world.cognito.operations();
    assert!(
        asked.contains(&"AdminUserGlobalSignOut".to_owned()),
        "{asked:?}"
    );
}

/// Each attribute that gives access to the account is changed by a call of its own, after the others.
#[tokio::test]
async fn a_taken_address_does_not_undo_other_changes() {
    let world = World::start().await;
    let grid = [
        ("REFUSAL_GRID_MILLISECONDS", "700"),
        ("SIGN_UP_ATTRIBUTES", "name,phone_number"),
    ];
    let api = world.function("auth-api", &grid).await;
    let token = user_token();
    world
        .cognito
        .set_answer("GetUser", json!({"Username": "u", "UserAttributes": []}));
    let body = json!({"attributes": {"email": "new@example.com", "name": "A", "phone_number": "+15551234567"}});
    let event = signed_in(request("PATCH", "/auth/me", &body), &token);
    let taken = exception("AliasExistsException", "");
    world
        .cognito
        .set_fault_for("UpdateUserAttributes", taken.clone());
    assert_eq!(
        ask(&api, &event).await.status,
        409,
        "the name is no address"
    );
    world.cognito.set_fault(Fault::None);
    world.cognito.forget_requests();
    assert_eq!(ask(&api, &event).await.status, 200);
    let asked = world.cognito.requests();
    let updates: Vec<Value> = asked
        .iter()
        .filter(|(operation, _)| operation == "UpdateUserAttributes")
        .map(|(_, sent)| sent["UserAttributes"].clone())
        .collect();
    let one = |name: &str, value: &str| json!([{"Name": name, "Value": value}]);
    let expected = [
        one("name", "A"),
        one("email", "new@example.com"),
        one("phone_number", "+15551234567"),
    ];
    assert_eq!(updates, expected);

    // The response to a taken address is sent on the grid.
    let body = json!({"attributes": {"email": "new@example.com"}});
    let event = signed_in(request("PATCH", "/auth/me", &body), &token);
    world.cognito.set_fault_for("UpdateUserAttributes", taken);
    let began = std::time::Instant::now();
    let answer = ask(&api, &event).await;
    assert_eq!(answer.body, json!({"to_verify": ["email"]}));
    assert!(began.elapsed() >= std::time::Duration::from_millis(700));
}
