//! The headers that tell a backend who the caller is.

use auth::{Principal, VerifiedClaims};
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The largest size of all headers together, names and values, in bytes.
pub const MAX_BYTES: usize = 4_096;

/// Characters that are escaped: all but the unreserved ones of [RFC 3986] section 2.3 and `@`, `:`, `/`, which addresses
/// and the names of providers contain. A space, a comma and a plus sign are escaped, so they only separate.
///
/// [RFC 3986]: https://www.rfc-editor.org/rfc/rfc3986
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b':')
    .remove(b'/');

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `X-Auth-Subject`: `sub`; for an API key, its owner.
    Subject,
    /// `X-Auth-Username`; empty for a machine.
    Username,
    /// `X-Auth-Groups`: the groups, joined by commas.
    Groups,
    /// `X-Auth-Scope`: the scopes, joined by spaces.
    Scope,
    /// `X-Auth-Client-Id`.
    ClientId,
    /// `X-Auth-Issuer`: the issuer's short name, for Cognito the user pool's id.
    Issuer,
    /// `X-Auth-Session`: `origin_jti` or `sid`.
    Session,
    /// `X-Auth-Key-Id`: the id of an API key; empty for a token.
    KeyId,
}

impl Identity {
    /// All headers by their names in `IDENTITY_HEADERS`.
    pub const ALL: [(&'static str, Self); 8] = [
        ("subject", Self::Subject),
        ("username", Self::Username),
        ("groups", Self::Groups),
        ("scope", Self::Scope),
        ("client_id", Self::ClientId),
        ("issuer", Self::Issuer),
        ("session", Self::Session),
        ("key_id", Self::KeyId),
    ];

    /// The headers of a deployment that does not choose.
    pub const DEFAULT: [Self; 6] = [
        Self::Subject,
        Self::Username,
        Self::Groups,
        Self::Scope,
        Self::ClientId,
        Self::Issuer,
    ];

    /// The header's name.
    #[must_use]
    pub fn header(self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::Subject => "x-auth-subject",
            Self::Username => "x-auth-username",
            Self::Groups => "x-auth-groups",
            Self::Scope => "x-auth-scope",
            Self::ClientId => "x-auth-client-id",
            Self::Issuer => "x-auth-issuer",
            Self::Session => "x-auth-session",
            Self::KeyId => "x-auth-key-id",
        })
    }

    /// The value; empty where the caller has none.
    fn value(self, claims: &VerifiedClaims) -> String {
        let is_key = claims.principal() == Principal::ApiKey;
        match self {
            Self::Subject => escaped(claims.subject()),
            Self::Username => claims.username().map(escaped).unwrap_or_default(),
            Self::Groups => joined(claims.groups().iter().map(String::as_str), ","),
            Self::Scope => joined(claims.scopes(), " "),
            Self::ClientId => escaped(claims.client_id()),
            Self::Issuer => escaped(claims.issuer_id()),
            Self::Session => claims.session().map(escaped).unwrap_or_default(),
            Self::KeyId => {
                let id = claims.token_id().filter(|_| is_key);
                id.map(escaped).unwrap_or_default()
            }
        }
    }
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn joined<'a>(parts: impl Iterator<Item = &'a str>, separator: &str) -> String {
    let parts: Vec<String> = parts.map(escaped).collect();
    parts.join(separator)
}

/// The headers would exceed [`MAX_BYTES`]. They are never cut: a backend cannot tell a shortened list of groups from a
/// complete one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("identity_too_large")]
pub struct TooLarge;

/// All chosen headers, empty ones too: a proxy that copies them replaces what the client sent under these names.
///
/// # Errors
/// [`TooLarge`].
pub fn headers(
    chosen: &[Identity],
    claims: &VerifiedClaims,
) -> Result<Vec<(HeaderName, HeaderValue)>, TooLarge> {
    let mut size = 0;
    let mut headers = Vec::with_capacity(chosen.len());
    for identity in chosen {
        let (name, value) = (identity.header(), identity.value(claims));
        size += name.as_str().len() + value.len();
        if size > MAX_BYTES {
            return Err(TooLarge);
        }
        headers.push((name, HeaderValue::try_from(value).map_err(|_| TooLarge)?));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use auth::{ClaimsBuilder, UnixSeconds};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn all() -> Vec<Identity> {
        Identity::ALL
            .iter()
            .map(|(_, identity)| *identity)
            .collect()
    }

    fn values(claims: &VerifiedClaims) -> Vec<(String, String)> {
        let headers = headers(&all(), claims).unwrap();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    #[test]
    fn every_chosen_header_is_present() {
        let claims = ClaimsBuilder::machine("m-1", NOW)
            .scope("orders/read orders/write")
            .build();
        let expected = [
            ("x-auth-subject", "m-1"),
            ("x-auth-username", ""),
            ("x-auth-groups", ""),
            ("x-auth-scope", "orders/read orders/write"),
            ("x-auth-client-id", "m-1"),
        ];
        let found = values(&claims);
        assert_eq!(found.len(), 8);
        for (name, value) in expected {
            let header = found.iter().find(|(known, _)| known == name);
            assert_eq!(header.unwrap().1, value, "{name}");
        }
        let key = ClaimsBuilder::api_key("acme", "k-1", NOW).build();
        let found = values(&key);
        assert!(found.contains(&("x-auth-key-id".to_owned(), "k-1".to_owned())));
        assert!(found.contains(&("x-auth-subject".to_owned(), "acme".to_owned())));
    }

    #[test]
    fn no_value_ends_a_header_or_an_element() {
        let hostile = "a\r\nX-Auth-Groups: admins\0, \u{e9}+%2C;=\"@:/";
        let claims = ClaimsBuilder::user(hostile, NOW)
            .username(hostile)
            .groups([hostile, "b,c", "d e"])
            .session(Some(hostile))
            .build();
        let escaped = "a%0D%0AX-Auth-Groups:%20admins%00%2C%20%C3%A9%2B%252C%3B%3D%22@:/";
        let found = values(&claims);
        let of = |name: &str| {
            found
                .iter()
                .find(|(known, _)| known == name)
                .unwrap()
                .1
                .as_str()
        };
        assert_eq!(of("x-auth-subject"), escaped);
        assert_eq!(of("x-auth-username"), escaped);
        assert_eq!(of("x-auth-session"), escaped);
        assert_eq!(of("x-auth-groups"), format!("{escaped},b%2Cc,d%20e"));
        let decoded = percent_encoding::percent_decode_str(of("x-auth-subject"));
        assert_eq!(decoded.decode_utf8().unwrap(), hostile);
    }

    #[test]
    fn more_than_4096_bytes_are_refused_and_not_cut() {
        let with = |length: usize| {
            let group = "g".repeat(length);
            let claims = ClaimsBuilder::user("ada", NOW)
                .groups([group.as_str()])
                .build();
            headers(&[Identity::Groups], &claims).map(|headers| headers.len())
        };
        let room = MAX_BYTES - "x-auth-groups".len();
        assert_eq!(with(room), Ok(1));
        assert_eq!(with(room + 1), Err(TooLarge));
        let groups: Vec<String> = (0..100)
            .map(|number| format!("team-{number:03}-of-acme"))
            .collect();
        let claims = ClaimsBuilder::user("ada", NOW)
            .groups(groups.iter().map(String::as_str))
            .build();
        assert!(headers(&Identity::DEFAULT, &claims).is_ok(), "100 groups");
    }
}
