//! Parses password hashes of other systems, limits their cost, and verifies passwords.
//!
//! Maintained crates compute the algorithms; this module parses the text forms and refuses excessive costs
//! before computing anything. Passwords are not truncated, trimmed or normalized to another form of Unicode,
//! unless the system that made the hash did so.

mod bounds;
mod braced;
mod crypt;
mod object;
mod separated;
mod text;

use std::num::NonZeroU32;

use ::hmac::{KeyInit, Mac};
use argon2::Argon2;
use auth::{Secret, hex};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha_crypt::{PasswordVerifier, ShaCrypt};
use unicode_normalization::UnicodeNormalization;

/// The bytes of a password that bcrypt hashes.
const BCRYPT_BYTES: usize = 72;
/// The maximum length of a hash, in bytes.
const MAX_HASH_BYTES: usize = 4_096;

/// The result of verifying a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMatch {
    /// The password matches.
    Match,
    /// The first 72 bytes match: the old system ignored the rest. Cognito uses the whole password, so the user
    /// has to choose a new one.
    MatchTruncated,
    /// The password does not match.
    Mismatch,
}

/// Why a hash is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum HashError {
    /// The form is unknown.
    Unknown,
    /// The form is known, but a part is missing, superfluous or invalid.
    Corrupt,
    /// The hash would take more time or memory than allowed.
    TooCostly,
    /// MD5 or one round of SHA, salted, without `ALLOW_WEAK_HASHES`.
    Weak,
    /// A hash without a salt, or the password itself: always refused.
    Unsalted,
}

impl HashError {
    /// The outcome, as in docs/outcomes.md.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "hash_unknown",
            Self::Corrupt => "hash_corrupt",
            Self::TooCostly => "hash_too_costly",
            Self::Weak => "hash_weak",
            Self::Unsalted => "hash_unsalted",
        }
    }
}

/// A parsed hash with its cost within bounds. No `Debug`.
pub struct PasswordHash(Form);

enum Form {
    Bcrypt(String),
    Argon2(Box<Argon2<'static>>, Salted),
    Scrypt(scrypt::Params, Salted),
    /// The header of an encrypted file; its HMAC key is the second half of the derived key.
    ScryptFile(scrypt::Params, Salted),
    Pbkdf2(pbkdf2::Algorithm, NonZeroU32, Salted),
    ShaCrypt {
        rounds: u32,
        hash: sha_crypt::PasswordHash,
    },
    Phpass {
        hasher: Hasher,
        rounds: u32,
        salt: Vec<u8>,
        /// In the alphabet of `crypt`; Drupal truncates it.
        expected: String,
    },
    Firebase {
        parameters: scrypt::Params,
        signer_key: Vec<u8>,
        salted: Salted,
    },
    Digest {
        hasher: Hasher,
        order: Order,
        rounds: u32,
        salted: Salted,
    },
    /// A hash of the password after a conversion by the system.
    Of(Before, Box<Form>),
    /// A form that several systems share: the password may match any of them.
    AnyOf(Vec<Form>),
}

/// A salt and the expected output.
struct Salted {
    salt: Vec<u8>,
    expected: Vec<u8>,
}

/// How a system converts a password before hashing it.
enum Before {
    /// Drupal 7, for hashes of Drupal 6.
    Md5Hex,
    /// Django's `bcrypt_sha256`.
    Sha256Hex,
    /// passlib's first `bcrypt_sha256`.
    Sha256Base64,
    /// passlib's second `bcrypt_sha256`, keyed with the salt's text.
    HmacSha256Base64(String),
    /// `WordPress` 6.8.
    WordPress,
    /// better-auth: Unicode's normalization form NFKC.
    Nfkc,
}

#[derive(Clone, Copy)]
enum Hasher {
    Md5,
    Aws(&'static digest::Algorithm),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    SaltFirst,
    SaltLast,
    /// HMAC of the password with the salt as the key.
    HmacBySalt,
}

impl Salted {
    fn new(salt: Vec<u8>, expected: Vec<u8>, lengths: &[usize]) -> Result<Self, HashError> {
        if salt.is_empty() || !lengths.contains(&expected.len()) {
            return Err(HashError::Corrupt);
        }
        Ok(Self { salt, expected })
    }

    fn fit(&self, found: &[u8]) -> PasswordMatch {
        same(&self.expected, found)
    }
}

fn same(expected: &[u8], found: &[u8]) -> PasswordMatch {
    match constant_time::verify_slices_are_equal(expected, found) {
        Ok(()) => PasswordMatch::Match,
        Err(_) => PasswordMatch::Mismatch,
    }
}

impl PasswordHash {
    /// Parses a hash in the form that its system stores. Surrounding white space, as in a fixed-width column, is
    /// ignored.
    ///
    /// # Errors
    /// [`HashError`].
    pub fn parse(text: &str, allow_weak: bool) -> Result<Self, HashError> {
        let text = text.trim();
        // The other members of an object are arbitrary, such as a label chosen by the user.
        let is_written = text.is_ascii() || object::is_object(text);
        if text.is_empty() || text.len() > MAX_HASH_BYTES || !is_written {
            return Err(HashError::Unknown);
        }
        let form = read(text, allow_weak)?;
        if form.is_weak() && !allow_weak {
            return Err(HashError::Weak);
        }
        Ok(Self(form))
    }

    /// The kind of hash, for reports.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.0.kind()
    }

    /// Checks that verifying this password stays within the limit of costs: some forms hash the whole password in
    /// every round.
    ///
    /// # Errors
    /// [`HashError::TooCostly`].
    pub fn afford(&self, password: &Secret) -> Result<(), HashError> {
        if self.0.hashed_bytes(password.expose().len()) > bounds::MAX_HASHED_BYTES {
            return Err(HashError::TooCostly);
        }
        Ok(())
    }

    /// Verifies `password`. Takes the same time for each result, except that a password which
    /// [`PasswordHash::afford`] refuses is wrong at once.
    #[must_use]
    pub fn verify(&self, password: &Secret) -> PasswordMatch {
        match self.afford(password) {
            Ok(()) => self.0.fit(password.expose().as_bytes()),
            Err(_) => PasswordMatch::Mismatch,
        }
    }
}

/// Parses a hash by its prefix.
fn read(text: &str, allow_weak: bool) -> Result<Form, HashError> {
    if object::is_object(text) {
        object::read(text, allow_weak)
    } else if text.starts_with('{') {
        braced::read(text, allow_weak)
    } else if text.starts_with('$') {
        crypt::read(text)
    } else {
        separated::read(text, allow_weak)
    }
}

impl Form {
    fn kind(&self) -> &'static str {
        match self {
            Self::Bcrypt(..) => "bcrypt",
            Self::Argon2(..) => "argon2",
            Self::Scrypt(..) | Self::ScryptFile(..) => "scrypt",
            Self::Pbkdf2(..) => "pbkdf2",
            Self::ShaCrypt { .. } => "sha_crypt",
            Self::Phpass { .. } => "phpass",
            Self::Firebase { .. } => "firebase_scrypt",
            Self::Digest { rounds: 1, .. } => "salted_digest",
            Self::Digest { .. } => "repeated_digest",
            Self::Of(_, form) => form.kind(),
            Self::AnyOf(forms) => forms.first().map_or("none", Self::kind),
        }
    }

    /// Whether this is a plain digest repeated a few times. phpass and PBKDF2 count as strong with any rounds.
    fn is_weak(&self) -> bool {
        match self {
            Self::Digest { rounds, .. } => *rounds < bounds::MIN_ROUNDS,
            Self::Of(_, form) => form.is_weak(),
            Self::AnyOf(forms) => forms.iter().any(Self::is_weak),
            Self::Bcrypt(..)
            | Self::Argon2(..)
            | Self::Scrypt(..)
            | Self::ScryptFile(..)
            | Self::Pbkdf2(..)
            | Self::ShaCrypt { .. }
            | Self::Phpass { .. }
            | Self::Firebase { .. } => false,
        }
    }

    /// The bytes that are hashed in all rounds which hash the password again, with 64 more for each round.
    fn hashed_bytes(&self, password_bytes: usize) -> u64 {
        let in_rounds = |rounds: u32, bytes: usize| {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            u64::from(rounds).saturating_mul(bytes.saturating_add(64))
        };
        match self {
            Self::ShaCrypt { rounds, .. } | Self::Phpass { rounds, .. } => {
                in_rounds(*rounds, password_bytes)
            }
            Self::Digest { rounds, .. } => in_rounds(*rounds, 0),
            Self::Of(Before::Md5Hex, form) => form.hashed_bytes(32),
            Self::Of(_, form) => form.hashed_bytes(password_bytes),
            Self::AnyOf(forms) => {
                let all = forms.iter().map(|form| form.hashed_bytes(password_bytes));
                all.fold(0, u64::saturating_add)
            }
            Self::Bcrypt(..)
            | Self::Argon2(..)
            | Self::Scrypt(..)
            | Self::ScryptFile(..)
            | Self::Pbkdf2(..)
            | Self::Firebase { .. } => 0,
        }
    }

    fn fit(&self, password: &[u8]) -> PasswordMatch {
        // HMAC pads a short key with zeros (RFC 2104), so it ignores zeros at the end of a password. They make
        // a different password all the same.
        let is_hmac_key = matches!(
            self,
            Self::Scrypt(..) | Self::ScryptFile(..) | Self::Pbkdf2(..) | Self::Firebase { .. }
        );
        let fit = self.computed(password);
        if is_hmac_key && password.ends_with(&[0]) {
            PasswordMatch::Mismatch
        } else {
            fit
        }
    }

    fn computed(&self, password: &[u8]) -> PasswordMatch {
        match self {
            Self::Bcrypt(hash) => match bcrypt::verify(password, hash) {
                Ok(true) if password.len() > BCRYPT_BYTES => PasswordMatch::MatchTruncated,
                Ok(true) => PasswordMatch::Match,
                Ok(false) | Err(_) => PasswordMatch::Mismatch,
            },
            Self::Argon2(argon2, salted) => {
                let mut found = vec![0; salted.expected.len()];
                match argon2.hash_password_into(password, &salted.salt, &mut found) {
                    Ok(()) => salted.fit(&found),
                    Err(_) => PasswordMatch::Mismatch,
                }
            }
            Self::Scrypt(parameters, salted) => {
                let mut found = vec![0; salted.expected.len()];
                match scrypt::scrypt(password, &salted.salt, parameters, &mut found) {
                    Ok(()) => salted.fit(&found),
                    Err(_) => PasswordMatch::Mismatch,
                }
            }
            Self::ScryptFile(parameters, header) => scrypt_file(password, parameters, header),
            Self::Pbkdf2(algorithm, iterations, Salted { salt, expected }) => {
                match pbkdf2::verify(*algorithm, *iterations, salt, password, expected) {
                    Ok(()) => PasswordMatch::Match,
                    Err(_) => PasswordMatch::Mismatch,
                }
            }
            Self::ShaCrypt { hash, .. } => {
                match ShaCrypt::default().verify_password(password, hash) {
                    Ok(()) => PasswordMatch::Match,
                    Err(_) => PasswordMatch::Mismatch,
                }
            }
            Self::Phpass {
                hasher,
                rounds,
                salt,
                expected,
            } => {
                let found = text::crypt64(&phpass(*hasher, password, salt, *rounds));
                let found = found.get(..expected.len()).unwrap_or_default();
                same(expected.as_bytes(), found.as_bytes())
            }
            Self::Firebase {
                parameters,
                signer_key,
                salted,
            } => {
                let found = firebase(password, &salted.salt, parameters, signer_key);
                salted.fit(&found.unwrap_or_default())
            }
            Self::Digest {
                hasher,
                order,
                rounds,
                salted,
            } => {
                let mut found = match order {
                    Order::SaltFirst => hasher.digest(&salted.salt, password),
                    Order::SaltLast => hasher.digest(password, &salted.salt),
                    Order::HmacBySalt => hasher.hmac(&salted.salt, password),
                };
                for _ in 1..*rounds {
                    found = hasher.digest(&found, b"");
                }
                salted.fit(&found)
            }
            Self::Of(before, form) => form.fit(before.of(password).as_bytes()),
            Self::AnyOf(forms) => {
                let mut fits = forms.iter().map(|form| form.fit(password));
                fits.find(|fit| *fit != PasswordMatch::Mismatch)
                    .unwrap_or(PasswordMatch::Mismatch)
            }
        }
    }
}

impl Before {
    fn of(&self, password: &[u8]) -> zeroize::Zeroizing<String> {
        let text = match self {
            Self::Md5Hex => hex(&Md5::digest(password)),
            Self::Sha256Hex => hex(digest::digest(&digest::SHA256, password).as_ref()),
            Self::Sha256Base64 => STANDARD.encode(digest::digest(&digest::SHA256, password)),
            Self::HmacSha256Base64(key) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
                STANDARD.encode(hmac::sign(&key, password))
            }
            Self::WordPress => {
                let key = hmac::Key::new(hmac::HMAC_SHA384, b"wp-sha384");
                STANDARD.encode(hmac::sign(&key, trim_like_php(password)))
            }
            Self::Nfkc => String::from_utf8_lossy(password).nfkc().collect(),
        };
        zeroize::Zeroizing::new(text)
    }
}

impl Hasher {
    fn digest(self, first: &[u8], second: &[u8]) -> Vec<u8> {
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

    fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Md5 => {
                let mac = ::hmac::Hmac::<Md5>::new_from_slice(key);
                let mac = mac.map(|mac| mac.chain_update(message).finalize());
                return mac.map(|tag| tag.into_bytes().to_vec()).unwrap_or_default();
            }
            Self::Aws(algorithm) if *algorithm == digest::SHA1_FOR_LEGACY_USE_ONLY => {
                hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY
            }
            Self::Aws(algorithm) if *algorithm == digest::SHA256 => hmac::HMAC_SHA256,
            Self::Aws(algorithm) if *algorithm == digest::SHA384 => hmac::HMAC_SHA384,
            Self::Aws(algorithm) if *algorithm == digest::SHA512 => hmac::HMAC_SHA512,
            Self::Aws(_) => return Vec::new(),
        };
        let tag = hmac::sign(&hmac::Key::new(algorithm, key), message);
        tag.as_ref().to_vec()
    }
}

/// PHP's `trim`, which `WordPress` applies before hashing.
fn trim_like_php(password: &[u8]) -> &[u8] {
    let outside = |byte: &u8| !b" \t\n\r\0\x0b".contains(byte);
    let begins = password.iter().position(outside).unwrap_or(password.len());
    let ends = password
        .iter()
        .rposition(outside)
        .map_or(begins, |at| at + 1);
    password.get(begins..ends).unwrap_or_default()
}

fn phpass(hasher: Hasher, password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let mut hash = hasher.digest(salt, password);
    for _ in 0..rounds {
        hash = hasher.digest(&hash, password);
    }
    hash
}

/// The signer key, encrypted with the output of scrypt for the password.
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

/// Verifies the HMAC of the header (parameters, salt and checksum) with the second half of the derived key.
fn scrypt_file(password: &[u8], parameters: &scrypt::Params, header: &Salted) -> PasswordMatch {
    let mut key = [0; 64];
    let salt = header.salt.get(16..48).unwrap_or_default();
    if scrypt::scrypt(password, salt, parameters, &mut key).is_err() {
        return PasswordMatch::Mismatch;
    }
    let (_, signing) = key.split_at(32);
    let signing = hmac::Key::new(hmac::HMAC_SHA256, signing);
    header.fit(hmac::sign(&signing, &header.salt).as_ref())
}
