//! Why a request was refused: a closed list, safe to log and to count.

/// Declares the list once: variants, words and [`Reason::ALL`] cannot drift apart.
macro_rules! reasons {
    ($($(#[$doc:meta])+ $variant:ident => $word:literal,)+) => {
        /// One refused check. Carries no byte of the token and no text of the client's.
        ///
        /// The list is the contract of the decision log and of `docs/outcomes.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, for documents and tests that must name each.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word that stands in logs, metrics and `docs/outcomes.md`.
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
    /// No credential where this event kind carries one.
    MissingToken => "missing_token",
    /// More than one credential, or one that could be read in two ways.
    AmbiguousToken => "ambiguous_token",
    /// Not a JWS in compact form that a strict reader accepts (RFC 7515 section 3.1).
    MalformedToken => "malformed_token",
    /// The header asks for something that is not supported (`crit`, `zip`, a strange `typ`).
    UnsupportedHeader => "unsupported_header",
    /// `alg` is not one that the issuer signs with (RFC 8725 section 3.1).
    WrongAlgorithm => "wrong_algorithm",
    /// `iss` is not a configured issuer (RFC 8725 section 3.8).
    UnknownIssuer => "unknown_issuer",
    /// The issuer publishes no usable key with this `kid`.
    UnknownKey => "unknown_key",
    /// The signature is not this key's.
    BadSignature => "bad_signature",
    /// A claim is missing, of the wrong type or out of range.
    InvalidClaims => "invalid_claims",
    /// `exp` has passed (RFC 7519 section 4.1.4).
    Expired => "expired",
    /// `nbf`, `iat` or `auth_time` lies in the future.
    NotYetValid => "not_yet_valid",
    /// `token_use` is not the kind that this deployment takes.
    WrongTokenUse => "wrong_token_use",
    /// `client_id` or `aud` is not ours (RFC 8725 section 3.9).
    WrongAudience => "wrong_audience",
    /// A user's token without `origin_jti`: its session could not be ended.
    NoSession => "no_session",
    /// A derived token (`act`, RFC 8693 section 4.1) where none is allowed.
    Delegated => "delegated",
    /// No API key of ours: unknown, or with another secret.
    UnknownApiKey => "unknown_api_key",
    /// This one token was revoked.
    TokenRevoked => "token_revoked",
    /// The session was signed out.
    SessionRevoked => "session_revoked",
    /// Everything of this user before a moment was signed out.
    UserRevoked => "user_revoked",
    /// The user is disabled.
    UserDisabled => "user_disabled",
    /// Issued before the user's groups or sessions changed: a refresh brings a new token.
    Outdated => "outdated",
    /// The app client's tokens before a moment are void.
    ClientRevoked => "client_revoked",
    /// The issuer's tokens before a moment are void.
    IssuerRevoked => "issuer_revoked",
    /// The identity provider that the user signed in by was removed from the user pool.
    ProviderRemoved => "provider_removed",
    /// A row of a table could not be understood; nobody passes on a guess.
    UnreadableMark => "unreadable_mark",
    /// A path that could be read in two ways, where rules look at the path. The caller is known:
    /// a Deny.
    UnclearPath => "unclear_path",
    /// A page of another origin sent it, with the caller's cookie or for a WebSocket. The caller is
    /// known: a Deny.
    ForeignOrigin => "foreign_origin",
}

/// Why a request does not pass: "no", or "don't know".
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The caller is refused: 401.
    #[error("refused: {}", .0.as_str())]
    Unauthorized(Reason),
    /// Something that the answer depends on did not answer: an error, never a verdict.
    #[error(transparent)]
    Unavailable(#[from] crate::ports::Unavailable),
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Unauthorized(reason)
    }
}
