//! logout: what it calls at Cognito, and what waits in its queue.

use serde_json::{Value, json};
use testkit::Pool;
use testkit::server::Fault;

use crate::logout::{LogoutFixture, proxy_event, session};
use crate::world::{World, batch, failures, signed_in_again, user_token};

#[tokio::test]
async fn logout_revokes_the_refresh_token_at_cognito() {
    let fixture = LogoutFixture::start().await;
    let token = user_token().build();
    let body = json!(r#"{"refresh_token":"opaque"}"#);
    let (status, answer) = fixture.post(&token, body.clone()).await;
    assert_eq!((status, &answer["cognito"]), (200, &json!("ended")));
    let (operation, request) = fixture.cognito.requests().remove(0);
    assert_eq!(operation, "RevokeToken");
    assert_eq!(
        request,
        json!({"Token": "opaque", "ClientId": Pool::ours().client_id})
    );

    let error =
        |code: &str| Fault::Answer(400, json!({"__type": code, "message": "x"}).to_string());
    for (case, fault, cognito) in [
        (
            "session is revoked already",
            error("NotAuthorizedException"),
            "ended",
        ),
        (
            "session is revoked already",
            error("UserNotFoundException"),
            "ended",
        ),
        (
            "unsupported",
            error("UnsupportedOperationException"),
            "unsupported",
        ),
        ("throttled", error("TooManyRequestsException"), "failed"),
        (
            "server error",
            Fault::Answer(500, "{}".to_owned()),
            "failed",
        ),
        ("connection cut", Fault::Cut, "failed"),
    ] {
        let token = user_token().build();
        fixture.cognito.set_fault(fault.clone());
        let (status, answer) = fixture.post(&token, body.clone()).await;
        assert_eq!(
            (status, &answer["cognito"]),
            (200, &json!(cognito)),
            "{case} {fault:?}"
        );
        assert!(
            !fixture.passes(&token).await,
            "{case}: the session is revoked here nevertheless"
        );
    }
    assert!(!fixture.logout.output().contains("opaque"));
}

#[tokio::test]
async fn failed_cognito_calls_are_queued_and_retried() {
    let world = World::start().await;
    let queue = "https://sqs.us-east-1.amazonaws.com/123456789012/retry";
    let logout = world
        .function("logout", &[("RETRY_QUEUE_URL", queue)])
        .await;
    let retry = world.function("logout-retry", &[]).await;
    let busy = json!({"__type": "TooManyRequestsException"}).to_string();
    world.cognito.set_fault(Fault::Answer(400, busy));
    let token = user_token();
    let post = async |body: &str| {
        let mut event = proxy_event(Some(&token.build()));
        event["body"] = json!(body);
        let answer = logout.invoke(&event).await.answer();
        let body = serde_json::from_str::<Value>(answer["body"].as_str().unwrap()).unwrap();
        (answer["statusCode"].as_u64().unwrap(), body)
    };
    let (status, body) = post(r#"{"refresh_token":"opaque-secret"}"#).await;
    assert_eq!((status, &body["cognito"]), (200, &json!("queued")));
    let (status, body) = post(r#"{"scope":"all"}"#).await;
    assert_eq!(status, 401, "a revoked session does not revoke others");
    assert_eq!(body["code"], "unauthorized");
    let living = signed_in_again(&token);
    let mut event = proxy_event(Some(&living.build()));
    event["body"] = session("all");
    logout
        .invoke(&event)
        .await
        .answer()
        .get("statusCode")
        .unwrap();

    let bodies: Vec<String> = world
        .others
        .requests()
        .into_iter()
        .map(|(operation, request)| {
            assert_eq!(operation, "SendMessage");
            assert_eq!(request["QueueUrl"], queue);
            request["MessageBody"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(bodies.len(), 2);
    let mut messages = bodies.clone();
    messages.push("nonsense".to_owned());
    let answer = retry.invoke(&batch(&messages)).await.answer();
    assert_eq!(
        failures(&answer),
        ["m0", "m1", "m2"],
        "Cognito still throttles"
    );

    world.cognito.set_fault(Fault::None);
    world.cognito.forget_requests();
    let answer = retry.invoke(&batch(&messages)).await.answer();
    assert_eq!(failures(&answer), ["m2"], "only the unreadable message");
    let calls = world.cognito.requests();
    assert_eq!(calls[0].0, "RevokeToken");
    assert_eq!(calls[0].1["Token"], "opaque-secret");
    assert_eq!(calls[1].0, "AdminUserGlobalSignOut");
    for code in [
        "NotAuthorizedException",
        "UserNotFoundException",
        "UnsupportedOperationException",
    ] {
        let fault = Fault::Answer(400, json!({"__type": code}).to_string());
        world.cognito.set_fault(fault);
        let answer = retry.invoke(&batch(&bodies)).await.answer();
        assert_eq!(failures(&answer), Vec::<&str>::new(), "{code}: done");
    }
    for function in [&logout, &retry] {
        assert!(!function.output().contains("opaque-secret"));
    }
    assert!(retry.invoke(&json!({})).await.is_failure());

    // If the queue fails too, the response reports the failure.
    world.cognito.set_fault(Fault::Cut);
    world.others.set_fault(Fault::Answer(500, "{}".to_owned()));
    let (status, body) = post(r#"{"refresh_token":"opaque-secret"}"#).await;
    assert_eq!((status, &body["cognito"]), (200, &json!("failed")));
}

#[tokio::test]
async fn rejections_by_cognito_are_not_retried() {
    let world = World::start().await;
    let queue = "https://sqs.us-east-1.amazonaws.com/123456789012/retry";
    let more = [("RETRY_QUEUE_URL", queue)];
    let logout = world.function("logout", &more).await;
    let retry = world.function("logout-retry", &[]).await;
    let task =
        json!({"kind": "revoke_refresh_token", "client_id": "c", "refresh_token": "opaque-secret"});
    let secret = "Client c is configured with secret but SECRET_HASH was not received";
    for (code, message, cognito) in [
        ("UnsupportedTokenTypeException", "", "refused"),
        ("InvalidParameterException", "", "refused"),
        ("UnauthorizedException", "", "refused"),
        ("NotAuthorizedException", secret, "refused"),
        ("NotAuthorizedException", "Token is revoked", "ended"),
        ("UnsupportedOperationException", "", "unsupported"),
        ("TooManyRequestsException", "", "queued"),
    ] {
        let fault = json!({"__type": code, "message": message}).to_string();
        world.cognito.set_fault(Fault::Answer(400, fault));
        let token = user_token();
        let mut event = proxy_event(Some(&token.build()));
        event["body"] = json!(json!({"refresh_token": "opaque-secret"}).to_string());
        let answer = logout.invoke(&event).await.answer();
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["cognito"], cognito, "{code} {message}");
        assert!(
            !world.passes(&token).await,
            "{code}: the revocation is written"
        );
        let queued = world.others.requests().len();
        world.others.forget_requests();
        assert_eq!(queued, usize::from(cognito == "queued"), "{code}");
        let answer = retry.invoke(&batch(&[task.to_string()])).await.answer();
        let again = failures(&answer).len();
        assert_eq!(again, usize::from(cognito == "queued"), "{code}");
    }
    world.cognito.set_fault(Fault::None);
    world.cognito.forget_requests();
    for odd in ["", "with spaces", "\u{e4}", &"x".repeat(8_193)] {
        let mut event = proxy_event(Some(&user_token().build()));
        event["body"] = json!(json!({"refresh_token": odd}).to_string());
        let answer = logout.invoke(&event).await.answer();
        assert!(
            answer["body"].as_str().unwrap().contains("refused"),
            "{odd:.20}"
        );
    }
    assert_eq!(world.cognito.requests().len(), 0, "no call to Cognito");
}

#[tokio::test]
async fn calls_carry_the_client_secret() {
    let world = World::start().await;
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:client";
    let others = world.others.url();
    let more = [
        ("APP_CLIENT_SECRET_ARN", arn),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", others.as_str()),
        (
            "RETRY_QUEUE_URL",
            "https://sqs.us-east-1.amazonaws.com/123456789012/retry",
        ),
    ];
    let secret = "s3cr3t-of-the-client";
    world
        .others
        .set_answer("GetSecretValue", json!({"SecretString": secret}));
    let logout = world.function("logout", &more).await;
    let retry = world.function("logout-retry", &more).await;
    let log_out = async || {
        let mut event = proxy_event(Some(&user_token().build()));
        event["body"] = json!(json!({"refresh_token": "opaque-secret"}).to_string());
        assert_eq!(logout.invoke(&event).await.answer()["statusCode"], 200);
    };
    log_out().await;
    assert_eq!(world.cognito.requests()[0].1["ClientSecret"], secret);
    world.cognito.set_fault(Fault::Answer(500, "{}".to_owned()));
    world.others.forget_requests();
    log_out().await;
    world.cognito.set_fault(Fault::None);
    world.cognito.forget_requests();
    let queued = world.others.requests();
    let message = queued[0].1["MessageBody"].as_str().unwrap().to_owned();
    assert!(!message.contains(secret), "not queued");
    let answer = retry.invoke(&batch(&[message])).await.answer();
    assert_eq!(failures(&answer), Vec::<&str>::new());
    assert_eq!(world.cognito.requests()[0].1["ClientSecret"], secret);

    // A secret that was replaced at Cognito is the operator's to correct; the call waits for that.
    let wrong = json!({"__type": "NotAuthorizedException",
        "message": "Unable to verify secret hash for client c"});
    world
        .cognito
        .set_fault(Fault::Answer(400, wrong.to_string()));
    world.others.forget_requests();
    log_out().await;
    let queued = world.others.requests();
    let message = queued[0].1["MessageBody"].as_str().unwrap().to_owned();
    let answer = retry.invoke(&batch(&[message])).await.answer();
    assert_eq!(failures(&answer), ["m0"]);
}

#[tokio::test]
async fn failed_revocations_wait_in_their_own_queue() {
    let world = World::start().await;
    let url = "https://sqs.us-east-1.amazonaws.com/123456789012/late";
    let retry = world
        .function("logout-retry", &[("LATE_MARK_QUEUE_URL", url)])
        .await;
    let token = user_token();
    let late = json!({"kind": "end_sessions", "subject": token.get("sub"),
        "not_before": token.get("auth_time"), "spared": null, "reason": "password_changed"});
    let messages = batch(&[late.to_string()]);
    world
        .store
        .set_fault_for("UpdateItem", Fault::Answer(500, "{}".to_owned()));
    let answer = retry.invoke(&messages).await.answer();
    assert_eq!(
        failures(&answer),
        Vec::<&str>::new(),
        "the revocation is queued for later"
    );
    let (operation, message) = world.others.requests().remove(0);
    assert_eq!(
        (operation.as_str(), &message["QueueUrl"]),
        ("SendMessage", &json!(url))
    );
    // From that queue, SQS delivers the message again.
    let mut late = batch(&[message["MessageBody"].as_str().unwrap().to_owned()]);
    late["Records"][0]["eventSourceARN"] = json!("arn:aws:sqs:us-east-1:123456789012:late");
    world.others.forget_requests();
    assert_eq!(failures(&retry.invoke(&late).await.answer()), ["m0"]);
    assert_eq!(world.others.requests().len(), 0);
    // If that queue fails too, the message stays in the first queue.
    world.others.set_fault(Fault::Answer(500, "{}".to_owned()));
    assert_eq!(failures(&retry.invoke(&messages).await.answer()), ["m0"]);
    assert!(world.passes(&token).await);
    world.store.set_fault(Fault::None);
    assert_eq!(
        failures(&retry.invoke(&late).await.answer()),
        Vec::<&str>::new()
    );
    assert!(!world.passes(&token).await);
}
