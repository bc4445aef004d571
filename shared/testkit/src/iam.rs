//! Models of IAM's evaluation of an authorizer's policy, and of API Gateway's router.
//! Sources: AWS, "IAM JSON policy elements: Resource", wildcards; "Policy evaluation logic"; "Set up a proxy integration
//! with a proxy resource".

use serde_json::Value;

/// IAM's decision: Deny wins, and without an Allow the request is denied.
#[must_use]
pub fn allows(document: &Value, arn: &str) -> bool {
    let any = |effect: &str| {
        document["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .any(|statement| {
                statement["Effect"] == effect
                    && statement["Resource"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|resource| matches(text(resource).as_bytes(), arn.as_bytes()))
            })
    };
    any("Allow") && !any("Deny")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Matches `*` and `?` like IAM, by recursion over both texts.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|taken| matches(rest, &text[taken..])),
        (Some((b'?', rest)), Some((_, behind))) => matches(rest, behind),
        (Some((one, rest)), Some((other, behind))) => one == other && matches(rest, behind),
        _ => false,
    }
}

/// API Gateway's routing: segment by segment, literal before parameter before greedy, with
/// backtracking.
#[must_use]
pub fn routed<'t>(templates: &[&'t str], path: &str) -> Option<&'t str> {
    let path: Vec<&str> = path.split('/').skip(1).filter(|s| !s.is_empty()).collect();
    let parts = |template: &'t str| -> Vec<&'t str> {
        template
            .split('/')
            .skip(1)
            .filter(|s| !s.is_empty())
            .collect()
    };
    fn walk<'t>(open: Vec<(&'t str, Vec<&'t str>)>, path: &[&str]) -> Option<&'t str> {
        let Some((first, rest)) = path.split_first() else {
            return open
                .iter()
                .find(|(_, parts)| parts.is_empty())
                .map(|(template, _)| *template);
        };
        let step = |wanted: &dyn Fn(&str) -> bool| {
            let next: Vec<_> = open
                .iter()
                .filter(|(_, parts)| parts.first().is_some_and(|part| wanted(part)))
                .map(|(template, parts)| (*template, parts[1..].to_vec()))
                .collect();
            walk(next, rest)
        };
        step(&|part| part == *first)
            .or_else(|| step(&|part| part.starts_with('{') && !part.ends_with("+}")))
            .or_else(|| {
                let greedy = |parts: &Vec<&str>| parts.first().is_some_and(|p| p.ends_with("+}"));
                open.iter()
                    .find(|(_, parts)| greedy(parts))
                    .map(|(template, _)| *template)
            })
    }
    walk(
        templates
            .iter()
            .map(|template| (*template, parts(template)))
            .collect(),
        &path,
    )
}
