//! The authorizer's requests to its table: their number, a failing store, retries and time limits.

use std::time::{Duration, Instant};

use auth_tests::{Authorizer, TABLE, Verdict};
use serde_json::json;
use testkit::Pool;
use testkit::server::Fault;

#[tokio::test]
async fn a_check_is_one_consistent_batch_read() {
    let authorizer = Authorizer::start().await;
    authorizer.store.forget_requests();
    let token = Pool::ours().access_token().build();
    for _ in 0..3 {
        assert_eq!(authorizer.verdict_on(&token).await, Verdict::Allow);
    }
    let requests = authorizer.store.requests();
    assert_eq!(requests.len(), 3, "one read per request");
    for (number, (operation, body)) in requests.iter().enumerate() {
        let table = &body["RequestItems"][TABLE];
        assert_eq!(operation, "BatchGetItem");
        assert_eq!(table["ConsistentRead"], true);
        let keys = table["Keys"].as_array().unwrap().len();
        assert_eq!(
            keys,
            if number == 0 { 6 } else { 3 },
            "point reads only, with cached revocations of clients and issuers"
        );
    }
}

#[tokio::test]
async fn store_failures_are_errors_within_the_budget() {
    let authorizer = Authorizer::start().await;
    let token = Pool::ours().access_token().build();
    let error = |code: &str| format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}"}}"#);
    let unprocessed = json!({"Responses": {TABLE: []}, "UnprocessedKeys": {TABLE: {
        "Keys": [{"pk": {"S": "a"}, "sk": {"S": "b"}}], "ConsistentRead": true}}});
    let faults = [
        (
            "throttled",
            Fault::Answer(400, error("ProvisionedThroughputExceededException")),
        ),
        (
            "throttled",
            Fault::Answer(400, error("ThrottlingException")),
        ),
        (
            "server error",
            Fault::Answer(500, error("InternalServerError")),
        ),
        ("server error", Fault::Answer(503, String::new())),
        ("connection cut", Fault::Cut),
        ("hanging", Fault::Hang),
        (
            "not retryable",
            Fault::Answer(400, error("AccessDeniedException")),
        ),
        (
            "not retryable",
            Fault::Answer(400, error("ResourceNotFoundException")),
        ),
        (
            "not retryable",
            Fault::Answer(400, error("ExpiredTokenException")),
        ),
        (
            "unprocessed keys",
            Fault::Answer(200, unprocessed.to_string()),
        ),
        ("incomplete response", Fault::Answer(200, "{}".to_owned())),
        (
            "incomplete response",
            Fault::Answer(200, r#"{"Responses":{}}"#.to_owned()),
        ),
        (
            "incomplete response",
            Fault::Answer(200, r#"{"Responses":null,"UnprocessedKeys":{}}"#.to_owned()),
        ),
        (
            "malformed response",
            Fault::Answer(200, r#"{"Responses":{"revocations":["#.to_owned()),
        ),
        (
            "malformed response",
            Fault::Answer(200, "<html>".to_owned()),
        ),
        ("malformed response", Fault::Answer(200, String::new())),
        (
            "malformed response",
            Fault::Answer(
                200,
                r#"{"Responses":{"revocations":[{"pk":7}]}}"#.to_owned(),
            ),
        ),
    ];
    for (case, fault) in faults {
        authorizer.store.set_fault(fault.clone());
        authorizer.store.forget_requests();
        let began = Instant::now();
        assert_eq!(
            authorizer.verdict_on(&token).await,
            Verdict::Failure,
            "{case} {fault:?}"
        );
        // Not a benchmark: the budget is 0.8 s, and without one a request would take half a minute.
        assert!(began.elapsed() < Duration::from_secs(5), "{case} {fault:?}");
        if case == "not retryable" {
            assert_eq!(authorizer.store.requests().len(), 1, "{case}: no retries");
        }
        authorizer.store.set_fault(Fault::None);
        assert_eq!(
            authorizer.verdict_on(&token).await,
            Verdict::Allow,
            "after {case} {fault:?}"
        );
    }
}

#[tokio::test]
async fn transient_faults_are_retried() {
    let authorizer = Authorizer::start().await;
    let token = Pool::ours().access_token().build();
    for fault in [Fault::Cut, Fault::Answer(500, "{}".to_owned())] {
        authorizer.store.set_fault_times(fault.clone(), 1);
        assert_eq!(
            authorizer.verdict_on(&token).await,
            Verdict::Allow,
            "{fault:?}"
        );
    }
    authorizer.store.set_fault(Fault::Slow(100));
    authorizer.store.forget_requests();
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Allow);
    assert_eq!(
        authorizer.store.requests().len(),
        1,
        "slow responses are not retried"
    );
}

#[tokio::test]
async fn a_wrong_checksum_is_an_error() {
    // The emulator sends no checksum, so the test sets one. See `checksum.rs`.
    let authorizer = Authorizer::start().await;
    authorizer.store.set_checksum(Some("1"));
    assert_eq!(
        authorizer
            .verdict_on(&Pool::ours().access_token().build())
            .await,
        Verdict::Failure
    );
    authorizer.store.set_checksum(None);
    assert_eq!(
        authorizer
            .verdict_on(&Pool::ours().access_token().build())
            .await,
        Verdict::Allow
    );
}

#[tokio::test]
async fn requests_use_the_connection_that_the_start_has_opened() {
    let authorizer = Authorizer::start().await;
    assert_eq!(authorizer.store.connections(), 1);
    for _ in 0..3 {
        let token = Pool::ours().access_token().build();
        assert_eq!(authorizer.verdict_on(&token).await, Verdict::Allow);
    }
    assert_eq!(authorizer.store.connections(), 1);
}

#[tokio::test]
async fn dead_connections_after_a_freeze_are_replaced() {
    let authorizer = Authorizer::start().await;
    let token = Pool::ours().access_token().build();
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Allow);
    for _ in 0..3 {
        authorizer.binary.signal("-STOP");
        authorizer.store.close_connections();
        authorizer.binary.signal("-CONT");
        assert_eq!(authorizer.verdict_on(&token).await, Verdict::Allow);
    }
}

#[tokio::test]
async fn memory_does_not_grow_with_hostile_input() {
    let authorizer = Authorizer::start_with(&[("LOG_LEVEL", "ERROR")]).await;
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", authorizer.binary.pid()));
        let status = status.unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap()
            .to_owned();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let mut round = 0;
    let mut burst = async |count: usize| {
        for _ in 0..count {
            round += 1;
            let kid = format!("kid-{round}");
            let unknown = Pool::ours()
                .access_token()
                .header("kid", kid.clone())
                .build();
            assert_eq!(authorizer.verdict_on(&unknown).await, Verdict::Unauthorized);
            let new = Pool::ours()
                .access_token()
                .claim("sub", kid.clone())
                .claim("origin_jti", kid)
                .build();
            assert_eq!(authorizer.verdict_on(&new).await, Verdict::Allow);
        }
    };
    burst(600).await;
    let before = resident();
    burst(2_000).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 512, "{grown} kB more after 4,000 invocations");
}
