//! Requests and responses of the proxy integration: what is read of an event, and what is answered.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;

use api_gateway::Caller;
use api_gateway::http::{LoadBalancer, Request, RequestError, Response, Sender};
use auth::DenyReason::{self, AmbiguousToken, MalformedToken, MissingToken};
use auth::UnixSeconds;
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn raw(json: &Value) -> Box<RawValue> {
    RawValue::from_string(json.to_string()).unwrap()
}

/// What `look` finds in the event.
fn of<T>(event: &Value, look: impl FnOnce(&Request<'_>) -> T) -> T {
    let event = raw(event);
    look(&Request::read(&event))
}

fn found(result: Result<impl Into<String>, DenyReason>) -> Result<String, DenyReason> {
    result.map(Into::into)
}

#[test]
fn the_method_and_the_route_are_those_of_either_api() {
    let http =
        json!({"routeKey": "POST /auth/{x}", "requestContext": {"http": {"method": "POST"}}});
    for (event, method, route) in [
        (
            json!({"httpMethod": "GET", "resource": "/users/{id}"}),
            "GET",
            "/users/{id}",
        ),
        (http, "POST", "/auth/{x}"),
        (json!({"routeKey": "$default"}), "", ""),
        (json!({"httpMethod": null, "resource": 7}), "", ""),
        (json!([]), "", ""),
        (json!(null), "", ""),
    ] {
        assert_eq!(
            of(&event, |one| one.method().into_owned()),
            method,
            "{event}"
        );
        assert_eq!(of(&event, |one| one.route().into_owned()), route, "{event}");
    }
}

#[test]
fn the_target_is_the_route_without_stage_and_base_path() {
    let stage = |stage: &str| json!({"stage": stage});
    for (event, expected) in [
        (
            json!({"resource": "/auth/login", "path": "/auth/login"}),
            "/auth/login",
        ),
        // The base path of a custom domain.
        (
            json!({"resource": "/auth/login", "path": "/v1/auth/login"}),
            "/auth/login",
        ),
        // Another path than the template's, and templates that do not name the route.
        (
            json!({"resource": "/auth/login", "path": "/auth/logout"}),
            "/auth/logout",
        ),
        (
            json!({"resource": "/{proxy+}", "path": "/auth/login"}),
            "/auth/login",
        ),
        (
            json!({"resource": "auth/login", "path": "/auth/login"}),
            "/auth/login",
        ),
        (
            json!({"resource": "login", "path": "/auth/login"}),
            "/auth/login",
        ),
        (
            json!({"routeKey": "GET /$default", "rawPath": "/x/$default", "requestContext": stage("x")}),
            "/$default",
        ),
        (json!({"resource": "/auth/login"}), "/auth/login"),
        (json!({}), ""),
        // An HTTP API puts its stage before the path.
        (
            json!({"routeKey": "$default", "rawPath": "/prod/auth/login", "requestContext": stage("prod")}),
            "/auth/login",
        ),
        (
            json!({"routeKey": "$default", "rawPath": "/production", "requestContext": stage("prod")}),
            "/production",
        ),
        (
            json!({"routeKey": "$default", "rawPath": "/auth/login", "requestContext": stage("$default")}),
            "/auth/login",
        ),
        (
            json!({"routeKey": "$default", "rawPath": "//auth/login", "requestContext": stage("")}),
            "//auth/login",
        ),
        (json!({"rawPath": "//auth/login"}), "//auth/login"),
        // A REST API does not.
        (
            json!({"resource": "/{proxy+}", "path": "/prod/auth/login", "requestContext": stage("prod")}),
            "/prod/auth/login",
        ),
        (json!({"path": "/auth//login"}), "/auth//login"),
    ] {
        assert_eq!(
            of(&event, |one| one.target().into_owned()),
            expected,
            "{event}"
        );
    }
}

#[test]
fn the_base_path_has_plain_segments_only() {
    for (path, expected) in [
        ("/prod/auth/refresh", "/prod"),
        ("/a-b_c.9/d/auth/refresh", "/a-b_c.9/d"),
        ("/auth/refresh", ""),
        ("/a//auth/refresh", ""),
        ("/a b/auth/refresh", ""),
        ("/a%20b/auth/refresh", ""),
        ("a/auth/refresh", ""),
        ("/other", ""),
    ] {
        let event = json!({"resource": "/auth/refresh", "path": "/auth/refresh", "requestContext": {"path": path}});
        assert_eq!(of(&event, |one| one.base_path()), expected, "{path}");
    }
    // A route behind a catch-all is the whole path.
    let event = json!({"resource": "/{proxy+}", "path": "/v1/auth/refresh"});
    assert_eq!(of(&event, |one| one.base_path()), "/v1");
    let event = json!({"resource": "/{proxy+}", "path": "/v1/other"});
    assert_eq!(of(&event, |one| one.base_path()), "");
}

#[test]
fn only_a_load_balancer_sends_encoded_queries() {
    let event = |context: Value| json!({"queryStringParameters": {"a": "x%40y+z", "b": 7}, "requestContext": context});
    let query = |context, name: &str| of(&event(context), |one| one.query(name));
    assert_eq!(query(json!({}), "a").as_deref(), Some("x%40y+z"));
    assert_eq!(query(json!({"elb": {}}), "a").as_deref(), Some("x@y z"));
    assert_eq!(query(json!({}), "b"), None);
    assert_eq!(query(json!({}), "c"), None);
    let wrong = json!({"queryStringParameters": {"a": "%ff"}, "requestContext": {"elb": {}}});
    assert_eq!(of(&wrong, |one| one.query("a")), None);
    // With multi-value headers the parameters are lists too.
    let several = |list: Value| {
        json!({"multiValueQueryStringParameters": {"a": list}, "multiValueHeaders": {"host": ["x"]},
        "requestContext": {"elb": {}}})
    };
    for (list, expected) in [
        (json!(["x%40y+z"]), Some("x@y z")),
        (json!(["first", "last"]), Some("last")),
        (json!([]), None),
        (json!("text"), None),
        (json!([7]), None),
    ] {
        let found = of(&several(list), |one| one.query("a"));
        assert_eq!(found.as_deref(), expected);
    }
}

#[test]
fn an_http_api_sends_decoded_path_parameters() {
    let event = json!({"routeKey": "GET /x/{id}", "pathParameters": {"id": "a%40b"}});
    let value = of(&event, |one| one.path_parameter("id"));
    assert_eq!(value.as_deref(), Some("a%40b"));
    assert_eq!(of(&event, |one| one.path_parameter("other")), None);
}

#[test]
fn headers_and_cookies_have_one_value() {
    let event = json!({"headers": {"X-One": "a", "x-two": "b", "Cookie": "id=1; id=2; other=3"},
        "multiValueHeaders": {"X-Two": ["c"]}});
    let header = |name: &str| of(&event, |one| found(one.header(name)));
    assert_eq!(header("x-one"), Ok("a".to_owned()));
    assert_eq!(header("x-two"), Err(AmbiguousToken));
    assert_eq!(header("x-three"), Err(MissingToken));
    let cookie = |name: &str| of(&event, |one| one.cookie(name));
    assert_eq!(cookie("other"), Ok("3".to_owned()));
    assert_eq!(cookie("id"), Err(AmbiguousToken));
    let listed = json!({"cookies": ["id=1"], "version": "2.0", "rawPath": "/"});
    assert_eq!(of(&listed, |one| one.cookie("id")), Ok("1".to_owned()));
}

#[test]
fn two_tokens_are_rejected() {
    for (authorization, cookie, expected) in [
        (Some("Bearer a"), None, Ok("a")),
        (None, Some("id=b"), Ok("b")),
        (Some("Bearer a"), Some("other=b"), Ok("a")),
        (Some("Bearer a"), Some("id=b"), Err(AmbiguousToken)),
        (Some("Bearer a"), Some("id=a"), Err(AmbiguousToken)),
        (Some("Basic a"), None, Err(MalformedToken)),
        (Some("Basic a"), Some("id=b"), Err(MalformedToken)),
        (Some("Bearer a"), Some("id=b c"), Err(MalformedToken)),
        (None, Some("id=b c"), Err(MalformedToken)),
        (None, Some("id=b; id=b"), Err(AmbiguousToken)),
        (None, None, Err(MissingToken)),
        (Some("Bearer"), Some("id="), Err(MissingToken)),
    ] {
        let event = json!({"headers": {"Authorization": authorization, "Cookie": cookie}});
        let token = of(&event, |one| one.token(Some("id")));
        assert_eq!(token, expected.map(str::to_owned), "{event}");
        // Without the name of a cookie, the header alone.
        let header = of(&event, |one| one.token(None));
        let alone = json!({"headers": {"Authorization": authorization}});
        assert_eq!(header, of(&alone, |one| one.token(Some("id"))), "{event}");
    }
}

#[test]
fn the_sender_is_read_from_two_headers() {
    let known = ["https://app.example".to_owned()];
    let sender = |headers: Value| of(&json!({"headers": headers}), |one| one.sender(&known));
    assert_eq!(
        sender(json!({"Origin": "https://app.example"})),
        Sender::Known
    );
    assert_eq!(
        sender(json!({"Sec-Fetch-Site": "same-origin"})),
        Sender::Known
    );
    assert_eq!(
        sender(json!({"Origin": "https://evil.example"})),
        Sender::Foreign
    );
    assert_eq!(
        sender(json!({"Sec-Fetch-Site": "cross-site"})),
        Sender::Foreign
    );
    assert_eq!(sender(json!({})), Sender::Unsaid);
}

#[test]
fn the_address_is_what_the_gateway_reports() {
    let forwarded = |context: Value, list: Value| json!({"headers": {"X-Forwarded-For": list}, "requestContext": context});
    let (rest, http) = (
        json!({"sourceIp": "192.0.2.1"}),
        json!({"sourceIp": "192.0.2.2"}),
    );
    for (event, expected) in [
        (
            json!({"requestContext": {"identity": rest}}),
            Some("192.0.2.1"),
        ),
        (json!({"requestContext": {"http": http}}), Some("192.0.2.2")),
        (
            json!({"requestContext": {"identity": rest, "http": http}}),
            Some("192.0.2.1"),
        ),
        // A client can send this header to API Gateway.
        (forwarded(json!({}), json!("192.0.2.3")), None),
        (
            forwarded(json!({"identity": rest, "elb": {}}), json!("192.0.2.3")),
            Some("192.0.2.1"),
        ),
        (
            forwarded(json!({"elb": {}}), json!("192.0.2.3, 192.0.2.4 ")),
            Some("192.0.2.4"),
        ),
        (
            forwarded(json!({"elb": {}}), json!("192.0.2.3")),
            Some("192.0.2.3"),
        ),
        (forwarded(json!({"elb": {}}), json!("192.0.2.3, ")), None),
        (forwarded(json!({"elb": {}}), json!("")), None),
        (json!({"requestContext": {"elb": {}}}), None),
    ] {
        let address = of(&event, |one| one.source_ip().map(String::from));
        assert_eq!(address.as_deref(), expected, "{event}");
    }
}

fn with_body(body: &Value, encoded: &Value) -> Value {
    json!({"body": body, "isBase64Encoded": encoded})
}

#[test]
fn a_body_is_an_object_of_at_most_16_kilobytes() {
    use RequestError::{Malformed, TooLarge};
    let padded = |length: usize| {
        let text = json!({"a": "x".repeat(length - 8)}).to_string();
        assert_eq!(text.len(), length);
        text
    };
    let no = json!(false);
    for (event, expected) in [
        (
            with_body(&json!(r#"{"a":"b"}"#), &no),
            Ok(r#"{"a":"b"}"#.to_owned()),
        ),
        (
            with_body(&json!(" \n{\"a\":\"b\"}"), &no),
            Ok(r#"{"a":"b"}"#.to_owned()),
        ),
        (
            with_body(&json!(r#"{"a":"b"}"#), &Value::Null),
            Ok(r#"{"a":"b"}"#.to_owned()),
        ),
        (
            json!({"body": r#"{"a":"b"}"#}),
            Ok(r#"{"a":"b"}"#.to_owned()),
        ),
        (
            with_body(&json!("eyJhIjoiYiJ9"), &json!(true)),
            Ok(r#"{"a":"b"}"#.to_owned()),
        ),
        (with_body(&json!("eyJhIjoiYiJ9"), &no), Err(Malformed)),
        (
            with_body(&json!(r#"{"a":"b"}"#), &json!(true)),
            Err(Malformed),
        ),
        (
            with_body(&json!(r#"{"a":"b"}"#), &json!("false")),
            Err(Malformed),
        ),
        (with_body(&json!(r#"{"a":"b"}"#), &json!(0)), Err(Malformed)),
        (with_body(&Value::Null, &no), Ok("{}".to_owned())),
        (with_body(&json!(""), &no), Ok("{}".to_owned())),
        (json!({}), Ok("{}".to_owned())),
        (with_body(&json!({"a": "b"}), &no), Err(Malformed)),
        (with_body(&json!(r#"["b"]"#), &no), Err(Malformed)),
        (with_body(&json!("{"), &no), Err(Malformed)),
        (with_body(&json!("null"), &no), Err(Malformed)),
        (
            with_body(&json!(padded(16 * 1024)), &no),
            Ok(padded(16 * 1024)),
        ),
        (with_body(&json!(padded(16 * 1024 + 1)), &no), Err(TooLarge)),
    ] {
        let read = of(&event, |one| one.json::<Value>());
        assert_eq!(read.map(|value| value.to_string()), expected, "{event}");
    }
    // An array would fill the members in order.
    let members = of(&with_body(&json!(r#"["b"]"#), &no), |one| {
        one.json::<BTreeMap<String, String>>()
    });
    assert_eq!(members, Err(Malformed));
}

#[test]
fn a_typed_body_has_the_type_of_json() {
    use RequestError::MediaType;
    let event = |content_type: Value, encoding: Value, body: Value| json!({"headers": {"Content-Type": content_type, "Content-Encoding": encoding}, "body": body});
    let body = || json!("{}");
    for (content_type, encoding, fits) in [
        (json!("application/json"), Value::Null, true),
        (json!("Application/JSON"), Value::Null, true),
        (json!("application/json; charset=UTF-8"), Value::Null, true),
        (
            json!("application/json ; charset=\"utf-8\"; x=y"),
            Value::Null,
            true,
        ),
        (json!("application/json; charset"), Value::Null, false),
        (
            json!("application/json; charset=latin1"),
            Value::Null,
            false,
        ),
        (
            json!("application/json; x=y; Charset=latin1"),
            Value::Null,
            false,
        ),
        (json!("application/json"), json!("identity"), true),
        (json!("application/json"), json!("gzip"), false),
        (json!("text/plain"), Value::Null, false),
        (json!("application/jsonp"), Value::Null, false),
        (json!(""), Value::Null, false),
        (Value::Null, Value::Null, false),
    ] {
        let event = event(content_type, encoding, body());
        let read = of(&event, |one| one.typed_json::<Value>());
        let expected = if fits { Ok(json!({})) } else { Err(MediaType) };
        assert_eq!(read, expected, "{event}");
        assert_eq!(
            of(&event, |one| one.is_of_type("application/json")),
            fits,
            "{event}"
        );
    }
    // A missing body has no type.
    for missing in [Value::Null, json!("")] {
        let event = event(json!("text/plain"), Value::Null, missing);
        assert!(of(&event, |one| one.is_empty()));
        assert_eq!(of(&event, |one| one.typed_json::<Value>()), Ok(json!({})));
    }
    assert!(of(&json!({}), |one| one.is_empty()));
    assert!(!of(&json!({"body": " "}), |one| one.is_empty()));
}

#[test]
fn a_form_has_decoded_fields() {
    use RequestError::{Malformed, TooLarge};
    let fields = |pairs: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Ok(pairs.iter().map(own).collect::<BTreeMap<_, _>>())
    };
    let largest = format!("a={}", "x".repeat(16 * 1024 - 2));
    for (body, expected) in [
        ("a=b&c=d", fields(&[("a", "b"), ("c", "d")])),
        ("a=b+c%26&&d", fields(&[("a", "b c&"), ("d", "")])),
        ("a+b=c=d", fields(&[("a b", "c=d")])),
        ("a=1&a=2", Err(Malformed)),
        ("a=1&%61=1", Err(Malformed)),
        ("a=1&A=2", fields(&[("A", "2"), ("a", "1")])),
        ("", fields(&[])),
        ("a=%ff", Err(Malformed)),
        ("%ff=a", Err(Malformed)),
        (&largest, fields(&[("a", &largest[2..])])),
        (&format!("{largest}x"), Err(TooLarge)),
    ] {
        let read = of(&with_body(&json!(body), &json!(false)), |one| one.form());
        assert_eq!(read, expected, "{body}");
    }
    let not_text = with_body(&json!("/w=="), &json!(true));
    assert_eq!(of(&not_text, |one| one.form()), Err(Malformed));
}

#[test]
fn each_error_has_its_status() {
    for (error, status, code) in [
        (RequestError::Malformed, 400, "bad_request"),
        (RequestError::TooLarge, 413, "body_too_large"),
        (RequestError::MediaType, 415, "unsupported_media_type"),
    ] {
        assert_eq!((error.status(), error.to_string().as_str()), (status, code));
    }
}

fn answer(response: &Response) -> Value {
    serde_json::to_value(response).unwrap()
}

#[test]
fn responses_are_not_cached() {
    let security = |content_type: &str| json!({"content-type": content_type, "cache-control": "no-store", "x-content-type-options": "nosniff"});
    let response = Response::json(201, &json!({"a": 1}));
    assert_eq!(response.status(), 201);
    assert_eq!(
        answer(&response),
        json!({"statusCode": 201, "headers": security("application/json; charset=utf-8"),
            "body": "{\"a\":1}", "isBase64Encoded": false})
    );
    let page = Response::html(404, "<p>".to_owned());
    assert_eq!(
        answer(&page),
        json!({"statusCode": 404, "headers": security("text/html; charset=utf-8"), "body": "<p>", "isBase64Encoded": false})
    );
    let header = Response::json(200, &Value::Null).with("location", "/x");
    assert_eq!(answer(&header)["headers"]["location"], "/x");
}

#[test]
fn problems_have_a_title_and_the_headers_of_their_status() {
    for (status, title) in [
        (400, "Bad Request"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (409, "Conflict"),
        (413, "Content Too Large"),
        (415, "Unsupported Media Type"),
        (429, "Too Many Requests"),
        (500, "Internal Server Error"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (418, "Error"),
    ] {
        let response = answer(&Response::problem(status, "a_code"));
        let headers = &response["headers"];
        assert_eq!(
            headers["content-type"],
            "application/problem+json; charset=utf-8"
        );
        let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        assert_eq!(
            body,
            json!({"title": title, "status": status, "code": "a_code"})
        );
        let scheme = headers.get("www-authenticate").and_then(Value::as_str);
        assert_eq!(scheme, (status == 401).then_some("Bearer"), "{status}");
        let retry = headers.get("retry-after").and_then(Value::as_str);
        assert_eq!(
            retry,
            matches!(status, 429 | 503).then_some("1"),
            "{status}"
        );
    }
    let detailed = answer(&Response::problem_with(409, "a_code", "a text"));
    let body: Value = serde_json::from_str(detailed["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["detail"], "a text");
    // Only an object has members.
    let list = Response::json(200, &json!([1]));
    assert_eq!(list.clone().with_member("a", "b"), list);
}

#[test]
fn cookies_are_for_the_site_alone() {
    let response = || Response::json(200, &Value::Null);
    let strict = |path: &str, rest: &str| {
        format!("id={rest}; Path={path}; Secure; HttpOnly; SameSite=Strict; ")
    };
    for (response, expected) in [
        (
            response().with_cookie("id", "a", 60),
            strict("/", "a") + "Max-Age=60",
        ),
        (
            response().with_cookie_at("/auth", "id", "a", 60),
            strict("/auth", "a") + "Max-Age=60",
        ),
        (
            response().without_cookie("id"),
            strict("/", "") + "Max-Age=0",
        ),
        (
            response().with_lax_cookie("id", "a", 60),
            "id=a; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60".to_owned(),
        ),
    ] {
        let rest = answer(&response);
        assert_eq!(rest["multiValueHeaders"], json!({"set-cookie": [expected]}));
        assert_eq!(rest.get("cookies"), None);
        let event = raw(&json!({"path": "/x"}));
        assert_eq!(
            response.clone().in_answer_to(&Request::read(&event)),
            response
        );
        // Payload 2.0 has a list.
        let event = raw(&json!({"rawPath": "/x"}));
        let http = answer(&response.in_answer_to(&Request::read(&event)));
        assert_eq!(http["cookies"], json!([expected]));
        assert_eq!(http.get("multiValueHeaders"), None);
    }
    let two = response().with_cookie("a", "1", 1).with_cookie("b", "2", 2);
    assert_eq!(
        answer(&two)["multiValueHeaders"]["set-cookie"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_load_balancer_gets_the_form_of_its_event() {
    let balancer = |headers: Value| {
        let mut event = json!({"path": "/x", "requestContext": {"elb": {"targetGroupArn": "arn"}}});
        let members = headers.as_object().unwrap().clone();
        event.as_object_mut().unwrap().extend(members);
        raw(&event)
    };
    let single = balancer(json!({"headers": {"host": "a.example"}}));
    let several = balancer(json!({"multiValueHeaders": {"host": ["a.example"]}}));
    let found = |event: &RawValue| Request::read(event).load_balancer();
    assert_eq!(found(&single), Some(LoadBalancer::SingleValue));
    assert_eq!(found(&several), Some(LoadBalancer::MultiValue));
    assert_eq!(found(&raw(&json!({"multiValueHeaders": {}}))), None);

    let none = Response::json(202, &json!({})).with("vary", "Origin");
    let one = none.clone().with_cookie("a", "1", 1);
    let two = one.clone().with_cookie("b", "2", 2);
    let to = |response: &Response, event: &RawValue| {
        let response = response.clone().in_answer_to(&Request::read(event));
        (response.status(), answer(&response))
    };
    for (response, cookies) in [(&none, 0), (&one, 1), (&two, 2)] {
        let (_, given) = to(response, &several);
        assert_eq!(given["statusDescription"], "202 Accepted");
        assert_eq!(given["isBase64Encoded"], false);
        assert_eq!(given.get("headers"), None, "{given}");
        let headers = given["multiValueHeaders"].as_object().unwrap();
        assert_eq!(headers["vary"], json!(["Origin"]));
        assert_eq!(
            headers["content-type"],
            json!(["application/json; charset=utf-8"])
        );
        let found = headers.get("set-cookie").and_then(Value::as_array);
        assert_eq!(found.map_or(0, Vec::len), cookies);

        let (status, given) = to(response, &single);
        assert_eq!(given.get("multiValueHeaders"), None, "{given}");
        let found = given["headers"].get("set-cookie").and_then(Value::as_str);
        match cookies {
            0 => assert_eq!((status, found), (202, None)),
            1 => assert!(status == 202 && found.unwrap().starts_with("a=1; ")),
            // Not one of two cookies.
            _ => {
                assert_eq!((status, found), (500, None));
                assert_eq!(given["statusDescription"], "500 Internal Server Error");
            }
        }
    }
    assert!(Response::multi_value_headers_needed().status() == 500);
}

#[test]
fn the_caller_is_a_user_of_the_pool() {
    let context = json!({"sub": "s-1", "client_id": "c-1", "session": "o-1", "auth_time": "7", "issuer": "pool"});
    let caller = |changes: Value, pool: &str| {
        let mut context = context.clone();
        for (name, value) in changes.as_object().unwrap() {
            context[name] = value.clone();
        }
        let event = raw(&json!({"requestContext": {"authorizer": context}}));
        let caller = Caller::of(&Request::read(&event), pool)?;
        Some((
            caller.subject,
            caller.client_id,
            caller.session,
            caller.authenticated_at,
        ))
    };
    let known = |session: Option<&str>| {
        let session = session.map(str::to_owned);
        Some(("s-1".to_owned(), "c-1".to_owned(), session, UnixSeconds(7)))
    };
    assert_eq!(caller(json!({}), "pool"), known(Some("o-1")));
    assert_eq!(caller(json!({"auth_time": 7}), "pool"), known(Some("o-1")));
    assert_eq!(caller(json!({"session": null}), "pool"), known(None));
    assert_eq!(caller(json!({"session": ""}), "pool"), known(None));
    for (changes, pool) in [
        (json!({}), "other"),
        (json!({"issuer": null}), "pool"),
        (json!({"issuer": ""}), ""),
        (json!({"sub": ""}), "pool"),
        (json!({"sub": true}), "pool"),
        (json!({"client_id": null}), "pool"),
        (json!({"auth_time": "x"}), "pool"),
        (json!({"auth_time": -1}), "pool"),
    ] {
        assert_eq!(caller(changes.clone(), pool), None, "{changes}");
    }
}
