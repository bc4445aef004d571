//! Reasons for refusals: a closed list, safe for logs and metrics.

use std::fmt;

/// Declares the list once, so that variants, names and [`DenyReason::ALL`] stay consistent.
macro_rules! reasons {
    ($($(#[$doc:meta])+ $variant:ident => $word:literal,)+) => {
        /// The check that failed. Contains no part of the token and no text from the client.
        ///
        /// The list is the contract of the decision log and of `docs/outcomes.md`. It is exhaustive
        /// on purpose: code that maps reasons to responses must not compile until it covers a new
        /// one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DenyReason {
            $($(#[$doc])+ $variant,)+
        }

        impl DenyReason {
            /// Every reason, for documents and tests that must list all.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in logs, metrics and `docs/outcomes.md`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

reasons! {
    /// The event has no credential in the expected place.
    MissingToken => "missing_token",
    /// Several credentials, or an ambiguous one.
    AmbiguousToken => "ambiguous_token",
    /// Not a JWS in compact form that a strict parser accepts ([RFC 7515 section 3.1]).
    ///
    /// [RFC 7515 section 3.1]: https://www.rfc-editor.org/rfc/rfc7515#section-3.1
    MalformedToken => "malformed_token",
    /// The header requires an unsupported feature (`crit`, `zip`, an unknown `typ`).
    UnsupportedHeader => "unsupported_header",
    /// `alg` is not an algorithm of the issuer ([RFC 8725 section 3.1]).
    ///
    /// [RFC 8725 section 3.1]: https://www.rfc-editor.org/rfc/rfc8725#section-3.1
    WrongAlgorithm => "wrong_algorithm",
    /// `iss` is not a configured issuer ([RFC 8725 section 3.8]).
    ///
    /// [RFC 8725 section 3.8]: https://www.rfc-editor.org/rfc/rfc8725#section-3.8
    UnknownIssuer => "unknown_issuer",
    /// The issuer publishes no usable key with this `kid`.
    UnknownKey => "unknown_key",
    /// The signature does not verify with this key.
    BadSignature => "bad_signature",
    /// A claim is missing, has the wrong type or is out of range.
    InvalidClaims => "invalid_claims",
    /// `exp` has passed ([RFC 7519 section 4.1.4]).
    ///
    /// [RFC 7519 section 4.1.4]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4
    Expired => "expired",
    /// `nbf`, `iat` or `auth_time` is in the future.
    NotYetValid => "not_yet_valid",
    /// This deployment does not accept tokens with this `token_use`.
    WrongTokenUse => "wrong_token_use",
    /// `client_id` or `aud` is not a configured one ([RFC 8725 section 3.9]).
    ///
    /// [RFC 8725 section 3.9]: https://www.rfc-editor.org/rfc/rfc8725#section-3.9
    WrongAudience => "wrong_audience",
    /// A user's token without `origin_jti`: its session could not be revoked.
    NoSession => "no_session",
    /// A delegated token (`act`, [RFC 8693 section 4.1]) where delegation is not allowed.
    ///
    /// [RFC 8693 section 4.1]: https://www.rfc-editor.org/rfc/rfc8693#section-4.1
    Delegated => "delegated",
    /// Unknown API key, or a wrong secret.
    UnknownApiKey => "unknown_api_key",
    /// No browser session has this id: it was deleted, or has expired.
    UnknownSession => "unknown_session",
    /// This one token was revoked.
    TokenRevoked => "token_revoked",
    /// The session was revoked.
    SessionRevoked => "session_revoked",
    /// The sign-in precedes a revocation of the user's sessions.
    UserRevoked => "user_revoked",
    /// The user is disabled.
    UserDisabled => "user_disabled",
    /// Issued before the user's groups or sessions changed: the client must refresh.
    Outdated => "outdated",
    /// The app client's tokens up to a given time are revoked.
    ClientRevoked => "client_revoked",
    /// The issuer's tokens up to a given time are revoked.
    IssuerRevoked => "issuer_revoked",
    /// The identity provider of the sign-in was removed from the user pool.
    ProviderRemoved => "provider_removed",
    /// A claim that the backend is to receive exceeds its bounds, or cannot be passed on unchanged.
    UnfitClaim => "unfit_claim",
    /// A row of a table has an unknown format; the check fails closed.
    UnreadableRevocation => "unreadable_mark",
    /// An ambiguous path, where Cedar policies use the path. The caller is known: a Deny.
    UnclearPath => "unclear_path",
    /// The client's address is unknown, where Cedar policies use it. The caller is known: a Deny.
    UnknownAddress => "unknown_address",
    /// A page of another origin sent the request, with the caller's cookie or for a WebSocket. The
    /// caller is known: a Deny.
    ForeignOrigin => "foreign_origin",
}

impl DenyReason {
    /// Whether a revocation covers the credential itself, so that its use is an act for the audit trail. A token of a
    /// user whose groups changed is no sign of a thief.
    #[must_use]
    pub fn is_revocation(self) -> bool {
        use DenyReason::{
            ClientRevoked, IssuerRevoked, SessionRevoked, TokenRevoked, UserDisabled, UserRevoked,
        };
        let revocations = [
            TokenRevoked,
            SessionRevoked,
            UserRevoked,
            UserDisabled,
            ClientRevoked,
            IssuerRevoked,
        ];
        revocations.contains(&self)
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for DenyReason {}
