//! A new password for a signed-in user, which revokes sessions.

use std::time::Duration;

use api_gateway::http::{Request, RequestError, Response};
use auth::{Cause, Dependency, UnixSeconds};
use auth_cognito::{SignIn, SignOutTask, Tokens};
use auth_sessions::BrowserSessions;
use runtime::clock;
use runtime::log;
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::body::ChangePassword;
use crate::outcome::{ApiError, Outcome};
use crate::proof::Proof;
use crate::revoke::QUEUE;
use crate::signed_in::SignedIn;
use crate::times::within_at_most;
use crate::tokens::UnverifiedSession;
use crate::{AuthApi, Secret, fields};

/// The parts of the function's 15 seconds that a password change takes, besides the common budget
/// of the calls to Cognito; at a sign-in, the proof is the sign-in itself. The revocations take 0.8
/// seconds; beside them the attribute that demanded the change is deleted. The waits for the end of
/// a second take two each and overlap.
pub(crate) const PROOF: Duration = Duration::from_secs(3);
const CHANGE: Duration = Duration::from_secs(3);
const SIGN_OUT: Duration = Duration::from_secs(2);
const SIGN_IN_AGAIN: Duration = Duration::from_secs(2);

/// The revocation's reason, for the operator.
const REASON: &str = "password_change";

impl<B: BrowserSessions> AuthApi<B> {
    /// Changes the password and revokes all sessions, here and at Cognito. With `keep_session` it
    /// signs in again with the new password and returns new tokens: Cognito has no call that keeps
    /// a session, and a thief who holds one could continue there. The revocation is written before
    /// the response; if it cannot be written, the response says so.
    pub(crate) async fn change_password(
        &self,
        user: &SignedIn,
        request: &ChangePassword,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let current = fields::password(&request.current_password)?;
        let new = fields::password(&request.new_password)?;
        if request.keep_session && user.caller.session.is_none() {
            return Err(RequestError::Malformed.into());
        }
        let proof = Proof {
            password: Some(current),
            code: request.code.as_ref(),
            password_is_checked: true,
        };
        let proved = timeout(PROOF, self.prove(user, proof, http)).await;
        proved.map_err(|_| Dependency::Cognito.unavailable(Cause::Timeout))??;
        self.set_password(user, current, new, request.keep_session, http)
            .await
    }

    /// [`Self::change_password`] after the proof of ownership.
    pub(crate) async fn set_password(
        &self,
        user: &SignedIn,
        current: &Secret,
        new: &Secret,
        keep_session: bool,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        self.change_at_cognito(user, current, new).await?;
        // All run even if one of them fails: either of the first two alone revokes the sessions.
        let revocation = self.revoke_sessions(user, REASON, None);
        let (signed_out, demand) = (
            self.sign_out_at_cognito(user),
            self.end_demand(&user.username),
        );
        let (revoked, (), ()) = tokio::join!(revocation, signed_out, demand);
        let not_before = revoked?;
        // CloudTrail records the sign-out, and the revocation for that record covers its whole
        // second.
        clock::until_after(not_before.max(clock::now()).0).await;
        let mut body = Map::new();
        body.insert("status".to_owned(), "password_changed".into());
        body.insert("ended".to_owned(), "all".into());
        if keep_session
            && let Some(tokens) = self.sign_in_again(user, new, not_before).await
            && let Ok(response) = self.hand_over(&tokens, body.clone(), http).await
        {
            return Ok(response);
        }
        Ok(Response::json(200, &Value::Object(body)))
    }

    /// `ChangePassword`. If the response is lost, the new password shows whether it was changed.
    async fn change_at_cognito(
        &self,
        user: &SignedIn,
        current: &Secret,
        new: &Secret,
    ) -> Result<(), ApiError> {
        let change = self.accounts.change_password(&user.token, current, new);
        let Err(refused) = within_at_most(CHANGE, change).await else {
            return Ok(());
        };
        if Outcome::from(&refused) == Outcome::Unavailable {
            let signed_in = self.accounts.sign_in(&user.username, new);
            match within_at_most(SIGN_IN_AGAIN, signed_in).await {
                Ok(SignIn::Tokens(tokens)) => {
                    self.give_up(&tokens).await;
                    return Ok(());
                }
                Ok(SignIn::Challenge(_)) => return Ok(()),
                Err(_) => {}
            }
        }
        Err(refused.into())
    }

    /// New tokens for the password that was just set. `None` if Cognito asks for more than the
    /// password, or if the new session is covered by the revocation (`CLOCK_LEEWAY_SECONDS`).
    async fn sign_in_again(
        &self,
        user: &SignedIn,
        password: &Secret,
        not_before: UnixSeconds,
    ) -> Option<Tokens> {
        if clock::now() <= not_before {
            return None;
        }
        let signed_in = self.accounts.sign_in(&user.username, password);
        let Ok(SignIn::Tokens(tokens)) = within_at_most(SIGN_IN_AGAIN, signed_in).await else {
            return None;
        };
        let session = UnverifiedSession::of(&tokens.access);
        let holds = session.is_some_and(|session| {
            session.sub == user.caller.subject && session.authenticated_at() > not_before
        });
        if holds {
            return Some(tokens);
        }
        self.give_up(&tokens).await;
        None
    }

    /// `GlobalSignOut`: revokes the refresh tokens, and Cognito's own API rejects the access
    /// tokens. logout-retry repeats a call that failed.
    async fn sign_out_at_cognito(&self, user: &SignedIn) {
        let signed_out = self.accounts.sign_out_everywhere(&user.token);
        let Err(refused) = within_at_most(SIGN_OUT, signed_out).await else {
            return;
        };
        // Cognito has already revoked the token.
        if refused.exception.as_deref() == Some("NotAuthorizedException") {
            return;
        }
        let username = user.username.clone();
        let task = SignOutTask::SignOutEverywhere { username };
        let queued = timeout(QUEUE, self.try_later(&task)).await;
        if !queued.unwrap_or(false) {
            log::failure("could not sign the user out at Cognito", refused.cause);
        }
    }
}
