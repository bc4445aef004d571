//! Where a request has its credential: the authorizer and forward-auth, which read requests of other forms, agree.

use std::borrow::Cow;
use std::sync::OnceLock;

use api_gateway::bearer;
use auth::{Credential, DenyReason};
use auth_tower::{Places, Presented, Request};
use authorizer::Event;
use authorizer::credential::{ApiKeyHeader, Presented as InEvent, TokenSources};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use testkit::events;

use crate::input::Input;

/// The configurations of both readers.
const CONFIGURATIONS: [&[(&str, &str)]; 5] = [
    &[("TOKEN_SOURCES", "header")],
    &[("TOKEN_SOURCES", "header,cookie")],
    &[("TOKEN_SOURCES", "cookie")],
    &[("TOKEN_SOURCES", "header"), ("API_KEY_TABLE", "keys")],
    &[
        ("TOKEN_SOURCES", "header,cookie"),
        ("API_KEY_TABLE", "keys"),
        ("API_KEY_HEADER", "x-api-key"),
    ],
];

/// The header fields that a credential may be in.
const READ: [&str; 3] = ["authorization", "cookie", "x-api-key"];

struct Readers {
    sources: TokenSources,
    key_header: Option<ApiKeyHeader>,
    places: Places,
}

fn readers() -> &'static [Readers] {
    static READERS: OnceLock<Vec<Readers>> = OnceLock::new();
    READERS.get_or_init(|| {
        let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
        let of = |variables: &[(&str, &str)]| {
            let all = [
                variables,
                &[
                    ("ALLOWED_ORIGINS", "https://app.example"),
                    ("PROXY_DIALECT", "nginx"),
                ],
                &[("POLICIES_DIR", policies)],
            ];
            let all = all.concat();
            let event = authorizer::Config::from_lookup(&events::variables(&all));
            let event = event.expect("a configuration").settings;
            let proxy = forward_auth::Config::from_lookup(&events::variables(&all));
            Readers {
                sources: event.token_sources,
                key_header: event.api_key_header,
                places: proxy.expect("a configuration").places,
            }
        };
        CONFIGURATIONS.into_iter().map(of).collect()
    })
}

/// Runs the target.
///
/// # Panics
/// The two readers find different credentials.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let readers = &readers()[input.below(CONFIGURATIONS.len())];
    let query = input.text().into_owned();
    let lines = input.lines();
    let Some(headers) = header_map(&lines) else {
        return;
    };
    for value in headers.values() {
        if let Ok(text) = value.to_str() {
            checks_as_the_grammar_says(text);
        }
    }
    let request = Request {
        method: "GET",
        path: "/orders",
        query: Some(&query)
            .filter(|query| !query.is_empty())
            .map(String::as_str),
        headers: &headers,
        client_address: None,
    };
    let at_the_proxy = readers.places.presented(&request).map(|found| match found {
        Presented::Credential(credential) => shown(&credential),
        Presented::Session(id) => format!("session {id}"),
    });
    let json = event(&headers, &query);
    let raw = events::raw(&json);
    let event = Event::read(&raw);
    let found = event.credential(&readers.sources, readers.key_header.as_ref());
    let in_the_event = found.map(|found| match found {
        InEvent::Credential(credential) => shown(&credential),
        InEvent::Session(id) => format!("session {}", id.expose()),
    });
    if let (Ok(proxy), Ok(event)) = (&at_the_proxy, &in_the_event) {
        assert_eq!(proxy, event, "the two readers");
    }
    // A proxy passes on bytes that are no ASCII, which an event has as text; and API Gateway decodes the query.
    let is_read = |name: &&str| READ.contains(name);
    let read = headers.iter().filter(|(name, _)| is_read(&name.as_str()));
    let is_plain = read.into_iter().all(|(_, value)| value.to_str().is_ok());
    let is_decoded = query
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"&=-._~".contains(&byte));
    let mut names = query.split('&').map(|pair| pair.split('=').next());
    if names.any(|name| name == Some("access_token")) {
        // docs/configuration.md: forward-auth refuses it; the authorizer ignores sources that are not listed.
        assert!(at_the_proxy.is_err(), "a token in the query");
    } else if is_plain && is_decoded {
        assert_eq!(at_the_proxy, in_the_event, "the two readers");
    }
}

fn shown(credential: &Credential<'_>) -> String {
    match credential {
        Credential::Token(text) => format!("token {text}"),
        Credential::Cookie(text) => format!("cookie {text}"),
        Credential::ApiKey(text) => format!("key {text}"),
        Credential::Session(text) => format!("session {}", text.expose()),
    }
}

/// Lines `name: value`; `None` unless HTTP allows them.
fn header_map(lines: &[String]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or(("authorization", line));
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
    }
    Some(headers)
}

/// The event of a REST API for this request.
fn event(headers: &HeaderMap, query: &str) -> Value {
    let mut event = events::sample("authorizer/rest-request");
    let (mut last, mut all) = (Map::new(), Map::new());
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let values: Vec<Value> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into())
            .collect();
        last.insert(name.to_string(), values.last().cloned().unwrap_or_default());
        all.insert(name.to_string(), values.into());
    }
    event["headers"] = last.into();
    event["multiValueHeaders"] = all.into();
    let (mut last, mut all) = (Map::new(), Map::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let (name, value) = (decoded(name), decoded(value));
        last.insert(name.clone(), value.clone().into());
        let list = all.entry(name).or_insert_with(|| json!([]));
        list.as_array_mut().expect("a list").push(value.into());
    }
    event["queryStringParameters"] = last.into();
    event["multiValueQueryStringParameters"] = all.into();
    event
}

/// The rules of RFC 6750 section 2.1, written once more, for a token that is a compact JWS (RFC 7515 section 3.1): it
/// has none of the characters `~`, `+`, `/` and `=` that a `b64token` may have too.
fn checks_as_the_grammar_says(value: &str) {
    let is_token = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !text.is_empty()
    };
    assert_eq!(bearer::check(value).is_ok(), is_token(value));
    let expected = match value.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => {
            Some(rest.trim_start_matches(' ')).filter(|token| is_token(token))
        }
        _ => None,
    };
    assert_eq!(bearer::token_of(value).ok(), expected);
    let cookie = |name| api_gateway::headers::cookie(None, Ok(Cow::Borrowed(value)), name);
    let mut named = value.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == "id").then(|| value.to_owned())
    });
    let expected = match (named.next(), named.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(DenyReason::MissingToken),
        (Some(_), Some(_)) => Err(DenyReason::AmbiguousToken),
    };
    assert_eq!(cookie("id"), expected);
}
