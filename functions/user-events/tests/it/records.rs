//! What CloudTrail's records change, over fake tables and a fake Cognito.

use runtime::{Handler, InvocationError};
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, Pool, events};
use user_events::{Config, UserEvents};

const SUBJECT: &str = "5f7e6d5c-1234-4abc-9def-sampleuser001";

async fn fixture(more: &[(&str, &str)]) -> (UserEvents, FakeAws) {
    let aws = FakeAws::with_tables().await;
    let variables = [&[("ACCOUNT_ID", "123456789012")], more].concat();
    let config = Config::from_lookup(&events::variables(&variables)).unwrap();
    (UserEvents::new(&aws.sdk(), config), aws)
}

fn record(event_name: &str) -> Value {
    let mut event = events::sample("user-events/admin-disable-user");
    event["detail"]["eventName"] = event_name.into();
    event
}

async fn call(function: &UserEvents, event: &Value) -> Result<Value, InvocationError> {
    let answer = function.handle(&events::raw(event), "request-1").await?;
    Ok(serde_json::to_value(answer).unwrap())
}

/// The rows that were written: their sort keys, and whether the user is disabled by them.
fn written(aws: &FakeAws) -> Vec<(String, String)> {
    let requests = aws.requests().into_iter();
    let writes = requests.filter(|(operation, _)| operation == "UpdateItem");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    writes
        .map(|(_, write)| {
            (
                text(&write["Key"]["pk"]["S"]),
                text(&write["Key"]["sk"]["S"]),
            )
        })
        .collect()
}

#[tokio::test]
async fn answers_the_sample() {
    let (function, aws) = fixture(&[]).await;
    let answer = call(&function, &record("AdminDisableUser")).await;
    assert_eq!(answer, Ok(json!({"batchItemFailures": []})));
    let user = format!("{}#user#{SUBJECT}", Pool::ours().id);
    assert_eq!(written(&aws), [(user, "user".to_owned())]);
    let (_, write) = &aws.requests()[0];
    assert_eq!(
        write["ExpressionAttributeValues"][":disabled"],
        json!({"BOOL": true})
    );
}

#[tokio::test]
async fn every_call_writes_the_row_that_it_is_about() {
    let pool = Pool::ours().id;
    let user = format!("{pool}#user#{SUBJECT}");
    let client = format!("{pool}#client#some-client");
    let rows = [
        ("AdminEnableUser", Some((user.as_str(), "user"))),
        ("AdminDeleteUser", Some((&user, "user"))),
        ("AdminUserGlobalSignOut", Some((&user, "user"))),
        ("ChangePassword", Some((&user, "user"))),
        ("AdminUpdateUserAttributes", Some((&user, "user"))),
        ("AdminAddUserToGroup", Some((&user, "user"))),
        ("DeleteGroup", Some((pool, "groups"))),
        ("DeleteIdentityProvider", Some((pool, "groups"))),
        ("DeleteUserPoolClient", Some((&client, "client"))),
        ("DeleteUserPool", Some((pool, "issuer"))),
        ("UpdateUserPool", None),
        ("UpdateUserAttributes", None),
        ("AdminGetUser", None),
        ("UntagResource", None),
    ];
    for (name, row) in rows {
        let (function, aws) = fixture(&[]).await;
        let mut event = record(name);
        let parameters = &mut event["detail"]["requestParameters"];
        parameters["groupName"] = "editors".into();
        parameters["providerName"] = "Google".into();
        parameters["clientId"] = "some-client".into();
        assert!(call(&function, &event).await.is_ok(), "{name}");
        let expected = row.map(|(pk, sk)| (pk.to_owned(), sk.to_owned()));
        assert_eq!(written(&aws), Vec::from_iter(expected), "{name}");
    }
}

#[tokio::test]
async fn foreign_and_failed_records_change_nothing() {
    let mut failed = record("AdminDisableUser");
    failed["detail"]["errorCode"] = "UserNotFoundException".into();
    let mut pool = record("AdminDisableUser");
    pool["detail"]["requestParameters"]["userPoolId"] = "us-east-1_Another".into();
    let mut service = record("AdminDisableUser");
    service["detail"]["eventSource"] = "iam.amazonaws.com".into();
    let with = |member: &str, value: &str| {
        let mut event = record("AdminDisableUser");
        event[member] = value.into();
        event
    };
    let rows = [
        ("a failed call", failed),
        ("another pool", pool),
        ("another service", service),
        ("another account", with("account", "999999999999")),
        ("another region", with("region", "eu-west-1")),
        ("another source", with("source", "my.application")),
        (
            "another type",
            with("detail-type", "AWS Console Sign In via CloudTrail"),
        ),
    ];
    for (name, event) in rows {
        let (function, aws) = fixture(&[]).await;
        assert!(call(&function, &event).await.is_ok(), "{name}");
        assert_eq!(aws.operations(), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn group_changes_are_ignored_on_request() {
    let (function, aws) = fixture(&[("OUTDATE_ON_GROUP_CHANGE", "false")]).await;
    for name in ["AdminAddUserToGroup", "AdminRemoveUserFromGroup"] {
        assert!(call(&function, &record(name)).await.is_ok());
    }
    assert_eq!(written(&aws), []);
}

#[tokio::test]
async fn a_call_of_gatehouse_itself_outdates_no_token() {
    let mut event = record("RevokeToken");
    let (function, aws) = fixture(&[]).await;
    assert!(call(&function, &event).await.is_ok());
    assert_eq!(written(&aws).len(), 1, "another program's call");
    event["detail"]["requestID"] = "our-call".into();
    aws.put(
        &format!("{}#call#our-call", Pool::ours().id),
        "call",
        json!({}),
    );
    aws.forget_requests();
    assert!(call(&function, &event).await.is_ok());
    assert_eq!(written(&aws), []);
}

#[tokio::test]
async fn a_record_without_a_subject_is_looked_up_or_kept_in_the_queue() {
    let mut event = record("AdminDisableUser");
    event["detail"]["additionalEventData"] = json!({});
    let (function, aws) = fixture(&[]).await;
    let failed = Err(InvocationError::Internal);
    assert_eq!(
        call(&function, &event).await,
        failed,
        "a name that is hidden"
    );
    assert_eq!(written(&aws), []);
    event["detail"]["requestParameters"]["username"] = "ada".into();
    let user = json!({
        "Username": "ada", "Enabled": false,
        "UserAttributes": [{"Name": "sub", "Value": SUBJECT}],
    });
    aws.set_answer("AdminGetUser", user);
    assert!(call(&function, &event).await.is_ok());
    assert_eq!(written(&aws).len(), 1);
}

#[tokio::test]
async fn only_the_failed_messages_of_a_batch_are_redelivered() {
    let message = |id: &str, body: String| json!({"messageId": id, "body": body});
    let good = record("AdminDisableUser").to_string();
    let batch = json!({"Records": [
        message("good", good.clone()), message("bad", "{".to_owned()), message("also-good", good),
    ]});
    let (function, aws) = fixture(&[]).await;
    let failures = |ids: &[&str]| {
        let items = ids.iter().map(|id| json!({"itemIdentifier": id}));
        json!({"batchItemFailures": items.collect::<Vec<_>>()})
    };
    assert_eq!(call(&function, &batch).await, Ok(failures(&["bad"])));
    let missing = r#"{"__type":"ResourceNotFoundException"}"#;
    aws.set_fault(Fault::Answer(400, missing.to_owned()));
    let all = ["good", "bad", "also-good"];
    assert_eq!(
        call(&function, &batch).await,
        Ok(failures(&all)),
        "without the table"
    );
}

#[tokio::test]
async fn each_action_is_published_without_the_users_name() {
    let topic = "arn:aws:sns:us-east-1:123456789012:security";
    let (function, aws) = fixture(&[("SECURITY_TOPIC_ARN", topic)]).await;
    let mut event = record("AdminDisableUser");
    event["detail"]["requestParameters"]["username"] = "ada@example.com".into();
    assert!(call(&function, &event).await.is_ok());
    let requests = aws.requests();
    let (_, published) = requests.iter().find(|(name, _)| name == "Publish").unwrap();
    assert_eq!(published["TopicArn"], topic);
    assert!(published["Message"].as_str().unwrap().contains(SUBJECT));
    assert!(!published.to_string().contains("ada@example.com"));
    for value in [
        "kind",
        "user_disabled",
        "source",
        "cognito",
        "outcome",
        "done",
    ] {
        assert!(published.to_string().contains(value), "{value}");
    }
}

#[tokio::test]
async fn a_function_that_reports_its_acts_is_not_reported_again() {
    let topic = "arn:aws:sns:us-east-1:123456789012:security";
    let role = "arn:aws:iam::123456789012:role/admin";
    let mut event = record("AdminDisableUser");
    event["detail"]["userIdentity"] = json!({
        "type": "AssumedRole", "arn": "arn:aws:sts::123456789012:assumed-role/admin/admin",
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": role}},
    });
    for (roles, messages) in [
        ("", 1),
        ("arn:aws:iam::123456789012:role/other", 1),
        (role, 0),
    ] {
        let variables = [
            ("SECURITY_TOPIC_ARN", topic),
            ("REPORTING_ROLE_ARNS", roles),
        ];
        let (function, aws) = fixture(&variables).await;
        assert!(call(&function, &event).await.is_ok());
        let requests = aws.requests();
        let count = |wanted: &str| requests.iter().filter(|(name, _)| name == wanted).count();
        assert_eq!(count("Publish"), messages, "{roles}");
        assert!(
            count("UpdateItem") > 0,
            "{roles}: the revocation is written"
        );
    }
}

#[tokio::test]
async fn the_span_has_the_outcome_and_the_cause_of_the_line() {
    let denied = r#"{"__type":"AccessDeniedException"}"#;
    for (fault, outcome, cause) in [
        (Fault::None, "applied", None),
        (
            Fault::Answer(400, denied.to_owned()),
            "revocations_unavailable",
            Some("access_denied"),
        ),
    ] {
        let (function, aws) = fixture(&[]).await;
        aws.set_fault(fault);
        let event = record("AdminDisableUser");
        let (_, values) = testkit::spans::recorded(call(&function, &event)).await;
        assert_eq!(values["outcome"], outcome);
        assert_eq!(values.get("cause").map(String::as_str), cause);
    }
}
