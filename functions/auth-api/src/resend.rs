//! The code of a sign-up, sent again.

use api_gateway::http::{Request, Response};
use auth_cognito::AccountError;
use auth_sessions::BrowserSessions;
use serde_json::json;

use crate::AuthApi;
use crate::body::UserIdentifier;
use crate::hidden::{log_hidden, silently};
use crate::outcome::{Answer, ApiError};
use crate::times::{self, within};

/// The emails to the owner of a taken name or an unconfirmed account have a count of their own. If
/// they counted as requests for emails, those requests would reach their limit earlier for such a
/// name.
const OWNER_MAIL: &str = "owner-mail";

/// The response to a request for an email, whether or not one is sent.
pub(crate) fn accepted() -> Response {
    Response::json(202, &json!({"status": "accepted"}))
}

impl<B: BrowserSessions> AuthApi<B> {
    pub(crate) async fn resend(
        &self,
        request: UserIdentifier,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let username = self.username(request.username, request.email)?;
        self.resend_to(&username, http).await?;
        Ok(accepted())
    }

    /// The button of the page that requests a new code.
    pub(crate) async fn resend_by_form(&self, http: &Request<'_>) -> Result<Answer, ApiError> {
        let mut form = http.form()?;
        let email = form.remove("email").unwrap_or_default();
        let sent = async {
            let username = self.username(None, Some(email.clone()))?;
            self.resend_to(&username, http).await
        };
        match sent.await {
            Ok(()) => Ok(self.pages.sent(http)?.into()),
            Err(problem) => self.pages.not_confirmed(http, problem, &email),
        }
    }

    async fn resend_to(&self, username: &str, http: &Request<'_>) -> Result<(), ApiError> {
        let counted = self.attempts.admit("resend", username, http).await?;
        times::depends_on_user();
        let sent = within(self.accounts.resend_code(username)).await;
        silently(self.attempts.judged(&counted, sent).await)
    }

    /// Sends the code again to an account that is not confirmed yet. The response does not depend on
    /// it.
    pub(crate) async fn resend_to_owner(&self, username: &str, http: &Request<'_>) {
        if let Some(refused) = self.resend_code_to_owner(username, http).await {
            log_hidden(&refused);
        }
    }

    /// Cognito's exception; `None` if the code was sent, or if the name has had its share of emails.
    pub(crate) async fn resend_code_to_owner(
        &self,
        username: &str,
        http: &Request<'_>,
    ) -> Option<AccountError> {
        let counted = self.attempts.admit(OWNER_MAIL, username, http).await.ok()?;
        let sent = within(self.accounts.resend_code(username)).await;
        self.attempts.judged(&counted, sent).await.err()
    }
}
