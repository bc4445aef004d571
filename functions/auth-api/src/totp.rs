//! The authenticator of a signed-in user (RFC 6238).

use api_gateway::http::{Request, Response};
use auth_sessions::BrowserSessions;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use serde_json::{Map, Value, json};

use crate::body::{Code, Proved};
use crate::outcome::{ApiError, Outcome};
use crate::proof::{Proof, TOTP};
use crate::signed_in::SignedIn;
use crate::times::within;
use crate::{AuthApi, Secret, fields};

impl<B: BrowserSessions> AuthApi<B> {
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
        let code = fields::code(&request.code)?;
        let counted = self
            .attempts
            .admit("totp", &user.caller.subject, http)
            .await?;
        let turned_on = within(self.accounts.turn_on_totp(&user.token, code)).await;
        turned_on.map_err(|refused| {
            // Here Cognito reports a malformed code as a wrong parameter.
            let outcome = Outcome::from(&refused);
            ApiError::of_call(
                outcome.hiding(&[Outcome::BadRequest], Outcome::InvalidCode),
                &refused,
            )
        })?;
        self.attempts.forgive(&counted).await;
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

/// The longest label: an email address may have 2,048 characters, which no QR code holds.
const MAX_LABEL_CHARS: usize = 128;

/// A secret in the forms that authenticators read: text, URI and QR code.
/// Source: RFC 6238, and the Key URI Format of Google Authenticator.
pub(crate) fn totp(
    app_name: &str,
    label: &str,
    secret: &Secret,
) -> Result<Map<String, Value>, ApiError> {
    let label: String = label.chars().take(MAX_LABEL_CHARS).collect();
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let uri = format!(
        "otpauth://totp/{}:{}?secret={}&issuer={}&algorithm=SHA1&digits=6&period=30",
        encode(app_name),
        encode(&label),
        encode(secret.expose()),
        encode(app_name),
    );
    // The longest names fit at the lowest level of error correction only.
    let picture = QrCode::new(uri.as_bytes())
        .or_else(|_| QrCode::with_error_correction_level(uri.as_bytes(), EcLevel::L))
        .map_err(|_| ApiError::Internal)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_fit_into_a_qr_code() {
        let secret = Secret::new("A".repeat(52));
        let longest_app = "\u{1f4f1}".repeat(40);
        for label in ["ada".to_owned(), "\u{1f4f1}".repeat(128), "x".repeat(2_048)] {
            for app_name in ["Gatehouse", &longest_app] {
                let body = totp(app_name, &label, &secret).unwrap();
                let picture = body.get("qr_svg").and_then(Value::as_str).unwrap();
                assert!(picture.contains("<svg"), "{label}");
                let uri = body.get("otpauth_uri").and_then(Value::as_str).unwrap();
                assert!(uri.contains("&issuer="), "{uri}");
            }
        }
    }
}
