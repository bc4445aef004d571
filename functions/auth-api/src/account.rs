//! The signed-in user's account.

use std::collections::{BTreeMap, BTreeSet};

use api_gateway::http::{Request, RequestError, Response};
use auth_cognito::AccountError;
use auth_sessions::BrowserSessions;
use serde_json::json;
use usernames::{check_email, check_shown_name, is_email};

use crate::body::{Update, VerifyAttribute};
use crate::outcome::{ApiError, Outcome};
use crate::proof::Proof;
use crate::signed_in::SignedIn;
use crate::times::{self, within};
use crate::{AuthApi, fields};

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

impl<B: BrowserSessions> AuthApi<B> {
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
        let mut attributes = fields::attributes(update.attributes, &allowed)?;
        if attributes.is_empty() {
            return Err(RequestError::Malformed.into());
        }
        if let Some(email) = attributes.get_mut("email") {
            *email = fields::normal_name(email, false)?;
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
        self.attempts
            .admit("update", &user.caller.subject, http)
            .await?;
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
        let code = fields::code(&request.code)?;
        let counted = self
            .attempts
            .admit("verify", &user.caller.subject, http)
            .await?;
        let token = &user.token;
        let accounts = &self.accounts;
        let verified = within(accounts.verify_attribute(token, &request.attribute, code));
        verified.await.map_err(|refused| {
            // Another account has verified that address in the meantime.
            let outcome = Outcome::from(&refused);
            ApiError::of_call(
                outcome.hiding(&[Outcome::AlreadyTaken], Outcome::InvalidCode),
                &refused,
            )
        })?;
        self.attempts.forgive(&counted).await;
        Ok(Response::json(200, &json!({"verified": request.attribute})))
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
