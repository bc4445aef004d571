//! Sign-up and forgotten passwords: calls without a sign-in.

use auth::{Dependency, Secret};
use aws_client::Call;

use super::{AccountError, CognitoAccounts};
use crate::accounts::profile::attribute_list;

impl CognitoAccounts {
    /// `SignUp`.
    ///
    /// # Errors
    /// [`AccountError`], as every call here.
    pub async fn sign_up(
        &self,
        username: &str,
        password: &Secret,
        attributes: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), AccountError> {
        let attributes = attribute_list(attributes)?;
        let call = self.client.sign_up().client_id(&self.app_client_id);
        let call = call
            .set_secret_hash(self.secret_hash(username))
            .username(username)
            .password(password.expose())
            .set_user_attributes((!attributes.is_empty()).then_some(attributes));
        Ok(call.send().in_span(Dependency::Cognito).await.map(drop)?)
    }

    /// `ConfirmSignUp`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn confirm_sign_up(&self, username: &str, code: &Secret) -> Result<(), AccountError> {
        let call = self.client.confirm_sign_up().client_id(&self.app_client_id);
        let call = call
            .set_secret_hash(self.secret_hash(username))
            .username(username)
            .confirmation_code(code.expose());
        Ok(call.send().in_span(Dependency::Cognito).await.map(drop)?)
    }

    /// `ResendConfirmationCode`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn resend_code(&self, username: &str) -> Result<(), AccountError> {
        let call = self.client.resend_confirmation_code();
        let call = call
            .client_id(&self.app_client_id)
            .set_secret_hash(self.secret_hash(username))
            .username(username);
        Ok(call.send().in_span(Dependency::Cognito).await.map(drop)?)
    }

    /// `ForgotPassword`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn forgot_password(&self, username: &str) -> Result<(), AccountError> {
        let call = self.client.forgot_password().client_id(&self.app_client_id);
        let call = call
            .set_secret_hash(self.secret_hash(username))
            .username(username);
        Ok(call.send().in_span(Dependency::Cognito).await.map(drop)?)
    }

    /// `ConfirmForgotPassword`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn confirm_forgot_password(
        &self,
        username: &str,
        code: &Secret,
        password: &Secret,
    ) -> Result<(), AccountError> {
        let call = self.client.confirm_forgot_password();
        let call = call
            .client_id(&self.app_client_id)
            .set_secret_hash(self.secret_hash(username))
            .username(username)
            .confirmation_code(code.expose())
            .password(password.expose());
        Ok(call.send().in_span(Dependency::Cognito).await.map(drop)?)
    }
}
