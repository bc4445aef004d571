//! The authorizer behind WebSocket APIs, HTTP APIs 1.0 and 2.0 and AppSync, and with tokens outside of
//! the Authorization header.

use auth_tests::{Authorizer, Verdict, request_event};
use serde_json::{Value, json};
use testkit::Pool;

fn token() -> String {
    Pool::ours().access_token().build()
}

fn bearer() -> String {
    format!("Bearer {}", token())
}

fn connect(headers: Value, query: Value) -> Value {
    json!({
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/$connect",
        "headers": headers,
        "multiValueHeaders": null,
        "queryStringParameters": query,
        "requestContext": {"routeKey": "$connect", "eventType": "CONNECT", "stage": "prod",
            "connectionId": "IXA2BcW4CYcCIhQ=", "apiId": "abcdef123",
            "identity": {"sourceIp": "203.0.113.7"}},
    })
}

#[tokio::test]
async fn web_socket_connections_are_authorized() {
    use Verdict::{Allow, Deny, Unauthorized};
    let authorizer = Authorizer::start_with(&[(
        "ALLOWED_ORIGINS",
        "https://app.example.com,http://localhost:8080",
    )])
    .await;
    let protocol = |value: String| json!({"Sec-WebSocket-Protocol": value});
    let from = |origin: &str| json!({"Authorization": bearer(), "Origin": origin});
    let rows = [
        (
            "Authorization header",
            connect(json!({"Authorization": bearer()}), json!(null)),
            Allow,
        ),
        (
            "query parameter",
            connect(json!({}), json!({"access_token": token()})),
            Allow,
        ),
        (
            "subprotocol",
            connect(protocol(format!("bearer, {}", token())), json!({})),
            Allow,
        ),
        (
            "subprotocol without a space",
            connect(protocol(format!("bearer,{}", token())), json!({})),
            Allow,
        ),
        (
            "subprotocol without the marker",
            connect(protocol(token()), json!({})),
            Unauthorized,
        ),
        (
            "subprotocol without a token",
            connect(protocol("bearer".to_owned()), json!({})),
            Unauthorized,
        ),
        (
            "subprotocol with two tokens",
            connect(protocol(format!("bearer, {0}, {0}", token())), json!({})),
            Unauthorized,
        ),
        ("no token", connect(json!({}), json!({})), Unauthorized),
        (
            "empty query parameter",
            connect(json!({}), json!({"access_token": ""})),
            Unauthorized,
        ),
        (
            "query parameter with a trailing space",
            connect(json!({}), json!({"access_token": format!("{} ", token())})),
            Unauthorized,
        ),
        (
            "two tokens",
            connect(
                json!({"Authorization": bearer()}),
                json!({"access_token": token()}),
            ),
            Unauthorized,
        ),
        (
            "allowed origin",
            connect(from("https://app.example.com"), json!(null)),
            Allow,
        ),
        (
            "allowed origin",
            connect(from("http://localhost:8080"), json!(null)),
            Allow,
        ),
        (
            "foreign origin",
            connect(from("https://evil.example"), json!(null)),
            Deny,
        ),
        (
            "foreign origin",
            connect(from("https://app.example.com.evil.example"), json!(null)),
            Deny,
        ),
        ("null origin", connect(from("null"), json!(null)), Deny),
        ("empty origin", connect(from(""), json!(null)), Deny),
    ];
    for (case, event, expected) in rows {
        assert_eq!(
            authorizer.verdict(&event).await,
            expected,
            "{case} {event:.200}"
        );
    }
    let answer = authorizer
        .binary
        .invoke(&connect(from("https://evil.example"), json!(null)))
        .await
        .answer();
    let resource = &answer["policyDocument"]["Statement"][0]["Resource"][0];
    assert!(resource.as_str().unwrap().ends_with("/prod/$connect"));
}

fn http_event() -> Value {
    json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef123/$default/GET/users/7",
        "identitySource": [bearer()],
        "routeKey": "GET /users/{id}",
        "rawPath": "/users/7",
        "rawQueryString": "",
        "cookies": ["theme=dark"],
        "headers": {"authorization": bearer(), "host": "abcdef123.execute-api.us-east-1.amazonaws.com"},
        "requestContext": {"accountId": "123456789012", "apiId": "abcdef123", "stage": "$default",
            "http": {"method": "GET", "path": "/users/7", "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7", "userAgent": "curl"}},
        "pathParameters": {"id": "7"},
    })
}

#[tokio::test]
async fn http_api_2_gets_an_iam_policy() {
    let authorizer = Authorizer::start().await;
    let answer = authorizer.binary.invoke(&http_event()).await.answer();
    assert_eq!(
        answer["policyDocument"]["Statement"],
        json!([{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": [
            "arn:aws:execute-api:us-east-1:123456789012:abcdef123/$default/GET/users/7"]}])
    );
    let mut event = http_event();
    event["routeKey"] = json!("$default");
    assert_eq!(authorizer.verdict(&event).await, Verdict::Allow);
    event["routeArn"] =
        json!("arn:aws:execute-api:us-east-1:123456789012:abcdef123/$default/GET/admin/x");
    assert_eq!(
        authorizer.verdict(&event).await,
        Verdict::Deny,
        "decided by the path"
    );
    event["headers"]["authorization"] = json!(format!("{0},{0}", bearer()));
    assert_eq!(
        authorizer.verdict(&event).await,
        Verdict::Unauthorized,
        "joined"
    );
    event.as_object_mut().unwrap().remove("routeArn");
    event["headers"]["authorization"] = json!(bearer());
    assert_eq!(authorizer.verdict(&event).await, Verdict::Failure);
}

#[tokio::test]
async fn http_api_2_gets_a_simple_response() {
    let authorizer = Authorizer::start_with(&[("HTTP_API_RESPONSE", "simple")]).await;
    let answer = authorizer.binary.invoke(&http_event()).await.answer();
    assert_eq!(answer["isAuthorized"], true, "a boolean");
    assert_eq!(answer["context"]["username"], "ada");
    let mut event = http_event();
    event["routeKey"] = json!("GET /admin/{x}");
    let answer = authorizer.binary.invoke(&event).await.answer();
    assert_eq!(answer, json!({"isAuthorized": false, "context": {}}));
    event["headers"] = json!({});
    assert!(authorizer.binary.invoke(&event).await.is_unauthorized());
    // A REST API that calls the same function gets its own response format.
    assert_eq!(
        authorizer.verdict(&request_event(&bearer())).await,
        Verdict::Allow
    );
}

#[tokio::test]
async fn http_api_1_gets_an_iam_policy() {
    let authorizer = Authorizer::start().await;
    let mut event = request_event(&bearer());
    event["version"] = json!("1.0");
    event["identitySource"] = json!(bearer());
    event["authorizationToken"] = json!(bearer());
    assert_eq!(authorizer.verdict(&event).await, Verdict::Allow);
    event["authorizationToken"] = json!("a,b");
    assert_eq!(
        authorizer.verdict(&event).await,
        Verdict::Allow,
        "the header decides"
    );
    event["headers"] = json!(null);
    event["multiValueHeaders"] = json!(null);
    assert_eq!(authorizer.verdict(&event).await, Verdict::Unauthorized);
}

#[tokio::test]
async fn app_sync_gets_its_own_response() {
    let authorizer = Authorizer::start().await;
    let ask = |authorization: &str| {
        json!({
            "authorizationToken": authorization,
            "requestContext": {"apiId": "aaaaaa123123123example123", "accountId": "111122223333",
                "requestId": "f4081827-1111-4444-5555-5cf4695f339f",
                "queryString": "query { me { id } }", "operationName": "Me", "variables": {}},
            "requestHeaders": {"host": "x.appsync-api.us-east-1.amazonaws.com"},
        })
    };
    for authorization in [token(), bearer()] {
        let answer = authorizer
            .binary
            .invoke(&ask(&authorization))
            .await
            .answer();
        assert_eq!(answer["isAuthorized"], true);
        assert_eq!(answer["ttlOverride"], 0);
        assert!(
            answer["resolverContext"]
                .as_object()
                .unwrap()
                .values()
                .all(Value::is_string)
        );
    }
    let refused = json!({"isAuthorized": false, "resolverContext": {}, "ttlOverride": 0});
    for authorization in ["", "x", "Bearer x", "a.b.c"] {
        let answer = authorizer.binary.invoke(&ask(authorization)).await.answer();
        assert_eq!(answer, refused, "{authorization}");
    }
    authorizer
        .store
        .set_fault(testkit::server::Fault::Answer(500, "{}".to_owned()));
    assert!(authorizer.binary.invoke(&ask(&token())).await.is_failure());
}

#[tokio::test]
async fn token_sources_are_configurable() {
    use Verdict::{Allow, Deny, Unauthorized};
    let with = |headers: Value, query: Value| {
        let mut event = request_event("");
        event["headers"] = headers;
        event["multiValueHeaders"] = json!(null);
        event["queryStringParameters"] = query;
        event
    };
    let cookie = |text: String| with(json!({"Cookie": text}), json!(null));
    let name = "__Host-access_token";
    let authorizer = Authorizer::start_with(&[
        ("TOKEN_SOURCES", "header,cookie"),
        ("ALLOWED_ORIGINS", "https://app.example.com"),
    ])
    .await;
    let rows = [
        ("cookie", cookie(format!("{name}={}", token())), Allow),
        (
            "cookie among others",
            cookie(format!("a=b; {name}={}; c=d", token())),
            Allow,
        ),
        (
            "two cookies of one name",
            cookie(format!("{name}={0}; {name}={0}", token())),
            Unauthorized,
        ),
        (
            "cookie with a longer name",
            cookie(format!("X{name}={}", token())),
            Unauthorized,
        ),
        (
            "quoted cookie",
            cookie(format!("{name}=\"{}\"", token())),
            Unauthorized,
        ),
        ("empty cookie", cookie(format!("{name}=")), Unauthorized),
        (
            "cookie and header",
            with(
                json!({"Cookie": format!("{name}={}", token()), "Authorization": bearer()}),
                json!(null),
            ),
            Unauthorized,
        ),
        (
            "header and a query parameter that is not a source",
            with(
                json!({"Authorization": bearer()}),
                json!({"access_token": "x"}),
            ),
            Allow,
        ),
        (
            "query parameter that is not a source",
            with(json!({}), json!({"access_token": token()})),
            Unauthorized,
        ),
    ];
    for (case, event, expected) in rows {
        assert_eq!(
            authorizer.verdict(&event).await,
            expected,
            "{case} {event:.300}"
        );
    }
    let mut event = http_event();
    event["headers"] = json!({});
    event["cookies"] = json!(["a=b", format!("{name}={}", token())]);
    assert_eq!(authorizer.verdict(&event).await, Allow);
    event["cookies"] = json!([format!("{name}={}", token()), format!("{name}=x")]);
    assert_eq!(authorizer.verdict(&event).await, Unauthorized);

    // A browser adds the cookie to the requests of any page.
    let app = "https://app.example.com";
    let rows = [
        (json!({"Origin": app}), Allow),
        (json!({"Origin": app, "Sec-Fetch-Site": "same-site"}), Allow),
        (
            json!({"Origin": "https://api.example.com", "Sec-Fetch-Site": "same-origin"}),
            Allow,
        ),
        (json!({"Sec-Fetch-Site": "same-origin"}), Allow),
        (json!({}), Deny),
        (json!({"Sec-Fetch-Site": "none"}), Deny),
        (json!({"Sec-Fetch-Site": "same-site"}), Deny),
        (json!({"Origin": "https://evil.example.com"}), Deny),
        (
            json!({"Origin": "https://evil.example.com", "Sec-Fetch-Site": "same-site"}),
            Deny,
        ),
        (
            json!({"Origin": "null", "Sec-Fetch-Site": "cross-site"}),
            Deny,
        ),
        (
            json!({"Origin": "null", "Sec-Fetch-Site": "same-origin"}),
            Deny,
        ),
        (
            json!({"Origin": app, "origin": "https://evil.example.com"}),
            Deny,
        ),
    ];
    for (headers, expected) in rows {
        for verb in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
            let mut headers = headers.clone();
            headers["Cookie"] = json!(format!("{name}={}", token()));
            let mut event = with(headers, json!(null));
            event["methodArn"] = json!(auth_tests::METHOD_ARN.replace("GET", verb));
            assert_eq!(
                authorizer.verdict(&event).await,
                expected,
                "{verb} {event:.300}"
            );
            let mut http = http_event();
            http["headers"] = event["headers"].clone();
            http["routeArn"] = event["methodArn"].clone();
            http["routeKey"] = json!("ANY /whoami");
            assert_eq!(
                authorizer.verdict(&http).await,
                expected,
                "{verb} {http:.300}"
            );
        }
        for verb in ["GET", "HEAD", "OPTIONS"] {
            let mut headers = headers.clone();
            headers["Cookie"] = json!(format!("{name}={}", token()));
            let mut event = with(headers, json!(null));
            event["methodArn"] = json!(auth_tests::METHOD_ARN.replace("GET", verb));
            assert_eq!(
                authorizer.verdict(&event).await,
                Allow,
                "{verb} {event:.300}"
            );
        }
    }
    assert!(authorizer.binary.output().contains("foreign_origin"));
    // The Authorization header is set by the client's own code; a browser never adds it.
    let headers = json!({"Authorization": bearer(), "Origin": "https://evil.example.com"});
    let mut event = with(headers, json!(null));
    event["methodArn"] = json!(auth_tests::METHOD_ARN.replace("GET", "POST"));
    assert_eq!(authorizer.verdict(&event).await, Allow);

    let authorizer = Authorizer::start_with(&[("TOKEN_SOURCES", "query")]).await;
    let rows = [
        (with(json!({}), json!({"access_token": token()})), Allow),
        (
            with(json!({"Authorization": bearer()}), json!({})),
            Unauthorized,
        ),
        (
            with(
                json!({"Authorization": "Basic x"}),
                json!({"access_token": token()}),
            ),
            Allow,
        ),
    ];
    for (event, expected) in rows {
        assert_eq!(authorizer.verdict(&event).await, expected, "{event:.200}");
    }
}
