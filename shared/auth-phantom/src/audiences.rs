//! Which service is behind which host.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

const MAX_AUDIENCE_BYTES: usize = 256;
const MAX_HOST_BYTES: usize = 253;

/// Why a text was rejected as a map of audiences. No variant contains a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudiencesError {
    /// Not a JSON object whose values are strings.
    #[error("is not a JSON object of hosts and their audiences")]
    Malformed,
    /// No host at all.
    #[error("names no host")]
    Empty,
    /// A name is not a host without port, such as `orders.example.com`.
    #[error("names a host that is not a plain host name or address without port")]
    Host,
    /// Two names are the same host.
    #[error("names a host twice")]
    DuplicateHost,
    /// An audience is empty, longer than 256 bytes, or has a control character or a blank at its ends.
    #[error("has an audience that is not 1 to {MAX_AUDIENCE_BYTES} bytes of plain text")]
    Audience,
}

/// The audience of each host: the `aud` of tokens for the service behind it. Two hosts may share one, if they are the
/// same service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audiences(HashMap<String, String>);

impl Audiences {
    /// Reads `{"orders.example.com": "orders", "pay.example.com": "https://pay.example.com"}`.
    ///
    /// # Errors
    /// The first problem.
    pub fn from_json(text: &str) -> Result<Self, AudiencesError> {
        let Pairs(pairs) = serde_json::from_str(text).map_err(|_| AudiencesError::Malformed)?;
        if pairs.is_empty() {
            return Err(AudiencesError::Empty);
        }
        let mut audiences = HashMap::with_capacity(pairs.len());
        for (host, audience) in pairs {
            if !is_host(&host) {
                return Err(AudiencesError::Host);
            }
            let fits = (1..=MAX_AUDIENCE_BYTES).contains(&audience.len());
            if !fits || audience.trim() != audience || audience.chars().any(char::is_control) {
                return Err(AudiencesError::Audience);
            }
            if audiences
                .insert(host.to_ascii_lowercase(), audience)
                .is_some()
            {
                return Err(AudiencesError::DuplicateHost);
            }
        }
        Ok(Self(audiences))
    }

    /// The audience of `host`, a `Host` header's value with or without a port ([RFC 9110 section 7.2]), in any case.
    /// `None`: no service is configured there, and no token may be minted for it.
    ///
    /// [RFC 9110 section 7.2]: https://www.rfc-editor.org/rfc/rfc9110#section-7.2
    #[must_use]
    pub fn get(&self, host: &str) -> Option<&str> {
        let name = match host.rsplit_once(':') {
            // Not the last colon of an IPv6 address.
            Some((name, port)) if !port.ends_with(']') => {
                let is_port =
                    (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
                is_port.then_some(name)?
            }
            _ => host,
        };
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str)
    }
}

/// A host name or an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = address {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_HOST_BYTES).contains(&host.len())
        && host.bytes().all(fits)
        && host.split('.').all(|label| !label.is_empty())
}

/// The members of an object, also those that occur twice.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_its_audience() {
        let text = r#"{"Orders.example.com": "orders", "pay.example.com": "https://pay.example.com",
            "[2001:db8::1]": "six", "127.0.0.1": "four", "localhost": "Straße"}"#;
        let audiences = Audiences::from_json(text).unwrap();
        for (host, audience) in [
            ("orders.example.com", Some("orders")),
            ("ORDERS.EXAMPLE.COM:8443", Some("orders")),
            ("pay.example.com:443", Some("https://pay.example.com")),
            ("[2001:db8::1]", Some("six")),
            ("[2001:DB8::1]:9000", Some("six")),
            ("127.0.0.1:80", Some("four")),
            ("localhost", Some("Straße")),
            ("example.com", None),
            ("x.orders.example.com", None),
            ("orders.example.com.", None),
            ("orders.example.com:", None),
            ("orders.example.com:x", None),
            ("orders.example.com:443:443", None),
            ("orders.example.com:123456", None),
            ("orders.example.com, pay.example.com", None),
            (" orders.example.com", None),
            ("user@orders.example.com", None),
            ("örders.example.com", None),
            (":443", None),
            ("", None),
        ] {
            assert_eq!(audiences.get(host), audience, "{host}");
        }
    }

    #[test]
    fn each_malformed_map_has_its_error() {
        use AudiencesError::{Audience, DuplicateHost, Empty, Host, Malformed};
        let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(257));
        for (text, error) in [
            ("", Malformed),
            ("[]", Malformed),
            (r#"{"a": 1}"#, Malformed),
            (r#"{"a": ["b"]}"#, Malformed),
            (r#"{"a": "b"} {}"#, Malformed),
            ("{}", Empty),
            (r#"{"": "b"}"#, Host),
            (r#"{"a:443": "b"}"#, Host),
            (r#"{"https://a": "b"}"#, Host),
            (r#"{"a..b": "b"}"#, Host),
            (r#"{"*.a": "b"}"#, Host),
            (r#"{"a b": "b"}"#, Host),
            (r#"{"é": "b"}"#, Host),
            (r#"{"[::1": "b"}"#, Host),
            (r#"{"a": "b", "a": "c"}"#, DuplicateHost),
            (r#"{"a": "b", "A": "b"}"#, DuplicateHost),
            (r#"{"a": ""}"#, Audience),
            (r#"{"a": " b"}"#, Audience),
            (r#"{"a": "b\n"}"#, Audience),
            (r#"{"a": "b\u0000c"}"#, Audience),
            (&long, Audience),
        ] {
            assert_eq!(Audiences::from_json(text), Err(error), "{text}");
        }
    }
}
