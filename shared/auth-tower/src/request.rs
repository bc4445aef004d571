//! The request to decide about, independent of the server that received it.

use std::borrow::Cow;
use std::net::IpAddr;

use auth::DenyReason;
use http::HeaderMap;
use percent_encoding::percent_decode_str;

/// A client's request. No `Debug`: its headers and its query have credentials.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, as the client sent it.
    pub method: &'a str,
    /// The path as the client sent it, with its escapes; it starts with a slash.
    pub path: &'a str,
    /// The query without its question mark.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The client's address, from a source that the client cannot choose. Without one, every request is denied where a
    /// policy uses addresses.
    pub client_address: Option<IpAddr>,
}

impl<'a> Request<'a> {
    /// The only value of the header `name`.
    ///
    /// # Errors
    /// [`DenyReason::MissingToken`] without one; [`DenyReason::AmbiguousToken`] for several, even if they are equal, or
    /// for one that is not visible ASCII.
    pub(crate) fn header(&self, name: &str) -> Result<&'a str, DenyReason> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().ok_or(DenyReason::MissingToken)?;
        match (value.to_str(), values.next()) {
            (Ok(text), None) => Ok(text),
            (Err(_), _) | (_, Some(_)) => Err(DenyReason::AmbiguousToken),
        }
    }

    /// The only cookie with this name.
    ///
    /// # Errors
    /// As [`api_gateway::headers::cookie`].
    pub(crate) fn cookie(&self, name: &str) -> Result<String, DenyReason> {
        let header = self.header("cookie").map(Cow::Borrowed);
        api_gateway::headers::cookie(None, header, name)
    }

    /// Whether this is the handshake of a WebSocket: [RFC 6455] section 4.1, and the fetch mode of browsers, which is all
    /// that HTTP/2 has of it. Malformed and repeated headers count, too.
    ///
    /// [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455
    pub(crate) fn opens_web_socket(&self) -> bool {
        let names = |name: &str| {
            let mut values = self.headers.get_all(name).iter();
            values.any(|value| {
                let text = value.as_bytes().to_ascii_lowercase();
                text.windows(b"websocket".len())
                    .any(|part| part == b"websocket")
            })
        };
        self.headers.contains_key("sec-websocket-key")
            || self.headers.contains_key("sec-websocket-version")
            || names("sec-fetch-mode")
            || names("upgrade")
    }

    /// Whether the query has a parameter `name`, in any spelling that a form decoder reads as this name.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        let query = self.query.unwrap_or_default();
        query.split(['&', ';']).any(|pair| {
            let key = pair.split_once('=').map_or(pair, |(key, _)| key);
            percent_decode_str(key).decode_utf8_lossy() == name
        })
    }
}
