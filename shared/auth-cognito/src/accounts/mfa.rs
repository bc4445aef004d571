//! Authenticators (TOTP, RFC 6238).

use auth::{Cause, Dependency, Secret};
use aws_client::Call;
use aws_sdk_cognitoidentityprovider::types::{
    SoftwareTokenMfaSettingsType, VerifySoftwareTokenResponseType,
};

use super::{AccountError, CognitoAccounts};

impl CognitoAccounts {
    /// `AssociateSoftwareToken` for a signed-in user: a new secret for TOTP (RFC 6238).
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn new_totp(&self, access_token: &str) -> Result<Secret, AccountError> {
        let call = self.client.associate_software_token();
        let answer = call
            .access_token(access_token)
            .send()
            .in_span(Dependency::Cognito)
            .await?;
        let secret = answer.secret_code.map(Secret::new);
        secret.ok_or_else(AccountError::unreadable)
    }

    /// `AssociateSoftwareToken` for a user who must set up an authenticator to sign in. Returns the
    /// secret and the session for the next call.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn new_totp_in(&self, session: &str) -> Result<(Secret, String), AccountError> {
        let call = self.client.associate_software_token();
        let answer = call
            .session(session)
            .send()
            .in_span(Dependency::Cognito)
            .await?;
        let secret = answer.secret_code.map(Secret::new);
        secret
            .zip(answer.session)
            .ok_or_else(AccountError::unreadable)
    }

    /// `VerifySoftwareToken` and `SetUserMFAPreference`: from now on sign-ins ask for a code.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn turn_on_totp(
        &self,
        access_token: &str,
        code: &Secret,
    ) -> Result<(), AccountError> {
        let call = self.client.verify_software_token();
        let call = call.access_token(access_token).user_code(code.expose());
        let answer = call.send().in_span(Dependency::Cognito).await?;
        if answer.status != Some(VerifySoftwareTokenResponseType::Success) {
            return Err(wrong_code());
        }
        self.prefer_totp(access_token, true).await
    }

    /// `SetUserMFAPreference`: sign-ins no longer ask for a code of an authenticator.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn turn_off_totp(&self, access_token: &str) -> Result<(), AccountError> {
        self.prefer_totp(access_token, false).await
    }

    async fn prefer_totp(&self, access_token: &str, prefer: bool) -> Result<(), AccountError> {
        let totp = SoftwareTokenMfaSettingsType::builder()
            .enabled(prefer)
            .preferred_mfa(prefer)
            .build();
        let call = self.client.set_user_mfa_preference();
        let call = call
            .access_token(access_token)
            .software_token_mfa_settings(totp);
        Ok(call.send().in_span(Dependency::Cognito).await.map(drop)?)
    }

    /// `VerifySoftwareToken` for a user who must set up an authenticator to sign in. Returns the
    /// session for the next call.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn verify_totp_in(
        &self,
        session: &str,
        code: &Secret,
    ) -> Result<String, AccountError> {
        let call = self.client.verify_software_token();
        let call = call.session(session).user_code(code.expose());
        let answer = call.send().in_span(Dependency::Cognito).await?;
        if answer.status != Some(VerifySoftwareTokenResponseType::Success) {
            return Err(wrong_code());
        }
        answer.session.ok_or_else(AccountError::unreadable)
    }
}

fn wrong_code() -> AccountError {
    AccountError {
        exception: Some("CodeMismatchException".to_owned()),
        message: String::new(),
        cause: Cause::Other,
    }
}
