//! Sign-up.

use api_gateway::http::{Request, RequestError, Response};
use auth_cognito::AccountError;
use auth_sessions::BrowserSessions;
use usernames::is_email;

use crate::body::SignUp;
use crate::hidden::log_hidden;
use crate::outcome::{ApiError, Outcome};
use crate::resend::accepted;
use crate::times::{self, within};
use crate::{AuthApi, fields};

impl<B: BrowserSessions> AuthApi<B> {
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
        let username = fields::normal_name(&name, self.config.case_sensitive)?;
        let email = match email {
            Some(email) => Some(fields::normal_name(&email, false)?),
            None => username.contains('@').then(|| username.clone()),
        };
        if !email.as_deref().is_none_or(is_email) {
            return Err(RequestError::Malformed.into());
        }
        let password = fields::password(&request.password)?;
        let mut attributes = fields::attributes(request.attributes, &self.config.attributes)?;
        if let Some(email) = email {
            attributes.insert("email".to_owned(), email);
        }
        let counted = self.attempts.admit("signup", &username, http).await?;
        times::depends_on_user();
        let signed_up = within(self.accounts.sign_up(&username, password, attributes)).await;
        let Err(refused) = self.attempts.judged(&counted, signed_up).await else {
            return Ok(accepted());
        };
        if is_about_the_mail(&refused) {
            log_hidden(&refused);
            return Ok(accepted());
        }
        let outcome = Outcome::from(&refused);
        if outcome != Outcome::AlreadyTaken || self.config.reveals_existing {
            return Err(ApiError::of_call(outcome, &refused));
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
        let Some(refused) = self.resend_code_to_owner(username, http).await else {
            return;
        };
        // "User is already confirmed."
        if Outcome::from(&refused) != Outcome::BadRequest {
            return log_hidden(&refused);
        }
        if let Err(refused) = within(self.accounts.forgot_password(username)).await {
            log_hidden(&refused);
        }
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
