//! Browser sessions: a cookie has an id, and the store has the token.

use std::future::Future;
use std::pin::Pin;

use auth::{AuthError, Secret, UnixSeconds};
use auth_sessions::{BrowserSessions, SealedSessions, SessionId};

/// The tokens of browser sessions.
pub trait SessionTokens: Send + Sync {
    /// The access token of the session with this id. It may have expired.
    ///
    /// # Errors
    /// There is no such session, or the store failed.
    fn access_token<'a>(
        &'a self,
        id: &'a str,
        now: UnixSeconds,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, AuthError>> + Send + 'a>>;
}

impl<S: BrowserSessions> SessionTokens for SealedSessions<S> {
    fn access_token<'a>(
        &'a self,
        id: &'a str,
        now: UnixSeconds,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, AuthError>> + Send + 'a>> {
        Box::pin(async move {
            let id = SessionId::parse(id)?;
            let found = self.find(&id, now).await?;
            Ok(found.session.access_token)
        })
    }
}
