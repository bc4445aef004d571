//! Sign-in, what Cognito asks for on the way, and refresh.

use auth::address_hash;
use auth::revocation::RowKey;
use auth_cognito::{Challenge, Refused, SignIn, SignOutTask, Tokens};
use auth_dynamodb::{Ending, Session};
use lambda::http::{BadRequest, Request, Response};
use lambda::log::{self, Level};
use serde_json::{Map, Value, json};

use crate::body::{self, Answer, Login, Refresh};
use crate::limiter::Counted;
use crate::outcome::{self, Outcome, Problem};
use crate::times::{self, within};
use crate::tokens::{self, UnverifiedSession};
use crate::{AuthApi, Secret, me, now};

/// Parameters of challenges that a client needs; Cognito sends more, some of it about the user.
const PARAMETERS: &[&str] = &[
    "CODE_DELIVERY_DELIVERY_MEDIUM",
    "FRIENDLY_DEVICE_NAME",
    "MFAS_CAN_CHOOSE",
    "MFAS_CAN_SETUP",
    "SALT",
    "SECRET_BLOCK",
    "SRP_B",
    "USER_ID_FOR_SRP",
    "requiredAttributes",
];

/// The challenge that SRP ends with.
const PROOF_OF_PASSWORD: &str = "PASSWORD_VERIFIER";

/// A wrong password, an unknown name, a user whom Cognito has locked after wrong passwords: the
/// difference would tell who has an account.
fn about_a_password(refused: &Refused) -> Problem {
    if outcome::limits_one_user(refused) {
        outcome::log_hidden(refused);
        return Problem::Cognito(Outcome::InvalidCredentials);
    }
    Problem::Cognito(Outcome::from(refused))
}

impl AuthApi {
    pub(crate) async fn login(
        &self,
        request: Login,
        http: &Request<'_>,
    ) -> Result<Response, Problem> {
        let username = self.username(request.username, request.email)?;
        let signed_in = match (&request.password, &request.srp_a) {
            (Some(password), None) => {
                let password = body::password(password)?;
                let counted = self.admit("login", &username, http).await?;
                times::depends_on_user();
                let signed_in = within(self.accounts.sign_in(&username, password)).await;
                let signed_in = signed_in.map_err(|refused| about_a_password(&refused))?;
                times::tells_nothing();
                self.forgive(&counted).await;
                self.remember(&username, http).await;
                signed_in
            }
            (None, Some(srp_a)) => {
                let srp_a = body::token(srp_a)?;
                // It proves nothing yet, and tells of no password; the proof is counted on its own.
                self.admit_often("srp", &username, http).await?;
                times::depends_on_user();
                let begun = within(self.accounts.sign_in_by_srp(&username, srp_a)).await;
                begun.map_err(|refused| about_a_password(&refused))?
            }
            _ => return Err(BadRequest::Malformed.into()),
        };
        self.outcome_of(signed_in, &username, http).await
    }

    pub(crate) async fn challenge(
        &self,
        request: Answer,
        http: &Request<'_>,
    ) -> Result<Response, Problem> {
        let session = request.session.as_deref().map(body::session).transpose()?;
        // As the challenge named it: not brought into any form.
        let username = body::token(&request.username)?;
        let Answered { name, answers } = answers(&request)?;
        // The name is the client's to choose, and the pool takes it in any case; the session is not.
        let counted_name = username.to_lowercase();
        let counted = self.admit("challenge", &counted_name, http).await?;
        let of_session = match session {
            None => Counted::nothing(),
            Some(session) => self.admit_alone("session", session).await?,
        };
        let accounts = &self.accounts;
        let signed_in = match (name, session) {
            ("MFA_SETUP", Some(session)) => {
                let Some(code) = &request.code else {
                    let (secret, session) = within(accounts.new_totp_in(session)).await?;
                    let mut body = me::totp(&self.config.app_name, username, &secret)?;
                    body.insert("challenge".to_owned(), name.into());
                    body.insert("session".to_owned(), session.into());
                    return Ok(Response::json(200, &Value::Object(body)));
                };
                let session = within(accounts.verify_totp_in(session, code)).await?;
                within(accounts.answer_challenge(name, Some(&session), username, [])).await
            }
            (_, session) => {
                if name == PROOF_OF_PASSWORD {
                    times::depends_on_user();
                }
                within(accounts.answer_challenge(name, session, username, answers)).await
            }
        };
        let signed_in = signed_in.map_err(|refused| match name {
            PROOF_OF_PASSWORD => about_a_password(&refused),
            _ => refused.into(),
        })?;
        times::tells_nothing();
        self.forgive(&counted).await;
        self.forgive(&of_session).await;
        self.remember(&counted_name, http).await;
        self.outcome_of(signed_in, username, http).await
    }

    async fn outcome_of(
        &self,
        signed_in: SignIn,
        username: &str,
        http: &Request<'_>,
    ) -> Result<Response, Problem> {
        match signed_in {
            SignIn::Tokens(tokens) => self.hand_over(&tokens, Map::new(), http).await,
            SignIn::Challenge(challenge) => Ok(Response::json(200, &describe(challenge, username))),
        }
    }

    /// Notes the sign-in for `GET /auth/sessions`. Nobody is kept out because that could not be done.
    async fn record(&self, tokens: &Tokens, http: &Request<'_>) {
        let Some(table) = &self.sessions else {
            return;
        };
        let Some(token) = UnverifiedSession::of(&tokens.access) else {
            return;
        };
        let authenticated_at = token.authenticated_at();
        let Some(id) = token.origin_jti else {
            return;
        };
        let now = now();
        let address = http.source_ip();
        let session = Session {
            id,
            authenticated_at,
            first_seen: now,
            last_seen: now,
            device: None,
            ip_hash: address.map(|address| address_hash(&token.sub, &address)),
        };
        let ttl = self.config.refresh_token_ttl_seconds;
        let pool = &self.config.user_pool_id;
        if table.record(pool, &token.sub, &session, ttl).await.is_err() {
            log::line(Level::Error, "a session is not recorded", []);
        }
    }

    /// Hands over the tokens of a session that has just begun, and records it. One that can't be handed
    /// over is ended: its holder could not end it.
    pub(crate) async fn hand_over(
        &self,
        tokens: &Tokens,
        body: Map<String, Value>,
        http: &Request<'_>,
    ) -> Result<Response, Problem> {
        let response = self.response(tokens, body);
        match &response {
            Ok(_) => self.record(tokens, http).await,
            Err(_) => self.give_up(tokens).await,
        }
        response
    }

    /// Ends a session that has just begun and that the client gets nothing of.
    pub(crate) async fn give_up(&self, tokens: &Tokens) {
        if let Some(refresh) = &tokens.refresh {
            self.revoke(&Secret::new(refresh.clone())).await;
        }
    }

    /// `RevokeToken`, now or by logout-retry.
    async fn revoke(&self, refresh_token: &Secret) {
        let Err(refused) = within(self.accounts.revoke(refresh_token)).await else {
            return;
        };
        let task = SignOutTask::RevokeRefreshToken {
            client_id: self.config.app_client_id.clone(),
            refresh_token: refresh_token.expose().to_owned(),
            with_secret: self.config.app_client_secret_arn.is_some(),
        };
        if !refused.is_final() && !self.try_later(&task).await {
            log::line(Level::Error, "a session is not ended at Cognito", []);
        }
    }

    fn response(&self, tokens: &Tokens, body: Map<String, Value>) -> Result<Response, Problem> {
        let ttl = self.config.refresh_token_ttl_seconds;
        tokens::response(tokens, body, self.config.cookies.as_ref(), ttl)
    }

    /// New tokens for a refresh token, unless its session was ended here: Cognito may not know yet.
    pub(crate) async fn refresh(&self, http: &Request<'_>) -> Result<Response, Problem> {
        let body: Refresh = http.json()?;
        let cookies = self.config.cookies.as_ref();
        let cookie = cookies.and_then(|cookies| http.cookie(&cookies.refresh).ok());
        let refresh_token = match (body.refresh_token, cookie) {
            (Some(token), None) => token,
            (None, Some(token)) => Secret::new(token),
            (None, None) if cookies.is_some() => return Ok(self.refresh_refused()),
            _ => return Err(BadRequest::Malformed.into()),
        };
        if body::token(refresh_token.expose()).is_err() {
            return Ok(self.refresh_refused());
        }
        let counted = self.admit("refresh", refresh_token.expose(), http).await?;
        let tokens = match within(self.accounts.refresh(&refresh_token)).await {
            Ok(tokens) => tokens,
            Err(refused) => return self.not_refreshed(&refused, &refresh_token, http).await,
        };
        let session = UnverifiedSession::of(&tokens.access).ok_or(auth::Unavailable::Cognito)?;
        let marks = self
            .revocations
            .marks_of_session(
                (&self.config.user_pool_id, &self.config.app_client_id),
                (&session.sub, session.origin_jti.as_deref()),
                now(),
            )
            .await?;
        let (id, since) = (session.origin_jti.as_deref(), session.authenticated_at());
        if marks.check_session(id, since, session.issued_at()).is_err() {
            // Whether Cognito hears of it or not, what it just gave out opens nothing.
            self.revoke(&refresh_token).await;
            return Ok(self.refresh_refused());
        }
        self.forgive(&counted).await;
        self.response(&tokens, Map::new())
    }

    async fn not_refreshed(
        &self,
        refused: &Refused,
        refresh_token: &Secret,
        http: &Request<'_>,
    ) -> Result<Response, Problem> {
        let is_reuse = refused.exception.as_deref() == Some("RefreshTokenReuseException");
        let outcome = Outcome::from(refused);
        if !matches!(outcome, Outcome::InvalidCredentials | Outcome::BadRequest) {
            return Err(Problem::Cognito(outcome));
        }
        if is_reuse {
            self.end_stolen_session(refresh_token, http).await?;
        }
        Ok(self.refresh_refused())
    }

    /// A refresh token was used twice: one of the two is a thief. Cognito ends the session; we do, if
    /// the authorizer has said whose it is.
    async fn end_stolen_session(
        &self,
        refresh_token: &Secret,
        http: &Request<'_>,
    ) -> Result<(), Problem> {
        self.revoke(refresh_token).await;
        let Ok(user) = self.signed_in(http) else {
            return Ok(());
        };
        let Some(session) = &user.caller.session else {
            return Ok(());
        };
        let key = RowKey::session(&self.config.user_pool_id, &user.caller.subject, session);
        let ending = Ending {
            reason: "refresh_token_reuse",
            actor: &user.caller.subject,
            at: now(),
            refresh_token_ttl_seconds: self.config.refresh_token_ttl_seconds,
        };
        Ok(self.revocations.end(&key, &ending).await?)
    }

    /// 401, and the browser forgets what didn't work.
    fn refresh_refused(&self) -> Response {
        let refused = Problem::Cognito(Outcome::InvalidCredentials);
        let response = refused.response(&self.config.password_policy);
        tokens::without_cookies(response, self.config.cookies.as_ref())
    }
}

/// A challenge's name, and what answers it.
struct Answered<'a> {
    name: &'a str,
    answers: Vec<(&'a str, &'a str)>,
}

/// The members that the challenge asks for, all of them and no others.
fn answers(request: &Answer) -> Result<Answered<'_>, BadRequest> {
    let Answer {
        challenge,
        code,
        new_password,
        method,
        answer,
        srp,
        ..
    } = request;
    let code_is = |name| {
        let code = body::code(code.as_ref().ok_or(BadRequest::Malformed)?)?;
        Ok(vec![(name, code.expose())])
    };
    let given = [
        code.is_some(),
        new_password.is_some(),
        method.is_some(),
        answer.is_some(),
        srp.is_some(),
    ];
    let needs_session = request.session.is_some() || challenge == PROOF_OF_PASSWORD;
    let given = given.into_iter().filter(|given| *given).count();
    if given != 1 && !(challenge == "MFA_SETUP" && given == 0) || !needs_session {
        return Err(BadRequest::Malformed);
    }
    let answers = match challenge.as_str() {
        "SMS_MFA" => code_is("SMS_MFA_CODE")?,
        "EMAIL_OTP" => code_is("EMAIL_OTP_CODE")?,
        "SMS_OTP" => code_is("SMS_OTP_CODE")?,
        "SOFTWARE_TOKEN_MFA" => code_is("SOFTWARE_TOKEN_MFA_CODE")?,
        "MFA_SETUP" => match code {
            None if given == 0 => Vec::new(),
            _ => code_is("CODE")?,
        },
        "NEW_PASSWORD_REQUIRED" => {
            let password = new_password.as_ref().ok_or(BadRequest::Malformed)?;
            vec![("NEW_PASSWORD", body::password(password)?.expose())]
        }
        "SELECT_MFA_TYPE" | "SELECT_CHALLENGE" => {
            let method = method.as_deref().ok_or(BadRequest::Malformed)?;
            vec![("ANSWER", body::token(method)?)]
        }
        "CUSTOM_CHALLENGE" => {
            let answer = answer.as_ref().ok_or(BadRequest::Malformed)?;
            vec![("ANSWER", body::code(answer)?.expose())]
        }
        PROOF_OF_PASSWORD => {
            let srp = srp.as_ref().ok_or(BadRequest::Malformed)?;
            vec![
                (
                    "PASSWORD_CLAIM_SECRET_BLOCK",
                    body::token(&srp.secret_block)?,
                ),
                ("PASSWORD_CLAIM_SIGNATURE", body::token(&srp.signature)?),
                ("TIMESTAMP", body::token(&srp.timestamp)?),
            ]
        }
        // One that Cognito has named and that we don't know: its answer goes there as it is.
        other => {
            let known_form = other.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            let answer = answer.as_ref().ok_or(BadRequest::Malformed)?;
            if !known_form || other.is_empty() || other.len() > 64 {
                return Err(BadRequest::Malformed);
            }
            vec![("ANSWER", body::code(answer)?.expose())]
        }
    };
    Ok(Answered {
        name: challenge,
        answers,
    })
}

/// A challenge as the client gets it: what it has to show, and what it has to give back.
fn describe(challenge: Challenge, username: &str) -> Value {
    let Challenge {
        name,
        session,
        mut parameters,
    } = challenge;
    let username = parameters
        .get("USER_ID_FOR_SRP")
        .map_or(username, String::as_str)
        .to_owned();
    parameters.retain(|name, _| PARAMETERS.contains(&name.as_str()));
    json!({
        "challenge": name,
        "session": session,
        "username": username,
        "parameters": parameters,
    })
}
