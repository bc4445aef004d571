//! What a late revocation revokes, with the revocations in memory.

use auth::memory::MemoryRevocations;
use auth::{
    ClaimsBuilder, DenyReason, OwnCalls, RevocationContext, RevocationReader, RevocationWriter,
    UnixSeconds, UserRef, VerifiedClaims,
};
use logout_retry::{Config, LogoutRetry};
use runtime::Handler;
use serde_json::{Value, json};
use testkit::{FakeAws, Pool, events, now};

const USER: &str = "ada";

struct Fixture {
    function: LogoutRetry<MemoryRevocations>,
    store: MemoryRevocations,
    aws: FakeAws,
}

async fn fixture(more: &[(&str, &str)]) -> Fixture {
    let aws = FakeAws::agreeable().await;
    let config = Config::from_lookup(&events::variables(more)).unwrap();
    let store = MemoryRevocations::default();
    Fixture {
        function: LogoutRetry::over(&aws.sdk(), config, Some(store.clone()), None),
        store,
        aws,
    }
}

impl Fixture {
    /// The number of messages to redeliver.
    async fn failures(&self, body: &Value) -> usize {
        let mut event = events::sample("logout-retry/batch");
        let records = event["Records"].as_array_mut().unwrap();
        records.truncate(1);
        records[0]["body"] = body.to_string().into();
        let answer = self
            .function
            .handle(&events::raw(&event), "request-1")
            .await;
        let answer = serde_json::to_value(answer.unwrap()).unwrap();
        answer["batchItemFailures"].as_array().unwrap().len()
    }

    /// Why the token is refused, if it is.
    async fn refused(&self, token: &VerifiedClaims) -> Option<DenyReason> {
        let found = self.store.revocations(token, UnixSeconds(now())).await;
        found.unwrap().check(token).err()
    }
}

/// A token of a session that began at `at`.
fn token(session: &str, at: u64) -> VerifiedClaims {
    ClaimsBuilder::user(USER, UnixSeconds(at))
        .issuer_id(Pool::ours().id)
        .session(Some(session))
        .build()
}

fn message(not_before: u64, kept: Option<(&str, u64)>) -> Value {
    json!({
        "kind": "end_sessions", "subject": USER, "not_before": not_before,
        "spared": kept, "reason": "password_change",
    })
}

#[tokio::test]
async fn sessions_that_began_later_stay_valid() {
    let fixture = fixture(&[]).await;
    let at = now() - 600;
    assert_eq!(fixture.failures(&message(at, None)).await, 0);
    let revoked = Some(DenyReason::UserRevoked);
    assert_eq!(fixture.refused(&token("before", at - 100)).await, revoked);
    assert_eq!(fixture.refused(&token("that-second", at)).await, revoked);
    assert_eq!(fixture.refused(&token("after", at + 1)).await, None);
    assert_eq!(fixture.aws.operations(), Vec::<String>::new());
}

#[tokio::test]
async fn the_kept_session_stays_valid_unless_it_was_revoked_meanwhile() {
    let at = now() - 600;
    let kept = token("kept", at - 100);
    let other = token("other", at - 100);
    let revoked = Some(DenyReason::UserRevoked);
    for (meanwhile, expected) in [(false, None), (true, revoked)] {
        let fixture = fixture(&[]).await;
        if meanwhile {
            let user = UserRef {
                issuer: Pool::ours().id,
                subject: USER,
            };
            let context = RevocationContext {
                reason: "test",
                actor: "test",
                at: UnixSeconds(now()),
                refresh_token_ttl_seconds: 3_600,
            };
            let all = fixture
                .store
                .revoke_user_sessions(&user, UnixSeconds(at - 50), &context);
            all.await.unwrap();
        }
        let message = message(at, Some(("kept", at - 100)));
        assert_eq!(fixture.failures(&message).await, 0);
        assert_eq!(fixture.refused(&other).await, revoked, "{meanwhile}");
        assert_eq!(fixture.refused(&kept).await, expected, "{meanwhile}");
        assert_eq!(fixture.refused(&token("after", at + 1)).await, None);
    }
}

#[tokio::test]
async fn a_message_is_redelivered_until_the_store_is_available() {
    let fixture = fixture(&[]).await;
    let at = now() - 600;
    let before = token("before", at - 100);
    fixture.store.set_available(false);
    assert_eq!(fixture.failures(&message(at, None)).await, 1);
    fixture.store.set_available(true);
    assert_eq!(fixture.refused(&before).await, None);
    assert_eq!(fixture.failures(&message(at, None)).await, 0);
    let revoked = Some(DenyReason::UserRevoked);
    assert_eq!(fixture.refused(&before).await, revoked);
}

#[tokio::test]
async fn a_repeated_sign_out_is_noted_as_a_call_of_gatehouse() {
    let task = json!({
        "kind": "revoke_refresh_token", "client_id": Pool::ours().client_id, "refresh_token": "rt",
    });
    let mut of_a_thief = task.clone();
    of_a_thief["record_revokes"] = json!(true);
    for (task, expected) in [(task, true), (of_a_thief, false)] {
        let fixture = fixture(&[]).await;
        assert_eq!(fixture.failures(&task).await, 0);
        assert_eq!(fixture.aws.operations(), ["RevokeToken"]);
        // The fake service names a request by its operation and number.
        let noted = fixture.store.is_own_call(Pool::ours().id, "RevokeToken-1");
        assert_eq!(noted.await, Ok(expected), "{task}");
    }
}
