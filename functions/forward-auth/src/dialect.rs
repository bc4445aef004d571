//! The original request, as each proxy reports it. A dialect is configured, never guessed: a client can send the
//! headers that another proxy would use.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::request::Parts;
use http::{HeaderMap, HeaderName};

/// The path under which proxies ask.
pub const DECISION_PATH: &str = "/auth";

/// The longest accepted method, in bytes.
const MAX_METHOD_BYTES: usize = 32;
/// The longest host with its port, in bytes.
const MAX_HOST_BYTES: usize = 261;

/// How a proxy reports the original request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// nginx's `auth_request`: `X-Original-Method`, `X-Original-Host`, `X-Original-URI`.
    Nginx,
    /// ingress-nginx: `X-Original-Method`, `X-Original-URL`.
    IngressNginx,
    /// Traefik and Caddy: `X-Forwarded-Method`, `X-Forwarded-Host`, `X-Forwarded-Uri`.
    Forwarded,
    /// Envoy's HTTP `ext_authz` with `path_prefix: /auth`: the request line and `Host`.
    Envoy,
}

/// The original request. Its `Debug` output has only the method: a path or a query may contain a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Original {
    /// The method, in upper case as the client sent it.
    pub method: String,
    /// The host and the port, in lower case.
    pub host: String,
    /// The path with its escapes.
    pub path: String,
    /// The query without its question mark.
    pub query: Option<String>,
}

impl fmt::Debug for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Original");
        fields.field("method", &self.method).finish_non_exhaustive()
    }
}

/// The proxy did not report the original request: a header is missing, sent twice or invalid. A fault of the proxy's
/// configuration, or of a client with a method or a host that no backend would accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid_original_request")]
pub struct InvalidOriginal;

impl Dialect {
    /// All dialects by their names in `PROXY_DIALECT`.
    pub const ALL: [(&'static str, Self); 4] = [
        ("nginx", Self::Nginx),
        ("ingress-nginx", Self::IngressNginx),
        ("forwarded", Self::Forwarded),
        ("envoy", Self::Envoy),
    ];

    /// Whether a request to this path asks for a decision.
    #[must_use]
    pub fn asks(self, path: &str) -> bool {
        match path.strip_prefix(DECISION_PATH) {
            Some("") => true,
            Some(rest) => self == Self::Envoy && rest.starts_with('/'),
            None => false,
        }
    }

    /// The headers that have the request's target: a proxy that joins repeated headers would hide a second one.
    pub(crate) fn target_header(self) -> Option<&'static str> {
        match self {
            Self::Nginx => Some("x-original-uri"),
            Self::IngressNginx => Some("x-original-url"),
            Self::Forwarded => Some("x-forwarded-uri"),
            Self::Envoy => None,
        }
    }

    /// The original request.
    ///
    /// # Errors
    /// [`InvalidOriginal`] if one part is missing, sent twice or invalid.
    pub fn original(self, parts: &Parts) -> Result<Original, InvalidOriginal> {
        let header = |name| single(&parts.headers, name);
        let (method, host, target) = match self {
            Self::Nginx => (
                header("x-original-method")?,
                header("x-original-host")?,
                header("x-original-uri")?,
            ),
            Self::IngressNginx => {
                let (host, target) = split_url(header("x-original-url")?)?;
                (header("x-original-method")?, host, target)
            }
            Self::Forwarded => (
                header("x-forwarded-method")?,
                header("x-forwarded-host")?,
                header("x-forwarded-uri")?,
            ),
            // An absolute address has a host of its own beside `Host`; Envoy sends none.
            Self::Envoy if parts.uri.authority().is_some() => return Err(InvalidOriginal),
            Self::Envoy => {
                let target = parts
                    .uri
                    .path_and_query()
                    .map(http::uri::PathAndQuery::as_str);
                let target = target.and_then(|target| target.strip_prefix(DECISION_PATH));
                let target = target.ok_or(InvalidOriginal)?;
                (parts.method.as_str(), header("host")?, target)
            }
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let is_method = (1..=MAX_METHOD_BYTES).contains(&method.len())
            && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        // Of two programs one may end the target of a request line at a space.
        let is_target = path.starts_with('/') && !target.bytes().any(|b| b <= b' ' || b == 0x7f);
        if !is_method || !is_host(host) || !is_target {
            return Err(InvalidOriginal);
        }
        Ok(Original {
            method: method.to_owned(),
            host: host.to_ascii_lowercase(),
            path: path.to_owned(),
            query,
        })
    }
}

/// The only value of a header, as UTF-8: nginx passes on the bytes of a request line as they are.
fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, InvalidOriginal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => std::str::from_utf8(value.as_bytes()).map_err(|_| InvalidOriginal),
        (None, _) | (_, Some(_)) => Err(InvalidOriginal),
    }
}

/// Host and target of an absolute URL. Not by a URL parser, which would drop a fragment or normalize the path.
fn split_url(url: &str) -> Result<(&str, &str), InvalidOriginal> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let rest = rest.ok_or(InvalidOriginal)?;
    let at = rest.find('/').ok_or(InvalidOriginal)?;
    rest.split_at_checked(at).ok_or(InvalidOriginal)
}

/// Whether it is a host, with or without a port (RFC 3986 section 3.2): a name, an IPv4 or a bracketed IPv6 address.
fn is_host(text: &str) -> bool {
    if text.is_empty() || text.len() > MAX_HOST_BYTES {
        return false;
    }
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", port),
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_port = match port.strip_prefix(':') {
        Some(digits) => {
            !digits.is_empty()
                && digits.bytes().all(|b| b.is_ascii_digit())
                && digits.parse::<u16>().is_ok()
        }
        None => port.is_empty(),
    };
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    is_port && !name.is_empty() && name.bytes().all(fits)
}

/// Where the client's address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// The header.
    pub header: HeaderName,
    /// The position of the address in the list, from the right, counted from 1: the number of proxies that added theirs.
    pub hops: usize,
}

impl ClientAddress {
    /// The client's address. An IPv4 address that is written as an IPv6 one (`::ffff:192.0.2.1`) is the IPv4 address.
    ///
    /// # Errors
    /// [`InvalidOriginal`] if the list is shorter, or if the element is not an address.
    pub fn of(&self, headers: &HeaderMap) -> Result<IpAddr, InvalidOriginal> {
        let mut elements = Vec::new();
        for line in headers.get_all(&self.header) {
            // RFC 9110 section 5.3: several lines are one list.
            elements.extend(line.to_str().map_err(|_| InvalidOriginal)?.split(','));
        }
        let element = elements.len().checked_sub(self.hops);
        let element = element.and_then(|at| elements.get(at));
        let address = element.and_then(|element| address(element.trim()));
        Ok(address.ok_or(InvalidOriginal)?.to_canonical())
    }
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bracketed
        .unwrap_or(text)
        .parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    type Headers<'a> = &'a [(&'static str, &'a [u8])];

    fn parts(method: &str, uri: &str, headers: Headers<'_>) -> Parts {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let mut parts = request.into_parts().0;
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value).unwrap();
            parts.headers.append(*name, value);
        }
        parts
    }

    fn read(dialect: Dialect, headers: Headers<'_>) -> Result<String, InvalidOriginal> {
        let original = dialect.original(&parts("GET", "/auth", headers))?;
        let query = original
            .query
            .map_or(String::new(), |query| format!(" ?{query}"));
        let Original {
            method, host, path, ..
        } = original;
        Ok(format!("{method} {host} {path}{query}"))
    }

    #[test]
    fn each_dialect_reads_its_own_headers() {
        let (method, host) = (b"POST".as_slice(), b"API.example.com:8443".as_slice());
        let target = b"/a%2Fb//c/?x=/y?z".as_slice();
        let expected = Ok("POST api.example.com:8443 /a%2Fb//c/ ?x=/y?z".to_owned());
        let nginx: Headers<'_> = &[
            ("x-original-method", method),
            ("x-original-host", host),
            ("x-original-uri", target),
        ];
        let forwarded: Headers<'_> = &[
            ("x-forwarded-method", method),
            ("x-forwarded-host", host),
            ("x-forwarded-uri", target),
        ];
        let url = b"https://API.example.com:8443/a%2Fb//c/?x=/y?z".as_slice();
        let ingress: Headers<'_> = &[("x-original-method", method), ("x-original-url", url)];
        assert_eq!(read(Dialect::Nginx, nginx), expected);
        assert_eq!(read(Dialect::Forwarded, forwarded), expected);
        assert_eq!(read(Dialect::IngressNginx, ingress), expected);
        let uri = "/auth/a%2Fb//c/?x=/y?z";
        let envoy = Dialect::Envoy.original(&parts("POST", uri, &[("host", host)]));
        let envoy = envoy.unwrap();
        assert_eq!(
            (envoy.method.as_str(), envoy.path.as_str()),
            ("POST", "/a%2Fb//c/")
        );
        assert_eq!(envoy.host, "api.example.com:8443");
        assert_eq!(envoy.query.as_deref(), Some("x=/y?z"));
        // Never from the headers of another dialect, and never without one of its own.
        for (dialect, own) in [
            (Dialect::Nginx, nginx),
            (Dialect::Forwarded, forwarded),
            (Dialect::IngressNginx, ingress),
        ] {
            for others in [nginx, forwarded, ingress] {
                if others[..] != own[..] {
                    assert_eq!(read(dialect, others), Err(InvalidOriginal), "{dialect:?}");
                }
            }
            for missing in 0..own.len() {
                let others = own.iter().enumerate().filter(|(at, _)| *at != missing);
                let rest: Vec<_> = others.map(|(_, one)| *one).collect();
                assert_eq!(
                    read(dialect, &rest),
                    Err(InvalidOriginal),
                    "{dialect:?} {missing}"
                );
                let twice: Vec<_> = own.iter().copied().chain([own[missing]]).collect();
                assert_eq!(
                    read(dialect, &twice),
                    Err(InvalidOriginal),
                    "{dialect:?} {missing}"
                );
            }
        }
    }

    #[test]
    fn a_debug_output_has_no_part_that_may_be_secret() {
        let headers: Headers<'_> = &[
            ("x-original-method", b"GET"),
            ("x-original-host", b"reset.example.com"),
            ("x-original-uri", b"/reset/one-time?access_token=ey"),
        ];
        let original = Dialect::Nginx.original(&parts("GET", "/auth", headers));
        let shown = format!("{:?}", original.unwrap());
        assert_eq!(shown, "Original { method: \"GET\", .. }");
    }

    #[test]
    fn invalid_parts_are_refused() {
        let nginx = |method: &[u8], host: &[u8], target: &[u8]| {
            read(
                Dialect::Nginx,
                &[
                    ("x-original-method", method),
                    ("x-original-host", host),
                    ("x-original-uri", target),
                ],
            )
        };
        for method in ["", "get", "GET ", "GET,GET", "G\u{c9}T", &"A".repeat(33)] {
            assert!(nginx(method.as_bytes(), b"a", b"/").is_err(), "{method}");
        }
        for method in ["GET", "M-SEARCH", &"A".repeat(32)] {
            assert!(nginx(method.as_bytes(), b"a", b"/").is_ok(), "{method}");
        }
        let long = "a".repeat(262);
        for host in [
            "",
            " ",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "a,b",
            "a:",
            "a:x",
            "a:99999",
            "a:1:2",
            ":80",
            "[::1",
            "[::1]x",
            "[x]",
            "\u{e9}.example",
            &long,
        ] {
            assert!(nginx(b"GET", host.as_bytes(), b"/").is_err(), "{host}");
        }
        for host in [
            "a",
            "a.example.",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8443",
            "a_b",
        ] {
            assert!(nginx(b"GET", host.as_bytes(), b"/").is_ok(), "{host}");
        }
        for target in [
            "",
            "a",
            "?x",
            "*",
            "http://a/b",
            "a.example:443",
            "/ admin",
            "/x HTTP/1.1",
            "/x?y z",
            "/x\ty",
        ] {
            assert!(nginx(b"GET", b"a", target.as_bytes()).is_err(), "{target}");
        }
        assert!(nginx(b"GET", b"a", b"/\xff").is_err(), "not UTF-8");
        let utf8 = nginx(b"GET", b"a", "/\u{e9}".as_bytes());
        assert_eq!(utf8, Ok("GET a /\u{e9}".to_owned()));
        for url in [
            "a/b",
            "//a/b",
            "ftp://a/b",
            "https://a",
            "https:///b",
            "https://a?/b",
            "https://u@a/b",
            "https://a#/b",
        ] {
            let headers: Headers<'_> = &[
                ("x-original-method", b"GET"),
                ("x-original-url", url.as_bytes()),
            ];
            assert_eq!(
                read(Dialect::IngressNginx, headers),
                Err(InvalidOriginal),
                "{url}"
            );
        }
    }

    #[test]
    fn only_envoy_asks_below_the_path() {
        for (path, envoy, others) in [
            ("/auth", true, true),
            ("/auth/", true, false),
            ("/auth/x", true, false),
            ("/authx", false, false),
            ("/", false, false),
            ("/x/auth", false, false),
        ] {
            assert_eq!(Dialect::Envoy.asks(path), envoy, "{path}");
            for dialect in [Dialect::Nginx, Dialect::IngressNginx, Dialect::Forwarded] {
                assert_eq!(dialect.asks(path), others, "{path}");
            }
        }
        let bare = parts("GET", "/auth", &[("host", b"a")]);
        assert_eq!(Dialect::Envoy.original(&bare), Err(InvalidOriginal));
        let hosts: Headers<'_> = &[("host", b"a"), ("host", b"b")];
        let two = parts("GET", "/auth/x", hosts);
        assert_eq!(Dialect::Envoy.original(&two), Err(InvalidOriginal));
    }

    #[test]
    fn the_address_is_counted_from_the_right() {
        let of = |lines: &[&str], hops| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
            }
            let header = HeaderName::from_static("x-forwarded-for");
            let found = ClientAddress { header, hops }.of(&headers);
            found.ok().map(|address| address.to_string())
        };
        for (lines, hops, expected) in [
            (&["1.1.1.1"][..], 1, Some("1.1.1.1")),
            (&["9.9.9.9, 1.1.1.1"], 1, Some("1.1.1.1")),
            (&["9.9.9.9, 1.1.1.1"], 2, Some("9.9.9.9")),
            (&["9.9.9.9", "1.1.1.1"], 1, Some("1.1.1.1")),
            (&["9.9.9.9", "1.1.1.1"], 2, Some("9.9.9.9")),
            (&["1.1.1.1"], 2, None),
            (&[], 1, None),
            (&["spoofed, 1.1.1.1"], 2, None),
            (&["1.1.1.1,"], 1, None),
            (&["1.1.1.1:443"], 1, Some("1.1.1.1")),
            (&["2001:db8::1"], 1, Some("2001:db8::1")),
            (&["[2001:db8::1]"], 1, Some("2001:db8::1")),
            (&["[2001:db8::1]:443"], 1, Some("2001:db8::1")),
            (&["1.1.1"], 1, None),
            (&["1.1.1.1:"], 1, None),
            (&["::ffff:1.1.1.1"], 1, Some("1.1.1.1")),
            (&["[::ffff:1.1.1.1]:443"], 1, Some("1.1.1.1")),
            (&["::ffff:101:101"], 1, Some("1.1.1.1")),
        ] {
            assert_eq!(of(lines, hops).as_deref(), expected, "{lines:?} {hops}");
        }
    }
}
