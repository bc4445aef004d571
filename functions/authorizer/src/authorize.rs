//! The decision: identifies the caller, checks revocations, authorizes the request.

use std::sync::{Arc, OnceLock};

use auth::{
    ApiKeyStore, AuthError, Credential, DenyReason, KeySource, RevocationReader, VerifiedClaims,
};
use auth_sessions::{BrowserSessions, SessionId};

use crate::credential::Presented;
use crate::outcome::{Authorization, AuthorizeError, Decision};
use crate::{Authorizer, Event, answer};

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore, B: BrowserSessions> Authorizer<K, R, A, B> {
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
        let credential = match event.credential(&settings.token_sources, header)? {
            Presented::Credential(credential) => credential,
            // On the heap: otherwise every decision would copy a future as large as this one.
            Presented::Session(id) => Box::pin(self.credential_of(&id)).await?,
        };
        let is_cookie = credential.is_cookie();
        let callers = &self.callers;
        let claims = callers.verify(&credential, known_issuer).await?;

        let method_arn = event.method_arn();
        let method = event.method(&method_arn)?;

        let revocations = callers.revocations(&claims).await?;
        self.log.log_invalid_expiry(&revocations);
        let now = callers
            .check(&claims, &revocations)
            .map_err(|reason| AuthorizeError::refused(reason, &claims))?;
        // No await from here on.

        let forged = is_cookie && event.may_be_forged(&method.verb, &settings.allowed_origins);
        let authorization = settings.authorize_request(event, &claims, &method, forged, now)?;
        self.decision_of(event, claims, authorization)
    }

    /// The token of a browser session. It is verified as one that came in a cookie.
    async fn credential_of(&self, id: &SessionId) -> Result<Credential<'static>, AuthError> {
        let sessions = self.sessions.as_ref().ok_or(DenyReason::UnknownSession)?;
        let found = sessions.find(id, (self.callers.clock)()).await?;
        Ok(Credential::Session(found.session.access_token))
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
