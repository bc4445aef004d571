//! Claims of a token ([RFC 7519 section 4]) after its verification.
//!
//! [RFC 7519 section 4]: https://www.rfc-editor.org/rfc/rfc7519#section-4

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use hex::encode as hex;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use crate::refs::UserRef;
use crate::time::UnixSeconds;

/// The longest accepted identifier, in bytes: `sub`, `jti`, `origin_jti`, `client_id`.
pub const MAX_ID_BYTES: usize = 256;
/// Cognito limits names of users and groups to 128 characters, which is at most four times as many
/// bytes in UTF-8.
pub(crate) const MAX_NAME_BYTES: usize = 512;

/// An issuer and a `sub` as 16 hexadecimal digits of their SHA-256, for logs.
#[must_use]
pub fn subject_hash(issuer_id: &str, subject: &str) -> String {
    let mut context = Context::new(&SHA256);
    context.update(issuer_id.as_bytes());
    context.update(b"|");
    context.update(subject.as_bytes());
    let hash = context.finish();
    hex(hash.as_ref().get(..8).unwrap_or_default())
}

/// The kind of a Cognito token (`token_use`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// For APIs; its client is in `client_id`.
    Access,
    /// For the client itself; its client is in `aud`.
    Id,
}

impl TokenUse {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "access" => Some(Self::Access),
            "id" => Some(Self::Id),
            _ => None,
        }
    }

    /// The claim's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Id => "id",
        }
    }
}

/// The kind of caller that a credential identifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user, who signed in and can be signed out.
    User,
    /// An app client on its own behalf (`client_credentials`): no user name, no session.
    Client,
    /// The holder of an API key, whose owner may or may not be a user.
    ApiKey,
}

/// Claims of a token that a configured issuer signed for a configured client, unexpired unless the
/// [`crate::TokenRules`] waived that, or of a valid API key. Only [`crate::Verifier::verify`] and
/// [`crate::api_key::StoredKey::verify`] construct them.
///
/// No `Debug`: user names are often e-mail addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedClaims {
    pub(crate) issuer_id: Arc<str>,
    pub(crate) issuer_alias: Option<Arc<str>>,
    pub(crate) principal: Principal,
    pub(crate) token_use: Option<TokenUse>,
    pub(crate) subject: String,
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) scope: String,
    pub(crate) session: Option<String>,
    pub(crate) token_id: Option<String>,
    pub(crate) authenticated_at: UnixSeconds,
    pub(crate) issued_at: UnixSeconds,
    pub(crate) expires_at: UnixSeconds,
    pub(crate) usage_plan_key: Option<String>,
    /// The signed claims set as text, for claims without a field of their own.
    pub(crate) payload: String,
}

impl VerifiedClaims {
    /// The configured issuer's short name: the user pool's id for Cognito.
    #[must_use]
    pub fn issuer_id(&self) -> &str {
        &self.issuer_id
    }

    /// The alias of an additional trusted issuer; `None` for the user pool's own.
    #[must_use]
    pub fn issuer_alias(&self) -> Option<&str> {
        self.issuer_alias.as_deref()
    }

    /// The issuer's name in Cedar policies: the alias, or the user pool's id.
    #[must_use]
    pub fn issuer_name(&self) -> &str {
        self.issuer_alias().unwrap_or(&self.issuer_id)
    }

    /// The kind of caller.
    #[must_use]
    pub fn principal(&self) -> Principal {
        self.principal
    }

    /// `token_use`: `access` or `id`; `api_key` for an API key.
    #[must_use]
    pub fn token_use(&self) -> &'static str {
        self.token_use.map_or("api_key", TokenUse::as_str)
    }

    /// `sub`, the stable id: unlike a user name, it cannot be reused after a deletion. For an API
    /// key, its owner.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The token's user, for revocations.
    #[must_use]
    pub fn user_ref(&self) -> UserRef<'_> {
        UserRef {
            issuer: &self.issuer_id,
            subject: &self.subject,
        }
    }

    /// The issuer and `sub` as 16 hexadecimal digits of their SHA-256, for logs.
    #[must_use]
    pub fn subject_hash(&self) -> String {
        subject_hash(&self.issuer_id, &self.subject)
    }

    /// `client_id` of an access token, `aud` of an ID token.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// `username` or `cognito:username`; `None` for a machine.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// `cognito:groups`, as they were when the token was issued. An empty name is no group: a header with it alone would
    /// read like one without groups.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The scopes in `scope` ([RFC 6749 section 3.3]).
    ///
    /// [RFC 6749 section 3.3]: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.split(' ').filter(|word| !word.is_empty())
    }

    /// `scope` as it appears in the token.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// `origin_jti`: the sign-in that this token descends from. A refresh keeps it.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// `jti`: the id of this token. For an API key, its id.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// `auth_time`: when the user authenticated. A refresh keeps it. For a machine, `iat`.
    #[must_use]
    pub fn authenticated_at(&self) -> UnixSeconds {
        self.authenticated_at
    }

    /// `iat`.
    #[must_use]
    pub fn issued_at(&self) -> UnixSeconds {
        self.issued_at
    }

    /// `exp`.
    #[must_use]
    pub fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }

    /// About how many bytes of memory the claims take, for a cache with a bound.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        /// What an allocator adds to an allocation.
        const OVERHEAD: usize = 16;
        let optional = [&self.username, &self.session, &self.token_id];
        let optional = optional.into_iter().flatten();
        let optional = optional.chain(&self.usage_plan_key);
        let texts = [&self.subject, &self.client_id, &self.scope, &self.payload];
        let texts = texts.into_iter().chain(optional).chain(&self.groups);
        let texts: usize = texts.map(|text| text.capacity() + OVERHEAD).sum();
        let groups = self.groups.capacity() * size_of::<String>();
        size_of::<Self>() + groups + texts
    }

    /// The API Gateway key whose usage plan counts an API key's requests.
    #[must_use]
    pub fn usage_plan_key(&self) -> Option<&str> {
        self.usage_plan_key.as_deref()
    }

    /// Every claim as the issuer wrote it, by name. Names are unique. Each call parses the claims
    /// again.
    #[must_use]
    pub fn signed_claims(&self) -> BTreeMap<String, &RawValue> {
        serde_json::from_str(&self.payload).unwrap_or_default()
    }

    /// `act` of a delegated token, as the issuer wrote it: who acts for the user ([RFC 8693 section 4.1]). `None` for every
    /// other token; `null` is a value. Each call parses the claims again.
    ///
    /// [RFC 8693 section 4.1]: https://www.rfc-editor.org/rfc/rfc8693#section-4.1
    #[must_use]
    pub fn act(&self) -> Option<&RawValue> {
        #[derive(Deserialize)]
        struct Delegation<'a> {
            #[serde(borrow, default, deserialize_with = "present")]
            act: Option<&'a RawValue>,
        }

        fn present<'de, D: Deserializer<'de>>(claim: D) -> Result<Option<&'de RawValue>, D::Error> {
            Deserialize::deserialize(claim).map(Some)
        }

        let claims: Delegation<'_> = serde_json::from_str(&self.payload).ok()?;
        claims.act
    }

    /// A claim that is a list of strings, such as the `roles` that a pre-token-generation trigger
    /// adds; `None` if the claim is missing or has another type. Each call parses the claims again.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        serde_json::from_str(self.signed_claims().get(name)?.get()).ok()
    }

    /// Every claim that is a string, a number or a boolean, as a string: `email_verified` is `true`
    /// whether the issuer wrote `true` or `"true"`. Each call parses the claims again.
    #[must_use]
    pub fn other_claims(&self) -> BTreeMap<String, String> {
        let claims: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&self.payload).unwrap_or_default();
        claims
            .into_iter()
            .filter_map(|(name, value)| match value {
                serde_json::Value::String(text) => Some((name, text)),
                serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
                    Some((name, value.to_string()))
                }
                serde_json::Value::Null
                | serde_json::Value::Array(_)
                | serde_json::Value::Object(_) => None,
            })
            .collect()
    }
}
