//! auth-api: sign-up and its confirmation, and what they reveal.

use serde_json::{Value, json};
use testkit::server::Fault;

use crate::auth_api::{PASSWORD, SESSION, api, ask, exception, post, status, tokens};
use crate::world::{World, next_second, signed_in_again, text_of, unique, user_token};

/// The code proves control of the address; the password proves that the person who confirms made the account.
#[tokio::test]
async fn confirmation_requires_the_account_password() {
    let world = World::start().await;
    let queue = [(
        "RETRY_QUEUE_URL",
        "https://sqs.us-east-1.amazonaws.com/1/retry",
    )];
    let api = world.function("auth-api", &queue).await;
    let route = "/auth/confirm";
    let confirm = post(
        route,
        &json!({"email": "ada@example.com", "code": "123456", "password": PASSWORD}),
    );
    for body in [
        json!({"email": "ada@example.com", "code": "123456"}),
        json!({"email": "ada@example.com", "code": "123456", "password": ""}),
        json!({"email": "ada@example.com", "code": "123456", "password": null}),
    ] {
        let answer = status(&api, &post(route, &body)).await;
        assert_eq!(answer, (400, "bad_request".to_owned()), "{body}");
    }
    assert_eq!(world.cognito.operations(), [""; 0]);

    // The session that the check opened is revoked.
    let stranger = user_token();
    world.cognito.set_answer("InitiateAuth", tokens(&stranger));
    let answer = ask(&api, &confirm).await;
    assert_eq!(
        (answer.status, answer.body),
        (200, json!({"status": "confirmed"}))
    );
    let expected = [
        "AdminGetUser",
        "ConfirmSignUp",
        "InitiateAuth",
        "RevokeToken",
    ];
    assert_eq!(world.cognito.operations(), expected);
    let sent = world.cognito.requests().remove(2).1;
    let parameters = json!({"USERNAME": "ada@example.com", "PASSWORD": PASSWORD});
    assert_eq!(sent["AuthParameters"], parameters);
    let challenge = json!({"ChallengeName": "MFA_SETUP", "Session": SESSION});
    world.cognito.set_answer("InitiateAuth", challenge);
    assert_eq!(
        ask(&api, &confirm).await.status,
        200,
        "a challenge follows the password"
    );

    // After a wrong code the password is not tried.
    world.cognito.forget_requests();
    world
        .cognito
        .set_fault_for("ConfirmSignUp", exception("CodeMismatchException", ""));
    let answer = status(&api, &confirm).await;
    assert_eq!(answer, (400, "invalid_code".to_owned()));
    assert_eq!(
        world.cognito.operations(),
        ["AdminGetUser", "ConfirmSignUp"]
    );

    // If the password is wrong or cannot be checked, the password of the sign-up is invalidated and
    // the sessions that it opened are revoked.
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    for fault in [
        wrong.clone(),
        Fault::Cut,
        exception("TooManyRequestsException", ""),
    ] {
        next_second().await;
        let stranger = signed_in_again(&user_token());
        let user = json!({"Username": "u", "Enabled": true,
            "UserAttributes": [{"Name": "sub", "Value": text_of(&stranger, "sub")}]});
        world.cognito.set_answer("AdminGetUser", user);
        assert!(world.passes(&stranger).await);
        world.cognito.forget_requests();
        world.cognito.set_fault_for("InitiateAuth", fault);
        let answer = status(&api, &confirm).await;
        assert_eq!(answer, (403, "password_reset_required".to_owned()));
        let expected = ["ConfirmSignUp", "InitiateAuth", "AdminResetUserPassword"];
        assert_eq!(world.cognito.operations()[1..4], expected);
        assert!(
            world
                .cognito
                .operations()
                .contains(&"AdminUserGlobalSignOut".to_owned())
        );
        let reset = world.cognito.requests().remove(3).1;
        assert_eq!(reset["Username"], "ada@example.com");
        assert!(!world.passes(&stranger).await);
    }

    // A failed reset is retried; if that is impossible, the response is an error.
    world.cognito.set_fault_for("InitiateAuth", wrong.clone());
    world.cognito.add_fault_for(
        "AdminResetUserPassword",
        Fault::Answer(500, "{}".to_owned()),
    );
    world.others.forget_requests();
    let answer = status(&api, &confirm).await;
    assert_eq!(answer, (403, "password_reset_required".to_owned()));
    let (_, queued) = world.others.requests().remove(0);
    let message = queued["MessageBody"].as_str().unwrap().to_owned();
    let expected = json!({"kind": "reset_password", "username": "ada@example.com"});
    assert_eq!(message, expected.to_string());
    world.others.set_fault(Fault::Cut);
    let answer = status(&api, &confirm).await;
    assert_eq!(answer, (503, "unavailable".to_owned()));
    assert!(
        api.output()
            .contains("could not reset an unproven password")
    );

    let retry = world.function("logout-retry", &[]).await;
    let batch = crate::world::batch(&[message]);
    let failed = retry.invoke(&batch).await.answer();
    assert_eq!(
        crate::world::failures(&failed).len(),
        1,
        "the reset is retried"
    );
    world.cognito.set_fault(Fault::None);
    world.cognito.forget_requests();
    let done = retry.invoke(&batch).await.answer();
    assert_eq!(crate::world::failures(&done), Vec::<&str>::new());
    let expected = ["AdminResetUserPassword", "AdminUserGlobalSignOut"];
    assert_eq!(
        world.cognito.operations(),
        expected,
        "sessions since then end too"
    );
}

/// Cognito invokes PostConfirmation after it has confirmed the account: neither its failure nor a lost response leaves
/// the account confirmed with a password that was not proved.
#[tokio::test]
async fn an_error_after_the_confirmation_does_not_skip_the_proof() {
    let world = World::start().await;
    let api = api(&world).await;
    let coded = json!({"email": "ada@example.com", "code": "123456", "password": PASSWORD});
    let confirm = post("/auth/confirm", &coded);
    let wrong = || exception("NotAuthorizedException", "Incorrect username or password.");
    let failed = [
        (
            "UserLambdaValidationException",
            "PostConfirmation failed with error x.",
        ),
        (
            "UnexpectedLambdaException",
            "PostConfirmation invocation failed",
        ),
        (
            "InvalidLambdaResponseException",
            "Unrecognizable PostConfirmation output",
        ),
    ];
    for (name, message) in failed {
        world
            .cognito
            .set_fault_for("ConfirmSignUp", exception(name, message));
        world
            .cognito
            .set_answer("InitiateAuth", tokens(&user_token()));
        assert_eq!(ask(&api, &confirm).await.status, 200, "{name}");
        world.cognito.add_fault_for("InitiateAuth", wrong());
        world.cognito.forget_requests();
        let answer = status(&api, &confirm).await;
        let reset = (403, "password_reset_required".to_owned());
        assert_eq!(answer, reset, "{name}");
        assert!(
            world
                .cognito
                .operations()
                .contains(&"AdminResetUserPassword".to_owned())
        );
    }
    // The account was not unconfirmed before, so this request has not confirmed it.
    let user = json!({"Username": "u", "Enabled": true, "UserStatus": "CONFIRMED",
        "UserAttributes": [{"Name": "sub", "Value": "s"}]});
    world.cognito.set_answer("AdminGetUser", user);
    for fault in [Fault::Cut, Fault::Answer(500, "{}".to_owned())] {
        world.cognito.set_fault_for("ConfirmSignUp", fault);
        world.cognito.add_fault_for("InitiateAuth", wrong());
        world.cognito.forget_requests();
        assert!(ask(&api, &confirm).await.status >= 500);
        let asked = world.cognito.operations();
        assert_eq!(asked, ["AdminGetUser", "ConfirmSignUp"], "{asked:?}");
    }
    // Slow enough to change the state between the two look-ups.
    let user = |status: &str| {
        json!({"Username": "u", "Enabled": true, "UserStatus": status,
            "UserAttributes": [{"Name": "sub", "Value": "s"}]})
    };
    for (after, expected) in [("CONFIRMED", 403), ("UNCONFIRMED", 503)] {
        world
            .cognito
            .set_answer("AdminGetUser", user("UNCONFIRMED"));
        world.cognito.set_fault_for("ConfirmSignUp", Fault::Hang);
        world.cognito.add_fault_for("InitiateAuth", wrong());
        world.cognito.forget_requests();
        let change = async {
            while !world
                .cognito
                .operations()
                .contains(&"ConfirmSignUp".to_owned())
            {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            world.cognito.set_answer("AdminGetUser", user(after));
        };
        let (answer, ()) = tokio::join!(ask(&api, &confirm), change);
        assert_eq!(answer.status, expected, "{after}: {}", answer.body);
    }
}

/// A sign-up with a taken name gets the same response as one with a new name, and the owner gets an email
/// that explains how to sign in.
#[tokio::test]
async fn a_repeated_sign_up_mails_the_owner() {
    let world = World::start().await;
    let more = [
        ("ATTEMPT_TABLE", world.stack.attempt_table.as_str()),
        ("ATTEMPTS_PER_USER", "2"),
    ];
    let api = world.function("auth-api", &more).await;
    let sign_up = |name: &str| {
        let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        post("/auth/signup", &body)
    };
    let taken = || exception("UsernameExistsException", "User already exists");
    world.cognito.set_fault_for("SignUp", taken());
    let answer = ask(&api, &sign_up(&unique("ada"))).await;
    assert_eq!(answer.status, 202);
    let expected = ["SignUp", "ResendConfirmationCode"];
    assert_eq!(
        world.cognito.operations(),
        expected,
        "the account is not confirmed yet"
    );

    let confirmed = exception("InvalidParameterException", "User is already confirmed.");
    world
        .cognito
        .add_fault_for("ResendConfirmationCode", confirmed);
    world.cognito.forget_requests();
    let name = unique("eve");
    let network = unique("network");
    let from_network = |mut event: Value| {
        event["requestContext"]["identity"]["sourceIp"] = json!(network);
        event
    };
    for _ in 0..2 {
        let answer = ask(&api, &from_network(sign_up(&name))).await;
        assert_eq!(answer.status, 202);
    }
    let expected = ["SignUp", "ResendConfirmationCode", "ForgotPassword"];
    assert_eq!(world.cognito.operations(), [expected, expected].concat());
    // These emails use up nothing of the limits of other routes, which would reveal the account.
    let email = json!({"email": format!("{name}@example.com")});
    for route in ["/auth/forgot-password", "/auth/resend"] {
        for expected in [202, 202, 429] {
            let answer = ask(&api, &from_network(post(route, &email))).await;
            assert_eq!(answer.status, expected, "{route}");
        }
    }

    // A name that has not been migrated has no user in this pool: its owner signs in with the old password.
    world.cognito.forget_requests();
    let old = "PreSignUp failed with error already known.";
    let old = exception("UserLambdaValidationException", old);
    world.cognito.set_fault_for("SignUp", old);
    assert_eq!(ask(&api, &sign_up(&unique("bob"))).await.status, 202);
    assert_eq!(world.cognito.operations(), ["SignUp"]);
}

/// A stranger signs up with an address and signs in with the same password. The response is that of a
/// wrong password, whether the address had an account or has an unconfirmed one now.
#[tokio::test]
async fn a_sign_in_does_not_reveal_unconfirmed_accounts() {
    let world = World::start().await;
    let limited = [
        ("ATTEMPT_TABLE", world.stack.attempt_table.as_str()),
        ("ATTEMPTS_PER_USER", "3"),
    ];
    let api = world.function("auth-api", &limited).await;
    let network = unique("network");
    let from_network = |route: &str, body: &Value| {
        let mut event = post(route, body);
        event["requestContext"]["identity"]["sourceIp"] = json!(network);
        event
    };
    let wrong = || exception("NotAuthorizedException", "Incorrect username or password.");
    let unconfirmed = || exception("UserNotConfirmedException", "User is not confirmed.");
    let email = |name: &str| format!("{name}@example.com");
    let by_password = |name: &str| {
        let body = json!({"email": email(name), "password": PASSWORD});
        from_network("/auth/login", &body)
    };
    let by_srp = |name: &str| {
        let body = json!({"email": email(name), "srp_a": "abcdef"});
        from_network("/auth/login", &body)
    };
    let by_proof = |name: &str| {
        let session = format!("{SESSION}-{}", unique("session"));
        let body = json!({"challenge": "PASSWORD_VERIFIER", "session": session, "username": name,
            "srp": {"secret_block": "b", "signature": "s", "timestamp": "t"}});
        from_network("/auth/challenge", &body)
    };
    let passwords = "InitiateAuth";
    let proofs = "RespondToAuthChallenge";
    for call in [passwords, proofs] {
        let request = |name: &str| match call {
            "InitiateAuth" => by_password(name),
            _ => by_proof(name),
        };
        let (name, other) = (unique("eve"), unique("ada"));
        // One more than the limit: the codes have a limit of their own.
        for attempt in 0..4 {
            world.cognito.set_fault_for(call, wrong());
            let taken = api.invoke(&request(&other)).await.answer();
            world.cognito.forget_requests();
            world.cognito.set_fault_for(call, unconfirmed());
            let free = api.invoke(&request(&name)).await.answer();
            assert_eq!(free, taken, "{call} {attempt}");
            let expected = if attempt == 3 { 429 } else { 401 };
            assert_eq!(free["statusCode"], expected, "{call} {attempt}");
            let mailed = [call, "ResendConfirmationCode"];
            let expected: &[&str] = if attempt == 3 { &[] } else { &mailed };
            assert_eq!(world.cognito.operations(), expected, "{call} {attempt}");
        }
        // The codes use up nothing of the limit of requests for a code, which would reveal the account.
        world.cognito.set_fault(Fault::None);
        let answer = ask(
            &api,
            &from_network("/auth/resend", &json!({"email": email(&name)})),
        )
        .await;
        assert_eq!(answer.status, 202, "{call}");
    }

    // The code is not sent, or not in time: the response is the same.
    world.cognito.set_fault_for("InitiateAuth", wrong());
    let taken = api.invoke(&by_password(&unique("ada"))).await.answer();
    world.cognito.set_fault_for("InitiateAuth", unconfirmed());
    for fault in [
        exception("LimitExceededException", ""),
        exception("InvalidParameterException", "User is already confirmed."),
        exception("CodeDeliveryFailureException", ""),
        Fault::Cut,
    ] {
        world.cognito.add_fault_for("ResendConfirmationCode", fault);
        let free = api.invoke(&by_password(&unique("eve"))).await.answer();
        assert_eq!(free, taken);
    }

    // SRP begins with a challenge for every name. Its parameters are those of a name without an account.
    let challenge = |name: &str| {
        json!({"ChallengeName": "PASSWORD_VERIFIER", "ChallengeParameters": {
            "SALT": "5a17", "SECRET_BLOCK": "block", "SRP_B": "b", "USER_ID_FOR_SRP": name}})
    };
    let name = unique("eve");
    world
        .cognito
        .set_answer("InitiateAuth", challenge("01234567-uuid"));
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..2 {
        world.cognito.forget_requests();
        world.cognito.set_fault_times(unconfirmed(), 1);
        let answer = ask(&api, &by_srp(&name)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body["challenge"], "PASSWORD_VERIFIER");
        assert_eq!(answer.body["username"], "01234567-uuid");
        let requests = world.cognito.requests();
        let operations: Vec<&str> = requests.iter().map(|(call, _)| call.as_str()).collect();
        assert_eq!(operations, [passwords, "ResendConfirmationCode", passwords]);
        let decoy = requests[2].1["AuthParameters"]["USERNAME"]
            .as_str()
            .unwrap();
        assert!(decoy.ends_with("@unused.invalid"), "{decoy}");
        names.insert(decoy.to_owned());
    }
    assert_eq!(
        names.len(),
        1,
        "the simulated salt of a name is always the same"
    );
    // A pool without aliases repeats the name that it was asked for.
    let decoy = names.first().unwrap();
    world.cognito.set_answer("InitiateAuth", challenge(decoy));
    world.cognito.set_fault_times(unconfirmed(), 1);
    let answer = ask(&api, &by_srp(&name)).await;
    let shown = email(&name);
    assert_eq!(answer.body["username"], *shown);
    assert_eq!(answer.body["parameters"]["USER_ID_FOR_SRP"], *shown);
    world.cognito.set_fault_for("InitiateAuth", unconfirmed());
    let answer = status(&api, &by_srp(&unique("eve"))).await;
    assert_eq!(answer, (401, "invalid_credentials".to_owned()));

    let reveals = world
        .function("auth-api", &[("REVEAL_EXISTING_USERS", "true")])
        .await;
    world.cognito.forget_requests();
    world.cognito.set_fault(unconfirmed());
    for (event, call) in [
        (by_password(&name), passwords),
        (by_srp(&name), passwords),
        (by_proof(&name), proofs),
    ] {
        world.cognito.forget_requests();
        let answer = status(&reveals, &event).await;
        assert_eq!(answer, (403, "user_not_confirmed".to_owned()));
        assert_eq!(world.cognito.operations(), [call]);
    }
}
