//! Cognito's PostConfirmation trigger, as Cognito invokes it.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Pool, TokenBuilder};

use crate::world::{World, next_second, signed_in_again, somebody, text_of};

fn trigger(source: &str, token: &TokenBuilder<'_>) -> Value {
    json!({
        "version": "1", "region": "us-east-1", "userPoolId": Pool::ours().id,
        "userName": "ada", "triggerSource": source,
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "x"},
        "request": {"userAttributes": {"sub": token.get("sub"), "email": "ada@example.com",
            "cognito:user_status": "CONFIRMED", "email_verified": "true"}, "newMember": [1, null]},
        "response": {}, "another": {"new": "member"},
    })
}

#[tokio::test]
async fn a_password_reset_ends_what_was_before_it() {
    let world = World::start().await;
    let function = world.function("post-confirmation", &[]).await;
    let token = somebody();
    assert!(world.passes(&token).await);
    let event = trigger("PostConfirmation_ConfirmForgotPassword", &token);
    assert_eq!(function.invoke(&event).await.answer(), event, "as it came");
    assert!(!world.passes(&token).await, "A34");
    let again = signed_in_again(&token);
    assert!(
        world.passes(&again).await,
        "A34: the very next sign-in passes"
    );
    // Cognito may invoke it up to three times.
    next_second().await;
    assert_eq!(function.invoke(&event).await.answer(), event);

    let token = somebody();
    let event = trigger("PostConfirmation_ConfirmForgotPassword", &token);
    for fault in [Fault::Answer(500, "{}".to_owned()), Fault::Cut, Fault::Hang] {
        world.store.set_fault(fault.clone());
        assert!(function.invoke(&event).await.is_failure(), "{fault:?}");
    }
    world.store.set_fault(Fault::None);
    for pointer in ["/request/userAttributes/sub", "/userPoolId", "/request"] {
        let mut event = event.clone();
        *event.pointer_mut(pointer).unwrap() = json!("");
        assert!(function.invoke(&event).await.is_failure(), "{pointer}");
    }
    assert!(world.passes(&token).await);
    let output = function.output();
    assert!(!output.contains("ada") && !output.contains(&text_of(&token, "sub")));
}

#[tokio::test]
async fn a_confirmed_sign_up_makes_the_profile() {
    let world = World::start().await;
    let function = world.function("post-confirmation", &[]).await;
    let token = somebody();
    let subject = text_of(&token, "sub");
    let event = trigger("PostConfirmation_ConfirmSignUp", &token);
    assert_eq!(function.invoke(&event).await.answer(), event);
    let profile = world.profile(&subject).await;
    assert_eq!(profile["email"], "ada@example.com");
    assert_eq!(profile["status"], "CONFIRMED");
    next_second().await;
    assert_eq!(function.invoke(&event).await.answer(), event);
    assert_eq!(world.profile(&subject).await, profile, "once is enough");
    assert!(world.passes(&token).await);

    let without = world
        .function("post-confirmation", &[("USERS_TABLE", "")])
        .await;
    assert_eq!(without.invoke(&event).await.answer(), event);
    for source in ["PostConfirmation_New", "PreSignUp_SignUp", ""] {
        let event = trigger(source, &token);
        assert_eq!(function.invoke(&event).await.answer(), event, "{source}");
    }
    for event in [json!(null), json!([]), json!({}), json!("x")] {
        assert!(function.invoke(&event).await.is_failure(), "{event}");
    }
}
