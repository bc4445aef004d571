//! Whether a page of another origin sent the request.

use api_gateway::headers::{self, Sender};
use auth::DenyReason;

use crate::event::{Event, Kind};

impl Event<'_> {
    /// Whether a page of another origin opens this WebSocket. Clients that send no `Origin` are not
    /// browsers.
    #[must_use]
    pub fn is_from_elsewhere(&self, allowed_origins: &[String]) -> bool {
        if self.kind() != Kind::WebSocket || allowed_origins.is_empty() {
            return false;
        }
        match self.header("origin") {
            Ok(origin) => !allowed_origins.iter().any(|allowed| *allowed == origin),
            Err(DenyReason::MissingToken) => false,
            Err(_) => true,
        }
    }

    /// Whether a page of an unknown origin may have sent this state-changing request, to which the
    /// browser adds the cookie. True also if the browser does not report the origin.
    #[must_use]
    pub fn may_be_forged(&self, verb: &str, allowed_origins: &[String]) -> bool {
        if headers::only_reads(verb) || self.kind() == Kind::WebSocket {
            return false;
        }
        let (origin, site) = (self.header("origin"), self.header("sec-fetch-site"));
        headers::sender(&origin, &site, allowed_origins) != Sender::Known
    }
}
