//! Mints the JWT that a backend receives in place of the caller's credential.

use std::sync::{Arc, PoisonError, RwLock};

use auth::{Principal, UnixSeconds, VerifiedClaims};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Header;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::issuer::is_issuer;
use crate::keys::{CLOCK_SECONDS, RELOAD_SECONDS, RETIRE_SECONDS, SigningKeys};

/// The longest claims set, in bytes of JSON. A token is then shorter than 4,300 bytes: with other identity headers it
/// fits the 8 KB that common servers accept for all headers together.
pub const MAX_CLAIMS_BYTES: usize = 3_000;
/// The default lifetime of a token, in seconds.
pub const DEFAULT_TTL_SECONDS: u64 = 60;
/// The shortest configurable lifetime, in seconds: clocks differ by seconds.
pub const MIN_TTL_SECONDS: u64 = 10;
/// The longest configurable lifetime, in seconds. A token outlives a logout by at most so long.
pub const MAX_TTL_SECONDS: u64 = 300;

const _: () = assert!(
    RETIRE_SECONDS >= RELOAD_SECONDS + MAX_TTL_SECONDS + CLOCK_SECONDS,
    "the last token of a key must expire before the key is withdrawn"
);

/// Before the id of an API key in `sub`.
const API_KEY: &str = "api-key:";
/// 128 random bits in `jti`.
const ID_BYTES: usize = 16;

/// Why a minter could not be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MinterError {
    /// The issuer is not an `https://` address in its normal form: a host, and possibly a port and a path, without user,
    /// query, fragment and trailing slash ([RFC 8414 section 2]).
    ///
    /// [RFC 8414 section 2]: https://www.rfc-editor.org/rfc/rfc8414#section-2
    #[error("is not a plain https:// address without a trailing slash")]
    Issuer,
    /// The lifetime is out of its range.
    #[error("is not a number of seconds from {MIN_TTL_SECONDS} to {MAX_TTL_SECONDS}")]
    Lifetime,
}

/// Why no token was minted. No variant contains a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The audience is empty: no service is configured.
    #[error("no audience")]
    NoAudience,
    /// The caller's own credential has expired, so nothing may be derived from it. A leeway for clocks does not apply.
    #[error("the caller's credential has expired")]
    Expired,
    /// The claims are longer than [`MAX_CLAIMS_BYTES`], or `act` is nested deeper than JSON parsers read. They are never
    /// cut: a backend that sees too few groups may decide wrongly.
    #[error("the claims are longer than {MAX_CLAIMS_BYTES} bytes, or nested too deeply")]
    TooLarge,
    /// No key has been published for long enough to sign: the clock was set back, or the key set is wrong.
    #[error("no key may sign yet")]
    NoSigningKey,
    /// The random number generator or the signature failed.
    #[error("the token could not be signed")]
    Signature,
}

/// The claims set ([RFC 9068 section 2.2]).
///
/// [RFC 9068 section 2.2]: https://www.rfc-editor.org/rfc/rfc9068#section-2.2
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
    client_id: &'a str,
    /// The issuer that authenticated the caller: the user pool's id or an alias. `sub` is unique within it only.
    idp: &'a str,
    /// `user` or `app`, as in Entra ID.
    idtyp: &'static str,
    /// The owner of an API key, which is not its `sub`: the key of a user is not the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    /// Who acts for the user, in the token of the caller ([RFC 8693 section 4.1]).
    ///
    /// [RFC 8693 section 4.1]: https://www.rfc-editor.org/rfc/rfc8693#section-4.1
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    groups: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
}

/// Mints phantom tokens of one issuer. No `Debug`.
pub struct Minter {
    issuer: String,
    ttl_seconds: u64,
    keys: RwLock<Arc<SigningKeys>>,
}

impl Minter {
    /// A minter with these keys. `issuer` becomes `iss`; it must not be an issuer whose tokens the gateway accepts.
    ///
    /// # Errors
    /// [`MinterError`], a text that goes on after the name of the variable.
    pub fn new(issuer: String, keys: SigningKeys, ttl_seconds: u64) -> Result<Self, MinterError> {
        if !is_issuer(&issuer) {
            return Err(MinterError::Issuer);
        }
        if !(MIN_TTL_SECONDS..=MAX_TTL_SECONDS).contains(&ttl_seconds) {
            return Err(MinterError::Lifetime);
        }
        Ok(Self {
            issuer,
            ttl_seconds,
            keys: RwLock::new(Arc::new(keys)),
        })
    }

    /// Whether [`Minter::new`] accepts this issuer, for a configuration that is read before the keys.
    #[must_use]
    pub fn accepts(issuer: &str) -> bool {
        is_issuer(issuer)
    }

    /// Replaces the keys, by those that the secret or the file holds now. To be called at least every
    /// [`RELOAD_SECONDS`]; if they cannot be read, the old ones stay.
    pub fn replace_keys(&self, keys: SigningKeys) {
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(keys);
    }

    /// The public keys: see [`SigningKeys::jwks`].
    #[must_use]
    pub fn jwks(&self) -> String {
        self.keys().jwks().to_owned()
    }

    fn keys(&self) -> Arc<SigningKeys> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }

    /// A token for `audience` with the caller's claims. It expires after the configured seconds, or with the caller's
    /// own credential if that is earlier.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn mint(
        &self,
        claims: &VerifiedClaims,
        audience: &str,
        now: UnixSeconds,
    ) -> Result<String, MintError> {
        if audience.is_empty() {
            return Err(MintError::NoAudience);
        }
        let expires_at = now.plus(self.ttl_seconds).min(claims.expires_at());
        if expires_at <= now {
            return Err(MintError::Expired);
        }
        let keys = self.keys();
        let key = keys.signing_key(now).ok_or(MintError::NoSigningKey)?;
        let mut id = [0; ID_BYTES];
        rand::fill(&mut id).map_err(|_| MintError::Signature)?;
        let is_user = claims.principal() == Principal::User;
        let is_key = claims.principal() == Principal::ApiKey;
        let key_subject =
            is_key.then(|| format!("{API_KEY}{}", claims.token_id().unwrap_or_default()));
        let act = claims.act();
        let claims = Claims {
            iss: &self.issuer,
            sub: key_subject.as_deref().unwrap_or(claims.subject()),
            aud: audience,
            iat: now.0,
            exp: expires_at.0,
            jti: &URL_SAFE_NO_PAD.encode(id),
            client_id: claims.client_id(),
            idp: claims.issuer_name(),
            idtyp: if is_user { "user" } else { "app" },
            owner: is_key.then_some(claims.subject()),
            act,
            scope: claims.scope(),
            groups: claims.groups(),
            preferred_username: claims.username(),
            // A leeway may have admitted a later one, which verifiers refuse.
            auth_time: is_user.then(|| claims.authenticated_at().min(now).0),
            sid: claims.session(),
        };
        let claims = serde_json::value::to_raw_value(&claims).map_err(|_| MintError::Signature)?;
        if claims.get().len() > MAX_CLAIMS_BYTES {
            return Err(MintError::TooLarge);
        }
        // Only `act` may be nested, and a verifier's parser has a limit.
        if act.is_some() && serde_json::from_str::<Value>(claims.get()).is_err() {
            return Err(MintError::TooLarge);
        }
        let header = Header {
            typ: Some("at+jwt".to_owned()),
            kid: Some(key.kid.clone()),
            ..Header::new(key.algorithm.in_header())
        };
        jsonwebtoken::encode(&header, &claims, &key.private).map_err(|_| MintError::Signature)
    }
}
