//! `gatehouse phantom-keys`: the keys in a file and in Secrets Manager.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use auth::UnixSeconds;
use auth_phantom::{
    KeyState, PUBLISH_SECONDS, RETIRE_SECONDS, STORE_SECONDS, SigningAlgorithm, SigningKeys,
};
use serde_json::{Value, json};
use testkit::FakeAws;
use testkit::server::Fault;

/// Standard output, standard error and the exit status.
type Output = (String, String, i32);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatehouse"));
    command.arg("phantom-keys").args(arguments).env_clear();
    command
}

fn output(mut command: Command) -> Output {
    let output = command.output().unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        output.status.code().unwrap(),
    )
}

fn run(arguments: &[&str]) -> Output {
    output(command(arguments))
}

async fn run_at(aws: &FakeAws, arguments: &[&str]) -> Output {
    let mut command = command(arguments);
    command.envs([
        ("AWS_ENDPOINT_URL", aws.url().as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]);
    tokio::task::spawn_blocking(move || output(command))
        .await
        .unwrap()
}

/// An empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("phantom-keys")
        .join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn keys_in(path: &Path) -> SigningKeys {
    SigningKeys::from_json(&fs::read_to_string(path).unwrap()).unwrap()
}

fn now() -> UnixSeconds {
    UnixSeconds(testkit::now())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The private keys of a document: no output but that of `new` may contain one.
fn secrets(document: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(document).unwrap();
    let keys = document["keys"].as_array().unwrap().iter();
    keys.map(|key| key["private_key"].as_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn check_no_secret(output: &Output, document: &str) {
    for secret in secrets(document) {
        assert!(!output.0.contains(&secret) && !output.1.contains(&secret));
    }
}

/// A document whose key began to sign so many seconds ago.
fn signing_for(seconds: u64) -> SigningKeys {
    SigningKeys::first(SigningAlgorithm::Es256, UnixSeconds(now().0 - seconds)).unwrap()
}

#[test]
fn new_keys_are_printed_or_written_for_the_owner_alone() {
    for (arguments, alg) in [
        (&["new"][..], SigningAlgorithm::Es256),
        (&["new", "--alg", "EdDSA"], SigningAlgorithm::EdDsa),
    ] {
        let (printed, _, code) = run(arguments);
        assert_eq!(code, 0);
        let keys = SigningKeys::from_json(&printed).unwrap().list(now());
        assert_eq!(
            (keys.len(), keys[0].algorithm, keys[0].state),
            (1, alg, KeyState::Signing)
        );
    }
    let path = folder("new").join("keys.json");
    let file = path.to_str().unwrap();
    let written = run(&["new", "--file", file, "--json"]);
    assert_eq!(written.2, 0, "{}", written.1);
    assert_eq!(mode(&path), 0o600);
    let document = fs::read_to_string(&path).unwrap();
    check_no_secret(&written, &document);
    let row: Value = serde_json::from_str(&written.0).unwrap();
    let keys = keys_in(&path).list(now());
    assert_eq!(row["kid"], keys[0].kid.as_str());
    assert_eq!(
        (&row["state"], &row["alg"]),
        (&json!("signing"), &json!("ES256"))
    );

    let (_, problem, code) = run(&["new", "--file", file]);
    assert_eq!(code, 2);
    assert!(problem.contains("exists"), "{problem}");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        document,
        "nothing was replaced"
    );
    let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "no temporary file is left");
}

#[test]
fn a_rotation_keeps_the_signing_key_and_withdraws_the_one_before() {
    let path = folder("rotate").join("keys.json");
    let file = path.to_str().unwrap();
    let settled = signing_for(PUBLISH_SECONDS + RETIRE_SECONDS + 10);
    let old = settled.list(now())[0].kid.clone();
    fs::write(&path, settled.to_json().expose()).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();

    let rotated = run(&["rotate", "--file", file, "--alg", "EdDSA"]);
    assert_eq!(rotated.2, 0, "{}", rotated.1);
    check_no_secret(&rotated, &fs::read_to_string(&path).unwrap());
    let keys = keys_in(&path).list(now());
    let states: Vec<KeyState> = keys.iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyState::Waiting, KeyState::Signing]);
    assert_eq!(keys[1].kid, old);
    assert_eq!(
        mode(&path),
        0o640,
        "the group of the service may still read it"
    );

    let (listed, _, code) = run(&["list", "--file", file]);
    assert_eq!(code, 0);
    assert!(listed.contains(&old) && listed.contains("waiting") && listed.contains("EdDSA"));
    assert!(
        rotated.1.contains(r#""act":"rotate_phantom_keys""#),
        "{}",
        rotated.1
    );
    assert!(rotated.1.contains(&keys[0].kid), "{}", rotated.1);
}

#[test]
fn stolen_keys_are_withdrawn_at_once() {
    let path = folder("stolen").join("keys.json");
    let file = path.to_str().unwrap();
    let stolen = signing_for(5);
    fs::write(&path, stolen.to_json().expose()).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(run(&["rotate", "--file", file, "--stolen"]).2, 0);
    let keys = keys_in(&path);
    let listed = keys.list(now());
    assert_eq!((listed.len(), listed[0].state), (1, KeyState::Signing));
    assert!(!keys.jwks().contains(&stolen.list(now())[0].kid));
}

#[test]
fn rotations_at_once_lose_no_key() {
    let path = folder("at-once").join("keys.json");
    let link = path.with_file_name("link.json");
    fs::write(&path, signing_for(5).to_json().expose()).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    symlink(&path, &link).unwrap();
    let file = link.to_str().unwrap();
    let running: Vec<_> = (0..5)
        .map(|_| {
            let mut command = command(&["rotate", "--file", file]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    for mut one in running {
        assert!(one.wait().unwrap().success());
    }
    assert_eq!(keys_in(&path).list(now()).len(), 6);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_rotation_takes_the_time_after_it_has_waited_for_another() {
    let path = folder("waiting").join("keys.json");
    fs::write(&path, signing_for(5).to_json().expose()).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let lock = File::open(path.parent().unwrap()).unwrap();
    lock.lock().unwrap();
    let mut command = command(&["rotate", "--file", path.to_str().unwrap()]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut rotation = command.spawn().unwrap();
    thread::sleep(Duration::from_secs(4));
    assert!(rotation.try_wait().unwrap().is_none(), "it waits");
    let released = now();
    lock.unlock().unwrap();
    assert!(rotation.wait().unwrap().success());
    let newest = keys_in(&path).list(now())[0].not_before;
    assert!(newest >= released.plus(STORE_SECONDS), "{newest:?}");
}

#[test]
fn a_file_that_is_no_key_set_is_never_replaced() {
    let path = folder("bad").join("keys.json");
    let file = path.to_str().unwrap();
    let good = signing_for(5).to_json().expose().to_owned();
    let future = signing_for(0)
        .to_json()
        .expose()
        .replace("\"not_before\": ", "\"not_before\": 9");
    for (text, permissions, problem) in [
        (good.as_str(), 0o644, "every user may access the keys"),
        (good.as_str(), 0o602, "every user may access the keys"),
        (&future, 0o600, "check the clock"),
        ("", 0o600, "not a JSON object"),
        ("{\"keys\": []}", 0o600, "has no key"),
        (
            &good.replace("ES256", "RS256"),
            0o600,
            "neither ES256 nor EdDSA",
        ),
        (
            &good.replace("\"kid\"", "\"name\""),
            0o600,
            "key 1 is not an object",
        ),
        (&" ".repeat(70_000), 0o600, "longer than"),
    ] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(permissions)).unwrap();
        let failed = run(&["rotate", "--file", file]);
        assert_eq!(failed.2, 2, "{problem}");
        assert!(failed.1.contains(problem), "{}", failed.1);
        assert!(failed.1.contains(r#""outcome":"failed""#), "{}", failed.1);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        for secret in secrets(&good) {
            assert!(!failed.1.contains(&secret), "{problem}");
        }
    }
    fs::write(&path, b"\xff\xfe").unwrap();
    assert!(run(&["list", "--file", file]).1.contains("UTF-8"));
    for arguments in [
        &["list", "--file", "/nonexistent/keys.json"][..],
        &["rotate", "--file", "/nonexistent/keys.json"],
        &["new", "--file", "/nonexistent/keys.json"],
    ] {
        let (_, problem, code) = run(arguments);
        assert_eq!(code, 2);
        assert!(problem.contains("/nonexistent/keys.json: "), "{problem}");
    }
}

#[test]
fn a_place_is_needed_and_only_one() {
    for (arguments, problem) in [
        (&["rotate"][..], "--file or --secret"),
        (&["list"], "--file or --secret"),
        (
            &["list", "--file", "a", "--secret", "b"],
            "cannot be used with",
        ),
        (&["new", "--alg", "RS256"], "expected ES256 or EdDSA"),
        (&["new", "--alg", "none"], "expected ES256 or EdDSA"),
    ] {
        let (_, errors, code) = run(arguments);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(errors.contains(problem), "{arguments:?}: {errors}");
    }
}

#[tokio::test]
async fn a_new_secret_is_created_and_an_existing_one_is_kept() {
    let aws = FakeAws::agreeable().await;
    let created = run_at(&aws, &["new", "--secret", "phantom", "--json"]).await;
    assert_eq!(created.2, 0, "{}", created.1);
    let requests = aws.requests();
    let (operation, request) = requests.last().unwrap();
    assert_eq!(
        (operation.as_str(), &request["Name"]),
        ("CreateSecret", &json!("phantom"))
    );
    let document = request["SecretString"].as_str().unwrap();
    check_no_secret(&created, document);
    let kid = SigningKeys::from_json(document).unwrap().list(now())[0]
        .kid
        .clone();
    assert!(created.0.contains(&kid));

    let exists = json!({"__type": "ResourceExistsException", "message": "phantom"}).to_string();
    aws.set_fault_for("CreateSecret", Fault::Answer(400, exists));
    let (_, problem, code) = run_at(&aws, &["new", "--secret", "phantom"]).await;
    assert_eq!(
        (code, problem.contains("exists already")),
        (2, true),
        "{problem}"
    );
    let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:phantom-abcdef";
    let (_, problem, code) = run_at(&aws, &["new", "--secret", arn]).await;
    assert_eq!(
        (code, problem.contains("not an ARN")),
        (2, true),
        "{problem}"
    );
    assert!(!aws.operations().contains(&"PutSecretValue".to_owned()));
}

fn with_secret(aws: &FakeAws, keys: &SigningKeys) {
    let text = keys.to_json().expose().to_owned();
    let answer = json!({"SecretString": text, "VersionId": "version-1"});
    aws.set_answer("GetSecretValue", answer);
    aws.set_answer("PutSecretValue", json!({"VersionId": "version-2"}));
}

#[tokio::test]
async fn a_secret_is_replaced_only_if_it_is_the_one_that_was_read() {
    let aws = FakeAws::agreeable().await;
    let old = signing_for(5);
    with_secret(&aws, &old);
    let rotated = run_at(&aws, &["rotate", "--secret", "phantom"]).await;
    assert_eq!(rotated.2, 0, "{}", rotated.1);
    assert_eq!(
        aws.operations(),
        [
            "GetSecretValue",
            "PutSecretValue",
            "UpdateSecretVersionStage"
        ],
        "the time is that of the read"
    );
    let requests = aws.requests();
    let put = &requests[1].1;
    // Without a label of its own, the new version would be the current one at once.
    assert_eq!(put["VersionStages"], json!(["gatehouse-next"]));
    let document = put["SecretString"].as_str().unwrap();
    let keys = SigningKeys::from_json(document).unwrap().list(now());
    assert_eq!(keys[1].kid, old.list(now())[0].kid);
    check_no_secret(&rotated, document);
    assert_eq!(
        requests[2].1,
        json!({"SecretId": "phantom", "VersionStage": "AWSCURRENT",
            "MoveToVersionId": "version-2", "RemoveFromVersionId": "version-1"})
    );

    let changed = json!({"__type": "InvalidParameterException", "message": "x"}).to_string();
    aws.set_fault_for("UpdateSecretVersionStage", Fault::Answer(400, changed));
    let (printed, problem, code) = run_at(&aws, &["rotate", "--secret", "phantom"]).await;
    assert_eq!((code, printed.as_str()), (2, ""));
    assert!(problem.contains("run it again"), "{problem}");

    // The first attempt succeeded, but its answer was lost.
    let current = json!({"SecretString": old.to_json().expose(), "VersionId": "version-2"});
    aws.set_answer("GetSecretValue", current);
    let rotated = run_at(&aws, &["rotate", "--secret", "phantom"]).await;
    assert_eq!(rotated.2, 0, "{}", rotated.1);
}

#[tokio::test]
async fn failures_of_secrets_manager_are_told_by_their_cause() {
    let aws = FakeAws::agreeable().await;
    let old = signing_for(5);
    with_secret(&aws, &old);
    let refused = |name: &str| {
        let body = json!({"__type": name, "message": "secret-message"}).to_string();
        Fault::Answer(400, body)
    };
    for (operation, fault, problem) in [
        (
            "GetSecretValue",
            refused("AccessDeniedException"),
            "access_denied",
        ),
        (
            "GetSecretValue",
            refused("ResourceNotFoundException"),
            "not_found",
        ),
        (
            "PutSecretValue",
            refused("AccessDeniedException"),
            "access_denied",
        ),
        (
            "PutSecretValue",
            refused("LimitExceededException"),
            "throttled",
        ),
        (
            "UpdateSecretVersionStage",
            refused("AccessDeniedException"),
            "access_denied",
        ),
    ] {
        aws.set_fault_for(operation, fault);
        let failed = run_at(&aws, &["rotate", "--secret", "phantom"]).await;
        assert_eq!(failed.2, 2, "{operation}");
        assert!(failed.1.contains(problem), "{operation}: {}", failed.1);
        assert!(!failed.1.contains("secret-message"), "{}", failed.1);
        check_no_secret(&failed, old.to_json().expose());
    }
    aws.set_fault(Fault::None);
    aws.set_answer(
        "GetSecretValue",
        json!({"SecretBinary": "AAAA", "VersionId": "v"}),
    );
    let (_, problem, code) = run_at(&aws, &["list", "--secret", "phantom"]).await;
    assert_eq!(
        (code, problem.contains("is not text")),
        (2, true),
        "{problem}"
    );
}

#[tokio::test]
async fn a_throttled_call_is_repeated() {
    let aws = FakeAws::agreeable().await;
    with_secret(&aws, &signing_for(5));
    let throttled = json!({"__type": "ThrottlingException"}).to_string();
    aws.set_fault_times(Fault::Answer(400, throttled), 2);
    let running = run_at(&aws, &["list", "--secret", "phantom"]);
    let (printed, problem, code) = tokio::time::timeout(Duration::from_secs(30), running)
        .await
        .unwrap();
    assert_eq!(code, 0, "{problem}");
    assert!(printed.contains("signing"), "{printed}");
}

#[tokio::test]
async fn the_time_of_keys_in_a_secret_is_that_of_secrets_manager() {
    let aws = FakeAws::agreeable().await;
    // 2026-01-01T00:00:00Z
    let time = UnixSeconds(1_767_225_600);
    aws.set_date(Some("Thu, 01 Jan 2026 00:00:00 GMT"));
    let missing = json!({"__type": "ResourceNotFoundException"}).to_string();
    aws.set_fault_for("GetSecretValue", Fault::Answer(400, missing));
    let created = run_at(&aws, &["new", "--secret", "phantom"]).await;
    assert_eq!(created.2, 0, "a refusal has a time too: {}", created.1);
    // Only the fake's good responses have the time that was set.
    aws.set_fault(Fault::None);
    let created = run_at(&aws, &["new", "--secret", "phantom"]).await;
    assert_eq!(created.2, 0, "{}", created.1);
    let requests = aws.requests();
    let document = requests.last().unwrap().1["SecretString"].as_str().unwrap();
    let keys = SigningKeys::from_json(document).unwrap();
    assert_eq!(keys.list(time)[0].signs_from, time);

    with_secret(&aws, &keys);
    let rotated = run_at(&aws, &["rotate", "--secret", "phantom", "--json"]).await;
    assert_eq!(rotated.2, 0, "{}", rotated.1);
    let row: Value = serde_json::from_str(rotated.0.lines().next().unwrap()).unwrap();
    assert_eq!(row["not_before"], time.0 + STORE_SECONDS);

    aws.set_date(Some("yesterday"));
    let (_, problem, code) = run_at(&aws, &["rotate", "--secret", "phantom"]).await;
    assert_eq!(
        (code, problem.contains("has no time")),
        (2, true),
        "{problem}"
    );
}

#[tokio::test]
async fn a_secret_that_took_too_long_to_store_is_not_published() {
    for (stored, succeeds) in [
        ("Thu, 01 Jan 2026 00:00:30 GMT", true),
        ("Thu, 01 Jan 2026 00:00:31 GMT", false),
    ] {
        let aws = FakeAws::agreeable().await;
        aws.set_date(Some("Thu, 01 Jan 2026 00:00:00 GMT"));
        let keys = SigningKeys::first(SigningAlgorithm::Es256, UnixSeconds(1_767_000_000)).unwrap();
        with_secret(&aws, &keys);
        aws.set_fault_for("PutSecretValue", Fault::Slow(1_000));
        let running = run_at(&aws, &["rotate", "--secret", "phantom"]);
        let clock = async {
            while aws.operations().last().map(String::as_str) != Some("PutSecretValue") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            aws.set_date(Some(stored));
        };
        let ((_, problem, code), ()) = tokio::join!(running, clock);
        let published = aws
            .operations()
            .contains(&"UpdateSecretVersionStage".to_owned());
        assert_eq!((code == 0, published), (succeeds, succeeds), "{problem}");
        assert_eq!(
            problem.contains("nothing was changed, run it again"),
            !succeeds,
            "{problem}"
        );
    }
}
