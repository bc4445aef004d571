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
