//! A fake AWS service with a JSON protocol, into which tests inject faults.
//!
//! As a fake DynamoDB it supports reads only. Writes are tested against an emulator; this fake can
//! relay to it (see [`FakeAws::in_front_of`]) to break its connections.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value, json};

use crate::server::{Fault, Framing, Server};

/// A fake service that records its requests.
pub struct FakeAws {
    server: Server,
    state: Arc<AwsState>,
}

#[derive(Default)]
struct AwsState {
    rows: Mutex<HashMap<(String, String), Value>>,
    faults: Mutex<Faults>,
    requests: Mutex<Vec<(String, Value)>>,
    date: Mutex<Option<Clock>>,
    checksum: Mutex<Option<&'static str>>,
    answers: Mutex<HashMap<String, Value>>,
    /// The table of attempts: counts by id.
    attempts: Mutex<HashMap<String, i64>>,
    /// How long responses to reads are repeated, and the recorded responses.
    stale: Mutex<Stale>,
    backend: Backend,
    hook: Mutex<Option<Hook>>,
    /// Whether requests with an old signature are refused.
    checks_times: AtomicBool,
}

/// The time that responses name.
type Clock = Box<dyn Fn() -> String + Send>;

/// Called with the operation of each request that was executed; `true` loses its response.
pub type Hook = Box<dyn Fn(&str) -> bool + Send>;

#[derive(Default)]
struct Stale {
    age: Duration,
    answers: HashMap<Bytes, (Instant, Bytes)>,
}

/// Source of the responses.
#[derive(Default)]
enum Backend {
    /// `BatchGetItem` on rows that the test sets.
    #[default]
    Rows,
    /// The service at this address.
    Behind(Box<Relay>),
    /// The response that the test set for the operation, otherwise `{}`.
    Agreeable,
    /// The same, but reads of tables find the rows that the test sets.
    Tables,
}

#[derive(Default)]
struct Faults {
    fault: Fault,
    /// Number of requests that still fail; all if `None`.
    left: Option<usize>,
    /// Number of requests that succeed first.
    spared: usize,
    /// The only operation that fails; all if `None`.
    only: Option<String>,
    /// Whether the request is executed and only its response is lost.
    after: bool,
    /// Faults of further operations.
    others: HashMap<String, Fault>,
}

impl FakeAws {
    /// Starts a fake DynamoDB with empty tables.
    pub async fn start() -> Self {
        Self::with(AwsState::default()).await
    }

    /// Starts a relay to the service at `url` (`http://127.0.0.1:port`) that only adds faults.
    pub async fn in_front_of(url: &str) -> Self {
        Self::with(AwsState {
            backend: Backend::Behind(Box::new(Relay {
                url: url.to_owned(),
                client: Client::builder(TokioExecutor::new()).build_http(),
            })),
            ..AwsState::default()
        })
        .await
    }

    /// Starts a service that answers every call with an empty success.
    pub async fn agreeable() -> Self {
        Self::with(AwsState {
            backend: Backend::Agreeable,
            ..AwsState::default()
        })
        .await
    }

    /// Starts a service that answers every call with an empty success, and reads of tables
    /// (`BatchGetItem`, `Query`, `Scan`) with the rows that the test sets; writes do not change them, except that
    /// attempts are counted.
    pub async fn with_tables() -> Self {
        Self::with(AwsState {
            backend: Backend::Tables,
            ..AwsState::default()
        })
        .await
    }

    async fn with(state: AwsState) -> Self {
        let state = Arc::new(state);
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&state));
        Self {
            server: Server::start(router).await,
            state,
        }
    }

    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The SDK's configuration for this service.
    #[must_use]
    pub fn sdk(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.url())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    /// Stores a row: `attributes` in DynamoDB's JSON, without the keys.
    pub fn put(&self, pk: &str, sk: &str, attributes: Value) {
        let mut row = attributes;
        row["pk"] = json!({"S": pk});
        row["sk"] = json!({"S": sk});
        let key = (pk.to_owned(), sk.to_owned());
        self.state.rows.lock().expect("a lock").insert(key, row);
    }

    /// Removes all rows.
    pub fn clear(&self) {
        self.state.rows.lock().expect("a lock").clear();
    }

    /// Sets the response of an agreeable service to one operation.
    pub fn set_answer(&self, operation: &str, answer: Value) {
        let mut answers = self.state.answers.lock().expect("a lock");
        answers.insert(operation.to_owned(), answer);
    }

    /// Reads return data that is up to `age` old, like a cache or a remote replica.
    pub fn set_stale(&self, age: Duration) {
        *self.state.stale.lock().expect("a lock") = Stale {
            age,
            answers: HashMap::new(),
        };
    }

    /// Injects the fault into all requests from now on.
    pub fn set_fault(&self, fault: Fault) {
        self.inject(Faults {
            fault,
            ..Faults::default()
        });
    }

    fn inject(&self, faults: Faults) {
        *self.state.faults.lock().expect("a lock") = faults;
    }

    /// Injects the fault into the next `count` requests.
    pub fn set_fault_times(&self, fault: Fault, count: usize) {
        self.inject(Faults {
            fault,
            left: Some(count),
            ..Faults::default()
        });
    }

    /// Injects the fault into all requests after the next `good` ones.
    pub fn set_fault_from(&self, good: usize, fault: Fault) {
        self.inject(Faults {
            fault,
            spared: good,
            ..Faults::default()
        });
    }

    /// Injects the fault into one operation, such as `UpdateItem`.
    pub fn set_fault_for(&self, operation: &str, fault: Fault) {
        self.inject(Faults {
            fault,
            only: Some(operation.to_owned()),
            ..Faults::default()
        });
    }

    /// Injects the fault into the next `count` requests of one operation.
    pub fn set_fault_times_for(&self, operation: &str, fault: Fault, count: usize) {
        self.inject(Faults {
            fault,
            left: Some(count),
            only: Some(operation.to_owned()),
            ..Faults::default()
        });
    }

    /// Injects a fault into one more operation, until the next call that sets a fault.
    pub fn add_fault_for(&self, operation: &str, fault: Fault) {
        let mut faults = self.state.faults.lock().expect("a lock");
        faults.others.insert(operation.to_owned(), fault);
    }

    /// Executes requests but loses the responses.
    pub fn set_fault_after(&self, fault: Fault) {
        self.inject(Faults {
            fault,
            after: true,
            ..Faults::default()
        });
    }

    /// Executes the next request but loses its response.
    pub fn set_fault_after_one(&self, fault: Fault) {
        self.inject(Faults {
            fault,
            left: Some(1),
            after: true,
            ..Faults::default()
        });
    }

    /// Refuses requests that were signed at a time more than five minutes from the present, as AWS does.
    /// Source: AWS, "Signature Version 4 for API requests", validity of 5 minutes.
    pub fn check_times_of_signatures(&self) {
        self.state.checks_times.store(true, Ordering::SeqCst);
    }

    /// Calls `hook` after each request that was executed, before its response is sent.
    pub fn set_hook(&self, hook: Option<Hook>) {
        *self.state.hook.lock().expect("a lock") = hook;
    }

    /// Sends this `x-amz-crc32` with every response, correct or not; no header if `None`.
    pub fn set_checksum(&self, checksum: Option<&'static str>) {
        *self.state.checksum.lock().expect("a lock") = checksum;
    }

    /// Sends this time with every response (RFC 9110 section 6.6.1), and the server's own if `None`.
    pub fn set_date(&self, date: Option<&str>) {
        let clock = date.map(|date| {
            let date = date.to_owned();
            Box::new(move || date.clone()) as Clock
        });
        *self.state.date.lock().expect("a lock") = clock;
    }

    /// Sends the time of this clock with every response.
    pub fn set_clock(&self, clock: impl Fn() -> String + Send + 'static) {
        *self.state.date.lock().expect("a lock") = Some(Box::new(clock));
    }

    /// The attempts that are counted, by id.
    #[must_use]
    pub fn attempts(&self) -> HashMap<String, i64> {
        self.state.attempts.lock().expect("a lock").clone()
    }

    /// The number of connections since the start, or since they were closed.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Closes all open connections.
    pub fn close_connections(&self) {
        self.server.close_connections();
    }

    /// The requests so far: operation and body.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, Value)> {
        self.state.requests.lock().expect("a lock").clone()
    }

    /// The operations of the requests so far.
    #[must_use]
    pub fn operations(&self) -> Vec<String> {
        let requests = self.requests().into_iter();
        requests.map(|(operation, _)| operation).collect()
    }

    /// Clears the recorded requests.
    pub fn forget_requests(&self) {
        self.state.requests.lock().expect("a lock").clear();
    }
}

impl AwsState {
    /// The response to an operation on tables: status and body.
    fn read_tables(&self, operation: &str, request: &Value) -> Option<(u16, String)> {
        if !matches!(self.backend, Backend::Tables) {
            return None;
        }
        let answer = match operation {
            "BatchGetItem" => batch_get(self, operation, request),
            "UpdateItem" => {
                let change = request["ExpressionAttributeValues"][":change"]["N"].as_str()?;
                let id = request["Key"]["id"]["S"].as_str()?.to_owned();
                let mut attempts = self.attempts.lock().expect("a lock");
                let count = attempts.entry(id).or_default();
                let condition = request["ConditionExpression"].as_str();
                if condition == Some("attempts > :zero") && *count <= 0 {
                    let kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
                    let failed =
                        json!({"__type": kind, "message": "The conditional request failed"});
                    return Some((400, failed.to_string()));
                }
                *count += change.parse::<i64>().expect("a number");
                json!({"Attributes": {"attempts": {"N": count.to_string()}}})
            }
            "Query" | "Scan" => {
                let partition = &request["ExpressionAttributeValues"][":pk"];
                let rows = self.rows.lock().expect("a lock");
                let found = rows
                    .values()
                    .filter(|row| operation == "Scan" || row["pk"] == *partition);
                let found: Vec<&Value> = found.collect();
                json!({"Items": found, "Count": found.len()})
            }
            _ => return None,
        };
        Some((200, answer.to_string()))
    }

    /// An earlier response to the same read, if stale reads are enabled.
    fn remembered(&self, operation: &str, body: &Bytes) -> Option<Bytes> {
        let stale = self.stale.lock().expect("a lock");
        let (at, answer) = stale.answers.get(body)?;
        (operation == "BatchGetItem" && at.elapsed() < stale.age).then(|| answer.clone())
    }

    fn remember(&self, body: Bytes, answer: Bytes) {
        let mut stale = self.stale.lock().expect("a lock");
        if !stale.age.is_zero() {
            stale.answers.insert(body, (Instant::now(), answer));
        }
    }

    /// The fault for this request.
    fn fault_for(&self, operation: &str, after: bool) -> Fault {
        let mut faults = self.faults.lock().expect("a lock");
        if let Some(fault) = faults.others.get(operation).filter(|_| !after) {
            return fault.clone();
        }
        if faults.after != after || faults.only.as_deref().is_some_and(|only| only != operation) {
            return Fault::None;
        }
        if faults.spared > 0 {
            faults.spared -= 1;
            return Fault::None;
        }
        match &mut faults.left {
            None => faults.fault.clone(),
            Some(0) => Fault::None,
            Some(left) => {
                *left -= 1;
                faults.fault.clone()
            }
        }
    }
}

async fn answer(
    State(state): State<Arc<AwsState>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (operation, request) = read(&method, &uri, &headers, &body);
    state
        .requests
        .lock()
        .expect("a lock")
        .push((operation.clone(), request.clone()));
    if state.checks_times.load(Ordering::SeqCst) && !is_signed_now(&headers) {
        let body = r#"{"__type": "InvalidSignatureException", "message": "Signature expired"}"#;
        let status = StatusCode::BAD_REQUEST;
        return (status, [("content-type", CONTENT_TYPE)], body).into_response();
    }
    let fault = state.fault_for(&operation, false);
    let mut part = part_of(&fault);
    if let Some(response) = misbehave(fault).await {
        return response;
    }
    let (status, answer): (u16, Bytes) = match &state.backend {
        Backend::Rows => (
            200,
            batch_get(&state, &operation, &request).to_string().into(),
        ),
        Backend::Behind(relay) => match state.remembered(&operation, &body) {
            Some(answer) => (200, answer),
            None => {
                let (status, answer) = relay.pass_on(headers, body.clone()).await;
                state.remember(body, answer.clone());
                (status, answer)
            }
        },
        Backend::Agreeable | Backend::Tables => {
            let answers = state.answers.lock().expect("a lock");
            let answer = answers
                .get(&operation)
                .map(|answer| (200, answer.to_string()));
            let (status, answer) = answer
                .or_else(|| state.read_tables(&operation, &request))
                .unwrap_or_else(|| (200, success(&operation, &request)));
            (status, answer.into())
        }
    };
    let is_lost = {
        let hook = state.hook.lock().expect("a lock");
        hook.as_ref().is_some_and(|hook| hook(&operation))
    };
    if is_lost {
        crate::server::cut();
    }
    let fault = state.fault_for(&operation, true);
    part = part.or_else(|| part_of(&fault));
    if let Some(response) = misbehave(fault).await {
        return response;
    }
    let status = StatusCode::from_u16(status).expect("a status");
    let mut response = match part {
        Some((bytes, framing)) => crate::server::part(&answer, bytes, framing),
        None => answer.into_response(),
    };
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert("content-type", content_type);
    if let Some(clock) = &*state.date.lock().expect("a lock") {
        let date = HeaderValue::from_str(&clock()).expect("a header value");
        response.headers_mut().insert("date", date);
    }
    // What AWS's log would name the request by: its number here.
    let number = state.requests.lock().expect("a lock").len();
    let id = HeaderValue::from_str(&format!("{operation}-{number}")).expect("a header value");
    response.headers_mut().insert("x-amzn-requestid", id);
    if let Some(checksum) = *state.checksum.lock().expect("a lock") {
        let checksum = HeaderValue::from_static(checksum);
        response.headers_mut().insert("x-amz-crc32", checksum);
    }
    response
}

/// The operation and its input: in the JSON protocols, in the query protocol (a form), or as
/// `DELETE /path`.
fn read(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> (String, Value) {
    let target = headers.get("x-amz-target").and_then(|t| t.to_str().ok());
    if let Some(target) = target {
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let request = serde_json::from_slice(body).expect("a JSON request");
        return (operation, request);
    }
    let form: Map<String, Value> = form(body);
    match form.get("Action").and_then(Value::as_str) {
        Some(action) => (action.to_owned(), Value::Object(form)),
        None => (format!("{method} {}", uri.path()), Value::Null),
    }
}

/// An empty success: in XML for the query protocol, which names its operation in the form.
fn success(operation: &str, request: &Value) -> String {
    if request.get("Action").is_some() {
        format!("<{operation}Response><{operation}Result/></{operation}Response>")
    } else {
        "{}".to_owned()
    }
}

fn form(body: &Bytes) -> Map<String, Value> {
    let text = String::from_utf8_lossy(body);
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value).into()))
        .collect()
}

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// Whether `X-Amz-Date`, as in `20261126T213000Z`, is at most five minutes from the present.
fn is_signed_now(headers: &HeaderMap) -> bool {
    let date = headers
        .get("x-amz-date")
        .and_then(|date| date.to_str().ok());
    let date = date.expect("a signed request");
    let part = |from: usize, to: usize| date[from..to].parse::<i64>().expect("a number");
    let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
    // Days since 1970-01-01, with years that begin in March.
    let years = if month > 2 { year } else { year - 1 };
    let months = (month + 9) % 12;
    let days = 365 * years + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + day
        - 719_469;
    let seconds = 86_400 * days + 3_600 * part(9, 11) + 60 * part(11, 13) + part(13, 15);
    let present = i64::try_from(crate::token::now()).expect("a time");
    seconds.abs_diff(present) <= 300
}

fn part_of(fault: &Fault) -> Option<(usize, Framing)> {
    if let Fault::Part(bytes, framing) = fault {
        Some((*bytes, *framing))
    } else {
        None
    }
}

async fn misbehave(fault: Fault) -> Option<Response> {
    match fault {
        // A part is sent instead of the response.
        Fault::None | Fault::Part(..) => None,
        Fault::Drip => Some(crate::server::drip("{}").into_response()),
        Fault::Slow(millis) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            None
        }
        Fault::Hang => std::future::pending().await,
        Fault::Cut => crate::server::cut(),
        Fault::SlowAnswer(millis, status, body) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            let status = StatusCode::from_u16(status).expect("a status");
            Some((status, [("content-type", CONTENT_TYPE)], body).into_response())
        }
        Fault::Answer(status, body) => {
            let status = StatusCode::from_u16(status).expect("a status");
            Some((status, [("content-type", CONTENT_TYPE)], body).into_response())
        }
    }
}

fn batch_get(state: &AwsState, operation: &str, request: &Value) -> Value {
    assert_eq!(
        operation, "BatchGetItem",
        "the fake DynamoDB supports reads only"
    );
    let rows = state.rows.lock().expect("a lock");
    let mut responses = Map::new();
    for (table, wanted) in request["RequestItems"].as_object().expect("tables") {
        let found: Vec<Value> = wanted["Keys"]
            .as_array()
            .expect("keys")
            .iter()
            .filter_map(|key| {
                let part = |name: &str| key[name]["S"].as_str().expect("a key").to_owned();
                rows.get(&(part("pk"), part("sk"))).cloned()
            })
            .collect();
        responses.insert(table.clone(), Value::Array(found));
    }
    json!({"Responses": responses, "UnprocessedKeys": {}})
}

/// A relay to a service, with persistent connections.
struct Relay {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Relay {
    /// Forwards a request, including `Host` and signature, and returns the response.
    async fn pass_on(&self, headers: HeaderMap, body: Bytes) -> (u16, Bytes) {
        let request = Request::post(&self.url).body(Full::new(body));
        let mut request = request.expect("a request");
        *request.headers_mut() = headers;
        // A service that was killed cuts its connections too.
        let response = self.client.request(request).await;
        let response = response.unwrap_or_else(|_| crate::server::cut());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await;
        let body = body.unwrap_or_else(|_| crate::server::cut());
        (status, body.to_bytes())
    }
}
