//! The caller's credential: a token or an API key, from the places where a request may have it.

use std::borrow::Cow;

use api_gateway::{bearer, headers};
pub use auth::Credential;
use auth::DenyReason;
use auth_sessions::SessionId;

use crate::event::{Event, Kind};

/// The `Authorization` scheme for API keys.
const API_KEY_SCHEME: &str = "ApiKey";

/// What a request presents. No `Debug`: it is a secret.
pub enum Presented<'a> {
    /// A credential.
    Credential(Credential<'a>),
    /// The id of a browser session, whose token is in a table.
    Session(SessionId),
}

/// A part of a request that may contain a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// `Authorization: Bearer <token>`.
    Header,
    /// `?access_token=<token>`.
    Query,
    /// The cookie `TOKEN_COOKIE`.
    Cookie,
    /// The cookie `SESSION_COOKIE`, with the id of a browser session.
    Session,
    /// `Sec-WebSocket-Protocol: bearer, <token>`.
    Subprotocol,
}

impl TokenSource {
    /// Whether a browser adds it to requests of any page.
    pub(crate) fn is_cookie(self) -> bool {
        matches!(self, Self::Cookie | Self::Session)
    }
}

/// The places of tokens in requests.
#[derive(Clone, Debug)]
pub struct TokenSources {
    /// `None`: the header, and for a WebSocket also the query and the subprotocol, because browsers
    /// cannot set headers there.
    pub(crate) chosen: Option<Vec<TokenSource>>,
    /// The name of the token's cookie.
    pub cookie: String,
    /// The name of the cookie of a browser session's id.
    pub session_cookie: String,
}

impl TokenSources {
    /// The sources to read.
    pub(crate) fn to_try(&self, web_socket: bool) -> impl Iterator<Item = TokenSource> {
        const PLAIN: &[TokenSource] = &[TokenSource::Header];
        const WEB_SOCKET: &[TokenSource] = &[
            TokenSource::Header,
            TokenSource::Query,
            TokenSource::Subprotocol,
        ];
        let by_default = if web_socket { WEB_SOCKET } else { PLAIN };
        self.chosen.as_deref().unwrap_or(by_default).iter().copied()
    }

    /// The source that must be empty: unless the configuration names the sources, a token in the
    /// query is a second credential (RFC 6750 section 2).
    pub(crate) fn must_be_empty(&self, web_socket: bool) -> Option<TokenSource> {
        (self.chosen.is_none() && !web_socket).then_some(TokenSource::Query)
    }
}

/// The header that may contain an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKeyHeader {
    /// `Authorization: ApiKey <key>`.
    Authorization,
    /// Only the key, in a header of this lower-case name.
    Named(String),
}

impl<'a> Event<'a> {
    /// The only credential: a token, or an API key if API keys are enabled.
    ///
    /// # Errors
    /// No credential, several, or a malformed one.
    pub fn credential(
        &self,
        sources: &TokenSources,
        api_keys: Option<&ApiKeyHeader>,
    ) -> Result<Presented<'a>, DenyReason> {
        let key = api_keys.map_or(Err(DenyReason::MissingToken), |header| self.api_key(header));
        match key {
            Err(DenyReason::MissingToken) => self.token(sources),
            Err(reason) => Err(reason),
            Ok(_) if self.has_token_too(sources, api_keys) => Err(DenyReason::AmbiguousToken),
            Ok(key) => Ok(Presented::Credential(Credential::ApiKey(key))),
        }
    }

    fn api_key(&self, header: &ApiKeyHeader) -> Result<Cow<'a, str>, DenyReason> {
        let value = match (self.kind(), header) {
            (Kind::Token | Kind::AppSync, ApiKeyHeader::Named(_)) => Err(DenyReason::MissingToken),
            (Kind::Token | Kind::AppSync, ApiKeyHeader::Authorization) => {
                self.authorization_token()
            }
            (_, ApiKeyHeader::Authorization) => self.header("authorization"),
            (_, ApiKeyHeader::Named(name)) => self.header(name),
        }?;
        match header {
            ApiKeyHeader::Named(_) if value.is_empty() => Err(DenyReason::MissingToken),
            ApiKeyHeader::Named(_) => Ok(value),
            ApiKeyHeader::Authorization if bearer::has_scheme(&value, API_KEY_SCHEME) => {
                bearer::credential_of(&value, API_KEY_SCHEME).map(|key| Cow::Owned(key.to_owned()))
            }
            ApiKeyHeader::Authorization => Err(DenyReason::MissingToken),
        }
    }

    /// Whether a request with an API key also has a value in any place of a token.
    fn has_token_too(&self, sources: &TokenSources, api_keys: Option<&ApiKeyHeader>) -> bool {
        let web_socket = self.kind() == Kind::WebSocket;
        let is_the_key_itself = |source: TokenSource| {
            source == TokenSource::Header && api_keys == Some(&ApiKeyHeader::Authorization)
        };
        match self.kind() {
            Kind::Token | Kind::AppSync => false,
            Kind::Request | Kind::Http | Kind::WebSocket => {
                let mut places = sources
                    .to_try(web_socket)
                    .chain(sources.must_be_empty(web_socket))
                    .filter(|source| !is_the_key_itself(*source));
                (self.may_be_a_token_event() && self.authorization_token().is_ok())
                    || places.any(|source| {
                        self.token_from(source, sources) != Err(DenyReason::MissingToken)
                    })
            }
        }
    }

    /// The token, from the only source that has one.
    ///
    /// # Errors
    /// No token, several, or a value that is not a bearer token.
    pub fn token(&self, sources: &TokenSources) -> Result<Presented<'a>, DenyReason> {
        let token = |text| Presented::Credential(Credential::Token(text));
        match self.kind() {
            Kind::Token => token_in(self.authorization_token()?).map(token),
            Kind::AppSync => {
                // AppSync's clients send the token without a scheme.
                let value = self.authorization_token()?;
                let text = match bearer::check(&value) {
                    Ok(()) => Ok(value),
                    Err(_) => token_in(value),
                };
                text.map(token)
            }
            Kind::Request | Kind::Http | Kind::WebSocket => self.token_of_request(sources),
        }
    }

    fn token_of_request(&self, sources: &TokenSources) -> Result<Presented<'a>, DenyReason> {
        let web_socket = self.kind() == Kind::WebSocket;
        let mut found = None;
        let mut found_in = TokenSource::Header;
        for source in sources.to_try(web_socket) {
            match (self.token_from(source, sources), &found) {
                (Err(DenyReason::MissingToken), _) => {}
                (Err(reason), _) => return Err(reason),
                (Ok(_), Some(_)) => return Err(DenyReason::AmbiguousToken),
                (Ok(token), None) => {
                    found = Some(token);
                    found_in = source;
                }
            }
        }
        if let Some(source) = sources.must_be_empty(web_socket)
            && self.token_from(source, sources) != Err(DenyReason::MissingToken)
        {
            return Err(DenyReason::AmbiguousToken);
        }
        // An event with both is ambiguous.
        if self.may_be_a_token_event() {
            match (self.authorization_token().and_then(token_in), &found) {
                (Ok(one), Some(other)) if one != *other => return Err(DenyReason::AmbiguousToken),
                (Ok(one), _) => found = Some(one),
                (Err(_), _) => {}
            }
        }
        let token = found.ok_or(DenyReason::MissingToken)?;
        Ok(match found_in {
            TokenSource::Session => Presented::Session(SessionId::parse(&token)?),
            TokenSource::Cookie => Presented::Credential(Credential::Cookie(token)),
            TokenSource::Header | TokenSource::Query | TokenSource::Subprotocol => {
                Presented::Credential(Credential::Token(token))
            }
        })
    }

    fn token_from(
        &self,
        source: TokenSource,
        sources: &TokenSources,
    ) -> Result<Cow<'a, str>, DenyReason> {
        match source {
            TokenSource::Header => token_in(self.header("authorization")?),
            TokenSource::Query => {
                let value = self.query("access_token")?;
                bearer::check(&value).map(|()| value)
            }
            TokenSource::Cookie => {
                let value = self.cookie(&sources.cookie)?;
                bearer::check(&value).map(|()| Cow::Owned(value))
            }
            TokenSource::Session => self.cookie(&sources.session_cookie).map(Cow::Owned),
            TokenSource::Subprotocol => {
                // `new WebSocket(url, ["bearer", token])`
                let offered = self.header("sec-websocket-protocol")?;
                let mut offered = offered.split(',').map(headers::trim);
                match (offered.next(), offered.next(), offered.next()) {
                    (Some("bearer"), Some(token), None) => {
                        bearer::check(token).map(|()| Cow::Owned(token.to_owned()))
                    }
                    (Some("bearer"), _, _) => Err(DenyReason::AmbiguousToken),
                    _ => Err(DenyReason::MissingToken),
                }
            }
        }
    }
}

fn token_in(authorization: Cow<'_, str>) -> Result<Cow<'_, str>, DenyReason> {
    match authorization {
        Cow::Borrowed(value) => bearer::token_of(value).map(Cow::Borrowed),
        Cow::Owned(value) => bearer::token_of(&value).map(|token| Cow::Owned(token.to_owned())),
    }
}
