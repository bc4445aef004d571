//! Which tokens CloudTrail's records revoke, with the revocations in memory.

use auth::memory::MemoryRevocations;
use auth::{
    ClaimsBuilder, DenyReason, RevocationReader, RevocationWriter, UnixSeconds, VerifiedClaims,
};
use runtime::{Handler, InvocationError};
use serde_json::Value;
use testkit::{FakeAws, Pool, events, now};
use user_events::{Config, UserEvents};

const SUBJECT: &str = "5f7e6d5c-1234-4abc-9def-sampleuser001";
/// The time of the sample's call: 2026-11-22T06:00:00Z.
const AT: u64 = 1_795_327_200;

struct Fixture {
    function: UserEvents<MemoryRevocations>,
    store: MemoryRevocations,
    aws: FakeAws,
}

async fn fixture() -> Fixture {
    let aws = FakeAws::start().await;
    let variables = [("ACCOUNT_ID", "123456789012")];
    let config = Config::from_lookup(&events::variables(&variables)).unwrap();
    let store = MemoryRevocations::default();
    Fixture {
        function: UserEvents::over(&aws.sdk(), config, store.clone()),
        store,
        aws,
    }
}

impl Fixture {
    async fn call(&self, event: &Value) -> Result<(), InvocationError> {
        let event = events::raw(event);
        self.function.handle(&event, "request-1").await.map(drop)
    }

    /// Why the token is refused, if it is.
    async fn refused(&self, token: &VerifiedClaims) -> Option<DenyReason> {
        let found = self.store.revocations(token, UnixSeconds(AT + 60)).await;
        found.unwrap().check(token).err()
    }
}

/// The record of a call with all parameters that a call may have.
fn record(event_name: &str) -> Value {
    let mut event = events::sample("user-events/admin-disable-user");
    event["detail"]["eventName"] = event_name.into();
    let parameters = &mut event["detail"]["requestParameters"];
    parameters["groupName"] = "editors".into();
    parameters["providerName"] = "Google".into();
    parameters["clientId"] = "some-client".into();
    event
}

/// The same, `seconds` after the sample's call.
fn record_at(event_name: &str, seconds: u64) -> Value {
    let mut event = record(event_name);
    event["detail"]["eventTime"] = format!("2026-11-22T06:00:{seconds:02}Z").into();
    event
}

/// A token of a user who signed in `before` seconds before the sample's call.
fn token(subject: &str, before: i64, client: &str, groups: &[&str]) -> VerifiedClaims {
    let signed_in = UnixSeconds(AT.saturating_add_signed(-before));
    let provider = format!("{}_Google", Pool::ours().id);
    let groups = groups
        .iter()
        .map(|group| group.replace("{provider}", &provider));
    let groups: Vec<String> = groups.collect();
    ClaimsBuilder::user(subject, signed_in)
        .issuer_id(Pool::ours().id)
        .client_id(client)
        .groups(groups.iter().map(String::as_str))
        .build()
}

/// The token before the call, the same session's after a refresh, and that of a later sign-in.
fn tokens() -> [VerifiedClaims; 3] {
    let groups = ["editors", "{provider}"];
    let before = token(SUBJECT, 100, "some-client", &groups);
    let refreshed = ClaimsBuilder::user(SUBJECT, UnixSeconds(AT - 100))
        .issuer_id(Pool::ours().id)
        .client_id("some-client")
        .groups(before.groups().iter().map(String::as_str))
        .issued_at(UnixSeconds(AT + 10))
        .build();
    let after = token(SUBJECT, -10, "some-client", &groups);
    [before, refreshed, after]
}

#[tokio::test]
async fn every_call_revokes_the_tokens_that_it_is_about() {
    let all = |reason| [Some(reason); 3];
    let earlier = |reason| [Some(reason), Some(reason), None];
    let issued = |reason| [Some(reason), None, None];
    let rows = [
        ("AdminDisableUser", all(DenyReason::UserDisabled)),
        ("AdminDeleteUser", all(DenyReason::UserDisabled)),
        ("AdminEnableUser", [None; 3]),
        ("AdminUserGlobalSignOut", earlier(DenyReason::UserRevoked)),
        ("AdminSetUserPassword", earlier(DenyReason::UserRevoked)),
        ("ChangePassword", earlier(DenyReason::UserRevoked)),
        (
            "AdminSetUserMFAPreference",
            earlier(DenyReason::UserRevoked),
        ),
        ("RevokeToken", issued(DenyReason::Outdated)),
        ("AdminForgetDevice", issued(DenyReason::Outdated)),
        ("AdminUpdateUserAttributes", issued(DenyReason::Outdated)),
        ("AdminAddUserToGroup", issued(DenyReason::Outdated)),
        ("DeleteGroup", issued(DenyReason::Outdated)),
        (
            "DeleteIdentityProvider",
            earlier(DenyReason::ProviderRemoved),
        ),
        ("DeleteUserPoolClient", earlier(DenyReason::ClientRevoked)),
        ("DeleteUserPool", earlier(DenyReason::IssuerRevoked)),
        ("UpdateUserPool", [None; 3]),
        ("UpdateUserAttributes", [None; 3]),
        ("AdminGetUser", [None; 3]),
    ];
    for (name, expected) in rows {
        let fixture = fixture().await;
        // A record may be delivered twice.
        for delivery in ["first", "second"] {
            assert_eq!(
                fixture.call(&record(name)).await,
                Ok(()),
                "{name} {delivery}"
            );
            let mut found = Vec::new();
            for token in &tokens() {
                found.push(fixture.refused(token).await);
            }
            assert_eq!(found, expected, "{name} {delivery}");
        }
        let other = token("grace", 100, "other-client", &["viewers"]);
        let others = (name == "DeleteUserPool").then_some(DenyReason::IssuerRevoked);
        assert_eq!(
            fixture.refused(&other).await,
            others,
            "{name}: another user"
        );
        assert_eq!(fixture.aws.operations(), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn the_later_of_disable_and_enable_wins_in_any_order_of_arrival() {
    let [.., after] = tokens();
    let disabled = Some(DenyReason::UserDisabled);
    for (disable, enable, expected) in [(0, 5, None), (5, 0, disabled), (5, 5, disabled)] {
        let calls = [
            record_at("AdminDisableUser", disable),
            record_at("AdminEnableUser", enable),
        ];
        for order in [[0, 1], [1, 0]] {
            let fixture = fixture().await;
            for index in order {
                assert_eq!(fixture.call(&calls[index]).await, Ok(()));
            }
            let found = fixture.refused(&after).await;
            assert_eq!(found, expected, "{disable} {enable} {order:?}");
        }
    }
}

#[tokio::test]
async fn a_noted_call_of_gatehouse_itself_outdates_no_token() {
    let fixture = fixture().await;
    let [before, ..] = tokens();
    let mut event = record("RevokeToken");
    event["detail"]["requestID"] = "our-call".into();
    let at = UnixSeconds(now());
    let noted = fixture
        .store
        .note_call(Pool::ours().id, "our-call", at)
        .await;
    noted.unwrap();
    assert_eq!(fixture.call(&event).await, Ok(()));
    assert_eq!(fixture.refused(&before).await, None);
    event["detail"]["requestID"] = "another-call".into();
    assert_eq!(fixture.call(&event).await, Ok(()));
    let outdated = Some(DenyReason::Outdated);
    assert_eq!(
        fixture.refused(&before).await,
        outdated,
        "another program's"
    );
}

#[tokio::test]
async fn a_record_is_kept_while_the_store_is_not_available() {
    let [before, ..] = tokens();
    for name in ["AdminDisableUser", "RevokeToken", "DeleteUserPool"] {
        let fixture = fixture().await;
        fixture.store.set_available(false);
        let failed = Err(InvocationError::Internal);
        assert_eq!(fixture.call(&record(name)).await, failed, "{name}");
        fixture.store.set_available(true);
        assert_eq!(fixture.call(&record(name)).await, Ok(()), "{name}");
        assert!(fixture.refused(&before).await.is_some(), "{name}");
    }
}
