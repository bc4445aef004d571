//! What the backend learns about the caller: flat text, as API Gateway wants it.

use std::collections::BTreeMap;

use auth::VerifiedClaims;

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
    /// The groups as a JSON list: a group's name may hold any separator.
    Groups,
    /// `access` or `id`.
    TokenUse,
    /// When the user signed in, in seconds since 1970.
    AuthTime,
    /// The sign-in that the token descends from (`origin_jti`); absent where there is none.
    Session,
}

impl ContextClaim {
    /// Every claim, in the order of the default.
    pub const ALL: [Self; 8] = [
        Self::Sub,
        Self::Username,
        Self::ClientId,
        Self::Scope,
        Self::Groups,
        Self::TokenUse,
        Self::AuthTime,
        Self::Session,
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
        }
    }

    fn value(self, claims: &VerifiedClaims) -> Option<String> {
        match self {
            Self::Sub => Some(claims.subject().to_owned()),
            Self::Username => claims.username().map(str::to_owned),
            Self::ClientId => Some(claims.client_id().to_owned()),
            Self::Scope => Some(claims.scope().to_owned()),
            Self::Groups => serde_json::to_string(claims.groups()).ok(),
            Self::TokenUse => Some(claims.token_use().as_str().to_owned()),
            Self::AuthTime => Some(claims.authenticated_at().0.to_string()),
            Self::Session => claims.session().map(str::to_owned),
        }
    }
}

/// The chosen claims as text, in a fixed order. API Gateway refuses nested values and hands
/// numbers on as text, so all of it is text; an absent claim has no member.
#[must_use]
pub fn context(chosen: &[ContextClaim], claims: &VerifiedClaims) -> BTreeMap<&'static str, String> {
    chosen
        .iter()
        .filter_map(|claim| Some((claim.as_str(), claim.value(claims)?)))
        .collect()
}
