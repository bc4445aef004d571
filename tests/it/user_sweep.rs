//! user-sweep: disabled users without an event.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use testkit::TokenBuilder;
use testkit::server::Fault;

use crate::store::table_client;
use crate::world::{World, signed_in_again, text_of, user_token};

fn user(token: &TokenBuilder<'_>, enabled: bool) -> Value {
    json!({"Username": "x", "Enabled": enabled, "UserStatus": "CONFIRMED",
        "UserLastModifiedDate": 1_700_000_000,
        "Attributes": [{"Name": "sub", "Value": token.get("sub")}]})
}

#[tokio::test]
async fn missing_revocations_are_written_page_by_page() {
    let world = World::start().await;
    let function = world.function("user-sweep", &[]).await;
    let users: Vec<_> = (0..3).map(|_| user_token()).collect();
    let enabled = user_token();

    // A second page follows the first, and Cognito throttles there.
    world.cognito.set_answer(
        "ListUsers",
        json!({"Users": [user(&users[0], false)], "PaginationToken": "second"}),
    );
    let throttled = json!({"__type": "TooManyRequestsException"}).to_string();
    world
        .cognito
        .set_fault_from(1, Fault::Answer(400, throttled));
    let page = |users: &[Value]| json!({"Users": users});
    assert_eq!(
        function.invoke(&json!({})).await.answer(),
        json!({"seen": 1, "written": 1, "unreadable": 0, "finished": false, "enabled": 0, "outliving": null})
    );
    assert!(!world.passes(&users[0]).await && !world.passes(&signed_in_again(&users[0])).await);
    assert!(world.passes(&users[1]).await);
    let profile = world.profile(&text_of(&users[0], "sub")).await;
    assert_eq!(profile["status"], "DISABLED");

    // The next run resumes there.
    world.cognito.set_fault(Fault::None);
    world.cognito.forget_requests();
    world.store.forget_requests();
    let rest = [
        user(&users[1], false),
        user(&users[2], false),
        user(&enabled, true),
    ];
    world.cognito.set_answer("ListUsers", page(&rest));
    let answer = function.invoke(&json!({})).await.answer();
    assert_eq!(
        answer,
        json!({"seen": 3, "written": 2, "unreadable": 0, "finished": true, "enabled": 0, "outliving": 0})
    );
    let (_, request) = world.cognito.requests().remove(0);
    assert_eq!(request["PaginationToken"], "second");
    assert_eq!(request["Filter"], "status = \"Disabled\"");
    assert_eq!(request["Limit"], 60);
    let reads = world.store.requests();
    let reads = reads
        .iter()
        .filter(|(name, _)| name == "BatchGetItem")
        .count();
    assert_eq!(
        reads, 2,
        "the cursor, and one read for the revocations of a page"
    );
    assert!(!world.passes(&users[1]).await && !world.passes(&users[2]).await);
    assert!(
        world.passes(&enabled).await,
        "an ignored filter does not revoke enabled users"
    );

    // The run after that starts from the beginning and finds nothing.
    world.cognito.forget_requests();
    let answer = function.invoke(&json!({})).await.answer();
    assert_eq!(
        answer,
        json!({"seen": 3, "written": 0, "unreadable": 0, "finished": true, "enabled": 0, "outliving": 0})
    );
    assert!(function.output().contains("\"SweepAge\":"));
    let quiet = [("LOG_LEVEL", "ERROR")];
    let quiet = world.function("user-sweep", &quiet).await;
    assert!(!quiet.invoke(&json!({})).await.is_failure());
    let output = quiet.output();
    assert!(output.contains("nothing_missing"), "the alarms' metrics");
    world.cognito.forget_requests();
    let answer = function.invoke(&json!({})).await.answer();
    assert_eq!(answer["written"], 0);
    let (_, request) = world.cognito.requests().remove(0);
    assert_eq!(request.get("PaginationToken"), None);

    world.cognito.set_fault(Fault::Answer(500, "{}".to_owned()));
    assert!(function.invoke(&json!({})).await.is_failure());
}

#[tokio::test]
async fn app_clients_that_outlive_revocations_are_counted() {
    let world = World::start().await;
    let more = [("USER_POOL_ID", "us-east-1_Clients")];
    let function = world.function("user-sweep", &more).await;
    let ids = json!({"UserPoolClients": [{"ClientId": "c-1"}]});
    world.cognito.set_answer("ListUserPoolClients", ids);
    let hours = json!({"RefreshToken": "hours"});
    let (code, machine) = (json!(["code"]), json!(["client_credentials"]));
    let refresh = json!(["ALLOW_REFRESH_TOKEN_AUTH"]);
    let (days, none) = (&json!(null), &json!(null));
    for (validity, units, revokes, oauth, flows, expected) in [
        (8, &hours, true, &code, none, 0),
        (9, &hours, true, &code, none, 1),
        // The default is 30 days.
        (1, days, true, none, none, 1),
        (0, &hours, true, none, none, 1),
        (8, &hours, false, &code, none, 1),
        (30, days, false, &machine, &refresh, 0),
        // Without a list of flows Cognito enables SRP.
        (30, days, true, &machine, none, 1),
        (30, days, true, &machine, &json!(["ALLOW_USER_SRP_AUTH"]), 1),
    ] {
        let client = json!({"ClientId": "c-1", "ClientName": "mobile",
            "RefreshTokenValidity": validity, "TokenValidityUnits": units,
            "EnableTokenRevocation": revokes, "AllowedOAuthFlows": oauth,
            "ExplicitAuthFlows": flows});
        let client = json!({"UserPoolClient": client});
        world
            .cognito
            .set_answer("DescribeUserPoolClient", client.clone());
        let answer = function.invoke(&json!({})).await.answer();
        assert_eq!(answer["outliving"], expected, "{client}");
        let count = format!("\"OutlivingClients\":{expected}");
        assert!(function.output().contains(&count), "{client}");
    }
    let output = function.output();
    assert!(output.contains("mobile") && output.contains("refresh_tokens_live_longer"));
    assert!(output.contains("token_revocation_is_off"));
    let fault = Fault::Answer(500, "{}".to_owned());
    world.cognito.set_fault_for("DescribeUserPoolClient", fault);
    let answer = function.invoke(&json!({})).await.answer();
    assert_eq!(
        answer["outliving"],
        json!(null),
        "an unknown count is not zero"
    );
    assert_eq!(answer["finished"], true, "the sweep itself succeeds");
}

#[tokio::test]
async fn users_enabled_in_the_pool_are_admitted_again() {
    let world = World::start().await;
    let pool = "us-east-1_Enabled";
    let more = [("USER_POOL_ID", pool)];
    let sweep = world.function("user-sweep", &more).await;
    let events = world.function("user-events", &more).await;
    let sample = "../events/user-events/admin-disable-user.json";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(sample);
    let mut record: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let token = user_token();
    record["detail"]["requestParameters"]["userPoolId"] = json!(pool);
    record["detail"]["additionalEventData"]["sub"] = token.get("sub").clone();
    record["detail"]["eventTime"] = json!("2025-01-01T00:00:00Z");
    assert!(!events.invoke(&record).await.is_failure());
    let partition = format!("{pool}#user#{}", text_of(&token, "sub"));
    let disabled = async || {
        let keys = [("pk", partition.as_str()), ("sk", "user")];
        let row = world.row(&world.stack.table, &keys).await;
        !row["disabled"].is_null()
    };
    assert!(disabled().await);
    // A row that Gatehouse did not write stays, and stops nothing.
    let malformed = table_client(&world.stack).await.put_item();
    let malformed = malformed.table_name(&world.stack.table);
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let malformed = malformed
        .item("pk", text(&format!("{pool}#user#malformed")))
        .item("sk", text("user"))
        .item("disabled", AttributeValue::Bool(true))
        .item("disabled_by", text("cognito"))
        .item("status_at", AttributeValue::N("1700000000".to_owned()))
        .item("not_before", text("yesterday"));
    malformed.send().await.unwrap();
    // The pool lists no disabled user, and reports both as enabled.
    let list = json!({"Users": [user(&token, true)]});
    world.cognito.set_answer("ListUsers", list);
    let answer = sweep.invoke(&json!({})).await.answer();
    assert_eq!(answer["enabled"], 1, "{answer}");
    assert_eq!(answer["unreadable"], 1, "{answer}");
    assert!(!disabled().await);
    let profile = world.profile(&text_of(&token, "sub")).await;
    assert_eq!(profile["status"], "CONFIRMED");
    // Checked once a day.
    world.cognito.forget_requests();
    assert!(!sweep.invoke(&json!({})).await.is_failure());
    let asked = world.cognito.requests();
    let filters = asked.iter().filter(|(name, _)| name == "ListUsers");
    let filters: Vec<_> = filters.map(|(_, body)| &body["Filter"]).collect();
    let expected = [
        "status = \"Disabled\"",
        "cognito:user_status = \"UNCONFIRMED\"",
    ];
    assert_eq!(filters, expected);
}

/// Measures how many users with revocations a run checks in a given time, for docs/testing.md.
#[tokio::test]
#[ignore = "a measurement that takes minutes"]
async fn measures_users_per_second() {
    const SECONDS: u64 = 20;
    let world = World::start().await;
    let function = world.function("user-sweep", &[]).await;
    let users: Vec<Value> = (0..60).map(|_| user(&user_token(), false)).collect();
    world
        .cognito
        .set_answer("ListUsers", json!({"Users": users}));
    assert!(!function.invoke(&json!({})).await.is_failure());
    let endless = json!({"Users": users, "PaginationToken": "on"});
    world.cognito.set_answer("ListUsers", endless);
    world.cognito.forget_requests();
    let pages = async {
        tokio::time::sleep(std::time::Duration::from_secs(SECONDS)).await;
        let pages = world.cognito.requests().len();
        world.cognito.set_answer("ListUsers", json!({"Users": []}));
        pages
    };
    let event = json!({});
    let (answer, pages) = tokio::join!(function.invoke(&event), pages);
    assert!(!answer.is_failure());
    let users = pages * 60;
    eprintln!("{users} users in {SECONDS} s");
}

/// The address of a sign-up is taken until the sign-up is confirmed or deleted.
#[tokio::test]
async fn unconfirmed_sign_ups_are_deleted() {
    let world = World::start().await;
    // A pool of its own, because another test uses the cursor of the other pool.
    let pool = ("USER_POOL_ID", "us-east-1_Unconfirmed");
    let function = world.function("user-sweep", &[pool]).await;
    let hours_ago = |hours: u64| testkit::token::now() - hours * 3_600;
    let user = |name: &str, status: &str, created: u64| {
        json!({"Username": name, "Enabled": true, "UserStatus": status, "UserCreateDate": created,
            "Attributes": [{"Name": "sub", "Value": name}]})
    };
    let users = json!({"Users": [
        user("old", "UNCONFIRMED", hours_ago(25)),
        user("young", "UNCONFIRMED", hours_ago(23)),
        // If Cognito ignores the filter, no user is deleted.
        user("confirmed", "CONFIRMED", hours_ago(100)),
        user("invited", "FORCE_CHANGE_PASSWORD", hours_ago(100)),
        {"Username": "undated", "UserStatus": "UNCONFIRMED"},
    ]});
    world.cognito.set_answer("ListUsers", users);
    let unconfirmed = json!({"Username": "x", "UserStatus": "UNCONFIRMED"});
    world.cognito.set_answer("AdminGetUser", unconfirmed);
    let deleted = || {
        let requests = world.cognito.requests().into_iter();
        let deleted = requests.filter(|(operation, _)| operation == "AdminDeleteUser");
        deleted
            .map(|(_, body)| body["Username"].clone())
            .collect::<Vec<_>>()
    };
    let answer = function.invoke(&json!({})).await.answer();
    assert_eq!(answer["finished"], true);
    assert_eq!(deleted(), ["old"]);
    let filters: Vec<_> = world
        .cognito
        .requests()
        .into_iter()
        .filter(|(operation, _)| operation == "ListUsers")
        .map(|(_, body)| body["Filter"].clone())
        .collect();
    assert_eq!(
        filters,
        [
            "status = \"Disabled\"",
            "cognito:user_status = \"UNCONFIRMED\""
        ]
    );
    assert!(function.output().contains("\"UnconfirmedDeleted\":1"));

    // The user was confirmed after the listing.
    world.cognito.forget_requests();
    let confirmed = json!({"Username": "old", "UserStatus": "CONFIRMED"});
    world.cognito.set_answer("AdminGetUser", confirmed);
    assert_eq!(function.invoke(&json!({})).await.answer()["finished"], true);
    assert_eq!(deleted(), [""; 0]);

    // Throttling of the deletion does not fail the sweep of revocations.
    world.cognito.forget_requests();
    let unconfirmed = json!({"Username": "x", "UserStatus": "UNCONFIRMED"});
    world.cognito.set_answer("AdminGetUser", unconfirmed);
    let throttled = json!({"__type": "TooManyRequestsException"}).to_string();
    world
        .cognito
        .set_fault_for("AdminDeleteUser", Fault::Answer(400, throttled));
    assert_eq!(function.invoke(&json!({})).await.answer()["finished"], true);
    assert!(function.output().contains("throttled"));

    // 0 hours disable the deletion.
    world.cognito.set_fault(Fault::None);
    for (hours, expected) in [("0", vec![]), ("23", vec![json!("old"), json!("young")])] {
        world.cognito.forget_requests();
        let function = world
            .function("user-sweep", &[pool, ("UNCONFIRMED_HOURS", hours)])
            .await;
        assert_eq!(function.invoke(&json!({})).await.answer()["finished"], true);
        assert_eq!(deleted(), expected, "{hours}");
    }
}
