//! user-events: CloudTrail's records, in any order and more than once.

use std::path::Path;

use serde_json::{Value, json};
use testkit::token::now;
use testkit::{Binary, Pool, TokenBuilder};

use crate::world::{
    World, batch, failures, next_second, refreshed, signed_in_again, text_of, user_token,
};

/// A record as in `events/user-events`, about this user, made `ago` seconds ago.
pub(crate) fn record(name: &str, token: &TokenBuilder<'_>, ago: u64) -> Value {
    let sample = "../events/user-events/admin-disable-user.json";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(sample);
    let mut record: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let time = aws_sdk_dynamodb::primitives::DateTime::from_secs((now() - ago).cast_signed());
    let format = aws_sdk_dynamodb::primitives::DateTimeFormat::DateTime;
    record["detail"]["eventName"] = json!(name);
    record["detail"]["eventTime"] = json!(time.fmt(format).unwrap());
    record["detail"]["additionalEventData"]["sub"] = token.get("sub").clone();
    record
}

pub(crate) async fn send(function: &Binary, records: &[Value]) -> Value {
    let bodies: Vec<String> = records.iter().map(Value::to_string).collect();
    function.invoke(&batch(&bodies)).await.answer()
}

#[tokio::test]
async fn every_revoking_call_is_applied() {
    let world = World::start().await;
    let function = world.function("user-events", &[]).await;
    next_second().await;
    for (name, kind, ends_session, status) in [
        ("AdminDisableUser", "user_disabled", true, "DISABLED"),
        ("AdminDeleteUser", "user_deleted", true, "DELETED"),
        ("DeleteUser", "user_deleted", true, "DELETED"),
        ("AdminUserGlobalSignOut", "signed_out_everywhere", true, ""),
        ("GlobalSignOut", "signed_out_everywhere", true, ""),
        ("AdminSetUserPassword", "password_set", true, ""),
        ("AdminResetUserPassword", "password_set", true, ""),
        ("ConfirmForgotPassword", "password_reset", true, ""),
        ("ChangePassword", "password_changed", true, ""),
        ("RevokeToken", "session_revoked", false, ""),
        ("AdminRevokeUserSession", "session_revoked", false, ""),
        ("ForgetDevice", "device_forgotten", false, ""),
        ("AdminUpdateUserAttributes", "attributes_changed", false, ""),
        ("AdminDeleteUserAttributes", "attributes_changed", false, ""),
        ("AdminSetUserMFAPreference", "mfa_changed", true, ""),
        ("AdminDisableProviderForUser", "provider_unlinked", true, ""),
        ("AdminAddUserToGroup", "groups_changed", false, ""),
        ("AdminRemoveUserFromGroup", "groups_changed", false, ""),
    ] {
        let token = user_token();
        assert!(world.passes(&token).await);
        world.others.forget_requests();
        let answer = send(&function, &[record(name, &token, 1)]).await;
        assert_eq!(failures(&answer), Vec::<&str>::new(), "{name}");
        assert!(!world.passes(&token).await, "{name}");
        let later = refreshed(&token);
        assert_eq!(
            world.passes(&later).await,
            !ends_session,
            "{name}: a refresh"
        );
        let again = signed_in_again(&token);
        let locked = !status.is_empty();
        assert_eq!(world.passes(&again).await, !locked, "{name}: a sign-in");

        let profile = world.profile(&text_of(&token, "sub")).await;
        assert_eq!(
            profile["status"].as_str().unwrap_or_default(),
            status,
            "{name}"
        );
        let (operation, message) = world.others.requests().remove(0);
        assert_eq!(operation, "Publish", "{name}");
        let attribute = &message["MessageAttributes.entry.1.Value.StringValue"];
        assert_eq!(attribute, kind, "{name}");
        let body: Value = serde_json::from_str(message["Message"].as_str().unwrap()).unwrap();
        assert_eq!(body["kind"], kind);
        assert_eq!(body["sub"], *token.get("sub"));
        assert_eq!(body["actor"], "arn:aws:iam::123456789012:user/alice");
    }
    let other = user_token();
    let answer = send(&function, &[record("AdminGetUser", &other, 0)]).await;
    assert_eq!(failures(&answer), Vec::<&str>::new());
    assert!(world.passes(&other).await, "a reading call revokes nothing");
    // Calls that are published to the topic and revoke nothing.
    for (name, kind) in [
        ("UpdateUserAttributes", "own_attributes_changed"),
        ("SetUserMFAPreference", "own_mfa_changed"),
        ("UpdateUserPoolClient", "configuration_changed"),
        ("UpdateIdentityProvider", "configuration_changed"),
    ] {
        world.others.forget_requests();
        send(&function, &[record(name, &other, 0)]).await;
        assert!(world.passes(&other).await, "{name}");
        let (_, message) = world.others.requests().remove(0);
        let attribute = &message["MessageAttributes.entry.1.Value.StringValue"];
        assert_eq!(attribute, kind, "{name}");
    }
}

/// Strangers cause calls of our own functions, for instance by a sign-up with another person's address.
/// They revoke, and the operator gets no mail.
#[tokio::test]
async fn own_calls_revoke_without_a_message_or_a_profile() {
    let world = World::start().await;
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/gatehouse/{name}");
    let own = [role("auth-api"), role("user-sweep")].join(",");
    let function = world
        .function("user-events", &[("OWN_ROLE_ARNS", &own)])
        .await;
    let by = |kind: &str, role_arn: &Value, name: &str, token: &TokenBuilder<'_>| {
        let mut record = record(name, token, 1);
        record["detail"]["userIdentity"] = json!({
            "type": kind,
            "arn": "arn:aws:sts::123456789012:assumed-role/auth-api/gatehouse-auth-api",
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": role_arn}},
        });
        record
    };
    next_second().await;
    for (name, role_name) in [
        ("AdminResetUserPassword", "auth-api"),
        ("AdminUserGlobalSignOut", "auth-api"),
        ("AdminDeleteUserAttributes", "auth-api"),
        ("AdminDeleteUser", "user-sweep"),
        ("AdminAddUserToGroup", "user-sweep"),
    ] {
        let token = user_token();
        assert!(world.passes(&token).await);
        world.others.forget_requests();
        let record = by("AssumedRole", &json!(role(role_name)), name, &token);
        let answer = send(&function, &[record]).await;
        assert_eq!(failures(&answer), Vec::<&str>::new(), "{name}");
        assert!(!world.passes(&token).await, "{name}");
        assert_eq!(world.others.requests(), [], "{name}");
        let profile = world.profile(&text_of(&token, "sub")).await;
        assert_eq!(profile, json!({}), "{name}");
    }
    assert!(function.output().contains("applied_own_call"));

    // Everything else is reported: another role, and records that name no role as AWS does.
    let name = "AdminResetUserPassword";
    for (kind, role_arn) in [
        ("AssumedRole", json!(role("admin"))),
        ("AssumedRole", json!(role("auth-api2"))),
        (
            "AssumedRole",
            json!("arn:aws:iam::210987654321:role/gatehouse/auth-api"),
        ),
        ("AssumedRole", json!("")),
        ("AssumedRole", json!(null)),
        ("AssumedRole", json!([role("auth-api")])),
        ("IAMUser", json!(role("auth-api"))),
    ] {
        let token = user_token();
        world.others.forget_requests();
        send(&function, &[by(kind, &role_arn, name, &token)]).await;
        assert!(!world.passes(&token).await, "{kind} {role_arn}");
        let operations = world.others.operations();
        assert_eq!(operations, ["Publish"], "{kind} {role_arn}");
    }
    let unset = world.function("user-events", &[]).await;
    world.others.forget_requests();
    let record = by("AssumedRole", &json!(role("auth-api")), name, &user_token());
    send(&unset, &[record]).await;
    assert_eq!(world.others.operations(), ["Publish"]);
}

/// The row that a record caused, as text values.
pub(crate) async fn row(world: &World, pk: &str, sk: &str) -> Value {
    world
        .row(&world.stack.table, &[("pk", pk), ("sk", sk)])
        .await
}

#[tokio::test]
async fn logouts_own_calls_revoke_nothing_further() {
    let world = World::start().await;
    let function = world.function("user-events", &[]).await;
    let logout = world.function("logout", &[]).await;
    let retry = world.function("logout-retry", &[]).await;
    let laptop = user_token();
    let phone = signed_in_again(&laptop);
    let event = json!({
        "httpMethod": "POST", "body": json!({"refresh_token": "opaque-secret"}).to_string(),
        "headers": {"Authorization": format!("Bearer {}", phone.build())},
    });
    assert_eq!(logout.invoke(&event).await.answer()["statusCode"], 200);
    assert!(!world.passes(&phone).await);
    let call = |request_id: &str| {
        let mut call = record("RevokeToken", &laptop, 1);
        call["detail"]["requestID"] = json!(request_id);
        call["detail"]["userIdentity"] = json!({"type": "Unknown", "principalId": "Anonymous"});
        // It is not known whether live records contain the pool or the user.
        call["detail"]["requestParameters"] = json!({"clientId": "c"});
        call
    };
    let own = format!("RevokeToken-{}", world.cognito.requests().len());
    let mut without_subject = call(&own);
    without_subject["detail"]["additionalEventData"] = json!(null);
    let answer = send(&function, &[call(&own), call(&own), without_subject]).await;
    assert_eq!(failures(&answer), Vec::<&str>::new());
    assert!(world.passes(&laptop).await, "the token of another device");
    assert_eq!(world.others.requests().len(), 0, "no message to the topic");

    // The same call, made later by logout-retry.
    let task = json!({"kind": "revoke_refresh_token", "client_id": "c", "refresh_token": "opaque"});
    let answer = retry.invoke(&batch(&[task.to_string()])).await.answer();
    assert_eq!(failures(&answer), Vec::<&str>::new());
    let own = format!("RevokeToken-{}", world.cognito.requests().len());
    send(&function, &[call(&own)]).await;
    assert!(world.passes(&laptop).await, "the call of logout-retry");

    // Every holder of a refresh token can make this call, so it must not raise an alarm.
    let mut without_subject = call("another");
    without_subject["detail"]["additionalEventData"] = json!(null);
    let answer = send(&function, &[without_subject]).await;
    assert_eq!(failures(&answer), Vec::<&str>::new());
    // Another program's call about a user of the pool invalidates the user's tokens until a refresh.
    let user = json!({"Username": "x", "Enabled": true,
        "Attributes": [{"Name": "sub", "Value": laptop.get("sub")}]});
    world
        .cognito
        .set_answer("ListUsers", json!({"Users": [user]}));
    send(&function, &[call("another")]).await;
    assert!(!world.passes(&laptop).await);
    assert!(world.passes(&refreshed(&laptop)).await);
}

#[tokio::test]
async fn the_heartbeat_of_user_sweep_is_counted() {
    let world = World::start().await;
    let function = world.function("user-events", &[]).await;
    let arn = format!(
        "arn:aws:cognito-idp:us-east-1:123456789012:userpool/{}",
        Pool::ours().id
    );
    let more = [
        ("USER_POOL_ARN", arn.as_str()),
        ("USER_POOL_ID", "us-east-1_Beat"),
    ];
    let sweep = world.function("user-sweep", &more).await;
    assert!(!sweep.invoke(&json!({})).await.is_failure());
    let (operation, request) = world.cognito.requests().remove(0);
    assert_eq!(operation, "UntagResource");
    assert_eq!(request["ResourceArn"], arn);
    assert_eq!(request["TagKeys"], json!(["gatehouse-heartbeat"]));

    let heard = |arn: &str| {
        let mut call = record("UntagResource", &user_token(), 0);
        call["detail"]["additionalEventData"] = json!(null);
        call["detail"]["requestParameters"] =
            json!({"resourceArn": arn, "tagKeys": ["gatehouse-heartbeat"]});
        call
    };
    let beats = |function: &Binary| {
        function
            .output()
            .matches("\"outcome\":\"heartbeat\"")
            .count()
    };
    let quiet = [
        ("LOG_LEVEL", "ERROR"),
        ("METRICS_NAMESPACE", "Team/Auth"),
        ("STACK_NAME", "prod"),
    ];
    let quiet = world.function("user-events", &quiet).await;
    let other_call = record("AdminGetUser", &user_token(), 0);
    send(&quiet, &[heard(&arn), other_call]).await;
    assert_eq!(beats(&quiet), 1, "the metric of an alarm");
    assert!(!quiet.output().contains("nothing_to_do"));
    for part in [
        "\"Namespace\":\"Team/Auth\"",
        "\"Dimensions\":[[\"stack\",\"function\",\"outcome\"]]",
        "\"stack\":\"prod\"",
    ] {
        assert!(quiet.output().contains(part), "{part}");
    }
    let other = arn.replace(Pool::ours().id, "us-east-1_Other");
    let answer = send(&function, &[heard(&other)]).await;
    assert_eq!((failures(&answer).len(), beats(&function)), (0, 0));
    let answer = send(&function, &[heard(&arn)]).await;
    assert_eq!((failures(&answer).len(), beats(&function)), (0, 1));
    let dimensions = "\"Dimensions\":[[\"function\",\"outcome\"]]";
    assert!(
        function.output().contains(dimensions),
        "the dimensions that the alarm uses"
    );
}

#[tokio::test]
async fn ignores_foreign_events_and_retries_events_without_a_subject() {
    let world = World::start().await;
    let function = world.function("user-events", &[]).await;
    let token = user_token();
    let with = |pointer: &str, value: Value| {
        let mut record = record("AdminDisableUser", &token, 1);
        *record.pointer_mut(pointer).unwrap() = value;
        record
    };
    let mut failed = record("AdminDisableUser", &token, 1);
    failed["detail"]["errorCode"] = json!("UserNotFoundException");
    let ignored = [
        ("failed call", failed),
        (
            "another pool",
            with(
                "/detail/requestParameters/userPoolId",
                json!("us-east-1_Other"),
            ),
        ),
        ("another region", with("/region", json!("eu-west-1"))),
        ("another source", with("/source", json!("my.app"))),
        ("another account", with("/account", json!("999999999999"))),
        ("another detail type", with("/detail-type", json!("custom"))),
        (
            "another service",
            with("/detail/eventSource", json!("iam.amazonaws.com")),
        ),
    ];
    for (case, record) in ignored {
        let answer = send(&function, std::slice::from_ref(&record)).await;
        assert_eq!(failures(&answer), Vec::<&str>::new(), "{case} {record}");
        assert!(world.passes(&token).await, "{case} {record}");
    }
    let good = user_token();
    let bad = [
        with("/detail/additionalEventData", json!(null)),
        with("/detail/additionalEventData/sub", json!("")),
        with(
            "/detail/additionalEventData/sub",
            json!("HIDDEN_DUE_TO_SECURITY_REASONS"),
        ),
        with(
            "/detail/additionalEventData/sub",
            json!("HIDDEN_FOR_SECURITY_REASONS"),
        ),
        with("/detail/additionalEventData/sub", json!(7)),
        with("/detail/additionalEventData/sub", json!("x".repeat(5_000))),
        json!("no record"),
    ];
    for bad_record in bad {
        let records = [bad_record.clone(), record("GlobalSignOut", &good, 1)];
        let answer = send(&function, &records).await;
        assert_eq!(failures(&answer), ["m0"], "{bad_record}");
    }
    assert!(!world.passes(&good).await, "the other records are applied");
    assert!(world.passes(&token).await, "no user is guessed");
    assert!(
        function
            .invoke(&json!({"Records": [{}]}))
            .await
            .is_failure()
    );
    let direct = function.invoke(&record("GlobalSignOut", &token, 1)).await;
    assert_eq!(
        failures(&json!({"batchItemFailures": []})),
        Vec::<&str>::new()
    );
    assert!(
        !direct.is_failure(),
        "EventBridge may invoke the function directly"
    );
    assert!(!world.passes(&token).await);

    // An empty error code means success.
    let token = user_token();
    let mut empty = record("GlobalSignOut", &token, 1);
    empty["detail"]["errorCode"] = json!("");
    send(&function, &[empty]).await;
    assert!(!world.passes(&token).await);

    // If the record has a username, the user is looked up.
    let token = user_token();
    world.cognito.set_answer(
        "AdminGetUser",
        json!({"Username": "ada", "Enabled": true,
            "UserAttributes": [{"Name": "sub", "Value": token.get("sub")}]}),
    );
    let mut named = record("AdminDisableUser", &token, 1);
    named["detail"]["additionalEventData"] = json!(null);
    named["detail"]["requestParameters"]["username"] = json!("ada");
    assert_eq!(
        failures(&send(&function, &[named]).await),
        Vec::<&str>::new()
    );
    assert!(!world.passes(&token).await, "the user was looked up");
}
