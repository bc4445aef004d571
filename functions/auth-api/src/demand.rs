//! The change of a password that migrate-user has migrated although the pool's policy would refuse it.
//! The user has `PASSWORD_CHANGE_ATTRIBUTE` until then, and a sign-in returns no tokens.

use api_gateway::Caller;
use api_gateway::http::{Request, RequestError, Response};
use auth::{Cause, Dependency, Secret, Unavailable};
use auth_cognito::Tokens;
use auth_sessions::BrowserSessions;
use runtime::clock;
use runtime::log;

use crate::outcome::{ApiError, Outcome};
use crate::signed_in::SignedIn;
use crate::times::done;
use crate::tokens::UnverifiedSession;
use crate::{AuthApi, fields};

/// The value by which migrate-user demands the change.
const DEMANDED: &str = "true";

/// A password and the one that replaces it.
pub(crate) struct Replacement<'a> {
    current: &'a Secret,
    new: &'a Secret,
}

impl<'a> Replacement<'a> {
    /// # Errors
    /// A password that Cognito would not take, or the same one twice.
    pub(crate) fn new(current: &'a Secret, new: &'a Secret) -> Result<Self, ApiError> {
        let (current, new) = (fields::password(current)?, fields::password(new)?);
        if current.expose() == new.expose() {
            return Err(ApiError::Cognito(Outcome::PasswordReused));
        }
        Ok(Self { current, new })
    }
}

impl<B: BrowserSessions> AuthApi<B> {
    /// Whether Gatehouse demands that this user change the password. Cognito is asked with our own
    /// permission, because an access token shows only what the app client may read.
    async fn is_demanded(&self, username: &str) -> Result<bool, Unavailable> {
        let Some(attribute) = &self.config.change_attribute else {
            return Ok(false);
        };
        let value = done(self.users.attribute(username, attribute)).await?;
        Ok(value.as_deref() == Some(DEMANDED))
    }

    /// Returns the tokens of a sign-in, unless the user must change the password first. With
    /// `replacement` the password is changed, and the tokens are of a new sign-in.
    pub(crate) async fn admit_session(
        &self,
        tokens: Tokens,
        replacement: Option<Replacement<'_>>,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        if self.config.change_attribute.is_none() {
            return self.hand_over(&tokens, serde_json::Map::new(), http).await;
        }
        let Some(session) = UnverifiedSession::of(&tokens.access) else {
            self.give_up(&tokens).await;
            return Err(Dependency::Cognito.unavailable(Cause::Invalid).into());
        };
        let username = session.username.as_ref().unwrap_or(&session.sub);
        let result = match (self.is_demanded(username).await, replacement) {
            (Ok(false), None) => {
                return self.hand_over(&tokens, serde_json::Map::new(), http).await;
            }
            (Ok(true), None) => Err(ApiError::PasswordChangeRequired),
            // A change without the demand needs the proofs of `change-password`.
            (Ok(false), Some(_)) => Err(RequestError::Malformed.into()),
            (Ok(true), Some(replacement)) => {
                self.replace_password(&tokens, session, &replacement, http)
                    .await
            }
            (Err(unavailable), _) => Err(unavailable.into()),
        };
        if result.is_err() {
            self.give_up(&tokens).await;
        }
        result
    }

    async fn replace_password(
        &self,
        tokens: &Tokens,
        session: UnverifiedSession,
        replacement: &Replacement<'_>,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let authenticated_at = session.authenticated_at();
        let user = SignedIn {
            username: session.username.unwrap_or_else(|| session.sub.clone()),
            caller: Caller {
                subject: session.sub,
                client_id: self.config.app_client_id.clone(),
                session: session.origin_jti,
                authenticated_at,
            },
            token: tokens.access.clone(),
        };
        let Replacement { current, new } = replacement;
        self.set_password(&user, current, new, true, http).await
    }

    /// The user has chosen a password that meets the pool's policy. If the attribute cannot be
    /// deleted, the next sign-in demands a change once more. Returns after the second of the
    /// deletion, because CloudTrail's record of it refuses all tokens of that second.
    pub(crate) async fn end_demand(&self, username: &str) {
        let Some(attribute) = &self.config.change_attribute else {
            return;
        };
        let deleted = match self.is_demanded(username).await {
            Ok(false) => return,
            Ok(true) => done(self.users.delete_attribute(username, attribute)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = deleted {
            log::failure("could not end the demand for a new password", error.cause);
        }
        clock::until_after(clock::now().0).await;
    }
}
