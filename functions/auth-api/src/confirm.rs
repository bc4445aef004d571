//! The confirmation of a sign-up, by JSON or by the form of the page.

use std::time::Duration;

use api_gateway::http::{Request, Response};
use auth::{RevocationContext, RevocationWriter, Unavailable};
use auth_cognito::{AccountError, SignIn, SignOutTask, Standing};
use auth_sessions::BrowserSessions;
use runtime::clock;
use runtime::log;
use serde_json::json;
use tokio::time::timeout;

use crate::body::Confirm;
use crate::exceptions::limits_one_user;
use crate::hidden::{about_a_code, log_hidden};
use crate::outcome::{Answer, ApiError, Outcome};
use crate::times::{self, done, within, within_at_most};
use crate::{AuthApi, Secret, fields};

/// The revocation's reason, for the operator.
const REASON: &str = "password_not_proved";

/// The parts of the common budget for Cognito that a confirmation takes. The rest is for the proof
/// of the password.
const LOOK_UP: Duration = Duration::from_secs(2);
const CONFIRM: Duration = Duration::from_secs(5);

impl<B: BrowserSessions> AuthApi<B> {
    pub(crate) async fn confirm(
        &self,
        request: Confirm,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let username = self.username(request.username, request.email)?;
        self.confirm_account(&username, &request.code, &request.password, http)
            .await?;
        Ok(Response::json(200, &json!({"status": "confirmed"})))
    }

    /// The confirmation button of the page.
    pub(crate) async fn confirm_by_form(&self, http: &Request<'_>) -> Result<Answer, ApiError> {
        let mut form = http.form()?;
        let email = form.remove("email").unwrap_or_default();
        let code = Secret::new(form.remove("code").unwrap_or_default());
        let password = Secret::new(form.remove("password").unwrap_or_default());
        let confirmed = async {
            let username = self.username(None, Some(email.clone()))?;
            self.confirm_account(&username, &code, &password, http)
                .await
        };
        match confirmed.await {
            Ok(()) => Ok(self.pages.confirmed(http)?.into()),
            Err(problem) => self.pages.not_confirmed(http, problem, &email),
        }
    }

    /// Confirms an account by its code, and its password by signing in with it. The code proves the
    /// address; the password proves that the confirmer has set it. A different password was set by
    /// a stranger, or mistyped: it is reset, and Cognito sends the owner a code for a new one.
    async fn confirm_account(
        &self,
        username: &str,
        code: &Secret,
        password: &Secret,
        http: &Request<'_>,
    ) -> Result<(), ApiError> {
        let code = fields::code(code)?;
        let password = fields::password(password)?;
        let counted = self.attempts.admit("confirm", username, http).await?;
        times::depends_on_user();
        let before = self.standing(username).await;
        let confirm = self.accounts.confirm_sign_up(username, code);
        let confirmed = within_at_most(CONFIRM, confirm).await;
        if let Err(refused) = self.attempts.judged(&counted, confirmed).await {
            let is_confirmed = is_about_the_trigger(&refused)
                || may_have_confirmed(&refused)
                    && before.is_some_and(|before| before.is_unconfirmed)
                    && self
                        .standing(username)
                        .await
                        .is_some_and(|after| after.is_confirmed);
            if !is_confirmed {
                return Err(about_a_code(&refused));
            }
            log_hidden(&refused);
        }
        times::tells_nothing();
        if self.password_fits(username, password).await {
            return Ok(());
        }
        self.take_password_away(username).await?;
        Err(ApiError::Cognito(Outcome::PasswordResetRequired))
    }

    /// The state of the account; `None` without an account, or if Cognito does not answer in time.
    async fn standing(&self, username: &str) -> Option<Standing> {
        let standing = done(self.users.standing(username));
        timeout(LOOK_UP, standing).await.ok()?.ok()
    }

    /// Whether this password signs in. `false` if that cannot be known.
    async fn password_fits(&self, username: &str, password: &Secret) -> bool {
        match within(self.accounts.sign_in(username, password)).await {
            Ok(SignIn::Tokens(tokens)) => {
                self.give_up(&tokens).await;
                // CloudTrail reports the end of this session by the second. The next one is later.
                clock::until_after(clock::now().0).await;
                true
            }
            // Cognito sends other challenges only after the password was right.
            Ok(SignIn::Challenge(_)) => true,
            Err(_) => false,
        }
    }

    /// `AdminResetUserPassword`, now or by logout-retry, and then revokes the sessions that were
    /// started with that password.
    async fn take_password_away(&self, username: &str) -> Result<(), ApiError> {
        let task = SignOutTask::ResetPassword {
            username: username.to_owned(),
        };
        let reset = self.now_or_later(done(self.sign_out.reset_password(username)).await, &task);
        let reset = reset.await;
        if let Err(unavailable) = self.revoke_and_sign_out(username).await {
            log::failure(
                "could not revoke the sessions of an unproven password",
                unavailable.cause,
            );
        }
        if let Err(unavailable) = reset {
            log::failure("could not reset an unproven password", unavailable.cause);
            return Err(unavailable.into());
        }
        Ok(())
    }

    /// The result of a call to Cognito; a success if `task` will repeat a failed one.
    async fn now_or_later<T>(
        &self,
        made: Result<T, Unavailable>,
        task: &SignOutTask,
    ) -> Result<(), Unavailable> {
        match made {
            Err(unavailable) if !self.try_later(task).await => Err(unavailable),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A sign-out at Cognito, now or by logout-retry, and the revocation in the table. The sign-out needs the name alone,
    /// the revocation the `sub`, which Cognito looks up.
    async fn revoke_and_sign_out(&self, username: &str) -> Result<(), Unavailable> {
        let task = SignOutTask::SignOutEverywhere {
            username: username.to_owned(),
        };
        let sign_out = async {
            let signed_out = done(self.sign_out.sign_out_everywhere(username)).await;
            self.now_or_later(signed_out, &task).await
        };
        let (revoked, signed_out) = tokio::join!(self.revoke_by_name(username), sign_out);
        revoked.and(signed_out)
    }

    async fn revoke_by_name(&self, username: &str) -> Result<(), Unavailable> {
        let user = done(self.users.get(username)).await?;
        let now = clock::now();
        let context = RevocationContext {
            reason: REASON,
            actor: &user.subject,
            at: now,
            refresh_token_ttl_seconds: self.config.refresh_token_ttl_seconds,
        };
        let not_before = now.plus(self.config.leeway_seconds);
        self.revocations
            .revoke_user_sessions(&self.user_ref(&user.subject), not_before, &context)
            .await
    }
}

/// Whether the account is confirmed and only the trigger after it failed: Cognito names the trigger
/// in its message, and invokes it after it has confirmed the account.
/// Source: AWS, "Post confirmation Lambda trigger".
fn is_about_the_trigger(refused: &AccountError) -> bool {
    Outcome::from(refused) == Outcome::TriggerFailed && refused.message.contains("PostConfirmation")
}

/// Whether Cognito may have confirmed the account although it answers an error, or not at all.
fn may_have_confirmed(refused: &AccountError) -> bool {
    !limits_one_user(refused)
        && matches!(
            Outcome::from(refused),
            Outcome::TriggerFailed
                | Outcome::Unavailable
                | Outcome::TooManyRequests
                | Outcome::Internal
        )
}
