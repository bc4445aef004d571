//! What users ask of a user pool for themselves: the calls that need a password, a code or an access
//! token, and no permission of ours.
//!
//! Each call is made once. A second try of one whose answer was lost would use up a code, count as a
//! wrong password or replay a refresh token.

use std::collections::HashMap;
use std::time::Duration;

use auth::Secret;
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

use crate::client_with;

/// A sign-in may wait for triggers, each of which may take five seconds.
const ATTEMPT: Duration = Duration::from_secs(8);

/// Calls to one user pool for one of its app clients.
pub struct CognitoAccounts {
    client: Client,
    app_client_id: String,
    app_client_secret: Option<Secret>,
}

/// A call that brought nothing. No `Debug`: Cognito's messages name users.
pub struct Refused {
    /// The exception's name; `None` if there was no answer, or none of Cognito's.
    pub exception: Option<String>,
    /// Cognito's own words. For comparison, never to be shown or logged.
    pub message: String,
}

/// What a sign-in came to.
pub enum SignIn {
    /// It is done.
    Tokens(Tokens),
    /// Cognito asks for more.
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
    /// Seconds that the first two live.
    pub expires_in: u64,
}

/// What Cognito asks for next. No `Debug`.
pub struct Challenge {
    /// Its name, as in `SOFTWARE_TOKEN_MFA`; there may be new ones.
    pub name: String,
    /// To be given back with the answer.
    pub session: Option<String>,
    /// What belongs to it.
    pub parameters: HashMap<String, String>,
}

/// A user as `GetUser` tells of them.
pub struct Account {
    /// By name.
    pub attributes: HashMap<String, String>,
    /// `SOFTWARE_TOKEN_MFA` and the like.
    pub mfa: Vec<String>,
}

impl<E: ProvideErrorMetadata> From<SdkError<E>> for Refused {
    fn from(error: SdkError<E>) -> Self {
        let service = error.as_service_error();
        let text = |member: fn(&E) -> Option<&str>| service.and_then(member).map(str::to_owned);
        Self {
            exception: text(|error| error.code()),
            message: text(|error| error.message()).unwrap_or_default(),
        }
    }
}

impl Refused {
    /// Whether Cognito says that what it was given opens nothing (any more). `false` if it is busy, or
    /// asks for the app client's secret: then nothing is known of it.
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

    /// A call whose answer did not come, or can't be read: nothing is known of it.
    #[must_use]
    pub fn unanswered() -> Self {
        Self {
            exception: None,
            message: String::new(),
        }
    }
}

impl CognitoAccounts {
    /// For the users of `app_client_id`, with the endpoint and region of `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, app_client_id: String, app_client_secret: Option<Secret>) -> Self {
        Self {
            client: client_with(sdk, ATTEMPT, ATTEMPT, 1),
            app_client_id,
            app_client_secret,
        }
    }

    /// `SignUp`.
    ///
    /// # Errors
    /// [`Refused`], as every call here.
    pub async fn sign_up(
        &self,
        username: &str,
        password: &Secret,
        attributes: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), Refused> {
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
    /// [`Refused`].
    pub async fn confirm_sign_up(&self, username: &str, code: &Secret) -> Result<(), Refused> {
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
    /// [`Refused`].
    pub async fn resend_code(&self, username: &str) -> Result<(), Refused> {
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
    /// [`Refused`].
    pub async fn forgot_password(&self, username: &str) -> Result<(), Refused> {
        let call = self.client.forgot_password().client_id(&self.app_client_id);
        let call = call
            .set_secret_hash(self.secret_hash(username))
            .username(username);
        Ok(call.send().await.map(drop)?)
    }

    /// `ConfirmForgotPassword`.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn confirm_forgot_password(
        &self,
        username: &str,
        code: &Secret,
        password: &Secret,
    ) -> Result<(), Refused> {
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
    /// [`Refused`].
    pub async fn sign_in(&self, username: &str, password: &Secret) -> Result<SignIn, Refused> {
        let parameter = ("PASSWORD", password.expose());
        self.initiate(AuthFlowType::UserPasswordAuth, username, parameter)
            .await
    }

    /// `InitiateAuth` with the first message of SRP, which the client goes on with.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn sign_in_by_srp(&self, username: &str, srp_a: &str) -> Result<SignIn, Refused> {
        self.initiate(AuthFlowType::UserSrpAuth, username, ("SRP_A", srp_a))
            .await
    }

    async fn initiate(
        &self,
        flow: AuthFlowType,
        username: &str,
        (name, value): (&str, &str),
    ) -> Result<SignIn, Refused> {
        let mut call = self
            .client
            .initiate_auth()
            .client_id(&self.app_client_id)
            .auth_flow(flow)
            .auth_parameters("USERNAME", username)
            .auth_parameters(name, value);
        if let Some(hash) = self.secret_hash(username) {
            call = call.auth_parameters("SECRET_HASH", hash);
        }
        let answer = call.send().await?;
        let (name, session) = (answer.challenge_name, answer.session);
        let parameters = answer.challenge_parameters;
        outcome(answer.authentication_result, name, session, parameters)
    }

    /// `RespondToAuthChallenge`. `username` is the one that the challenge named.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn answer_challenge(
        &self,
        name: &str,
        session: Option<&str>,
        username: &str,
        answers: impl IntoIterator<Item = (&str, &str)>,
    ) -> Result<SignIn, Refused> {
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

    /// `GetTokensFromRefreshToken`: with or without rotation, and whoever's token it is.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn refresh(&self, refresh_token: &Secret) -> Result<Tokens, Refused> {
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
            .ok_or_else(Refused::unanswered)
    }

    /// `RevokeToken`.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn revoke(&self, refresh_token: &Secret) -> Result<(), Refused> {
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
    /// [`Refused`].
    pub async fn sign_out_everywhere(&self, access_token: &str) -> Result<(), Refused> {
        let call = self.client.global_sign_out().access_token(access_token);
        Ok(call.send().await.map(drop)?)
    }

    /// `ChangePassword`.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn change_password(
        &self,
        access_token: &str,
        current: &Secret,
        new: &Secret,
    ) -> Result<(), Refused> {
        let call = self.client.change_password().access_token(access_token);
        let call = call
            .previous_password(current.expose())
            .proposed_password(new.expose());
        Ok(call.send().await.map(drop)?)
    }

    /// `GetUser`.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn get(&self, access_token: &str) -> Result<Account, Refused> {
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

    /// `UpdateUserAttributes`. Returns the names of those that count only once a code is confirmed.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn update(
        &self,
        access_token: &str,
        attributes: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Vec<String>, Refused> {
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
    /// [`Refused`].
    pub async fn verify_attribute(
        &self,
        access_token: &str,
        attribute: &str,
        code: &Secret,
    ) -> Result<(), Refused> {
        let call = self.client.verify_user_attribute();
        let call = call
            .access_token(access_token)
            .attribute_name(attribute)
            .code(code.expose());
        Ok(call.send().await.map(drop)?)
    }

    /// `AssociateSoftwareToken`, for a user who is signed in: a new secret for TOTP (RFC 6238).
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn new_totp(&self, access_token: &str) -> Result<Secret, Refused> {
        let call = self.client.associate_software_token();
        let answer = call.access_token(access_token).send().await?;
        let secret = answer.secret_code.map(Secret::new);
        secret.ok_or_else(Refused::unanswered)
    }

    /// `AssociateSoftwareToken`, for a user who has to set it up in order to sign in. Returns the
    /// secret and the session to go on with.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn new_totp_in(&self, session: &str) -> Result<(Secret, String), Refused> {
        let call = self.client.associate_software_token();
        let answer = call.session(session).send().await?;
        let secret = answer.secret_code.map(Secret::new);
        secret.zip(answer.session).ok_or_else(Refused::unanswered)
    }

    /// `VerifySoftwareToken` and `SetUserMFAPreference`: from now on sign-ins ask for a code.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn turn_on_totp(&self, access_token: &str, code: &Secret) -> Result<(), Refused> {
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

    /// `SetUserMFAPreference`: sign-ins ask for no code of an authenticator any more.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn turn_off_totp(&self, access_token: &str) -> Result<(), Refused> {
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

    /// `VerifySoftwareToken`, for a user who has to set it up in order to sign in. Returns the
    /// session to go on with.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn verify_totp_in(&self, session: &str, code: &Secret) -> Result<String, Refused> {
        let call = self.client.verify_software_token();
        let call = call.session(session).user_code(code.expose());
        let answer = call.send().await?;
        if answer.status != Some(VerifySoftwareTokenResponseType::Success) {
            return Err(wrong_code());
        }
        answer.session.ok_or_else(Refused::unanswered)
    }

    fn secret_hash(&self, username: &str) -> Option<String> {
        let secret = self.app_client_secret.as_ref()?;
        Some(secret_hash(secret, username, &self.app_client_id))
    }
}

/// What proves that a request comes from an app client with a secret.
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
) -> Result<SignIn, Refused> {
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
        .ok_or_else(Refused::unanswered)
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
) -> Result<Vec<AttributeType>, Refused> {
    let attributes = attributes.into_iter().map(|(name, value)| {
        let attribute = AttributeType::builder().name(name).value(value);
        attribute.build().map_err(|_| Refused::unanswered())
    });
    attributes.collect()
}

fn wrong_code() -> Refused {
    Refused {
        exception: Some("CodeMismatchException".to_owned()),
        message: String::new(),
    }
}
