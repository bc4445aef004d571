//! The set-up that the tests in `it/` share: functions under test and their environment.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use serde_json::{Value, json};
use testkit::jwks_server::JwksServer;
use testkit::{Binary, FakeAws, Invocation, Pool};

/// The table that the functions under test use.
pub const TABLE: &str = "revocations";
/// The method of [`request_event`].
pub const METHOD_ARN: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/GET/whoami";

/// The built authorizer with a key server and a store of its own.
pub struct Authorizer {
    /// Its key server.
    pub jwks: JwksServer,
    /// Its store of revocations.
    pub store: FakeAws,
    /// Its process.
    pub binary: Binary,
}

/// API Gateway's reaction to an authorizer's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 401.
    Unauthorized,
    /// 500, nothing cached.
    Failure,
    /// The backend is called.
    Allow,
    /// 403.
    Deny,
}

impl Verdict {
    /// `Allow` for an accepted token, otherwise `Unauthorized`.
    #[must_use]
    pub fn passing(passes: bool) -> Self {
        if passes {
            Self::Allow
        } else {
            Self::Unauthorized
        }
    }
}

impl Authorizer {
    /// Starts with the minimal configuration.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with additional or changed variables.
    pub async fn start_with(more: &[(&str, &str)]) -> Self {
        let jwks = JwksServer::start(&Pool::ours().jwks()).await;
        let store = FakeAws::start().await;
        let environment = environment(&jwks.uri(), &store.url(), more);
        let binary = Binary::start("authorizer", &environment).await;
        Self {
            jwks,
            store,
            binary,
        }
    }

    /// The verdict on an event.
    pub async fn verdict(&self, event: &Value) -> Verdict {
        verdict(&self.binary.invoke(event).await)
    }

    /// The verdict on a request with this bearer token.
    pub async fn verdict_on(&self, token: &str) -> Verdict {
        self.verdict(&request_event(&format!("Bearer {token}")))
            .await
    }
}

/// The local stack that `make test` runs beside the tests.
pub struct Stack {
    /// `http://127.0.0.1:port`, the endpoint of all emulated AWS services.
    pub endpoint: String,
    /// The deployed revocation table.
    pub table: String,
    /// The deployed table of API keys.
    pub api_key_table: String,
    /// The deployed table of profiles.
    pub users_table: String,
    /// The deployed table of sessions.
    pub session_table: String,
    /// The deployed table of attempts.
    pub attempt_table: String,
    /// The deployed table of groups that migrated users will get.
    pub pending_groups_table: String,
    /// The deployed table of WebSocket connections.
    pub connection_table: String,
    /// DynamoDB Local with a copy of each table, which the deployed functions do not see.
    pub tables: String,
    /// The PostgreSQL server that runs with the stack.
    pub postgres: String,
    /// The deployed user pool.
    pub user_pool_id: String,
    /// Its app client.
    pub client_id: String,
    /// The deployed API.
    pub api: String,
    /// The state that `local/story.py` needs, as JSON.
    pub json: String,
}

impl Stack {
    /// The stack; panics with instructions if no stack is running.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "local/stack.py sets these variables for the tests only"
    )]
    pub fn of_this_run() -> Self {
        let json = std::env::var("GATEHOUSE_STACK")
            .expect("no local stack: `make test` starts one around the tests");
        let state: Value = serde_json::from_str(&json).expect("JSON");
        let text = |name: &str| state[name].as_str().expect("a text").to_owned();
        Self {
            endpoint: text("endpoint"),
            table: text("table"),
            api_key_table: text("api_key_table"),
            users_table: text("users_table"),
            session_table: text("session_table"),
            pending_groups_table: text("pending_groups_table"),
            attempt_table: text("attempt_table"),
            connection_table: text("connection_table"),
            tables: text("tables"),
            postgres: text("postgres"),
            user_pool_id: text("user_pool_id"),
            client_id: text("client_id"),
            api: text("api"),
            json,
        }
    }
}

/// The environment of a function that verifies tokens.
#[must_use]
pub fn environment<'a>(
    jwks_uri: &str,
    store_url: &str,
    more: &[(&'a str, &str)],
) -> Vec<(&'a str, String)> {
    let mut environment = vec![
        ("USER_POOL_ID", Pool::ours().id.to_owned()),
        ("APP_CLIENT_IDS", Pool::ours().client_id.to_owned()),
        ("REVOCATION_TABLE", TABLE.to_owned()),
        ("JWKS_URI", jwks_uri.to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", store_url.to_owned()),
    ];
    environment.extend(
        more.iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    environment
}

/// Reads an authorizer's response as API Gateway documents it.
#[must_use]
pub fn verdict(invocation: &Invocation) -> Verdict {
    let Invocation::Answer(answer) = invocation else {
        return if invocation.is_unauthorized() {
            Verdict::Unauthorized
        } else {
            Verdict::Failure
        };
    };
    let principal = answer["principalId"].as_str().expect("a principal");
    assert!(!principal.is_empty());
    let statements = answer["policyDocument"]["Statement"]
        .as_array()
        .expect("statements");
    let effects: Vec<_> = statements
        .iter()
        .map(|one| one["Effect"].as_str())
        .collect();
    match effects.as_slice() {
        [Some("Allow")] => Verdict::Allow,
        [Some("Deny")] => Verdict::Deny,
        other => panic!("a policy of unknown form: {other:?}"),
    }
}

/// A `TOKEN` event as API Gateway sends it.
#[must_use]
pub fn token_event(authorization: &str) -> Value {
    json!({"type": "TOKEN", "authorizationToken": authorization, "methodArn": METHOD_ARN})
}

/// A `REQUEST` event as API Gateway sends it.
#[must_use]
pub fn request_event(authorization: &str) -> Value {
    json!({
        "type": "REQUEST",
        "methodArn": METHOD_ARN,
        "resource": "/whoami",
        "path": "/whoami",
        "httpMethod": "GET",
        "headers": {
            "Accept": "*/*",
            "Authorization": authorization,
            "Host": "abcdef123.execute-api.us-east-1.amazonaws.com",
            "X-Forwarded-For": "203.0.113.7",
        },
        "multiValueHeaders": {
            "Accept": ["*/*"],
            "Authorization": [authorization],
            "Host": ["abcdef123.execute-api.us-east-1.amazonaws.com"],
            "X-Forwarded-For": ["203.0.113.7"],
        },
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "pathParameters": {},
        "stageVariables": {},
        "requestContext": {
            "path": "/prod/whoami",
            "accountId": "123456789012",
            "resourceId": "05c7jb",
            "stage": "prod",
            "requestId": "00000000-1111-2222-3333-444444444444",
            "identity": {"sourceIp": "203.0.113.7"},
            "resourcePath": "/whoami",
            "httpMethod": "GET",
            "apiId": "abcdef123",
        },
    })
}
