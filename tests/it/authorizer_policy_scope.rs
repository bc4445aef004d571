//! `POLICY_SCOPE=api`: policies for a whole API, and the rules and settings that they exclude.

use auth_tests::{Authorizer, Verdict, environment};
use serde_json::{Value, json};
use testkit::{Binary, Pool};

use crate::authorizer_rules::{call, example, in_groups, user};

#[tokio::test]
async fn api_wide_policies_allow_only_the_permitted_routes() {
    let authorizer = Authorizer::start_with(&[("POLICY_SCOPE", "api")]).await;
    let api = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod";
    let statement = |answer: &Value| answer["policyDocument"]["Statement"].clone();

    // `TOKEN` events, `REQUEST` events and a refreshed token get the same document, byte for byte.
    let request = call(&user(), "GET", "/whoami", "/whoami");
    let answer = authorizer.binary.invoke(&request).await.answer();
    let resources = |routes: &[&str]| -> Vec<String> {
        routes
            .iter()
            .map(|route| format!("{api}/{route}"))
            .collect()
    };
    let allowed = resources(&[
        "GET/whoami",
        "POST/auth/change-password",
        "POST/auth/mfa/totp",
        "POST/auth/mfa/totp/verify",
        "POST/auth/mfa/totp/disable",
        "GET/auth/me",
        "PATCH/auth/me",
        "POST/auth/me/verify",
        "GET/auth/sessions",
        "POST/auth/sessions",
        "DELETE/auth/sessions/*",
    ]);
    let denied = resources(&[
        "DELETE/admin/users/*",
        "POST/admin/users/*/disable",
        "POST/admin/users/*/enable",
        "POST/admin/users/*/sign-out",
        "GET/admin/users/*/marks",
        "POST/admin/clients/*/revoke",
        "POST/admin/everyone/revoke",
    ]);
    let expected = json!([
        {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": allowed},
        {"Action": "execute-api:Invoke", "Effect": "Deny", "Resource": denied},
    ]);
    assert_eq!(statement(&answer), expected);
    // An administrator's document allows every route, and denies none.
    let admin = call(&in_groups(&["admins"]), "GET", "/whoami", "/whoami");
    let answer_to_admin = authorizer.binary.invoke(&admin).await.answer();
    let all: Vec<String> = allowed.into_iter().chain(denied).collect();
    let expected = json!([{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": all}]);
    assert_eq!(statement(&answer_to_admin), expected);
    let mut token = auth_tests::token_event(&format!("Bearer {}", user().build()));
    token["methodArn"] = json!(format!("{api}/GET/whoami"));
    let again = authorizer.binary.invoke(&token).await.answer();
    assert_eq!(
        statement(&again).to_string(),
        statement(&answer).to_string()
    );

    let machine = call(&Pool::ours().machine_token(), "GET", "/whoami", "/whoami");
    let answer = authorizer.binary.invoke(&machine).await.answer();
    let deny = json!([{"Action": "execute-api:Invoke", "Effect": "Deny",
        "Resource": [format!("{api}/*")]}]);
    assert_eq!(statement(&answer), deny);

    for (verb, route) in [
        ("POST", "/whoami"),
        ("GET", "/nowhere"),
        ("GET", "/whoami/x"),
    ] {
        let event = call(&user(), verb, route, route);
        let verdict = authorizer.verdict(&event).await;
        assert_eq!(
            verdict,
            Verdict::Failure,
            "{verb} {route}: not in openapi.yaml"
        );
    }
}

#[tokio::test]
async fn rejects_rules_that_a_cached_policy_cannot_express() {
    for name in ["recent-sign-in", "network", "own-data"] {
        let folder = example(name);
        let more = [
            ("POLICIES_DIR", folder.to_str().unwrap()),
            ("POLICY_SCOPE", "api"),
        ];
        let environment = environment("http://127.0.0.1:9/x", "http://127.0.0.1:9", &more);
        let output = Binary::start_refused("authorizer", &environment).await;
        assert!(output.contains("POLICY_SCOPE"), "{name}: {output}");
    }
    for (name, more) in [
        ("POLICY_SCOPE", vec![("POLICY_SCOPE", "everything")]),
        (
            "POLICY_SCOPE",
            vec![
                ("POLICY_SCOPE", "api"),
                ("TOKEN_SOURCES", "cookie"),
                ("ALLOWED_ORIGINS", "https://app.example.com"),
            ],
        ),
        ("POLICY_SCOPE", vec![("AUTHORIZER_TTL_SECONDS", "10")]),
        (
            "AUTHORIZER_TTL_SECONDS",
            vec![("POLICY_SCOPE", "api"), ("AUTHORIZER_TTL_SECONDS", "3601")],
        ),
        (
            "HTTP_API_RESPONSE",
            vec![("POLICY_SCOPE", "api"), ("HTTP_API_RESPONSE", "simple")],
        ),
    ] {
        let environment = environment("http://127.0.0.1:9/x", "http://127.0.0.1:9", &more);
        let output = Binary::start_refused("authorizer", &environment).await;
        assert!(output.contains(name), "{output}");
    }
}
