//! Calls that users make to a user pool for themselves, authorized by a password, a code or an
//! access token and not by our IAM permissions.
//!
//! Each call is made once. A retry of a call whose response was lost would use up a code, count as
//! a wrong password or replay a refresh token.

use std::collections::HashMap;
use std::time::Duration;

use auth::{Cause, Secret};
use aws_client::{Limits, cause_of};
use aws_lc_rs::hmac;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::types::{
    AttributeType, AuthFlowType, AuthenticationResultType, ChallengeNameType,
    SoftwareTokenMfaSettingsType, VerifySoftwareTokenResponseType,
};
use aws_types::SdkConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client;

/// A sign-in may wait for triggers, each of which may take five seconds.
const LIMITS: Limits = Limits {
    attempt: Duration::from_secs(8),
    operation: Duration::from_secs(8),
    attempts: 1,
    ..crate::LIMITS
};

/// Calls to one user pool for one of its app clients.
pub struct CognitoAccounts {
    client: Client,
    app_client_id: String,
    app_client_secret: Option<Secret>,
}

/// A call that failed. No `Debug`: Cognito's messages contain user names.
pub struct AccountError {
    /// The exception's name; `None` without a response, or if it is not Cognito's.
    pub exception: Option<String>,
    /// Cognito's message. For comparison only, never to be shown or logged.
    pub message: String,
    /// Why the call failed, for the log.
    pub cause: Cause,
}

/// A parameter of `InitiateAuth` besides the user name.
struct AuthParameter<'a> {
    name: &'static str,
    value: &'a str,
}

/// The result of a sign-in.
pub enum SignIn {
    /// The user is signed in.
    Tokens(Tokens),
    /// Cognito requires another step.
    Challenge(Challenge),
}

/// New tokens. No `Debug`.
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The ID token.
    pub id: Option<String>,
    /// The refresh token: at sign-in, and from a refresh only if the pool rotates them.
    pub refresh: Option<String>,
    /// The lifetime in seconds of the first two.
    pub expires_in: u64,
}

/// The next step that Cognito requires. No `Debug`.
pub struct Challenge {
    /// Its name, as in `SOFTWARE_TOKEN_MFA`; there may be new ones.
    pub name: String,
    /// The session, to be returned with the response.
    pub session: Option<String>,
    /// The challenge's parameters.
    pub parameters: HashMap<String, String>,
}

/// A user as returned by `GetUser`.
pub struct Account {
    /// The attributes, by name.
    pub attributes: HashMap<String, String>,
    /// `SOFTWARE_TOKEN_MFA` and the like.
    pub mfa: Vec<String>,
}

impl<E: ProvideErrorMetadata> From<SdkError<E>> for AccountError {
    fn from(error: SdkError<E>) -> Self {
        let service = error.as_service_error();
        let text = |member: fn(&E) -> Option<&str>| service.and_then(member).map(str::to_owned);
        Self {
            exception: text(|error| error.code()),
            message: text(|error| error.message()).unwrap_or_default(),
            cause: cause_of(&error),
        }
    }
}

impl AccountError {
    /// Whether Cognito says that the given credential is invalid or revoked. `false` if Cognito is
    /// busy, or rejects the app client's secret: then the credential's state is unknown.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self.exception.as_deref() {
            Some("NotAuthorizedException") => !crate::is_about_secret(&self.message),
            Some(
                "InvalidParameterException"
                | "RefreshTokenReuseException"
                | "UserNotFoundException"
                | "UnsupportedTokenTypeException",
            ) => true,
            _ => false,
        }
    }

    /// A call without a readable response: its effect is unknown.
    #[must_use]
    pub fn unanswered(cause: Cause) -> Self {
        Self {
            exception: None,
            message: String::new(),
            cause,
        }
    }

    /// A response without a part that is needed.
    fn unreadable() -> Self {
        Self::unanswered(Cause::Invalid)
    }
}

impl CognitoAccounts {
    /// Calls for the users of `app_client_id`, with the endpoint and region of `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, app_client_id: String, app_client_secret: Option<Secret>) -> Self {
        Self {
            client: client(sdk, &LIMITS),
            app_client_id,
            app_client_secret,
        }
    }

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
        Ok(call.send().await.map(drop)?)
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
        Ok(call.send().await.map(drop)?)
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
        Ok(call.send().await.map(drop)?)
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
        Ok(call.send().await.map(drop)?)
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
        Ok(call.send().await.map(drop)?)
    }

    /// `InitiateAuth` with a password.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn sign_in(&self, username: &str, password: &Secret) -> Result<SignIn, AccountError> {
        let parameter = AuthParameter {
            name: "PASSWORD",
            value: password.expose(),
        };
        self.initiate(AuthFlowType::UserPasswordAuth, username, parameter)
            .await
    }

    /// `InitiateAuth` with the first SRP message; the client continues with a challenge.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn sign_in_by_srp(
        &self,
        username: &str,
        srp_a: &str,
    ) -> Result<SignIn, AccountError> {
        self.initiate(
            AuthFlowType::UserSrpAuth,
            username,
            AuthParameter {
                name: "SRP_A",
                value: srp_a,
            },
        )
        .await
    }

    async fn initiate(
        &self,
        flow: AuthFlowType,
        username: &str,
        parameter: AuthParameter<'_>,
    ) -> Result<SignIn, AccountError> {
        let mut call = self
            .client
            .initiate_auth()
            .client_id(&self.app_client_id)
            .auth_flow(flow)
            .auth_parameters("USERNAME", username)
            .auth_parameters(parameter.name, parameter.value);
        if let Some(hash) = self.secret_hash(username) {
            call = call.auth_parameters("SECRET_HASH", hash);
        }
        let answer = call.send().await?;
        let (name, session) = (answer.challenge_name, answer.session);
        let parameters = answer.challenge_parameters;
        outcome(answer.authentication_result, name, session, parameters)
    }

    /// `RespondToAuthChallenge`. `username` is the one from the challenge.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn answer_challenge(
        &self,
        name: &str,
        session: Option<&str>,
        username: &str,
        answers: impl IntoIterator<Item = (&str, &str)>,
    ) -> Result<SignIn, AccountError> {
        let mut call = self
            .client
            .respond_to_auth_challenge()
            .client_id(&self.app_client_id)
            .challenge_name(ChallengeNameType::from(name))
            .set_session(session.map(str::to_owned))
            .challenge_responses("USERNAME", username);
        if let Some(hash) = self.secret_hash(username) {
            call = call.challenge_responses("SECRET_HASH", hash);
        }
        for (name, value) in answers {
            call = call.challenge_responses(name, value);
        }
        let answer = call.send().await?;
        let (name, session) = (answer.challenge_name, answer.session);
        let parameters = answer.challenge_parameters;
        outcome(answer.authentication_result, name, session, parameters)
    }

    /// `GetTokensFromRefreshToken`: with or without rotation, for any user's token.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn refresh(&self, refresh_token: &Secret) -> Result<Tokens, AccountError> {
        let secret = self.app_client_secret.as_ref();
        let call = self.client.get_tokens_from_refresh_token();
        let call = call
            .client_id(&self.app_client_id)
            .set_client_secret(secret.map(|secret| secret.expose().to_owned()))
            .refresh_token(refresh_token.expose());
        let answer = call.send().await?;
        answer
            .authentication_result
            .and_then(tokens)
            .ok_or_else(AccountError::unreadable)
    }

    /// `RevokeToken`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn revoke(&self, refresh_token: &Secret) -> Result<(), AccountError> {
        let secret = self.app_client_secret.as_ref();
        let call = self.client.revoke_token().client_id(&self.app_client_id);
        let call = call
            .set_client_secret(secret.map(|secret| secret.expose().to_owned()))
            .token(refresh_token.expose());
        Ok(call.send().await.map(drop)?)
    }

    /// `GlobalSignOut`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn sign_out_everywhere(&self, access_token: &str) -> Result<(), AccountError> {
        let call = self.client.global_sign_out().access_token(access_token);
        Ok(call.send().await.map(drop)?)
    }

    /// `ChangePassword`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn change_password(
        &self,
        access_token: &str,
        current: &Secret,
        new: &Secret,
    ) -> Result<(), AccountError> {
        let call = self.client.change_password().access_token(access_token);
        let call = call
            .previous_password(current.expose())
            .proposed_password(new.expose());
        Ok(call.send().await.map(drop)?)
    }

    /// `GetUser`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn get(&self, access_token: &str) -> Result<Account, AccountError> {
        let call = self.client.get_user().access_token(access_token);
        let user = call.send().await?;
        let mfa = user.user_mfa_setting_list().to_vec();
        let attributes = user.user_attributes.into_iter();
        Ok(Account {
            attributes: attributes
                .filter_map(|one| Some((one.name, one.value?)))
                .collect(),
            mfa,
        })
    }

    /// `UpdateUserAttributes`. Returns the names of the attributes whose change awaits a code.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn update(
        &self,
        access_token: &str,
        attributes: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Vec<String>, AccountError> {
        let call = self.client.update_user_attributes();
        let call = call
            .access_token(access_token)
            .set_user_attributes(Some(attribute_list(attributes)?));
        let answer = call.send().await?;
        let pending = answer.code_delivery_details_list.unwrap_or_default();
        Ok(pending
            .into_iter()
            .filter_map(|details| details.attribute_name)
            .collect())
    }

    /// `VerifyUserAttribute`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn verify_attribute(
        &self,
        access_token: &str,
        attribute: &str,
        code: &Secret,
    ) -> Result<(), AccountError> {
        let call = self.client.verify_user_attribute();
        let call = call
            .access_token(access_token)
            .attribute_name(attribute)
            .code(code.expose());
        Ok(call.send().await.map(drop)?)
    }

    /// `AssociateSoftwareToken` for a signed-in user: a new secret for TOTP (RFC 6238).
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn new_totp(&self, access_token: &str) -> Result<Secret, AccountError> {
        let call = self.client.associate_software_token();
        let answer = call.access_token(access_token).send().await?;
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
        let answer = call.session(session).send().await?;
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
        let answer = call.send().await?;
        if answer.status != Some(VerifySoftwareTokenResponseType::Success) {
            return Err(wrong_code());
        }
        let totp = SoftwareTokenMfaSettingsType::builder()
            .enabled(true)
            .preferred_mfa(true)
            .build();
        let call = self.client.set_user_mfa_preference();
        let call = call
            .access_token(access_token)
            .software_token_mfa_settings(totp);
        Ok(call.send().await.map(drop)?)
    }

    /// `SetUserMFAPreference`: sign-ins no longer ask for a code of an authenticator.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn turn_off_totp(&self, access_token: &str) -> Result<(), AccountError> {
        let totp = SoftwareTokenMfaSettingsType::builder()
            .enabled(false)
            .preferred_mfa(false)
            .build();
        let call = self.client.set_user_mfa_preference();
        let call = call
            .access_token(access_token)
            .software_token_mfa_settings(totp);
        Ok(call.send().await.map(drop)?)
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
        let answer = call.send().await?;
        if answer.status != Some(VerifySoftwareTokenResponseType::Success) {
            return Err(wrong_code());
        }
        answer.session.ok_or_else(AccountError::unreadable)
    }

    fn secret_hash(&self, username: &str) -> Option<String> {
        let secret = self.app_client_secret.as_ref()?;
        Some(secret_hash(secret, username, &self.app_client_id))
    }
}

/// The proof that a request comes from an app client with a secret.
/// Source: AWS, "Computing secret hash values".
pub(crate) fn secret_hash(secret: &Secret, username: &str, app_client_id: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(username.as_bytes());
    context.update(app_client_id.as_bytes());
    STANDARD.encode(context.sign())
}

fn outcome(
    result: Option<AuthenticationResultType>,
    challenge: Option<ChallengeNameType>,
    session: Option<String>,
    parameters: Option<HashMap<String, String>>,
) -> Result<SignIn, AccountError> {
    if let Some(name) = challenge {
        return Ok(SignIn::Challenge(Challenge {
            name: name.as_str().to_owned(),
            session,
            parameters: parameters.unwrap_or_default(),
        }));
    }
    result
        .and_then(tokens)
        .map(SignIn::Tokens)
        .ok_or_else(AccountError::unreadable)
}

fn tokens(result: AuthenticationResultType) -> Option<Tokens> {
    Some(Tokens {
        expires_in: u64::try_from(result.expires_in).unwrap_or(0),
        access: result.access_token?,
        id: result.id_token,
        refresh: result.refresh_token,
    })
}

fn attribute_list(
    attributes: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<AttributeType>, AccountError> {
    let attributes = attributes.into_iter().map(|(name, value)| {
        let attribute = AttributeType::builder().name(name).value(value);
        attribute
            .build()
            .map_err(|_| AccountError::unanswered(Cause::Other))
    });
    attributes.collect()
}

fn wrong_code() -> AccountError {
    AccountError {
        exception: Some("CodeMismatchException".to_owned()),
        message: String::new(),
        cause: Cause::Other,
    }
}
