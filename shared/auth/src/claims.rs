//! Claims of a token ([RFC 7519 section 4]), before and after verification.
//!
//! [RFC 7519 section 4]: https://www.rfc-editor.org/rfc/rfc7519#section-4

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{Ignored, Known, Text, UniqueNames, Word};
use crate::refs::UserRef;
use crate::time::{RoundedUp, UnixSeconds};
use hex::encode as hex;

/// The longest accepted identifier, in bytes: `sub`, `jti`, `origin_jti`, `client_id`.
pub const MAX_ID_BYTES: usize = 256;
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

/// Cognito limits names of users and groups to 128 characters, which is at most four times as many
/// bytes in UTF-8.
const MAX_NAME_BYTES: usize = 512;
/// The longest token of any deployment: API Gateway accepts 10,240 bytes of headers in total.
pub(crate) const LARGEST_TOKEN_BYTES: usize = 10_240;
/// Longest `scope` claim, in bytes. The token's own size limits it as well.
const MAX_SCOPE_BYTES: usize = LARGEST_TOKEN_BYTES;
const MAX_ISSUER_BYTES: usize = 512;

/// The kind of a Cognito token (`token_use`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// For APIs; its client is in `client_id`.
    Access,
    /// For the client itself; its client is in `aud`.
    Id,
}

impl TokenUse {
    fn from_name(name: &str) -> Option<Self> {
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
#[derive(Clone)]
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

    /// `cognito:groups`, as they were when the token was issued.
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

/// The claims that a decision may use, well-typed but not verified. Members that are not listed are
/// ignored; a listed member of the wrong type refuses the whole token.
pub(crate) struct UnverifiedClaims {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// `None`: absent, or another value.
    pub(crate) token_use: Option<TokenUse>,
    pub(crate) client_id: Option<String>,
    pub(crate) audience: Audience,
    pub(crate) username: Option<String>,
    pub(crate) cognito_username: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) scope: String,
    pub(crate) session: Option<String>,
    pub(crate) token_id: Option<String>,
    pub(crate) expires_at: UnixSeconds,
    pub(crate) issued_at: UnixSeconds,
    pub(crate) not_before: Option<UnixSeconds>,
    pub(crate) authenticated_at: Option<UnixSeconds>,
    pub(crate) delegated: bool,
}

/// `aud` ([RFC 7519 section 4.1.3]).
///
/// [RFC 7519 section 4.1.3]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3
#[derive(Default)]
pub(crate) enum Audience {
    #[default]
    Absent,
    One(String),
    /// Well-formed, but Cognito never issues it.
    Many,
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AudienceVisitor;

        impl<'de> Visitor<'de> for AudienceVisitor {
            type Value = Audience;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an audience or a list of audiences")
            }

            fn visit_str<E: Error>(self, one: &str) -> Result<Audience, E> {
                Ok(Audience::One(one.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Audience, A::Error> {
                while seq.next_element::<String>()?.is_some() {}
                Ok(Audience::Many)
            }
        }

        deserializer.deserialize_any(AudienceVisitor)
    }
}

#[derive(Clone, Copy)]
enum ClaimName {
    Iss,
    Sub,
    TokenUse,
    ClientId,
    Aud,
    Username,
    CognitoUsername,
    Groups,
    Scope,
    OriginJti,
    Jti,
    Exp,
    Iat,
    Nbf,
    AuthTime,
    Act,
    Ignored,
}

impl Known for ClaimName {
    fn of(name: &str) -> Self {
        match name {
            "iss" => Self::Iss,
            "sub" => Self::Sub,
            "token_use" => Self::TokenUse,
            "client_id" => Self::ClientId,
            "aud" => Self::Aud,
            "username" => Self::Username,
            "cognito:username" => Self::CognitoUsername,
            "cognito:groups" => Self::Groups,
            "scope" => Self::Scope,
            "origin_jti" => Self::OriginJti,
            "jti" => Self::Jti,
            "exp" => Self::Exp,
            "iat" => Self::Iat,
            "nbf" => Self::Nbf,
            "auth_time" => Self::AuthTime,
            "act" => Self::Act,
            _ => Self::Ignored,
        }
    }

    fn place(&self) -> Option<u32> {
        (!matches!(self, Self::Ignored)).then_some(*self as u32)
    }
}

type Id = Text<MAX_ID_BYTES>;
type PersonName = Text<MAX_NAME_BYTES>;

impl<'de> Deserialize<'de> for UnverifiedClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ClaimsVisitor;

        impl<'de> Visitor<'de> for ClaimsVisitor {
            type Value = UnverifiedClaims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JWT claims set")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<UnverifiedClaims, A::Error> {
                let mut seen = UniqueNames::new();
                let (mut issuer, mut subject, mut token_use) = (None, None, None);
                let (mut client_id, mut audience) = (None, Audience::Absent);
                let (mut username, mut cognito_username) = (None, None);
                let (mut groups, mut scope) = (Vec::new(), String::new());
                let (mut session, mut token_id, mut delegated) = (None, None, false);
                let (mut expires_at, mut issued_at) = (None, None);
                let (mut not_before, mut authenticated_at) = (None, None);
                while let Some(name) = map.next_key_seed(seen.next())? {
                    match name {
                        ClaimName::Iss => {
                            issuer = Some(map.next_value::<Text<MAX_ISSUER_BYTES>>()?.0);
                        }
                        ClaimName::Sub => subject = Some(map.next_value::<Id>()?.0),
                        ClaimName::TokenUse => {
                            token_use = map.next_value_seed(Word(TokenUse::from_name))?
                        }
                        ClaimName::ClientId => client_id = Some(map.next_value::<Id>()?.0),
                        ClaimName::Aud => audience = map.next_value()?,
                        ClaimName::Username => username = Some(map.next_value::<PersonName>()?.0),
                        ClaimName::CognitoUsername => {
                            cognito_username = Some(map.next_value::<PersonName>()?.0);
                        }
                        ClaimName::Groups => {
                            groups = map
                                .next_value::<Vec<Text<MAX_NAME_BYTES>>>()?
                                .into_iter()
                                .map(|group| group.0)
                                .collect();
                        }
                        ClaimName::Scope => scope = map.next_value::<Scope>()?.0,
                        ClaimName::OriginJti => session = Some(map.next_value::<Id>()?.0),
                        ClaimName::Jti => token_id = Some(map.next_value::<Id>()?.0),
                        ClaimName::Exp => expires_at = Some(map.next_value()?),
                        ClaimName::Iat => issued_at = Some(map.next_value()?),
                        ClaimName::Nbf => {
                            let RoundedUp(time) = map.next_value()?;
                            not_before = Some(time);
                        }
                        ClaimName::AuthTime => authenticated_at = Some(map.next_value()?),
                        ClaimName::Act => {
                            map.next_value::<Ignored>()?;
                            delegated = true;
                        }
                        ClaimName::Ignored => {
                            map.next_value::<Ignored>()?;
                        }
                    }
                }
                seen.check()?;
                Ok(UnverifiedClaims {
                    issuer: issuer.ok_or_else(|| A::Error::missing_field("iss"))?,
                    subject: subject.ok_or_else(|| A::Error::missing_field("sub"))?,
                    token_use,
                    client_id,
                    audience,
                    username,
                    cognito_username,
                    groups,
                    scope,
                    session,
                    token_id,
                    expires_at: expires_at.ok_or_else(|| A::Error::missing_field("exp"))?,
                    issued_at: issued_at.ok_or_else(|| A::Error::missing_field("iat"))?,
                    not_before,
                    authenticated_at,
                    delegated,
                })
            }
        }

        deserializer.deserialize_map(ClaimsVisitor)
    }
}

/// `scope`: any text, including the empty one.
struct Scope(String);

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > MAX_SCOPE_BYTES || text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(D::Error::custom("invalid string"));
        }
        Ok(Self(text))
    }
}

/// Claims of other OpenID Connect providers, parsed in a second pass: in a Cognito token, a claim
/// of the same name may have any type.
#[derive(Deserialize)]
pub(crate) struct OidcClaims {
    aud: OneOrMany,
    /// OpenID Connect Core section 2.
    pub(crate) azp: Option<String>,
    /// OpenID Connect Back-Channel Logout section 2.1.
    pub(crate) sid: Option<String>,
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// Replaces `scope`: a list at Okta, a string at Entra ID.
    pub(crate) scp: Option<OneOrMany>,
    pub(crate) preferred_username: Option<String>,
    /// Okta's and Entra ID's (version 1) names for the client.
    pub(crate) cid: Option<String>,
    pub(crate) appid: Option<String>,
    /// Entra ID: `app` or `user`. Not sent by default.
    idtyp: Option<String>,
    /// Auth0: the grant type of the token.
    gty: Option<OneOrMany>,
    /// Keycloak: `Bearer`, `ID`, `Logout`.
    typ: Option<Anything>,
    /// OpenID Connect Core sections 2 and 3.1.3.6: members of an ID token.
    nonce: Option<Anything>,
    at_hash: Option<Anything>,
    c_hash: Option<Anything>,
    /// OpenID Connect Back-Channel Logout section 2.4.
    events: Option<Anything>,
    /// Keycloak: the host of a service account's request.
    #[serde(rename = "clientHost")]
    client_host: Option<Anything>,
    #[serde(rename = "clientAddress")]
    client_address: Option<Anything>,
    /// Present for persons only.
    email: Option<Anything>,
    name: Option<Anything>,
    upn: Option<Anything>,
    uid: Option<Anything>,
    amr: Option<Anything>,
}

/// A claim whose presence matters, with its text if it is a string.
struct Anything(Option<String>);

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(value.as_str().map(str::to_owned)))
    }
}

/// A string or a list of strings.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OidcClaims {
    pub(crate) fn read(payload: &str) -> Option<Self> {
        let claims: Self = serde_json::from_str(payload).ok()?;
        let ids = [
            &claims.azp,
            &claims.sid,
            &claims.preferred_username,
            &claims.cid,
            &claims.appid,
        ];
        let bounded = |text: &String| {
            !text.is_empty() && text.len() <= MAX_ID_BYTES && !text.chars().any(char::is_control)
        };
        let all_bounded = ids.into_iter().flatten().all(bounded)
            && claims
                .groups
                .iter()
                .all(|group| group.len() <= MAX_NAME_BYTES && !group.chars().any(char::is_control));
        all_bounded.then_some(claims)
    }

    /// Whether it is a logout token, or another type that grants no access.
    pub(crate) fn is_logout_token(&self) -> bool {
        self.events.is_some() || self.has_type(&["Logout", "Refresh", "Offline"])
    }

    /// Whether it is an ID token. Some Keycloak versions put a `nonce` into access tokens, but name
    /// the type in `typ`.
    pub(crate) fn is_id_token(&self) -> bool {
        let by_nonce = self.nonce.is_some() && !self.has_type(&["Bearer"]);
        by_nonce || self.at_hash.is_some() || self.c_hash.is_some() || self.has_type(&["ID"])
    }

    fn has_type(&self, names: &[&str]) -> bool {
        let typ = self.typ.as_ref().and_then(|typ| typ.0.as_deref());
        typ.is_some_and(|typ| names.iter().any(|name| typ.eq_ignore_ascii_case(name)))
    }

    /// Whether a client acts on its own behalf: it is its own subject, to which Auth0 adds a
    /// suffix, or a provider-specific claim says so.
    pub(crate) fn is_machine(&self, subject: &str, client_id: &str) -> bool {
        let is_grant = |grant: &String| grant.replace('_', "-") == "client-credentials";
        let by_grant = match &self.gty {
            None => false,
            Some(OneOrMany::One(grant)) => is_grant(grant),
            Some(OneOrMany::Many(grants)) => grants.iter().any(is_grant),
        };
        let own_names = [
            Some(client_id),
            self.azp.as_deref(),
            self.cid.as_deref(),
            self.appid.as_deref(),
        ];
        let is_own = |name: &str| own_names.contains(&Some(name));
        let account = self.preferred_username.as_deref().and_then(|name| {
            let (prefix, rest) = name.split_at_checked("service-account-".len())?;
            prefix
                .eq_ignore_ascii_case("service-account-")
                .then_some(rest)
        });
        let is_account = account.is_some_and(|account| {
            let mut names = own_names.into_iter().flatten();
            names.any(|name| name.eq_ignore_ascii_case(account))
        });
        by_grant
            || is_account
            || is_own(subject)
            || subject.ends_with("@clients")
            || self
                .idtyp
                .as_deref()
                .is_some_and(|kind| kind.eq_ignore_ascii_case("app"))
            || self.client_host.is_some()
            || self.client_address.is_some()
    }

    /// Whether any claim shows that a person signed in. Without one, the token may be a machine's,
    /// from a provider that this crate does not know.
    pub(crate) fn is_person(&self, subject: &str, scope: &str, has_auth_time: bool) -> bool {
        let about_a_person = [&self.email, &self.name, &self.upn, &self.uid, &self.amr];
        has_auth_time
            || self.sid.is_some()
            || self.scp.is_some()
            || self.preferred_username.is_some()
            || self.is_id_token()
            || about_a_person.into_iter().any(Option::is_some)
            || scope.split(' ').any(|word| word == "openid")
            // Auth0's `auth0|...`: the connection through which a user signed in.
            || subject.contains('|')
    }

    pub(crate) fn audiences(&self) -> impl Iterator<Item = &String> {
        match &self.aud {
            OneOrMany::One(audience) => std::slice::from_ref(audience).iter(),
            OneOrMany::Many(audiences) => audiences.iter(),
        }
    }
}
