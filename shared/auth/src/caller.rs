//! The part of a decision that identifies the caller: verifies a credential and checks its revocations, over the ports.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use crate::api_key::PresentedKey;
use crate::claims::VerifiedClaims;
use crate::error::{AuthError, Unavailable};
use crate::ports::{ApiKeyStore, KeySource, RevocationReader};
use crate::reason::DenyReason;
use crate::revocation::Revocations;
use crate::secret::Secret;
use crate::time::UnixSeconds;
use crate::token::{LARGEST_MAX_TOKEN_BYTES, UnverifiedToken};
use crate::verify::Verifier;

/// A caller's credential. No `Debug`: it is a secret.
pub enum Credential<'a> {
    /// A bearer token that the client put into the request.
    Token(Cow<'a, str>),
    /// A bearer token from a cookie, which a browser adds to requests of any page.
    Cookie(Cow<'a, str>),
    /// The token of a browser session, whose cookie a browser adds to requests of any page. It comes from the store, so
    /// no limit for headers applies to it.
    Session(Secret),
    /// An API key.
    ApiKey(Cow<'a, str>),
}

impl Credential<'_> {
    /// Whether a browser adds it to requests of any page.
    #[must_use]
    pub fn is_cookie(&self) -> bool {
        matches!(self, Self::Cookie(_) | Self::Session(_))
    }
}

/// The source of API keys.
pub struct ApiKeys<A> {
    /// The table.
    pub store: A,
    /// The issuer under whose id the revocations of keys and their owners are stored.
    pub issuer_id: Arc<str>,
}

/// Identifies callers. Generic over the sources of keys, revocations and API keys.
///
/// The steps are separate, because a caller may have to refuse a request between them. Their order is
/// [`Callers::verify`], [`Callers::revocations`], [`Callers::check`]; nothing may be awaited between the last one and
/// the response.
pub struct Callers<K, R, A> {
    /// The issuers and the requirements for tokens.
    pub verifier: Verifier,
    /// The issuers' keys.
    pub keys: K,
    /// The revocations.
    pub revocations: R,
    /// `None`: API keys are not accepted.
    pub api_keys: Option<ApiKeys<A>>,
    /// The longest accepted token, in bytes.
    pub max_token_bytes: usize,
    /// The wall clock.
    pub clock: fn() -> UnixSeconds,
}

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> Callers<K, R, A> {
    /// Verifies a credential.
    ///
    /// Sets `known_issuer` to the short name of the configured issuer that the credential names, which a refused token
    /// does not prove.
    ///
    /// # Errors
    /// The first check that failed, or the dependency.
    pub async fn verify(
        &self,
        credential: &Credential<'_>,
        known_issuer: &OnceLock<Arc<str>>,
    ) -> Result<VerifiedClaims, AuthError> {
        match credential {
            Credential::Token(bearer) | Credential::Cookie(bearer) => {
                let limit = self.max_token_bytes;
                self.verify_token(bearer, limit, known_issuer).await
            }
            Credential::Session(token) => {
                let limit = LARGEST_MAX_TOKEN_BYTES;
                self.verify_token(token.expose(), limit, known_issuer).await
            }
            Credential::ApiKey(text) => self.verify_api_key(text, known_issuer).await,
        }
    }

    async fn verify_token(
        &self,
        bearer: &str,
        limit: usize,
        known_issuer: &OnceLock<Arc<str>>,
    ) -> Result<VerifiedClaims, AuthError> {
        let token = UnverifiedToken::parse_within(bearer, limit)?;
        let issuer = self.verifier.issuer_of(&token)?;
        known_issuer.get_or_init(|| Arc::clone(&issuer.id));
        let now = (self.clock)();
        let key = self
            .keys
            .key_for(issuer, token.unverified_kid(), now)
            .await?;
        let now = (self.clock)();
        Ok(self.verifier.verify(token, issuer, &key, now)?)
    }

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
        Ok(stored.verify(&presented, &api_keys.issuer_id, (self.clock)())?)
    }

    /// Reads the revocations that may cover the credential.
    ///
    /// # Errors
    /// [`Unavailable`] if they could not be read.
    pub async fn revocations(&self, claims: &VerifiedClaims) -> Result<Revocations, Unavailable> {
        let now = (self.clock)();
        self.revocations.revocations(claims, now).await
    }

    /// Checks that no revocation covers the credential, and that it has not expired during the reads. Returns the time
    /// of the check.
    ///
    /// # Errors
    /// The revocation that applies, or [`DenyReason::Expired`].
    pub fn check(
        &self,
        claims: &VerifiedClaims,
        revocations: &Revocations,
    ) -> Result<UnixSeconds, DenyReason> {
        revocations.check(claims)?;
        let now = (self.clock)();
        self.verifier.still_valid(claims, now)?;
        Ok(now)
    }
}
