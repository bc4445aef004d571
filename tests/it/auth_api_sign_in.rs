//! auth-api: sign-in with every challenge, for confidential clients, and with a demanded password change.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, Pool};

use crate::auth_api::{PASSWORD, SESSION, api, ask, exception, post, status, tokens};
use crate::world::{World, text_of, unique, user_token};

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
        ("CUSTOM_CHALLENGE", "answer", json!("New York"), "ANSWER"),
        (
            "CUSTOM_CHALLENGE",
            "answer",
            json!("S\u{e3}o Paulo"),
            "ANSWER",
        ),
        ("A_NEW_ONE", "answer", json!("42"), "ANSWER"),
        ("A_NEW_ONE", "answer", json!("New York"), "ANSWER"),
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
    // A name is returned as Cognito gave it, and is any text without blanks and control characters.
    for name in ["zo\u{eb}", "zoe\u{308}", "Zo\u{eb}"] {
        let body =
            json!({"challenge": "SMS_MFA", "session": SESSION, "username": name, "code": "123456"});
        world.cognito.forget_requests();
        let answer = ask(&api, &post("/auth/challenge", &body)).await;
        assert_eq!(answer.status, 200, "{name:?}");
        let (_, sent) = world.cognito.requests().remove(0);
        assert_eq!(sent["ChallengeResponses"]["USERNAME"], name);
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
        ("username", json!("")),
        ("username", json!("zo e")),
        ("username", json!("zo\u{200b}e")),
        ("username", json!("x".repeat(129))),
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
    for unfit in ["", "New\nYork", "\u{0}", &"x".repeat(2_049)] {
        let body = json!({"challenge": "CUSTOM_CHALLENGE", "session": SESSION, "username": "a",
            "answer": unfit});
        let answer = ask(&api, &post("/auth/challenge", &body)).await;
        assert_eq!(answer.status, 400, "{unfit:?}");
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
    for (name, status) in [
        ("x".repeat(1_000), 400),
        ("x".repeat(128), 200),
        ("\u{1f4f1}".repeat(128), 200),
    ] {
        let mut setup = setup.clone();
        setup["username"] = json!(name);
        let answer = ask(&api, &post("/auth/challenge", &setup)).await;
        assert_eq!(answer.status, status, "{name}");
    }
    setup["code"] = json!("123456");
    assert_eq!(
        ask(&api, &post("/auth/challenge", &setup)).await.body["token_type"],
        "Bearer"
    );
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

#[tokio::test]
async fn passwords_are_wiped_from_memory() {
    let world = World::start().await;
    let api = api(&world).await;
    let refused = exception("NotAuthorizedException", "Incorrect username or password.");
    world.cognito.set_fault_for("InitiateAuth", refused);
    let secret = "Sesame-of-this-very-test-1907";
    let login = |password| json!({"email": "ada@example.com", "password": password});
    assert_eq!(
        status(&api, &post("/auth/login", &login(secret))).await.0,
        401
    );
    // The next requests replace what the connections' buffers hold.
    for _ in 0..3 {
        let another = post("/auth/login", &login("another-password-as-long-1907"));
        assert_eq!(status(&api, &another).await.0, 401);
    }
    assert_eq!(api.copies_in_memory(secret), 0);
}
