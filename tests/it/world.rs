//! Functions over the emulated table, an authorizer that checks what they wrote, and fakes of the
//! services that they call.

use std::sync::atomic::{AtomicU64, Ordering};

use auth_tests::{Stack, Verdict, environment, request_event};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use testkit::jwks_server::JwksServer;
use testkit::token::now;
use testkit::{Binary, FakeAws, Pool, TokenBuilder};

use crate::store::table_client;

pub(crate) const ACCOUNT: &str = "123456789012";

pub(crate) struct World {
    pub(crate) stack: Stack,
    /// A relay in front of the emulated table.
    pub(crate) store: FakeAws,
    pub(crate) cognito: FakeAws,
    /// Fakes of SNS, SQS and the WebSocket management API.
    pub(crate) others: FakeAws,
    jwks: JwksServer,
    authorizer: Binary,
}

impl World {
    pub(crate) async fn start() -> Self {
        let stack = Stack::of_this_run();
        let jwks = JwksServer::start(&Pool::ours().jwks()).await;
        let store = FakeAws::in_front_of(&stack.tables).await;
        let more = [("REVOCATION_TABLE", stack.table.as_str())];
        let direct = environment(&jwks.uri(), &stack.tables, &more);
        Self {
            authorizer: Binary::start("authorizer", &direct).await,
            store,
            cognito: FakeAws::agreeable().await,
            others: FakeAws::agreeable().await,
            jwks,
            stack,
        }
    }

    /// Starts a function with the variables of all functions; values in `more` take precedence.
    pub(crate) async fn function(&self, name: &str, more: &[(&str, &str)]) -> Binary {
        let (cognito, others) = (self.cognito.url(), self.others.url());
        let topic = "arn:aws:sns:us-east-1:123456789012:security";
        let mut all = vec![
            ("REVOCATION_TABLE", self.stack.table.as_str()),
            ("USERS_TABLE", &self.stack.users_table),
            ("SESSION_TABLE", &self.stack.session_table),
            ("CONNECTION_TABLE", &self.stack.connection_table),
            ("CONNECTIONS_URL", &others),
            ("PENDING_GROUPS_TABLE", &self.stack.pending_groups_table),
            ("ACCOUNT_ID", ACCOUNT),
            ("SECURITY_TOPIC_ARN", topic),
            ("REFRESH_TOKEN_TTL_SECONDS", "28800"),
            ("REFUSAL_GRID_MILLISECONDS", "0"),
            ("APP_NAME", "Example"),
            // Tests cause hundreds of migrate-user's refusals.
            ("REFUSAL_STEP_MS", "25"),
            ("APP_BASE_URL", "https://app.example.com"),
            ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &cognito),
            ("AWS_ENDPOINT_URL_SNS", &others),
            ("AWS_ENDPOINT_URL_SQS", &others),
        ];
        all.extend(more);
        let environment = environment(&self.jwks.uri(), &self.store.url(), &all);
        Binary::start(name, &environment).await
    }

    /// Whether the authorizer accepts this token; `false` means that it is revoked.
    pub(crate) async fn passes(&self, token: &TokenBuilder<'_>) -> bool {
        let event = request_event(&format!("Bearer {}", token.build()));
        match auth_tests::verdict(&self.authorizer.invoke(&event).await) {
            Verdict::Allow => true,
            Verdict::Unauthorized => false,
            other => panic!("{other:?}"),
        }
    }

    /// A row of a table, with its values as text.
    pub(crate) async fn row(&self, table: &str, key: &[(&str, &str)]) -> Value {
        let client = table_client(&self.stack).await;
        let mut get = client.get_item().table_name(table).consistent_read(true);
        for (name, value) in key {
            get = get.key(*name, AttributeValue::S((*value).to_owned()));
        }
        let item = get.send().await.unwrap().item.unwrap_or_default();
        let text = |value: AttributeValue| match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text,
            other => format!("{other:?}"),
        };
        item.into_iter()
            .map(|(name, value)| (name, Value::from(text(value))))
            .collect()
    }

    pub(crate) async fn profile(&self, subject: &str) -> Value {
        self.row(&self.stack.users_table, &[("sub", subject)]).await
    }
}

/// Waits for the next second, so that a sign-in after it has a later `auth_time`.
pub(crate) async fn next_second() {
    let second = now();
    while now() <= second {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

pub(crate) fn unique(kind: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::SeqCst);
    format!("{kind}-{}-{number}", std::process::id())
}

/// An access token of a new user.
pub(crate) fn user_token() -> TokenBuilder<'static> {
    Pool::ours()
        .access_token()
        .claim("sub", unique("user"))
        .claim("origin_jti", unique("session"))
        .claim("jti", unique("token"))
}

/// A token of a new sign-in of the same user, now.
pub(crate) fn signed_in_again<'k>(token: &TokenBuilder<'k>) -> TokenBuilder<'k> {
    let token = token.clone().claim("origin_jti", unique("session"));
    let token = token.claim("jti", unique("token"));
    token.claim("auth_time", now()).claim("iat", now())
}

/// A token of the same session, issued now.
pub(crate) fn refreshed<'k>(token: &TokenBuilder<'k>) -> TokenBuilder<'k> {
    let token = token.clone().claim("jti", unique("token"));
    token.claim("iat", now())
}

pub(crate) fn text_of(token: &TokenBuilder<'_>, claim: &str) -> String {
    token.get(claim).as_str().unwrap().to_owned()
}

/// An SQS batch with these bodies; the message ids are `m0`, `m1` and so on.
pub(crate) fn batch(bodies: &[String]) -> Value {
    let records: Vec<Value> = bodies
        .iter()
        .enumerate()
        .map(|(at, body)| {
            json!({
                "messageId": format!("m{at}"), "receiptHandle": "x", "body": body,
                "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {},
                "md5OfBody": "x", "eventSource": "aws:sqs", "awsRegion": "us-east-1",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue",
            })
        })
        .collect();
    json!({"Records": records})
}

/// The ids of the messages that a batch response reports as failed.
pub(crate) fn failures(answer: &Value) -> Vec<&str> {
    answer["batchItemFailures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["itemIdentifier"].as_str().unwrap())
        .collect()
}

/// A proxy integration event with the context that the authorizer adds for this token.
pub(crate) fn behind_authorizer(
    token: &TokenBuilder<'_>,
    (method, route): (&str, &str),
    parameters: Value,
    body: Value,
) -> Value {
    let groups = token.get("cognito:groups").to_string();
    let groups = if groups == "null" {
        "[]".to_owned()
    } else {
        groups
    };
    json!({
        "resource": route, "httpMethod": method, "multiValueHeaders": {},
        "headers": {"content-type": "application/json"},
        "pathParameters": parameters, "body": body, "isBase64Encoded": false,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "203.0.113.7"}, "authorizer": {
            "principalId": token.get("sub"), "sub": token.get("sub"), "issuer": Pool::ours().id,
            "client_id": token.get("client_id"), "session": token.get("origin_jti"),
            "auth_time": token.get("auth_time").to_string(), "groups": groups,
        }},
    })
}

pub(crate) async fn ask(binary: &Binary, event: &Value) -> (u64, Value) {
    let answer = binary.invoke(event).await.answer();
    let body = answer["body"].as_str().unwrap();
    let status = answer["statusCode"].as_u64().unwrap();
    (status, serde_json::from_str(body).unwrap())
}
