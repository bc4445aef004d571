//! user-events: late, early, repeated and failed records.

use auth::{KeptSession, OtherSessions, RevocationContext, RevocationWriter, UnixSeconds, UserRef};
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Pool, TokenBuilder};

use crate::user_events::{record, send};
use crate::world::{World, failures, next_second, refreshed, signed_in_again, text_of, user_token};

#[tokio::test]
async fn event_order_and_duplicates_do_not_matter() {
    let world = World::start().await;
    let function = world.function("user-events", &[]).await;
    let rows: [(&[(&str, u64)], bool); 6] = [
        (&[("AdminDisableUser", 30), ("AdminEnableUser", 20)], true),
        (&[("AdminEnableUser", 20), ("AdminDisableUser", 30)], true),
        (&[("AdminEnableUser", 30), ("AdminDisableUser", 20)], false),
        (&[("AdminDisableUser", 20), ("AdminEnableUser", 30)], false),
        (&[("AdminDisableUser", 20), ("AdminEnableUser", 20)], false),
        (&[("AdminEnableUser", 20), ("AdminDisableUser", 20)], false),
    ];
    for (events, lets_in) in rows {
        for twice in [false, true] {
            let token = user_token();
            let mut records: Vec<Value> = events
                .iter()
                .map(|(name, ago)| record(name, &token, *ago))
                .collect();
            if twice {
                records.extend(records.clone());
            }
            send(&function, &records).await;
            assert!(
                !world.passes(&token).await,
                "{events:?}: earlier tokens stay revoked"
            );
            let again = signed_in_again(&token);
            assert_eq!(world.passes(&again).await, lets_in, "{events:?}");
        }
    }
    // A deleted user stays deleted, even if an older enabling arrives later.
    let token = user_token();
    let records = [
        record("AdminDeleteUser", &token, 5),
        record("AdminEnableUser", &token, 10),
    ];
    send(&function, &records).await;
    assert!(!world.passes(&signed_in_again(&token)).await);
    let profile = world.profile(&text_of(&token, "sub")).await;
    assert_eq!(profile["status"], "DELETED");
    // A deletion is final, also if a clock that is ahead has written the enabling before it.
    let token = user_token();
    let records = [
        record("AdminEnableUser", &token, 5),
        record("AdminDeleteUser", &token, 10),
    ];
    send(&function, &records).await;
    let profile = world.profile(&text_of(&token, "sub")).await;
    assert_eq!(profile["status"], "DELETED");
}

#[tokio::test]
async fn event_times_are_bounded_and_failed_writes_retried() {
    let world = World::start().await;
    let function = world.function("user-events", &[]).await;
    // A time in the future is replaced by now; a time in the past is kept.
    let token = user_token();
    let mut future = record("GlobalSignOut", &token, 0);
    future["detail"]["eventTime"] = json!("2099-01-01T00:00:00Z");
    send(&function, &[future]).await;
    assert!(!world.passes(&token).await);
    next_second().await;
    assert!(
        world.passes(&signed_in_again(&token)).await,
        "the time is limited to now"
    );
    let token = user_token();
    send(&function, &[record("GlobalSignOut", &token, 7 * 86_400)]).await;
    assert!(world.passes(&token).await, "the user has signed in since");

    for operation in ["UpdateItem"] {
        let token = user_token();
        world
            .store
            .set_fault_for(operation, Fault::Answer(500, "{}".to_owned()));
        let answer = send(&function, &[record("GlobalSignOut", &token, 1)]).await;
        assert_eq!(failures(&answer), ["m0"], "the record is retried");
        world.store.set_fault(Fault::None);
        send(&function, &[record("GlobalSignOut", &token, 1)]).await;
        assert!(!world.passes(&token).await);
    }
    let token = user_token();
    world.others.set_fault(Fault::Answer(500, "{}".to_owned()));
    let answer = send(&function, &[record("GlobalSignOut", &token, 1)]).await;
    assert_eq!(failures(&answer), ["m0"], "the message must be published");
    assert!(
        !world.passes(&token).await,
        "the revocation is written nevertheless"
    );
    let output = function.output();
    assert!(
        !output.contains(&text_of(&token, "sub")),
        "the log contains no id"
    );
}

#[tokio::test]
async fn others_does_not_exempt_a_stolen_session_from_a_password_change() {
    let world = World::start().await;
    let function = world.function("user-events", &[]).await;
    let logout = world.function("logout", &[]).await;
    let others = async |token: &TokenBuilder<'_>| {
        let event = json!({
            "httpMethod": "POST", "body": json!({"scope": "others"}).to_string(),
            "headers": {"Authorization": format!("Bearer {}", token.build())},
        });
        assert_eq!(logout.invoke(&event).await.answer()["statusCode"], 200);
    };
    // Before the change, after it, and both.
    for (before, after) in [(true, false), (false, true), (true, true)] {
        let thief = user_token();
        if before {
            others(&thief).await;
        }
        let change = record("ChangePassword", &thief, 0);
        if after {
            others(&thief).await;
        }
        assert!(world.passes(&thief).await);
        let answer = send(&function, &[change.clone(), change]).await;
        assert_eq!(failures(&answer), Vec::<&str>::new());
        assert!(!world.passes(&thief).await, "{before} {after}");
        assert!(!world.passes(&refreshed(&thief)).await, "{before} {after}");
    }
    // A session that auth-api exempted from exactly this change stays valid, until another change.
    let own = user_token();
    let store = crate::store::revocations(&world.stack).await;
    let subject = text_of(&own, "sub");
    let user = UserRef {
        issuer: Pool::ours().id,
        subject: &subject,
    };
    let session = text_of(&own, "origin_jti");
    let since = UnixSeconds(own.get("auth_time").as_u64().unwrap());
    let context = RevocationContext {
        reason: "test",
        actor: "test",
        at: UnixSeconds(now()),
        refresh_token_ttl_seconds: 28_800,
    };
    let at = UnixSeconds(now());
    let others = OtherSessions {
        not_before: at,
        kept: KeptSession {
            session: &session,
            authenticated_at: since,
        },
        password_changed_at: Some(at),
    };
    let revoked = store.revoke_other_sessions(&user, &others, &context);
    assert!(revoked.await.unwrap());
    let change = record("ChangePassword", &own, 1);
    send(&function, &[change.clone(), change]).await;
    assert!(world.passes(&own).await, "the session that made the change");
    send(&function, &[record("ChangePassword", &own, 60)]).await;
    assert!(!world.passes(&own).await, "the record of another change");
}
