//! Sign-up, its confirmation, and password reset: what a user does before signing in.

use auth::{RevocationContext, RevocationWriter};
use std::time::Duration;

use api_gateway::http::{Request, RequestError, Response};
use auth_cognito::{AccountError, SignIn, SignOutTask, Standing};
use runtime::clock;
use runtime::log::{self, Level};
use serde_json::json;
use tokio::time::timeout;
use usernames::is_email;

use crate::body::{self, Confirm, ConfirmForgotPassword, SignUp, UserIdentifier};
use crate::outcome::{self, ApiError, Outcome};
use crate::times::{self, done, within, within_at_most};
use crate::{AuthApi, Secret, now};

/// The revocation's reason, for the operator.
const REASON: &str = "password_not_proved";

/// The emails to the owner of a taken name have a count of their own. If they counted as requests
/// for emails, those requests would reach their limit earlier for a taken name.
const OWNER_MAIL: &str = "owner-mail";

/// The parts of the common budget for Cognito that a confirmation takes. The rest is for the proof
/// of the password.
const LOOK_UP: Duration = Duration::from_secs(2);
const CONFIRM: Duration = Duration::from_secs(5);

/// The response to a request for an email, whether or not one is sent.
fn accepted() -> Response {
    Response::json(202, &json!({"status": "accepted"}))
}

impl AuthApi {
    pub(crate) async fn sign_up(
        &self,
        request: SignUp,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let (name, email) = match (request.username, request.email) {
            (Some(name), email) => (name, email),
            (None, Some(email)) => (email, None),
            (None, None) => return Err(RequestError::Malformed.into()),
        };
        let username = body::normal_name(&name, self.config.case_sensitive)?;
        let email = match email {
            Some(email) => Some(body::normal_name(&email, false)?),
            None => username.contains('@').then(|| username.clone()),
        };
        if !email.as_deref().is_none_or(is_email) {
            return Err(RequestError::Malformed.into());
        }
        let password = body::password(&request.password)?;
        let mut attributes = body::attributes(request.attributes, &self.config.attributes)?;
        if let Some(email) = email {
            attributes.insert("email".to_owned(), email);
        }
        self.admit("signup", &username, http).await?;
        times::depends_on_user();
        let signed_up = within(self.accounts.sign_up(&username, password, attributes)).await;
        let Err(refused) = signed_up else {
            return Ok(accepted());
        };
        if is_about_the_mail(&refused) {
            outcome::log_hidden(&refused);
            return Ok(accepted());
        }
        let outcome = Outcome::from(&refused);
        if outcome != Outcome::AlreadyTaken || self.config.reveals_existing {
            return Err(ApiError::Cognito(outcome));
        }
        // The response does not reveal that the account exists. Its owner is informed by email.
        if refused.exception.as_deref() == Some("UsernameExistsException") {
            self.tell_owner(&username, http).await;
        }
        Ok(accepted())
    }

    /// Sends the owner of an existing account the email that helps: the code, if the account is not
    /// confirmed yet, else a code to reset the password.
    async fn tell_owner(&self, username: &str, http: &Request<'_>) {
        if self.admit(OWNER_MAIL, username, http).await.is_err() {
            return;
        }
        let Err(refused) = within(self.accounts.resend_code(username)).await else {
            return;
        };
        // "User is already confirmed."
        if Outcome::from(&refused) != Outcome::BadRequest {
            return outcome::log_hidden(&refused);
        }
        if let Err(refused) = within(self.accounts.forgot_password(username)).await {
            outcome::log_hidden(&refused);
        }
    }

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
        let code = body::code(code)?;
        let password = body::password(password)?;
        self.admit("confirm", username, http).await?;
        times::depends_on_user();
        let before = self.standing(username).await;
        let confirm = self.accounts.confirm_sign_up(username, code);
        if let Err(refused) = within_at_most(CONFIRM, confirm).await {
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
            outcome::log_hidden(&refused);
        }
        times::tells_nothing();
        if self.password_fits(username, password).await {
            return Ok(());
        }
        self.take_password_away(username).await?;
        Err(ApiError::Cognito(Outcome::PasswordResetRequired))
    }

    /// The state of the account; `None` if there is none, or if Cognito does not answer in time.
    async fn standing(&self, username: &str) -> Option<Standing> {
        let standing = done(self.users.standing(username));
        timeout(LOOK_UP, standing).await.ok().flatten()
    }

    /// Whether this password signs in. `false` if that cannot be known.
    async fn password_fits(&self, username: &str, password: &Secret) -> bool {
        match within(self.accounts.sign_in(username, password)).await {
            Ok(SignIn::Tokens(tokens)) => {
                self.give_up(&tokens).await;
                // CloudTrail reports the end of this session by the second. The next one is later.
                clock::until_after(now().0).await;
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
        let reset = done(self.sign_out.reset_password(username)).await.is_some()
            || self.try_later(&task).await;
        if !self.revoke_and_sign_out(username).await {
            log::line(
                Level::Error,
                "could not revoke the sessions of an unproven password",
                [],
            );
        }
        if reset {
            Ok(())
        } else {
            log::line(Level::Error, "could not reset an unproven password", []);
            Err(auth::Unavailable::Cognito.into())
        }
    }

    /// A sign-out at Cognito, now or by logout-retry, and the revocation in the table. The sign-out needs the name alone,
    /// the revocation the `sub`, which Cognito looks up.
    async fn revoke_and_sign_out(&self, username: &str) -> bool {
        let task = SignOutTask::SignOutEverywhere {
            username: username.to_owned(),
        };
        let sign_out = async {
            let signed_out = done(self.sign_out.sign_out_everywhere(username)).await;
            signed_out.is_some() || self.try_later(&task).await
        };
        let (revoked, signed_out) = tokio::join!(self.revoke_by_name(username), sign_out);
        revoked && signed_out
    }

    async fn revoke_by_name(&self, username: &str) -> bool {
        let Some(user) = done(self.users.get(username)).await else {
            return false;
        };
        let now = now();
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
            .is_ok()
    }

    pub(crate) async fn resend(
        &self,
        request: UserIdentifier,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let username = self.username(request.username, request.email)?;
        self.resend_to(&username, http).await?;
        Ok(accepted())
    }

    async fn resend_to(&self, username: &str, http: &Request<'_>) -> Result<(), ApiError> {
        self.admit("resend", username, http).await?;
        times::depends_on_user();
        let sent = within(self.accounts.resend_code(username)).await;
        silently(sent)
    }

    pub(crate) async fn forgot_password(
        &self,
        request: UserIdentifier,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let username = self.username(request.username, request.email)?;
        self.admit("forgot-password", &username, http).await?;
        times::depends_on_user();
        silently(within(self.accounts.forgot_password(&username)).await)?;
        Ok(accepted())
    }

    /// The pool's PostConfirmation trigger writes the revocation before Cognito answers.
    pub(crate) async fn confirm_forgot_password(
        &self,
        request: ConfirmForgotPassword,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let username = self.username(request.username, request.email)?;
        let code = body::code(&request.code)?;
        let password = body::password(&request.password)?;
        self.admit("confirm-forgot-password", &username, http)
            .await?;
        times::depends_on_user();
        let accounts = &self.accounts;
        let changed = within(accounts.confirm_forgot_password(&username, code, password)).await;
        changed.map_err(|refused| about_a_code(&refused))?;
        times::tells_nothing();
        Ok(Response::json(200, &json!({"status": "password_changed"})))
    }

    /// The confirmation button of the page.
    pub(crate) async fn confirm_by_form(&self, http: &Request<'_>) -> Result<Response, ApiError> {
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
            Ok(()) => self.pages.confirmed(http),
            Err(problem) => self.pages.not_confirmed(http, problem, &email),
        }
    }

    /// The button of the page that requests a new code.
    pub(crate) async fn resend_by_form(&self, http: &Request<'_>) -> Result<Response, ApiError> {
        let mut form = http.form()?;
        let email = form.remove("email").unwrap_or_default();
        let sent = async {
            let username = self.username(None, Some(email.clone()))?;
            self.resend_to(&username, http).await
        };
        match sent.await {
            Ok(()) => self.pages.sent(http),
            Err(problem) => self.pages.not_confirmed(http, problem, &email),
        }
    }

    /// A name in the form that the pool compares.
    pub(crate) fn username(
        &self,
        username: Option<String>,
        email: Option<String>,
    ) -> Result<String, RequestError> {
        body::username(username, email, self.config.case_sensitive)
    }
}

/// Whether the sign-up has created the user and only the email was not sent. A taken name gets no
/// such exception, so the response must not differ. `LimitExceededException` is the limit of
/// emails.
/// Source: AWS, `SignUp`, errors.
fn is_about_the_mail(refused: &AccountError) -> bool {
    let outcome = Outcome::from(refused);
    outcome == Outcome::DeliveryFailed
        || outcome == Outcome::TriggerFailed && refused.message.contains("CustomMessage")
        || refused.exception.as_deref() == Some("LimitExceededException")
}

/// Whether the account is confirmed and only the trigger after it failed: Cognito names the trigger
/// in its message, and invokes it after it has confirmed the account.
/// Source: AWS, "Post confirmation Lambda trigger".
fn is_about_the_trigger(refused: &AccountError) -> bool {
    Outcome::from(refused) == Outcome::TriggerFailed && refused.message.contains("PostConfirmation")
}

/// Whether Cognito may have confirmed the account although it answers an error, or not at all.
fn may_have_confirmed(refused: &AccountError) -> bool {
    !outcome::limits_one_user(refused)
        && matches!(
            Outcome::from(refused),
            Outcome::TriggerFailed
                | Outcome::Unavailable
                | Outcome::TooManyRequests
                | Outcome::Internal
        )
}

/// Gives the same response for a wrong or expired code, an unknown name, an account that is already
/// confirmed and a limit of one user: the difference would reveal whether an account exists.
fn about_a_code(refused: &AccountError) -> ApiError {
    if outcome::limits_one_user(refused) {
        outcome::log_hidden(refused);
        return ApiError::Cognito(Outcome::InvalidCode);
    }
    let telling = [
        Outcome::InvalidCredentials,
        Outcome::AlreadyTaken,
        Outcome::BadRequest,
        Outcome::UserNotConfirmed,
        Outcome::PasswordResetRequired,
    ];
    ApiError::Cognito(Outcome::from(refused).hiding(&telling, Outcome::InvalidCode))
}

/// Gives the same response as if an email was sent for an unknown name, nothing to send, no
/// address, a delivery failure and a limit of one user.
fn silently(sent: Result<(), AccountError>) -> Result<(), ApiError> {
    let Err(refused) = sent else {
        return Ok(());
    };
    let ordinary = [
        Outcome::InvalidCredentials,
        Outcome::BadRequest,
        Outcome::UserNotConfirmed,
    ];
    let of_one_user = [
        Outcome::PasswordResetRequired,
        Outcome::AlreadyTaken,
        Outcome::InvalidCode,
        Outcome::DeliveryFailed,
        Outcome::TriggerFailed,
    ];
    let outcome = Outcome::from(&refused);
    if outcome::limits_one_user(&refused) || of_one_user.contains(&outcome) {
        outcome::log_hidden(&refused);
        return Ok(());
    }
    if ordinary.contains(&outcome) {
        Ok(())
    } else {
        Err(ApiError::Cognito(outcome))
    }
}
