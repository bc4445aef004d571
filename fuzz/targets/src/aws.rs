//! AWS's services inside the process: no socket, no pause, and the responses that an input chooses.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::region::Region;
use serde_json::{Value, json};
use testkit::Pool;

use crate::world::SUBJECT;

/// Codes of errors; an input chooses one.
const CODES: [&str; 12] = [
    "ConditionalCheckFailedException",
    "ProvisionedThroughputExceededException",
    "TransactionCanceledException",
    "ResourceNotFoundException",
    "NotAuthorizedException",
    "UserNotFoundException",
    "TooManyRequestsException",
    "CodeMismatchException",
    "UsernameExistsException",
    "PasswordResetRequiredException",
    "AccessDeniedException",
    "InternalErrorException",
];

/// The services, with the calls that they got.
#[derive(Clone, Default)]
pub(crate) struct Aws(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// A byte for each call: what its response is.
    script: Vec<u8>,
    calls: Vec<(String, Value)>,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aws")
    }
}

impl Aws {
    /// The SDK's configuration for these services.
    pub(crate) fn sdk(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url("http://aws.example")
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(self.clone())
            .sleep_impl(NoPause)
            .build()
    }

    /// Forgets the calls, and takes another script.
    pub(crate) fn follow(&self, script: &[u8]) {
        *self.state() = State {
            script: script.iter().rev().copied().collect(),
            calls: Vec::new(),
        };
    }

    /// The operations so far, with their inputs.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Aws {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Aws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let input = serde_json::from_slice(body).unwrap_or_default();
        let mut state = self.state();
        let choice = state.script.pop().unwrap_or(b'0');
        let (status, text) = match choice {
            b'0'..=b'Z' => (200, answer(&operation, &input, choice - b'0').to_string()),
            b'a'..=b'l' => {
                let code = CODES[usize::from(choice - b'a')];
                (
                    400,
                    json!({"__type": code, "message": "a message"}).to_string(),
                )
            }
            b'm' => (500, "{}".to_owned()),
            b'n' => (200, "{".to_owned()),
            b'o' => (200, "[]".to_owned()),
            b'p' => (200, "{}".to_owned()),
            b'q' => (503, String::new()),
            _ => (
                400,
                json!({"__type": String::from(char::from(choice))}).to_string(),
            ),
        };
        state.calls.push((operation, input));
        let status = StatusCode::try_from(status).expect("a status");
        let mut response = HttpResponse::new(status, SdkBody::from(text));
        response
            .headers_mut()
            .insert("content-type", "application/x-amz-json-1.0");
        HttpConnectorFuture::ready(Ok(response))
    }
}

/// A success. `variant` selects one of several, such as the status of a user.
fn answer(operation: &str, input: &Value, variant: u8) -> Value {
    let pool = Pool::ours();
    let user = || {
        let status = [
            "CONFIRMED",
            "UNCONFIRMED",
            "FORCE_CHANGE_PASSWORD",
            "EXTERNAL_PROVIDER",
        ];
        json!({
            "Username": "ada",
            "Enabled": variant.is_multiple_of(2),
            "UserStatus": status[usize::from(variant) % status.len()],
            "UserCreateDate": 1_700_000_000,
            "UserLastModifiedDate": 1_700_000_000,
            "UserAttributes": attributes(variant),
            "Attributes": attributes(variant),
        })
    };
    match operation {
        "BatchGetItem" => {
            let tables = input["RequestItems"].as_object().into_iter().flatten();
            let none = tables.map(|(table, _)| (table.clone(), json!([])));
            let none: serde_json::Map<String, Value> = none.collect();
            json!({"Responses": none, "UnprocessedKeys": {}})
        }
        "Query" | "Scan" if variant > 0 => json!({"Count": 1, "Items": [{
            "pk": {"S": format!("{}#user#{SUBJECT}", pool.id)},
            "sk": {"S": "connection#abc"},
            "device": {"S": "a device"},
            "auth_time": {"N": "1799999940"},
            "first_seen": {"N": "1799999940"},
            "last_seen": {"N": "1799999940"},
            "expires_at": {"N": "4000000000"},
        }]}),
        "Query" | "Scan" => json!({"Count": 0, "Items": []}),
        "GetItem" if variant > 0 => json!({"Item": {
            "id": {"S": "ada"},
            "username": {"S": "ada"},
            "email": {"S": "ada@example.com"},
            "email_verified": {"BOOL": true},
            "password_hash": {"S": "{SSHA}JKYs2WTQlHaoKsVz/pBYAMhtpYBhYmNkZWZnaA=="},
            "groups": {"SS": ["admins", "editors"]},
            "left_at": {"N": "1799999940"},
            "expires_at": {"N": "4000000000"},
        }}),
        "UpdateItem" => json!({"Attributes": {"attempts": {"N": variant.to_string()}}}),
        "AdminGetUser" | "GetUser" => user(),
        "ListUsers" if variant > 0 => json!({"Users": [user()]}),
        "ListUsers" => json!({"Users": []}),
        "ListUserPoolClients" => json!({"UserPoolClients": [{"ClientId": pool.client_id}]}),
        "AdminListGroupsForUser" => json!({"Groups": [{"GroupName": "editors"}]}),
        "DescribeUserPool" => {
            json!({"UserPool": {"UsernameConfiguration": {"CaseSensitive": false}}})
        }
        "InitiateAuth" | "RespondToAuthChallenge" if variant > 0 => {
            let names = [
                "SOFTWARE_TOKEN_MFA",
                "NEW_PASSWORD_REQUIRED",
                "PASSWORD_VERIFIER",
                "SELECT_MFA_TYPE",
            ];
            json!({
                "ChallengeName": names[usize::from(variant) % names.len()],
                "Session": "a-session",
                "ChallengeParameters": {"USER_ID_FOR_SRP": "ada", "SALT": "ab", "SRP_B": "cd", "SECRET_BLOCK": "ef"},
            })
        }
        "InitiateAuth" | "RespondToAuthChallenge" => json!({"AuthenticationResult": {
            "AccessToken": pool.access_token().build(),
            "IdToken": pool.id_token().build(),
            "RefreshToken": "a-refresh-token",
            "ExpiresIn": 3_600,
            "TokenType": "Bearer",
        }}),
        "SignUp" => json!({"UserConfirmed": false, "UserSub": SUBJECT}),
        "AssociateSoftwareToken" => json!({"SecretCode": "GEZDGNBVGY3TQOJQ"}),
        "VerifySoftwareToken" => json!({"Status": "SUCCESS"}),
        "SendMessage" => json!({"MessageId": "m"}),
        _ => json!({}),
    }
}

fn attributes(variant: u8) -> Value {
    let email = ["ada@example.com", "grace@example.com"][usize::from(variant) % 2];
    json!([
        {"Name": "sub", "Value": SUBJECT},
        {"Name": "email", "Value": email},
        {"Name": "email_verified", "Value": (!variant.is_multiple_of(3)).to_string()},
    ])
}

/// Short pauses between attempts end at once. Time limits, and longer pauses, have the runtime's time, which is paused
/// while fuzzing.
#[derive(Debug)]
struct NoPause;

impl AsyncSleep for NoPause {
    fn sleep(&self, duration: Duration) -> Sleep {
        if duration < Duration::from_millis(200) {
            Sleep::new(std::future::ready(()))
        } else {
            Sleep::new(tokio::time::sleep(duration))
        }
    }
}
