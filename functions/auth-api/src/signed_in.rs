//! The signed-in user of a request.

use api_gateway::Caller;
use api_gateway::http::Request;
use auth::AuthError;
use auth_sessions::BrowserSessions;

use crate::AuthApi;
use crate::outcome::ApiError;
use crate::tokens::UnverifiedSession;

/// The signed-in user and the token. No `Debug`: the token must not be logged.
pub(crate) struct SignedIn {
    pub(crate) caller: Caller,
    /// The user name for calls to Cognito.
    pub(crate) username: String,
    pub(crate) token: String,
}

impl<B: BrowserSessions> AuthApi<B> {
    /// The caller of a protected route, from the authorizer's context, with the token of the same
    /// session.
    pub(crate) async fn signed_in(&self, request: &Request<'_>) -> Result<SignedIn, ApiError> {
        let caller = Caller::of(request, &self.config.user_pool_id).ok_or(ApiError::NoContext)?;
        let token = match &self.browser_cookie {
            Some(cookie) => cookie.token(request).await,
            None => {
                let cookie = self.config.cookies.as_ref();
                let token = request.token(cookie.map(|cookies| cookies.access.as_str()));
                token.map_err(AuthError::from)
            }
        };
        let token = token.map_err(|error| match error {
            AuthError::Unauthorized(_) => ApiError::NoContext,
            AuthError::Unavailable(unavailable) => unavailable.into(),
        })?;
        // The authorizer may read the token from a different place: then this is a token of another
        // session.
        let session = UnverifiedSession::of(&token).ok_or(ApiError::NoContext)?;
        if session.sub != caller.subject || session.origin_jti != caller.session {
            return Err(ApiError::NoContext);
        }
        let username = session.username.unwrap_or_else(|| session.sub.clone());
        Ok(SignedIn {
            caller,
            username,
            token,
        })
    }
}
