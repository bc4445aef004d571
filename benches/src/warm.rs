//! Warm invocations of a function.

use std::time::Instant;

use serde_json::Value;
use testkit::token::now;
use testkit::{Binary, FakeAws, Invocation, Pool};

use crate::output::repeat;
use crate::process::{cpu_ns, instructions};

/// The numbers of invocations whose difference in instructions is measured.
const COUNTED: [usize; 2] = [100, 400];

/// What a function has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A policy that allows the request.
    Allow,
    /// An error.
    Refusal,
    /// Anything.
    Anything,
}

/// The variables of an authorizer with its keys in the configuration and this store.
///
/// # Panics
/// Without `PATH`, by which the functions for Node and Python find their interpreters.
#[must_use]
pub fn environment(store: &FakeAws) -> Vec<(&'static str, String)> {
    let pool = Pool::ours();
    vec![
        ("USER_POOL_ID", pool.id.to_owned()),
        ("APP_CLIENT_IDS", pool.client_id.to_owned()),
        ("REVOCATION_TABLE", "revocations".to_owned()),
        ("JWKS", pool.jwks().to_string()),
        ("AWS_ENDPOINT_URL_DYNAMODB", store.url()),
        ("PATH", std::env::var("PATH").expect("PATH")),
    ]
}

/// Events of an authorizer, with a valid token and with one that has expired.
#[must_use]
pub fn events() -> [Value; 2] {
    let pool = Pool::ours();
    let sample = include_str!("../../events/authorizer/rest-request.json");
    let event = |token: &str| -> Value {
        serde_json::from_str(&sample.replace("{{ACCESS_TOKEN}}", token)).expect("an event")
    };
    let past = now() - 3_600;
    let expired = pool.access_token();
    let expired = expired
        .claim("iat", past - 60)
        .claim("auth_time", past - 60)
        .claim("exp", past);
    [event(&pool.access_token().build()), event(&expired.build())]
}

/// An event of whoami.
#[must_use]
pub fn whoami_event() -> Value {
    let event = include_str!("../../events/whoami/with-authorizer.json");
    serde_json::from_str(event).expect("an event")
}

/// Invokes the function, and adds the microseconds of each invocation to `took`.
///
/// # Panics
/// If the function answers something else.
pub async fn invoke(
    binary: &Binary,
    event: &Value,
    expected: Expected,
    times: usize,
    took: &mut Vec<f64>,
) {
    let event = event.to_string();
    for _ in 0..times {
        let began = Instant::now();
        let outcome = binary.invoke_raw(event.clone()).await;
        took.push(began.elapsed().as_secs_f64() * 1e6);
        match expected {
            Expected::Allow => {
                let answer = outcome.answer();
                let effect = &answer["policyDocument"]["Statement"][0]["Effect"];
                assert_eq!(effect, "Allow", "{answer}");
            }
            Expected::Refusal => {
                assert!(!matches!(outcome, Invocation::Answer(_)), "a refusal");
            }
            Expected::Anything => {}
        }
    }
}

/// Microseconds of processor time of one invocation: the mean of a batch. The times until each answer are added to `took`.
pub async fn batch(binary: &Binary, event: &Value, expected: Expected, took: &mut Vec<f64>) -> f64 {
    let times = repeat(400, 50);
    let before = cpu_ns(binary.pid());
    invoke(binary, event, expected, times, took).await;
    (cpu_ns(binary.pid()) - before) / 1e3 / times as f64
}

/// Instructions of one invocation; `None` without valgrind.
pub async fn counted(
    binary: &str,
    environment: &[(&str, String)],
    event: &Value,
    expected: Expected,
) -> Option<f64> {
    let mut counts = Vec::new();
    for times in COUNTED {
        let work = async |running: Binary| {
            invoke(&running, event, expected, times, &mut Vec::new()).await;
            running
        };
        counts.push(instructions(binary, environment, work).await?);
    }
    Some((counts[1] - counts[0]) / (COUNTED[1] - COUNTED[0]) as f64)
}
