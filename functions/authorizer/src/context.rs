//! The caller's claims for the backend, as flat strings, which API Gateway requires.

use std::borrow::Cow;

use auth::{Principal, VerifiedClaims};
use serde::{Serialize, Serializer};

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
    /// The claim `roles`, a JSON list; absent if the token has none.
    Roles,
    /// The claim `tenant`; absent if the token has none.
    Tenant,
    /// `jti`, so that revoking a token closes the WebSocket connection that it opened.
    TokenId,
}

impl ContextClaim {
    /// All claims.
    pub const ALL: [Self; 13] = [
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
        Self::Roles,
        Self::Tenant,
        Self::TokenId,
    ];

    /// The default for `CONTEXT_CLAIMS`: all claims except those that require parsing the token
    /// again, and those that only the function of the WebSocket routes needs.
    #[must_use]
    pub fn default_choice() -> Vec<Self> {
        let left_out = [Self::Roles, Self::Tenant, Self::TokenId];
        let mut choice = Self::ALL.to_vec();
        choice.retain(|claim| !left_out.contains(claim));
        choice
    }

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
            Self::Roles => "roles",
            Self::Tenant => "tenant",
            Self::TokenId => "token_id",
        }
    }

    fn value(self, claims: &VerifiedClaims) -> Option<ContextValue<'_>> {
        let text = match self {
            Self::AuthTime => return Some(ContextValue::Number(claims.authenticated_at().0)),
            Self::Sub => Some(claims.subject().into()),
            Self::Username => claims.username().map(Cow::from),
            Self::ClientId => Some(claims.client_id().into()),
            Self::Scope => Some(claims.scope().into()),
            Self::Groups if claims.groups().is_empty() => Some("[]".into()),
            Self::Groups => serde_json::to_string(claims.groups()).ok().map(Cow::from),
            Self::TokenUse => Some(claims.token_use().into()),
            Self::Session => claims.session().map(Cow::from),
            Self::Issuer => Some(claims.issuer_id().into()),
            Self::Roles => claims
                .list("roles")
                .and_then(|roles| serde_json::to_string(&roles).ok())
                .map(Cow::from),
            Self::Tenant => claims.other_claims().remove("tenant").map(Cow::from),
            Self::TokenId => claims.token_id().map(Cow::from),
            Self::KeyId => claims
                .token_id()
                .filter(|_| claims.principal() == Principal::ApiKey)
                .map(Cow::from),
        };
        text.map(ContextValue::Text)
    }
}

/// A value that serializes to a string.
enum ContextValue<'c> {
    Text(Cow<'c, str>),
    Number(u64),
}

impl Serialize for ContextValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.collect_str(number),
        }
    }
}

/// The chosen claims of a caller as strings: API Gateway rejects nested values and passes numbers
/// on as strings. An absent claim has no member. Without a caller, the context is empty.
pub(crate) struct Context<'c> {
    pub(crate) chosen: &'c [ContextClaim],
    pub(crate) claims: Option<&'c VerifiedClaims>,
}

impl Serialize for Context<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = self.claims.into_iter().flat_map(|claims| {
            self.chosen
                .iter()
                .filter_map(|claim| Some((claim.as_str(), claim.value(claims)?)))
        });
        serializer.collect_map(members)
    }
}
