//! Which acts the functions and `gatehouse` write when a later step fails, or when others do the same at once.

use std::process::Stdio;
use std::time::Duration;

use auth_tests::{Authorizer, Verdict};
use runtime::Act;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Binary, FakeAws, Pool, events};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::world::{ask, batch, failures};

const SUBJECT: &str = "5f7e6d5c-1234-4abc-9def-sampleuser001";

/// A function whose every call reaches `aws`.
async fn function(name: &str, aws: &FakeAws, more: &[(&str, &str)]) -> Binary {
    let url = aws.url();
    let mut variables = vec![
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("ACCOUNT_ID", "123456789012"),
        ("SIGN_IN_URL", "https://app.example.com"),
        ("REFUSAL_GRID_MILLISECONDS", "0"),
    ];
    variables.extend(more);
    let environment = auth_tests::environment("http://127.0.0.1:9/", &url, &variables);
    Binary::start(name, &environment).await
}

fn acts(function: &Binary) -> Vec<Act> {
    let output = function.output();
    let lines = output.lines();
    lines.filter_map(|line| Act::of_line(line, 0)).collect()
}

fn ada(aws: &FakeAws) {
    let user = json!({
        "Username": "ada", "Enabled": true, "UserStatus": "CONFIRMED",
        "UserAttributes": [{"Name": "sub", "Value": SUBJECT}],
    });
    aws.set_answer("AdminGetUser", user);
}

fn hash_of(id: &str) -> String {
    auth::subject_hash(Pool::ours().id, id)
}

fn denied() -> Fault {
    Fault::Answer(400, r#"{"__type": "AccessDeniedException"}"#.to_owned())
}

fn throttled() -> Fault {
    Fault::Answer(400, r#"{"__type": "TooManyRequestsException"}"#.to_owned())
}

#[tokio::test]
async fn cloudtrails_acts_are_in_the_trail_without_the_topic_and_without_the_table() {
    let aws = FakeAws::with_tables().await;
    let topic = [(
        "SECURITY_TOPIC_ARN",
        "arn:aws:sns:us-east-1:123456789012:security",
    )];
    let function = function("user-events", &aws, &topic).await;
    let record = events::sample("user-events/admin-disable-user");
    let id = record["detail"]["eventID"].as_str().unwrap();
    let mut known = 0;
    for (operation, fault) in [("Publish", denied()), ("UpdateItem", denied())] {
        aws.set_fault_for(operation, fault);
        for _ in 0..2 {
            let answer = function.invoke(&batch(&[record.to_string()])).await;
            assert_eq!(failures(&answer.answer()), ["m0"], "{operation}");
        }
        let acts = acts(&function);
        assert_eq!(acts.len(), known + 2, "{operation}");
        known = acts.len();
        let act = acts.last().unwrap();
        assert_eq!(
            (&*act.id, &*act.kind, &*act.source, &*act.outcome),
            (id, "user_disabled", "cognito", "done")
        );
        assert_eq!(act.target, hash_of(SUBJECT));
        // The time of the call, in every copy.
        let time = aws_sdk_dynamodb::primitives::DateTime::from_str(
            record["detail"]["eventTime"].as_str().unwrap(),
            aws_sdk_dynamodb::primitives::DateTimeFormat::DateTime,
        );
        let time = u64::try_from(time.unwrap().secs()).unwrap();
        assert!(acts.iter().all(|act| act.at == time), "{acts:?}");
    }
}

/// The mail has `done` and `incomplete`: user-events does not report the calls of admin.
#[tokio::test]
async fn what_an_administrator_has_begun_is_told_although_a_later_step_failed() {
    let mut administrator = events::caller();
    administrator["groups"] = "[\"admins\"]".into();
    let on_user = |method: &str, task: &str| {
        let route = format!("/admin/users/{{username}}{task}");
        let name = json!({"username": "ada"});
        events::rest(method, &route, &name, &administrator, &json!({}))
    };
    let client = events::rest(
        "POST",
        "/admin/clients/{client_id}/revoke",
        &json!({"client_id": "another"}),
        &administrator,
        &json!({}),
    );
    let disable = on_user("POST", "/disable");
    let delete = on_user("DELETE", "");
    let rows = [
        (&disable, "UpdateItem", denied(), 503, "incomplete"),
        (&disable, "AdminDisableUser", throttled(), 429, "incomplete"),
        (
            &disable,
            "AdminUserGlobalSignOut",
            throttled(),
            503,
            "incomplete",
        ),
        (&delete, "AdminDeleteUser", denied(), 503, "incomplete"),
        (
            &on_user("POST", "/enable"),
            "UpdateItem",
            denied(),
            503,
            "incomplete",
        ),
        (
            &on_user("POST", "/sign-out"),
            "AdminUserGlobalSignOut",
            throttled(),
            503,
            "incomplete",
        ),
        // Nothing was changed.
        (
            &disable,
            "AdminGetUser",
            throttled(),
            429,
            "too_many_requests",
        ),
        (
            &on_user("GET", "/marks"),
            "Query",
            denied(),
            503,
            "revocations_unavailable",
        ),
        (&client, "Nothing", denied(), 404, "unknown_client"),
        (&disable, "Nothing", denied(), 200, "done"),
    ];
    for (event, operation, fault, status, outcome) in rows {
        let aws = FakeAws::with_tables().await;
        ada(&aws);
        let admin = function("admin", &aws, &[]).await;
        aws.set_fault_for(operation, fault);
        let answer = ask(&admin, event).await;
        assert_eq!(answer.0, status, "{operation}: {answer:?}");
        let acts = acts(&admin);
        let outcomes: Vec<&str> = acts.iter().map(|act| &*act.outcome).collect();
        assert_eq!(outcomes, [outcome], "{operation}");
    }
}

#[tokio::test]
async fn the_use_of_a_revoked_session_is_an_act_at_every_log_level_and_in_every_flood() {
    let quiet = [("LOG_LEVEL", "ERROR"), ("LOG_REFUSALS_PER_SECOND", "0")];
    let authorizer = Authorizer::start_with(&quiet).await;
    let token = Pool::ours().access_token();
    let text = |claim: &str| token.get(claim).as_str().unwrap().to_owned();
    let user = format!("{}#user#{}", Pool::ours().id, text("sub"));
    let session = format!("session#{}", text("origin_jti"));
    let row = json!({"expires_at": {"N": (now() + 1_000).to_string()}});
    authorizer.store.put(&user, &session, row);
    let expired = token.clone().claim("exp", now() - 1).build();
    assert_eq!(authorizer.verdict_on(&expired).await, Verdict::Unauthorized);
    for _ in 0..3 {
        assert_eq!(
            authorizer.verdict_on(&token.build()).await,
            Verdict::Unauthorized
        );
    }
    let acts = acts(&authorizer.binary);
    assert_eq!(acts.len(), 3, "{acts:?}");
    for act in acts {
        assert_eq!(
            (&*act.kind, act.count, act.actor),
            ("use_after_revocation", 1, hash_of(&text("sub")))
        );
    }
}

#[tokio::test]
async fn a_lock_out_names_the_user_and_is_no_act_for_an_attempt_that_is_admitted() {
    let aws = FakeAws::with_tables().await;
    let limits = [
        ("ATTEMPT_TABLE", "attempts"),
        ("ATTEMPTS_PER_USER", "3"),
        ("REFRESH_TOKEN_TTL_SECONDS", "28800"),
    ];
    let api = function("auth-api", &aws, &limits).await;
    let attempt = async |name: &str, address: &str| {
        let mut event = events::sample("auth-api/forgot-password");
        event["resource"] = "/auth/login".into();
        event["path"] = "/auth/login".into();
        let password = "Tr0ub4dor-and-3-secret";
        event["body"] = json!(json!({"username": name, "password": password}).to_string());
        event["requestContext"]["identity"]["sourceIp"] = json!(address);
        let answer = api.invoke(&event).await.answer();
        answer["statusCode"].as_u64().unwrap()
    };
    let acts = || -> Vec<Act> {
        let acts = acts(&api).into_iter();
        acts.filter(|act| act.kind == "lock_out_name").collect()
    };
    let token = Pool::ours().access_token();
    let tokens = json!({"AuthenticationResult": {
        "AccessToken": token.build(), "IdToken": Pool::ours().id_token().build(),
        "RefreshToken": "refresh.token.opaque", "ExpiresIn": 1800, "TokenType": "Bearer",
    }, "ChallengeParameters": {}});
    aws.set_answer("InitiateAuth", tokens);
    assert_eq!(attempt("ada", "203.0.113.1").await, 200);
    // 3 from each of four networks are the 12 that all networks together may try.
    let wrong = json!({
        "__type": "NotAuthorizedException", "message": "Incorrect username or password.",
    });
    let wrong = || Fault::Answer(400, wrong.to_string());
    aws.set_fault_for("InitiateAuth", wrong());
    for network in 2..6 {
        for _ in 0..3 {
            assert_eq!(attempt("ada", &format!("203.0.113.{network}")).await, 401);
        }
    }
    assert_eq!(acts(), [], "the limit is reached and not exceeded");
    aws.set_fault(Fault::None);
    for _ in 0..3 {
        assert_eq!(attempt("ada", "203.0.113.1").await, 200, "a known network");
    }
    aws.set_fault_for("InitiateAuth", wrong());
    assert_eq!(attempt("ada", "203.0.113.1").await, 401, "a known network");
    assert_eq!(acts(), [], "these were admitted");
    // The lock-out of all networks, and those of two networks: one target.
    for network in [7, 2, 3] {
        for _ in 0..2 {
            assert_eq!(attempt("ada", &format!("203.0.113.{network}")).await, 429);
        }
    }
    let of_ada = acts();
    assert_eq!(of_ada.len(), 3, "{of_ada:?}");
    assert!(of_ada.iter().all(|act| act.target == of_ada[0].target));
    for _ in 0..4 {
        attempt("bob", "203.0.113.8").await;
    }
    let all = acts();
    assert_eq!(all.len(), 4);
    assert_ne!(all[3].target, of_ada[0].target);
}

fn gatehouse(aws: &FakeAws, arguments: &[&str]) -> Command {
    let mut command = Command::new(Binary::path("gatehouse"));
    command.args(arguments).env_clear().envs([
        ("USER_POOL_ID", Pool::ours().id),
        ("REVOCATION_TABLE", "revocations"),
        ("API_KEY_TABLE", "keys"),
        ("OPERATOR_LOG_GROUP", "operator-logs"),
        ("AWS_ENDPOINT_URL", &aws.url()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]);
    command.kill_on_drop(true);
    command
}

/// The act that a command has put into the log group, and the time of its line in milliseconds.
async fn recorded(aws: &FakeAws, arguments: &[&str]) -> (Act, i64) {
    aws.forget_requests();
    gatehouse(aws, arguments).output().await.unwrap();
    let requests = aws.requests();
    let (_, put) = requests.iter().rfind(|it| it.0 == "PutLogEvents").unwrap();
    let event = &put["logEvents"][0];
    let act = Act::of_line(event["message"].as_str().unwrap(), 0).unwrap();
    (act, event["timestamp"].as_i64().unwrap())
}

/// One hash finds what functions and what operators did to a user.
#[tokio::test]
async fn an_operators_act_has_the_hash_of_the_functions() {
    let aws = FakeAws::with_tables().await;
    ada(&aws);
    let partner = auth::subject_hash("partner", SUBJECT);
    let rows: [(&[&str], &str, String); 8] = [
        (&["revoke", "user", "ada"], "done", hash_of(SUBJECT)),
        (
            &["revoke", "session", SUBJECT, "s-1"],
            "done",
            hash_of(SUBJECT),
        ),
        (
            &["revoke", "token", SUBJECT, "t-1"],
            "done",
            hash_of(SUBJECT),
        ),
        (&["revoke", "client", "c-1"], "done", hash_of("c-1")),
        (
            &["revoke", "user", SUBJECT, "--issuer", "partner"],
            "done",
            partner,
        ),
        (&["enable", "ada"], "done", hash_of(SUBJECT)),
        (
            &["keys", "create", "--owner", SUBJECT],
            "done",
            hash_of(SUBJECT),
        ),
        (&["keys", "revoke", "k-1"], "failed", hash_of("k-1")),
    ];
    for (arguments, outcome, target) in rows {
        let (act, written_at) = recorded(&aws, arguments).await;
        assert_eq!(
            (&*act.source, &*act.outcome, act.target),
            ("operator", outcome, target),
            "{arguments:?}"
        );
        // Two windows of the trail that meet in between would both miss the act.
        assert_eq!(written_at, i64::try_from(act.at).unwrap() * 1_000);
    }
}

#[tokio::test]
async fn a_new_key_is_printed_although_its_act_cannot_be_recorded() {
    let aws = FakeAws::with_tables().await;
    aws.set_fault_for("CreateLogStream", Fault::Hang);
    let mut command = gatehouse(&aws, &["keys", "create", "--owner", "o", "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let patience = Duration::from_secs(30);
    let printed = tokio::time::timeout(patience, lines.next_line()).await;
    let printed = printed.expect("the key is printed first");
    let row: Value = serde_json::from_str(&printed.unwrap().unwrap()).unwrap();
    assert!(row["key"].as_str().unwrap().starts_with("gh_"));
    // It gives up by itself.
    let ended = tokio::time::timeout(patience, running.wait_with_output()).await;
    let ended = ended.expect("the command ends").unwrap();
    assert!(ended.status.success());
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert!(
        errors.contains("not in the log group operator-logs: timeout"),
        "{errors}"
    );
}

#[tokio::test]
async fn an_operators_act_is_recorded_although_nothing_reads_the_result() {
    let aws = FakeAws::with_tables().await;
    let mut command = gatehouse(&aws, &["revoke", "client", "c-1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    drop((running.stdout.take(), running.stderr.take()));
    assert!(!running.wait().await.unwrap().success());
    assert!(aws.operations().contains(&"PutLogEvents".to_owned()));
}

#[tokio::test]
async fn a_line_that_cloudwatch_drops_is_not_recorded() {
    let aws = FakeAws::with_tables().await;
    let dropped = json!({"rejectedLogEventsInfo": {"tooNewLogEventStartIndex": 0}});
    aws.set_answer("PutLogEvents", dropped);
    let output = gatehouse(&aws, &["revoke", "client", "c-1"]).output().await;
    let errors = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(errors.contains("clock of this computer"), "{errors}");
}
