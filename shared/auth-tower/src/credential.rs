//! The caller's credential, from the places where a request may have it. The rules are those of the authorizer.

use std::borrow::Cow;

use api_gateway::bearer;
use auth::{Credential, DenyReason};
use http::HeaderName;

use crate::request::Request;

/// The `Authorization` scheme of API keys.
const API_KEY_SCHEME: &str = "ApiKey";

/// The header that may contain an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKeyPlace {
    /// `Authorization: ApiKey <key>`.
    Authorization,
    /// Only the key, in this header.
    Named(HeaderName),
}

/// What a request presents. No `Debug`: it is a secret.
pub enum Presented<'a> {
    /// A credential.
    Credential(Credential<'a>),
    /// The id of a browser session, from a cookie. The store has its token.
    Session(String),
}

impl Presented<'_> {
    /// Whether a browser adds it to requests of any page.
    #[must_use]
    pub fn is_cookie(&self) -> bool {
        match self {
            Self::Credential(credential) => credential.is_cookie(),
            Self::Session(_) => true,
        }
    }
}

/// The places of credentials in requests. A request with a parameter `access_token` in the query is
/// refused ([RFC 6750] section 2).
///
/// [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750
#[derive(Clone, Debug)]
pub struct Places {
    /// `Authorization: Bearer <token>`.
    pub header: bool,
    /// The cookie that may contain a token.
    pub cookie: Option<String>,
    /// The cookie that may contain the id of a browser session. The gate needs their store.
    pub session: Option<String>,
    /// The header that may contain an API key; `None` if API keys are not accepted.
    pub api_key: Option<ApiKeyPlace>,
    /// Origins whose pages may send a request that changes something, or open a WebSocket, with a cookie.
    pub allowed_origins: Vec<String>,
}

impl Default for Places {
    /// The header alone.
    fn default() -> Self {
        Self {
            header: true,
            cookie: None,
            session: None,
            api_key: None,
            allowed_origins: Vec::new(),
        }
    }
}

impl Places {
    /// The only credential of the request.
    ///
    /// # Errors
    /// [`DenyReason::MissingToken`] without one, [`DenyReason::AmbiguousToken`] for several,
    /// [`DenyReason::MalformedToken`] for one that is not well-formed.
    pub fn presented<'r>(&self, request: &Request<'r>) -> Result<Presented<'r>, DenyReason> {
        let key = self.api_key.as_ref();
        let key = key.map_or(Err(DenyReason::MissingToken), |place| {
            api_key(request, place)
        });
        match key {
            Err(DenyReason::MissingToken) => self.token(request),
            Err(reason) => Err(reason),
            Ok(_) if self.has_token_too(request) => Err(DenyReason::AmbiguousToken),
            Ok(key) => {
                let key = Credential::ApiKey(Cow::Borrowed(key));
                Ok(Presented::Credential(key))
            }
        }
    }

    /// The token or the session, from the only place that has one.
    fn token<'r>(&self, request: &Request<'r>) -> Result<Presented<'r>, DenyReason> {
        let in_header = self.in_header(request);
        let in_header = in_header.map(|token| Credential::Token(Cow::Borrowed(token)));
        let in_cookie = self.in_cookie(request);
        let in_cookie = in_cookie.map(|token| Credential::Cookie(Cow::Owned(token)));
        let session = self.session_id(request).map(Presented::Session);
        let places = [
            in_header.map(Presented::Credential),
            in_cookie.map(Presented::Credential),
            session,
        ];
        let mut found = None;
        for place in places {
            match (place, &found) {
                (Err(DenyReason::MissingToken), _) => {}
                (Err(reason), _) => return Err(reason),
                (Ok(_), Some(_)) => return Err(DenyReason::AmbiguousToken),
                (Ok(presented), None) => found = Some(presented),
            }
        }
        if is_in_query(request) {
            return Err(DenyReason::AmbiguousToken);
        }
        found.ok_or(DenyReason::MissingToken)
    }

    fn in_header<'r>(&self, request: &Request<'r>) -> Result<&'r str, DenyReason> {
        if !self.header {
            return Err(DenyReason::MissingToken);
        }
        bearer::token_of(request.header("authorization")?)
    }

    fn in_cookie(&self, request: &Request<'_>) -> Result<String, DenyReason> {
        let name = self.cookie.as_ref().ok_or(DenyReason::MissingToken)?;
        let value = request.cookie(name)?;
        bearer::check(&value).map(|()| value)
    }

    fn session_id(&self, request: &Request<'_>) -> Result<String, DenyReason> {
        let name = self.session.as_ref().ok_or(DenyReason::MissingToken)?;
        let value = request.cookie(name)?;
        bearer::check(&value).map(|()| value)
    }

    /// Whether a request with an API key also has a value in any place of a token.
    fn has_token_too(&self, request: &Request<'_>) -> bool {
        let is_the_key_itself = self.api_key == Some(ApiKeyPlace::Authorization);
        let missing = Some(DenyReason::MissingToken);
        (!is_the_key_itself && self.in_header(request).err() != missing)
            || self.in_cookie(request).err() != missing
            || self.session_id(request).err() != missing
            || is_in_query(request)
    }

    /// Whether a page of an unknown origin may have sent this request, to which the browser added the cookie. True also
    /// if the browser does not report the origin. Of a WebSocket the page reads the responses, too.
    pub(crate) fn may_be_forged(&self, request: &Request<'_>) -> bool {
        use api_gateway::headers::{Sender, only_reads, sender};
        if only_reads(request.method) && !request.opens_web_socket() {
            return false;
        }
        let origin = request.header("origin").map(Cow::Borrowed);
        let site = request.header("sec-fetch-site").map(Cow::Borrowed);
        sender(&origin, &site, &self.allowed_origins) != Sender::Known
    }
}

fn is_in_query(request: &Request<'_>) -> bool {
    request.has_parameter("access_token")
}

fn api_key<'r>(request: &Request<'r>, place: &ApiKeyPlace) -> Result<&'r str, DenyReason> {
    match place {
        ApiKeyPlace::Named(name) => match request.header(name.as_str())? {
            "" => Err(DenyReason::MissingToken),
            key => Ok(key),
        },
        ApiKeyPlace::Authorization => {
            let value = request.header("authorization")?;
            if bearer::has_scheme(value, API_KEY_SCHEME) {
                bearer::credential_of(value, API_KEY_SCHEME)
            } else {
                Err(DenyReason::MissingToken)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    type Headers<'a> = &'a [(&'static str, &'a [u8])];

    fn all_places() -> Places {
        Places {
            cookie: Some("token".to_owned()),
            session: Some("__Host-session".to_owned()),
            api_key: Some(ApiKeyPlace::Authorization),
            ..Places::default()
        }
    }

    /// The kind of the credential and its text.
    fn found(places: &Places, headers: Headers<'_>, query: &str) -> Result<String, DenyReason> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let request = Request {
            method: "GET",
            path: "/",
            query: Some(query),
            headers: &map,
            client_address: None,
        };
        let presented = places.presented(&request)?;
        Ok(match presented {
            Presented::Credential(Credential::Token(text)) => format!("token {text}"),
            Presented::Credential(Credential::Cookie(text)) => format!("cookie {text}"),
            Presented::Credential(Credential::Session(_)) => "session token".to_owned(),
            Presented::Credential(Credential::ApiKey(text)) => format!("key {text}"),
            Presented::Session(id) => format!("session {id}"),
        })
    }

    #[test]
    fn finds_one_credential_or_none() {
        use DenyReason::{AmbiguousToken, MalformedToken, MissingToken};
        let rows: [(Headers<'_>, &str, Result<&str, DenyReason>); 27] = [
            (&[("authorization", b"Bearer a.b.c")], "", Ok("token a.b.c")),
            (&[("cookie", b"x=y; token=a.b.c")], "", Ok("cookie a.b.c")),
            (&[("authorization", b"ApiKey gh_1")], "", Ok("key gh_1")),
            (
                &[("cookie", b"x=y; __Host-session=a-_1")],
                "",
                Ok("session a-_1"),
            ),
            (
                &[("cookie", b"__Host-session=a; token=b")],
                "",
                Err(AmbiguousToken),
            ),
            (
                &[("cookie", b"__Host-session=a; __Host-session=a")],
                "",
                Err(AmbiguousToken),
            ),
            (
                &[
                    ("cookie", b"__Host-session=a"),
                    ("authorization", b"Bearer a"),
                ],
                "",
                Err(AmbiguousToken),
            ),
            (
                &[
                    ("cookie", b"__Host-session=a"),
                    ("authorization", b"ApiKey a"),
                ],
                "",
                Err(AmbiguousToken),
            ),
            (&[], "", Err(MissingToken)),
            (&[("authorization", b"")], "", Err(MissingToken)),
            (&[("cookie", b"token=")], "", Err(MissingToken)),
            (&[("cookie", b"tokenx=a; Token=a")], "", Err(MissingToken)),
            (
                &[
                    ("authorization", b"Bearer a"),
                    ("authorization", b"Bearer a"),
                ],
                "",
                Err(AmbiguousToken),
            ),
            (
                &[("authorization", b"Bearer a"), ("cookie", b"token=a")],
                "",
                Err(AmbiguousToken),
            ),
            (&[("cookie", b"token=a; token=b")], "", Err(AmbiguousToken)),
            (&[("cookie", b"token=a; token=a")], "", Err(AmbiguousToken)),
            (
                &[("cookie", b"token=a"), ("cookie", b"token=b")],
                "",
                Err(AmbiguousToken),
            ),
            (
                &[("cookie", b"token=a"), ("cookie", b"x=y")],
                "",
                Err(AmbiguousToken),
            ),
            (
                &[("authorization", b"ApiKey gh_1"), ("cookie", b"token=a")],
                "",
                Err(AmbiguousToken),
            ),
            (
                &[("authorization", b"ApiKey gh_1")],
                "access_token=a",
                Err(AmbiguousToken),
            ),
            (
                &[("authorization", b"Bearer a")],
                "x=y&access%5Ftoken=b",
                Err(AmbiguousToken),
            ),
            (&[], "access_token=b", Err(AmbiguousToken)),
            (&[], "xaccess_token=b&y=access_token", Err(MissingToken)),
            (&[("authorization", b"Basic a")], "", Err(MalformedToken)),
            (&[("cookie", b"token=\"a\"")], "", Err(MalformedToken)),
            (
                &[("authorization", b"Bearer a\xe9")],
                "",
                Err(AmbiguousToken),
            ),
            (
                &[("authorization", b"Bearer a"), ("cookie", b"token=a b")],
                "",
                Err(MalformedToken),
            ),
        ];
        for (headers, query, expected) in rows {
            let found = found(&all_places(), headers, query);
            assert_eq!(found, expected.map(str::to_owned), "{headers:?} {query}");
        }
    }

    #[test]
    fn places_that_are_not_configured_are_not_read() {
        let header = Places::default();
        let cookie: Headers<'_> = &[("cookie", b"token=a")];
        let missing = Err(DenyReason::MissingToken);
        assert_eq!(found(&header, cookie, ""), missing);
        let key: Headers<'_> = &[("authorization", b"ApiKey gh_1")];
        assert_eq!(found(&header, key, ""), Err(DenyReason::MalformedToken));
        let cookie_alone = Places {
            header: false,
            ..all_places()
        };
        let bearer: Headers<'_> = &[("authorization", b"Bearer a")];
        assert_eq!(found(&cookie_alone, bearer, ""), missing);
        // The query never is a place, and what it has is refused.
        let refused = Err(DenyReason::AmbiguousToken);
        assert_eq!(found(&cookie_alone, bearer, "access_token=a"), refused);
        assert_eq!(found(&header, bearer, "access_token=a"), refused);
        let named = Places {
            api_key: Some(ApiKeyPlace::Named(HeaderName::from_static("x-api-key"))),
            ..Places::default()
        };
        let both: Headers<'_> = &[("x-api-key", b"gh_1"), ("authorization", b"Bearer a")];
        let key = found(&named, &both[..1], "");
        assert_eq!(key, Ok("key gh_1".to_owned()));
        assert_eq!(found(&named, both, ""), Err(DenyReason::AmbiguousToken));
        let empty: Headers<'_> = &[("x-api-key", b""), ("authorization", b"Bearer a")];
        assert_eq!(found(&named, empty, ""), Ok("token a".to_owned()));
    }

    /// The rows that the authorizer refuses or accepts, too.
    #[test]
    fn the_header_is_read_as_the_authorizer_reads_it() {
        let token = "eyJraWQiOiJh.eyJpc3MiOiJi.c2ln";
        for row in testkit::rows::authorization::authorization_values(token) {
            let Some(text) = row.value.as_str() else {
                continue;
            };
            // A header cannot contain control characters, except for tabs.
            if HeaderValue::from_bytes(text.as_bytes()).is_err() {
                assert!(row.refused.is_some(), "{}", row.name);
                continue;
            }
            let found = found(
                &Places::default(),
                &[("authorization", text.as_bytes())],
                "",
            );
            let expected = row.refused.map_or(Ok(format!("token {token}")), Err);
            assert_eq!(found.map_err(DenyReason::as_str), expected, "{}", row.name);
        }
    }
}
