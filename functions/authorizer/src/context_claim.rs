//! The members of the context under names of Gatehouse's own.

/// A member of the authorizer's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextClaim {
    /// The user's stable id.
    Sub,
    /// The user's name; absent for a machine.
    Username,
    /// The app client.
    ClientId,
    /// The scopes, separated by spaces.
    Scope,
    /// The groups as a JSON list: a group's name may contain any separator.
    Groups,
    /// `access` or `id`.
    TokenUse,
    /// When the user signed in, in seconds since 1970.
    AuthTime,
    /// The sign-in that the token descends from (`origin_jti`); absent if the token has none.
    Session,
    /// The id of an API key; absent for a token.
    KeyId,
    /// The issuer's short name: the user pool's id, or an alias. `sub` is unique only per issuer.
    Issuer,
    /// `jti`, so that revoking a token closes the WebSocket connection that it opened.
    TokenId,
    /// `iat` in seconds since 1970, so that a connection that was opened with an outdated token is closed.
    IssuedAt,
}

impl ContextClaim {
    /// All claims.
    pub const ALL: [Self; 12] = [
        Self::Sub,
        Self::Username,
        Self::ClientId,
        Self::Scope,
        Self::Groups,
        Self::TokenUse,
        Self::AuthTime,
        Self::Session,
        Self::KeyId,
        Self::Issuer,
        Self::TokenId,
        Self::IssuedAt,
    ];

    /// What the function of the WebSocket routes stores about a connection, so that every kind of revocation closes it:
    /// the context of `$connect` has them whatever `CONTEXT_CLAIMS` names.
    pub const OF_CONNECTION: [Self; 8] = [
        Self::Sub,
        Self::ClientId,
        Self::AuthTime,
        Self::Session,
        Self::KeyId,
        Self::Issuer,
        Self::TokenId,
        Self::IssuedAt,
    ];

    /// Its name in `CONTEXT_CLAIMS` and in the context.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sub => "sub",
            Self::Username => "username",
            Self::ClientId => "client_id",
            Self::Scope => "scope",
            Self::Groups => "groups",
            Self::TokenUse => "token_use",
            Self::AuthTime => "auth_time",
            Self::Session => "session",
            Self::KeyId => "key_id",
            Self::Issuer => "issuer",
            Self::TokenId => "token_id",
            Self::IssuedAt => "issued_at",
        }
    }
}
