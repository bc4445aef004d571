//! The context for the backend: the claims that every token has, under names of Gatehouse's own,
//! and further ones as the token has them ([`crate::signed_claims`]).

use std::borrow::Cow;

use auth::{Principal, VerifiedClaims};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub use crate::context_claim::ContextClaim;
use crate::signed_claims::{Member, SignedClaims, UnfitName};

impl ContextClaim {
    fn value(self, claims: &VerifiedClaims) -> Option<ContextValue<'_>> {
        let text = match self {
            Self::AuthTime => return Some(ContextValue::Number(claims.authenticated_at().0)),
            Self::IssuedAt => return Some(ContextValue::Number(claims.issued_at().0)),
            Self::Sub => Some(claims.subject().into()),
            Self::Username => claims.username().map(Cow::from),
            Self::ClientId => Some(claims.client_id().into()),
            Self::Scope => Some(claims.scope().into()),
            Self::Groups if claims.groups().is_empty() => Some("[]".into()),
            Self::Groups => serde_json::to_string(claims.groups()).ok().map(Cow::from),
            Self::TokenUse => Some(claims.token_use().into()),
            Self::Session => claims.session().map(Cow::from),
            Self::Issuer => Some(claims.issuer_id().into()),
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

/// The choice of `CONTEXT_CLAIMS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextClaims {
    pub(crate) own: Vec<ContextClaim>,
    pub(crate) signed: SignedClaims,
}

impl ContextClaims {
    /// The default: all of [`ContextClaim`] except what only the function of the WebSocket routes
    /// needs. None of them requires parsing the token again.
    #[must_use]
    pub fn default_choice() -> Self {
        let mut own = ContextClaim::ALL.to_vec();
        own.retain(|claim| !matches!(claim, ContextClaim::TokenId | ContextClaim::IssuedAt));
        Self {
            own,
            signed: SignedClaims::default(),
        }
    }

    /// The choice by these names.
    ///
    /// # Errors
    /// The unfit names, by their position.
    pub fn of(names: &[String]) -> Result<Self, Vec<(usize, UnfitName)>> {
        let mut choice = Self {
            own: Vec::new(),
            signed: SignedClaims::default(),
        };
        let unfit = names.iter().enumerate().filter_map(|(at, name)| {
            let added = choice.add(name);
            added.err().map(|unfit| (at, unfit))
        });
        let unfit: Vec<_> = unfit.collect();
        if unfit.is_empty() {
            Ok(choice)
        } else {
            Err(unfit)
        }
    }

    fn add(&mut self, name: &str) -> Result<(), UnfitName> {
        let own = ContextClaim::ALL
            .into_iter()
            .find(|claim| claim.as_str() == name);
        match own {
            Some(claim) if self.own.contains(&claim) => Err(UnfitName::Twice),
            Some(claim) => {
                self.own.push(claim);
                Ok(())
            }
            None => self.signed.add(name),
        }
    }
}

/// The members of the context: an absent claim has none. Without a caller, the context is empty.
pub(crate) struct Context<'c> {
    pub(crate) own: &'c [ContextClaim],
    /// Members that are added to the chosen ones.
    pub(crate) required: &'static [ContextClaim],
    pub(crate) claims: Option<&'c VerifiedClaims>,
    pub(crate) signed: Vec<Member<'c>>,
}

impl Serialize for Context<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.claims.into_iter().flat_map(|claims| {
            let required = self.required.iter();
            let added = required.filter(|claim| !self.own.contains(claim));
            let own = self.own.iter().chain(added);
            own.filter_map(|claim| Some((claim.as_str(), claim.value(claims)?)))
        });
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in own {
            map.serialize_entry(key, &value)?;
        }
        for member in &self.signed {
            map.serialize_entry(&member.key, &member.value)?;
        }
        map.end()
    }
}
