//! The ARN of an API method, as authorizer events carry it.

/// `arn:partition:execute-api:region:account:api/stage/VERB/path`, or `…/stage/$connect` for a
/// WebSocket API, taken apart.
///
/// The path is the client's bytes and is kept only for comparison; policies are built from the
/// other parts, each checked to hold no character that IAM reads as a wildcard or a variable.
/// Source: AWS, "Control access to a REST API with IAM", resource format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodArn<'a> {
    whole: &'a str,
    stage_prefix: &'a str,
    verb: &'a str,
    path: Option<&'a str>,
}

/// The longest method ARN that API Gateway sends; a longer request is its own 414.
const MAX_ARN_BYTES: usize = 1600;

/// The event names no API method that could be allowed or denied: an error, not a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid_method_arn")]
pub struct ArnError;

impl<'a> MethodArn<'a> {
    /// Takes `arn` apart.
    ///
    /// # Errors
    /// [`ArnError`] if it is not an `execute-api` ARN with a stage and a verb or route.
    pub fn parse(arn: &'a str) -> Result<Self, ArnError> {
        if arn.len() > MAX_ARN_BYTES {
            return Err(ArnError);
        }
        let mut parts = arn.splitn(6, ':');
        let mut next = || parts.next().ok_or(ArnError);
        let (scheme, partition, service) = (next()?, next()?, next()?);
        let (region, account, resource) = (next()?, next()?, next()?);
        let mut segments = resource.splitn(4, '/');
        let mut next = || segments.next().ok_or(ArnError);
        let (api, stage, verb) = (next()?, next()?, next()?);
        let path = segments.next();

        let known_partition = matches!(partition, "aws" | "aws-cn" | "aws-us-gov")
            || partition.strip_prefix("aws-").is_some_and(is_word);
        let valid = scheme == "arn"
            && known_partition
            && service == "execute-api"
            && is_word(region)
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && is_word(api)
            && (stage == "$default" || is_word(stage))
            && is_verb_or_route(verb, path);
        if !valid {
            return Err(ArnError);
        }
        let prefix_end = arn.len() - resource.len() + api.len() + 1 + stage.len();
        Ok(Self {
            whole: arn,
            stage_prefix: arn.get(..prefix_end).ok_or(ArnError)?,
            verb,
            path,
        })
    }

    /// All of it, the client's path included.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.whole
    }

    /// `arn:…:api/stage`, without a slash behind it.
    #[must_use]
    pub fn stage_prefix(&self) -> &'a str {
        self.stage_prefix
    }

    /// The HTTP verb, or a WebSocket route such as `$connect`.
    #[must_use]
    pub fn verb(&self) -> &'a str {
        self.verb
    }

    /// The path as the client sent it, without its first slash. Never part of a policy.
    #[must_use]
    pub fn untrusted_path(&self) -> Option<&'a str> {
        self.path
    }

    /// The policy resource for this request: the route, if API Gateway says which one it is and
    /// the method ARN lies within it, else every path under this verb.
    ///
    /// `template` is the resource path as the API defines it, such as `/users/{id}`. From its
    /// first parameter on, the resource is a `*`: IAM's `*` crosses slashes, so a literal behind
    /// it would promise more than it keeps.
    #[must_use]
    pub fn request_resource(&self, template: Option<&str>) -> String {
        let Self {
            stage_prefix, verb, ..
        } = self;
        // At its whole length at once, unlike `format!`.
        match (self.path, template.and_then(literal_prefix)) {
            (None, _) => [stage_prefix, "/", verb].concat(),
            (Some(path), Some(Prefix::Whole(route))) if path == route => {
                [stage_prefix, "/", verb, "/", route].concat()
            }
            (Some(path), Some(Prefix::Until(route))) if path.starts_with(route) => {
                [stage_prefix, "/", verb, "/", route, "*"].concat()
            }
            (Some(_), _) => [stage_prefix, "/", verb, "/*"].concat(),
        }
    }
}

enum Prefix<'a> {
    Whole(&'a str),
    Until(&'a str),
}

/// The part of a route template up to its first parameter, without the first slash; `None` if
/// the template has a character that could mean more to IAM than itself.
fn literal_prefix(template: &str) -> Option<Prefix<'_>> {
    let path = template.strip_prefix('/')?;
    let (literal, whole) = match path.split_once('{') {
        Some((literal, _)) => (literal, false),
        None => (path, true),
    };
    let plain = |byte: u8| byte == b'/' || is_plain(byte);
    literal.bytes().all(plain).then_some(if whole {
        Prefix::Whole(literal)
    } else {
        Prefix::Until(literal)
    })
}

/// A character of a path that IAM reads as itself: no wildcard, no policy variable, no escape.
pub(crate) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~:@!&'()+,;=".contains(&byte)
}

/// A name in an ARN: letters, digits, hyphen and underscore.
fn is_word(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// `GET` with a path behind it, or `$connect` without one.
fn is_verb_or_route(verb: &str, path: Option<&str>) -> bool {
    match path {
        Some(_) => !verb.is_empty() && verb.bytes().all(|b| b.is_ascii_uppercase()),
        None => verb == "$connect",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123";

    #[test]
    fn parses_what_api_gateway_sends() {
        let rows = [
            ("prod/GET/", "GET", Some("")),
            ("prod/GET/users/7", "GET", Some("users/7")),
            ("$default/POST/a:b//c", "POST", Some("a:b//c")),
            ("test-invoke-stage/GET/", "GET", Some("")),
            ("v1_beta-2/DELETE/*/?", "DELETE", Some("*/?")),
            ("prod/$connect", "$connect", None),
        ];
        for (rest, verb, path) in rows {
            let text = format!("{API}/{rest}");
            let arn = MethodArn::parse(&text).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!((arn.verb(), arn.untrusted_path()), (verb, path), "{text}");
            let stage = rest.split('/').next().unwrap();
            assert_eq!(arn.stage_prefix(), format!("{API}/{stage}"));
        }
        for partition in ["aws-cn", "aws-us-gov", "aws-eusc"] {
            let text = format!("arn:{partition}:execute-api:x-1:123456789012:a/s/GET/p");
            let arn = MethodArn::parse(&text).unwrap();
            assert!(arn.stage_prefix().starts_with(&format!("arn:{partition}:")));
        }
    }

    #[test]
    fn refuses_what_it_never_sends() {
        let long = format!("{API}/prod/GET/{}", "a".repeat(MAX_ARN_BYTES));
        let rows = [
            "",
            "arn",
            "prod/GET/",
            "arn:aws:execute-api:us-east-1:123456789012:abc",
            "arn:aws:execute-api:us-east-1:123456789012:abc/prod",
            "arn:aws:execute-api:us-east-1:123456789012:abc/prod/GET",
            "arn:aws:execute-api:us-east-1:123456789012:abc/prod/get/x",
            "arn:aws:execute-api:us-east-1:123456789012:abc/prod/*/x",
            "arn:aws:execute-api:us-east-1:123456789012:abc/*/GET/x",
            "arn:aws:execute-api:us-east-1:123456789012:*/prod/GET/x",
            "arn:aws:execute-api:us-east-1:123456789012:abc//GET/x",
            "arn:aws:execute-api:us-east-1:*:abc/prod/GET/x",
            "arn:aws:execute-api:us-east-1:12345678901:abc/prod/GET/x",
            "arn:aws:execute-api:*:123456789012:abc/prod/GET/x",
            "arn:aws:execute-api::123456789012:abc/prod/GET/x",
            "arn:aws:lambda:us-east-1:123456789012:abc/prod/GET/x",
            "arn:evil:execute-api:us-east-1:123456789012:abc/prod/GET/x",
            "xrn:aws:execute-api:us-east-1:123456789012:abc/prod/GET/x",
            "arn:aws:execute-api:us-east-1:123456789012:abc/prod/$disconnect",
            "arn:aws:execute-api:us-east-1:123456789012:abc/${aws:username}/GET/x",
            &long,
        ];
        for text in rows {
            assert_eq!(MethodArn::parse(text), Err(ArnError), "{text}");
        }
    }

    #[test]
    fn a_resource_never_holds_the_clients_bytes() {
        let rows = [
            ("GET/", None, "GET/*"),
            ("GET/", Some("/"), "GET/"),
            ("GET/users/7", None, "GET/*"),
            ("GET/users/7", Some("/users/{id}"), "GET/users/*"),
            ("GET/users/*", Some("/users/{id}"), "GET/users/*"),
            ("GET/a/b/c", Some("/{proxy+}"), "GET/*"),
            (
                "GET/users/7/orders",
                Some("/users/{id}/orders"),
                "GET/users/*",
            ),
            ("GET/users", Some("/users"), "GET/users"),
            // API Gateway routed it, so it is that route, but the ARN says otherwise: no literal.
            ("GET/users/", Some("/users"), "GET/*"),
            ("GET/us%65rs", Some("/users"), "GET/*"),
            ("GET/x", Some("/*"), "GET/*"),
            ("GET/x", Some("/${aws:username}"), "GET/*"),
            ("GET/x", Some("x"), "GET/*"),
            ("GET/${aws:username}", Some("/?"), "GET/*"),
            ("$connect", Some("/ignored"), "$connect"),
        ];
        for (request, template, resource) in rows {
            let text = format!("{API}/prod/{request}");
            let arn = MethodArn::parse(&text).unwrap();
            assert_eq!(
                arn.request_resource(template),
                format!("{API}/prod/{resource}"),
                "{request} {template:?}"
            );
        }
    }
}
