//! `gatehouse audit-trail` over a fake CloudWatch Logs, and the lines of the functions that it reads.

use std::process::Command;

use auth_tests::{Authorizer, Verdict};
use runtime::Act;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Binary, FakeAws, Pool};

use crate::operator::gatehouse_output;
use crate::world::World;

async fn trail(aws: &FakeAws, groups: &str, arguments: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(Binary::path("gatehouse"));
    command
        .arg("audit-trail")
        .args(arguments)
        .env_clear()
        .envs([
            ("AUDIT_LOG_GROUPS", groups),
            ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", &aws.url()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_MAX_ATTEMPTS", "1"),
        ]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        output.status.code().unwrap(),
    )
}

fn line(id: &str, act: &str, at: u64) -> Value {
    let line = json!({
        "level": "INFO", "message": "audit", "id": id, "source": "admin", "act": act,
        "actor": "0011223344556677", "target": "8899aabbccddeeff", "outcome": "done", "at": at,
    });
    json!({"timestamp": at * 1_000, "message": format!("{line}\n"), "logStreamName": "s"})
}

#[tokio::test]
async fn each_act_of_every_group_is_exported_once_in_order() {
    let aws = FakeAws::agreeable().await;
    let time = 1_795_687_200;
    let other = json!({"timestamp": time * 1_000, "message": "START audit", "logStreamName": "s"});
    let events = [
        line("r-3", "delete_user", time + 20),
        line("r-1", "disable_user", time),
        line("r-1", "disable_user", time + 5),
        other,
        line("r-2", "enable_user", time + 10),
        line("r-0", "enable_user", time - 100),
    ];
    aws.set_answer("FilterLogEvents", json!({"events": events}));
    let since = ["--since", "2026-11-26T10:00:00Z"];
    let (output, errors, code) = trail(&aws, "admin-logs, logout-logs", &since).await;
    assert_eq!(code, 0, "{errors}");
    let acts: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids: Vec<&Value> = acts.iter().map(|act| &act["id"]).collect();
    assert_eq!(ids, ["r-1", "r-2", "r-3"], "{output}");
    assert_eq!(
        acts[0],
        json!({
            "id": "r-1", "kind": "disable_user", "source": "admin", "outcome": "done",
            "at": time, "time": "2026-11-26T10:00:00Z", "actor": "0011223344556677",
            "target": "8899aabbccddeeff", "count": 1,
        })
    );
    let asked: Vec<Value> = aws
        .requests()
        .into_iter()
        .map(|(_, request)| request)
        .collect();
    let groups: Vec<&Value> = asked.iter().map(|it| &it["logGroupName"]).collect();
    assert_eq!(groups, ["admin-logs", "logout-logs"]);
    assert!(asked.iter().all(|it| it["startTime"] == time * 1_000));
    assert!(asked.iter().all(|it| it["filterPattern"] == "audit"));

    let chosen = [
        &since[..],
        &["--kind", "enable_user", "--until", "2026-11-26T09:00:00Z"],
    ]
    .concat();
    let (output, _, code) = trail(&aws, "admin-logs", &chosen).await;
    assert_eq!((code, output.trim()), (0, ""), "until before since");
    let chosen = [&since[..], &["--kind", "enable_user"]].concat();
    let (output, _, _) = trail(&aws, "admin-logs", &chosen).await;
    assert_eq!(output.lines().count(), 1);
    let chosen = [&since[..], &["--of", "8899aabbccddeeff"]].concat();
    let (output, _, _) = trail(&aws, "admin-logs", &chosen).await;
    assert_eq!(output.lines().count(), 3);
}

/// CloudTrail's records may be processed days later, and every other line is written a little after its act.
#[tokio::test]
async fn windows_that_meet_have_each_act_once() {
    let aws = FakeAws::agreeable().await;
    let bound = 1_795_651_200;
    let late = |id: &str, at: u64, delay: u64| {
        let mut event = line(id, "disable_user", at);
        event["timestamp"] = json!((at + delay) * 1_000);
        event
    };
    let events = [
        late("r-1", bound - 1, 1),
        late("r-2", bound, 0),
        late("r-3", bound - 3_600, 2 * 86_400),
        late("r-4", bound + 60, 1),
    ];
    aws.set_answer("FilterLogEvents", json!({"events": events}));
    let mut found = Vec::new();
    for (since, until) in [("2026-11-01", "2026-11-26"), ("2026-11-26", "2026-12-01")] {
        let window = ["--since", since, "--until", until];
        let (output, errors, code) = trail(&aws, "admin-logs", &window).await;
        assert_eq!(code, 0, "{errors}");
        let ids = output.lines().map(|line| {
            let act: Value = serde_json::from_str(line).unwrap();
            act["id"].as_str().unwrap().to_owned()
        });
        found.push(ids.collect::<Vec<_>>());
    }
    assert_eq!(found, [vec!["r-3", "r-1"], vec!["r-2", "r-4"]]);
    let ends = |at: usize| aws.requests()[at].1["endTime"].as_u64().unwrap();
    assert_eq!(ends(0), (bound + 20 * 86_400) * 1_000);
    let quick = [
        "--since",
        "7d",
        "--until",
        "2026-11-26",
        "--max-delay",
        "10m",
    ];
    trail(&aws, "admin-logs", &quick).await;
    assert_eq!(ends(2), (bound + 600) * 1_000);
}

#[tokio::test]
async fn a_trail_with_a_gap_is_an_error() {
    let aws = FakeAws::agreeable().await;
    aws.set_answer(
        "FilterLogEvents",
        json!({"events": [line("r", "x", now())]}),
    );
    for (fault, cause) in [
        (r#"{"__type": "AccessDeniedException"}"#, "access_denied"),
        (r#"{"__type": "ResourceNotFoundException"}"#, "not_found"),
    ] {
        aws.set_fault(Fault::Answer(400, fault.to_owned()));
        let (output, errors, code) = trail(&aws, "admin-logs", &["--since", "1h"]).await;
        assert_eq!((output.as_str(), code), ("", 2), "{errors}");
        assert!(
            errors.contains("admin-logs") && errors.contains(cause),
            "{errors}"
        );
    }
    aws.set_fault(Fault::None);
    for (groups, since) in [("", "1h"), ("a,,b", "1h"), ("a", "yesterday"), ("a", "")] {
        let (output, errors, code) = trail(&aws, groups, &["--since", since]).await;
        assert_eq!(
            (output.as_str(), code),
            ("", 2),
            "{groups} {since} {errors}"
        );
    }
}

#[tokio::test]
async fn an_operators_act_is_written_into_its_log_group() {
    let world = World::start().await;
    let aws = FakeAws::agreeable().await;
    let url = aws.url();
    let group = [
        ("OPERATOR_LOG_GROUP", "operator-logs"),
        ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", url.as_str()),
        ("AWS_MAX_ATTEMPTS", "1"),
    ];
    let user = crate::world::unique("person");
    let revoke = [
        "revoke",
        "token",
        &user,
        "t-1",
        "--actor",
        "grace@example.com",
    ];
    let (_, errors, code) = gatehouse_output(&world, &group, &revoke).await;
    assert_eq!(code, 0, "{errors}");
    let requests = aws.requests();
    let names: Vec<&str> = requests.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["CreateLogStream", "PutLogEvents"]);
    let (_, put) = &requests[1];
    assert_eq!(put["logGroupName"], "operator-logs");
    let text = put["logEvents"][0]["message"].as_str().unwrap();
    let act = Act::of_line(text, 0).unwrap();
    assert_eq!(put["logStreamName"], *act.id);
    assert_eq!(
        (&*act.kind, &*act.source, &*act.outcome),
        ("revoke_token", "operator", "done")
    );
    assert!(act.at + 60 > now());
    assert_eq!(act.target, auth::subject_hash(Pool::ours().id, &user));
    assert!(!text.contains("grace") && !text.contains(&user), "{text}");

    aws.set_fault(Fault::Answer(
        400,
        r#"{"__type": "AccessDeniedException"}"#.to_owned(),
    ));
    let (_, errors, code) = gatehouse_output(&world, &group, &revoke).await;
    assert_eq!(code, 0, "the token is revoked all the same");
    assert!(
        errors.contains("not in the log group operator-logs"),
        "{errors}"
    );
}

#[tokio::test]
async fn the_use_of_a_revoked_session_is_an_act_and_other_refusals_are_none() {
    let authorizer = Authorizer::start().await;
    let token = Pool::ours().access_token();
    let text = |claim: &str| token.get(claim).as_str().unwrap().to_owned();
    let user = format!("{}#user#{}", Pool::ours().id, text("sub"));
    let acts = || -> Vec<Act> {
        let output = authorizer.binary.output();
        let lines = output.lines();
        lines.filter_map(|line| Act::of_line(line, 7)).collect()
    };
    let verdict = async || authorizer.verdict_on(&token.build()).await;
    assert_eq!(verdict().await, Verdict::Allow);
    let expired = token.clone().claim("exp", now() - 1).build();
    assert_eq!(authorizer.verdict_on(&expired).await, Verdict::Unauthorized);
    let time = |at: u64| json!({"N": at.to_string()});
    let outdated = json!({"tokens_not_before": time(now())});
    authorizer.store.put(&user, "user", outdated);
    assert_eq!(verdict().await, Verdict::Unauthorized);
    assert_eq!(acts(), [], "no revocation covers these");

    let session = format!("session#{}", text("origin_jti"));
    authorizer.store.clear();
    let row = json!({"expires_at": time(now() + 1_000)});
    authorizer.store.put(&user, &session, row);
    assert_eq!(verdict().await, Verdict::Unauthorized);
    let acts = acts();
    assert_eq!(acts.len(), 1);
    assert_eq!(
        (&*acts[0].kind, &*acts[0].outcome, acts[0].count),
        ("use_after_revocation", "session_revoked", 1)
    );
    assert_eq!(
        acts[0].actor,
        auth::subject_hash(Pool::ours().id, &text("sub"))
    );
}
