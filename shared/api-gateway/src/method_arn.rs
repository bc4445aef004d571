//! The ARN of an API method, as authorizer events carry it.

use percent_encoding::percent_decode_str;

use crate::path::escape;

/// A parsed `arn:partition:execute-api:region:account:api/stage/VERB/path`, or `…/stage/$connect`
/// for a WebSocket API.
///
/// The client chooses the path: a policy names it only if IAM reads every character literally. The
/// parser checks the other parts for that.
/// Source: AWS, "Control access to a REST API with IAM", resource format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodArn<'a> {
    whole: &'a str,
    stage_prefix: &'a str,
    verb: &'a str,
    path: Option<&'a str>,
}

/// The longest method ARN that API Gateway sends; it answers longer requests with 414.
const MAX_ARN_BYTES: usize = 1600;

/// The longest resource that API Gateway accepts in a policy.
pub(crate) const MAX_RESOURCE_BYTES: usize = 512;

/// The event names no valid API method: an error, not a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid_method_arn")]
pub struct ArnError;

impl<'a> MethodArn<'a> {
    /// Parses `arn`.
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

    /// The whole ARN, including the client's path.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.whole
    }

    /// `arn:…:api/stage`, without a trailing slash.
    #[must_use]
    pub fn stage_prefix(&self) -> &'a str {
        self.stage_prefix
    }

    /// The HTTP verb, or a WebSocket route such as `$connect`.
    #[must_use]
    pub fn verb(&self) -> &'a str {
        self.verb
    }

    /// The path as the client sent it, without the leading slash.
    #[must_use]
    pub fn untrusted_path(&self) -> Option<&'a str> {
        self.path
    }

    /// The policy resource for this request only: its exact path if IAM reads every character
    /// literally, otherwise the part of `template` (the resource path as the API defines it) before
    /// its first parameter, followed by `*`. `None` if neither exists, because the resource would
    /// then cover every path under this verb.
    ///
    /// A resource longer than API Gateway's limit is cut and ends in `*`.
    #[must_use]
    pub fn request_resource(&self, template: Option<&str>) -> Option<String> {
        let Some(path) = self.path else {
            return Some([self.stage_prefix, "/", self.verb].concat());
        };
        if is_inert(path) {
            return Some(self.bounded(path));
        }
        let literal = template.and_then(literal_prefix)?;
        path.starts_with(literal)
            .then(|| [self.stage_prefix, "/", self.verb, "/", literal, "*"].concat())
    }

    /// The resource for a path with percent escapes, decoded: AWS does not document which of the
    /// two spellings API Gateway compares.
    #[must_use]
    pub fn decoded_resource(&self) -> Option<String> {
        let path = self.path.filter(|path| path.contains('%'))?;
        let mut decoded = Vec::with_capacity(path.len());
        let mut rest = path.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            let (byte, behind) = match first {
                b'%' => escape(tail)?,
                byte => (*byte, tail),
            };
            decoded.push(byte);
            rest = behind;
        }
        let decoded = String::from_utf8(decoded).ok()?;
        is_inert(&decoded).then(|| self.bounded(&decoded))
    }

    /// The whole ARN with the path's percent escapes decoded once, to compare with a policy; `None` without one.
    /// Invalid escapes stay, invalid UTF-8 is replaced.
    pub(crate) fn decoded(&self) -> Option<String> {
        let path = self.path.filter(|path| path.contains('%'))?;
        let decoded = percent_decode_str(path).decode_utf8_lossy();
        Some([self.stage_prefix, "/", self.verb, "/", &decoded].concat())
    }

    /// Resource for every path under this verb, for a Deny.
    #[must_use]
    pub fn resource_of_verb(&self) -> String {
        let Self {
            stage_prefix, verb, ..
        } = self;
        match self.path {
            None => [stage_prefix, "/", verb].concat(),
            Some(_) => [stage_prefix, "/", verb, "/*"].concat(),
        }
    }

    fn bounded(&self, path: &str) -> String {
        let Self {
            stage_prefix, verb, ..
        } = self;
        // One allocation of the final length, unlike `format!`.
        let before = stage_prefix.len() + verb.len() + 2;
        if before + path.len() <= MAX_RESOURCE_BYTES {
            return [stage_prefix, "/", verb, "/", path].concat();
        }
        let room = MAX_RESOURCE_BYTES.saturating_sub(before + 1);
        let end = (0..=room).rev().find(|at| path.is_char_boundary(*at));
        let beginning = path.get(..end.unwrap_or(0)).unwrap_or_default();
        [stage_prefix, "/", verb, "/", beginning, "*"].concat()
    }
}

/// Whether IAM reads every character of a path literally: no wildcard, no policy variable, no
/// character that could end the JSON text.
fn is_inert(path: &str) -> bool {
    path.chars().all(|c| match u8::try_from(c) {
        Ok(byte) if byte.is_ascii() => is_plain(byte) || b"/%$ |^`[]".contains(&byte),
        _ => !c.is_control(),
    })
}

/// The part of a route template before its first parameter, without the leading slash; `None` if it
/// is empty or contains a character that IAM does not read literally.
fn literal_prefix(template: &str) -> Option<&str> {
    let path = template.strip_prefix('/')?;
    let (literal, _) = path.split_once('{')?;
    let plain = |byte: u8| byte == b'/' || is_plain(byte);
    (!literal.is_empty() && literal.bytes().all(plain)).then_some(literal)
}

/// Whether IAM reads this character literally: not a wildcard, policy variable or escape.
pub(crate) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~:@!&'()+,;=".contains(&byte)
}

/// Whether an ARN component consists of letters, digits, hyphens and underscores.
fn is_word(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// `GET` with a path, or `$connect` without one.
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
    fn parses_arns_from_api_gateway() {
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
    fn rejects_arns_that_api_gateway_never_sends() {
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
    fn a_resource_contains_no_wildcard_from_the_client() {
        let rows = [
            ("GET/", None, Some("GET/")),
            ("GET/", Some("/"), Some("GET/")),
            ("GET/users/7", None, Some("GET/users/7")),
            ("GET/users/7", Some("/users/{id}"), Some("GET/users/7")),
            ("GET/a/b/c", Some("/{proxy+}"), Some("GET/a/b/c")),
            ("GET/users/", Some("/users"), Some("GET/users/")),
            ("GET/us%65rs", Some("/users"), Some("GET/us%65rs")),
            ("GET/a$b", None, Some("GET/a$b")),
            ("GET/a b\u{e9}", None, Some("GET/a b\u{e9}")),
            // Characters that IAM interprets: the literal start of the template, or no resource.
            ("GET/users/*", Some("/users/{id}"), Some("GET/users/*")),
            (
                "GET/users/7*/orders",
                Some("/users/{id}/orders"),
                Some("GET/users/*"),
            ),
            ("GET/*", Some("/{proxy+}"), None),
            ("GET/a?", Some("/{proxy+}"), None),
            ("GET/*", None, None),
            ("GET/a?b", None, None),
            ("GET/${aws:username}", None, None),
            ("GET/a\\b", None, None),
            ("GET/a\u{0}b", None, None),
            ("GET/x*", Some("/?{id}"), None),
            ("GET/x*", Some("x{id}"), None),
            ("GET/y/*", Some("/x/{id}"), None),
            ("$connect", Some("/ignored"), Some("$connect")),
        ];
        for (request, template, resource) in rows {
            let text = format!("{API}/prod/{request}");
            let arn = MethodArn::parse(&text).unwrap();
            assert_eq!(
                arn.request_resource(template),
                resource.map(|resource| format!("{API}/prod/{resource}")),
                "{request} {template:?}"
            );
        }
    }

    #[test]
    fn an_arn_may_have_1600_bytes_and_a_resource_512() {
        let of_length = |length: usize, with: &str| {
            let start = format!("{API}/prod/GET/{with}");
            format!("{start}{}", "a".repeat(length - start.len()))
        };
        let text = of_length(MAX_ARN_BYTES, "");
        assert_eq!(MethodArn::parse(&text).map(|arn| arn.as_str()), Ok(&*text));
        let longer = of_length(MAX_ARN_BYTES + 1, "");
        assert_eq!(MethodArn::parse(&longer), Err(ArnError));
        for (length, cut) in [(511, false), (512, false), (513, true), (514, true)] {
            let text = of_length(length, "");
            let resource = MethodArn::parse(&text).unwrap().request_resource(None);
            let expected = match text.get(..511) {
                Some(start) if cut => format!("{start}*"),
                _ => text.clone(),
            };
            assert_eq!(resource.as_deref(), Some(&*expected), "{length}");
            // A decoded path is two bytes shorter.
            let text = of_length(length + 2, "%61");
            let resource = MethodArn::parse(&text).unwrap().decoded_resource();
            let whole = text.replace("%61", "a");
            let expected = match whole.get(..511) {
                Some(start) if cut => format!("{start}*"),
                _ => whole.clone(),
            };
            assert_eq!(resource.as_deref(), Some(&*expected), "{length}");
        }
    }

    #[test]
    fn the_resource_of_a_verb_covers_every_path() {
        for (rest, expected) in [
            ("prod/GET/users/7", "prod/GET/*"),
            ("prod/$connect", "prod/$connect"),
        ] {
            let text = format!("{API}/{rest}");
            let arn = MethodArn::parse(&text).unwrap();
            assert_eq!(arn.resource_of_verb(), format!("{API}/{expected}"));
        }
    }

    #[test]
    fn a_long_resource_is_truncated_to_a_wildcard() {
        for filling in ["a", "\u{e9}"] {
            let path = filling.repeat(700);
            let text = format!("{API}/prod/GET/{path}");
            let resource = MethodArn::parse(&text).unwrap().request_resource(None);
            let resource = resource.unwrap();
            assert!((510..=512).contains(&resource.len()), "{resource}");
            assert!(text.starts_with(resource.strip_suffix('*').unwrap()));
        }
    }

    #[test]
    fn a_path_with_escapes_has_a_decoded_resource() {
        let rows = [
            ("GET/users/7", None),
            ("GET/users/a%40b", Some("GET/users/a@b")),
            ("GET/%77hoami", Some("GET/whoami")),
            ("GET/a%20b", Some("GET/a b")),
            ("GET/%2A", None),
            ("GET/%3f", None),
            ("GET/%24%7Bx%7D", None),
            ("GET/%ff", None),
            ("GET/%zz", None),
        ];
        for (request, resource) in rows {
            let text = format!("{API}/prod/{request}");
            let arn = MethodArn::parse(&text).unwrap();
            let resource = resource.map(|resource| format!("{API}/prod/{resource}"));
            assert_eq!(arn.decoded_resource(), resource, "{request}");
        }
    }
}
