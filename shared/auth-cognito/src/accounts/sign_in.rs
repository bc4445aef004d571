//! Sign-in, its challenges, refresh and sign-out.

use std::collections::HashMap;

use auth::{Dependency, Secret};
use aws_client::Call;
use aws_sdk_cognitoidentityprovider::operation::RequestId;
use aws_sdk_cognitoidentityprovider::types::{
    AuthFlowType, AuthenticationResultType, ChallengeNameType,
};

use super::{AccountError, CognitoAccounts};

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

impl CognitoAccounts {
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
        let answer = call.send().in_span(Dependency::Cognito).await?;
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
        let answer = call.send().in_span(Dependency::Cognito).await?;
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
        let answer = call.send().in_span(Dependency::Cognito).await?;
        answer
            .authentication_result
            .and_then(tokens)
            .ok_or_else(AccountError::unreadable)
    }

    /// `RevokeToken`. Returns the request's id, which CloudTrail's record of the call has too.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn revoke(&self, refresh_token: &Secret) -> Result<Option<String>, AccountError> {
        let secret = self.app_client_secret.as_ref();
        let call = self.client.revoke_token().client_id(&self.app_client_id);
        let call = call
            .set_client_secret(secret.map(|secret| secret.expose().to_owned()))
            .token(refresh_token.expose());
        let answer = call.send().in_span(Dependency::Cognito).await?;
        Ok(answer.request_id().map(ToOwned::to_owned))
    }

    /// `GlobalSignOut`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn sign_out_everywhere(&self, access_token: &str) -> Result<(), AccountError> {
        let call = self.client.global_sign_out().access_token(access_token);
        Ok(call.send().in_span(Dependency::Cognito).await.map(drop)?)
    }
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
