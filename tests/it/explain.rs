//! `gatehouse explain`, through its command line.

use std::io::Write;
use std::process::{Command, Stdio};

use testkit::token::now;
use testkit::{Binary, Pool};

/// The output lines and the exit status for a token on standard input.
fn explain(token: &str, more: &[&str]) -> (String, i32) {
    explain_with(token, more, &[])
}

fn explain_with(token: &str, more: &[&str], variables: &[(&str, &str)]) -> (String, i32) {
    let jwks = std::env::temp_dir().join(format!("gatehouse-jwks-{}.json", std::process::id()));
    std::fs::write(&jwks, Pool::ours().jwks().to_string()).unwrap();
    let pool = Pool::ours();
    let defaults = [
        ("--user-pool-id", pool.id),
        ("--app-client-ids", pool.client_id),
        ("--jwks", jwks.to_str().unwrap()),
    ];
    let defaults = defaults
        .into_iter()
        .filter(|(name, _)| !more.contains(name))
        .flat_map(|(name, value)| [name, value]);
    let mut child = Command::new(Binary::path("gatehouse"))
        .arg("explain")
        .args(defaults)
        .args(more)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(token.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    for segment in token.split('.').filter(|segment| segment.len() > 8) {
        assert!(!text.contains(segment), "it prints the token: {text}");
    }
    (text, output.status.code().unwrap())
}

#[test]
fn every_step_has_a_verdict() {
    let good = Pool::ours().access_token();
    let rows: &[(String, &[&str], &str, i32)] = &[
        (
            good.build(),
            &["--route", "/whoami"],
            "ok  rules                 allowed for GET /whoami",
            0,
        ),
        (good.build() + "\n", &[], "=>  allowed", 0),
        (
            good.build(),
            &["--route", "/admin/x"],
            "NO  rules                 denied for GET /admin/x",
            1,
        ),
        (
            "x".to_owned(),
            &[],
            "NO  form                  malformed_token",
            1,
        ),
        (
            Pool::foreign().access_token().build(),
            &[],
            "NO  issuer                unknown_issuer",
            1,
        ),
        (
            good.clone().header("kid", "x").build(),
            &[],
            "NO  key                   unknown_key",
            1,
        ),
        (
            good.clone().signed_by(&Pool::foreign().access_key).build(),
            &[],
            "NO  signature and claims  bad_signature",
            1,
        ),
        (
            good.clone().claim("exp", now() - 9).build(),
            &[],
            "NO  signature and claims  expired",
            1,
        ),
        (
            good.clone().claim("exp", now() - 9).build(),
            &["--at", &(now() - 30).to_string()],
            "=>  allowed",
            0,
        ),
        (
            good.build(),
            &["--app-client-ids", "*"],
            "APP_CLIENT_IDS",
            2,
        ),
        (good.build(), &["--jwks", "/nowhere"], "/nowhere", 2),
    ];
    for (token, more, expected, status) in rows {
        let (text, code) = explain(token, more);
        assert!(text.contains(expected), "{more:?}: {text}");
        assert_eq!(code, *status, "{more:?}: {text}");
    }
}

/// What the authorizer would refuse is not explained as allowed: a rule about a path or a parameter needs its value.
#[test]
fn rules_about_paths_and_parameters_need_their_values() {
    let token = Pool::ours().access_token().build();
    let policies = std::env::temp_dir().join(format!("gatehouse-explain-{}", std::process::id()));
    std::fs::create_dir_all(&policies).unwrap();
    let shipped = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../policies/schema.cedarschema"
    );
    std::fs::copy(shipped, policies.join("schema.cedarschema")).unwrap();
    let text = "permit (principal, action, resource);
        forbid (principal, action, resource)
        when { resource.hasTag(\"id\") && resource.getTag(\"id\") == \"7\" };";
    std::fs::write(policies.join("test.cedar"), text).unwrap();
    let of_parameters = [("POLICIES_DIR", policies.to_str().unwrap())];
    type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let rows: &[Row<'_>] = &[
        (&["--route", "/{area}/{page}"], &[], "name it with --path"),
        (
            &["--route", "/api/{area}/{page}"],
            &[],
            "name it with --path",
        ),
        (
            &["--route", "/{proxy+}", "--path", "/admin/x"],
            &[],
            "NO  rules                 denied",
        ),
        (
            &["--route", "/orders/{id}", "--path", "/admin/x"],
            &[],
            "=>  allowed",
        ),
        (
            &["--route", "/orders/{id}"],
            &of_parameters,
            "name each with --parameter",
        ),
        (
            &["--route", "/orders/{id}", "--parameter", "id=7"],
            &of_parameters,
            "NO  rules                 denied",
        ),
        (
            &["--route", "/orders/{id}", "--parameter", "id=%37"],
            &of_parameters,
            "NO  rules                 denied",
        ),
        (
            &["--route", "/orders/{id}", "--parameter", "id=7/8"],
            &of_parameters,
            "NO  rules                 unclear_path",
        ),
        (
            &["--route", "/orders/{id}", "--parameter", "id=8"],
            &of_parameters,
            "=>  allowed",
        ),
    ];
    for (more, variables, expected) in rows {
        let (text, _) = explain_with(&token, more, variables);
        assert!(text.contains(expected), "{more:?}: {text}");
    }
    std::fs::remove_dir_all(policies).unwrap();
}
