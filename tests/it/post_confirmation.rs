//! Cognito's PostConfirmation trigger, with Cognito's events.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Pool, TokenBuilder};

use crate::world::{World, next_second, signed_in_again, text_of, user_token};

fn trigger(source: &str, token: &TokenBuilder<'_>) -> Value {
    json!({
        "version": "1", "region": "us-east-1", "userPoolId": Pool::ours().id,
        "userName": "grace", "triggerSource": source,
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "x"},
        "request": {"userAttributes": {"sub": token.get("sub"), "email": "grace@example.com",
            "cognito:user_status": "CONFIRMED", "email_verified": "true"}, "newMember": [1, null]},
        "response": {}, "another": {"new": "member"},
    })
}

#[tokio::test]
async fn a_password_reset_revokes_earlier_sessions() {
    let world = World::start().await;
    let function = world.function("post-confirmation", &[]).await;
    let token = user_token();
    assert!(world.passes(&token).await);
    let event = trigger("PostConfirmation_ConfirmForgotPassword", &token);
    assert_eq!(
        function.invoke(&event).await.answer(),
        event,
        "the event is returned unchanged"
    );
    assert!(!world.passes(&token).await);
    let again = signed_in_again(&token);
    assert!(world.passes(&again).await, "the next sign-in is accepted");
    let (operation, sent) = world.cognito.requests().remove(0);
    let expected = json!({"UserPoolId": Pool::ours().id, "Username": "grace"});
    assert_eq!(
        (operation.as_str(), sent),
        ("AdminUserGlobalSignOut", expected),
        "Cognito's own API rejects the old tokens"
    );
    // Cognito may invoke it up to three times.
    next_second().await;
    assert_eq!(function.invoke(&event).await.answer(), event);

    let token = user_token();
    let event = trigger("PostConfirmation_ConfirmForgotPassword", &token);
    for fault in [Fault::Answer(500, "{}".to_owned()), Fault::Cut, Fault::Hang] {
        world.store.set_fault(fault.clone());
        world.cognito.forget_requests();
        assert!(function.invoke(&event).await.is_failure(), "{fault:?}");
        let asked = world.cognito.requests();
        assert_eq!(
            asked.len(),
            1,
            "Cognito is called even if the revocation fails: {asked:?}"
        );
    }
    world.store.set_fault(Fault::None);
    for pointer in [
        "/request/userAttributes/sub",
        "/userPoolId",
        "/userName",
        "/request",
    ] {
        let mut event = event.clone();
        *event.pointer_mut(pointer).unwrap() = json!("");
        assert!(function.invoke(&event).await.is_failure(), "{pointer}");
    }
    assert!(world.passes(&token).await);
    let output = function.output();
    assert!(!output.contains("grace") && !output.contains(&text_of(&token, "sub")));
}

/// The response depends on the revocation only; logout-retry repeats the sign-out at Cognito.
#[tokio::test]
async fn a_failed_sign_out_is_queued_and_does_not_block_the_reset() {
    let world = World::start().await;
    let queue = "https://sqs.us-east-1.amazonaws.com/1/retry";
    let more = [("RETRY_QUEUE_URL", queue)];
    let function = world.function("post-confirmation", &more).await;
    for fault in [Fault::Answer(500, "{}".to_owned()), Fault::Hang] {
        let token = user_token();
        let event = trigger("PostConfirmation_ConfirmForgotPassword", &token);
        world.cognito.set_fault(fault.clone());
        world.others.forget_requests();
        assert_eq!(function.invoke(&event).await.answer(), event, "{fault:?}");
        assert!(!world.passes(&token).await, "{fault:?}");
        let (operation, sent) = world.others.requests().remove(0);
        let body: Value = serde_json::from_str(sent["MessageBody"].as_str().unwrap()).unwrap();
        let expected = json!({"kind": "sign_out_everywhere", "username": "grace"});
        assert_eq!((operation.as_str(), body), ("SendMessage", expected));

        // If both fail, the revocation is written later with the time of the reset.
        world.store.set_fault(Fault::Cut);
        world.others.forget_requests();
        assert!(function.invoke(&event).await.is_failure(), "{fault:?}");
        world.store.set_fault(Fault::None);
        let queued = world.others.requests();
        let kinds: std::collections::BTreeSet<String> = queued
            .iter()
            .map(|(_, sent)| {
                let body = sent["MessageBody"].as_str().unwrap();
                let body: Value = serde_json::from_str(body).unwrap();
                text_of_kind(&body)
            })
            .collect();
        assert!(
            kinds.contains("end_sessions") && kinds.contains("sign_out_everywhere"),
            "{kinds:?}"
        );
    }
    // If the queue fails too, the function logs it, and the reset succeeds nevertheless.
    world.others.set_fault(Fault::Cut);
    let token = user_token();
    let event = trigger("PostConfirmation_ConfirmForgotPassword", &token);
    assert_eq!(function.invoke(&event).await.answer(), event);
    assert!(!world.passes(&token).await);
    let output = function.output();
    for word in ["sign_out_queued", "sign_out_failed"] {
        assert!(output.contains(word), "{output}");
    }
    assert!(!output.contains("grace") && !output.contains(&text_of(&token, "sub")));
}

fn text_of_kind(message: &Value) -> String {
    message["kind"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_confirmed_sign_up_creates_the_profile() {
    let world = World::start().await;
    let function = world.function("post-confirmation", &[]).await;
    let token = user_token();
    let subject = text_of(&token, "sub");
    let event = trigger("PostConfirmation_ConfirmSignUp", &token);
    assert_eq!(function.invoke(&event).await.answer(), event);
    let profile = world.profile(&subject).await;
    assert_eq!(profile["email"], "grace@example.com");
    assert_eq!(profile["status"], "CONFIRMED");
    next_second().await;
    assert_eq!(function.invoke(&event).await.answer(), event);
    assert_eq!(
        world.profile(&subject).await,
        profile,
        "one write is sufficient"
    );
    assert!(world.passes(&token).await);

    // An administrator confirms a user whose address is not verified.
    let unproven = user_token();
    let mut unverified = trigger("PostConfirmation_ConfirmSignUp", &unproven);
    unverified["request"]["userAttributes"]["email_verified"] = "false".into();
    assert_eq!(function.invoke(&unverified).await.answer(), unverified);
    let made = world.profile(&text_of(&unproven, "sub")).await;
    assert_eq!(
        (&made["email"], &made["status"]),
        (&json!(null), &json!("CONFIRMED"))
    );

    // Cognito has confirmed the account already: an error would tell the client that it has not.
    for fault in [Fault::Answer(500, "{}".to_owned()), Fault::Cut, Fault::Hang] {
        world.store.set_fault(fault.clone());
        assert_eq!(function.invoke(&event).await.answer(), event, "{fault:?}");
        world.store.set_fault(Fault::None);
    }
    assert!(function.output().contains("profiles_unavailable"));

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
