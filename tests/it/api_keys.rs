//! API keys: created and revoked with the CLI, checked by the authorizer, over the emulated tables.

use std::process::Command;

use auth_tests::{Stack, Verdict, environment, request_event, token_event, verdict};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use testkit::jwks_server::JwksServer;
use testkit::server::Fault;
use testkit::{Binary, FakeAws, Pool};

use crate::authorizer_rules::example;
use crate::store::table_client;

/// An authorizer that accepts API keys, with the rules of `policies/examples/api-keys.cedar`.
struct KeyFixture {
    stack: Stack,
    store: FakeAws,
    authorizer: Binary,
    _jwks: JwksServer,
}

impl KeyFixture {
    async fn start(header: &str) -> Self {
        let stack = Stack::of_this_run();
        let jwks = JwksServer::start(&Pool::ours().jwks()).await;
        let store = FakeAws::in_front_of(&stack.tables).await;
        let folder = example("api-keys");
        let more = [
            ("REVOCATION_TABLE", stack.table.as_str()),
            ("API_KEY_TABLE", &stack.api_key_table),
            ("API_KEY_HEADER", header),
            ("POLICIES_DIR", folder.to_str().unwrap()),
        ];
        let environment = environment(&jwks.uri(), &store.url(), &more);
        Self {
            authorizer: Binary::start("authorizer", &environment).await,
            store,
            stack,
            _jwks: jwks,
        }
    }

    fn keys(&self, arguments: &[&str]) -> Vec<Value> {
        keys(&self.stack, &self.stack.tables, Pool::ours().id, arguments)
    }

    async fn verdict(&self, event: &Value) -> Verdict {
        verdict(&self.authorizer.invoke(event).await)
    }

    /// The verdict on a request with this `Authorization` header.
    async fn with(&self, authorization: &str) -> Verdict {
        self.verdict(&orders(authorization)).await
    }
}

/// Runs `gatehouse keys` with `--json` on the tables at this URL.
pub(crate) fn keys(
    stack: &Stack,
    tables: &str,
    user_pool_id: &str,
    arguments: &[&str],
) -> Vec<Value> {
    let output = Command::new(Binary::path("gatehouse"))
        .args(["keys", "--json"])
        .args(arguments)
        .env_clear()
        .envs([
            ("USER_POOL_ID", user_pool_id),
            ("REVOCATION_TABLE", &stack.table),
            ("API_KEY_TABLE", &stack.api_key_table),
            ("AWS_ENDPOINT_URL_DYNAMODB", tables),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{text}")))
        .collect()
}

fn orders(authorization: &str) -> Value {
    let mut event = request_event(authorization);
    event["methodArn"] =
        json!("arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/GET/orders");
    event["resource"] = json!("/orders");
    event
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn keys_grant_their_scope_until_they_are_revoked() {
    let fixture = KeyFixture::start("authorization").await;
    let made = fixture
        .keys(&[
            "create",
            "--owner",
            "acme",
            "--scope",
            "orders/read",
            "--scope",
            "x",
        ])
        .remove(0);
    let other = fixture
        .keys(&[
            "create",
            "--owner",
            "acme",
            "--scope",
            "orders/readwrite",
            "--usage-plan-key",
            "plan-key-of-twenty-characters",
        ])
        .remove(0);
    let key = format!("ApiKey {}", text(&made, "key"));
    let answer = fixture.authorizer.invoke(&orders(&key)).await.answer();
    assert_eq!(answer["principalId"], "acme");
    assert_eq!(answer.get("usageIdentifierKey"), None);
    let mut expected = json!({
        "sub": "acme", "client_id": "api-key", "scope": "orders/read x", "groups": "[]",
        "token_use": "api_key", "key_id": made["id"], "issuer": Pool::ours().id,
    });
    expected["auth_time"] = made["created_at"].to_string().into();
    assert_eq!(answer["context"], expected);

    let wrong_scope = format!("ApiKey {}", text(&other, "key"));
    let answer = fixture.authorizer.invoke(&orders(&wrong_scope)).await;
    assert_eq!(verdict(&answer), Verdict::Deny);
    assert_eq!(
        answer.answer()["usageIdentifierKey"],
        "plan-key-of-twenty-characters"
    );
    assert_eq!(
        fixture.with(&key.to_uppercase()).await,
        Verdict::Unauthorized
    );
    assert_eq!(
        fixture.with(&key.replace("ApiKey", "apikey ")).await,
        Verdict::Allow
    );
    assert_eq!(
        fixture.verdict(&token_event(&key)).await,
        Verdict::Deny,
        "another route"
    );

    let listed = fixture.keys(&["list", "--owner", "acme"]);
    assert!(
        listed.iter().any(|row| row["id"] == made["id"])
            && listed.iter().all(|row| row.get("key").is_none())
    );
    fixture.keys(&["revoke", &text(&made, "id")]);
    assert_eq!(fixture.with(&key).await, Verdict::Unauthorized);
    assert_eq!(
        fixture.with(&wrong_scope).await,
        Verdict::Deny,
        "the other key stays valid"
    );
    let output = fixture.authorizer.output();
    assert!(output.contains("token_revoked") && !output.contains("gh_"));
    assert!(!output.contains(&text(&made, "id")));
}

#[tokio::test]
async fn tokens_still_work_and_two_credentials_are_rejected() {
    let token = Pool::ours().access_token().build();
    let bearer = format!("Bearer {token}");
    for header in ["authorization", "X-Api-Key"] {
        let fixture = KeyFixture::start(header).await;
        let made = fixture.keys(&["create", "--owner", "two", "--scope", "orders/read"]);
        let key = text(&made[0], "key");
        let id = text(&made[0], "id");
        let with = |authorization: Option<&str>, in_header: Option<&str>| {
            let mut event = orders("");
            event["multiValueHeaders"] = json!(null);
            event["headers"] = json!({"Authorization": authorization, "x-api-KEY": in_header});
            for name in ["Authorization", "x-api-KEY"] {
                if event["headers"][name].is_null() {
                    event["headers"].as_object_mut().unwrap().remove(name);
                }
            }
            event
        };
        use Verdict::{Allow, Unauthorized};
        let scheme = format!("ApiKey {key}");
        let both_in_query = {
            let mut event = with(Some(&scheme), Some(&key));
            event["queryStringParameters"] = json!({"access_token": token});
            event
        };
        let named = header != "authorization";
        let rows = [
            (with(Some(&bearer), None), Allow),
            (with(Some(&bearer), Some("")), Allow),
            (
                with(Some(&bearer), Some(&key)),
                if named { Unauthorized } else { Allow },
            ),
            (
                with(None, Some(&key)),
                if named { Allow } else { Unauthorized },
            ),
            (
                with(Some(&scheme), None),
                if named { Unauthorized } else { Allow },
            ),
            (both_in_query, Unauthorized),
            (with(Some(&key), None), Unauthorized),
            (with(Some("ApiKey"), None), Unauthorized),
            (with(Some("ApiKey "), None), Unauthorized),
            (
                with(Some(&format!("{scheme}, {bearer}")), None),
                Unauthorized,
            ),
            (with(Some(&format!("Bearer {key}")), None), Unauthorized),
            (with(Some(&format!("ApiKey {token}")), None), Unauthorized),
        ];
        for (event, expected) in rows {
            assert_eq!(
                fixture.verdict(&event).await,
                expected,
                "{header}: {}",
                event["headers"]
            );
            assert_eq!(
                fixture.with(&bearer).await,
                Allow,
                "a token is accepted afterwards"
            );
        }
        // Near misses: the id alone, another secret, another key's id.
        let flipped = key.replace(&id, &"0".repeat(24));
        for bad in [
            &key[..key.len() - 1],
            &format!("{key}A"),
            &id,
            &flipped,
            "gh_",
        ] {
            let event = if named {
                with(None, Some(bad))
            } else {
                with(Some(&format!("ApiKey {bad}")), None)
            };
            assert_eq!(fixture.verdict(&event).await, Unauthorized, "{bad}");
        }
        let good = if named {
            with(None, Some(&key))
        } else {
            with(Some(&scheme), None)
        };
        assert_eq!(fixture.verdict(&good).await, Allow);
        assert!(!fixture.authorizer.output().contains("gh_"));
    }
}

#[tokio::test]
async fn revoking_an_owner_client_or_pool_revokes_keys_and_a_sign_out_does_not() {
    let fixture = KeyFixture::start("authorization").await;
    let table = table_client(&fixture.stack).await;
    let pool = Pool::ours().id;
    let far = testkit::token::now() + 100_000;
    let user = |owner: &str| (format!("{pool}#user#{owner}"), "user".to_owned());
    let number = |value: u64| AttributeValue::N(value.to_string());
    for (owner, row, attribute, value, expected) in [
        (
            "disabled-owner",
            user("disabled-owner"),
            "disabled",
            AttributeValue::Bool(true),
            Verdict::Unauthorized,
        ),
        (
            "signed-out-owner",
            user("signed-out-owner"),
            "not_before",
            number(far),
            Verdict::Allow,
        ),
        (
            "odd-owner",
            user("odd-owner"),
            "disabled",
            number(1),
            Verdict::Unauthorized,
        ),
    ] {
        let made = fixture.keys(&["create", "--owner", owner, "--scope", "orders/read"]);
        let key = format!("ApiKey {}", text(&made[0], "key"));
        assert_eq!(fixture.with(&key).await, Verdict::Allow);
        table
            .put_item()
            .table_name(&fixture.stack.table)
            .item("pk", AttributeValue::S(row.0))
            .item("sk", AttributeValue::S(row.1))
            .item(attribute, value)
            .send()
            .await
            .unwrap();
        assert_eq!(fixture.with(&key).await, expected, "{owner}");
    }
}

#[tokio::test]
async fn failed_reads_are_errors_and_malformed_rows_are_denied() {
    let fixture = KeyFixture::start("authorization").await;
    let made = fixture.keys(&["create", "--owner", "faults", "--scope", "orders/read"]);
    let key = format!("ApiKey {}", text(&made[0], "key"));
    for fault in [
        Fault::Answer(500, "{}".to_owned()),
        Fault::Answer(
            400,
            json!({"__type": "ResourceNotFoundException"}).to_string(),
        ),
        Fault::Cut,
        Fault::Hang,
    ] {
        for operation in ["GetItem", "BatchGetItem"] {
            fixture.store.set_fault_for(operation, fault.clone());
            assert_eq!(
                fixture.with(&key).await,
                Verdict::Failure,
                "{operation} {fault:?}"
            );
            fixture.store.set_fault(Fault::None);
            assert_eq!(fixture.with(&key).await, Verdict::Allow);
        }
    }
    fixture.store.forget_requests();
    assert_eq!(fixture.with("ApiKey nonsense").await, Verdict::Unauthorized);
    assert_eq!(
        fixture.store.requests().len(),
        0,
        "a malformed key causes no read"
    );
    fixture.with(&key).await;
    let (operation, request) = fixture.store.requests().remove(0);
    assert_eq!(
        (operation.as_str(), &request["ConsistentRead"]),
        ("GetItem", &json!(true))
    );

    // Every attribute in turn: missing, or of another type.
    let table = table_client(&fixture.stack).await;
    let row = table
        .get_item()
        .table_name(&fixture.stack.api_key_table)
        .key("id", AttributeValue::S(text(&made[0], "id")))
        .send()
        .await
        .unwrap()
        .item
        .unwrap();
    let put = |row| {
        table
            .put_item()
            .table_name(&fixture.stack.api_key_table)
            .set_item(Some(row))
            .send()
    };
    for name in ["owner", "scope", "created_at", "expires_at", "salt", "hash"] {
        let mut without = row.clone();
        without.remove(name);
        put(without).await.unwrap();
        assert_eq!(
            fixture.with(&key).await,
            Verdict::Unauthorized,
            "without {name}"
        );
        let mut odd = row.clone();
        odd.insert(name.to_owned(), AttributeValue::Bool(true));
        put(odd).await.unwrap();
        assert_eq!(
            fixture.with(&key).await,
            Verdict::Unauthorized,
            "{name} has another type"
        );
    }
    let mut expired = row.clone();
    expired.insert(
        "expires_at".to_owned(),
        AttributeValue::N(testkit::token::now().to_string()),
    );
    put(expired).await.unwrap();
    assert_eq!(fixture.with(&key).await, Verdict::Unauthorized, "expired");
    put(row).await.unwrap();
    assert_eq!(fixture.with(&key).await, Verdict::Allow);
}

/// Through the deployed API: a valid key is denied by the shipped rules (403), a revoked one is rejected (401).
#[tokio::test]
async fn keys_work_on_the_deployed_stack() {
    let stack = Stack::of_this_run();
    let pool = serde_json::from_str::<Value>(&stack.json).unwrap();
    let pool = pool["user_pool_id"].as_str().unwrap();
    let made = keys(
        &stack,
        &stack.endpoint,
        pool,
        &["create", "--owner", "deployed"],
    );
    let call = |authorization: String| {
        let url = format!("{}/whoami", stack.api);
        async move {
            let headers = [("authorization", authorization.as_str())];
            testkit::http::call("GET", &url, &headers, "").await.0
        }
    };
    let key = format!("ApiKey {}", text(&made[0], "key"));
    assert_eq!(call(key.clone()).await, 403);
    assert_eq!(call(key.clone() + "x").await, 401);
    keys(
        &stack,
        &stack.endpoint,
        pool,
        &["revoke", &text(&made[0], "id")],
    );
    assert_eq!(call(key).await, 401);
}
