//! Sign-up, its confirmation, and forgotten passwords: what somebody does who is not signed in yet.

use auth::is_email;
use auth_cognito::Refused;
use lambda::http::{BadRequest, Request, Response};
use serde_json::json;

use crate::body::{self, Confirm, ConfirmForgotPassword, SignUp, Somebody};
use crate::outcome::{Outcome, Problem};
use crate::{AuthApi, Secret};

/// What is answered to whoever asks for a mail, whether or not one goes out.
fn accepted() -> Response {
    Response::json(202, &json!({"status": "accepted"}))
}

impl AuthApi {
    pub(crate) async fn sign_up(
        &self,
        request: SignUp,
        http: &Request<'_>,
    ) -> Result<Response, Problem> {
        let (name, email) = match (request.username, request.email) {
            (Some(name), email) => (name, email),
            (None, Some(email)) => (email, None),
            (None, None) => return Err(BadRequest::Malformed.into()),
        };
        let username = body::normal_name(&name, self.config.case_sensitive)?;
        let email = match email {
            Some(email) => Some(body::normal_name(&email, false)?),
            None => username.contains('@').then(|| username.clone()),
        };
        if !email.as_deref().is_none_or(is_email) {
            return Err(BadRequest::Malformed.into());
        }
        let password = body::password(&request.password)?;
        let mut attributes = body::attributes(request.attributes, &self.config.attributes)?;
        if let Some(email) = email {
            attributes.insert("email".to_owned(), email);
        }
        self.admit("signup", &username, http).await?;
        let signed_up = self.accounts.sign_up(&username, password, attributes).await;
        match signed_up.map_err(|refused| Outcome::from(&refused)) {
            Ok(()) => Ok(accepted()),
            // Who has an account is nobody's business; its owner can ask for a new password.
            Err(Outcome::AlreadyTaken) if !self.config.reveals_existing => Ok(accepted()),
            Err(outcome) => Err(Problem::Cognito(outcome)),
        }
    }

    pub(crate) async fn confirm(
        &self,
        request: Confirm,
        http: &Request<'_>,
    ) -> Result<Response, Problem> {
        let username = self.username(request.username, request.email)?;
        self.confirm_code(&username, &request.code, http).await?;
        Ok(Response::json(200, &json!({"status": "confirmed"})))
    }

    async fn confirm_code(
        &self,
        username: &str,
        code: &Secret,
        http: &Request<'_>,
    ) -> Result<(), Problem> {
        let code = body::code(code)?;
        self.admit("confirm", username, http).await?;
        let confirmed = self.accounts.confirm_sign_up(username, code).await;
        confirmed.map_err(|refused| about_a_code(&refused))
    }

    pub(crate) async fn resend(
        &self,
        request: Somebody,
        http: &Request<'_>,
    ) -> Result<Response, Problem> {
        let username = self.username(request.username, request.email)?;
        self.resend_to(&username, http).await?;
        Ok(accepted())
    }

    async fn resend_to(&self, username: &str, http: &Request<'_>) -> Result<(), Problem> {
        self.admit("resend", username, http).await?;
        let sent = self.accounts.resend_code(username).await;
        silently(sent)
    }

    pub(crate) async fn forgot_password(
        &self,
        request: Somebody,
        http: &Request<'_>,
    ) -> Result<Response, Problem> {
        let username = self.username(request.username, request.email)?;
        self.admit("forgot-password", &username, http).await?;
        silently(self.accounts.forgot_password(&username).await)?;
        Ok(accepted())
    }

    /// The pool's PostConfirmation trigger writes the cutoff before Cognito answers.
    pub(crate) async fn confirm_forgot_password(
        &self,
        request: ConfirmForgotPassword,
        http: &Request<'_>,
    ) -> Result<Response, Problem> {
        let username = self.username(request.username, request.email)?;
        let code = body::code(&request.code)?;
        let password = body::password(&request.password)?;
        self.admit("confirm-forgot-password", &username, http)
            .await?;
        let accounts = &self.accounts;
        let changed = accounts
            .confirm_forgot_password(&username, code, password)
            .await;
        changed.map_err(|refused| about_a_code(&refused))?;
        Ok(Response::json(200, &json!({"status": "password_changed"})))
    }

    /// The landing page's button.
    pub(crate) async fn confirm_by_form(&self, http: &Request<'_>) -> Result<Response, Problem> {
        let mut form = http.form()?;
        let email = form.remove("email").unwrap_or_default();
        let code = Secret::new(form.remove("code").unwrap_or_default());
        let confirmed = async {
            let username = self.username(None, Some(email.clone()))?;
            self.confirm_code(&username, &code, http).await
        };
        match confirmed.await {
            Ok(()) => self.pages.confirmed(http),
            Err(problem) => self.pages.not_confirmed(http, problem, &email),
        }
    }

    /// The landing page's other button.
    pub(crate) async fn resend_by_form(&self, http: &Request<'_>) -> Result<Response, Problem> {
        let mut form = http.form()?;
        let email = form.remove("email").unwrap_or_default();
        let sent = async {
            let username = self.username(None, Some(email.clone()))?;
            self.resend_to(&username, http).await
        };
        match sent.await {
            Ok(()) => self.pages.sent(http),
            Err(problem) => self.pages.not_confirmed(http, problem, &email),
        }
    }

    /// A name in the form that the pool compares.
    pub(crate) fn username(
        &self,
        username: Option<String>,
        email: Option<String>,
    ) -> Result<String, BadRequest> {
        body::username(username, email, self.config.case_sensitive)
    }
}

/// A wrong code, one that has run out, nobody of that name, somebody who has confirmed already: the
/// difference would tell who has an account.
fn about_a_code(refused: &Refused) -> Problem {
    let telling = [Outcome::InvalidCredentials, Outcome::AlreadyTaken];
    Problem::Cognito(Outcome::from(refused).hiding(&telling, Outcome::InvalidCode))
}

/// Nobody of that name, nothing to send, nowhere to send it: the same answer as if a mail went out.
fn silently(sent: Result<(), Refused>) -> Result<(), Problem> {
    let Err(refused) = sent else {
        return Ok(());
    };
    let telling = [
        Outcome::InvalidCredentials,
        Outcome::BadRequest,
        Outcome::UserNotConfirmed,
    ];
    let outcome = Outcome::from(&refused);
    if telling.contains(&outcome) {
        Ok(())
    } else {
        Err(Problem::Cognito(outcome))
    }
}
