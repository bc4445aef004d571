//! Events for functions that a test calls in its own process.

use std::path::Path;

use serde_json::Value;
use serde_json::value::RawValue;

/// The sample `events/<name>.json`.
#[must_use]
pub fn sample(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let path = folder.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{}", path.display()));
    serde_json::from_str(&text).expect("a JSON event")
}

/// The event as a function receives it.
#[must_use]
pub fn raw(event: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(event).expect("a JSON event")
}

/// The event of a REST API's proxy integration, for a route with these path parameters, from a
/// caller with this context.
#[must_use]
pub fn rest(method: &str, route: &str, parameters: &Value, context: &Value, body: &Value) -> Value {
    let mut event = sample("admin/disable-user");
    event["httpMethod"] = method.into();
    event["resource"] = route.into();
    event["path"] = route.into();
    event["pathParameters"] = parameters.clone();
    event["requestContext"]["httpMethod"] = method.into();
    event["requestContext"]["resourcePath"] = route.into();
    event["requestContext"]["authorizer"] = context.clone();
    event["body"] = if body.is_null() {
        Value::Null
    } else {
        body.to_string().into()
    };
    event
}

/// The context that the authorizer adds for the user of the samples.
#[must_use]
pub fn caller() -> Value {
    sample("admin/not-an-administrator")["requestContext"]["authorizer"].clone()
}

/// A lookup of variables in `variables`, with the pool of [`crate::Pool::ours`].
pub fn variables<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    let pool = crate::Pool::ours();
    let ours = [
        ("USER_POOL_ID", pool.id),
        ("APP_CLIENT_IDS", pool.client_id),
        ("REVOCATION_TABLE", "revocations"),
        ("LOG_LEVEL", "ERROR"),
    ];
    move |name| {
        let all = variables.iter().copied().chain(ours);
        let mut named = all.filter(|(known, _)| *known == name);
        named.next().map(|(_, value)| value.to_owned())
    }
}

/// The status and the JSON body of a proxy integration's response.
#[must_use]
pub fn status_and_body(response: &Value) -> (u16, Value) {
    let status = response["statusCode"].as_u64().expect("a status");
    let body = response["body"].as_str().expect("a body");
    let body = serde_json::from_str(body).expect("a JSON body");
    (status.try_into().expect("a status"), body)
}

/// Checks the answer of `call` to each event: rows of a name, an event, the status and the body's `code`.
pub async fn check_answers(
    rows: impl IntoIterator<Item = (&'static str, Value, u16, &'static str)>,
    call: impl AsyncFn(&Value) -> (u16, Value),
) {
    for (name, event, status, code) in rows {
        let (found, body) = call(&event).await;
        let expected = (status, Some(code));
        assert_eq!((found, body["code"].as_str()), expected, "{name}: {body}");
    }
}
