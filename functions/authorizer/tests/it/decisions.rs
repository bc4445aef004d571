//! Decisions with keys and revocations in memory.

use api_gateway::routes::{Route, RouteTable};
use auth::memory::{MemoryKeys, MemoryRevocations};
use auth::{RevocationContext, RevocationWriter, UnixSeconds, UserRef};
use authorizer::policy_scope::PolicyScope;
use authorizer::{Authorizer, Config};
use runtime::{Handler, InvocationError};
use serde_json::{Value, json};
use testkit::{Pool, TokenBuilder, events, iam, now};

const API: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod";
const SUBJECT: &str = "a1b2c3d4-5678-90ab-cdef-example11111";
const SESSION: &str = "0a1b2c3d-session-example-000000000001";
const TOKEN_ID: &str = "9f8e7d6c-token-example-0000000000001";

fn authorizer(store: &MemoryRevocations) -> Authorizer<MemoryKeys, MemoryRevocations> {
    authorizer_with(store, &[])
}

fn authorizer_with(
    store: &MemoryRevocations,
    variables: &[(&str, &str)],
) -> Authorizer<MemoryKeys, MemoryRevocations> {
    crate::in_memory(variables, store.clone())
}

/// The effect of the answer, or the error.
async fn decision(
    authorizer: &Authorizer<MemoryKeys, MemoryRevocations>,
    token: &TokenBuilder<'_>,
) -> Result<String, InvocationError> {
    let mut event = events::sample("authorizer/rest-token");
    event["authorizationToken"] = format!("Bearer {}", token.build()).into();
    crate::effect(authorizer, &event).await
}

/// An authorizer whose policy covers these routes.
fn of_all_routes(routes: &[(&str, &str)]) -> Authorizer<MemoryKeys, MemoryRevocations> {
    let routes = routes.iter();
    let routes = routes.map(|(verb, template)| Route::parse(verb, template).unwrap());
    let mut config = Config::from_lookup(&events::variables(&[])).unwrap();
    config.settings.scope = PolicyScope::Api(RouteTable::new(routes.collect()).unwrap());
    crate::over(config, MemoryRevocations::default())
}

#[tokio::test]
async fn answers_the_sample_of_a_token_authorizer() {
    let authorizer = authorizer(&MemoryRevocations::default());
    let token = Pool::ours().access_token();
    let mut event = events::sample("authorizer/rest-token");
    event["authorizationToken"] = format!("Bearer {}", token.build()).into();
    let answer = authorizer.handle(&events::raw(&event), "request-1").await;
    let mut answer: Value = serde_json::from_str(answer.unwrap().get()).unwrap();
    let since = answer["context"]["auth_time"].take();
    assert!(since.as_str().unwrap().parse::<u64>().unwrap() <= now() - 60);
    answer["context"]["auth_time"] = "{{AUTH_TIME}}".into();
    assert_eq!(answer, events::sample("authorizer/rest-token.expected"));
}

/// With `POLICY_SCOPE=api` the policy of `/{area}/{page}` covers the denied `/admin/users` by other spellings.
#[tokio::test]
async fn another_spelling_of_a_denied_route_is_not_allowed() {
    let routes = [("GET", "/{area}/{page}"), ("GET", "/admin/users")];
    let authorizer = of_all_routes(&routes);
    let user = Pool::ours().access_token();
    let admin = user.clone().claim("cognito:groups", json!(["admins"]));
    let allows = async |token: &TokenBuilder<'_>, template: &str, path: &str| {
        let mut event = events::sample("authorizer/rest-request").to_string();
        event = event.replace("{{ACCESS_TOKEN}}", &token.build());
        let mut event: Value = serde_json::from_str(&event).unwrap();
        let arn = format!("{API}/GET{path}");
        event["methodArn"] = json!(arn);
        event["resource"] = json!(template);
        let answer = authorizer.handle(&events::raw(&event), "request-1").await?;
        let answer: Value = serde_json::from_str(answer.get()).unwrap();
        Ok(iam::allows(&answer["policyDocument"], &arn))
    };
    let rows = [
        ("/{area}/{page}", "/shop/users", Ok(true), Ok(true)),
        ("/{area}/{page}", "/shop/us%65rs", Ok(true), Ok(true)),
        ("/{area}/{page}", "/shop/users/", Ok(true), Ok(true)),
        ("/admin/users", "/admin/users", Ok(false), Ok(true)),
        ("/admin/users", "/admin/users/", Ok(false), Ok(true)),
        (
            "/admin/users",
            "/%61dmin/users",
            Err(InvocationError::Internal),
            Ok(true),
        ),
        (
            "/admin/users",
            "/admin/user%73/",
            Err(InvocationError::Internal),
            Ok(true),
        ),
        (
            "/admin/users",
            "/admin//users",
            Err(InvocationError::Internal),
            Ok(true),
        ),
    ];
    for (template, path, of_user, of_admin) in rows {
        assert_eq!(allows(&user, template, path).await, of_user, "{path}");
        assert_eq!(allows(&admin, template, path).await, of_admin, "{path}");
    }
}

#[tokio::test]
async fn every_kind_of_revocation_refuses_the_token() {
    let user = UserRef {
        issuer: Pool::ours().id,
        subject: SUBJECT,
    };
    let now = UnixSeconds(now());
    let context = &RevocationContext {
        reason: "test",
        actor: "test",
        at: now,
        refresh_token_ttl_seconds: 3_600,
    };
    let allowed = Ok("Allow".to_owned());
    let token = Pool::ours().access_token();
    for kind in [
        "session", "token", "sessions", "refresh", "disabled", "client", "issuer",
    ] {
        let store = MemoryRevocations::default();
        let authorizer = authorizer(&store);
        assert_eq!(
            decision(&authorizer, &token).await,
            allowed,
            "{kind}: before"
        );
        let client = auth::ClientRef {
            issuer: user.issuer,
            client_id: Pool::ours().client_id,
        };
        let written = match kind {
            "session" => store.revoke_session(&user.session(SESSION), context).await,
            "token" => store.revoke_token(&user.token(TOKEN_ID), context).await,
            "sessions" => store.revoke_user_sessions(&user, now, context).await,
            "refresh" => store.require_refresh(&user, now, context).await,
            "disabled" => store.disable_user(&user, now, context).await,
            "client" => store.revoke_client(&client, now, context).await,
            _ => store.revoke_issuer(&user.issuer_ref(), now, context).await,
        };
        written.unwrap();
        let refused = Err(InvocationError::Unauthorized);
        assert_eq!(decision(&authorizer, &token).await, refused, "{kind}");
    }
}

#[tokio::test]
async fn a_store_or_key_set_that_is_not_available_allows_nothing() {
    let store = MemoryRevocations::default();
    let authorizer = authorizer(&store);
    let token = Pool::ours().access_token();
    store.set_available(false);
    let failed = Err(InvocationError::Internal);
    assert_eq!(decision(&authorizer, &token).await, failed);
    store.set_available(true);
    assert_eq!(decision(&authorizer, &token).await, Ok("Allow".to_owned()));
}

#[tokio::test]
async fn refuses_other_credentials_and_allows_a_good_one_after_each() {
    let authorizer = authorizer(&MemoryRevocations::default());
    let ours = Pool::ours();
    let good = ours.access_token();
    let rows = [
        ("another pool", Pool::foreign().access_token()),
        ("expired", ours.access_token().claim("exp", now() - 1)),
        (
            "another issuer",
            ours.access_token().claim("iss", "https://issuer.example"),
        ),
        (
            "another client",
            ours.access_token().claim("client_id", "other"),
        ),
        ("an ID token", ours.id_token()),
        ("no subject", ours.access_token().claim("sub", json!(null))),
    ];
    for (name, token) in rows {
        let refused = Err(InvocationError::Unauthorized);
        assert_eq!(decision(&authorizer, &token).await, refused, "{name}");
        assert_eq!(
            decision(&authorizer, &good).await,
            Ok("Allow".to_owned()),
            "{name}: after"
        );
    }
    for sample in [
        "rest-request-without-credential",
        "rest-request-null-headers",
    ] {
        let event = events::raw(&events::sample(&format!("authorizer/{sample}")));
        let answer = authorizer.handle(&event, "request-1").await;
        assert_eq!(
            answer.err(),
            Some(InvocationError::Unauthorized),
            "{sample}"
        );
    }
}

/// A folder with the repository's schema and these policies.
fn policy_folder(name: &str, policies: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../policies/schema.cedarschema"
    );
    std::fs::copy(schema, folder.join("schema.cedarschema")).unwrap();
    std::fs::write(folder.join("test.cedar"), policies).unwrap();
    folder.to_str().unwrap().to_owned()
}

/// A `forbid` for a network would not apply to a request without an address.
#[tokio::test]
async fn where_a_rule_uses_addresses_each_request_needs_one() {
    let folder = policy_folder(
        "addresses",
        "permit (principal, action, resource);
        forbid (principal, action, resource)
        when { context has source_ip && context.source_ip.isInRange(ip(\"198.51.100.0/24\")) };",
    );
    let store = MemoryRevocations::default();
    let authorizer = authorizer_with(&store, &[("POLICIES_DIR", &folder)]);
    let token = format!("Bearer {}", Pool::ours().access_token().build());
    for (address, expected) in [
        (json!("203.0.113.7"), "Allow"),
        (json!("2001:db8::1"), "Allow"),
        (json!("198.51.100.7"), "Deny"),
        (json!("::ffff:198.51.100.7"), "Deny"),
        (json!("198.51.100.0/24"), "Deny"),
        (json!("198.51.100.7:443"), "Deny"),
        (json!(""), "Deny"),
        (json!(7), "Deny"),
        (json!(null), "Deny"),
    ] {
        let mut event = events::sample("authorizer/rest-request");
        event["headers"] = json!({"Authorization": token});
        event["multiValueHeaders"] = json!({"Authorization": [token]});
        event["requestContext"]["identity"]["sourceIp"] = address.clone();
        let answer = authorizer.handle(&events::raw(&event), "request-1").await;
        let answer: Value = serde_json::from_str(answer.unwrap().get()).unwrap();
        let effect = &answer["policyDocument"]["Statement"][0]["Effect"];
        assert_eq!(effect, expected, "{address}");
    }
    // Events of a TOKEN authorizer have no address.
    let answer = decision(&authorizer, &Pool::ours().access_token()).await;
    assert_eq!(answer, Ok("Allow".to_owned()));
}

/// A REST API's event with this bearer token.
fn rest_event(token: &str, method: &str, template: &str) -> Value {
    let mut event = events::sample("authorizer/rest-request");
    let header = format!("Bearer {token}");
    event["headers"] = json!({"Authorization": header});
    event["multiValueHeaders"] = json!({"Authorization": [header]});
    event["methodArn"] = json!(format!("{API}/{method}"));
    event["resource"] = json!(template);
    event
}

/// A WebSocket has the token in its query, and no route; a path of a REST API may look like one.
#[tokio::test]
async fn a_path_that_ends_as_a_web_sockets_arn_is_a_path() {
    let folder = policy_folder(
        "web-socket-paths",
        "permit (principal, action, resource);
        forbid (principal, action == Gatehouse::Action::\"delete /auth/sessions/{id}\", resource);",
    );
    let variables = [("POLICIES_DIR", folder.as_str())];
    let authorizer = authorizer_with(&MemoryRevocations::default(), &variables);
    let token = Pool::ours().access_token().build();
    let template = "/auth/sessions/{id}";
    let event = rest_event(&token, "DELETE/auth/sessions/$connect", template);
    let effect = crate::effect(&authorizer, &event).await;
    assert_eq!(effect, Ok("Deny".to_owned()), "the route's rule applies");

    for method in ["GET/auth/sessions/$connect", "GET/$connect"] {
        let mut event = rest_event(&token, method, "/{proxy+}");
        let effect = crate::effect(&authorizer, &event).await;
        assert_eq!(effect, Ok("Allow".to_owned()), "{method}");
        event["headers"] = json!({"Authorization": "Bearer"});
        event["multiValueHeaders"] = json!({"Authorization": ["Bearer"]});
        event["queryStringParameters"] = json!({"access_token": token});
        event["multiValueQueryStringParameters"] = json!({"access_token": [token]});
        let refused = crate::effect(&authorizer, &event).await;
        let unauthorized = Err(InvocationError::Unauthorized);
        assert_eq!(
            refused, unauthorized,
            "{method} with the token in the query"
        );
    }
}

#[tokio::test]
async fn a_cached_policy_for_such_a_path_covers_all_routes() {
    let routes = [("GET", "/files/{name}"), ("GET", "/whoami")];
    let authorizer = of_all_routes(&routes);
    let token = Pool::ours().access_token().build();
    let event = rest_event(&token, "GET/files/$connect", "/files/{name}");
    let answer = authorizer.handle(&events::raw(&event), "request-1").await;
    let answer: Value = serde_json::from_str(answer.unwrap().get()).unwrap();
    for path in ["files/$connect", "whoami"] {
        let arn = format!("{API}/GET/{path}");
        assert!(iam::allows(&answer["policyDocument"], &arn), "{path}");
    }
}

/// A `forbid` for the value of a parameter does not apply to a request without it.
#[tokio::test]
async fn where_a_rule_uses_parameters_each_request_has_clear_ones() {
    let folder = policy_folder(
        "parameters",
        "permit (principal, action, resource);
        forbid (principal, action, resource)
        when { resource.hasTag(\"username\") && resource.getTag(\"username\") == \"ada\" };",
    );
    let variables = [("POLICIES_DIR", folder.as_str())];
    let authorizer = authorizer_with(&MemoryRevocations::default(), &variables);
    let token = Pool::ours().access_token().build();
    let template = "/admin/users/{username}";
    for (parameters, expected) in [
        (json!({"username": "bob"}), "Allow"),
        (json!({"username": "bob%40example.com"}), "Allow"),
        (json!({"username": "ada"}), "Deny"),
        (json!({"username": "%61da"}), "Deny"),
        (json!({"username": "ad%2561"}), "Deny"),
        (json!({"username": "bob%2F..%2Fada"}), "Deny"),
        (json!({"username": "bob/ada"}), "Deny"),
        (json!({"username": "bob;ada"}), "Deny"),
        (json!({"username": "%zz"}), "Deny"),
        (json!({"username": 7}), "Deny"),
        (json!({"user": "bob"}), "Deny"),
        (json!({}), "Deny"),
        (json!(null), "Deny"),
    ] {
        let mut event = rest_event(&token, "DELETE/admin/users/x", template);
        event["pathParameters"] = parameters.clone();
        let effect = crate::effect(&authorizer, &event).await;
        assert_eq!(effect.as_deref(), Ok(expected), "{parameters}");
    }
    let mut event = rest_event(&token, "GET/whoami", "/whoami");
    event["pathParameters"] = json!(null);
    let effect = crate::effect(&authorizer, &event).await;
    assert_eq!(effect, Ok("Allow".to_owned()), "a route without parameters");

    // An HTTP API sends them decoded: which reading a percent sign has is not known.
    for (username, expected) in [("bob", "Allow"), ("ada", "Deny"), ("%61da", "Deny")] {
        let mut event = rest_event(&token, "DELETE/admin/users/x", template);
        event["version"] = json!("1.0");
        event["pathParameters"] = json!({"username": username});
        let effect = crate::effect(&authorizer, &event).await;
        assert_eq!(effect.as_deref(), Ok(expected), "{username} of an HTTP API");
    }

    // The event of a TOKEN authorizer has no parameters: they are those of the route that serves the path.
    for (path, expected) in [
        ("admin/users/bob", "Allow"),
        ("admin/users/ada", "Deny"),
        ("admin/users/%61da", "Deny"),
        ("admin/users/ada/", "Deny"),
    ] {
        let mut event = events::sample("authorizer/rest-token");
        event["authorizationToken"] = format!("Bearer {token}").into();
        event["methodArn"] = json!(format!("{API}/DELETE/{path}"));
        let effect = crate::effect(&authorizer, &event).await;
        assert_eq!(effect.as_deref(), Ok(expected), "{path}");
    }
}

/// The backend reads what no rule looks at.
#[tokio::test]
async fn a_rule_about_claims_does_not_look_at_parameters() {
    let folder = policy_folder(
        "claims-only",
        "permit (principal, action, resource);
        forbid (principal is Gatehouse::User, action, resource)
        when { principal.hasTag(\"mfa\") && principal.getTag(\"mfa\") == \"false\" };",
    );
    let variables = [("POLICIES_DIR", folder.as_str())];
    let authorizer = authorizer_with(&MemoryRevocations::default(), &variables);
    let token = Pool::ours().access_token().build();
    for name in ["@scope%2Fpackage", "a;v=1", "100%", "."] {
        let mut event = rest_event(&token, "GET/admin/users/x", "/admin/users/{username}");
        event["pathParameters"] = json!({"username": name});
        let effect = crate::effect(&authorizer, &event).await;
        assert_eq!(effect.as_deref(), Ok("Allow"), "{name}");
    }
}

/// Two adjacent parameters leave the path open, as a greedy one does.
#[tokio::test]
async fn a_rule_about_paths_applies_to_adjacent_parameters() {
    let folder = policy_folder(
        "adjacent",
        "permit (principal, action, resource);
        forbid (principal, action, resource)
        when { context has path && context.path like \"/api/admin/*\" };",
    );
    let variables = [("POLICIES_DIR", folder.as_str())];
    let authorizer = authorizer_with(&MemoryRevocations::default(), &variables);
    let token = Pool::ours().access_token().build();
    for (path, expected) in [
        ("api/shop/x", "Allow"),
        ("api/admin/x", "Deny"),
        ("api/%61dmin/x", "Deny"),
        ("api/admin%2Fx/y", "Deny"),
    ] {
        let event = rest_event(&token, &format!("GET/{path}"), "/api/{area}/{page}");
        let effect = crate::effect(&authorizer, &event).await;
        assert_eq!(effect.as_deref(), Ok(expected), "{path}");
    }
}
