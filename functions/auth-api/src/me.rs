//! The signed-in user's account. Changing the password revokes sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api_gateway::Caller;
use api_gateway::http::{Request, RequestError, Response};
use auth::{
    KeptSession, OtherSessions, RevocationContext, RevocationWriter, Unavailable, UnixSeconds,
};
use auth_cognito::{AccountError, SignIn, SignOutTask, Tokens};
use auth_sqs::{LateKeptSession, LateRevocation};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::QrCode;
use qrcode::render::svg;
use runtime::clock;
use runtime::log::{self, Level};
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use usernames::{check_email, check_shown_name, is_email};

use crate::body::{self, ChangePassword, Code, Proved, Update, VerifyAttribute};
use crate::outcome::{ApiError, Outcome};
use crate::proof::{Proof, TOTP};
use crate::times::{self, within, within_at_most};
use crate::tokens::UnverifiedSession;
use crate::{AuthApi, Secret, SignedIn, now};

/// The parts of the function's 15 seconds that a password change takes, besides the common budget
/// of the calls to Cognito. The revocations take 0.8 seconds, and the wait for the end of a second
/// takes two.
const PROOF: Duration = Duration::from_secs(3);
const CHANGE: Duration = Duration::from_secs(3);
const SIGN_OUT: Duration = Duration::from_secs(2);
const SIGN_IN_AGAIN: Duration = Duration::from_secs(2);
const QUEUE: Duration = Duration::from_millis(1_500);

/// The revocation's reason, for the operator.
const REASON: &str = "password_change";

/// Attributes that give access to the account.
const OWNS: &[&str] = &["email", "phone_number", "preferred_username"];

/// Cognito's own attributes that the owner may see in addition to those that the owner sets.
const SHOWN: &[&str] = &[
    "sub",
    "email",
    "email_verified",
    "phone_number",
    "phone_number_verified",
];

impl AuthApi {
    pub(crate) async fn me(&self, user: &SignedIn) -> Result<Response, ApiError> {
        let account = within(self.accounts.get(&user.token)).await?;
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

    /// Changes attributes. A new address becomes valid when its code is confirmed; the response
    /// lists the addresses that are pending, and is the same for an address that belongs to another
    /// account. A change that affects ownership of the account requires a proof and revokes the
    /// other sessions.
    ///
    /// Cognito changes all attributes of one call or none. So each of [`OWNS`] has a call of its
    /// own, after the others: otherwise the others would show whether the address is taken.
    pub(crate) async fn update(
        &self,
        user: &SignedIn,
        update: Update,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let mut allowed = self.config.attributes.clone();
        allowed.push("email".to_owned());
        let mut attributes = body::attributes(update.attributes, &allowed)?;
        if attributes.is_empty() {
            return Err(RequestError::Malformed.into());
        }
        if let Some(email) = attributes.get_mut("email") {
            *email = body::normal_name(email, false)?;
            if !is_email(email) {
                return Err(RequestError::Malformed.into());
            }
        }
        self.check_addresses(&attributes)?;
        let (owns, others): (BTreeMap<_, _>, BTreeMap<_, _>) = attributes
            .into_iter()
            .partition(|(name, _)| OWNS.contains(&name.as_str()));
        if owns.is_empty() {
            let pending = within(self.accounts.update(&user.token, others)).await?;
            return Ok(Response::json(200, &json!({"to_verify": pending})));
        }
        let proof = Proof {
            password: update.current_password.as_ref(),
            code: update.code.as_ref(),
            password_is_checked: false,
        };
        self.prove(user, proof, http).await?;
        self.admit("update", &user.caller.subject, http).await?;
        times::depends_on_user();
        let mut pending = BTreeSet::new();
        if !others.is_empty() {
            pending.extend(within(self.accounts.update(&user.token, others)).await?);
        }
        let (mut may_have_changed, mut failed) = (false, None);
        for (name, value) in owns {
            match self.update_one(user, name, value).await {
                Ok(to_verify) => {
                    pending.extend(to_verify);
                    may_have_changed = true;
                }
                Err(refused) => {
                    // A lost response may be that of a change.
                    may_have_changed |= Outcome::from(&refused) == Outcome::Unavailable;
                    failed = Some(refused);
                    break;
                }
            }
        }
        if may_have_changed {
            self.revoke_others(user, "account_changed").await?;
        }
        match failed {
            Some(refused) => Err(refused.into()),
            None => Ok(Response::json(200, &json!({"to_verify": pending}))),
        }
    }

    async fn update_one(
        &self,
        user: &SignedIn,
        name: String,
        value: String,
    ) -> Result<Vec<String>, AccountError> {
        let attribute = BTreeMap::from([(name.clone(), value)]);
        match within(self.accounts.update(&user.token, attribute)).await {
            // The same response as if a code were sent to that address.
            Err(refused) if is_about_the_address(&refused) => Ok(vec![name]),
            updated => updated,
        }
    }

    /// The sign-up rules also apply to a changed address or name.
    fn check_addresses(&self, attributes: &BTreeMap<String, String>) -> Result<(), ApiError> {
        let config = &self.config;
        if !config.guards {
            return Ok(());
        }
        if let Some(email) = attributes.get("email") {
            check_email(email).map_err(|_| ApiError::AddressRefused)?;
            let allowed =
                config.allowed_domains.is_empty() || config.allowed_domains.contain(email);
            if !allowed || config.denied_domains.contain(email) {
                return Err(ApiError::AddressRefused);
            }
        }
        if let Some(name) = attributes.get("preferred_username") {
            check_shown_name(name).map_err(|_| ApiError::AddressRefused)?;
        }
        Ok(())
    }

    pub(crate) async fn verify_attribute(
        &self,
        user: &SignedIn,
        request: &VerifyAttribute,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        if !["email", "phone_number"].contains(&request.attribute.as_str()) {
            return Err(RequestError::Malformed.into());
        }
        let code = body::code(&request.code)?;
        let counted = self.admit("verify", &user.caller.subject, http).await?;
        let token = &user.token;
        let accounts = &self.accounts;
        let verified = within(accounts.verify_attribute(token, &request.attribute, code));
        verified.await.map_err(|refused| {
            // Another account has verified that address in the meantime.
            let outcome = Outcome::from(&refused);
            ApiError::Cognito(outcome.hiding(&[Outcome::AlreadyTaken], Outcome::InvalidCode))
        })?;
        self.forgive(&counted).await;
        Ok(Response::json(200, &json!({"verified": request.attribute})))
    }

    /// Changes the password and revokes all sessions, here and at Cognito. With `keep_session` it
    /// signs in again with the new password and returns new tokens: Cognito has no call that spares
    /// a session, and a thief who holds one could continue there. The revocation is written before
    /// the response; if it cannot be written, the response says so.
    pub(crate) async fn change_password(
        &self,
        user: &SignedIn,
        request: &ChangePassword,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let current = body::password(&request.current_password)?;
        let new = body::password(&request.new_password)?;
        if request.keep_session && user.caller.session.is_none() {
            return Err(RequestError::Malformed.into());
        }
        let proof = Proof {
            password: Some(current),
            code: request.code.as_ref(),
            password_is_checked: true,
        };
        let proved = timeout(PROOF, self.prove(user, proof, http)).await;
        proved.map_err(|_| Unavailable::Cognito)??;
        self.change_at_cognito(user, current, new).await?;
        // Both run even if one of them fails: then the other one alone revokes the sessions.
        let revocation = self.revoke_sessions(user, REASON, None);
        let (revoked, ()) = tokio::join!(revocation, self.sign_out_at_cognito(user));
        let not_before = revoked?;
        // CloudTrail records the sign-out, and the revocation for that record covers its whole
        // second.
        clock::until_after(not_before.max(now()).0).await;
        let mut body = Map::new();
        body.insert("status".to_owned(), "password_changed".into());
        body.insert("ended".to_owned(), "all".into());
        if request.keep_session
            && let Some(tokens) = self.sign_in_again(user, new, not_before).await
            && let Ok(response) = self.hand_over(&tokens, body.clone(), http).await
        {
            return Ok(response);
        }
        Ok(Response::json(200, &Value::Object(body)))
    }

    /// `ChangePassword`. If the response is lost, the new password shows whether it was changed.
    async fn change_at_cognito(
        &self,
        user: &SignedIn,
        current: &Secret,
        new: &Secret,
    ) -> Result<(), ApiError> {
        let change = self.accounts.change_password(&user.token, current, new);
        let Err(refused) = within_at_most(CHANGE, change).await else {
            return Ok(());
        };
        if Outcome::from(&refused) == Outcome::Unavailable {
            let signed_in = self.accounts.sign_in(&user.username, new);
            match within_at_most(SIGN_IN_AGAIN, signed_in).await {
                Ok(SignIn::Tokens(tokens)) => {
                    self.give_up(&tokens).await;
                    return Ok(());
                }
                Ok(SignIn::Challenge(_)) => return Ok(()),
                Err(_) => {}
            }
        }
        Err(refused.into())
    }

    /// New tokens for the password that was just set. `None` if Cognito asks for more than the
    /// password, or if the new session is covered by the revocation (`CLOCK_LEEWAY_SECONDS`).
    async fn sign_in_again(
        &self,
        user: &SignedIn,
        password: &Secret,
        not_before: UnixSeconds,
    ) -> Option<Tokens> {
        if now() <= not_before {
            return None;
        }
        let signed_in = self.accounts.sign_in(&user.username, password);
        let Ok(SignIn::Tokens(tokens)) = within_at_most(SIGN_IN_AGAIN, signed_in).await else {
            return None;
        };
        let session = UnverifiedSession::of(&tokens.access);
        let holds = session.is_some_and(|session| {
            session.sub == user.caller.subject && session.authenticated_at() > not_before
        });
        if holds {
            return Some(tokens);
        }
        self.give_up(&tokens).await;
        None
    }

    /// `GlobalSignOut`: revokes the refresh tokens, and Cognito's own API rejects the access
    /// tokens. logout-retry repeats a call that failed.
    async fn sign_out_at_cognito(&self, user: &SignedIn) {
        let signed_out = self.accounts.sign_out_everywhere(&user.token);
        let done = match within_at_most(SIGN_OUT, signed_out).await {
            Ok(()) => true,
            // Cognito has already revoked the token.
            Err(refused) => refused.exception.as_deref() == Some("NotAuthorizedException"),
        };
        if done {
            return;
        }
        let username = user.username.clone();
        let task = SignOutTask::SignOutEverywhere { username };
        let queued = timeout(QUEUE, self.try_later(&task)).await;
        if !queued.unwrap_or(false) {
            log::line(Level::Error, "could not sign the user out at Cognito", []);
        }
    }

    /// Revokes all sessions but this one, in the table only: Cognito has no call that keeps one.
    async fn revoke_others(&self, user: &SignedIn, reason: &'static str) -> Result<(), ApiError> {
        let not_before = self
            .revoke_sessions(user, reason, user.caller.session.as_deref())
            .await?;
        // CloudTrail reports the calls to Cognito with a resolution of one second.
        clock::until_after(not_before.max(now()).0).await;
        Ok(())
    }

    /// Writes the revocation. If that fails, it is queued and written later with the present time.
    async fn revoke_sessions(
        &self,
        user: &SignedIn,
        reason: &'static str,
        kept: Option<&str>,
    ) -> Result<UnixSeconds, ApiError> {
        let caller = &user.caller;
        let now = now();
        let not_before = now.plus(self.config.leeway_seconds);
        let not_before = not_before.max(caller.authenticated_at);
        let kept = kept.map(|session| KeptSession {
            session,
            authenticated_at: caller.authenticated_at,
        });
        let context = RevocationContext {
            reason,
            actor: &caller.subject,
            at: now,
            refresh_token_ttl_seconds: self.config.refresh_token_ttl_seconds,
        };
        if self
            .write_revocation(caller, not_before, kept, &context)
            .await
            .is_ok()
        {
            return Ok(not_before);
        }
        if let Some(queue) = &self.retry_queue {
            let late = LateRevocation::RevokeSessions {
                subject: caller.subject.clone(),
                not_before: not_before.0,
                kept: kept.map(|kept| LateKeptSession {
                    session: kept.session.to_owned(),
                    authenticated_at: kept.authenticated_at.0,
                }),
                changed_at: None,
                reason: reason.to_owned(),
            };
            let _ = timeout(QUEUE, queue.send(&late)).await;
        }
        Err(ApiError::SessionsNotEnded)
    }

    async fn write_revocation(
        &self,
        caller: &Caller,
        not_before: UnixSeconds,
        kept: Option<KeptSession<'_>>,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let user = self.user_ref(&caller.subject);
        if let Some(kept) = kept {
            let others = OtherSessions {
                not_before,
                kept,
                password_changed_at: None,
            };
            let written = self
                .revocations
                .revoke_other_sessions(&user, &others, context)
                .await?;
            // Not written: this session was revoked in the meantime, so there is nothing to keep.
            if written {
                return Ok(());
            }
        }
        self.revocations
            .revoke_user_sessions(&user, not_before, context)
            .await
    }

    /// A new authenticator secret. The old one is valid until a code of the new one is confirmed.
    pub(crate) async fn new_totp(
        &self,
        user: &SignedIn,
        request: &Proved,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        self.prove(user, request.into(), http).await?;
        let account = within(self.accounts.get(&user.token)).await?;
        let label = account.attributes.get("email");
        let label = label.map_or(user.caller.subject.as_str(), String::as_str);
        let secret = within(self.accounts.new_totp(&user.token)).await?;
        let body = totp(&self.config.app_name, label, &secret)?;
        Ok(Response::json(200, &Value::Object(body)))
    }

    pub(crate) async fn turn_on_totp(
        &self,
        user: &SignedIn,
        request: &Code,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let code = body::code(&request.code)?;
        let counted = self.admit("totp", &user.caller.subject, http).await?;
        let turned_on = within(self.accounts.turn_on_totp(&user.token, code)).await;
        turned_on.map_err(|refused| {
            // Here Cognito reports a malformed code as a wrong parameter.
            let outcome = Outcome::from(&refused);
            ApiError::Cognito(outcome.hiding(&[Outcome::BadRequest], Outcome::InvalidCode))
        })?;
        self.forgive(&counted).await;
        self.revoke_others(user, "authenticator_changed").await?;
        Ok(Response::json(200, &json!({"mfa": [TOTP]})))
    }

    /// Disables the authenticator.
    pub(crate) async fn turn_off_totp(
        &self,
        user: &SignedIn,
        request: &Proved,
        http: &Request<'_>,
    ) -> Result<Response, ApiError> {
        let mut mfa = self.prove(user, request.into(), http).await?;
        within(self.accounts.turn_off_totp(&user.token)).await?;
        self.revoke_others(user, "authenticator_changed").await?;
        mfa.retain(|factor| factor != TOTP);
        Ok(Response::json(200, &json!({"mfa": mfa})))
    }
}

impl<'a> From<&'a Proved> for Proof<'a> {
    fn from(request: &'a Proved) -> Self {
        Self {
            password: request.current_password.as_ref(),
            code: request.code.as_ref(),
            password_is_checked: false,
        }
    }
}

/// Whether Cognito rejected the address: it belongs to another account, or mail cannot be delivered
/// to it.
fn is_about_the_address(refused: &AccountError) -> bool {
    matches!(
        Outcome::from(refused),
        Outcome::AlreadyTaken | Outcome::DeliveryFailed
    )
}

/// A secret in the forms that authenticators read: text, URI and QR code.
/// Source: RFC 6238, and the Key URI Format of Google Authenticator.
pub(crate) fn totp(
    app_name: &str,
    label: &str,
    secret: &Secret,
) -> Result<Map<String, Value>, ApiError> {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let uri = format!(
        "otpauth://totp/{}:{}?secret={}&issuer={}&algorithm=SHA1&digits=6&period=30",
        encode(app_name),
        encode(label),
        encode(secret.expose()),
        encode(app_name),
    );
    let picture = QrCode::new(uri.as_bytes()).map_err(|_| ApiError::Internal)?;
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
