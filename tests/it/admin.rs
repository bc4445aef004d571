//! The administrators' API: its effects on Cognito, on revocations and on the user's profile.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, TokenBuilder};

use crate::world::{
    World, ask, behind_authorizer, next_second, signed_in_again, text_of, user_token,
};

fn administrator() -> TokenBuilder<'static> {
    user_token().claim("cognito:groups", json!(["x", "admins"]))
}

async fn call(
    world: &World,
    admin: &Binary,
    (method, route): (&str, &str),
    about: &TokenBuilder<'_>,
) -> (u64, Value) {
    world.cognito.set_answer(
        "AdminGetUser",
        json!({"Username": "ada", "Enabled": true,
            "UserAttributes": [{"Name": "sub", "Value": about.get("sub")}]}),
    );
    world.cognito.forget_requests();
    let parameters = json!({"username": "ada%40example.com"});
    let body = if method == "GET" {
        json!(null)
    } else {
        json!(r#"{"reason":"ticket 7"}"#)
    };
    let event = behind_authorizer(&administrator(), (method, route), parameters, body);
    ask(admin, &event).await
}

#[tokio::test]
async fn administrators_disable_enable_sign_out_and_delete_users() {
    let world = World::start().await;
    let admin = world.function("admin", &[]).await;
    let user = user_token();
    let subject = text_of(&user, "sub");
    assert!(world.passes(&user).await);

    let disable = ("POST", "/admin/users/{username}/disable");
    let (status, body) = call(&world, &admin, disable, &user).await;
    assert_eq!((status, &body["done"]), (200, &json!("disabled")));
    assert_eq!(
        world.cognito.operations(),
        ["AdminGetUser", "AdminDisableUser", "AdminUserGlobalSignOut"]
    );
    let (_, request) = world.cognito.requests().remove(0);
    assert_eq!(
        request["Username"], "ada@example.com",
        "the path parameter is decoded once"
    );
    assert!(!world.passes(&user).await, "the revocation applies at once");
    next_second().await;
    assert!(!world.passes(&signed_in_again(&user)).await, "disabled");
    assert_eq!(world.profile(&subject).await["status"], "DISABLED");

    let enable = ("POST", "/admin/users/{username}/enable");
    assert_eq!(call(&world, &admin, enable, &user).await.0, 200);
    assert!(!world.passes(&user).await, "earlier tokens stay revoked");
    let again = signed_in_again(&user);
    assert!(world.passes(&again).await);
    assert_eq!(world.profile(&subject).await["status"], "CONFIRMED");

    let revocations = ("GET", "/admin/users/{username}/marks");
    let (status, body) = call(&world, &admin, revocations, &user).await;
    assert_eq!((status, &body["sub"]), (200, user.get("sub")));
    let row = &body["marks"][0];
    assert_eq!(row["of"], "user");
    assert_eq!(row["attributes"]["reason"], "ticket 7");
    assert!(
        row["attributes"]["actor"]
            .as_str()
            .unwrap()
            .starts_with("user-")
    );

    let sign_out = ("POST", "/admin/users/{username}/sign-out");
    assert_eq!(call(&world, &admin, sign_out, &user).await.0, 200);
    assert!(!world.passes(&again).await);
    assert!(
        world.passes(&signed_in_again(&user)).await,
        "the next sign-in is accepted"
    );

    let delete = ("DELETE", "/admin/users/{username}");
    assert_eq!(call(&world, &admin, delete, &user).await.0, 200);
    assert!(
        world
            .cognito
            .operations()
            .contains(&"AdminDeleteUser".to_owned())
    );
    next_second().await;
    assert!(!world.passes(&signed_in_again(&user)).await);
    assert_eq!(world.profile(&subject).await["status"], "DELETED");
    // Cognito enables only users that it has: the deletion had failed.
    assert_eq!(call(&world, &admin, enable, &user).await.0, 200);
    assert_eq!(world.profile(&subject).await["status"], "CONFIRMED");
    assert!(
        world.passes(&user_token()).await,
        "a new user with the old name has another sub"
    );
    assert!(!admin.output().contains("ada@") && !admin.output().contains(&subject));
}

fn audits(function: &Binary) -> Vec<Value> {
    let lines = function.output();
    let lines = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == "audit").collect()
}

#[tokio::test]
async fn every_administrative_call_is_audited() {
    let world = World::start().await;
    let more = [("LOG_LEVEL", "ERROR")];
    let admin = world.function("admin", &more).await;
    let user = user_token();
    let disable = ("POST", "/admin/users/{username}/disable");
    assert_eq!(call(&world, &admin, disable, &user).await.0, 200);
    let revocations = ("GET", "/admin/users/{username}/marks");
    assert_eq!(call(&world, &admin, revocations, &user).await.0, 200);
    // Rejected: a caller who is not an administrator, and a request for an unknown user.
    let stranger = user_token();
    let parameters = json!({"username": "ada"});
    let event = behind_authorizer(&stranger, disable, parameters.clone(), json!(null));
    assert_eq!(ask(&admin, &event).await.0, 403);
    let missing = json!({"__type": "UserNotFoundException"}).to_string();
    world.cognito.set_fault(Fault::Answer(400, missing));
    assert_eq!(call(&world, &admin, disable, &user).await.0, 404);
    assert_eq!(ask(&admin, &json!({})).await.0, 401);

    let hash = |token: &TokenBuilder<'_>| {
        auth::subject_hash(testkit::Pool::ours().id, &text_of(token, "sub"))
    };
    let found = audits(&admin);
    let said: Vec<(&str, &str)> = found
        .iter()
        .map(|line| {
            (
                line["act"].as_str().unwrap(),
                line["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("disable_user", "done"),
            ("read_marks", "done"),
            ("disable_user", "not_an_administrator"),
            ("disable_user", "unknown_user"),
            ("unknown", "no_authorizer_context"),
        ]
    );
    assert_eq!(found[0]["target"], hash(&user));
    assert_eq!(found[0]["actor"].as_str().unwrap().len(), 16);
    assert_eq!(found[2]["actor"], hash(&stranger));
    assert_eq!(
        (&found[3]["target"], &found[4]["actor"]),
        (&json!("-"), &json!("-"))
    );
}

#[tokio::test]
async fn bodies_without_a_json_content_type_are_rejected() {
    let world = World::start().await;
    let admin = world.function("admin", &[]).await;
    let revoke = ("POST", "/admin/clients/{client_id}/revoke");
    let parameters = json!({"client_id": "unknown"});
    let body = json!(r#"{"reason":"x"}"#);
    let of_type = |headers: Value, body: &Value| {
        let parameters = parameters.clone();
        let mut event = behind_authorizer(&administrator(), revoke, parameters, body.clone());
        event["headers"] = headers;
        event
    };
    for (headers, body, status) in [
        (json!({"content-type": "text/plain"}), &body, 415),
        (
            json!({"content-type": "application/x-www-form-urlencoded"}),
            &body,
            415,
        ),
        (json!({}), &body, 415),
        (
            json!({"Content-Type": "application/json; charset=UTF-8"}),
            &body,
            404,
        ),
        (json!({}), &json!(null), 404),
    ] {
        let event = of_type(headers.clone(), body);
        assert_eq!(ask(&admin, &event).await.0, status, "{headers}");
    }
}

#[tokio::test]
async fn a_late_cloudtrail_record_does_not_revoke_a_user_who_was_enabled_again() {
    let world = World::start().await;
    let admin = world.function("admin", &[]).await;
    let user = user_token();
    let disable = ("POST", "/admin/users/{username}/disable");
    assert_eq!(call(&world, &admin, disable, &user).await.0, 200);
    // The time in CloudTrail's record is at the latest the second before the response.
    let echo = testkit::token::now() - 1;
    let enable = ("POST", "/admin/users/{username}/enable");
    assert_eq!(call(&world, &admin, enable, &user).await.0, 200);
    let again = signed_in_again(&user);
    let signed_in_at = again.get("auth_time").as_u64().unwrap();
    assert!(signed_in_at > echo);
    let partition = format!(
        "{}#user#{}",
        testkit::Pool::ours().id,
        text_of(&user, "sub")
    );
    let keys = [("pk", partition.as_str()), ("sk", "user")];
    let row = world.row(&world.stack.table, &keys).await;
    let not_before: u64 = row["not_before"].as_str().unwrap().parse().unwrap();
    assert!(
        not_before <= echo,
        "the response waits until the second has passed"
    );
    assert!(world.passes(&again).await);
}

#[tokio::test]
async fn failed_dependencies_are_errors_and_other_callers_are_rejected() {
    let world = World::start().await;
    let admin = world.function("admin", &[]).await;
    let disable = ("POST", "/admin/users/{username}/disable");
    let user = user_token();
    // If the store fails, admin still calls Cognito, and the response asks for a retry.
    world
        .store
        .set_fault_for("UpdateItem", Fault::Answer(500, "{}".to_owned()));
    assert_eq!(call(&world, &admin, disable, &user).await.0, 503);
    assert!(
        world
            .cognito
            .operations()
            .contains(&"AdminDisableUser".to_owned())
    );
    world.store.set_fault(Fault::None);
    // If Cognito fails after the look-up, the revocation has been written.
    world
        .cognito
        .set_fault_for("AdminDisableUser", Fault::Answer(500, "{}".to_owned()));
    assert_eq!(call(&world, &admin, disable, &user).await.0, 503);
    assert!(!world.passes(&user).await);
    for (code, status) in [
        ("UserNotFoundException", 404),
        ("TooManyRequestsException", 429),
        ("InternalErrorException", 503),
    ] {
        let fault = Fault::Answer(400, json!({"__type": code}).to_string());
        world.cognito.set_fault_for("AdminGetUser", fault);
        assert_eq!(
            call(&world, &admin, disable, &user).await.0,
            status,
            "{code}"
        );
    }
    world.cognito.set_fault(Fault::None);

    let event = |token: &TokenBuilder<'_>| {
        behind_authorizer(token, disable, json!({"username": "ada"}), json!(null))
    };
    let good = event(&administrator());
    let with = |pointer: &str, value: Value| {
        let mut event = good.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    world.cognito.forget_requests();
    let rows = [
        (event(&user_token()), 403, "not an administrator"),
        (
            event(&user_token().claim("cognito:groups", json!(["admin", "Admins"]))),
            403,
            "groups with similar names",
        ),
        (
            with("/requestContext/authorizer", json!(null)),
            401,
            "without the authorizer's context",
        ),
        (
            with("/requestContext/authorizer/sub", json!("")),
            401,
            "empty sub",
        ),
        (
            with("/requestContext/authorizer/issuer", json!("other")),
            403,
            "a group of another issuer",
        ),
        (
            with("/requestContext/authorizer/groups", json!("admins")),
            403,
            "groups is not a list",
        ),
        (
            with("/resource", json!("/admin/users/{username}/promote")),
            404,
            "",
        ),
        (with("/httpMethod", json!("GET")), 404, ""),
        (with("/pathParameters", json!(null)), 400, ""),
        (with("/pathParameters/username", json!("%ff")), 400, ""),
        (with("/body", json!("[]")), 400, ""),
        (with("/body", json!(r#"{"reason":""}"#)), 400, ""),
        (with("/body", json!(r#"{"reason":"a\nb"}"#)), 400, ""),
        (with("/body", json!(r#"{"reason":7}"#)), 400, ""),
        (with("/body", json!(r#"{"why":"x"}"#)), 400, ""),
        (
            with(
                "/body",
                json!(json!({"reason": "x".repeat(65)}).to_string()),
            ),
            400,
            "",
        ),
        (with("/body", json!("x".repeat(17_000))), 413, ""),
        (json!({}), 401, ""),
        (json!(null), 401, ""),
    ];
    for (event, status, case) in rows {
        assert_eq!(ask(&admin, &event).await.0, status, "{case} {event:.300}");
    }
    assert_eq!(
        world.cognito.operations(),
        Vec::<String>::new(),
        "no call to Cognito"
    );
}

/// Uses a pool of its own, because these revocations would apply to the tokens of all other tests.
#[tokio::test]
async fn app_clients_and_whole_pools_are_revoked() {
    let world = World::start().await;
    let pool = crate::world::unique("us-east-1_Kill")
        .replace('-', "")
        .replace("useast1", "us-east-1");
    let more = [
        ("USER_POOL_ID", pool.as_str()),
        ("APP_CLIENT_IDS", "one,two"),
    ];
    let admin = world.function("admin", &more).await;
    let ask_for = async |route: &str, parameters: Value| {
        let mut event =
            behind_authorizer(&administrator(), ("POST", route), parameters, json!(null));
        event["requestContext"]["authorizer"]["issuer"] = json!(pool);
        ask(&admin, &event).await.0
    };
    let client = "/admin/clients/{client_id}/revoke";
    assert_eq!(ask_for(client, json!({"client_id": "three"})).await, 404);
    assert_eq!(ask_for(client, json!({"client_id": "two"})).await, 200);
    assert_eq!(ask_for("/admin/everyone/revoke", json!(null)).await, 200);
    for (pk, sk) in [
        (format!("{pool}#client#two"), "client"),
        (pool.clone(), "issuer"),
    ] {
        let row = world
            .row(&world.stack.table, &[("pk", &pk), ("sk", sk)])
            .await;
        assert!(
            row["not_before"].is_string() && row.get("expires_at").is_none(),
            "{row}"
        );
    }
}
