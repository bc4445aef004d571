//! The administrator's API: Cognito, marks and profile together.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, TokenBuilder};

use crate::world::{
    World, ask, behind_authorizer, next_second, signed_in_again, somebody, text_of,
};

fn administrator() -> TokenBuilder<'static> {
    somebody().claim("cognito:groups", json!(["x", "admins"]))
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

fn calls(world: &World) -> Vec<String> {
    let requests = world.cognito.requests();
    requests
        .into_iter()
        .map(|(operation, _)| operation)
        .collect()
}

#[tokio::test]
async fn users() {
    let world = World::start().await;
    let admin = world.function("admin", &[]).await;
    let user = somebody();
    let subject = text_of(&user, "sub");
    assert!(world.passes(&user).await);

    let disable = ("POST", "/admin/users/{username}/disable");
    let (status, body) = call(&world, &admin, disable, &user).await;
    assert_eq!((status, &body["done"]), (200, &json!("disabled")));
    assert_eq!(
        calls(&world),
        ["AdminGetUser", "AdminDisableUser", "AdminUserGlobalSignOut"]
    );
    let (_, request) = world.cognito.requests().remove(0);
    assert_eq!(request["Username"], "ada@example.com", "decoded once");
    assert!(!world.passes(&user).await, "at once");
    next_second().await;
    assert!(!world.passes(&signed_in_again(&user)).await, "disabled");
    assert_eq!(world.profile(&subject).await["status"], "DISABLED");

    let enable = ("POST", "/admin/users/{username}/enable");
    assert_eq!(call(&world, &admin, enable, &user).await.0, 200);
    assert!(!world.passes(&user).await, "R22: ended for good");
    let again = signed_in_again(&user);
    assert!(world.passes(&again).await, "R22");
    assert_eq!(world.profile(&subject).await["status"], "CONFIRMED");

    let marks = ("GET", "/admin/users/{username}/marks");
    let (status, body) = call(&world, &admin, marks, &user).await;
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
        "the very next sign-in passes"
    );

    let delete = ("DELETE", "/admin/users/{username}");
    assert_eq!(call(&world, &admin, delete, &user).await.0, 200);
    assert!(calls(&world).contains(&"AdminDeleteUser".to_owned()));
    next_second().await;
    assert!(!world.passes(&signed_in_again(&user)).await, "R23");
    assert_eq!(world.profile(&subject).await["status"], "DELETED");
    assert!(
        world.passes(&somebody()).await,
        "R23: a new sub under the old name"
    );
    assert!(!admin.output().contains("ada@") && !admin.output().contains(&subject));
}

#[tokio::test]
async fn what_fails_and_who_may_not() {
    let world = World::start().await;
    let admin = world.function("admin", &[]).await;
    let disable = ("POST", "/admin/users/{username}/disable");
    let user = somebody();
    // The store fails: Cognito is told all the same, and the answer says to try again.
    world
        .store
        .set_fault_for("UpdateItem", Fault::Answer(500, "{}".to_owned()));
    assert_eq!(call(&world, &admin, disable, &user).await.0, 503);
    assert!(calls(&world).contains(&"AdminDisableUser".to_owned()));
    world.store.set_fault(Fault::None);
    // Cognito fails behind the look-up: our side is closed.
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
            "L20 {code}"
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
        (event(&somebody()), 403, "L20"),
        (
            event(&somebody().claim("cognito:groups", json!(["admin", "Admins"]))),
            403,
            "L20",
        ),
        (with("/requestContext/authorizer", json!(null)), 401, "A40"),
        (
            with("/requestContext/authorizer/sub", json!("")),
            401,
            "A40",
        ),
        (
            with("/requestContext/authorizer/issuer", json!("other")),
            403,
            "another issuer's group",
        ),
        (
            with("/requestContext/authorizer/groups", json!("admins")),
            403,
            "not a list",
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
    assert_eq!(calls(&world), Vec::<String>::new(), "nobody was asked");
}

/// Its own marks: these would end every other test's tokens.
#[tokio::test]
async fn clients_and_everybody() {
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
