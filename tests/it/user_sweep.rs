//! Case S10: disabled users of whom no event told.

use serde_json::{Value, json};
use testkit::TokenBuilder;
use testkit::server::Fault;

use crate::world::{World, signed_in_again, somebody, text_of};

fn user(token: &TokenBuilder<'_>, enabled: bool) -> Value {
    json!({"Username": "x", "Enabled": enabled, "UserStatus": "CONFIRMED",
        "UserLastModifiedDate": 1_700_000_000,
        "Attributes": [{"Name": "sub", "Value": token.get("sub")}]})
}

#[tokio::test]
async fn a_missing_mark_is_found_page_by_page() {
    let world = World::start().await;
    let function = world.function("user-sweep", &[]).await;
    let users: Vec<_> = (0..3).map(|_| somebody()).collect();
    let enabled = somebody();

    // The first page has another behind it, and Cognito loses its patience there.
    world.cognito.set_answer(
        "ListUsers",
        json!({"Users": [user(&users[0], false)], "PaginationToken": "second"}),
    );
    world.cognito.set_fault_times(Fault::None, 0);
    let page = |users: &[Value]| json!({"Users": users});
    let first = async {
        while world.cognito.requests().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let throttled = json!({"__type": "TooManyRequestsException"}).to_string();
        world.cognito.set_fault(Fault::Answer(400, throttled));
    };
    let event = json!({});
    let (answer, ()) = tokio::join!(function.invoke(&event), first);
    assert_eq!(
        answer.answer(),
        json!({"seen": 1, "written": 1, "finished": false})
    );
    assert!(!world.passes(&users[0]).await && !world.passes(&signed_in_again(&users[0])).await);
    assert!(world.passes(&users[1]).await);
    let profile = world.profile(&text_of(&users[0], "sub")).await;
    assert_eq!(profile["status"], "DISABLED");

    // The next run goes on from there.
    world.cognito.set_fault(Fault::None);
    world.cognito.forget_requests();
    let rest = [
        user(&users[1], false),
        user(&users[2], false),
        user(&enabled, true),
    ];
    world.cognito.set_answer("ListUsers", page(&rest));
    let answer = function.invoke(&json!({})).await.answer();
    assert_eq!(answer, json!({"seen": 3, "written": 2, "finished": true}));
    let (_, request) = world.cognito.requests().remove(0);
    assert_eq!(request["PaginationToken"], "second");
    assert_eq!(request["Filter"], "status = \"Disabled\"");
    assert_eq!(request["Limit"], 60);
    assert!(!world.passes(&users[1]).await && !world.passes(&users[2]).await);
    assert!(
        world.passes(&enabled).await,
        "a filter that didn't work locks nobody out"
    );

    // The run after that begins anew and finds nothing.
    world.cognito.forget_requests();
    let answer = function.invoke(&json!({})).await.answer();
    assert_eq!(answer, json!({"seen": 3, "written": 0, "finished": true}));
    let (_, request) = world.cognito.requests().remove(0);
    assert_eq!(request.get("PaginationToken"), None);

    world.cognito.set_fault(Fault::Answer(500, "{}".to_owned()));
    assert!(function.invoke(&json!({})).await.is_failure());
}

/// Case: the address of a sign-up is taken until it is confirmed or deleted.
#[tokio::test]
async fn sign_ups_that_were_never_confirmed_are_deleted() {
    let world = World::start().await;
    // The cursor of the other pool is another test's.
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
        // A filter that was not applied deletes nobody.
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

    // Confirmed since it was listed.
    world.cognito.forget_requests();
    let confirmed = json!({"Username": "old", "UserStatus": "CONFIRMED"});
    world.cognito.set_answer("AdminGetUser", confirmed);
    assert_eq!(function.invoke(&json!({})).await.answer()["finished"], true);
    assert_eq!(deleted(), [""; 0]);

    // Cognito's impatience ends the run, not the marks.
    world.cognito.forget_requests();
    let unconfirmed = json!({"Username": "x", "UserStatus": "UNCONFIRMED"});
    world.cognito.set_answer("AdminGetUser", unconfirmed);
    let throttled = json!({"__type": "TooManyRequestsException"}).to_string();
    world
        .cognito
        .set_fault_for("AdminDeleteUser", Fault::Answer(400, throttled));
    assert_eq!(function.invoke(&json!({})).await.answer()["finished"], true);
    assert!(function.output().contains("throttled"));

    // Off.
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
