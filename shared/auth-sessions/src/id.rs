//! The id in the cookie, and the key of its row.

use std::fmt;

use auth::{DenyReason, Secret};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

const ID_BYTES: usize = 32;

/// The id of a browser session: 256 random bits as 43 characters of base64url. It is a credential, so `Debug` prints
/// none of it.
#[derive(Clone)]
pub struct SessionId(Secret);

impl SessionId {
    /// A new id.
    ///
    /// # Errors
    /// There are no random bits.
    pub(crate) fn random() -> Result<Self, Unspecified> {
        let mut bytes = Zeroizing::new([0; ID_BYTES]);
        rand::fill(bytes.as_mut_slice())?;
        Ok(Self(Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }

    /// The id in a cookie. Each id has one spelling, the canonical one of RFC 4648 section 3.5.
    ///
    /// # Errors
    /// [`DenyReason::UnknownSession`] for any other text; no store is read for it.
    pub fn parse(text: &str) -> Result<Self, DenyReason> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new);
        if bytes.is_ok_and(|bytes| bytes.len() == ID_BYTES) {
            Ok(Self(Secret::new(text.to_owned())))
        } else {
            Err(DenyReason::UnknownSession)
        }
    }

    /// The text for the cookie.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The key of the session's row.
    #[must_use]
    pub fn row_key(&self) -> RowKey {
        let hash = digest(&SHA256, self.expose().as_bytes());
        RowKey(URL_SAFE_NO_PAD.encode(hash))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId")
    }
}

/// The SHA-256 of a [`SessionId`]'s text, in base64url: the key of its row. One round is enough, because 256 random bits
/// cannot be guessed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RowKey(String);

impl RowKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_hash_of_the_text() {
        // printf %s AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8 | openssl dgst -sha256 -binary | base64
        let id = SessionId::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").unwrap();
        let expected = "6oZqdX5MOLq_qBJ8vppAnT4fk6AP8UiP9zX8-Rev_9A";
        assert_eq!(id.row_key().as_str(), expected);
        assert_eq!(format!("{id:?} {:?}", id.row_key()), "SessionId RowKey");
    }

    #[test]
    fn every_new_id_is_another_one() {
        let (one, other) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose().len(), 43);
        let again = SessionId::parse(one.expose()).unwrap();
        assert_eq!(again.row_key(), one.row_key());
    }

    #[test]
    fn an_id_has_one_spelling() {
        let good = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let bad = [
            String::new(),
            good.get(1..).unwrap().to_owned(),
            format!("{good}A"),
            format!("{good}="),
            format!(" {good}"),
            format!("{good}\n"),
            format!("\"{good}\""),
            // The same bytes, with unused bits set.
            good.replace("Hh8", "Hh9"),
            good.replace('A', "+"),
            good.replace('A', "\u{c4}"),
            "A".repeat(4_096),
        ];
        for text in bad {
            let refused = SessionId::parse(&text).err();
            assert_eq!(refused, Some(DenyReason::UnknownSession), "{text}");
        }
    }
}
