//! The rules of the administrators' API, over fake tables and a fake Cognito.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::sync::atomic::{AtomicBool, Ordering};

use admin::{Admin, Config};
use runtime::Handler;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, Pool, events};

/// The user of the samples.
const SUBJECT: &str = "5f7e6d5c-1234-4abc-9def-sampleuser001";

async fn fixture() -> (Admin, FakeAws) {
    fixture_with(&[]).await
}

async fn fixture_with(more: &[(&str, &str)]) -> (Admin, FakeAws) {
    let aws = FakeAws::with_tables().await;
    let user = json!({
        "Username": "ada", "Enabled": true, "UserStatus": "CONFIRMED",
        "UserAttributes": [{"Name": "sub", "Value": SUBJECT}],
    });
    aws.set_answer("AdminGetUser", user);
    let config = Config::from_lookup(&events::variables(more)).unwrap();
    (Admin::new(&aws.sdk(), config), aws)
}

fn administrator() -> Value {
    let mut context = events::caller();
    context["groups"] = "[\"admins\"]".into();
    context
}

fn on_user(method: &str, task: &str) -> Value {
    let route = format!("/admin/users/{{username}}{task}");
    let parameters = json!({"username": "ada"});
    events::rest(method, &route, &parameters, &administrator(), &json!({}))
}

fn with_body(body: &Value) -> Value {
    events::rest(
        "POST",
        "/admin/everyone/revoke",
        &json!(null),
        &administrator(),
        body,
    )
}

async fn call(admin: &Admin, event: &Value) -> (u16, Value) {
    let response = admin.handle(&events::raw(event), "request-1").await;
    events::status_and_body(&serde_json::to_value(response.unwrap()).unwrap())
}

#[tokio::test]
async fn answers_the_samples() {
    let (admin, _aws) = fixture().await;
    for name in ["admin/disable-user", "admin/not-an-administrator"] {
        let event = events::raw(&events::sample(name));
        let response = admin.handle(&event, "request-1").await.unwrap();
        let expected = events::sample(&format!("{name}.expected"));
        assert_eq!(serde_json::to_value(response).unwrap(), expected, "{name}");
    }
}

#[tokio::test]
async fn refuses_other_callers_and_invalid_requests_without_a_call() {
    let (admin, aws) = fixture().await;
    let with = |member: &str, value: &str| {
        let mut event = with_body(&json!({}));
        event["requestContext"]["authorizer"][member] = value.into();
        event
    };
    let mut bypassed = with_body(&json!({}));
    bypassed["requestContext"]["authorizer"] = json!(null);
    let unknown = events::rest(
        "GET",
        "/admin/users",
        &json!(null),
        &administrator(),
        &json!({}),
    );
    let route = "/admin/clients/{client_id}/revoke";
    let client = json!({"client_id": "another"});
    let client = events::rest("POST", route, &client, &administrator(), &json!({}));
    let long = "x".repeat(65);
    let rows = [
        ("no context", bypassed, 401, "no_authorizer_context"),
        ("no subject", with("sub", ""), 401, "no_authorizer_context"),
        (
            "another issuer's admins",
            with("issuer", "okta"),
            403,
            "not_an_administrator",
        ),
        (
            "no group",
            with("groups", "[]"),
            403,
            "not_an_administrator",
        ),
        (
            "another group",
            with("groups", "[\"admins2\"]"),
            403,
            "not_an_administrator",
        ),
        (
            "groups as text",
            with("groups", "admins"),
            403,
            "not_an_administrator",
        ),
        ("an unknown route", unknown, 404, "no_such_route"),
        ("an unknown client", client, 404, "unknown_client"),
        (
            "an empty reason",
            with_body(&json!({"reason": ""})),
            400,
            "bad_request",
        ),
        (
            "a long reason",
            with_body(&json!({"reason": long})),
            400,
            "bad_request",
        ),
        (
            "a line break",
            with_body(&json!({"reason": "a\nb"})),
            400,
            "bad_request",
        ),
        (
            "an unknown member",
            with_body(&json!({"why": "a"})),
            400,
            "bad_request",
        ),
    ];
    events::check_answers(rows, async |event| call(&admin, event).await).await;
    assert_eq!(aws.operations(), Vec::<String>::new());
}

#[tokio::test]
async fn revocations_are_written_before_cognito_is_called() {
    let rows: [(&str, Value, &[&str]); 4] = [
        (
            "disabled",
            on_user("POST", "/disable"),
            &[
                "AdminGetUser",
                "UpdateItem",
                "AdminDisableUser",
                "AdminUserGlobalSignOut",
            ],
        ),
        (
            "signed_out",
            on_user("POST", "/sign-out"),
            &["AdminGetUser", "UpdateItem", "AdminUserGlobalSignOut"],
        ),
        (
            "deleted",
            on_user("DELETE", ""),
            &[
                "AdminGetUser",
                "UpdateItem",
                "AdminDisableUser",
                "AdminUserGlobalSignOut",
                "AdminDeleteUser",
                "UpdateItem",
            ],
        ),
        // The other way round: a user is accepted only after Cognito has enabled the account.
        (
            "enabled",
            on_user("POST", "/enable"),
            &["AdminGetUser", "AdminEnableUser", "UpdateItem"],
        ),
    ];
    for (done, event, operations) in rows {
        let (admin, aws) = fixture().await;
        let (status, body) = call(&admin, &event).await;
        assert_eq!((status, body), (200, json!({"done": done, "sub": SUBJECT})));
        assert_eq!(aws.operations(), operations, "{done}");
        let write = aws
            .requests()
            .into_iter()
            .find(|(name, _)| name == "UpdateItem")
            .unwrap();
        let partition = format!("{}#user#{SUBJECT}", Pool::ours().id);
        assert_eq!(write.1["Key"]["pk"]["S"], json!(partition), "{done}");
    }
}

#[tokio::test]
async fn without_the_table_cognito_still_disables_and_the_caller_learns_of_the_failure() {
    let (admin, aws) = fixture().await;
    let missing = r#"{"__type":"ResourceNotFoundException"}"#;
    aws.set_fault_for("UpdateItem", Fault::Answer(400, missing.to_owned()));
    let (status, body) = call(&admin, &on_user("POST", "/disable")).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("unavailable")));
    assert!(aws.operations().contains(&"AdminDisableUser".to_owned()));
}

#[tokio::test]
async fn cognitos_errors_have_their_own_answers() {
    for (error, status, code) in [
        ("UserNotFoundException", 404, "unknown_user"),
        // A name that no user can have, such as "ada lovelace".
        ("InvalidParameterException", 404, "unknown_user"),
        ("TooManyRequestsException", 429, "too_many_requests"),
        ("NotAuthorizedException", 503, "unavailable"),
    ] {
        let (admin, aws) = fixture().await;
        let fault = format!(r#"{{"__type":"{error}"}}"#);
        aws.set_fault_for("AdminGetUser", Fault::Answer(400, fault));
        let (found, body) = call(&admin, &on_user("POST", "/disable")).await;
        assert_eq!(
            (found, body["code"].as_str()),
            (status, Some(code)),
            "{error}"
        );
        assert!(
            !aws.operations().contains(&"UpdateItem".to_owned()),
            "{error}"
        );
    }
}

/// An invalid parameter of a call that changes the user is not an unknown user.
#[tokio::test]
async fn other_calls_report_an_invalid_parameter_as_a_failure() {
    for (operation, event) in [
        ("AdminDisableUser", on_user("POST", "/disable")),
        ("AdminDeleteUser", on_user("DELETE", "")),
    ] {
        let (admin, aws) = fixture().await;
        let fault = r#"{"__type":"InvalidParameterException"}"#.to_owned();
        aws.set_fault_for(operation, Fault::Answer(400, fault));
        let (status, body) = call(&admin, &event).await;
        assert_eq!(
            (status, body["code"].as_str()),
            (503, Some("unavailable")),
            "{operation}"
        );
    }
}

/// The SDK repeats a call whose response was lost; Cognito then reports that there is no such user.
#[tokio::test]
async fn a_repeated_deletion_is_complete() {
    let (admin, aws) = fixture().await;
    let missing = r#"{"__type":"UserNotFoundException"}"#;
    aws.set_fault_for("AdminDeleteUser", Fault::Answer(400, missing.to_owned()));
    let (status, body) = call(&admin, &on_user("DELETE", "")).await;
    assert_eq!(
        (status, body),
        (200, json!({"done": "deleted", "sub": SUBJECT}))
    );
    let operations = aws.operations();
    assert_eq!(
        operations.last().map(String::as_str),
        Some("UpdateItem"),
        "the row expires with the issued tokens: {operations:?}"
    );
    // Any other refusal leaves the user disabled, and the request can be repeated.
    let (admin, aws) = fixture().await;
    let denied = r#"{"__type":"NotAuthorizedException"}"#;
    aws.set_fault_for("AdminDeleteUser", Fault::Answer(400, denied.to_owned()));
    let (status, body) = call(&admin, &on_user("DELETE", "")).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("unavailable")));
    assert_eq!(
        aws.operations().last().map(String::as_str),
        Some("AdminDeleteUser")
    );
}

/// Deletions at Cognito, and writes of the profile's status, in their order.
fn deletions_and_statuses(aws: &FakeAws) -> Vec<String> {
    let told = aws.requests().into_iter().filter_map(|(name, body)| {
        let status = body["ExpressionAttributeValues"][":status"]["S"].as_str();
        let status = status.filter(|_| body["TableName"] == "users");
        status
            .map(str::to_owned)
            .or_else(|| (name == "AdminDeleteUser").then_some(name))
    });
    let mut told: Vec<String> = told.collect();
    // The SDK repeats a call without a response.
    told.dedup();
    told
}

/// A profile that is deleted stays so: nothing may say it of a user whom Cognito still has.
#[tokio::test]
async fn a_profile_is_deleted_only_after_the_user() {
    let profiles = [("USERS_TABLE", "users")];
    let whole = ["DISABLED", "AdminDeleteUser", "DELETED"];
    for (error, status, told) in [
        (None, 200, &whole[..]),
        (Some("UserNotFoundException"), 200, &whole),
        (Some("TooManyRequestsException"), 429, &whole[..2]),
        (Some("NotAuthorizedException"), 503, &whole[..2]),
    ] {
        let (admin, aws) = fixture_with(&profiles).await;
        if let Some(error) = error {
            let fault = format!(r#"{{"__type":"{error}"}}"#);
            aws.set_fault_for("AdminDeleteUser", Fault::Answer(400, fault));
        }
        let answer = call(&admin, &on_user("DELETE", "")).await;
        assert_eq!(answer.0, status, "{error:?}");
        assert_eq!(deletions_and_statuses(&aws), told, "{error:?}");
    }
    // A repeated request finds no user, so the profile is written although the revocation could not be.
    let (admin, aws) = fixture_with(&profiles).await;
    let is_deleted = AtomicBool::new(false);
    aws.set_hook(Some(Box::new(move |operation| {
        if operation == "AdminDeleteUser" {
            is_deleted.store(true, Ordering::Relaxed);
        }
        operation == "UpdateItem" && is_deleted.load(Ordering::Relaxed)
    })));
    assert_eq!(call(&admin, &on_user("DELETE", "")).await.0, 503);
    assert_eq!(deletions_and_statuses(&aws), whole);
}

#[tokio::test]
async fn clients_and_the_issuer_are_revoked_by_their_own_rows() {
    let pool = Pool::ours();
    let route = "/admin/clients/{client_id}/revoke";
    let client = json!({"client_id": pool.client_id});
    let client = events::rest("POST", route, &client, &administrator(), &json!({}));
    for (event, done, sort) in [
        (client, "client_revoked", "client"),
        (with_body(&json!({})), "everyone_revoked", "issuer"),
    ] {
        let (admin, aws) = fixture().await;
        let (status, body) = call(&admin, &event).await;
        assert_eq!((status, &body["done"]), (200, &json!(done)));
        let requests = aws.requests();
        assert_eq!(aws.operations(), ["UpdateItem"], "{done}");
        assert_eq!(requests[0].1["Key"]["sk"]["S"], json!(sort));
    }
}
