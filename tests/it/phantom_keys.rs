//! `gatehouse phantom-keys` on an emulated Secrets Manager, whose versions and labels are like AWS's.

use std::process::Stdio;

use auth_tests::Stack;
use serde_json::Value;
use testkit::Binary;
use tokio::process::Command;

use crate::world::unique;

fn gatehouse(stack: &Stack, arguments: &[&str]) -> Command {
    let mut command = Command::new(Binary::path("gatehouse"));
    command.arg("phantom-keys").args(arguments);
    command.env_clear().envs([
        ("AWS_ENDPOINT_URL", stack.endpoint.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Standard output and standard error of a command, and whether it succeeded.
async fn run(stack: &Stack, arguments: &[&str]) -> (String, String, bool) {
    let output = gatehouse(stack, arguments).output().await.unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        output.status.success(),
    )
}

/// The `kid`s and states of the keys.
async fn keys(stack: &Stack, secret: &str) -> Vec<(String, String)> {
    let (listed, errors, succeeded) = run(stack, &["list", "--secret", secret, "--json"]).await;
    assert!(succeeded, "{errors}");
    let row = |line| {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        (text("kid"), text("state"))
    };
    listed.lines().map(row).collect()
}

#[tokio::test]
async fn rotations_of_a_secret_at_once_lose_no_key() {
    let stack = Stack::of_this_run();
    let secret = unique("phantom-keys");
    let (_, errors, created) = run(&stack, &["new", "--secret", &secret]).await;
    assert!(created, "{errors}");
    let (_, errors, created) = run(&stack, &["new", "--secret", &secret]).await;
    assert!(!created && errors.contains("exists already"), "{errors}");
    let first = keys(&stack, &secret).await;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].1, "signing");

    let rotate = ["rotate", "--secret", &secret, "--json"];
    let running = (0..5).map(|_| run(&stack, &rotate));
    let mut added = Vec::new();
    for (printed, errors, succeeded) in futures_util::future::join_all(running).await {
        if succeeded {
            let newest: Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
            added.push(newest["kid"].as_str().unwrap().to_owned());
        } else {
            assert!(errors.contains("run it again"), "{errors}");
        }
    }
    assert!(!added.is_empty(), "one of them is the first");
    let mut expected: Vec<(String, String)> = added
        .into_iter()
        .map(|kid| (kid, "waiting".to_owned()))
        .chain(first)
        .collect();
    let mut left = keys(&stack, &secret).await;
    expected.sort();
    left.sort();
    assert_eq!(left, expected);

    let (_, errors, withdrawn) = run(&stack, &["rotate", "--secret", &secret, "--stolen"]).await;
    assert!(withdrawn, "{errors}");
    let stolen = left;
    let left = keys(&stack, &secret).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1, "signing");
    assert!(stolen.iter().all(|(kid, _)| *kid != left[0].0));
}
