//! Turns an [`UnverifiedToken`] into [`VerifiedClaims`], or returns the reason for the refusal.

use std::sync::Arc;

use crate::claims::{Principal, TokenUse, VerifiedClaims};
use crate::jwks::{Algorithm, KeySet, VerifyingKey};
use crate::oidc_claims::{OidcClaims, OneOrMany};
use crate::reason::DenyReason;
use crate::time::UnixSeconds;
use crate::token::UnverifiedToken;
use crate::unverified_claims::{Audience, UnverifiedClaims};

/// Cognito's tokens are valid for at most a day; a longer-lived one is not from Cognito. Other
/// issuers may be configured with more.
pub const MAX_LIFETIME_SECONDS: u64 = 24 * 60 * 60;
/// The largest configurable lifetime for other issuers.
pub const LARGEST_MAX_LIFETIME_SECONDS: u64 = 30 * 24 * 60 * 60;

/// Default for how far `iat` may be ahead of the local clock: the clocks of two AWS services differ
/// by less.
pub const IAT_LEEWAY_SECONDS: u64 = 5;
/// The largest configurable leeway for `iat`.
pub const MAX_IAT_LEEWAY_SECONDS: u64 = 60;

/// A trusted issuer.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The short name under which revocations are stored: the user pool's id for Cognito. Both
    /// forms of a pool's issuer, and its replicas in other regions, share it.
    pub id: Arc<str>,
    /// The alias of an additional trusted issuer, for Cedar policies; `None` for the user pool.
    pub alias: Option<Arc<str>>,
    /// `iss`, compared byte for byte.
    pub url: String,
    /// The issuer's signature algorithms. Cognito: RS256 only.
    pub algorithms: Vec<Algorithm>,
    /// Accepted audiences: for Cognito the app clients (`client_id` of an access token, `aud` of an
    /// ID token), for other issuers values of `aud`.
    pub audiences: Vec<String>,
    /// Whose claim names the issuer uses.
    pub kind: IssuerKind,
    /// For issuers other than user pools: the clients that a token may have been issued to; any if
    /// empty.
    pub clients: Vec<String>,
    /// For issuers other than user pools: whether ID tokens are accepted.
    pub takes_id_tokens: bool,
    /// Maximum number of seconds from `iat` to `exp`.
    pub max_lifetime_seconds: u64,
}

impl Issuer {
    /// The Cognito user pool of this deployment.
    #[must_use]
    pub fn user_pool(id: Arc<str>, url: String, client_ids: Vec<String>) -> Self {
        Self {
            id,
            alias: None,
            url,
            algorithms: vec![Algorithm::Rs256],
            audiences: client_ids,
            kind: IssuerKind::Cognito,
            clients: Vec::new(),
            takes_id_tokens: false,
            max_lifetime_seconds: MAX_LIFETIME_SECONDS,
        }
    }
}

/// Whose claim names an issuer uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerKind {
    /// Amazon Cognito: `token_use`, `client_id`, `origin_jti`, `cognito:groups`.
    Cognito,
    /// Any OpenID Connect provider: `aud`, `azp`, `sid`, `groups`, `scope` or `scp`.
    Oidc,
}

/// A deployment's requirements for a token besides a valid signature.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// The accepted kinds of token.
    pub token_uses: Vec<TokenUse>,
    /// The required `aud` of an access token (resource binding, [RFC 8707]).
    ///
    /// [RFC 8707]: https://www.rfc-editor.org/rfc/rfc8707
    pub resource_audience: ResourceAudience,
    /// Seconds by which the issuer's clock and the local clock may differ, at most 60.
    pub leeway_seconds: u64,
    /// Seconds that `iat` may be ahead of the local clock, if that is more than the leeway. It does
    /// not admit expired or revoked tokens: checks of `exp` and of revocations do not use it.
    pub iat_leeway_seconds: u64,
    /// Whether a user's token must name its session, because it could not be revoked otherwise.
    pub require_session: bool,
    /// Whether a delegated token (`act`, [RFC 8693 section 4.1]) is accepted.
    ///
    /// [RFC 8693 section 4.1]: https://www.rfc-editor.org/rfc/rfc8693#section-4.1
    pub allow_delegated: bool,
    /// Seconds after `exp` for which a token is still accepted. 0 everywhere except at logout,
    /// which must revoke a session even if its last access token has expired.
    pub expired_for_seconds: u64,
}

/// Which `aud` an access token may have. By default, Cognito's access tokens have no `aud`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceAudience {
    /// No `aud`, or the token's own client: a token that is bound to another resource is refused.
    Unbound,
    /// This `aud`, which must be present.
    Required(String),
    /// Any `aud`, or no `aud`.
    Any,
}

impl Default for TokenRules {
    /// The strictest rules: access tokens with a session, no leeway.
    fn default() -> Self {
        Self {
            token_uses: vec![TokenUse::Access],
            resource_audience: ResourceAudience::Unbound,
            leeway_seconds: 0,
            iat_leeway_seconds: 0,
            require_session: true,
            allow_delegated: false,
            expired_for_seconds: 0,
        }
    }
}

impl TokenRules {
    /// The rules for a token that revokes its own session: any token of the session, regardless of its resource, also
    /// one that expired up to `expired_for_seconds` ago.
    #[must_use]
    pub fn of_logout(leeway_seconds: u64, expired_for_seconds: u64) -> Self {
        Self {
            token_uses: vec![TokenUse::Access, TokenUse::Id],
            resource_audience: ResourceAudience::Any,
            leeway_seconds,
            iat_leeway_seconds: MAX_IAT_LEEWAY_SECONDS,
            require_session: false,
            allow_delegated: false,
            expired_for_seconds,
        }
    }
}

/// Verifies tokens by the configured issuers and rules. Holds neither keys nor a clock.
#[derive(Clone, Debug)]
pub struct Verifier {
    issuers: Vec<Issuer>,
    rules: TokenRules,
}

impl Verifier {
    /// Creates a verifier for these issuers, which must have distinct URLs.
    #[must_use]
    pub fn new(issuers: Vec<Issuer>, rules: TokenRules) -> Self {
        Self { issuers, rules }
    }

    /// The configured issuer whose URL equals the token's `iss` exactly.
    ///
    /// # Errors
    /// [`DenyReason::UnknownIssuer`], also for an `iss` that differs by a slash or in case.
    pub fn issuer_of(&self, token: &UnverifiedToken<'_>) -> Result<&Issuer, DenyReason> {
        self.issuers
            .iter()
            .find(|issuer| issuer.url == token.unverified_issuer())
            .ok_or(DenyReason::UnknownIssuer)
    }

    /// Verifies the signature with `key`, which must come from the key set of `issuer`, then the
    /// claims.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify(
        &self,
        token: UnverifiedToken<'_>,
        issuer: &Issuer,
        key: &VerifyingKey,
        now: UnixSeconds,
    ) -> Result<VerifiedClaims, DenyReason> {
        let algorithm = token.algorithm().ok_or(DenyReason::WrongAlgorithm)?;
        if algorithm != key.algorithm() || !issuer.algorithms.contains(&algorithm) {
            return Err(DenyReason::WrongAlgorithm);
        }
        if !key.verifies(token.signing_input(), token.signature()) {
            return Err(DenyReason::BadSignature);
        }
        let (claims, payload) = token.into_claims();
        self.accept(claims, payload, issuer, now)
    }

    /// Checks the claims of a token that `issuer` signed.
    fn accept(
        &self,
        claims: UnverifiedClaims,
        payload: String,
        issuer: &Issuer,
        now: UnixSeconds,
    ) -> Result<VerifiedClaims, DenyReason> {
        if claims.issuer != issuer.url {
            return Err(DenyReason::UnknownIssuer);
        }
        self.check_times(&claims, issuer, now)?;
        if claims.delegated && !self.rules.allow_delegated {
            return Err(DenyReason::Delegated);
        }

        match issuer.kind {
            IssuerKind::Cognito => self.accept_cognito(claims, payload, issuer),
            IssuerKind::Oidc => accept_oidc(claims, payload, issuer),
        }
    }

    fn accept_cognito(
        &self,
        mut claims: UnverifiedClaims,
        payload: String,
        issuer: &Issuer,
    ) -> Result<VerifiedClaims, DenyReason> {
        let token_use = self.token_use(&claims)?;
        let client_id = self.take_client_id(&mut claims, token_use, issuer)?;
        let username = match token_use {
            TokenUse::Access => claims.username,
            TokenUse::Id => claims.cognito_username,
        };
        // A client on its own behalf is its own subject, regardless of its other claims.
        let is_user = username.is_some() || claims.session.is_some();
        let principal = if is_user && claims.subject != client_id {
            Principal::User
        } else {
            Principal::Client
        };
        let authenticated_at = match principal {
            Principal::User => claims.authenticated_at.ok_or(DenyReason::InvalidClaims)?,
            // A machine does not sign in.
            Principal::Client | Principal::ApiKey => claims.issued_at,
        };
        if principal == Principal::User && self.rules.require_session && claims.session.is_none() {
            return Err(DenyReason::NoSession);
        }

        Ok(VerifiedClaims {
            issuer_id: Arc::clone(&issuer.id),
            issuer_alias: issuer.alias.clone(),
            principal,
            token_use: Some(token_use),
            subject: claims.subject,
            client_id,
            username,
            groups: claims.groups,
            scope: claims.scope,
            session: claims.session,
            token_id: claims.token_id,
            authenticated_at,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            usage_plan_key: None,
            payload,
        })
    }

    /// [RFC 7519] sections 4.1.4 to 4.1.6, and `auth_time` of OpenID Connect Core section 2.
    ///
    /// [RFC 7519]: https://www.rfc-editor.org/rfc/rfc7519
    fn check_times(
        &self,
        claims: &UnverifiedClaims,
        issuer: &Issuer,
        now: UnixSeconds,
    ) -> Result<(), DenyReason> {
        let leeway = self.rules.leeway_seconds;
        let lifetime = claims.expires_at.since(claims.issued_at);
        if lifetime.is_none_or(|seconds| seconds > issuer.max_lifetime_seconds + leeway) {
            return Err(DenyReason::InvalidClaims);
        }
        if claims.authenticated_at > Some(claims.issued_at) {
            return Err(DenyReason::InvalidClaims);
        }
        let latest_issue = now.plus(leeway.max(self.rules.iat_leeway_seconds));
        if claims.issued_at > latest_issue || claims.not_before > Some(now.plus(leeway)) {
            return Err(DenyReason::NotYetValid);
        }
        if self.is_expired(claims.expires_at, now) {
            return Err(DenyReason::Expired);
        }
        Ok(())
    }

    fn token_use(&self, claims: &UnverifiedClaims) -> Result<TokenUse, DenyReason> {
        let token_use = claims.token_use.ok_or(DenyReason::WrongTokenUse)?;
        if self.rules.token_uses.contains(&token_use) {
            Ok(token_use)
        } else {
            Err(DenyReason::WrongTokenUse)
        }
    }

    /// An access token names its client in `client_id`, an ID token in `aud`. The `aud` of an
    /// access token names the resource that it is bound to: tokens for other resources are refused.
    /// The `client_id` of an ID token, which a trigger may have added, is ignored.
    fn take_client_id(
        &self,
        claims: &mut UnverifiedClaims,
        token_use: TokenUse,
        issuer: &Issuer,
    ) -> Result<String, DenyReason> {
        let audience = std::mem::take(&mut claims.audience);
        let client_id = match (token_use, audience) {
            (TokenUse::Access, audience) => claims
                .client_id
                .take()
                .filter(|client_id| self.is_for_us(&audience, client_id)),
            (TokenUse::Id, Audience::One(audience)) => Some(audience),
            (TokenUse::Id, Audience::Absent | Audience::Many) => None,
        };
        client_id
            .filter(|id| issuer.audiences.contains(id))
            .ok_or(DenyReason::WrongAudience)
    }

    fn is_for_us(&self, audience: &Audience, client_id: &str) -> bool {
        match (&self.rules.resource_audience, audience) {
            (ResourceAudience::Any, _) | (ResourceAudience::Unbound, Audience::Absent) => true,
            (ResourceAudience::Unbound, Audience::One(audience)) => audience == client_id,
            (ResourceAudience::Required(required), Audience::One(audience)) => audience == required,
            (ResourceAudience::Unbound | ResourceAudience::Required(_), _) => false,
        }
    }

    /// Checks that the token has not expired since it was verified: repeated after every await.
    ///
    /// # Errors
    /// [`DenyReason::Expired`].
    pub fn still_valid(&self, claims: &VerifiedClaims, now: UnixSeconds) -> Result<(), DenyReason> {
        if self.is_expired(claims.expires_at, now) {
            Err(DenyReason::Expired)
        } else {
            Ok(())
        }
    }

    /// "On or after" ([RFC 7519 section 4.1.4]): a token is expired in the second that `exp` names.
    ///
    /// [RFC 7519 section 4.1.4]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4
    fn is_expired(&self, expires_at: UnixSeconds, now: UnixSeconds) -> bool {
        let last = expires_at
            .plus(self.rules.leeway_seconds)
            .plus(self.rules.expired_for_seconds);
        now >= last
    }
}

/// A trusted issuer and the keys that it publishes.
#[derive(Clone)]
pub struct TrustedIssuer {
    /// The issuer.
    pub issuer: Issuer,
    /// Its key set. These keys verify tokens of this issuer only.
    pub keys: KeySet,
}

/// Verifies a token in one call, by key sets that the caller already has:
/// [`UnverifiedToken::parse`], the issuer, its key, [`Verifier::verify`].
///
/// It does not check revocations. A service that fetches keys when it needs them calls
/// [`Verifier::issuer_of`] and [`Verifier::verify`] itself, around
/// [`KeySource::key_for`](crate::KeySource::key_for).
///
/// # Errors
/// The first check that failed.
///
/// # Examples
/// ```
/// use auth::{Issuer, KeySet, DenyReason, TokenRules, TrustedIssuer, UnixSeconds};
///
/// # let pool = testkit::Pool::ours();
/// # let (id, client_id, key_set) = (pool.id, pool.client_id, pool.jwks().to_string());
/// # let (token, now) = (pool.access_token().build(), UnixSeconds(testkit::now()));
/// let url = format!("https://cognito-idp.us-east-1.amazonaws.com/{id}");
/// let trusted = [TrustedIssuer {
///     issuer: Issuer::user_pool(id.into(), url, vec![client_id.to_owned()]),
///     keys: KeySet::parse(key_set.as_bytes())?,
/// }];
/// let rules = TokenRules::default();
/// let claims = auth::verify(&token, &trusted, &rules, now)?;
/// assert_eq!(claims.client_id(), client_id);
///
/// let expired = auth::verify(&token, &trusted, &rules, now.plus(24 * 60 * 60));
/// assert_eq!(expired.err(), Some(DenyReason::Expired));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify(
    token: &str,
    trusted: &[TrustedIssuer],
    rules: &TokenRules,
    now: UnixSeconds,
) -> Result<VerifiedClaims, DenyReason> {
    let token = UnverifiedToken::parse(token)?;
    let TrustedIssuer { issuer, keys } = trusted
        .iter()
        .find(|trusted| trusted.issuer.url == token.unverified_issuer())
        .ok_or(DenyReason::UnknownIssuer)?;
    let key = keys
        .get(token.unverified_kid())
        .ok_or(DenyReason::UnknownKey)?;
    Verifier::new(Vec::new(), rules.clone()).verify(token, issuer, key, now)
}

/// Checks the claims of a provider other than Cognito. Its token has the accepted audience in
/// `aud`; without `auth_time`, `iat` replaces it, which a refresh moves.
fn accept_oidc(
    claims: UnverifiedClaims,
    payload: String,
    issuer: &Issuer,
) -> Result<VerifiedClaims, DenyReason> {
    let oidc = OidcClaims::read(&payload).ok_or(DenyReason::InvalidClaims)?;
    if oidc.is_logout_token() || (oidc.is_id_token() && !issuer.takes_id_tokens) {
        return Err(DenyReason::WrongTokenUse);
    }
    let audience = oidc
        .audiences()
        .find(|audience| issuer.audiences.contains(audience))
        .ok_or(DenyReason::WrongAudience)?;
    let named = [&claims.client_id, &oidc.azp, &oidc.cid, &oidc.appid];
    let client_id = named
        .into_iter()
        .flatten()
        .next()
        .unwrap_or(audience)
        .clone();
    if !issuer.clients.is_empty() && !issuer.clients.contains(&client_id) {
        return Err(DenyReason::WrongAudience);
    }
    let subject = claims.subject;
    let is_client = oidc.is_machine(&subject, &client_id)
        || !oidc.is_person(&subject, &claims.scope, claims.authenticated_at.is_some());
    Ok(VerifiedClaims {
        issuer_id: Arc::clone(&issuer.id),
        issuer_alias: issuer.alias.clone(),
        principal: if is_client {
            Principal::Client
        } else {
            Principal::User
        },
        token_use: Some(if oidc.is_id_token() {
            TokenUse::Id
        } else {
            TokenUse::Access
        }),
        subject,
        client_id,
        username: oidc.preferred_username,
        groups: oidc.groups,
        scope: match oidc.scp {
            Some(OneOrMany::One(scope)) => scope,
            Some(OneOrMany::Many(scopes)) => scopes.join(" "),
            None => claims.scope,
        },
        session: oidc.sid,
        token_id: claims.token_id,
        // A machine does not sign in.
        authenticated_at: claims
            .authenticated_at
            .filter(|_| !is_client)
            .unwrap_or(claims.issued_at),
        issued_at: claims.issued_at,
        expires_at: claims.expires_at,
        usage_plan_key: None,
        payload,
    })
}
