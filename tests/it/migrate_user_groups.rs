//! migrate-user and post-authentication: the groups of migrated users.

use serde_json::json;
use testkit::server::Fault;
use testkit::token::now;

use crate::migrate_user::{CONFIRMED, OldTable, PASSWORD, ada, moved, sign_in, with};
use crate::migrate_user_sources::made;
use crate::world::unique;

#[tokio::test]
async fn groups_of_an_unverified_address_are_assigned_by_user_name() {
    let old = OldTable::make().await;
    let world = &old.world;
    let migrate = old
        .function(&[("LEGACY_GROUPS", r#"{"Staff":"staff"}"#)])
        .await;
    let after = world.function("post-authentication", &[]).await;
    let migrated = made(now(), "CONFIRMED");
    world.cognito.set_answer("AdminGetUser", migrated);
    let email = format!("{}@example.com", unique("joan"));
    let row = json!({"email": email, "email_verified": false, "groups": "Staff"});
    old.put(with(ada(&email), row)).await;
    // (the user name in the pool, its `email_verified`, whether the groups are assigned)
    for (name, verified, given) in [
        ("5f7e-new-sub", "true", false),
        ("another-name", "false", false),
        ("5f7e-new-sub", "false", true),
        (email.as_str(), "false", true),
    ] {
        let status = moved(&migrate, &sign_in(&email.to_uppercase(), PASSWORD)).await;
        assert_eq!(status.as_deref(), CONFIRMED);
        let signed_in = json!({
            "triggerSource": "PostAuthentication_Authentication",
            "userPoolId": "us-east-1_Gatehouse", "userName": name,
            "request": {"userAttributes":
                {"sub": "5f7e-new-sub", "email": email, "email_verified": verified}},
        });
        world.cognito.forget_requests();
        assert_eq!(after.invoke(&signed_in).await.answer(), signed_in);
        let asked = world.cognito.requests();
        let added = asked.iter().any(|(name, _)| name == "AdminAddUserToGroup");
        assert_eq!(added, given, "{name} {verified}");
    }
}

#[tokio::test]
async fn users_can_sign_in_while_group_assignment_is_slow() {
    let old = OldTable::make().await;
    let world = &old.world;
    let migrate = old
        .function(&[("LEGACY_GROUPS", r#"{"Staff":"staff"}"#)])
        .await;
    let after = world.function("post-authentication", &[]).await;
    let email = format!("{}@example.com", unique("slow"));
    let row = json!({"email": email, "groups": "Staff"});
    old.put(with(ada(&email), row)).await;
    let status = moved(&migrate, &sign_in(&email, PASSWORD)).await;
    assert_eq!(status.as_deref(), CONFIRMED);
    world.cognito.set_fault(Fault::Hang);
    let signed_in = json!({
        "triggerSource": "PostAuthentication_Authentication",
        "userPoolId": "us-east-1_Gatehouse", "userName": "5f7e-new-sub",
        "request": {"userAttributes": {"email": email, "email_verified": "true"}},
    });
    assert_eq!(after.invoke(&signed_in).await.answer(), signed_in);
    assert!(after.output().contains("time_is_up"), "{}", after.output());
}

#[tokio::test]
async fn groups_are_assigned_at_the_first_sign_in() {
    let old = OldTable::make().await;
    let world = &old.world;
    let groups = r#"{"Staff":"staff","Editors":"writers"}"#;
    let migrate = old.function(&[("LEGACY_GROUPS", groups)]).await;
    let after = world.function("post-authentication", &[]).await;
    let email = format!("{}@example.com", unique("grace"));
    let row = json!({"email": email, "groups": "Staff, admins, Editors"});
    old.put(with(ada(&email), row)).await;
    let signed_in = json!({
        "version": "1", "triggerSource": "PostAuthentication_Authentication", "region": "us-east-1",
        "userPoolId": "us-east-1_Gatehouse", "userName": "5f7e-new-sub", "new": 1,
        "request": {"userAttributes":
            {"sub": "5f7e-new-sub", "email": email, "email_verified": "true"}}, "response": {},
    });
    let given = async || -> Vec<String> {
        world.cognito.forget_requests();
        // The sign-in continues after every failure.
        assert_eq!(after.invoke(&signed_in).await.answer(), signed_in);
        let asked = world.cognito.requests().into_iter();
        asked
            .filter(|(operation, _)| operation != "AdminGetUser")
            .map(|(operation, body)| {
                assert_eq!(operation, "AdminAddUserToGroup");
                assert_eq!(body["Username"], "5f7e-new-sub");
                body["GroupName"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    assert_eq!(given().await, Vec::<String>::new(), "no groups are pending");
    assert_eq!(
        moved(&migrate, &sign_in(&email, "wrong-password")).await,
        None
    );
    assert_eq!(
        given().await,
        Vec::<String>::new(),
        "a wrong password leaves no groups"
    );
    assert_eq!(
        moved(&migrate, &sign_in(&email, PASSWORD)).await.as_deref(),
        CONFIRMED
    );
    // Other users claim that address, unverified or from an identity provider: they do not get the groups.
    for (name, value) in [
        ("email_verified", json!("false")),
        ("email_verified", json!(null)),
        (
            "identities",
            json!("[{\"providerName\":\"Oidc\",\"userId\":\"1\"}]"),
        ),
        ("cognito:user_status", json!("EXTERNAL_PROVIDER")),
    ] {
        let mut claimed = signed_in.clone();
        claimed["request"]["userAttributes"][name] = value;
        world.cognito.forget_requests();
        assert_eq!(after.invoke(&claimed).await.answer(), claimed);
        assert_eq!(world.cognito.requests(), [], "{name}");
    }
    // Groups of an address are not assigned to a user whose name looks like the address.
    let mut named = signed_in.clone();
    named["userName"] = json!(email);
    named["request"]["userAttributes"] = json!({"sub": "5f7e-other"});
    world.cognito.forget_requests();
    assert_eq!(after.invoke(&named).await.answer(), named);
    assert_eq!(world.cognito.requests(), []);
    // A user that was not created at the time of the migration, or is unconfirmed.
    for standing in [
        made(now() - 3_600, "CONFIRMED"),
        made(now() + 3_600, "CONFIRMED"),
        made(now(), "UNCONFIRMED"),
        made(now(), "EXTERNAL_PROVIDER"),
        json!({"Username": "5f7e-new-sub"}),
    ] {
        world.cognito.set_answer("AdminGetUser", standing.clone());
        assert_eq!(given().await, Vec::<String>::new(), "{standing}");
    }
    let migrated = made(now(), "CONFIRMED");
    world.cognito.set_answer("AdminGetUser", migrated);
    world.cognito.set_fault(Fault::Answer(500, "{}".to_owned()));
    assert_eq!(given().await, Vec::<String>::new());
    world.cognito.set_fault(Fault::None);
    assert_eq!(
        given().await,
        ["staff", "writers"],
        "retried, and `admins`, which is not mapped, is not assigned"
    );
    assert_eq!(given().await, Vec::<String>::new(), "assigned once");
    for event in [
        json!(null),
        json!({"triggerSource": "PostAuthentication_New"}),
    ] {
        assert_eq!(after.invoke(&event).await.answer(), event);
    }
    // The table is unavailable: users are not migrated without their groups, but all users can sign in.
    world.store.set_fault_for("PutItem", Fault::Cut);
    assert!(
        migrate
            .invoke(&sign_in(&email, PASSWORD))
            .await
            .is_failure()
    );
    world.store.set_fault(Fault::Cut);
    assert_eq!(given().await, Vec::<String>::new());
}
