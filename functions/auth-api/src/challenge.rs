//! The challenges of a sign-in.

use api_gateway::http::{Request, RequestError, Response};
use auth_cognito::{Challenge, SignIn};
use auth_sessions::BrowserSessions;
use serde_json::{Value, json};
use usernames::normalize;

use crate::body::Answer;
use crate::change_password::PROOF;
use crate::demand::Replacement;
use crate::hidden::log_hidden;
use crate::limiter::Counted;
use crate::outcome::ApiError;
use crate::times::{self, within, within_at_most};
use crate::{AuthApi, fields, totp};

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

impl<B: BrowserSessions> AuthApi<B> {
    pub(crate) async fn challenge(
        &self,
        request: Answer,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let session = request
            .session
            .as_deref()
            .map(fields::session)
            .transpose()?;
        // The name as the challenge gave it, not normalized.
        let username = fields::challenged_name(&request.username)?;
        let Answered { name, answers } = answers(&request)?;
        let replacement = match (&request.current_password, &request.new_password) {
            (None, _) => None,
            (Some(current), Some(new)) if self.config.change_attribute.is_some() => {
                Some(Replacement::new(current, new)?)
            }
            (Some(_), _) => return Err(RequestError::Malformed.into()),
        };
        let attributes = fields::attributes(request.attributes.clone(), &self.config.attributes)?;
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
        // The client chooses the spelling of the name, so all spellings that are one name to the pool share a count, as
        // in `login`; the session is fixed.
        let counted_name = normalize(username, self.config.case_sensitive);
        let counted = self
            .attempts
            .admit("challenge", &counted_name, http)
            .await?;
        let of_session = match session {
            None => Counted::nothing(),
            Some(session) => self.attempts.admit_alone("session", session).await?,
        };
        let accounts = &self.accounts;
        let signed_in = match (name, session) {
            ("MFA_SETUP", Some(session)) => {
                let Some(code) = &request.code else {
                    let (secret, session) = within(accounts.new_totp_in(session)).await?;
                    let mut body = totp::totp(&self.config.app_name, username, &secret)?;
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
                let answering = accounts.answer_challenge(name, session, username, answers);
                match &replacement {
                    None => within(answering).await,
                    // The change needs the rest of the time.
                    Some(_) => within_at_most(PROOF, answering).await,
                }
            }
        };
        let signed_in = match signed_in {
            Ok(signed_in) => signed_in,
            // Cognito compares the hash of the secret and the client's `username` with that of its own name for the
            // user, so another of the user's names is refused like a wrong secret. A secret that is really wrong has
            // failed the sign-in before.
            Err(refused) if refused.is_about_secret() => {
                log_hidden(&refused);
                return Err(ApiError::SignInRefused);
            }
            Err(refused) if name == PROOF_OF_PASSWORD => {
                return Err(self.about_a_password(&refused, username, http).await);
            }
            Err(refused) => return Err(refused.into()),
        };
        times::tells_nothing();
        self.attempts.forgive(&counted).await;
        self.attempts.forgive(&of_session).await;
        self.attempts.remember(&counted_name, http).await;
        if name == NEW_PASSWORD {
            // CloudTrail's record of this makes the tokens below outdated: a refresh replaces them.
            self.end_demand(username).await;
        }
        self.outcome_of(signed_in, username, replacement, http)
            .await
    }

    pub(crate) async fn outcome_of(
        &self,
        signed_in: SignIn,
        username: &str,
        replacement: Option<Replacement<'_>>,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        match signed_in {
            SignIn::Tokens(tokens) => self.admit_session(tokens, replacement, http).await,
            SignIn::Challenge(challenge) => Ok(Response::json(200, &describe(challenge, username))),
        }
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
        current_password,
        new_password,
        method,
        answer,
        srp,
        ..
    } = request;
    let code_is = |name| {
        let code = fields::code(code.as_ref().ok_or(RequestError::Malformed)?)?;
        Ok(vec![(name, code.expose())])
    };
    let given = [
        code.is_some(),
        // With the current password it is not the challenge's answer.
        new_password.is_some() && current_password.is_none(),
        method.is_some(),
        answer.is_some(),
        srp.is_some(),
    ];
    let needs_session = request.session.is_some() || challenge == PROOF_OF_PASSWORD;
    let given = given.into_iter().filter(|given| *given).count();
    if challenge == NEW_PASSWORD && current_password.is_some() {
        return Err(RequestError::Malformed);
    }
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
            vec![("NEW_PASSWORD", fields::password(password)?.expose())]
        }
        "SELECT_MFA_TYPE" | "SELECT_CHALLENGE" => {
            let method = method.as_deref().ok_or(RequestError::Malformed)?;
            vec![("ANSWER", fields::token(method)?)]
        }
        "CUSTOM_CHALLENGE" => {
            let answer = answer.as_ref().ok_or(RequestError::Malformed)?;
            vec![("ANSWER", fields::answer(answer)?.expose())]
        }
        PROOF_OF_PASSWORD => {
            let srp = srp.as_ref().ok_or(RequestError::Malformed)?;
            vec![
                (
                    "PASSWORD_CLAIM_SECRET_BLOCK",
                    fields::token(&srp.secret_block)?,
                ),
                ("PASSWORD_CLAIM_SIGNATURE", fields::token(&srp.signature)?),
                ("TIMESTAMP", fields::token(&srp.timestamp)?),
            ]
        }
        // A challenge that this function does not know: the client's answer is passed on as it is.
        other => {
            let known_form = other.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            let answer = answer.as_ref().ok_or(RequestError::Malformed)?;
            if !known_form || other.is_empty() || other.len() > 64 {
                return Err(RequestError::Malformed);
            }
            vec![("ANSWER", fields::answer(answer)?.expose())]
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
