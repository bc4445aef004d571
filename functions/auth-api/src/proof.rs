//! Proof of ownership before an account changes hands: an access token can be stolen.

use api_gateway::http::Request;
use auth::Secret;
use auth_cognito::{SignIn, Tokens};
use auth_sessions::BrowserSessions;
use runtime::clock;

use crate::limiter::Counted;
use crate::outcome::{ApiError, Outcome};
use crate::signed_in::SignedIn;
use crate::times::within;
use crate::tokens::UnverifiedSession;
use crate::{AuthApi, fields};

/// A sign-in that is at most this old, in seconds, proves as much as the password.
const RECENT_SECONDS: u64 = 300;

/// The authenticator's name, in `UserMFASettingList` and as a challenge.
pub(crate) const TOTP: &str = "SOFTWARE_TOKEN_MFA";

/// The proof that a request carries.
pub(crate) struct Proof<'a> {
    pub(crate) password: Option<&'a Secret>,
    pub(crate) code: Option<&'a Secret>,
    /// Cognito's own call takes the password and checks it.
    pub(crate) password_is_checked: bool,
}

impl<B: BrowserSessions> AuthApi<B> {
    /// Proves that the caller owns the account: by the password, and the authenticator's code if
    /// one is enabled; or, without an authenticator, by a sign-in within the last five minutes.
    /// Returns the enabled second factors.
    pub(crate) async fn prove(
        &self,
        user: &SignedIn,
        proof: Proof<'_>,
        http: &Request<'_>,
    ) -> Result<Vec<String>, ApiError> {
        let password = proof.password.map(fields::password).transpose()?;
        let code = proof.code.map(fields::code).transpose()?;
        let counted = self
            .attempts
            .admit("proof", &user.caller.subject, http)
            .await?;
        let mfa = within(self.accounts.get(&user.token)).await?.mfa;
        let has_totp = mfa.iter().any(|factor| factor == TOTP);
        match (password, code) {
            (None, _) if has_totp => return Err(ApiError::ProofNeeded),
            (None, _) => {
                let age = clock::now()
                    .0
                    .saturating_sub(user.caller.authenticated_at.0);
                if age > RECENT_SECONDS {
                    return Err(ApiError::ProofNeeded);
                }
            }
            (Some(_), None) if has_totp => return Err(ApiError::ProofNeeded),
            // Counted, because nothing is proved yet.
            (Some(_), _) if proof.password_is_checked && !has_totp => return Ok(mfa),
            (Some(password), code) => {
                let code = code.filter(|_| has_totp);
                self.sign_in_as(user, password, code, &counted).await?;
            }
        }
        self.attempts.forgive(&counted).await;
        Ok(mfa)
    }

    /// A sign-in whose tokens are discarded.
    async fn sign_in_as(
        &self,
        user: &SignedIn,
        password: &Secret,
        code: Option<&Secret>,
        counted: &Counted,
    ) -> Result<(), ApiError> {
        let signed_in = within(self.accounts.sign_in(&user.username, password)).await;
        let signed_in = self.attempts.judged(counted, signed_in).await?;
        let tokens: Tokens = match (signed_in, code) {
            (SignIn::Tokens(tokens), None) => tokens,
            (SignIn::Challenge(challenge), Some(code)) if challenge.name == TOTP => {
                let name = challenge.parameters.get("USER_ID_FOR_SRP");
                let name = name.map_or(user.username.as_str(), String::as_str);
                let answers = [("SOFTWARE_TOKEN_MFA_CODE", code.expose())];
                let session = challenge.session.as_deref();
                let answered = self.accounts.answer_challenge(TOTP, session, name, answers);
                match self
                    .attempts
                    .judged(counted, within(answered).await)
                    .await?
                {
                    SignIn::Tokens(tokens) => tokens,
                    SignIn::Challenge(_) => return Err(ApiError::ProofNeeded),
                }
            }
            (SignIn::Tokens(tokens), Some(_)) => {
                // Cognito asked for no code, so none was proved.
                self.give_up(&tokens).await;
                return Err(ApiError::ProofNeeded);
            }
            (SignIn::Challenge(_), _) => return Err(ApiError::ProofNeeded),
        };
        let session = UnverifiedSession::of(&tokens.access);
        self.give_up(&tokens).await;
        if session.is_some_and(|session| session.sub == user.caller.subject) {
            Ok(())
        } else {
            Err(ApiError::Cognito(Outcome::InvalidCredentials))
        }
    }
}
