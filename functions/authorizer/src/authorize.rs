//! The decision: identifies the caller, checks revocations, authorizes the request.

use std::sync::{Arc, OnceLock};

use auth::api_key::PresentedKey;
use auth::{
    ApiKeyStore, AuthError, DenyReason, KeySource, RevocationReader, UnverifiedToken,
    VerifiedClaims,
};
use runtime::clock;

use crate::credential::Credential;
use crate::outcome::{Authorization, AuthorizeError, Decision};
use crate::{Authorizer, Event, answer};

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> Authorizer<K, R, A> {
    /// Verifies the credential, checks revocations and evaluates the Cedar policies, in the order
    /// of ARCHITECTURE.md. Every step can only refuse.
    ///
    /// Sets `known_issuer` to the short name of the configured issuer that the credential names, which a refused token
    /// does not prove.
    ///
    /// # Errors
    /// The first step that refused or failed.
    pub async fn authorize(
        &self,
        event: &Event<'_>,
        known_issuer: &OnceLock<Arc<str>>,
    ) -> Result<Decision, AuthorizeError> {
        let settings = &self.settings;
        let header = settings.api_key_header.as_ref();
        let credential = event.credential(&settings.token_sources, header)?;
        let is_cookie = matches!(credential, Credential::Cookie(_));
        let claims = match credential {
            Credential::Token(bearer) | Credential::Cookie(bearer) => {
                self.verify_token(&bearer, known_issuer).await?
            }
            Credential::ApiKey(text) => self.verify_api_key(&text, known_issuer).await?,
        };

        let method_arn = event.method_arn();
        let method = event.method(&method_arn)?;

        let revocations = self.revocations.revocations(&claims, clock::now()).await?;
        self.reporter.log_invalid_expiry(&revocations);
        revocations
            .check(&claims)
            .map_err(|reason| AuthorizeError::refused(reason, &claims))?;
        // No await from here on.
        let now = clock::now();
        self.verifier.still_valid(&claims, now)?;

        let forged = is_cookie && event.may_be_forged(&method.verb, &settings.allowed_origins);
        let authorization = settings.authorize_request(event, &claims, &method, forged, now)?;
        self.decision_of(event, claims, authorization)
    }

    /// Verifies a token.
    async fn verify_token(
        &self,
        bearer: &str,
        known_issuer: &OnceLock<Arc<str>>,
    ) -> Result<VerifiedClaims, AuthError> {
        let token = UnverifiedToken::parse_within(bearer, self.settings.max_token_bytes)?;
        let issuer = self.verifier.issuer_of(&token)?;
        known_issuer.get_or_init(|| Arc::clone(&issuer.id));
        let key = self
            .keys
            .key_for(issuer, token.unverified_kid(), clock::now())
            .await?;
        Ok(self.verifier.verify(token, issuer, &key, clock::now())?)
    }

    /// Verifies an API key.
    async fn verify_api_key(
        &self,
        text: &str,
        known_issuer: &OnceLock<Arc<str>>,
    ) -> Result<VerifiedClaims, AuthError> {
        let api_keys = self.api_keys.as_ref().ok_or(DenyReason::MissingToken)?;
        let presented = PresentedKey::parse(text)?;
        // Every key is of the user pool.
        known_issuer.get_or_init(|| Arc::clone(&api_keys.issuer_id));
        let stored = api_keys.store.find(presented.id()).await?;
        let stored = stored.ok_or(DenyReason::UnknownApiKey)?;
        Ok(stored.verify(&presented, &api_keys.issuer_id, clock::now())?)
    }

    fn decision_of(
        &self,
        event: &Event<'_>,
        claims: VerifiedClaims,
        authorization: Authorization,
    ) -> Result<Decision, AuthorizeError> {
        let (effect, reason) = (authorization.effect, authorization.reason);
        let form = self.settings.http_api_response;
        let chosen = &self.settings.context_claims;
        let answer = answer::decided(event.kind(), form, &claims, authorization, chosen)?;
        Ok(Decision {
            effect,
            reason,
            answer,
            claims,
        })
    }
}
