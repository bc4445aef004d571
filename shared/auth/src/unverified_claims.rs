//! Claims of a token before its verification, read by the names and types of Cognito.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::claims::{MAX_ID_BYTES, MAX_NAME_BYTES, TokenUse};
use crate::json::{Ignored, Known, Text, UniqueNames, Word};
use crate::time::{RoundedUp, UnixSeconds};

/// The longest token of any deployment: API Gateway accepts 10,240 bytes of headers in total.
pub(crate) const LARGEST_TOKEN_BYTES: usize = 10_240;
const MAX_ISSUER_BYTES: usize = 512;

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

/// `scope`: any text, including the empty one. It is as long as a token may be.
struct Scope(String);

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(D::Error::custom("invalid string"));
        }
        Ok(Self(text))
    }
}
