//! Sign-in, its challenges, and refresh.

use api_gateway::http::{RefreshCookie, Request, RequestError, Response};
use auth::{
    AuthError, KeySource, LARGEST_MAX_TOKEN_BYTES, RevocationContext, RevocationWriter,
    Unavailable, UnverifiedToken, VerifiedClaims,
};
use auth_cognito::{AccountError, Challenge, SignIn, SignOutTask, Tokens};
use auth_dynamodb::{ClientUser, Session, address_hash};
use runtime::log::{self, Level};
use serde_json::{Map, Value, json};

use crate::body::{self, Answer, Login, Refresh};
use crate::limiter::Counted;
use crate::outcome::{self, ApiError, Outcome};
use crate::times::{self, within};
use crate::tokens::{self, UnverifiedSession};
use crate::{AuthApi, Secret, me, now};

/// The challenge parameters that a client needs; Cognito sends more, some of them about the user.
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

/// The challenge that completes SRP.
const PROOF_OF_PASSWORD: &str = "PASSWORD_VERIFIER";

/// The challenge of a user whose password was set by an administrator.
const NEW_PASSWORD: &str = "NEW_PASSWORD_REQUIRED";

/// Gives the same response for a wrong password, an unknown name and a user that Cognito has locked
/// after wrong passwords: the difference would reveal whether an account exists.
fn about_a_password(refused: &AccountError) -> ApiError {
    if outcome::limits_one_user(refused) {
        outcome::log_hidden(refused);
        return ApiError::Cognito(Outcome::InvalidCredentials);
    }
    ApiError::Cognito(Outcome::from(refused))
}

impl AuthApi {
    pub(crate) async fn login(
        &self,
        request: Login,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
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
                // This step proves and reveals nothing about the password; the proof is counted
                // separately.
                self.admit_often("srp", &username, http).await?;
                times::depends_on_user();
                let begun = within(self.accounts.sign_in_by_srp(&username, srp_a)).await;
                begun.map_err(|refused| about_a_password(&refused))?
            }
            _ => return Err(RequestError::Malformed.into()),
        };
        self.outcome_of(signed_in, &username, http).await
    }

    pub(crate) async fn challenge(
        &self,
        request: Answer,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let session = request.session.as_deref().map(body::session).transpose()?;
        // The name as the challenge gave it, not normalized.
        let username = body::token(&request.username)?;
        let Answered { name, answers } = answers(&request)?;
        let attributes = body::attributes(request.attributes.clone(), &self.config.attributes)?;
        if !attributes.is_empty() && name != NEW_PASSWORD {
            return Err(RequestError::Malformed.into());
        }
        let attributes: Vec<(String, String)> = attributes
            .into_iter()
            .map(|(name, value)| (format!("userAttributes.{name}"), value))
            .collect();
        let attributes = attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        // The client chooses the spelling of the name, and the pool ignores its case; the session
        // is fixed.
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
                let answers = answers.into_iter().chain(attributes);
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
    ) -> Result<Response, ApiError> {
        match signed_in {
            SignIn::Tokens(tokens) => self.hand_over(&tokens, Map::new(), http).await,
            SignIn::Challenge(challenge) => Ok(Response::json(200, &describe(challenge, username))),
        }
    }

    /// Records the sign-in for `GET /auth/sessions`. A failure does not fail the sign-in.
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
        let user = self.user_ref(&token.sub);
        if table.record(&user, &session, ttl).await.is_err() {
            log::line(Level::Error, "could not record the session", []);
        }
    }

    /// Returns the tokens of a new session and records it. If the tokens cannot be returned, the
    /// session is revoked, because the client could not revoke it.
    pub(crate) async fn hand_over(
        &self,
        tokens: &Tokens,
        body: Map<String, Value>,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let response = self.response(tokens, body, http);
        match &response {
            Ok(_) => self.record(tokens, http).await,
            Err(_) => self.give_up(tokens).await,
        }
        response
    }

    /// Revokes a new session whose tokens the client does not get.
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
            log::line(Level::Error, "could not revoke the session at Cognito", []);
        }
    }

    fn response(
        &self,
        tokens: &Tokens,
        body: Map<String, Value>,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let ttl = self.config.refresh_token_ttl_seconds;
        tokens::response(tokens, body, (self.config.cookies.as_ref(), http), ttl)
    }

    /// Exchanges a refresh token for new tokens, unless its session was revoked in the table:
    /// Cognito may not know yet.
    pub(crate) async fn refresh(&self, http: &Request<'_>) -> Result<Response, ApiError> {
        let body: Refresh = http.json()?;
        let cookies = self.config.cookies.as_ref();
        let cookie = cookies.and_then(|cookies| RefreshCookie(&cookies.refresh).read(http).ok());
        let refresh_token = match (body.refresh_token, cookie) {
            (Some(token), None) => token,
            (None, Some(token)) => Secret::new(token),
            (None, None) if cookies.is_some() => return Ok(self.refresh_refused(http)),
            _ => return Err(RequestError::Malformed.into()),
        };
        if body::token(refresh_token.expose()).is_err() {
            return Ok(self.refresh_refused(http));
        }
        let counted = self.admit("refresh", refresh_token.expose(), http).await?;
        let tokens = match within(self.accounts.refresh(&refresh_token)).await {
            Ok(tokens) => tokens,
            Err(refused) => return self.not_refreshed(&refused, &refresh_token, http).await,
        };
        let Some(session) = UnverifiedSession::of(&tokens.access) else {
            return self.refresh_unfinished(Unavailable::Cognito, &tokens, http);
        };
        let owner = ClientUser {
            user: self.user_ref(&session.sub),
            client_id: &self.config.app_client_id,
        };
        let revocations = self
            .revocations
            .revocations_of_session(&owner, session.origin_jti.as_deref(), now())
            .await;
        let revocations = match revocations {
            Ok(revocations) => revocations,
            Err(unavailable) => return self.refresh_unfinished(unavailable, &tokens, http),
        };
        let (id, since) = (session.origin_jti.as_deref(), session.authenticated_at());
        if revocations
            .check_session(id, since, session.issued_at())
            .is_err()
        {
            // The new tokens are refused in any case, even if the call to Cognito fails.
            self.revoke(&refresh_token).await;
            return Ok(self.refresh_refused(http));
        }
        self.forgive(&counted).await;
        let response = self.response(&tokens, Map::new(), http);
        if let Err(problem) = response {
            // The client has no token left that could revoke the session.
            let replaced = tokens.refresh.clone().map(Secret::new);
            self.revoke(replaced.as_ref().unwrap_or(&refresh_token))
                .await;
            let response = problem.response(&self.config.password_policy);
            return Ok(tokens::without_cookies(response, cookies, http));
        }
        response
    }

    /// The revocations could not be read, so no access token is returned. A refresh token that has
    /// replaced the client's is returned, because Cognito would take the old one for a stolen one
    /// at its next use; it gives no more access than the old one did.
    fn refresh_unfinished(
        &self,
        unavailable: Unavailable,
        tokens: &Tokens,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let problem = ApiError::from(unavailable);
        let Some(refresh) = &tokens.refresh else {
            return Err(problem);
        };
        let response = problem.response(&self.config.password_policy);
        match &self.config.cookies {
            None => Ok(response.with_member("refresh_token", refresh)),
            Some(cookies) => {
                let ttl = self.config.refresh_token_ttl_seconds;
                tokens::with_refresh_cookie(response, refresh, (cookies, http), ttl)
            }
        }
    }

    async fn not_refreshed(
        &self,
        refused: &AccountError,
        refresh_token: &Secret,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let is_reuse = refused.exception.as_deref() == Some("RefreshTokenReuseException");
        let outcome = Outcome::from(refused);
        if !matches!(outcome, Outcome::InvalidCredentials | Outcome::BadRequest) {
            return Err(ApiError::Cognito(outcome));
        }
        if is_reuse {
            self.revoke_stolen_session(refresh_token, http).await?;
        }
        Ok(self.refresh_refused(http))
    }

    /// A refresh token was used twice, so one of the two holders is a thief. Cognito revokes the
    /// session; the table does too, if the request carries an access token of the session, expired
    /// or not.
    async fn revoke_stolen_session(
        &self,
        refresh_token: &Secret,
        http: &Request<'_>,
    ) -> Result<(), ApiError> {
        self.revoke(refresh_token).await;
        let token = self.config.cookies.as_ref();
        let token = http.token(token.map(|cookies| cookies.access.as_str()));
        let Ok(token) = token else {
            return Ok(());
        };
        let claims = match self.verify(&token).await {
            Ok(claims) => claims,
            // A token of another session, or no token.
            Err(AuthError::Unauthorized(_)) => return Ok(()),
            Err(AuthError::Unavailable(unavailable)) => return Err(unavailable.into()),
        };
        let Some(session) = claims.session() else {
            return Ok(());
        };
        let session = claims.user_ref().session(session);
        let context = RevocationContext {
            reason: "refresh_token_reuse",
            actor: claims.subject(),
            at: now(),
            refresh_token_ttl_seconds: self.config.refresh_token_ttl_seconds,
        };
        Ok(self.revocations.revoke_session(&session, &context).await?)
    }

    /// Verifies an access token of this pool on a route without an authorizer.
    async fn verify(&self, token: &str) -> Result<VerifiedClaims, AuthError> {
        let token = UnverifiedToken::parse_within(token, LARGEST_MAX_TOKEN_BYTES)?;
        let issuer = self.verifier.issuer_of(&token)?;
        let kid = token.unverified_kid();
        let key = self.keys.key_for(issuer, kid, now()).await?;
        Ok(self.verifier.verify(token, issuer, &key, now())?)
    }

    /// Responds 401 and deletes the browser's invalid cookies.
    fn refresh_refused(&self, http: &Request<'_>) -> Response {
        let refused = ApiError::Cognito(Outcome::InvalidCredentials);
        let response = refused.response(&self.config.password_policy);
        tokens::without_cookies(response, self.config.cookies.as_ref(), http)
    }
}

/// A challenge's name and its responses.
struct Answered<'a> {
    name: &'a str,
    answers: Vec<(&'a str, &'a str)>,
}

/// The members that the challenge asks for: all of them and no others.
fn answers(request: &Answer) -> Result<Answered<'_>, RequestError> {
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
        let code = body::code(code.as_ref().ok_or(RequestError::Malformed)?)?;
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
        return Err(RequestError::Malformed);
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
        NEW_PASSWORD => {
            let password = new_password.as_ref().ok_or(RequestError::Malformed)?;
            vec![("NEW_PASSWORD", body::password(password)?.expose())]
        }
        "SELECT_MFA_TYPE" | "SELECT_CHALLENGE" => {
            let method = method.as_deref().ok_or(RequestError::Malformed)?;
            vec![("ANSWER", body::token(method)?)]
        }
        "CUSTOM_CHALLENGE" => {
            let answer = answer.as_ref().ok_or(RequestError::Malformed)?;
            vec![("ANSWER", body::code(answer)?.expose())]
        }
        PROOF_OF_PASSWORD => {
            let srp = srp.as_ref().ok_or(RequestError::Malformed)?;
            vec![
                (
                    "PASSWORD_CLAIM_SECRET_BLOCK",
                    body::token(&srp.secret_block)?,
                ),
                ("PASSWORD_CLAIM_SIGNATURE", body::token(&srp.signature)?),
                ("TIMESTAMP", body::token(&srp.timestamp)?),
            ]
        }
        // A challenge that this function does not know: the client's answer is passed on as it is.
        other => {
            let known_form = other.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            let answer = answer.as_ref().ok_or(RequestError::Malformed)?;
            if !known_form || other.is_empty() || other.len() > 64 {
                return Err(RequestError::Malformed);
            }
            vec![("ANSWER", body::code(answer)?.expose())]
        }
    };
    Ok(Answered {
        name: challenge,
        answers,
    })
}

/// A challenge as the client gets it: what it needs to show, and what it has to send back.
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
