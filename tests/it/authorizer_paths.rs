//! Rules for a prefix of paths, and requests whose path could leave it.

use auth_tests::{Authorizer, Verdict};
use serde_json::json;
use testkit::TokenBuilder;

use crate::authorizer_rules::{call, in_groups, of_default_route, of_proxy, of_token, user};

#[tokio::test]
async fn rejects_paths_that_leave_a_prefix() {
    let authorizer = Authorizer::start().await;
    let of_any_route = |token: &TokenBuilder<'_>, path: &str| {
        let mut event = of_default_route(token, path);
        event["routeKey"] = json!("ANY /{proxy+}");
        event
    };
    let of_parameters =
        |token: &TokenBuilder<'_>, path: &str| call(token, "POST", "/{area}/{page}", path);
    let admin = in_groups(&["admins"]);
    for path in [
        "/admin/reports/..%2f..%2fpublic",
        "/admin/reports/%2e%2e/%2e%2e/public",
        "/admin/reports/../../public",
        "/admin/x/..%5c..%5cpublic",
        "/admin\\..\\x",
        "/x/../admin/y",
        "//admin/x",
        "/admin%2Fx",
        "/%2561dmin/x",
        "/admin;x/y",
        "/admin./x",
        "/%c0%ae%c0%ae/x",
        "/admin%00",
        "/x%zz",
    ] {
        // The path itself is rejected, also for an administrator.
        for token in [&user(), &admin] {
            let events = [
                of_token(token, path),
                of_default_route(token, path),
                of_proxy(token, path),
                of_any_route(token, path),
                of_parameters(token, path),
            ];
            for event in events {
                let verdict = authorizer.verdict(&event).await;
                assert_eq!(verdict, Verdict::Deny, "{path} {event:.200}");
            }
        }
    }
    assert!(authorizer.binary.output().contains("unclear_path"));
    for path in ["/admin/users/victim", "/%61dmin/x"] {
        let events = [
            (of_any_route(&user(), path), Verdict::Deny),
            (of_parameters(&user(), path), Verdict::Deny),
            (of_any_route(&admin, path), Verdict::Allow),
        ];
        for (event, expected) in events {
            assert_eq!(authorizer.verdict(&event).await, expected, "{path}");
        }
    }
    // If the route's template fixes the path, the parameter's value is left to the backend.
    let event = call(&user(), "GET", "/users/{id}", "/users/..%2fx");
    assert_eq!(authorizer.verdict(&event).await, Verdict::Allow);
}
