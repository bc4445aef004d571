//! Acts of which a step fails.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::process::Command;

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{FakeAws, Pool};

/// A pool and tables with one user, Ada.
async fn aws() -> FakeAws {
    let aws = FakeAws::with_tables().await;
    let user = json!({
        "Username": "ada", "Enabled": true, "UserStatus": "CONFIRMED",
        "UserAttributes": [{"Name": "sub", "Value": "the-sub-of-ada"}],
    });
    aws.set_answer("AdminGetUser", user);
    aws
}

fn error(code: &str) -> Fault {
    Fault::Answer(400, json!({"__type": code}).to_string())
}

/// What a command printed, the outcome that it recorded, and its exit status.
struct Done {
    row: Value,
    errors: String,
    outcome: String,
    status: Option<i32>,
}

async fn run(aws: &FakeAws, arguments: &str) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatehouse"));
    let arguments = arguments.split(' ').chain(["--json"]);
    command.args(arguments).env_clear().envs([
        ("USER_POOL_ID", Pool::ours().id),
        ("REVOCATION_TABLE", "revocations"),
        ("AWS_ENDPOINT_URL", &aws.url()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let lines = errors.lines().map(serde_json::from_str::<Value>);
    let act = lines.filter_map(Result::ok).next().unwrap();
    Done {
        row: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        outcome: act["outcome"].as_str().unwrap().to_owned(),
        status: output.status.code(),
        errors,
    }
}

#[tokio::test]
async fn revoking_a_user_takes_both_steps_and_fails_if_one_did() {
    let denied = "AccessDeniedException";
    let rows: [(&[&str], &str, &str, i32, &str); 4] = [
        (&[], "written", "ended", 0, "done"),
        (&["UpdateItem"], "failed", "ended", 1, "incomplete"),
        (
            &["AdminUserGlobalSignOut"],
            "written",
            "failed",
            1,
            "incomplete",
        ),
        (
            &["UpdateItem", "AdminUserGlobalSignOut"],
            "failed",
            "failed",
            1,
            "incomplete",
        ),
    ];
    for (failing, table, cognito, status, outcome) in rows {
        let aws = aws().await;
        for operation in failing {
            aws.add_fault_for(operation, error(denied));
        }
        let done = run(&aws, "revoke user ada").await;
        let words = (&done.row["table"], &done.row["cognito"]);
        assert_eq!(words, (&json!(table), &json!(cognito)), "{failing:?}");
        assert_eq!(done.row["ended"], "user", "{failing:?}");
        let end = (done.status, done.outcome.as_str());
        assert_eq!(end, (Some(status), outcome), "{failing:?}");
        let told = done.errors.matches("unavailable: ").count();
        assert_eq!(told, failing.len(), "{}", done.errors);
        let calls = aws.operations();
        for operation in ["UpdateItem", "AdminUserGlobalSignOut"] {
            assert!(
                calls.iter().any(|it| it == operation),
                "{failing:?} {calls:?}"
            );
        }
    }
}

/// An incident at Cognito does not keep a revocation out of the table, if the operator names the `sub`.
#[tokio::test]
async fn revoking_a_sub_does_not_wait_for_cognito() {
    const SUB: &str = "5f7e6d5c-1234-4abc-9def-0123456789ab";
    const OTHER_CASE: &str = "5F7E6D5C-1234-4ABC-9DEF-0123456789AB";
    let rows = [
        (SUB, "TooManyRequestsException", "written", 1, "incomplete"),
        (SUB, "InternalErrorException", "written", 1, "incomplete"),
        (SUB, "AccessDeniedException", "written", 1, "incomplete"),
        (SUB, "UserNotFoundException", "", 2, "failed"),
        ("ada", "TooManyRequestsException", "", 2, "failed"),
        (OTHER_CASE, "TooManyRequestsException", "", 2, "failed"),
    ];
    for (user, exception, table, status, outcome) in rows {
        let aws = aws().await;
        aws.add_fault_for("AdminGetUser", error(exception));
        let done = run(&aws, &format!("revoke user {user}")).await;
        let end = (done.status, done.outcome.as_str());
        assert_eq!(end, (Some(status), outcome), "{user} {exception}");
        assert_eq!(done.row["table"].as_str().unwrap_or_default(), table);
        let key = done.row["pk"].as_str().unwrap_or_default();
        assert_eq!(key.contains(SUB), table == "written", "{key}");
        let is_written = aws.operations().iter().any(|it| it == "UpdateItem");
        assert_eq!(is_written, table == "written", "{user} {exception}");
        if table == "written" {
            assert_eq!(done.row["cognito"], "failed", "{exception}");
            assert!(done.errors.contains("Cognito"), "{}", done.errors);
        }
    }
}

#[tokio::test]
async fn enabling_a_user_fails_if_a_later_step_did() {
    let rows = [
        ("Nothing", json!("enabled"), 0, "done"),
        ("UpdateItem", json!("failed"), 1, "incomplete"),
        // Nothing was changed, so no row is printed.
        ("AdminEnableUser", json!(null), 2, "failed"),
    ];
    for (failing, table, status, outcome) in rows {
        let aws = aws().await;
        aws.add_fault_for(failing, error("NotAuthorizedException"));
        let done = run(&aws, "enable ada").await;
        assert_eq!(done.row["table"], table, "{failing}");
        let end = (done.status, done.outcome.as_str());
        assert_eq!(end, (Some(status), outcome), "{failing} {}", done.errors);
    }
}

#[tokio::test]
async fn an_act_of_one_step_is_done_or_failed() {
    for what in [
        "session the-sub-of-ada s-1",
        "client c-1",
        "everyone",
        "user s-1 --issuer partner",
    ] {
        let aws = aws().await;
        let done = run(&aws, &format!("revoke {what}")).await;
        let words = (&done.row["table"], &done.row["cognito"]);
        assert_eq!(words, (&json!("written"), &json!("not_asked")), "{what}");
        assert_eq!((done.status, done.outcome.as_str()), (Some(0), "done"));
        aws.add_fault_for("UpdateItem", error("AccessDeniedException"));
        let failed = run(&aws, &format!("revoke {what}")).await;
        assert_eq!(failed.row, json!(null), "{what}");
        assert_eq!(
            (failed.status, failed.outcome.as_str()),
            (Some(2), "failed")
        );
    }
}
