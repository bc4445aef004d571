//! Revocations, and whether they apply to a token.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::claims::{Principal, VerifiedClaims};
use crate::reason::DenyReason;
use crate::time::UnixSeconds;

/// Seconds that a revocation is kept after the expiry of the last refresh token that it stops.
pub const MARGIN_SECONDS: u64 = 24 * 60 * 60;

/// All revocations found for one token. They are OR-ed: each one alone refuses the token, and none
/// overrides another (the class of Keycloak's CVE-2026-8922).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The token itself was revoked.
    pub token: bool,
    /// The token's session was revoked.
    pub session: bool,
    /// The user is disabled.
    pub user_disabled: bool,
    /// Revokes what was authenticated up to this time.
    pub user_not_before: Option<Cutoff>,
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
pub struct Cutoff {
    /// Revokes sessions that were authenticated at or before this time.
    pub not_before: UnixSeconds,
    /// The one session that is kept (sign-out of all other sessions).
    pub except_session: Option<String>,
}

impl Marks {
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
        let spared = |cutoff: &Cutoff| {
            cutoff.except_session.is_some() && cutoff.except_session.as_deref() == session
        };
        let rules = [
            (self.unreadable, DenyReason::UnreadableRevocation),
            (self.token, DenyReason::TokenRevoked),
            (self.session, DenyReason::SessionRevoked),
            (self.user_disabled, DenyReason::UserDisabled),
            (
                self.user_not_before.as_ref().is_some_and(|cutoff| {
                    signs_in && since <= cutoff.not_before && !spared(cutoff)
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

/// The partition and sort key of a row in the revocation table (see ARCHITECTURE.md).
///
/// No `Debug`: some issuers' `sub` is an e-mail address.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// `pk`.
    pub partition: String,
    /// `sk`.
    pub sort: String,
}

impl RowKey {
    /// A user: `<issuer-id>#user#<sub>` / `user`.
    #[must_use]
    pub fn user(issuer_id: &str, subject: &str) -> Self {
        Self::of_user(issuer_id, subject, "user".to_owned())
    }

    /// One sign-in of the user: `session#<origin_jti>`.
    #[must_use]
    pub fn session(issuer_id: &str, subject: &str, session: &str) -> Self {
        Self::of_user(issuer_id, subject, format!("session#{}", part(session)))
    }

    /// One token of the user: `token#<jti>`.
    #[must_use]
    pub fn token(issuer_id: &str, subject: &str, token_id: &str) -> Self {
        Self::of_user(issuer_id, subject, format!("token#{}", part(token_id)))
    }

    /// An app client: `<issuer-id>#client#<client_id>` / `client`.
    #[must_use]
    pub fn client(issuer_id: &str, client_id: &str) -> Self {
        Self {
            partition: format!("{}#client#{}", part(issuer_id), part(client_id)),
            sort: "client".to_owned(),
        }
    }

    /// All tokens of an issuer: `<issuer-id>` / `issuer`.
    #[must_use]
    pub fn issuer(issuer_id: &str) -> Self {
        Self {
            partition: part(issuer_id),
            sort: "issuer".to_owned(),
        }
    }

    /// What became of the issuer's groups: `<issuer-id>` / `groups`.
    #[must_use]
    pub fn groups(issuer_id: &str) -> Self {
        Self {
            partition: part(issuer_id),
            sort: "groups".to_owned(),
        }
    }

    /// A call to the issuer that Gatehouse itself made: `<issuer-id>#call#<request-id>` / `call`.
    #[must_use]
    pub fn call(issuer_id: &str, request_id: &str) -> Self {
        Self {
            partition: format!("{}#call#{}", part(issuer_id), part(request_id)),
            sort: "call".to_owned(),
        }
    }

    fn of_user(issuer_id: &str, subject: &str, sort: String) -> Self {
        Self {
            partition: format!("{}#user#{}", part(issuer_id), part(subject)),
            sort,
        }
    }
}

/// A variable part of a key: the value itself if it is unambiguous, otherwise `~` and its SHA-256.
/// Neither form contains a `#`, so no value can forge another row's key.
fn part(value: &str) -> String {
    const MAX_PLAIN_BYTES: usize = 128;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@|+=".contains(&byte);
    if !value.is_empty() && value.len() <= MAX_PLAIN_BYTES && value.bytes().all(plain) {
        value.to_owned()
    } else {
        format!(
            "~{}",
            URL_SAFE_NO_PAD.encode(digest(&SHA256, value.as_bytes()))
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn row_keys_have_the_documented_form() {
        let row = |key: RowKey| format!("{} / {}", key.partition, key.sort);
        let pool = "us-east-1_Ab1";
        assert_eq!(
            row(RowKey::user(pool, "s-1")),
            "us-east-1_Ab1#user#s-1 / user"
        );
        assert_eq!(
            row(RowKey::session(pool, "s-1", "o-1")),
            "us-east-1_Ab1#user#s-1 / session#o-1"
        );
        assert_eq!(
            row(RowKey::token(pool, "s-1", "j-1")),
            "us-east-1_Ab1#user#s-1 / token#j-1"
        );
        assert_eq!(
            row(RowKey::client(pool, "c-1")),
            "us-east-1_Ab1#client#c-1 / client"
        );
        assert_eq!(row(RowKey::issuer(pool)), "us-east-1_Ab1 / issuer");
        assert_eq!(row(RowKey::groups(pool)), "us-east-1_Ab1 / groups");
        assert_eq!(
            row(RowKey::call(pool, "r-1")),
            "us-east-1_Ab1#call#r-1 / call"
        );
    }

    #[test]
    fn no_value_forges_another_rows_key() {
        let long = "x".repeat(2_048);
        let values = [
            "a",
            "a#user",
            "a#user#a",
            "user",
            "#",
            "",
            "~",
            "*",
            "a/b",
            "a|b",
            "a b",
            "ä",
            "a\u{308}",
            "session#a",
            "token#a",
            "client",
            "issuer",
            "\0",
            &long,
            "A",
        ];
        let mut seen = HashSet::new();
        for one in values {
            assert!(seen.insert(RowKey::issuer(one)), "{one}");
            assert!(seen.insert(RowKey::groups(one)), "{one}");
            for other in values {
                assert!(seen.insert(RowKey::user(one, other)), "{one} {other}");
                assert!(seen.insert(RowKey::client(one, other)), "{one} {other}");
                assert!(seen.insert(RowKey::call(one, other)), "{one} {other}");
                assert!(
                    seen.insert(RowKey::session("p", one, other)),
                    "{one} {other}"
                );
                assert!(seen.insert(RowKey::token("p", one, other)), "{one} {other}");
            }
        }
        assert!(
            seen.iter()
                .all(|key| key.partition.len() + key.sort.len() < 600)
        );
    }
}
