//! Password hashes of other systems: what they say, what they cost, whether a password fits.
//!
//! Algorithms come from well-kept crates; what is ours is reading the text forms, and refusing a cost
//! before it is paid. Nothing is shortened, trimmed or brought into another form of Unicode, unless the
//! system that made the hash did so itself.

mod forms;

use std::num::NonZeroU32;

use argon2::Argon2;
use auth::{Secret, hex};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha_crypt::{PasswordVerifier, ShaCrypt};

/// bcrypt looks at so many bytes of a password.
const BCRYPT_BYTES: usize = 72;
/// The longest text of a hash.
const MAX_HASH_BYTES: usize = 1_024;

/// Whether a password fits a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is the one.
    Right,
    /// Its first 72 bytes are: the old system looked at no more. Cognito would look at all of it, so
    /// the user has to choose another.
    RightButCut,
    /// It is not.
    Wrong,
}

/// Why a hash can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum Unusable {
    /// A form that is not known here, or none.
    Unknown,
    /// A known form with something missing or too much.
    Corrupt,
    /// It would take longer, or more memory, than there is.
    TooCostly,
    /// Salted MD5 or one round of SHA without `ALLOW_WEAK_HASHES`.
    Weak,
}

impl Unusable {
    /// The word of docs/outcomes.md.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "hash_unknown",
            Self::Corrupt => "hash_corrupt",
            Self::TooCostly => "hash_too_costly",
            Self::Weak => "hash_weak",
        }
    }
}

/// A hash that was read, its cost within bounds. No `Debug`.
pub struct PasswordHash(Form);

enum Form {
    Bcrypt(Before, String),
    Argon2(Box<Argon2<'static>>, Salted),
    Scrypt(scrypt::Params, Salted),
    Pbkdf2(pbkdf2::Algorithm, NonZeroU32, Salted),
    ShaCrypt(sha_crypt::PasswordHash),
    Phpass(u32, Salted),
    Firebase {
        parameters: scrypt::Params,
        signer_key: Vec<u8>,
        salted: Salted,
    },
    Digest(Hasher, Order, Salted),
}

/// A salt, and what must come out.
struct Salted {
    salt: Vec<u8>,
    expected: Vec<u8>,
}

/// What a system does to a password before bcrypt sees it.
enum Before {
    Nothing,
    /// Django's `bcrypt_sha256`.
    Sha256Hex,
    /// `WordPress` 6.8.
    Hmac384,
}

enum Hasher {
    Md5,
    Aws(&'static digest::Algorithm),
}

#[derive(Clone, Copy)]
enum Order {
    SaltFirst,
    SaltLast,
}

impl Salted {
    fn new(salt: Vec<u8>, expected: Vec<u8>, lengths: &[usize]) -> Result<Self, Unusable> {
        if salt.is_empty() || !lengths.contains(&expected.len()) {
            return Err(Unusable::Corrupt);
        }
        Ok(Self { salt, expected })
    }

    fn fit(&self, found: &[u8]) -> Fit {
        match constant_time::verify_slices_are_equal(&self.expected, found) {
            Ok(()) => Fit::Right,
            Err(_) => Fit::Wrong,
        }
    }
}

impl PasswordHash {
    /// Reads a hash in the form that its system stores.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn parse(text: &str, allow_weak: bool) -> Result<Self, Unusable> {
        if text.is_empty() || text.len() > MAX_HASH_BYTES || !text.is_ascii() {
            return Err(Unusable::Unknown);
        }
        forms::read(text, allow_weak).map(Self)
    }

    /// The kind, for reports and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.0 {
            Form::Bcrypt(..) => "bcrypt",
            Form::Argon2(..) => "argon2",
            Form::Scrypt(..) => "scrypt",
            Form::Pbkdf2(..) => "pbkdf2",
            Form::ShaCrypt(..) => "sha_crypt",
            Form::Phpass(..) => "phpass",
            Form::Firebase { .. } => "firebase_scrypt",
            Form::Digest(..) => "salted_digest",
        }
    }

    /// Whether `password` fits. Takes what the hash costs, whatever the answer is.
    #[must_use]
    pub fn verify(&self, password: &Secret) -> Fit {
        let bytes = password.expose().as_bytes();
        let fit = self.fit(bytes);
        // HMAC fills a short key up with zeros (RFC 2104): to it a zero at the end is nothing. To
        // whoever typed it, it is another password.
        let is_hmac = matches!(
            self.0,
            Form::Scrypt(..) | Form::Pbkdf2(..) | Form::Firebase { .. }
        );
        if is_hmac && bytes.ends_with(&[0]) {
            Fit::Wrong
        } else {
            fit
        }
    }

    fn fit(&self, bytes: &[u8]) -> Fit {
        match &self.0 {
            Form::Bcrypt(before, hash) => verify_bcrypt(before, hash, bytes),
            Form::Argon2(argon2, salted) => {
                let mut found = vec![0; salted.expected.len()];
                match argon2.hash_password_into(bytes, &salted.salt, &mut found) {
                    Ok(()) => salted.fit(&found),
                    Err(_) => Fit::Wrong,
                }
            }
            Form::Scrypt(parameters, salted) => {
                let mut found = vec![0; salted.expected.len()];
                match scrypt::scrypt(bytes, &salted.salt, parameters, &mut found) {
                    Ok(()) => salted.fit(&found),
                    Err(_) => Fit::Wrong,
                }
            }
            Form::Pbkdf2(algorithm, iterations, Salted { salt, expected }) => {
                match pbkdf2::verify(*algorithm, *iterations, salt, bytes, expected) {
                    Ok(()) => Fit::Right,
                    Err(_) => Fit::Wrong,
                }
            }
            Form::ShaCrypt(hash) => match ShaCrypt::default().verify_password(bytes, hash) {
                Ok(()) => Fit::Right,
                Err(_) => Fit::Wrong,
            },
            Form::Phpass(rounds, salted) => salted.fit(&phpass(bytes, &salted.salt, *rounds)),
            Form::Firebase {
                parameters,
                signer_key,
                salted,
            } => {
                let found = firebase(bytes, &salted.salt, parameters, signer_key);
                salted.fit(&found.unwrap_or_default())
            }
            Form::Digest(hasher, order, salted) => {
                let (first, second) = match order {
                    Order::SaltFirst => (salted.salt.as_slice(), bytes),
                    Order::SaltLast => (bytes, salted.salt.as_slice()),
                };
                salted.fit(&hasher.digest(first, second))
            }
        }
    }
}

impl Hasher {
    fn digest(&self, first: &[u8], second: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => {
                let mut md5 = Md5::new();
                md5.update(first);
                md5.update(second);
                md5.finalize().to_vec()
            }
            Self::Aws(algorithm) => {
                let mut context = digest::Context::new(algorithm);
                context.update(first);
                context.update(second);
                context.finish().as_ref().to_vec()
            }
        }
    }
}

fn verify_bcrypt(before: &Before, hash: &str, password: &[u8]) -> Fit {
    let hashed;
    let seen = match before {
        Before::Nothing => password,
        Before::Sha256Hex => {
            hashed = hex(digest::digest(&digest::SHA256, password).as_ref()).into_bytes();
            &hashed
        }
        Before::Hmac384 => {
            let key = hmac::Key::new(hmac::HMAC_SHA384, b"wp-sha384");
            let tag = hmac::sign(&key, trim_like_php(password));
            hashed = STANDARD.encode(tag).into_bytes();
            &hashed
        }
    };
    match bcrypt::verify(seen, hash) {
        Ok(true) if seen.len() > BCRYPT_BYTES => Fit::RightButCut,
        Ok(true) => Fit::Right,
        Ok(false) | Err(_) => Fit::Wrong,
    }
}

/// What PHP's `trim` takes away, as `WordPress` does before it hashes.
fn trim_like_php(password: &[u8]) -> &[u8] {
    let outside = |byte: &u8| !b" \t\n\r\0\x0b".contains(byte);
    let begins = password.iter().position(outside).unwrap_or(password.len());
    let ends = password
        .iter()
        .rposition(outside)
        .map_or(begins, |at| at + 1);
    password.get(begins..ends).unwrap_or_default()
}

fn phpass(password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let mut hash = Hasher::Md5.digest(salt, password);
    for _ in 0..rounds {
        hash = Hasher::Md5.digest(&hash, password);
    }
    hash
}

/// The signer key, encrypted by what scrypt makes of the password.
fn firebase(
    password: &[u8],
    salt: &[u8],
    parameters: &scrypt::Params,
    signer_key: &[u8],
) -> Option<Vec<u8>> {
    let mut key = [0; 32];
    scrypt::scrypt(password, salt, parameters, &mut key).ok()?;
    let key = UnboundCipherKey::new(&AES_256, &key).ok()?;
    let key = EncryptingKey::ctr(key).ok()?;
    let mut text = signer_key.to_vec();
    let from_zero = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    key.less_safe_encrypt(&mut text, from_zero).ok()?;
    Some(text)
}
