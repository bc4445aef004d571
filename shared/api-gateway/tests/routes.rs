//! Checks policies for a whole API against models of IAM and of API Gateway's router that share no
//! code with the implementation.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use api_gateway::routes::{Route, RouteTable};
use api_gateway::{Effect, IamPolicy, MethodArn};
use proptest::prelude::*;
use testkit::iam::{self, routed};

const PREFIX: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod";

fn table(routes: &[(&str, &str)]) -> Result<RouteTable, String> {
    let routes = routes
        .iter()
        .map(|(verb, template)| Route::parse(verb, template))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    RouteTable::new(routes).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        errors.join("; ")
    })
}

/// A table of these templates, each with `GET`.
fn table_of_gets(templates: &[String]) -> Result<RouteTable, String> {
    let routes = templates.iter().map(|template| ("GET", template.as_str()));
    table(&routes.collect::<Vec<_>>())
}

/// The model's decision about this policy.
fn iam_allows(document: &IamPolicy, arn: &str) -> bool {
    iam::allows(&serde_json::to_value(document).unwrap(), arn)
}

#[test]
fn accepts_tables_that_policies_can_express() {
    let rows: &[&[(&str, &str)]] = &[
        &[("GET", "/")],
        &[
            ("GET", "/users"),
            ("GET", "/users/{id}"),
            ("GET", "/users/{id}/orders"),
        ],
        &[("GET", "/users/me"), ("GET", "/users/{id}")],
        &[("GET", "/{proxy+}"), ("GET", "/")],
        &[("GET", "/a/{x+}"), ("DELETE", "/a/b")],
        &[("GET", "/{proxy+}"), ("GET", "/health")],
        &[("GET", "/a/{x}/b"), ("GET", "/a/{x}/{y}/b")],
    ];
    for routes in rows {
        assert!(
            table(routes).is_ok(),
            "{routes:?}: {:?}",
            table(routes).err()
        );
    }
}

#[test]
fn rejects_tables_that_policies_cannot_express() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        // Denying /admin/{x} would deny /admin/a/b, which the other route serves.
        (
            &[("GET", "/{proxy+}"), ("GET", "/admin/{x}")],
            "GET /admin/{x}",
        ),
        // An item may be called `items`: `GET/orders/*/items` would deny it along with the list.
        (
            &[
                ("GET", "/orders/{id}"),
                ("GET", "/orders/{id}/items"),
                ("GET", "/orders/{id}/items/{item}"),
            ],
            "denying it would deny some of",
        ),
        // A path with three words for {id}: with two it is the third route's.
        (
            &[
                ("GET", "/{proxy+}"),
                ("GET", "/c/b/{id}/c"),
                ("GET", "/c/{a}/{b}/{c}/{d}"),
            ],
            "/c/b/{id}/c: denying it would deny some of GET /{proxy+}",
        ),
        // With `a` as the second segment it is the second route's, with `a` as the third the first one's.
        (
            &[
                ("GET", "/{a}/{b}/{c}/k/{d}/{e}"),
                ("GET", "/{a}/a/{b}/k/c/{d}"),
                ("GET", "/{a}/a/{b}/c/{d}"),
            ],
            "/{a}/{b}/{c}/k/{d}/{e}: denying it would deny some of",
        ),
        (
            &[("GET", "/users/{id}"), ("GET", "/users/{name}")],
            "another route has the same form",
        ),
        (&[("get", "/users")], "upper case"),
        (&[("GET", "users")], "does not start with a slash"),
        (&[("GET", "/users/")], "neither a plain literal"),
        (&[("GET", "/us*rs")], "neither a plain literal"),
        (&[("GET", "/${aws:username}")], "neither a plain literal"),
        (&[("GET", "/users/x{id}")], "neither a plain literal"),
        (&[("GET", "/{x+}/y")], "not the last segment"),
        (&[], "0 routes"),
    ];
    for (routes, problem) in rows {
        let error = table(routes)
            .err()
            .unwrap_or_else(|| panic!("{routes:?} is accepted"));
        assert!(error.contains(problem), "{routes:?}: {error}");
    }
    let long = format!("/{}", "a".repeat(400));
    assert!(table(&[("GET", &long)]).unwrap_err().contains("512"));
    let many: Vec<String> = (0..60).map(|n| format!("/{n}")).collect();
    assert!(table_of_gets(&many).unwrap_err().contains("6144 bytes"));
}

#[test]
fn a_table_with_many_parameters_is_compared_quickly() {
    let deep = "/{p}".repeat(40);
    let ends = [deep.clone(), deep.clone() + "/a", deep + "/b/{last}"];
    let error = table_of_gets(&ends).unwrap_err();
    assert!(error.contains("would deny some of"), "{error}");
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let of = |last: &str| names.map(|name| format!("/{name}/{{{name}}}")).concat() + last;
    let table = table_of_gets(&[of(""), of("/m")]);
    assert!(table.is_ok(), "{:?}", table.err());
}

/// Each path of the first route ends with `z` and has the length of a route that ends so, up to a length at which there
/// are too many of them.
#[test]
fn rejects_tables_with_too_many_overlaps_to_compare() {
    let alternating = "/{x}/z".repeat(10);
    let ends = (20..35).map(|parameters| "/{x}".repeat(parameters) + "/z");
    let templates: Vec<String> = ["/{p+}".to_owned(), alternating]
        .into_iter()
        .chain(ends)
        .collect();
    let error = table_of_gets(&templates).unwrap_err();
    assert!(
        error.starts_with("GET /{p+}: its paths overlap with GET /{x}/z"),
        "{error}"
    );
    assert!(error.ends_with("in too many ways"), "{error}");
}

#[test]
fn limits_of_size_come_before_the_comparison() {
    let error = table(&[("GET", &"/a".repeat(100_000))]).unwrap_err();
    assert!(error.contains("512 characters"), "{error}");
}

#[test]
fn compares_routes_that_another_greedy_route_covers() {
    let mut templates = vec!["/{proxy+}".to_owned(), "/api/{proxy+}".to_owned()];
    for n in 0..13 {
        let end = format!("/repos/{{r}}/issues/{{i}}/comments{n}/{{c}}");
        templates.push(format!("/api/orgs/{{o}}/projects/{{p}}{end}"));
    }
    let error = table_of_gets(&templates).unwrap_err();
    assert!(
        error.contains("would deny some of GET /api/{proxy+}"),
        "{error}"
    );
}

#[test]
fn denies_everything_explicitly_if_no_route_is_allowed() {
    let table = table(&[("GET", "/a"), ("GET", "/b")]).unwrap();
    let arn = format!("{PREFIX}/GET/a");
    let arn = MethodArn::parse(&arn).unwrap();
    let document = table.policy(&arn, &[Effect::Deny, Effect::Deny]);
    assert_eq!(
        document,
        IamPolicy::new(Effect::Deny, format!("{PREFIX}/*"))
    );
    let document = table.policy(&arn, &[Effect::Allow, Effect::Deny]);
    assert_eq!(document, table.policy(&arn, &[Effect::Allow, Effect::Deny]));
    let json = serde_json::to_string(&document).unwrap();
    assert!(
        json.contains("\"Deny\"") && json.contains("prod/GET/b"),
        "{json}"
    );
}

/// Each collection has a route that the pattern of another one covers with a trailing slash.
#[test]
fn second_denials_leave_room_for_tables_of_usual_sizes() {
    let names = [
        "users", "orders", "items", "carts", "reviews", "invoices", "labels",
    ];
    let routes = names.iter().flat_map(|name| {
        [
            ("GET", ""),
            ("POST", ""),
            ("GET", "/{id}"),
            ("DELETE", "/{id}"),
        ]
        .map(|(verb, rest)| Route::parse(verb, &format!("/{name}{rest}")).unwrap())
    });
    assert!(RouteTable::new(routes.collect()).is_ok());
}

#[test]
fn a_trailing_slash_or_an_escape_does_not_evade_a_deny() {
    // A permitted route, a denied one, a path of the denied one.
    let rows = [
        (
            ["/users/{id}", "/users/{id}/orders"],
            "/users/7/orders",
            "/users/7/%6frders",
        ),
        (["/orders/{id}", "/orders"], "/orders", "/order%73"),
        (["/x/{id}/{id}", "/x/{id}"], "/x/7", "/%78/7"),
    ];
    for (templates, path, escaped) in rows {
        let table = table(&templates.map(|template| ("GET", template))).unwrap();
        let effect = |effects: [Effect; 2], path: &str| {
            let arn = format!("{PREFIX}/GET{path}");
            let arn = MethodArn::parse(&arn).unwrap();
            let document = table.policy(&arn, &effects);
            (
                document.effect_on(&arn),
                iam_allows(&document, arn.as_str()),
            )
        };
        let denied = [Effect::Allow, Effect::Deny];
        let slashed = format!("{path}/");
        assert_eq!(effect(denied, &slashed), (Some(Effect::Deny), false));
        assert_ne!(effect(denied, escaped).0, Some(Effect::Allow), "{escaped}");
        // The other route stays allowed, and both are if the caller may call both.
        let other = templates[0].replace("{id}", "7");
        assert_eq!(effect(denied, &other), (Some(Effect::Allow), true));
        assert_eq!(
            effect([Effect::Allow; 2], path),
            (Some(Effect::Allow), true)
        );
    }
}

fn template() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        3 => prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned),
        2 => prop::sample::select(vec!["{x}", "{y}"]).prop_map(str::to_owned),
    ];
    (
        prop::collection::vec(segment, 0..4),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(mut parts, greedy)| {
            if greedy {
                parts.push("{rest+}".to_owned());
            }
            format!("/{}", parts.join("/"))
        })
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["*", "?", "a%2Fb", "%2E%2E", "${aws:username}", "ab"])
            .prop_map(str::to_owned),
        1 => Just("x".repeat(300)),
    ];
    prop::collection::vec(segment, 0..6).prop_map(|parts| format!("/{}", parts.join("/")))
}

/// The path with one of its characters escaped, in all ways, and these with a trailing slash.
fn spellings(path: &str) -> Vec<String> {
    let at = 1..path.len().min(20);
    let escaped = at.map(|at| {
        let (before, rest) = path.split_at(at);
        let (byte, behind) = (rest.as_bytes()[0], &rest[1..]);
        format!("{before}%{byte:02x}{behind}")
    });
    let escaped: Vec<String> = escaped.filter(|path| !path.contains("%2f")).collect();
    let slashed = escaped.iter().map(|path| format!("{path}/"));
    slashed.chain(escaped.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn policies_have_exactly_the_decided_effects(
        templates in prop::collection::btree_set(template(), 1..6),
        allowed in prop::collection::vec(any::<bool>(), 6),
        paths in prop::collection::vec(path(), 40),
    ) {
        let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
        let routes: Vec<(&str, &str)> = templates.iter().map(|t| ("GET", *t)).collect();
        let Ok(table) = table(&routes) else {
            return Ok(());
        };
        let effects: Vec<Effect> = allowed
            .iter()
            .take(templates.len())
            .map(|allowed| if *allowed { Effect::Allow } else { Effect::Deny })
            .collect();
        let any = format!("{PREFIX}/GET/");
        let document = table.policy(&MethodArn::parse(&any).unwrap(), &effects);
        for path in &paths {
            let routed = routed(&templates, path);
            let ours = table.route_of("GET", path).map(Route::template);
            prop_assert_eq!(ours, routed, "{:?} {}", templates, path);
            let Some(routed) = routed else {
                continue;
            };
            let at = templates.iter().position(|template| *template == routed).unwrap();
            let verdict = iam_allows(&document, &format!("{PREFIX}/GET{path}"));
            prop_assert_eq!(verdict, allowed[at], "{:?} {:?} {} -> {}", templates, effects, path, routed);
            if !allowed[at] {
                let slashed = format!("{PREFIX}/GET{path}/");
                prop_assert!(!iam_allows(&document, &slashed), "{:?} {:?} {}/", templates, effects, path);
            }
            // The policy does not allow a spelling of a denied path if the authorizer asks about it.
            for spelling in spellings(path) {
                let arn = format!("{PREFIX}/GET{spelling}");
                let effect = document.effect_on(&MethodArn::parse(&arn).unwrap());
                let is_allowed = effect == Some(Effect::Allow);
                prop_assert!(allowed[at] || !is_allowed, "{:?} {:?} {}", templates, effects, spelling);
            }
            let elsewhere = [
                format!("{PREFIX}/POST{path}"),
                format!("{}/GET{path}", PREFIX.replace("prod", "dev")),
                format!("{}/GET{path}", PREFIX.replace("abcdef123", "other")),
            ];
            for arn in elsewhere {
                prop_assert!(!iam_allows(&document, &arn), "another verb, stage or API: {}", arn);
            }
        }
    }
}

#[test]
fn accepts_a_typical_api() {
    let shop = [
        ("GET", "/"),
        ("GET", "/health"),
        ("GET", "/orders"),
        ("POST", "/orders"),
        ("GET", "/orders/{id}"),
        ("DELETE", "/orders/{id}"),
        ("GET", "/orders/{id}/items"),
        ("GET", "/users/me"),
        ("GET", "/users/{id}"),
        ("GET", "/admin/users"),
        ("GET", "/files/{path+}"),
    ];
    assert!(table(&shop).is_ok(), "{:?}", table(&shop).err());
}

#[test]
fn a_table_has_its_routes_in_order() {
    let given = [("GET", "/users"), ("POST", "/users"), ("GET", "/")];
    let table = table(&given).unwrap();
    let routes = table.routes().iter();
    let routes: Vec<_> = routes
        .map(|route| (route.verb(), route.template()))
        .collect();
    assert_eq!(routes, given);
}

#[test]
fn parameters_have_plain_names() {
    for name in ["id", "user_id", "a-b.c", "path+"] {
        assert!(Route::parse("GET", &format!("/a/{{{name}}}")).is_ok());
    }
    for name in ["", "+", "a b", "a:b", "a++", "\u{e9}", "a}{b"] {
        let template = format!("/a/{{{name}}}");
        assert!(Route::parse("GET", &template).is_err(), "{template}");
    }
}

#[test]
fn parameters_have_the_values_of_the_path() {
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);
    let rows: [Row<'_>; 6] = [
        ("/", "/", &[]),
        ("/users", "/users", &[]),
        ("/users/{id}", "/users/7", &[("id", "7")]),
        (
            "/users/{id}/orders/{order}",
            "/users/7/orders/8",
            &[("id", "7"), ("order", "8")],
        ),
        (
            "/files/{path+}",
            "/files/a/b c/\u{e9}",
            &[("path", "a/b c/\u{e9}")],
        ),
        ("/{proxy+}", "/a", &[("proxy", "a")]),
    ];
    for (template, path, expected) in rows {
        let found = Route::parse("GET", template).unwrap().parameters(path);
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(found, expected, "{template}");
    }
}
