//! Policies that the input composes: what is found about them in their syntax trees is true of their decisions.

use std::sync::OnceLock;

use auth_cedar::{CedarPolicies, Request};
use testkit::Pool;

use crate::input::Input;
use crate::rules::{POLICIES, caller};
use crate::world::AT;

/// The deepest condition.
const MAX_DEPTH: usize = 4;

fn schema() -> &'static str {
    static SCHEMA: OnceLock<String> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        std::fs::read_to_string(format!("{POLICIES}/schema.cedarschema")).expect("the schema")
    })
}

/// Runs the target.
///
/// # Panics
/// A decision depends on a part of the request that the policies are said not to use.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut text = String::new();
    for _ in 0..=input.below(3) {
        let effect = input.pick(&["permit", "forbid"]);
        let scope = input.pick(&[
            "principal, action, resource",
            "principal is Gatehouse::User, action, resource",
            "principal in Gatehouse::UserGroup::\"us-east-1_Gatehouse|editors\", action, resource",
            "principal is Gatehouse::User in Gatehouse::Role::\"us-east-1_Gatehouse|writer\", action, resource",
            "principal, action == Gatehouse::Action::\"get /whoami\", resource",
        ]);
        let clause = input.pick(&["when", "unless"]);
        let condition = condition(&mut input, 0);
        text.push_str(&format!(
            "{effect} ({scope})\n{clause} {{ {condition} }};\n"
        ));
    }
    let own = input.text();
    if !own.is_empty() {
        text = own.into_owned();
    }
    let files = [("fuzzed.cedar".to_owned(), text)];
    let Ok(policies) = CedarPolicies::parse(schema(), &files, Pool::ours().id) else {
        return;
    };
    let Some(claims) = caller(&mut input) else {
        return;
    };
    let routes = ["/whoami", "/orders/{id}", "/{proxy+}", "/admin/users"];
    let request = Request {
        verb: "GET",
        route: input.pick(&routes),
        path: Some("/orders/7"),
        path_parameters: vec![("id".to_owned(), "7".to_owned())],
        source_ip: Some([192, 0, 2, 7].into()),
        now: AT,
    };
    let decision = policies.decide(&claims, &request);
    let same = |other: Request<'_>, what: &str| {
        assert_eq!(policies.decide(&claims, &other), decision, "{what}");
    };
    let paths = ["/", "/admin", "/orders/8", "/public/a"];
    if !policies.uses_path() {
        for path in paths {
            same(
                Request {
                    path: Some(path),
                    ..request.clone()
                },
                "a path",
            );
        }
        same(
            Request {
                path: None,
                ..request.clone()
            },
            "no path",
        );
    }
    let addresses = [[10, 0, 0, 1], [127, 0, 0, 1], [198, 51, 100, 2]];
    if !policies.uses_address() || policies.request_scoped_policy().is_none() {
        for address in addresses {
            let source_ip = Some(address.into());
            same(
                Request {
                    source_ip,
                    ..request.clone()
                },
                "an address",
            );
        }
        same(
            Request {
                source_ip: None,
                ..request.clone()
            },
            "no address",
        );
    }
    if !policies.uses_tags() || policies.request_scoped_policy().is_none() {
        for value in ["8", "", "ada", "a1b2c3d4-5678-90ab-cdef-example11111"] {
            let path_parameters = vec![("id".to_owned(), value.to_owned())];
            same(
                Request {
                    path_parameters,
                    ..request.clone()
                },
                "a parameter",
            );
        }
        same(
            Request {
                path_parameters: Vec::new(),
                ..request.clone()
            },
            "no parameter",
        );
    }
    if policies.request_scoped_policy().is_none() {
        for later in [1, 60, 3_600, 100_000] {
            same(
                Request {
                    now: AT.plus(later),
                    ..request.clone()
                },
                "a time",
            );
        }
    }
}

/// A condition that Cedar accepts, mostly.
fn condition(input: &mut Input<'_>, depth: usize) -> String {
    let kinds = if depth < MAX_DEPTH { 30 } else { 22 };
    let kind = input.below(kinds);
    let word = |input: &mut Input<'_>| {
        input.pick(&[
            "/orders/7",
            "7",
            "ada",
            "/admin",
            "*",
            "true",
            "editors",
            "/whoami",
        ])
    };
    let leaf = |template: &str, input: &mut Input<'_>| template.replace('W', word(input));
    let mut two = |join: &str| {
        let (one, other) = (condition(input, depth + 1), condition(input, depth + 1));
        format!("({one}) {join} ({other})")
    };
    match kind {
        22 | 23 => return two("&&"),
        24 | 25 => return two("||"),
        26 => return two("=="),
        27 => return format!("!({})", condition(input, depth + 1)),
        28 => {
            let parts: Vec<String> = (0..3).map(|_| condition(input, depth + 1)).collect();
            return format!("if {} then {} else {}", parts[0], parts[1], parts[2]);
        }
        29 => return format!("[{}].contains(true)", condition(input, depth + 1)),
        _ => {}
    }
    let template = [
        r#"context.route == "W""#,
        r#"context has path && context.path == "W""#,
        r#"context has "path" && context["path"] like "*W*""#,
        r#"context has source_ip && context.source_ip.isInRange(ip("192.0.2.0/24"))"#,
        r#"context has source_ip && context["source_ip"].isLoopback()"#,
        r"context.auth_age < 90",
        r#"context["auth_age"] >= 60"#,
        r#"principal is Gatehouse::User && principal.hasTag("W")"#,
        r#"principal is Gatehouse::User && principal.hasTag("username") && principal.getTag("username") == "W""#,
        r#"resource.hasTag("id") && resource.getTag("id") == "W""#,
        r#"(resource).hasTag ("i\u{64}")"#,
        r#"resource.hasTag("id") && resource.getTag("id") == context.token.sub"#,
        r#"principal in Gatehouse::UserGroup::"us-east-1_Gatehouse|W""#,
        r#"principal in [Gatehouse::Role::"us-east-1_Gatehouse|W"]"#,
        r#"context.token.scope.contains("W")"#,
        r#"context.token.sub == "W""#,
        r"context == context",
        r"[context].contains(context)",
        r#"{"a": context}.a.route == "W""#,
        r#"(if true then context else context).auth_age > 7"#,
        r#"context.token.auth_time < 1800000000 && context.token.issuer != "W""#,
        r"true",
    ];
    leaf(template[kind % template.len()], input)
}
