//! A forgotten password: the code for a new one, and the new one.

use api_gateway::http::{Request, Response};
use auth_sessions::BrowserSessions;
use serde_json::json;

use crate::body::{ConfirmForgotPassword, UserIdentifier};
use crate::hidden::{about_a_code, silently};
use crate::outcome::ApiError;
use crate::resend::accepted;
use crate::times::{self, within};
use crate::{AuthApi, fields};

impl<B: BrowserSessions> AuthApi<B> {
    pub(crate) async fn forgot_password(
        &self,
        request: UserIdentifier,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let username = self.username(request.username, request.email)?;
        let counted = self
            .attempts
            .admit("forgot-password", &username, http)
            .await?;
        times::depends_on_user();
        let sent = within(self.accounts.forgot_password(&username)).await;
        silently(self.attempts.judged(&counted, sent).await)?;
        Ok(accepted())
    }

    /// The pool's PostConfirmation trigger writes the revocation before Cognito answers.
    pub(crate) async fn confirm_forgot_password(
        &self,
        request: ConfirmForgotPassword,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let username = self.username(request.username, request.email)?;
        let code = fields::code(&request.code)?;
        let password = fields::password(&request.password)?;
        let counted = self
            .attempts
            .admit("confirm-forgot-password", &username, http)
            .await?;
        times::depends_on_user();
        let accounts = &self.accounts;
        let changed = within(accounts.confirm_forgot_password(&username, code, password)).await;
        let changed = self.attempts.judged(&counted, changed).await;
        changed.map_err(|refused| about_a_code(&refused))?;
        times::tells_nothing();
        self.end_demand(&username).await;
        Ok(Response::json(200, &json!({"status": "password_changed"})))
    }
}
