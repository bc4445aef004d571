//! Functions do not start with an invalid configuration.

use auth_tests::environment;
use testkit::{Binary, Pool};

async fn refused(function: &str, changes: &[(&str, &str)]) -> String {
    let environment = environment(
        "http://127.0.0.1:9/jwks.json",
        "http://127.0.0.1:9",
        changes,
    );
    Binary::start_refused(function, &environment).await
}

#[tokio::test]
async fn invalid_configuration_stops_the_process_with_a_reason() {
    let pool = Pool::ours();
    let twice = format!("{0},{0}", pool.issuer());
    let rows: &[(&str, &str, &str)] = &[
        ("user pool", "USER_POOL_ID", ""),
        ("user pool", "USER_POOL_ID", "nonsense"),
        ("user pool", "USER_POOL_ID", "us-east-1_"),
        ("client ids", "APP_CLIENT_IDS", ""),
        ("client ids", "APP_CLIENT_IDS", ","),
        ("client ids", "APP_CLIENT_IDS", "a,,b"),
        ("wildcard client", "APP_CLIENT_IDS", "*"),
        ("wildcard client", "APP_CLIENT_IDS", "a,*"),
        ("table", "REVOCATION_TABLE", ""),
        (
            "issuer",
            "ISSUER",
            "http://cognito-idp.us-east-1.amazonaws.com/x",
        ),
        ("issuer", "ISSUER", "cognito"),
        (
            "issuer",
            "ISSUER",
            "https://user@cognito-idp.us-east-1.amazonaws.com/x",
        ),
        ("issuer", "ISSUER", &twice),
        (
            "key set URL",
            "JWKS_URI",
            "http://attacker.example/jwks.json",
        ),
        (
            "key set URL",
            "JWKS_URI",
            "https://attacker.example/jwks.json",
        ),
        ("key set URL", "JWKS_URI", "ftp://127.0.0.1/jwks.json"),
        ("key set URL", "JWKS_URI", "nonsense"),
        ("inline keys", "JWKS", "{}"),
        ("leeway", "CLOCK_LEEWAY_SECONDS", "-1"),
        ("leeway", "CLOCK_LEEWAY_SECONDS", "61"),
        ("leeway", "CLOCK_LEEWAY_SECONDS", "x"),
        ("log level", "LOG_LEVEL", "LOUD"),
        ("namespace", "METRICS_NAMESPACE", "AWS/Lambda"),
        ("stack", "STACK_NAME", "not a stack"),
    ];
    for (case, name, value) in rows {
        for function in ["authorizer", "logout"] {
            let output = refused(function, &[(name, value)]).await;
            assert!(
                output.contains(name),
                "{case} {function} {name}={value}: {output}"
            );
        }
    }
    for (name, value) in [
        ("TOKEN_USE", "all"),
        ("REQUIRE_SESSION", "no"),
        ("CONTEXT_CLAIMS", "sub,email,sub"),
        ("CONTEXT_CLAIMS", "sub,principalId"),
        ("CONTEXT_CLAIMS", "custom:*,*"),
    ] {
        let output = refused("authorizer", &[(name, value)]).await;
        assert!(output.contains(name), "{name}={value}: {output}");
    }
    for value in ["0", "-1", "x", "99999999999"] {
        let name = "REFRESH_TOKEN_TTL_SECONDS";
        let output = refused("logout", &[(name, value)]).await;
        assert!(output.contains(name), "{name}={value}: {output}");
    }
}

#[tokio::test]
async fn configuration_errors_are_reported_together_without_values() {
    let changes = [
        ("USER_POOL_ID", ""),
        ("APP_CLIENT_IDS", "*"),
        ("TOKEN_USE", "secret-in-the-wrong-place"),
        ("REVOCATION_TABLE", ""),
    ];
    let output = refused("authorizer", &changes).await;
    for (name, _) in changes {
        assert!(output.contains(name), "{output}");
    }
    assert!(!output.contains("secret-in-the-wrong-place"), "{output}");
}
