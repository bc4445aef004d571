//! Which connections a change of the revocation table closes, over fake tables and a fake API.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use close_connections::{CloseConnections, Config};
use runtime::Handler;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, Pool, events, now};

const SUBJECT: &str = "5f7e6d5c-1234-4abc-9def-sampleuser001";

async fn fixture() -> (CloseConnections, FakeAws) {
    let aws = FakeAws::with_tables().await;
    let url = aws.url();
    let variables = [
        ("CONNECTION_TABLE", "connections"),
        ("CONNECTIONS_URL", url.as_str()),
    ];
    let config = Config::from_lookup(&events::variables(&variables)).unwrap();
    (CloseConnections::new(&aws.sdk(), config), aws)
}

fn partition() -> String {
    format!("{}#user#{SUBJECT}", Pool::ours().id)
}

/// Stores an open connection of a session.
fn open(aws: &FakeAws, id: &str, session: &str) {
    open_with(aws, id, session, &json!({}));
}

/// Stores an open connection with further attributes.
fn open_with(aws: &FakeAws, id: &str, session: &str, more: &Value) {
    let time = |seconds: u64| json!({"N": seconds.to_string()});
    let mut row = json!({
        "connection": {"S": id}, "issuer": {"S": Pool::ours().id}, "sub": {"S": SUBJECT},
        "client_id": {"S": Pool::ours().client_id}, "session": {"S": session},
        "auth_time": time(now() - 100), "connected_at": time(now() - 50),
        "expires_at": time(now() + 1_000),
    });
    let members = more.as_object().unwrap().clone();
    row.as_object_mut().unwrap().extend(members);
    aws.put(&partition(), &format!("connection#{id}"), row);
}

fn revoke(aws: &FakeAws, sort: &str, mut row: Value) {
    row["expires_at"] = json!({"N": (now() + 1_000).to_string()});
    aws.put(&partition(), sort, row);
}

fn change(pk: &str, sk: &str) -> Value {
    let mut event = events::sample("close-connections/mark");
    let keys = json!({"pk": {"S": pk}, "sk": {"S": sk}});
    event["Records"][0]["dynamodb"]["Keys"] = keys;
    event
}

async fn call(function: &CloseConnections, event: &Value) -> Value {
    let answer = function.handle(&events::raw(event), "request-1").await;
    serde_json::to_value(answer.unwrap()).unwrap()
}

/// The connections that the API was told to close.
fn closed(aws: &FakeAws) -> Vec<String> {
    let operations = aws.operations().into_iter();
    let mut closed: Vec<String> = operations
        .filter(|operation| operation.starts_with("DELETE "))
        .map(|operation| operation.rsplit('/').next().unwrap().to_owned())
        .collect();
    closed.sort();
    closed
}

#[tokio::test]
async fn closes_exactly_the_connections_that_are_revoked() {
    let all = json!({"not_before": {"N": now().to_string()}});
    let but_one = json!({"not_before": {"N": now().to_string()}, "except_session": {"S": "phone"}});
    let disabled = json!({"disabled": {"BOOL": true}, "status_at": {"N": "1"}});
    let earlier = json!({"not_before": {"N": (now() - 200).to_string()}});
    let rows: [(&str, &str, Value, &[&str]); 5] = [
        ("one session", "session#phone", json!({}), &["on-phone"]),
        ("all sessions", "user", all, &["on-phone", "on-tablet"]),
        ("all but one", "user", but_one, &["on-tablet"]),
        (
            "a disabled user",
            "user",
            disabled,
            &["on-phone", "on-tablet"],
        ),
        ("an earlier revocation", "user", earlier, &[]),
    ];
    for (name, sort, row, expected) in rows {
        let (function, aws) = fixture().await;
        open(&aws, "on-phone", "phone");
        open(&aws, "on-tablet", "tablet");
        revoke(&aws, sort, row);
        let answer = call(&function, &change(&partition(), sort)).await;
        assert_eq!(answer, json!({"batchItemFailures": []}), "{name}");
        assert_eq!(closed(&aws), expected, "{name}");
        let removed = aws
            .operations()
            .into_iter()
            .filter(|name| name == "DeleteItem");
        assert_eq!(removed.count(), expected.len(), "{name}");
    }
}

/// The event of a change of groups may arrive after a connection was opened with a token of before the change.
#[tokio::test]
async fn the_time_of_issue_decides_whether_a_connection_has_an_outdated_token() {
    // Of the sign-in, the token and the connection: 100, 80 and 50 seconds ago.
    let issued = json!({"issued_at": {"N": (now() - 80).to_string()}});
    let mut key = issued.clone();
    key["principal"] = json!({"S": "api_key"});
    let earlier_version = json!({});
    let rows = [
        ("after the connection", &issued, 40, true),
        ("between token and connection", &issued, 60, true),
        ("in the second of issue", &issued, 80, true),
        ("before the token", &issued, 90, false),
        ("an API key", &key, 40, false),
        ("no time of issue", &earlier_version, 60, true),
        (
            "no time of issue, before the sign-in",
            &earlier_version,
            150,
            false,
        ),
    ];
    for (name, more, seconds_ago, is_outdated) in rows {
        let (function, aws) = fixture().await;
        open_with(&aws, "on-phone", "phone", more);
        let mark = json!({"N": (now() - seconds_ago).to_string()});
        revoke(&aws, "user", json!({"tokens_not_before": mark}));
        call(&function, &change(&partition(), "user")).await;
        assert_eq!(closed(&aws) == ["on-phone"], is_outdated, "{name}");
    }
}

#[tokio::test]
async fn a_revocation_of_a_client_or_the_issuer_reaches_all_connections() {
    let pool = Pool::ours();
    let client = format!("{}#client#{}", pool.id, pool.client_id);
    for (pk, sk) in [(client.as_str(), "client"), (pool.id, "issuer")] {
        let (function, aws) = fixture().await;
        open(&aws, "on-phone", "phone");
        aws.put(pk, sk, json!({"not_before": {"N": now().to_string()}}));
        call(&function, &change(pk, sk)).await;
        assert_eq!(closed(&aws), ["on-phone"], "{sk}");
    }
}

/// Stores connections of another client and of other issuers, and ones of this client that began after `revoked_at`.
fn open_others(aws: &FakeAws, count: usize, revoked_at: u64) {
    let time = |seconds: u64| json!({"N": seconds.to_string()});
    let pool = Pool::ours();
    for at in 0..count {
        for (kind, issuer, client, since) in [
            ("client", pool.id, "another", now() - 100),
            ("issuer", "another", pool.client_id, now() - 100),
            ("later", pool.id, pool.client_id, revoked_at + 1),
        ] {
            let id = format!("{kind}-{at}");
            let row = json!({
                "connection": {"S": id}, "issuer": {"S": issuer}, "sub": {"S": id},
                "client_id": {"S": client}, "session": {"S": id},
                "auth_time": time(since), "connected_at": time(now() - 50),
                "expires_at": time(now() + 1_000),
            });
            let partition = format!("{issuer}#user#{id}");
            aws.put(&partition, &format!("connection#{id}"), row);
        }
    }
}

#[tokio::test]
async fn a_revocation_of_a_client_reads_nothing_for_each_connection() {
    let pool = Pool::ours();
    let client = format!("{}#client#{}", pool.id, pool.client_id);
    let mut reads = Vec::new();
    for others in [1, 100] {
        let (function, aws) = fixture().await;
        let revoked_at = now();
        open_others(&aws, others, revoked_at);
        open(&aws, "on-phone", "phone");
        open(&aws, "on-tablet", "tablet");
        let row = json!({"not_before": {"N": revoked_at.to_string()}});
        aws.put(&client, "client", row);
        let answer = call(&function, &change(&client, "client")).await;
        assert_eq!(answer, json!({"batchItemFailures": []}));
        assert_eq!(closed(&aws), ["on-phone", "on-tablet"], "{others}");
        let operations = aws.operations().into_iter();
        reads.push(operations.filter(|it| it == "BatchGetItem").count());
    }
    assert_eq!(reads, [1, 1]);
}

#[tokio::test]
async fn an_unreadable_row_of_a_client_closes_its_connections() {
    let pool = Pool::ours();
    let client = format!("{}#client#{}", pool.id, pool.client_id);
    let (function, aws) = fixture().await;
    open(&aws, "on-phone", "phone");
    let row = json!({"not_before": {"S": "soon"}});
    aws.put(&client, "client", row);
    call(&function, &change(&client, "client")).await;
    assert_eq!(closed(&aws), ["on-phone"]);
}

#[tokio::test]
async fn users_come_before_clients_and_a_failure_names_the_first_record() {
    let pool = Pool::ours();
    let client = format!("{}#client#{}", pool.id, pool.client_id);
    for (fault, expected) in [
        (None, vec![]),
        (Some("Scan"), vec!["1"]),
        (Some("Query"), vec!["2"]),
    ] {
        let (function, aws) = fixture().await;
        open(&aws, "on-phone", "phone");
        revoke(&aws, "session#phone", json!({}));
        aws.put(&client, "client", json!({"not_before": {"N": "1"}}));
        if let Some(operation) = fault {
            aws.add_fault_for(operation, Fault::Answer(400, "{}".to_owned()));
        }
        let mut event = change(&client, "client");
        event["Records"][0]["dynamodb"]["SequenceNumber"] = json!("1");
        let mut second = change(&partition(), "session#phone")["Records"][0].clone();
        second["dynamodb"]["SequenceNumber"] = json!("2");
        event["Records"].as_array_mut().unwrap().push(second);
        let answer = call(&function, &event).await;
        let failures = answer["batchItemFailures"].as_array().unwrap().iter();
        let failed: Vec<_> = failures.map(|it| it["itemIdentifier"].clone()).collect();
        assert_eq!(failed, expected, "{fault:?}");
        let closes = fault != Some("Query");
        assert_eq!(closed(&aws), if closes { vec!["on-phone"] } else { vec![] });
        let operations = aws.operations();
        let at = |name: &str| operations.iter().position(|it| it == name);
        assert!(at("Query") < at("Scan"), "{operations:?}");
    }
}

#[tokio::test]
async fn rows_that_revoke_no_connection_cause_no_call() {
    let (function, aws) = fixture().await;
    for sort in ["sweep", "groups", "call"] {
        let answer = call(&function, &change(Pool::ours().id, sort)).await;
        assert_eq!(answer, json!({"batchItemFailures": []}));
        assert_eq!(aws.operations(), Vec::<String>::new(), "{sort}");
    }
}

#[tokio::test]
async fn a_failure_is_redelivered_and_a_connection_that_is_gone_counts_as_closed() {
    for (status, operation, failures) in [(410, "DELETE", 0), (403, "DELETE", 1), (400, "Query", 1)]
    {
        let (function, aws) = fixture().await;
        open(&aws, "on-phone", "phone");
        revoke(&aws, "session#phone", json!({}));
        let kind = if status == 410 {
            "GoneException"
        } else {
            "ForbiddenException"
        };
        let fault = Fault::Answer(status, format!(r#"{{"__type":"{kind}"}}"#));
        match operation {
            "DELETE" => {
                // The path of the call, as the SDK writes it.
                for path in ["/@connections/on-phone", "/%40connections/on-phone"] {
                    aws.add_fault_for(&format!("DELETE {path}"), fault.clone());
                }
            }
            operation => aws.add_fault_for(operation, fault),
        }
        let answer = call(&function, &change(&partition(), "session#phone")).await;
        let failed = answer["batchItemFailures"].as_array().unwrap();
        assert_eq!(failed.len(), failures, "{operation} {status}");
        if failures == 1 {
            assert_eq!(failed[0]["itemIdentifier"], "4421584500000000017450439091");
            assert!(!aws.operations().contains(&"DeleteItem".to_owned()));
        }
    }
}

#[tokio::test]
async fn an_event_without_records_is_an_error() {
    let (function, _aws) = fixture().await;
    for event in [json!({}), json!(null), json!({"Records": [{}]})] {
        let answer = function.handle(&events::raw(&event), "request-1").await;
        assert!(answer.is_err(), "{event}");
    }
}
