//! What somebody who is signed in does with their account. A changed password ends sessions.

use std::collections::BTreeMap;

use auth::revocation::RowKey;
use auth::{Unavailable, UnixSeconds, is_email};
use auth_dynamodb::Ending;
use auth_sqs::LateMark;
use lambda::http::{BadRequest, Response};
use lambda::{Caller, clock};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::QrCode;
use qrcode::render::svg;
use serde_json::{Map, Value, json};

use crate::body::{self, ChangePassword, Code, Update, VerifyAttribute};
use crate::outcome::{Outcome, Problem};
use crate::{AuthApi, Secret, SignedIn, now};

/// Why sessions end here, for the operator.
const REASON: &str = "password_change";

/// Attributes of Cognito's own that their owner may see besides those they set.
const SHOWN: &[&str] = &[
    "sub",
    "email",
    "email_verified",
    "phone_number",
    "phone_number_verified",
];

impl AuthApi {
    pub(crate) async fn me(&self, user: &SignedIn) -> Result<Response, Problem> {
        let account = self.accounts.get(&user.token).await?;
        let own = &self.config.attributes;
        let attributes: BTreeMap<String, String> = account
            .attributes
            .into_iter()
            .filter(|(name, _)| SHOWN.contains(&name.as_str()) || own.contains(name))
            .collect();
        let body = json!({
            "sub": user.caller.subject,
            "session": user.caller.session,
            "signed_in_at": user.caller.authenticated_at.0,
            "attributes": attributes,
            "mfa": account.mfa,
        });
        Ok(Response::json(200, &body))
    }

    /// Changes attributes. A new address counts once its code is confirmed; which ones wait for that
    /// is in the answer.
    pub(crate) async fn update(
        &self,
        user: &SignedIn,
        update: Update,
    ) -> Result<Response, Problem> {
        let mut allowed = self.config.attributes.clone();
        allowed.push("email".to_owned());
        let mut attributes = body::attributes(update.attributes, &allowed)?;
        if attributes.is_empty() {
            return Err(BadRequest::Malformed.into());
        }
        if let Some(email) = attributes.get_mut("email") {
            *email = body::normal_name(email, false)?;
            if !is_email(email) {
                return Err(BadRequest::Malformed.into());
            }
        }
        let pending = self.accounts.update(&user.token, attributes).await?;
        Ok(Response::json(200, &json!({"to_verify": pending})))
    }

    pub(crate) async fn verify_attribute(
        &self,
        user: &SignedIn,
        request: &VerifyAttribute,
    ) -> Result<Response, Problem> {
        if !["email", "phone_number"].contains(&request.attribute.as_str()) {
            return Err(BadRequest::Malformed.into());
        }
        let code = body::code(&request.code)?;
        let token = &user.token;
        self.accounts
            .verify_attribute(token, &request.attribute, code)
            .await?;
        Ok(Response::json(200, &json!({"verified": request.attribute})))
    }

    /// Changes the password and ends the other sessions, and this one too unless asked to keep it. The
    /// cutoff is there before the answer; if it can't be written, the answer says so.
    pub(crate) async fn change_password(
        &self,
        user: &SignedIn,
        request: &ChangePassword,
    ) -> Result<Response, Problem> {
        let current = body::password(&request.current_password)?;
        let new = body::password(&request.new_password)?;
        let kept = request
            .keep_session
            .then_some(user.caller.session.as_deref());
        if kept == Some(None) {
            return Err(BadRequest::Malformed.into());
        }
        self.accounts
            .change_password(&user.token, current, new)
            .await?;
        let ended = self.end_sessions(user, kept.flatten()).await;
        if ended.as_deref() != Ok("others") {
            // Also if the mark could not be written: then this is all that ends them.
            let _ = self.accounts.sign_out_everywhere(&user.token).await;
        }
        let ended = ended.map_err(|()| Problem::SessionsNotEnded)?;
        Ok(Response::json(
            200,
            &json!({"status": "password_changed", "ended": ended}),
        ))
    }

    /// Writes the cutoff. One that can't be written goes to the queue, to be written later, as of now.
    async fn end_sessions(&self, user: &SignedIn, kept: Option<&str>) -> Result<&'static str, ()> {
        let caller = &user.caller;
        let now = now();
        let cutoff = now.plus(self.config.leeway_seconds);
        let cutoff = cutoff.max(caller.authenticated_at);
        let spared = kept.map(|session| (session, caller.authenticated_at));
        let Ok(ended) = self.write_cutoff(caller, (now, cutoff), spared).await else {
            if let Some(queue) = &self.retry_queue {
                let spared = spared.map(|(session, since)| (session.to_owned(), since.0));
                let mark = LateMark::EndSessions {
                    subject: caller.subject.clone(),
                    not_before: cutoff.0,
                    spared,
                    changed_at: Some(now.0),
                    reason: REASON.to_owned(),
                };
                queue.put(&mark).await;
            }
            return Err(());
        };
        clock::until_after(cutoff.0).await;
        Ok(ended)
    }

    async fn write_cutoff(
        &self,
        caller: &Caller,
        (now, cutoff): (UnixSeconds, UnixSeconds),
        spared: Option<(&str, UnixSeconds)>,
    ) -> Result<&'static str, Unavailable> {
        let ending = Ending {
            reason: REASON,
            actor: &caller.subject,
            at: now,
            refresh_token_ttl_seconds: self.config.refresh_token_ttl_seconds,
        };
        let key = RowKey::user(&self.config.user_pool_id, &caller.subject);
        if let Some(spared) = spared {
            let written = self
                .revocations
                .end_other_sessions_for_change(&key, (cutoff, now), spared, &ending)
                .await?;
            // Not written: this session was ended meanwhile, and there is nothing to keep.
            if written {
                return Ok("others");
            }
        }
        self.revocations.end_user(&key, cutoff, &ending).await?;
        Ok("all")
    }

    /// A new secret for an authenticator. The old one works until a code of the new one is confirmed.
    pub(crate) async fn new_totp(&self, user: &SignedIn) -> Result<Response, Problem> {
        let account = self.accounts.get(&user.token).await?;
        let label = account.attributes.get("email");
        let label = label.map_or(user.caller.subject.as_str(), String::as_str);
        let secret = self.accounts.new_totp(&user.token).await?;
        let body = totp(&self.config.app_name, label, &secret)?;
        Ok(Response::json(200, &Value::Object(body)))
    }

    pub(crate) async fn turn_on_totp(
        &self,
        user: &SignedIn,
        request: &Code,
    ) -> Result<Response, Problem> {
        let code = body::code(&request.code)?;
        let turned_on = self.accounts.turn_on_totp(&user.token, code).await;
        turned_on.map_err(|refused| {
            // Wrong parameters are here a code that is none.
            let outcome = Outcome::from(&refused);
            Problem::Cognito(outcome.hiding(&[Outcome::BadRequest], Outcome::InvalidCode))
        })?;
        Ok(Response::json(200, &json!({"mfa": ["SOFTWARE_TOKEN_MFA"]})))
    }
}

/// A secret as authenticators read it: the text, the address and the picture of it.
/// Source: RFC 6238, and the Key URI Format of Google Authenticator.
pub(crate) fn totp(
    app_name: &str,
    label: &str,
    secret: &Secret,
) -> Result<Map<String, Value>, Problem> {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let uri = format!(
        "otpauth://totp/{}:{}?secret={}&issuer={}&algorithm=SHA1&digits=6&period=30",
        encode(app_name),
        encode(label),
        encode(secret.expose()),
        encode(app_name),
    );
    let picture = QrCode::new(uri.as_bytes()).map_err(|_| Problem::Internal)?;
    let picture = picture
        .render()
        .min_dimensions(240, 240)
        .dark_color(svg::Color("#000"))
        .light_color(svg::Color("#fff"))
        .build();
    let members = [
        ("secret", secret.expose().to_owned()),
        ("otpauth_uri", uri),
        ("qr_svg", picture),
    ];
    Ok(members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect())
}
