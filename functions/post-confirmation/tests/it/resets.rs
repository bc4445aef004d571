//! Which tokens a password reset revokes, with the revocations in memory.

use auth::memory::MemoryRevocations;
use auth::{ClaimsBuilder, DenyReason, RevocationReader, UnixSeconds};
use post_confirmation::{Config, PostConfirmation};
use runtime::{Handler, InvocationError};
use testkit::{FakeAws, events, now};

const QUEUE: (&str, &str) = (
    "RETRY_QUEUE_URL",
    "https://sqs.us-east-1.amazonaws.com/1/retry",
);

struct Fixture {
    function: PostConfirmation<MemoryRevocations>,
    store: MemoryRevocations,
    aws: FakeAws,
}

async fn fixture(more: &[(&str, &str)]) -> Fixture {
    let aws = FakeAws::agreeable().await;
    let config = Config::from_lookup(&events::variables(more)).unwrap();
    let store = MemoryRevocations::default();
    Fixture {
        function: PostConfirmation::over(aws.sdk(), config, store.clone()),
        store,
        aws,
    }
}

impl Fixture {
    async fn reset(&self) -> Result<(), InvocationError> {
        let event = events::sample("post-confirmation/confirm-forgot-password");
        let event = events::raw(&event);
        self.function.handle(&event, "request-1").await.map(drop)
    }

    /// Why a token of the event's user, or of another, that began at `at` is refused.
    async fn refused(&self, subject: Option<&str>, at: u64) -> Option<DenyReason> {
        let event = events::sample("post-confirmation/confirm-forgot-password");
        let own = event["request"]["userAttributes"]["sub"].as_str();
        let token = ClaimsBuilder::user(subject.or(own).unwrap(), UnixSeconds(at))
            .issuer_id(event["userPoolId"].as_str().unwrap())
            .build();
        let found = self.store.revocations(&token, UnixSeconds(now())).await;
        found.unwrap().check(&token).err()
    }
}

#[tokio::test]
async fn a_reset_revokes_the_users_sessions_and_not_the_next_one() {
    let fixture = fixture(&[]).await;
    let began = now();
    assert_eq!(fixture.refused(None, began - 100).await, None);
    assert_eq!(fixture.reset().await, Ok(()));
    let revoked = Some(DenyReason::UserRevoked);
    for at in [began - 100, began - 1] {
        assert_eq!(fixture.refused(None, at).await, revoked);
    }
    // The function answers only when a new session is not covered any more.
    assert_eq!(fixture.refused(None, now()).await, None);
    assert_eq!(fixture.refused(Some("grace"), began - 100).await, None);
    assert_eq!(fixture.aws.operations(), ["AdminUserGlobalSignOut"]);
}

#[tokio::test]
async fn a_reset_fails_without_the_store_and_leaves_the_revocation_in_the_queue() {
    let fixture = fixture(&[QUEUE]).await;
    fixture.store.set_available(false);
    let began = now();
    assert_eq!(fixture.reset().await, Err(InvocationError::Internal));
    fixture.store.set_available(true);
    assert_eq!(fixture.refused(None, began - 100).await, None);
    let mut operations = fixture.aws.operations();
    operations.sort();
    assert_eq!(operations, ["AdminUserGlobalSignOut", "SendMessage"]);
}
