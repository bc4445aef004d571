//! Browser sessions over a real table: sign-in, requests, refreshes at once and logout, by the binaries.

use auth_dynamodb::DynamoBrowserSessions;
use auth_sessions::conformance;
use auth_tests::{Stack, Verdict, request_event, verdict};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Binary, FakeAws, TokenBuilder};

use crate::auth_api::{Answer, PASSWORD, ask, post, request, tokens};
use crate::store::{revocations, sdk, table_client};
use crate::world::{World, unique, user_token};

const ORIGIN: &str = "https://app.example.com";
const KEYS_ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:keys";
const COOKIE: &str = "__Host-session";

/// A table as `stack/browser-sessions.yaml` defines it.
async fn create_table(stack: &Stack) -> String {
    let name = unique("browser-sessions");
    let id = AttributeDefinition::builder().attribute_name("id");
    let key = KeySchemaElement::builder().attribute_name("id");
    let id = id.attribute_type(ScalarAttributeType::S).build();
    let key = key.key_type(KeyType::Hash).build();
    let client = table_client(stack).await;
    let create = client.create_table().table_name(&name);
    let create = create
        .attribute_definitions(id.unwrap())
        .key_schema(key.unwrap())
        .billing_mode(BillingMode::PayPerRequest);
    create.send().await.unwrap();
    name
}

/// Three functions over one table of sessions, with the keys in a fake Secrets Manager.
pub(crate) struct Functions {
    pub(crate) world: World,
    table: String,
    auth_api: Binary,
    pub(crate) logout: Binary,
    authorizer: Binary,
}

impl Functions {
    pub(crate) async fn start() -> Self {
        let world = World::start().await;
        let table = create_table(&world.stack).await;
        let text = json!({"keys": [], "generated": "a1B2".repeat(16)}).to_string();
        let secret = json!({"ARN": "arn", "Name": "n", "VersionId": "v", "SecretString": text});
        world.others.set_answer("GetSecretValue", secret);
        let others = world.others.url();
        let shared = [
            ("BROWSER_SESSION_TABLE", table.as_str()),
            ("BROWSER_SESSION_KEYS_ARN", KEYS_ARN),
            ("ALLOWED_ORIGINS", ORIGIN),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", others.as_str()),
        ];
        let session = [&shared[..], &[("COOKIE_MODE", "session")]].concat();
        let sources = [&shared[..], &[("TOKEN_SOURCES", "session")]].concat();
        Self {
            auth_api: world.function("auth-api", &session).await,
            logout: world.function("logout", &shared).await,
            authorizer: world.function("authorizer", &sources).await,
            table,
            world,
        }
    }

    /// Another process of auth-api.
    pub(crate) async fn another(&self) -> Binary {
        let others = self.world.others.url();
        let more = [
            ("BROWSER_SESSION_TABLE", self.table.as_str()),
            ("BROWSER_SESSION_KEYS_ARN", KEYS_ARN),
            ("ALLOWED_ORIGINS", ORIGIN),
            ("COOKIE_MODE", "session"),
            ("ATTEMPT_TABLE", self.world.stack.attempt_table.as_str()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", others.as_str()),
        ];
        self.world.function("auth-api", &more).await
    }

    async fn sign_in(&self, token: &TokenBuilder<'_>) -> String {
        self.sign_in_at(&self.auth_api, token).await
    }

    /// A request for a sign-in, to which Cognito will give this token.
    pub(crate) fn login(&self, token: &TokenBuilder<'_>) -> Value {
        self.world.cognito.set_answer("InitiateAuth", tokens(token));
        let login = json!({"email": "ada@example.com", "password": PASSWORD});
        of_page(post("/auth/login", &login), None)
    }

    pub(crate) async fn sign_in_at(&self, api: &Binary, token: &TokenBuilder<'_>) -> String {
        let answer = ask(api, &self.login(token)).await;
        assert_eq!(
            (answer.status, &answer.body),
            (200, &json!({"expires_in": 1800}))
        );
        let [cookie] = answer.cookies.as_slice() else {
            panic!("{:?}", answer.cookies);
        };
        assert!(
            cookie.len() < 200 && cookie.contains("; SameSite=Lax; "),
            "{cookie}"
        );
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn refresh(&self, cookie: &str) -> Answer {
        let event = request("POST", "/auth/refresh", &json!(null));
        ask(&self.auth_api, &of_page(event, Some(cookie))).await
    }

    /// Whether the authorizer accepts the cookie.
    pub(crate) async fn passes(&self, cookie: &str) -> bool {
        let event = of_page(request_event("Bearer x"), Some(cookie));
        match verdict(&self.authorizer.invoke(&event).await) {
            Verdict::Allow => true,
            Verdict::Unauthorized => false,
            other => panic!("{other:?}"),
        }
    }

    /// The only row of the table; `None` without one.
    async fn row(&self) -> Option<std::collections::HashMap<String, AttributeValue>> {
        let client = table_client(&self.world.stack).await;
        let rows = client.scan().table_name(&self.table).send().await.unwrap();
        let mut rows = rows.items.unwrap_or_default();
        assert!(rows.len() <= 1);
        rows.pop()
    }
}

/// A request of the application's page, with this cookie.
pub(crate) fn of_page(mut event: Value, cookie: Option<&str>) -> Value {
    event["headers"] = json!({"Content-Type": "application/json", "Origin": ORIGIN});
    if let Some(cookie) = cookie {
        event["headers"]["Cookie"] = json!(format!("theme=dark; {cookie}"));
    }
    event["multiValueHeaders"] = json!(null);
    event
}

#[tokio::test]
async fn the_table_does_what_every_store_of_sessions_does() {
    let stack = Stack::of_this_run();
    let table = create_table(&stack).await;
    let store = DynamoBrowserSessions::beside(&revocations(&stack).await, table);
    let deviations = conformance::deviations(&store, auth::UnixSeconds(now())).await;
    assert_eq!(deviations.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn lost_responses_of_the_table_change_nothing() {
    let stack = Stack::of_this_run();
    let table = create_table(&stack).await;
    let relay = FakeAws::in_front_of(&stack.tables).await;
    let store = DynamoBrowserSessions::new(&sdk(&relay.url()).await, table);
    // Each write is executed, and the response to its first attempt is lost.
    for call in ["create", "replace", "lease", "delete"] {
        relay.set_fault(Fault::None);
        let now = auth::UnixSeconds(now());
        let id = auth_sessions::SessionId::parse(&format!("{:A<43}", call[..1].to_uppercase()));
        let key = id.unwrap().row_key();
        let row = |version: u64| auth_sessions::SealedSession {
            version,
            expires_at: now.plus(100),
            key_id: "k".to_owned(),
            sealed: vec![7; 100],
        };
        use auth_sessions::BrowserSessions;
        if call != "create" {
            store.create(&key, &row(1), now).await.unwrap();
        }
        relay.set_fault_after_one(Fault::Cut);
        let lease = auth_sessions::Lease {
            holder: "me".to_owned(),
            until: now.plus(10),
        };
        let before = relay.requests().len();
        let written = match call {
            "create" => store.create(&key, &row(1), now).await.map(|()| true),
            "replace" => store.replace(&key, &row(2)).await,
            "lease" => store.lease(&key, 1, &lease, now).await,
            _ => store.delete(&key).await.map(|()| true),
        };
        assert_eq!(written, Ok(true), "{call}");
        assert!(relay.requests().len() > before + 1, "{call}: repeated");
    }
}

#[tokio::test]
async fn a_session_lives_from_sign_in_to_logout() {
    let functions = Functions::start().await;
    let groups: Vec<String> = (0..100)
        .map(|n| format!("group-{n:03}-{}", "x".repeat(24)))
        .collect();
    let token = user_token().claim("cognito:groups", groups);
    assert!(token.build().len() > 4_096);
    let cookie = functions.sign_in(&token).await;
    assert!(functions.passes(&cookie).await);
    let plain = functions.row().await.unwrap();
    let plain = format!("{plain:?}");
    for secret in [&cookie[COOKIE.len() + 1..], "refresh.token.opaque", "eyJ"] {
        assert!(!plain.contains(secret), "{secret}");
    }

    let event = of_page(request("POST", "/auth/logout", &json!(null)), Some(&cookie));
    let answer = ask(&functions.logout, &event).await;
    assert_eq!(
        (answer.status, &answer.body["ended"]),
        (200, &json!("session"))
    );
    assert!(
        answer.cookies[0].contains("Max-Age=0"),
        "{:?}",
        answer.cookies
    );
    assert!(functions.row().await.is_none());
    assert!(!functions.passes(&cookie).await);
    assert!(
        !functions.world.passes(&token).await,
        "the token itself is revoked"
    );
    assert_eq!(functions.refresh(&cookie).await.status, 401);
    let (operation, sent) = functions.world.cognito.requests().pop().unwrap();
    let revoked = (operation.as_str(), &sent["Token"]);
    assert_eq!(revoked, ("RevokeToken", &json!("refresh.token.opaque")));
    for function in [
        &functions.auth_api,
        &functions.logout,
        &functions.authorizer,
    ] {
        let output = function.output();
        for secret in [&cookie[COOKIE.len() + 1..], "eyJ", "refresh.token"] {
            assert!(!output.contains(secret));
        }
    }
}

#[tokio::test]
async fn refreshes_at_once_use_the_refresh_token_once() {
    let functions = Functions::start().await;
    let token = user_token();
    let cookie = functions.sign_in(&token).await;
    let operation = "GetTokensFromRefreshToken";
    functions
        .world
        .cognito
        .set_answer(operation, tokens(&token));
    // One process alone handles one request at a time.
    let second = functions.another().await;
    functions
        .world
        .cognito
        .set_fault_for(operation, Fault::Slow(400));
    let event = request("POST", "/auth/refresh", &json!(null));
    let event = of_page(event, Some(&cookie));
    let event = {
        let mut event = event;
        event["headers"]["Origin"] = json!(null);
        event
    };
    let (one, other) = tokio::join!(ask(&functions.auth_api, &event), ask(&second, &event));
    assert_eq!(
        (one.status, other.status),
        (200, 200),
        "{} {}",
        one.body,
        other.body
    );
    let asked = functions.world.cognito.operations().into_iter();
    assert_eq!(asked.filter(|found| found == operation).count(), 1);
    let row = functions.row().await.unwrap();
    assert_eq!(row["version"], AttributeValue::N("2".to_owned()));
    assert!(!row.contains_key("lease_until"));
    assert!(functions.passes(&cookie).await);
}

#[tokio::test]
async fn unusable_keys_stop_the_start() {
    let world = World::start().await;
    let others = world.others.url();
    for text in ["{}", "hunter2", r#"{"keys":[{"id":"a","key":"c2hvcnQ="}]}"#] {
        let secret = json!({"ARN": "arn", "Name": "n", "VersionId": "v", "SecretString": text});
        world.others.set_answer("GetSecretValue", secret);
        for (name, mode) in [
            ("auth-api", ("COOKIE_MODE", "session")),
            ("logout", ("LOG_LEVEL", "ERROR")),
            ("authorizer", ("TOKEN_SOURCES", "session")),
        ] {
            let more = [
                mode,
                ("BROWSER_SESSION_TABLE", "browser-sessions"),
                ("BROWSER_SESSION_KEYS_ARN", KEYS_ARN),
                ("ALLOWED_ORIGINS", ORIGIN),
                ("AWS_ENDPOINT_URL_SECRETS_MANAGER", others.as_str()),
            ];
            let environment = auth_tests::environment("http://127.0.0.1:1", &others, &more);
            let output = Binary::start_refused(name, &environment).await;
            assert!(output.contains("session key"), "{name}: {output}");
            assert!(
                !output.contains("hunter2") && !output.contains("c2hvcnQ"),
                "{output}"
            );
        }
    }
}
