//! What policies use, in every spelling that Cedar accepts.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::path::Path;

use api_gateway::Effect;
use auth::{ClaimsBuilder, UnixSeconds, VerifiedClaims};
use auth_cedar::{CedarPolicies, Request};
use serde_json::json;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const POOL: &str = "us-east-1_Gatehouse";
const PERMIT: &str = "permit (principal, action, resource);";

fn policies(texts: &[&str]) -> CedarPolicies {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/schema.cedarschema");
    let schema = std::fs::read_to_string(schema).unwrap();
    let file = |(at, text): (usize, &&str)| (format!("{at}.cedar"), (*text).to_owned());
    let files: Vec<_> = texts.iter().enumerate().map(file).collect();
    CedarPolicies::parse(&schema, &files, POOL).unwrap_or_else(|error| panic!("{texts:?}: {error}"))
}

fn ada() -> VerifiedClaims {
    let builder = ClaimsBuilder::user("ada", NOW).issuer_id(POOL);
    builder.claim("roles", json!(["tester"])).build()
}

fn request() -> Request<'static> {
    Request {
        verb: "GET",
        route: "/orders/{id}",
        path: None,
        path_parameters: vec![("id".to_owned(), "7".to_owned())],
        source_ip: None,
        now: NOW,
    }
}

/// The uses of a `forbid` with this condition: `t`ags, a`d`dress, `p`ath, request-`s`coped.
fn uses_of(condition: &str) -> String {
    let policy = format!("@id(\"a\") forbid (principal, action, resource) when {{ {condition} }};");
    let policies = policies(&[&policy]);
    let scoped = policies.request_scoped_policy();
    assert!(scoped.is_none_or(|id| id == "a"), "{condition}");
    let uses = [
        (policies.uses_tags(), 't'),
        (policies.uses_address(), 'd'),
        (policies.uses_path(), 'p'),
        (scoped.is_some(), 's'),
    ];
    let uses = uses.iter().filter(|(does, _)| *does);
    uses.map(|(_, word)| word).collect()
}

#[test]
fn the_uses_of_all_policies_are_joined() {
    let using = |condition: &str| {
        let text = format!("forbid (principal, action, resource) when {{ {condition} }};");
        // The first and the last of three, because the uses are joined one after the other.
        [[&*text, PERMIT, PERMIT], [PERMIT, PERMIT, &text]].map(|texts| policies(&texts))
    };
    for policies in using(r#"resource.hasTag("id")"#) {
        assert!(policies.uses_tags() && !policies.uses_path() && !policies.uses_address());
    }
    for policies in using(r#"context has path && context.path == "/a""#) {
        assert!(policies.uses_path() && !policies.uses_tags() && !policies.uses_address());
    }
    for policies in using("context has source_ip") {
        assert!(policies.uses_address() && !policies.uses_tags() && !policies.uses_path());
    }
}

#[test]
fn uses_are_found_in_every_spelling() {
    for (condition, expected) in [
        (r#"resource.hasTag("id")"#, "ts"),
        (r#"resource.hasTag ("id")"#, "ts"),
        ("resource.hasTag\n(\n\"id\" )", "ts"),
        ("resource\n  .hasTag(\"id\")", "ts"),
        (r#"resource . hasTag("id")"#, "ts"),
        ("resource // the API\n.hasTag(\"id\")", "ts"),
        ("resource.// the API\nhasTag(\"id\")", "ts"),
        (r#"(resource).hasTag("id")"#, "ts"),
        (
            r#"((resource)) .hasTag ("id") && (resource) .getTag ("id") == "7""#,
            "ts",
        ),
        (
            r#"(if true then resource else resource).hasTag("id")"#,
            "ts",
        ),
        (r#"Gatehouse::Application::"Gatehouse".hasTag("id")"#, "ts"),
        // An attribute of an attribute is no use of the whole context.
        ("context has token.sub", ""),
        (
            r#"principal is Gatehouse::User && principal.hasTag("id")"#,
            "t",
        ),
        (
            "principal is Gatehouse::User && ( principal )\n.hasTag (\"id\")",
            "t",
        ),
        ("context has source_ip", "ds"),
        (r#"context has "source_ip""#, "ds"),
        (r#"context has "source\u{5f}ip""#, "ds"),
        (
            r#"context has "\x73ource_ip" && context["source\u{5f}ip"].isLoopback()"#,
            "ds",
        ),
        (
            "( context )has source_ip && context\n.source_ip .isLoopback()",
            "ds",
        ),
        ("!(context has source_ip)", "ds"),
        ("context.auth_age < 60", "s"),
        (r#"context["auth\u{5f}age"] < 60"#, "s"),
        ("60 > (context) . auth_age", "s"),
        ("if context.auth_age < 60 then true else false", "s"),
        ("[context.auth_age].contains(60)", "s"),
        (r#"{ "a": context.auth_age }.a == 60"#, "s"),
        ("context has path", "p"),
        (
            r#"context has "p\u{61}th" && context["p\u{61}th"] like "/x*""#,
            "p",
        ),
        // The context as a whole has all of them.
        ("context == context", "tdps"),
        ("[context].contains(context)", "tdps"),
        (r#"{ "a": context }.a.auth_age == 60"#, "tdps"),
        // What depends on the caller and the route alone.
        (
            "context.route == \"/path/getTag(source_ip.auth_age\" // resource.getTag(\"id\") path\n",
            "",
        ),
        (
            r#"context.token.sub == "path" && principal in Gatehouse::UserGroup::"source_ip""#,
            "",
        ),
        (r#"action == Gatehouse::Action::"get /whoami""#, ""),
        (
            r#"principal is Gatehouse::User && principal.hasTag("resource.getTag")"#,
            "t",
        ),
    ] {
        assert_eq!(uses_of(condition), expected, "{condition}");
    }
}

/// A search of the text would not find these.
#[test]
fn a_forbid_by_a_parameter_applies_in_every_spelling() {
    for (has, get) in [
        ("resource.hasTag", "resource.getTag"),
        ("resource.hasTag ", "resource.getTag "),
        ("resource.hasTag\n", "resource.getTag// x\n"),
        ("(resource).hasTag", "(resource) . getTag"),
        ("resource\n.hasTag ", "resource // x\n.getTag "),
    ] {
        let forbid = format!(
            "forbid (principal, action, resource) when {{ {has}(\"id\") && {get}(\"id\") == \"7\" }};"
        );
        let policies = policies(&[PERMIT, &forbid]);
        assert_eq!(
            policies.decide(&ada(), &request()),
            Effect::Deny,
            "{forbid}"
        );
        let mut other = request();
        other.path_parameters = vec![("id".to_owned(), "8".to_owned())];
        assert_eq!(policies.decide(&ada(), &other), Effect::Allow, "{forbid}");
    }
}

#[test]
fn a_forbid_by_a_role_applies_in_every_spelling() {
    for role in [
        r#"Gatehouse::Role::"us-east-1_Gatehouse|tester""#,
        r#"Gatehouse::Role :: "us-east-1_Gatehouse|tester""#,
        "Gatehouse :: Role::\n\"us-east-1_Gatehouse|tester\"",
        "Gatehouse::Role::// x\n\"us-east-1_Gatehouse\\u{7c}tester\"",
        r#"Gatehouse::Role::"{{USER_POOL_ID}}|tester""#,
    ] {
        for (scope, condition) in [
            (format!("principal in {role}"), "true".to_owned()),
            (
                format!("principal is Gatehouse::User in {role}"),
                "true".to_owned(),
            ),
            ("principal".to_owned(), format!("principal in {role}")),
            ("principal".to_owned(), format!("principal in [{role}]")),
            (
                "principal".to_owned(),
                format!("principal is Gatehouse::User in {role}"),
            ),
            ("principal".to_owned(), format!("!(!(principal in {role}))")),
        ] {
            let forbid = format!("forbid ({scope}, action, resource) when {{ {condition} }};");
            let policies = policies(&[PERMIT, &forbid]);
            assert_eq!(
                policies.decide(&ada(), &request()),
                Effect::Deny,
                "{forbid}"
            );
            let other = ClaimsBuilder::user("bob", NOW).issuer_id(POOL).build();
            assert_eq!(
                policies.decide(&other, &request()),
                Effect::Allow,
                "{forbid}"
            );
            assert_eq!(policies.request_scoped_policy(), None, "{forbid}");
        }
    }
}

#[test]
fn the_policy_that_is_named_is_request_scoped() {
    let policies = policies(&[
        "@id(\"c\") permit (principal, action, resource);",
        "@id(\"b\") forbid (principal, action, resource) when { context.auth_age > 60 };",
        "@id(\"a\") forbid (principal, action, resource) when { context has path && context.path == \"/x\" };",
    ]);
    assert_eq!(policies.request_scoped_policy(), Some("b"));
}

#[test]
fn addresses_are_compared_in_their_canonical_form() {
    let within = |network: &str| {
        policies(&[&format!(
            "permit (principal, action, resource) \
             when {{ context has source_ip && context.source_ip.isInRange(ip(\"{network}\")) }};"
        )])
    };
    let (v4, v6) = (within("203.0.113.0/24"), within("2001:db8::/32"));
    for (address, in_v4, in_v6) in [
        ("203.0.113.7", true, false),
        ("::ffff:203.0.113.7", true, false),
        ("::ffff:cb00:7107", true, false),
        ("0:0:0:0:0:FFFF:203.0.113.7", true, false),
        ("::ffff:198.51.100.7", false, false),
        ("2001:DB8::1", false, true),
        ("2001:db9::1", false, false),
    ] {
        let mut request = request();
        request.source_ip = Some(address.parse().unwrap());
        for (policies, is_in) in [(&v4, in_v4), (&v6, in_v6)] {
            let allowed = policies.decide(&ada(), &request) == Effect::Allow;
            assert_eq!(allowed, is_in, "{address}");
        }
    }
    assert_eq!(v4.decide(&ada(), &request()), Effect::Deny, "no address");
}

/// Cedar reads no IPv6 address with dots: the whole context would be invalid.
#[test]
fn every_address_has_a_form_that_policies_read() {
    let policies = policies(&[
        "permit (principal, action, resource) when { context has source_ip && !context.source_ip.isLoopback() };",
    ]);
    for address in [
        "::203.0.113.7",
        "::ffff:0:203.0.113.7",
        "64:ff9b::203.0.113.7",
        "::2",
        "::",
        "fe80::1",
        "255.255.255.255",
    ] {
        let mut request = request();
        request.source_ip = Some(address.parse().unwrap());
        assert_eq!(
            policies.decide(&ada(), &request),
            Effect::Allow,
            "{address}"
        );
    }
}

/// The limit of a long condition is that of Cedar's parser and validator.
#[test]
fn a_long_condition_is_walked_without_recursion() {
    let routes: Vec<String> = (0..500)
        .map(|number| format!("context.route == \"/x{number}\""))
        .collect();
    let last = "resource.hasTag(\"id\")";
    assert_eq!(uses_of(&format!("{} || {last}", routes.join(" || "))), "ts");
    assert_eq!(uses_of(&routes.join(" || ")), "");
}
