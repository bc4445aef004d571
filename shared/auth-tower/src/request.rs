//! The request to decide about, independent of the server that received it.

use std::borrow::Cow;
use std::net::IpAddr;

use auth::DenyReason;
use http::HeaderMap;
use percent_encoding::percent_decode_str;

/// A client's request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, as the client sent it.
    pub method: &'a str,
    /// The path as the client sent it, with its escapes; it starts with a slash.
    pub path: &'a str,
    /// The query without its question mark.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The client's address, from a source that the client cannot choose.
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

    /// Whether the query has a parameter `name`, in any spelling that a form decoder reads as this name.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        let query = self.query.unwrap_or_default();
        query.split(['&', ';']).any(|pair| {
            let key = pair.split_once('=').map_or(pair, |(key, _)| key);
            percent_decode_str(key).decode_utf8_lossy() == name
        })
    }
}
