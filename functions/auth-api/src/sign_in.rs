//! The first step of a sign-in.

use api_gateway::http::{Request, RequestError, Response};
use auth_cognito::{AccountError, SignIn};
use auth_sessions::BrowserSessions;

use crate::body::Login;
use crate::change_password::PROOF;
use crate::demand::Replacement;
use crate::exceptions::limits_one_user;
use crate::hidden::log_hidden;
use crate::limiter::Counted;
use crate::outcome::{ApiError, Outcome};
use crate::times::{self, within, within_at_most};
use crate::{AuthApi, fields};

impl<B: BrowserSessions> AuthApi<B> {
    pub(crate) async fn login(
        &self,
        request: Login,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let username = self.username(request.username, request.email)?;
        let replacement = match (&request.password, &request.new_password) {
            (_, None) => None,
            (Some(current), Some(new)) if self.config.change_attribute.is_some() => {
                Some(Replacement::new(current, new)?)
            }
            (_, Some(_)) => return Err(RequestError::Malformed.into()),
        };
        let signed_in = match (&request.password, &request.srp_a) {
            (Some(password), None) => {
                let password = fields::password(password)?;
                let counted = self.attempts.admit("login", &username, http).await?;
                times::depends_on_user();
                let signing_in = self.accounts.sign_in(&username, password);
                let signed_in = match &replacement {
                    None => within(signing_in).await,
                    // The change needs the rest of the time.
                    Some(_) => within_at_most(PROOF, signing_in).await,
                };
                let signed_in = match self.attempts.judged(&counted, signed_in).await {
                    Ok(signed_in) => signed_in,
                    Err(refused) => {
                        return Err(self.about_a_password(&refused, &username, http).await);
                    }
                };
                times::tells_nothing();
                self.attempts.forgive(&counted).await;
                self.attempts.remember(&username, http).await;
                signed_in
            }
            (None, Some(srp_a)) => {
                let srp_a = fields::token(srp_a)?;
                // This step proves and reveals nothing about the password; the proof is counted
                // separately.
                let counted = self.attempts.admit_often("srp", &username, http).await?;
                times::depends_on_user();
                self.begin_srp(&username, srp_a, &counted, http).await?
            }
            _ => return Err(RequestError::Malformed.into()),
        };
        self.outcome_of(signed_in, &username, replacement, http)
            .await
    }

    /// The first step of SRP. Where Cognito reports here already that the account is not confirmed,
    /// the client gets the challenge that Cognito simulates for a name without an account, as it
    /// does for every other name. No proof solves it.
    /// Source: AWS, "Managing user existence error responses".
    async fn begin_srp(
        &self,
        username: &str,
        srp_a: &str,
        counted: &Counted,
        http: &Request<'_>,
    ) -> Result<SignIn, ApiError> {
        let begun = within(self.accounts.sign_in_by_srp(username, srp_a)).await;
        let refused = match self.attempts.judged(counted, begun).await {
            Ok(begun) => return Ok(begun),
            Err(refused) => refused,
        };
        let is_unconfirmed = Outcome::from(&refused) == Outcome::UserNotConfirmed;
        let problem = self.about_a_password(&refused, username, http).await;
        if !is_unconfirmed || problem != ApiError::SignInRefused {
            return Err(problem);
        }
        let decoy = self.unused_names.instead_of(username);
        let simulated = within(self.accounts.sign_in_by_srp(&decoy, srp_a)).await;
        let mut begun = simulated.map_err(|_| problem)?;
        if let SignIn::Challenge(challenge) = &mut begun {
            // A pool without aliases repeats the name.
            for value in challenge.parameters.values_mut() {
                if *value == decoy {
                    username.clone_into(value);
                }
            }
        }
        Ok(begun)
    }

    /// Gives the same response for a wrong password, an unknown name, a user that Cognito has locked
    /// after wrong passwords and, unless `REVEAL_EXISTING_USERS` is set, an unconfirmed account: the
    /// difference would reveal whether an account exists. A sign-up of a stranger creates an
    /// unconfirmed account only if the name has none.
    pub(crate) async fn about_a_password(
        &self,
        refused: &AccountError,
        username: &str,
        http: &Request<'_>,
    ) -> ApiError {
        if limits_one_user(refused) {
            log_hidden(refused);
            return ApiError::SignInRefused;
        }
        let outcome = Outcome::from(refused);
        if outcome == Outcome::UserNotConfirmed && !self.config.reveals_existing {
            log_hidden(refused);
            self.resend_to_owner(username, http).await;
            return ApiError::SignInRefused;
        }
        if outcome == Outcome::InvalidCredentials {
            return ApiError::SignInRefused;
        }
        ApiError::of_call(outcome, refused)
    }

    /// A name in the form that the pool compares.
    pub(crate) fn username(
        &self,
        username: Option<String>,
        email: Option<String>,
    ) -> Result<String, RequestError> {
        fields::username(username, email, self.config.case_sensitive)
    }
}
