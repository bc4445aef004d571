//! API keys: a second credential, for callers that cannot sign in.
//!
//! A key is `gh_<id>_<secret>`. The id, 24 hexadecimal digits, names its row; of the secret, 32
//! random bytes in base64url, only a salted hash is stored. The hash is one round of SHA-256: slow
//! hashes protect guessable passwords, and 256 random bits cannot be guessed.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::claims::{MAX_ID_BYTES, Principal, VerifiedClaims};
use crate::hex;
use crate::reason::DenyReason;
use crate::time::UnixSeconds;

/// The `client_id` of every API key: revoking this client revokes all API keys.
pub const CLIENT_ID: &str = "api-key";
/// Number of random bytes that [`NewKey::mint`] takes: id, salt, secret.
pub const RANDOM_BYTES: usize = ID_BYTES + SALT_BYTES + SECRET_BYTES;

const PREFIX: &str = "gh_";
const ID_BYTES: usize = 12;
const SALT_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const HASH_BYTES: usize = 32;

/// An API key from a request, well-formed but not verified. No `Debug`: it is a secret.
#[derive(Clone, Copy)]
pub struct PresentedKey<'a> {
    id: &'a str,
    secret: &'a str,
}

impl<'a> PresentedKey<'a> {
    /// Parses an API key.
    ///
    /// # Errors
    /// [`DenyReason::UnknownApiKey`] for a malformed key; no table is read for it.
    pub fn parse(text: &'a str) -> Result<Self, DenyReason> {
        let (id, secret) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_at_checked(2 * ID_BYTES))
            .and_then(|(id, rest)| Some((id, rest.strip_prefix('_')?)))
            .ok_or(DenyReason::UnknownApiKey)?;
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let decoded = URL_SAFE_NO_PAD.decode(secret);
        if id.bytes().all(hexadecimal) && decoded.is_ok_and(|bytes| bytes.len() == SECRET_BYTES) {
            Ok(Self { id, secret })
        } else {
            Err(DenyReason::UnknownApiKey)
        }
    }

    /// The id of the key's row; not secret.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.id
    }
}

/// An API key as its table stores it.
#[derive(Clone)]
pub struct StoredKey {
    /// The owner: a user's `sub`, or any name that the operator chose.
    pub owner: String,
    /// Scopes, separated by spaces as in a token's `scope`.
    pub scope: String,
    /// When the key was created.
    pub created_at: UnixSeconds,
    /// When the key expires.
    pub expires_at: UnixSeconds,
    /// The API Gateway key whose usage plan counts its requests.
    pub usage_plan_key: Option<String>,
    /// Random bytes, different for each key.
    pub salt: Vec<u8>,
    /// SHA-256 of the salt, the id and the secret.
    pub hash: Vec<u8>,
}

impl StoredKey {
    /// Accepts the presented key if it matches this one. Its revocations are stored under
    /// `issuer_id`, like its owner's.
    ///
    /// # Errors
    /// [`DenyReason::UnknownApiKey`] for a wrong secret, [`DenyReason::Expired`],
    /// [`DenyReason::UnreadableRevocation`] for a row that Gatehouse did not write.
    pub fn verify(
        self,
        presented: &PresentedKey<'_>,
        issuer_id: &Arc<str>,
        now: UnixSeconds,
    ) -> Result<VerifiedClaims, DenyReason> {
        if self.salt.len() != SALT_BYTES
            || self.hash.len() != HASH_BYTES
            || !(1..=MAX_ID_BYTES).contains(&self.owner.len())
        {
            return Err(DenyReason::UnreadableRevocation);
        }
        let hash = hash(&self.salt, presented.id, presented.secret);
        verify_slices_are_equal(&hash, &self.hash).map_err(|_| DenyReason::UnknownApiKey)?;
        if self.expires_at <= now {
            return Err(DenyReason::Expired);
        }
        Ok(VerifiedClaims {
            issuer_id: Arc::clone(issuer_id),
            issuer_alias: None,
            principal: Principal::ApiKey,
            token_use: None,
            subject: self.owner,
            client_id: CLIENT_ID.to_owned(),
            username: None,
            groups: Vec::new(),
            scope: self.scope,
            session: None,
            token_id: Some(presented.id.to_owned()),
            authenticated_at: self.created_at,
            issued_at: self.created_at,
            expires_at: self.expires_at,
            usage_plan_key: self.usage_plan_key,
            payload: "{}".to_owned(),
        })
    }
}

/// A new API key. Only this value holds its text. No `Debug`: it is a secret.
pub struct NewKey {
    /// The id of its row.
    pub id: String,
    /// The key, as its holder sends it.
    pub text: String,
    /// For [`StoredKey::salt`].
    pub salt: Vec<u8>,
    /// For [`StoredKey::hash`].
    pub hash: Vec<u8>,
}

impl NewKey {
    /// Creates a key from these bytes, which must be random.
    #[must_use]
    pub fn mint(random: &[u8; RANDOM_BYTES]) -> Self {
        let (id, rest) = random.split_at(ID_BYTES);
        let (salt, secret) = rest.split_at(SALT_BYTES);
        let id = hex(id);
        let secret = URL_SAFE_NO_PAD.encode(secret);
        Self {
            text: format!("{PREFIX}{id}_{secret}"),
            salt: salt.to_vec(),
            hash: hash(salt, &id, &secret),
            id,
        }
    }
}

/// The hash covers the id, so a hash that is copied to another row matches no key.
fn hash(salt: &[u8], id: &str, secret: &str) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in [salt, id.as_bytes(), secret.as_bytes()] {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn stored(new: &NewKey) -> StoredKey {
        StoredKey {
            owner: "acme".to_owned(),
            scope: "orders/read".to_owned(),
            created_at: UnixSeconds(NOW.0 - 10),
            expires_at: NOW.plus(10),
            usage_plan_key: None,
            salt: new.salt.clone(),
            hash: new.hash.clone(),
        }
    }

    fn verify(stored: StoredKey, text: &str) -> Result<VerifiedClaims, DenyReason> {
        stored.verify(&PresentedKey::parse(text)?, &Arc::from("pool"), NOW)
    }

    #[test]
    fn a_key_verifies_only_against_its_own_row() {
        let (one, other) = (NewKey::mint(&[7; 60]), NewKey::mint(&[8; 60]));
        let claims = verify(stored(&one), &one.text).unwrap_or_else(|reason| panic!("{reason:?}"));
        assert_eq!((claims.subject(), claims.scope()), ("acme", "orders/read"));
        assert_eq!(claims.token_id(), Some(one.id.as_str()));
        let refused = |stored, text| verify(stored, text).err();
        assert_eq!(
            refused(stored(&other), &one.text),
            Some(DenyReason::UnknownApiKey)
        );
        let same_secret = one.text.replace(&one.id, &other.id);
        assert_eq!(
            refused(stored(&one), &same_secret),
            Some(DenyReason::UnknownApiKey)
        );
        let over = StoredKey {
            expires_at: NOW,
            ..stored(&one)
        };
        assert_eq!(refused(over, &one.text), Some(DenyReason::Expired));
        for (salt, hash, owner) in [
            (vec![], one.hash.clone(), "acme"),
            (one.salt.clone(), vec![], "acme"),
            (one.salt.clone(), one.hash.clone(), ""),
        ] {
            let owner = owner.to_owned();
            let broken = StoredKey {
                salt,
                hash,
                owner,
                ..stored(&one)
            };
            assert_eq!(
                refused(broken, &one.text),
                Some(DenyReason::UnreadableRevocation)
            );
        }
    }

    #[test]
    fn rejects_malformed_keys() {
        let good = NewKey::mint(&[0xA5; 60]).text;
        assert!(PresentedKey::parse(&good).is_ok());
        let bad = [
            String::new(),
            "gh_".to_owned(),
            good.to_uppercase(),
            good.replace("gh_", "gk_"),
            format!("{good}A"),
            format!("{good}="),
            format!(" {good}"),
            format!("{good}\n"),
            good[..good.len() - 1].to_owned(),
            good.replacen('_', "-", 2),
            good.replace('a', "g"),
            format!("gh_{}", "\u{e4}".repeat(40)),
        ];
        for text in bad {
            assert!(PresentedKey::parse(&text).is_err(), "{text}");
        }
    }
}
