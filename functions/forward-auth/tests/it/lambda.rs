//! The Lambda function: events of a function URL and of a load balancer, and their responses.

use std::path::Path;

use auth::memory::{MemoryApiKeys, MemoryKeys, MemoryRevocations};
use forward_auth::ForwardAuth;
use runtime::{Handler, InvocationError};
use serde_json::{Value, json};
use testkit::{Pool, events};

const CREDENTIAL: &str = "x-original-authorization";
const SIGNED: (&str, &str) = ("CREDENTIAL_HEADER", "X-Original-Authorization");
const USER: &str = "5f7e6d5c-1234-4abc-9def-sampleuser001";

type Tested = ForwardAuth<MemoryKeys, MemoryRevocations, MemoryApiKeys>;

fn forward_auth(variables: &[(&str, &str)]) -> Tested {
    crate::common::forward_auth("nginx", variables, MemoryRevocations::default())
}

async fn answer(forward_auth: &Tested, event: &Value) -> Result<Value, InvocationError> {
    let answer = forward_auth
        .handle(&events::raw(event), "request-1")
        .await?;
    Ok(serde_json::to_value(answer).unwrap())
}

fn with_token(event: &Value) -> Value {
    let token = Pool::ours().access_token().claim("sub", USER).build();
    serde_json::from_str(&event.to_string().replace("{{SAMPLE_TOKEN}}", &token)).unwrap()
}

#[tokio::test]
async fn every_sample_gets_its_response() {
    let balanced = forward_auth(&[]);
    // The proxy's signature is in `Authorization`.
    let signed = forward_auth(&[SIGNED]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/forward-auth");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".expected") {
            continue;
        }
        let sample = format!("forward-auth/{name}");
        let event = with_token(&events::sample(&sample));
        let expected = events::sample(&format!("{sample}.expected"));
        let forward_auth = match name.starts_with("function-url") {
            true => &signed,
            false => &balanced,
        };
        assert_eq!(answer(forward_auth, &event).await, Ok(expected), "{name}");
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}

#[tokio::test]
async fn a_function_url_hides_no_second_value() {
    let forward_auth = forward_auth(&[SIGNED]);
    let base = with_token(&events::sample("forward-auth/function-url"));
    for (name, value, status) in [
        ("x-original-uri", "/a,b", 200),
        ("x-original-uri", "/a,/admin", 400),
        ("x-original-uri", "/a, /admin", 400),
        ("x-original-uri", "/a,http://b/", 400),
        ("x-original-method", "GET,GET", 400),
        ("x-original-host", "a,b", 400),
        (CREDENTIAL, "Bearer a,Bearer b", 401),
    ] {
        let mut event = base.clone();
        event["headers"][name] = value.into();
        let answer = answer(&forward_auth, &event).await.unwrap();
        assert_eq!(answer["statusCode"], status, "{name}: {value}");
    }
}

#[tokio::test]
async fn cookies_of_a_function_url_are_read() {
    let variables = [
        ("TOKEN_SOURCES", "cookie"),
        ("ALLOWED_ORIGINS", "https://app.example"),
    ];
    let forward_auth = forward_auth(&variables);
    let mut event = with_token(&events::sample("forward-auth/function-url"));
    let headers = event["headers"].as_object_mut().unwrap();
    headers.remove("authorization");
    let token = headers.remove(CREDENTIAL).unwrap();
    let token = token.as_str().unwrap().strip_prefix("Bearer ").unwrap();
    let cookie = format!("__Host-access_token={token}");
    event["cookies"] = json!(["theme=dark", cookie]);
    let found = answer(&forward_auth, &event).await.unwrap();
    assert_eq!(found["statusCode"], 200);
    event["cookies"] = json!([cookie, cookie]);
    let found = answer(&forward_auth, &event).await.unwrap();
    assert_eq!(found["statusCode"], 401);
}

#[tokio::test]
async fn envoy_asks_with_path_and_query() {
    let forward_auth = forward_auth(&[("PROXY_DIALECT", "envoy")]);
    let base = with_token(&events::sample("forward-auth/alb"));
    for (path, query, status) in [
        ("/auth/orders/7", json!({"page": "2"}), 200),
        ("/auth/orders/7", json!({"access_token": "a"}), 401),
        ("/auth/orders/7", json!({"access%5Ftoken": "a"}), 401),
        ("/auth/admin", json!({}), 403),
        ("/auth/x/..%2fadmin", json!({}), 403),
        ("/orders/7", json!({}), 404),
        ("/auth", json!({}), 400),
    ] {
        let mut event = base.clone();
        event["path"] = path.into();
        event["queryStringParameters"] = query.clone();
        let answer = answer(&forward_auth, &event).await.unwrap();
        assert_eq!(answer["statusCode"], status, "{path} {query}");
    }
}

#[tokio::test]
async fn other_events_are_errors() {
    let forward_auth = forward_auth(&[]);
    let url = events::sample("forward-auth/function-url");
    let mut without_path = url.clone();
    without_path.as_object_mut().unwrap().remove("rawPath");
    let mut both = url.clone();
    both["requestContext"]["elb"] = json!({});
    let mut bad_header = url;
    bad_header["headers"]["x-y"] = "a\nb".into();
    for event in [
        json!(null),
        json!({}),
        json!([]),
        json!({"requestContext": {}}),
        events::sample("whoami/with-authorizer"),
        without_path,
        both,
        bad_header,
    ] {
        let found = answer(&forward_auth, &event).await;
        assert_eq!(found, Err(InvocationError::Internal), "{event}");
    }
}
