//! logout with a failing store, with concurrent requests, and with other processes.

use serde_json::json;
use testkit::server::Fault;

use crate::logout::{LogoutFixture, session};
use crate::world::{unique, user_token};

#[tokio::test]
async fn store_failures_are_503() {
    let fixture = LogoutFixture::start().await;
    let refresh = || json!(r#"{"refresh_token":"opaque"}"#);
    for fault in [Fault::Answer(500, "{}".to_owned()), Fault::Cut, Fault::Hang] {
        let token = user_token().build();
        fixture.store.set_fault_for("UpdateItem", fault.clone());
        assert_eq!(fixture.post(&token, refresh()).await.0, 503, "{fault:?}");
        assert_eq!(
            fixture.cognito_calls(),
            ["RevokeToken"],
            "Cognito is called nevertheless"
        );
        assert_eq!(
            fixture.post(&token, session("all")).await.0,
            503,
            "{fault:?}"
        );
        assert_eq!(fixture.cognito_calls(), ["AdminUserGlobalSignOut"]);
        assert!(
            fixture.passes(&token).await,
            "no revocation was acknowledged"
        );

        fixture.store.set_fault(fault.clone());
        assert_eq!(
            fixture.post(&token, session("all")).await.0,
            503,
            "{fault:?}"
        );
        assert_eq!(
            fixture.cognito_calls(),
            Vec::<String>::new(),
            "the token could be revoked already"
        );

        fixture.store.set_fault(Fault::None);
        assert_eq!(fixture.post(&token, refresh()).await.0, 200, "the retry");
        assert!(!fixture.passes(&token).await);
        fixture.cognito.forget_requests();
    }

    // The write succeeds, its response is lost, and the client retries.
    let token = user_token().build();
    fixture
        .store
        .set_fault_after(Fault::Answer(500, "{}".to_owned()));
    assert_eq!(fixture.post(&token, json!(null)).await.0, 503);
    assert!(
        !fixture.passes(&token).await,
        "the revocation was written although the response was 503"
    );
    fixture.store.set_fault(Fault::None);
    assert_eq!(fixture.post(&token, json!(null)).await.0, 200);
}

#[tokio::test]
async fn concurrent_logouts_succeed() {
    let fixture = LogoutFixture::start().await;
    let user = user_token();
    let tokens: Vec<String> = (0..8)
        .map(|_| {
            user.clone()
                .claim("origin_jti", unique("s"))
                .claim("jti", unique("t"))
                .build()
        })
        .collect();
    let other = LogoutFixture::start().await;
    let ((one, _), (two, _)) = tokio::join!(
        fixture.post(&tokens[0], session("all")),
        other.post(&tokens[1], session("all")),
    );
    assert_eq!((one, two), (200, 200));
    for token in &tokens {
        assert!(!fixture.passes(token).await && !other.passes(token).await);
    }
}

#[tokio::test]
async fn a_200_is_enforced_by_every_process() {
    let fixture = LogoutFixture::start().await;
    for round in 0..1_000 {
        let token = user_token().build();
        let scope = if round % 100 == 99 { "all" } else { "session" };
        assert!(fixture.passes(&token).await);
        assert_eq!(fixture.post(&token, session(scope)).await.0, 200);
        assert!(!fixture.passes(&token).await, "round {round}, {scope}");
    }
}
