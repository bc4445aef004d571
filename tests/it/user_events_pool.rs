//! user-events: records about groups, providers, clients and pools.

use serde_json::json;
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Pool, TokenBuilder};

use crate::user_events::{record, row, send};
use crate::world::{World, failures, refreshed, signed_in_again, text_of, unique, user_token};

#[tokio::test]
async fn deleted_groups_providers_clients_and_pools_revoke_tokens() {
    let world = World::start().await;
    let function = world.function("user-events", &[]).await;
    let pool = Pool::ours().id;
    let (group, provider) = (unique("group"), unique("Provider"));
    let client = unique("client");
    let about = |name: &str, parameter: &str, value: &str| {
        let mut record = record(name, &user_token(), 1);
        record["detail"]["requestParameters"] = json!({"userPoolId": pool, parameter: value});
        record["detail"]["additionalEventData"] = json!(null);
        record
    };
    let mut nameless = about("DeleteGroup", "groupName", "");
    let records = [
        about("DeleteGroup", "groupName", &group),
        about("DeleteIdentityProvider", "providerName", &provider),
        about("DeleteUserPoolClient", "clientId", &client),
        nameless.clone(),
    ];
    let answer = send(&function, &records).await;
    assert_eq!(
        failures(&answer),
        ["m3"],
        "a record without a name is retried"
    );
    nameless["detail"]["requestParameters"]["groupName"] = json!("HIDDEN_FOR_SECURITY_REASONS");
    assert_eq!(failures(&send(&function, &[nameless]).await), ["m0"]);

    // Only tokens that contain the group are rejected, until they are refreshed.
    let token = user_token();
    assert!(world.passes(&token).await, "tokens of other groups");
    let member = user_token().claim("cognito:groups", json!(["x", group]));
    assert!(!world.passes(&member).await, "group");
    assert!(world.passes(&refreshed(&member)).await, "a refresh");
    // Only the sessions of the provider's users are revoked, permanently.
    let federated = user_token().claim("cognito:groups", json!([format!("{pool}_{provider}")]));
    assert!(!world.passes(&federated).await, "provider");
    assert!(!world.passes(&refreshed(&federated)).await, "a refresh");
    assert!(world.passes(&signed_in_again(&federated)).await);
    let row_of_client = row(&world, &format!("{pool}#client#{client}"), "client").await;
    assert_eq!(row_of_client["reason"], "client_deleted");

    // An older record changes nothing, and OUTDATE_ON_GROUP_CHANGE=false leaves the groups' row unchanged.
    let mut older = about("DeleteGroup", "groupName", &group);
    older["detail"]["eventTime"] = json!("2020-01-01T00:00:00Z");
    send(&function, &[older]).await;
    let groups = row(&world, pool, "groups").await;
    let at: u64 = groups[format!("tokens#{group}")]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(at + 60 > now(), "{groups}");
    let more = [("OUTDATE_ON_GROUP_CHANGE", "false")];
    let lenient = world.function("user-events", &more).await;
    let kept = unique("group");
    send(&lenient, &[about("UpdateGroup", "groupName", &kept)]).await;
    let groups = row(&world, pool, "groups").await;
    assert_eq!(groups[format!("tokens#{kept}")], json!(null));

    let gone = "us-east-1_Gone";
    let function = world
        .function("user-events", &[("USER_POOL_ID", gone)])
        .await;
    let mut deleted = record("DeleteUserPool", &user_token(), 1);
    deleted["detail"]["requestParameters"] = json!({"userPoolId": gone});
    send(&function, &[deleted]).await;
    assert_eq!(row(&world, gone, "issuer").await["reason"], "pool_deleted");
}

#[tokio::test]
async fn group_changes_can_be_left_to_the_next_refresh() {
    let world = World::start().await;
    let more = [("OUTDATE_ON_GROUP_CHANGE", "false")];
    let function = world.function("user-events", &more).await;
    let token = user_token();
    send(&function, &[record("AdminRemoveUserFromGroup", &token, 0)]).await;
    assert!(world.passes(&token).await);
}

#[tokio::test]
async fn users_of_other_pools_get_no_row() {
    let world = World::start().await;
    let function = world.function("user-events", &[]).await;
    let sessions = world.function("sessions", &[]).await;
    let poolless = |token: &TokenBuilder<'_>| {
        let mut record = record("DeleteUser", token, 1);
        record["detail"]["requestParameters"] =
            json!({"accessToken": "HIDDEN_DUE_TO_SECURITY_REASONS"});
        record
    };
    let stranger = user_token();
    let answer = send(&function, &[poolless(&stranger)]).await;
    assert_eq!(failures(&answer), Vec::<&str>::new());
    let subject = text_of(&stranger, "sub");
    let (_, asked) = world.cognito.requests().remove(0);
    assert_eq!(asked["Filter"], format!("sub = \"{subject}\""));
    let partition = format!("{}#user#{subject}", Pool::ours().id);
    assert_eq!(row(&world, &partition, "user").await, json!({}));
    assert_eq!(world.profile(&subject).await, json!({}));
    assert_eq!(world.others.requests().len(), 0, "no message to the topic");
    assert!(world.passes(&stranger).await);
    assert!(function.output().contains("unknown_user"));

    // Deleted from the pool, but known from a profile or a recorded sign-in.
    let with_profile = user_token();
    let mut disabled = record("AdminDisableUser", &with_profile, 60);
    disabled["detail"]["eventTime"] = json!("2020-01-01T00:00:00Z");
    let enabled = record("AdminEnableUser", &with_profile, 50);
    send(&function, &[disabled, enabled]).await;
    let signed_in = user_token();
    let event = crate::world::behind_authorizer(
        &signed_in,
        ("POST", "/auth/sessions"),
        json!(null),
        json!(null),
    );
    assert_eq!(crate::world::ask(&sessions, &event).await.0, 200);
    for known in [with_profile, signed_in] {
        assert!(world.passes(&known).await);
        send(&function, &[poolless(&known)]).await;
        assert!(!world.passes(&known).await);
        let partition = format!("{}#user#{}", Pool::ours().id, text_of(&known, "sub"));
        let row = row(&world, &partition, "user").await;
        let end: u64 = row["expires_at"].as_str().unwrap().parse().unwrap();
        assert!(end > now() + 28_800, "a deleted user's row expires: {row}");
    }
    // The name in a record without a pool may be of a user of another pool.
    let namesake = user_token();
    let user = json!({"Username": "ada", "Enabled": true,
        "UserAttributes": [{"Name": "sub", "Value": namesake.get("sub")}]});
    world.cognito.set_answer("AdminGetUser", user);
    let mut named = record("ConfirmForgotPassword", &namesake, 1);
    named["detail"]["requestParameters"] = json!({"clientId": "other", "username": "ada"});
    named["detail"]["additionalEventData"] = json!(null);
    let answer = send(&function, std::slice::from_ref(&named)).await;
    assert_eq!(failures(&answer), ["m0"]);
    assert!(world.passes(&namesake).await);
    named["detail"]["requestParameters"]["userPoolId"] = json!(Pool::ours().id);
    let answer = send(&function, &[named]).await;
    assert_eq!(failures(&answer), Vec::<&str>::new());
    assert!(!world.passes(&namesake).await);
    // If Cognito does not respond, the record is retried.
    world.cognito.set_fault(Fault::Answer(500, "{}".to_owned()));
    let answer = send(&function, &[poolless(&user_token())]).await;
    assert_eq!(failures(&answer), ["m0"]);
}
