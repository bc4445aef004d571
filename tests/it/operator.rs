//! `gatehouse revoke`, `status` and `migrate`, through their command line.

use std::process::Command;

use serde_json::{Value, json};
use testkit::token::now;
use testkit::{Binary, Pool};

use crate::world::{
    World, ask, behind_authorizer, next_second, signed_in_again, text_of, unique, user_token,
};

async fn gatehouse(world: &World, arguments: &[&str]) -> (String, i32) {
    gatehouse_with(world, &[], arguments).await
}

async fn gatehouse_with(
    world: &World,
    environment: &[(&str, &str)],
    arguments: &[&str],
) -> (String, i32) {
    let (output, errors, code) = gatehouse_output(world, environment, arguments).await;
    (if code == 0 { output } else { output + &errors }, code)
}

/// Standard output, standard error and the exit status.
pub(crate) async fn gatehouse_output(
    world: &World,
    environment: &[(&str, &str)],
    arguments: &[&str],
) -> (String, String, i32) {
    let cognito = world.cognito.url();
    let mut command = Command::new(Binary::path("gatehouse"));
    command.args(arguments).env_clear().envs([
        ("USER_POOL_ID", Pool::ours().id),
        ("REVOCATION_TABLE", &world.stack.table),
        ("AWS_ENDPOINT_URL_DYNAMODB", &world.stack.tables),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &cognito),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]);
    command.envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        output.status.code().unwrap(),
    )
}

#[tokio::test]
async fn revoke_and_status_report_the_revocation() {
    let world = World::start().await;
    let user = user_token();
    let subject = text_of(&user, "sub");
    world.cognito.set_answer(
        "AdminGetUser",
        json!({"Username": "ada", "Enabled": true,
            "UserAttributes": [{"Name": "sub", "Value": subject}]}),
    );
    let run = async |arguments: &[&str]| {
        let (text, code) = gatehouse(&world, arguments).await;
        assert_eq!(code, 0, "{text}");
        text
    };
    run(&["revoke", "user", "ada", "--dry-run"]).await;
    assert!(world.passes(&user).await, "a dry run revokes nothing");
    assert_eq!(run(&["status", "ada"]).await, "nothing\n");

    let session = text_of(&user, "origin_jti");
    run(&[
        "revoke",
        "session",
        &subject,
        &session,
        "--reason",
        "lost phone",
    ])
    .await;
    assert!(!world.passes(&user).await);
    let laptop = signed_in_again(&user);
    assert!(world.passes(&laptop).await);
    run(&["revoke", "token", &subject, &text_of(&laptop, "jti")]).await;
    assert!(!world.passes(&laptop).await);
    let tablet = signed_in_again(&user);
    assert!(world.passes(&tablet).await);
    let text = run(&["revoke", "user", "ada", "--json", "--actor", "bob"]).await;
    let row: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&row["ended"], &row["cognito"]),
        (&json!("user"), &json!("ended"))
    );
    assert!(!world.passes(&tablet).await);
    let again = signed_in_again(&user);
    assert!(world.passes(&again).await, "the next sign-in is accepted");

    let text = run(&["status", "ada", "--json"]).await;
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 3, "{text}");
    let of = |kind: &str| {
        let row = rows
            .iter()
            .find(|row| row["of"].as_str().unwrap().starts_with(kind));
        row.unwrap().clone()
    };
    assert_eq!(of("session#")["reason"], "lost phone");
    assert_eq!(of("user")["actor"], "bob");
    let table = run(&["status", "--sub", &subject]).await;
    assert!(
        table.contains("lost phone") && table.lines().count() == 4,
        "{table}"
    );

    // Revocations of clients and issuers use a pool of their own, not the other tests' pool.
    let (text, code) = gatehouse(&world, &["revoke", "client", "x", "--dry-run"]).await;
    assert!(code == 0 && text.contains("client"), "{text}");
    let (text, code) = gatehouse(&world, &["revoke", "everyone", "--dry-run"]).await;
    assert!(code == 0 && text.contains("everyone"), "{text}");
    let missing = json!({"__type": "UserNotFoundException"}).to_string();
    world
        .cognito
        .set_fault(testkit::server::Fault::Answer(400, missing));
    let (text, code) = gatehouse(&world, &["revoke", "user", "unknown"]).await;
    assert!(code == 2 && text.contains("no such user"), "{text}");
}

/// An HTTP date this number of seconds from now.
fn date(seconds: i64) -> String {
    let at = now().checked_add_signed(seconds).unwrap().cast_signed();
    let format = aws_sdk_dynamodb::primitives::DateTimeFormat::HttpDate;
    let at = aws_sdk_dynamodb::primitives::DateTime::from_secs(at);
    at.fmt(format).unwrap()
}

#[tokio::test]
async fn revocations_use_the_tables_clock() {
    let world = World::start().await;
    let url = world.store.url();
    let store = ("AWS_ENDPOINT_URL_DYNAMODB", url.as_str());
    let not_before = async |ahead: i64, leeway: &str| {
        let client = unique("client");
        world.store.set_date(Some(&date(ahead)));
        let environment = [store, ("CLOCK_LEEWAY_SECONDS", leeway)];
        let arguments = ["revoke", "client", &client, "--actor", "bob"];
        let (text, code) = gatehouse_with(&world, &environment, &arguments).await;
        assert_eq!(code, 0, "{text}");
        let partition = format!("{}#client#{client}", Pool::ours().id);
        let keys = [("pk", partition.as_str()), ("sk", "client")];
        let row = world.row(&world.stack.table, &keys).await;
        let at: i64 = row["not_before"].as_str().unwrap().parse().unwrap();
        at - now().cast_signed()
    };
    let near = |seconds: i64, expected: i64| (expected - 8..=expected + 2).contains(&seconds);
    // The operator's clock is two minutes slow, or fast.
    assert!(near(not_before(120, "0").await, 120));
    assert!(near(not_before(-120, "0").await, -120));
    let with_leeway = not_before(0, "5").await;
    assert!(near(with_leeway, 5) && with_leeway > -2, "{with_leeway}");

    world.store.set_date(Some("yesterday"));
    let everyone = ["revoke", "everyone", "--dry-run"];
    let (text, code) = gatehouse_with(&world, &[store], &everyone).await;
    assert!(code == 2 && text.contains("time"), "{text}");
    let wrong = [("CLOCK_LEEWAY_SECONDS", "61")];
    let (text, code) = gatehouse_with(&world, &wrong, &everyone).await;
    assert!(code == 2 && text.contains("CLOCK_LEEWAY_SECONDS"), "{text}");
}

/// A failed command leaves standard output to the next program of a pipe.
#[tokio::test]
async fn errors_are_printed_to_standard_error() {
    let world = World::start().await;
    let url = world.store.url();
    let store = [("AWS_ENDPOINT_URL_DYNAMODB", url.as_str())];
    let denied = json!({"__type": "AccessDeniedException", "message": "arn:aws:iam::1:user/jane"});
    let unset = [("USER_POOL_ID", "")];
    for (environment, arguments, said) in [
        (&unset, ["status", "jane"], "USER_POOL_ID is not set"),
        (&store, ["status", "jane"], "access_denied"),
    ] {
        let fault = testkit::server::Fault::Answer(400, denied.to_string());
        world.store.set_fault(fault);
        let (output, errors, code) = gatehouse_output(&world, environment, &arguments).await;
        assert_eq!((output.as_str(), code), ("", 2), "{errors}");
        assert!(
            errors.contains(said) && !errors.contains("user/jane"),
            "{errors}"
        );
    }
}

#[tokio::test]
async fn users_of_other_issuers_are_revoked_and_admitted_again() {
    let world = World::start().await;
    let run = async |arguments: &[&str]| {
        let users = [("USERS_TABLE", world.stack.users_table.as_str())];
        let (output, errors, code) = gatehouse_output(&world, &users, arguments).await;
        let mut lines = errors.lines().map(serde_json::from_str);
        let audit: Value = lines.find_map(Result::ok).unwrap();
        (output, audit, code)
    };
    for issuer in ["https://partner.example", "a#b", "", &"a".repeat(56)] {
        let arguments = ["revoke", "everyone", "--issuer", issuer];
        let (_, errors, code) = gatehouse_output(&world, &[], &arguments).await;
        assert!(
            code == 2 && errors.contains("--issuer"),
            "{issuer} {errors}"
        );
    }
    let partner = unique("partner");
    let everyone = ["revoke", "everyone", "--issuer", &partner, "--actor", "bob"];
    let (text, audit, code) = run(&everyone).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(
        (&audit["act"], &audit["actor"], &audit["outcome"]),
        (&json!("revoke_everyone"), &json!("bob"), &json!("done"))
    );
    let keys = [("pk", partner.as_str()), ("sk", "issuer")];
    let row = world.row(&world.stack.table, &keys).await;
    assert_eq!(row["actor"], "bob");
    let (text, _, code) = run(&["revoke", "user", "s-1", "--issuer", &partner, "--json"]).await;
    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &said["pk"], &said["cognito"]),
        (
            0,
            &json!(format!("{partner}#user#s-1")),
            &json!("not_asked")
        )
    );
    assert_eq!(world.cognito.requests().len(), 0, "another issuer's users");

    let user = user_token();
    let subject = text_of(&user, "sub");
    world.cognito.set_answer(
        "AdminGetUser",
        json!({"Username": "grace", "Enabled": true,
            "UserAttributes": [{"Name": "sub", "Value": subject}]}),
    );
    let admin = world.function("admin", &[]).await;
    let administrator = user_token().claim("cognito:groups", json!(["admins"]));
    let route = ("POST", "/admin/users/{username}/disable");
    let parameters = json!({"username": "grace"});
    let event = behind_authorizer(&administrator, route, parameters, json!(null));
    assert_eq!(ask(&admin, &event).await.0, 200);
    assert!(!world.passes(&signed_in_again(&user)).await);
    next_second().await;
    let (text, audit, code) = run(&["enable", "grace", "--reason", "ticket 9"]).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(audit["act"], "enable_user");
    assert!(!audit.to_string().contains("grace"));
    assert!(world.passes(&signed_in_again(&user)).await);
    assert_eq!(world.profile(&subject).await["status"], "CONFIRMED");
    let asked = world.cognito.requests();
    assert!(asked.iter().any(|(name, _)| name == "AdminEnableUser"));
    world.cognito.set_fault(testkit::server::Fault::Cut);
    let (_, audit, code) = run(&["enable", "grace"]).await;
    assert_eq!((code, &audit["outcome"]), (2, &json!("failed")));
}

/// A folder for the files of one test, which removes it.
fn new_folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(crate::world::unique(name));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test]
async fn migrate_check_and_status_describe_a_migration() {
    let world = World::start().await;
    let folder = new_folder("gatehouse-migrate");
    let export = folder.join("users.csv");
    let hash = "$2b$05$abcdefghijklmnopqrstuugKvkOgqWN6G.40bnc6Y.fjokmxUzfte";
    std::fs::write(
        &export,
        format!(
            "username,password_hash,email,email_verified,disabled\n\
             Ada@Example.com,{hash},ada@example.com,true,false\n\
             ada@example.com,{hash},ada@example.com,true,\n\
             gone@example.com,{hash},gone@example.com,true,true\n\
             bob,$2b$31$abc,not-an-address,false,\n\
             eVe@example.com,{hash},eve@example.com,true,\n\
             kim,,,,\n"
        ),
    )
    .unwrap();
    let export = export.to_str().unwrap();
    let work = folder.join("work.jsonl");
    let work = work.to_str().unwrap();
    let counts = |output: &str| -> std::collections::BTreeMap<String, u64> {
        output
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .map(|row| {
                (
                    row["what"].as_str().unwrap().to_owned(),
                    row["count"].as_u64().unwrap(),
                )
            })
            .collect()
    };
    let (output, code) = gatehouse(
        &world,
        &["migrate", "check", export, "--work-file", work, "--json"],
    )
    .await;
    assert_eq!(code, 0, "{output}");
    let found = counts(&output);
    for (what, count) in [
        ("users", 6),
        ("names shared by several people", 1),
        ("disabled", 1),
        ("invalid_email", 1),
        ("hash_corrupt", 1),
        ("missing_attribute", 1),
        ("no_password", 1),
        ("hash: bcrypt", 4),
    ] {
        assert_eq!(found.get(what), Some(&count), "{what}: {output}");
    }
    let lines = std::fs::read_to_string(work).unwrap();
    assert!(
        lines.contains("\"conflict\"") && !lines.contains("$2b$"),
        "{lines}"
    );

    // The fake Cognito reports all of them as users of the new pool; a second run resumes at the end.
    world.cognito.set_answer(
        "AdminGetUser",
        json!({"Username": "x", "Enabled": true, "UserAttributes": [{"Name": "sub", "Value": "s"}]}),
    );
    let left = folder.join("left.jsonl");
    let left = left.to_str().unwrap();
    for asked in [6, 0] {
        world.cognito.forget_requests();
        let (output, code) = gatehouse(
            &world,
            &["migrate", "status", export, "--work-file", left, "--json"],
        )
        .await;
        assert_eq!(code, 0, "{output}");
        assert_eq!(counts(&output)["moved"], 6, "{output}");
        assert_eq!(world.cognito.requests().len(), asked);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn check_counts_what_cognito_would_refuse() {
    let world = World::start().await;
    let folder = new_folder("gatehouse-check");
    let export = folder.join("users.csv");
    let hash = "5f4dcc3b5aa765d61d8327deb882cf99";
    let rows = format!(
        "login;pw;mail;mail_ok;phone_number;birthdate;updated_at;nickname\n\
         a@example.com;{{SSHA}}x;a@example.com;1;(555) 123-4567;1985-04-12;1700000000;a\n\
         b@example.com;{{noop}}x; b@example.com ;2024-01-01 10:00:00;+15551234567;12.4.85;yesterday;b\n\
         c@example.com;{hash};other@example.com;0;;;;\n\
         d@example.com;$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0;d@;1;;;;\n"
    );
    std::fs::write(&export, rows).unwrap();
    let variables = [
        (
            "LEGACY_FIELDS",
            r#"{"username":"login","password_hash":"pw"}"#,
        ),
        (
            "LEGACY_ATTRIBUTES",
            r#"{"mail":"email","mail_ok":"email_verified"}"#,
        ),
        ("USERNAME_IS_EMAIL", "true"),
    ];
    let arguments = ["migrate", "check", export.to_str().unwrap(), "--json"];
    let (output, code) = gatehouse_with(&world, &variables, &arguments).await;
    assert_eq!(code, 0, "{output}");
    for (what, count) in [
        ("users", 4),
        ("stays behind: phone_number", 1),
        ("stays behind: birthdate", 1),
        ("stays behind: updated_at", 1),
        ("invalid_email", 1),
        ("not_verified", 1),
        ("other_address", 1),
        ("hash_weak", 1),
        ("hash_unsalted", 2),
        ("hash: phpass", 1),
    ] {
        let row = output
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|row| row["what"] == what);
        let found = row.and_then(|row| row["count"].as_u64());
        assert_eq!(found, Some(count), "{what}: {output}");
    }
    assert!(
        !output.contains("555") && !output.contains("12.4.85"),
        "{output}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn status_counts_only_users_it_looked_up_as_migrated() {
    let world = World::start().await;
    world.cognito.set_answer(
        "AdminGetUser",
        json!({"Username": "x", "Enabled": true, "UserAttributes": [{"Name": "sub", "Value": "s"}]}),
    );
    let folder = new_folder("gatehouse-status");
    let renamed = ("LEGACY_FIELDS", r#"{"username":"user_login"}"#);
    for (name, export, fields, asked, code, said) in [
        (
            "renamed.csv",
            "user_login,x\nJane,1\nbob,2\n",
            Some(renamed),
            2,
            0,
            "2",
        ),
        (
            "semicolons.csv",
            "username;x\njane;1\nbob;2\n",
            None,
            2,
            0,
            "2",
        ),
        (
            "numbers.json",
            "[{\"username\": 17}, {\"username\": 18}]",
            None,
            2,
            0,
            "2",
        ),
        (
            "some.csv",
            "username,x\njane,1\n,2\n",
            None,
            1,
            1,
            "without a name",
        ),
        (
            "other.csv",
            "cognito:username,x\njane,1\nbob,2\n",
            None,
            0,
            2,
            "LEGACY_FIELDS",
        ),
    ] {
        world.cognito.forget_requests();
        let (export_path, work) = (folder.join(name), folder.join(format!("{name}.left")));
        std::fs::write(&export_path, export).unwrap();
        let arguments = [
            "migrate",
            "status",
            export_path.to_str().unwrap(),
            "--work-file",
            work.to_str().unwrap(),
        ];
        let fields = fields.as_slice();
        let (output, exit) = gatehouse_with(&world, fields, &arguments).await;
        assert_eq!(
            (exit, output.contains(said)),
            (code, true),
            "{name}: {output}"
        );
        assert_eq!(world.cognito.requests().len(), asked, "{name}");
        let expected = ["jane", "bob", "17", "18"];
        for (_, request) in world.cognito.requests() {
            let user = request["Username"].as_str().unwrap();
            assert!(expected.contains(&user), "{name}: {user}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
