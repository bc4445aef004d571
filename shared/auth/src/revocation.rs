//! Revocations, and whether they apply to a token.

use crate::claims::{Principal, VerifiedClaims};
use crate::reason::DenyReason;
use crate::time::UnixSeconds;

/// Seconds that a revocation is kept after the expiry of the last refresh token that it stops.
pub const REVOCATION_MARGIN_SECONDS: u64 = 24 * 60 * 60;

/// All revocations found for one token. They are OR-ed: each one alone refuses the token, and none
/// overrides another (the class of Keycloak's CVE-2026-8922).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    /// The token itself was revoked.
    pub token: bool,
    /// The token's session was revoked.
    pub session: bool,
    /// The user is disabled.
    pub user_disabled: bool,
    /// Revokes what was authenticated up to this time.
    pub user_not_before: Option<UserRevocation>,
    /// The user's tokens issued up to this time are out of date and must be refreshed.
    pub tokens_not_before: Option<UnixSeconds>,
    /// Revokes what this app client received up to this time.
    pub client_not_before: Option<UnixSeconds>,
    /// Revokes what the issuer issued up to this time.
    pub issuer_not_before: Option<UnixSeconds>,
    /// The identity provider of the sign-in was removed: sign-ins up to this moment are refused.
    pub provider_not_before: Option<UnixSeconds>,
    /// A row has an unknown format.
    pub unreadable: bool,
    /// A row has an expiry that DynamoDB's TTL ignores. Refuses nothing; reported to operators.
    pub odd_expiry: bool,
}

/// A revocation of a user's sessions up to a given time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRevocation {
    /// Revokes sessions that were authenticated at or before this time.
    pub not_before: UnixSeconds,
    /// The one session that is kept (sign-out of all other sessions).
    pub except_session: Option<String>,
}

/// The session that a revocation of a user's sessions keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptSession<'a> {
    /// `origin_jti`.
    pub session: &'a str,
    /// When it was authenticated.
    pub authenticated_at: UnixSeconds,
}

/// All sessions of a user up to a time, but one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherSessions<'a> {
    /// Sessions authenticated up to this time are revoked.
    pub not_before: UnixSeconds,
    /// The session that is kept.
    pub kept: KeptSession<'a>,
    /// The time of the password change, if that is the reason and its caller proved the old
    /// password to our own API: the CloudTrail record of this change, and no other, keeps the
    /// session too.
    pub password_changed_at: Option<UnixSeconds>,
}

/// A password change, here or elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordChange {
    /// The time of the change.
    pub changed_at: UnixSeconds,
    /// The maximal difference, in seconds, between two clocks' times of one change.
    pub tolerance_seconds: u64,
}

/// The actor and the reason of a revocation, and the time until which it is needed.
#[derive(Clone)]
pub struct RevocationContext<'a> {
    /// The reason, for the operator: `logout`, `admin_disable`.
    pub reason: &'a str,
    /// The actor's `sub`.
    pub actor: &'a str,
    /// The time of the revocation.
    pub at: UnixSeconds,
    /// The lifetime in seconds of the session's refresh token: it could bring new tokens for so
    /// long, so the revocation must be kept for so long.
    pub refresh_token_ttl_seconds: u64,
}

impl RevocationContext<'_> {
    /// Seconds for which a revocation is kept after its time: the lifetime of a refresh token and
    /// [`REVOCATION_MARGIN_SECONDS`].
    #[must_use]
    pub fn kept_seconds(&self) -> u64 {
        self.refresh_token_ttl_seconds
            .saturating_add(REVOCATION_MARGIN_SECONDS)
    }
}

impl Revocations {
    /// Refuses a token that any revocation applies to.
    ///
    /// For a user's token, `auth_time` decides, which a refresh keeps; for a machine's token,
    /// `iat`, because it cannot be refreshed. Both compare with "at or before": the order within
    /// one second is unknown, and the user can sign in again.
    ///
    /// A global sign-out does not affect the user's API keys: a key is not a sign-in, and the
    /// revocation would expire before the key. Disabling the owner stops the key.
    ///
    /// # Errors
    /// The revocation that applies.
    pub fn check(&self, claims: &VerifiedClaims) -> Result<(), DenyReason> {
        let since = match claims.principal() {
            Principal::User => claims.authenticated_at(),
            Principal::Client | Principal::ApiKey => claims.issued_at(),
        };
        let signs_in = claims.principal() != Principal::ApiKey;
        self.check_parts(since, claims.issued_at(), claims.session(), signs_in)
    }

    /// Refuses a user's session that any revocation applies to, for callers that no longer hold its
    /// token: the session was authenticated at `since`, and the token was issued at `issued_at`.
    ///
    /// # Errors
    /// The revocation that applies.
    pub fn check_session(
        &self,
        session: Option<&str>,
        since: UnixSeconds,
        issued_at: UnixSeconds,
    ) -> Result<(), DenyReason> {
        self.check_parts(since, issued_at, session, true)
    }

    /// Refuses an API key, created at `since`, that any revocation applies to, for callers that
    /// hold only its id.
    ///
    /// # Errors
    /// The revocation that applies.
    pub fn check_api_key(&self, since: UnixSeconds) -> Result<(), DenyReason> {
        self.check_parts(since, since, None, false)
    }

    fn check_parts(
        &self,
        since: UnixSeconds,
        issued_at: UnixSeconds,
        session: Option<&str>,
        signs_in: bool,
    ) -> Result<(), DenyReason> {
        let covered = |not_before: Option<UnixSeconds>| Some(since) <= not_before;
        let keeps_session = |revocation: &UserRevocation| {
            revocation.except_session.is_some() && revocation.except_session.as_deref() == session
        };
        let rules = [
            (self.unreadable, DenyReason::UnreadableRevocation),
            (self.token, DenyReason::TokenRevoked),
            (self.session, DenyReason::SessionRevoked),
            (self.user_disabled, DenyReason::UserDisabled),
            (
                self.user_not_before.as_ref().is_some_and(|revocation| {
                    signs_in && since <= revocation.not_before && !keeps_session(revocation)
                }),
                DenyReason::UserRevoked,
            ),
            (
                Some(issued_at) <= self.tokens_not_before && signs_in,
                DenyReason::Outdated,
            ),
            (covered(self.client_not_before), DenyReason::ClientRevoked),
            (covered(self.issuer_not_before), DenyReason::IssuerRevoked),
            (
                signs_in && covered(self.provider_not_before),
                DenyReason::ProviderRemoved,
            ),
        ];
        match rules.into_iter().find(|(refuses, _)| *refuses) {
            Some((_, reason)) => Err(reason),
            None => Ok(()),
        }
    }
}
