//! What a sweep finds and changes, over fake tables and a fake Cognito.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::time::Duration;

use runtime::{Handler, InvocationError};
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, Pool, events, now};
use user_sweep::{Config, UserSweep};

async fn fixture() -> (UserSweep, FakeAws) {
    let aws = FakeAws::with_tables().await;
    aws.set_answer("ListUsers", json!({"Users": []}));
    aws.set_answer("ListUserPoolClients", json!({"UserPoolClients": []}));
    let config = Config::from_lookup(&events::variables(&[("UNCONFIRMED_HOURS", "0")])).unwrap();
    (UserSweep::new(&aws.sdk(), config), aws)
}

fn user(subject: &str, enabled: bool) -> Value {
    json!({
        "Username": subject, "Enabled": enabled, "UserStatus": "CONFIRMED",
        "UserLastModifiedDate": now() - 7_200,
        "Attributes": [{"Name": "sub", "Value": subject}],
    })
}

async fn run(sweep: &UserSweep) -> Result<Value, InvocationError> {
    let run = sweep.handle(&events::raw(&json!({})), "request-1").await?;
    Ok(serde_json::to_value(run).unwrap())
}

/// The users whose rows were written.
fn written(aws: &FakeAws) -> Vec<String> {
    let writes = aws
        .requests()
        .into_iter()
        .filter(|(name, _)| name == "UpdateItem");
    let partitions = writes.filter_map(|(_, write)| {
        let partition = write["Key"]["pk"]["S"].as_str()?.to_owned();
        partition
            .split_once("#user#")
            .map(|(_, subject)| subject.to_owned())
    });
    partitions.collect()
}

#[tokio::test]
async fn only_missing_revocations_of_disabled_users_are_written() {
    let (sweep, aws) = fixture().await;
    let users =
        json!({"Users": [user("known", false), user("missing", false), user("active", true)]});
    aws.set_answer("ListUsers", users);
    let known = format!("{}#user#known", Pool::ours().id);
    aws.put(
        &known,
        "user",
        json!({"disabled": {"BOOL": true}, "status_at": {"N": "1"}}),
    );
    let run = run(&sweep).await.unwrap();
    assert_eq!((&run["seen"], &run["written"]), (&json!(3), &json!(1)));
    assert_eq!(run["finished"], true);
    assert_eq!(written(&aws), ["missing"]);
}

#[tokio::test]
async fn a_malformed_row_is_counted_and_does_not_stop_the_sweep() {
    let (sweep, aws) = fixture().await;
    let users = json!({"Users": [user("broken", false), user("missing", false)],
        "PaginationToken": "second"});
    aws.set_answer("ListUsers", users);
    let broken = format!("{}#user#broken", Pool::ours().id);
    let row = json!({"disabled": {"S": "true"}, "status_at": {"N": "1"}});
    aws.put(&broken, "user", row);
    // The second page is throttled: state, page, rows, revocation and position precede it.
    let throttled = r#"{"__type":"TooManyRequestsException"}"#;
    aws.set_fault_from(5, Fault::Answer(400, throttled.to_owned()));
    let found = run(&sweep).await.unwrap();
    assert_eq!(
        (&found["unreadable"], &found["written"], &found["finished"]),
        (&json!(1), &json!(1), &json!(false))
    );
    assert_eq!(written(&aws), ["missing"]);
    let requests = aws.requests().into_iter();
    let position = requests.filter(|(name, sent)| {
        name == "UpdateItem" && sent["ExpressionAttributeValues"][":cursor"]["S"] == "second"
    });
    assert_eq!(position.count(), 1, "the position is stored");

    aws.set_fault(Fault::None);
    aws.forget_requests();
    aws.put(Pool::ours().id, "sweep", json!({"cursor": {"S": "second"}}));
    let users = json!({"Users": [user("of-the-second-page", false)]});
    aws.set_answer("ListUsers", users);
    let found = run(&sweep).await.unwrap();
    assert_eq!(
        (&found["unreadable"], &found["finished"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(written(&aws), ["of-the-second-page"]);
}

/// The response to an update whose condition failed because of this row.
fn refused(row: &Value) -> Fault {
    let kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
    let answer = json!({"__type": kind, "message": "The conditional request failed", "Item": row});
    Fault::Answer(400, answer.to_string())
}

#[tokio::test]
async fn a_row_with_an_unreadable_expiry_is_disabled_like_any_other() {
    let since = (now() - 90_000).to_string();
    for expiry in [json!({"N": "1769000000.5"}), json!({"S": "2030-01-01"})] {
        let (sweep, aws) = fixture().await;
        let users = json!({"Users": [user("odd", false), user("missing", false)]});
        aws.set_answer("ListUsers", users);
        let row = json!({"not_before": {"N": since}, "expires_at": expiry});
        let odd = format!("{}#user#odd", Pool::ours().id);
        aws.put(&odd, "user", row.clone());
        aws.set_fault_times_for("UpdateItem", refused(&row), 1);
        let found = run(&sweep).await.unwrap();
        assert_eq!(
            (&found["unreadable"], &found["written"], &found["finished"]),
            (&json!(0), &json!(2), &json!(true)),
            "{expiry}"
        );
        // The row stays what it was until this very update, which leaves it no expiry.
        let mut requests = aws.requests().into_iter().map(|(_, sent)| sent);
        let update = requests.rfind(|sent| sent["Key"]["pk"]["S"] == odd.as_str());
        let update = update.unwrap();
        let text = |name: &str| update[name].as_str().unwrap().to_owned();
        assert!(text("ConditionExpression").contains("expires_at = :old_expires_at"));
        assert_eq!(
            update["ExpressionAttributeValues"][":old_expires_at"],
            expiry
        );
        assert!(text("UpdateExpression").contains("disabled = :disabled"));
        assert!(text("UpdateExpression").ends_with("REMOVE expires_at"));
    }
}

#[tokio::test]
async fn a_row_that_becomes_malformed_during_a_run_is_counted() {
    let (sweep, aws) = fixture().await;
    let users = json!({"Users": [user("broken", false)]});
    aws.set_answer("ListUsers", users);
    let row = json!({"not_before": {"S": "today"}});
    aws.set_fault_times_for("UpdateItem", refused(&row), 1);
    let found = run(&sweep).await.unwrap();
    assert_eq!(
        (&found["unreadable"], &found["written"], &found["finished"]),
        (&json!(1), &json!(0), &json!(true))
    );
}

#[tokio::test]
async fn a_user_with_an_unreadable_expiry_is_let_in() {
    let since = (now() - 7_200).to_string();
    for (expiry, enabled) in [(json!({"S": "never"}), 1), (json!({"N": "9999999999"}), 0)] {
        let (sweep, aws) = fixture().await;
        let row = json!({
            "disabled": {"BOOL": true}, "status_at": {"N": since}, "disabled_by": {"S": "cognito"},
            "expires_at": expiry,
        });
        aws.put(&format!("{}#user#ada", Pool::ours().id), "user", row);
        aws.set_answer("ListUsers", json!({"Users": [user("ada", true)]}));
        let run = run(&sweep).await.unwrap();
        assert_eq!(run["enabled"], json!(enabled), "{expiry}");
    }
}

#[tokio::test]
async fn a_user_who_is_enabled_in_the_pool_is_let_in() {
    for (actor, enabled) in [("cognito", 1), ("sweep", 1), ("an-administrator", 0)] {
        let (sweep, aws) = fixture().await;
        let partition = format!("{}#user#ada", Pool::ours().id);
        let since = (now() - 7_200).to_string();
        let row = json!({
            "disabled": {"BOOL": true}, "status_at": {"N": since}, "disabled_by": {"S": actor},
        });
        aws.put(&partition, "user", row);
        let found = json!({"Users": [user("ada", true)]});
        aws.set_answer("ListUsers", found);
        let run = run(&sweep).await.unwrap();
        assert_eq!(run["enabled"], json!(enabled), "{actor}");
    }
}

#[tokio::test]
async fn app_clients_whose_sessions_outlive_revocations_are_counted() {
    let (sweep, aws) = fixture().await;
    let clients = json!({"UserPoolClients": [{"ClientId": "c-1", "ClientName": "web"}]});
    aws.set_answer("ListUserPoolClients", clients);
    let client = |validity: u64, revokes: bool| {
        json!({"UserPoolClient": {
            "ClientName": "web", "RefreshTokenValidity": validity,
            "TokenValidityUnits": {"RefreshToken": "minutes"},
            "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH"], "EnableTokenRevocation": revokes,
        }})
    };
    for (client, outliving) in [
        (client(60, true), 0),
        (client(5_000_000, true), 1),
        (client(60, false), 1),
    ] {
        aws.set_answer("DescribeUserPoolClient", client);
        let run = run(&sweep).await.unwrap();
        assert_eq!(run["outliving"], json!(outliving));
    }
}

/// Each look-up is followed by a pause of 200 ms, so a run without a limit would take seconds.
#[tokio::test]
async fn a_run_reports_within_its_limit() {
    let (sweep, aws) = fixture().await;
    let sweep = sweep.with_limit(Duration::from_millis(900));
    let clients: Vec<Value> = (0..60)
        .map(|at| json!({"ClientId": format!("c-{at}"), "ClientName": "web"}))
        .collect();
    aws.set_answer("ListUserPoolClients", json!({"UserPoolClients": clients}));
    let client = json!({"ClientName": "web", "RefreshTokenValidity": 1,
        "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH"], "EnableTokenRevocation": true});
    let client = json!({ "UserPoolClient": client });
    aws.set_answer("DescribeUserPoolClient", client);
    let since = (now() - 7_200).to_string();
    for at in 0..60 {
        let row = json!({"disabled": {"BOOL": true}, "status_at": {"N": since},
            "disabled_by": {"S": "cognito"}});
        aws.put(&format!("{}#user#u-{at}", Pool::ours().id), "user", row);
    }
    aws.set_answer("ListUsers", json!({"Users": [user("u", true)]}));
    let found = run(&sweep).await.unwrap();
    let enabled = found["enabled"].as_u64().unwrap();
    assert!(enabled < 60, "{found}");
    assert_eq!(
        (&found["finished"], &found["outliving"]),
        (&json!(false), &json!(null))
    );
    // The comparison is not done, so the next run repeats it.
    let stores_its_time = aws.requests().into_iter().any(|(name, sent)| {
        name == "UpdateItem" && !sent["ExpressionAttributeValues"][":compared_at"].is_null()
    });
    assert!(!stores_its_time);

    // A run without time for anything reports, too.
    let (sweep, aws) = fixture().await;
    aws.set_answer("ListUsers", json!({"Users": [], "PaginationToken": "next"}));
    let found = run(&sweep.with_limit(Duration::ZERO)).await.unwrap();
    assert_eq!(
        (&found["finished"], &found["outliving"]),
        (&json!(false), &json!(null))
    );
}

#[tokio::test]
async fn a_dependency_that_fails_makes_the_run_fail() {
    for operation in ["BatchGetItem", "UpdateItem", "ListUsers"] {
        let (sweep, aws) = fixture().await;
        aws.set_answer("ListUsers", json!({"Users": [user("missing", false)]}));
        let missing = r#"{"__type":"ResourceNotFoundException"}"#;
        aws.set_fault_for(operation, Fault::Answer(400, missing.to_owned()));
        assert_eq!(
            run(&sweep).await,
            Err(InvocationError::Internal),
            "{operation}"
        );
    }
}

#[tokio::test]
async fn the_span_has_the_outcome_and_the_cause_of_the_line() {
    let (sweep, aws) = fixture().await;
    let denied = r#"{"__type":"AccessDeniedException"}"#;
    aws.set_fault_for("ListUsers", Fault::Answer(400, denied.to_owned()));
    let (_, values) = testkit::spans::recorded(run(&sweep)).await;
    assert_eq!(values["outcome"], "cognito_unavailable");
    assert_eq!(values["cause"], "access_denied");
}
