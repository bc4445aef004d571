//! Forms that begin with a scheme in braces: LDAP servers, Spring Security, Dovecot, Atlassian, FSHP.

use aws_lc_rs::{digest, pbkdf2};

use super::text::{base64, from_hex, is_hex, number};
use super::{Form, HashError, Hasher, Order, Salted, bounds, crypt};

/// Parses a hash by its scheme, which is case-insensitive.
pub(super) fn read(text: &str, allow_weak: bool) -> Result<Form, HashError> {
    let (scheme, rest) = split(text)?;
    if scheme == "ldap" {
        // Spring Security's prefix for the forms of LDAP servers.
        let (scheme, rest) = split(rest)?;
        return one(&scheme, rest, allow_weak);
    }
    one(&scheme, rest, allow_weak)
}

fn split(text: &str) -> Result<(String, &str), HashError> {
    let rest = text.strip_prefix('{').ok_or(HashError::Corrupt)?;
    let (scheme, rest) = rest.split_once('}').ok_or(HashError::Unknown)?;
    Ok((scheme.to_ascii_lowercase(), rest))
}

fn one(scheme: &str, rest: &str, allow_weak: bool) -> Result<Form, HashError> {
    // Spring Security's settings by version: `{scrypt@SpringSecurity_v5_8}`. The hash contains the parameters.
    let (name, _) = scheme.split_once('@').unwrap_or((scheme, ""));
    match name {
        "crypt" | "bcrypt" | "blf-crypt" | "sha256-crypt" | "sha512-crypt" | "scrypt"
        | "argon2" | "argon2i" | "argon2id" => crypt::read(rest),
        "ssha" | "ssha256" | "ssha384" | "ssha512" | "smd5" => {
            salted_digest(name.get(1..).unwrap_or_default(), rest, allow_weak)
        }
        "sha256" if is_hex(rest) && rest.len() == 80 => standard_encoder(rest),
        "md5" | "sha-1" | "sha-256" | "sha-512" if rest.starts_with('{') => {
            message_digest(name, rest, allow_weak)
        }
        "pbkdf2" | "pbkdf2-sha1" | "pbkdf2-sha256" | "pbkdf2-sha512" => pbkdf2_form(name, rest),
        "pkcs5s2" => atlassian(rest),
        "md4" | "md5" | "sha" | "sha1" | "sha256" | "sha384" | "sha512" | "sha-1" | "sha-256"
        | "sha-512" | "noop" | "plain" | "clear" | "cleartext" | "plain-md5" | "ldap-md5" => {
            Err(HashError::Unsalted)
        }
        _ if name.starts_with("fshp") => fshp(name, rest),
        _ => Err(HashError::Unknown),
    }
}

/// Base64 of a hash and its salt.
/// Source: RFC 2307 section 5.3, and OpenLDAP's `pw-sha2`.
fn salted_digest(name: &str, rest: &str, allow_weak: bool) -> Result<Form, HashError> {
    if !allow_weak {
        return Err(HashError::Weak);
    }
    let (hasher, length) = Hasher::of(name)?;
    let bytes = base64(rest)?;
    let (hash, salt) = bytes.split_at_checked(length).ok_or(HashError::Corrupt)?;
    Ok(Form::Digest {
        hasher,
        order: Order::SaltLast,
        rounds: 1,
        salted: Salted::new(salt.to_vec(), hash.to_vec(), &[length])?,
    })
}

/// `{<salt>}<hexadecimal hash>`; the salt is hashed with its braces.
/// Source: Spring Security, `MessageDigestPasswordEncoder`.
fn message_digest(name: &str, rest: &str, allow_weak: bool) -> Result<Form, HashError> {
    if rest.starts_with("{}") {
        return Err(HashError::Unsalted);
    }
    if !allow_weak {
        return Err(HashError::Weak);
    }
    let (hasher, length) = Hasher::of(name)?;
    let end = rest.find('}').ok_or(HashError::Corrupt)?;
    let (salt, hash) = rest.split_at_checked(end + 1).ok_or(HashError::Corrupt)?;
    let hash = from_hex(hash).ok_or(HashError::Corrupt)?;
    Ok(Form::Digest {
        hasher,
        order: Order::SaltLast,
        rounds: 1,
        salted: Salted::new(salt.as_bytes().to_vec(), hash, &[length])?,
    })
}

/// 8 bytes of salt and a digest of 1,024 rounds, in hexadecimal digits.
/// Source: Spring Security, `StandardPasswordEncoder`.
fn standard_encoder(rest: &str) -> Result<Form, HashError> {
    let bytes = from_hex(rest).ok_or(HashError::Corrupt)?;
    let (salt, hash) = bytes.split_at_checked(8).ok_or(HashError::Corrupt)?;
    Ok(Form::Digest {
        hasher: Hasher::Aws(&digest::SHA256),
        order: Order::SaltFirst,
        rounds: 1_024,
        salted: Salted::new(salt.to_vec(), hash.to_vec(), &[32])?,
    })
}

/// `1000$<salt>$<hash>` (OpenLDAP, passlib), `$1$<salt>$<iterations>$<hexadecimal hash>` (Dovecot), or salt
/// and hash concatenated (Spring Security).
fn pbkdf2_form(name: &str, rest: &str) -> Result<Form, HashError> {
    if let Some(rest) = rest.strip_prefix("$1$") {
        let parts: Vec<&str> = rest.split('$').collect();
        let [salt, iterations, hash] = parts.as_slice() else {
            return Err(HashError::Corrupt);
        };
        let hash = from_hex(hash).ok_or(HashError::Corrupt)?;
        let salted = Salted::new(salt.as_bytes().to_vec(), hash, &[20])?;
        return crypt::pbkdf2_of(pbkdf2::PBKDF2_HMAC_SHA1, number(iterations)?, salted);
    }
    if !rest.contains('$') {
        return spring_pbkdf2(rest);
    }
    let parts: Vec<&str> = rest.split('$').collect();
    let [iterations, salt, hash] = parts.as_slice() else {
        return Err(HashError::Corrupt);
    };
    let (_, digest) = name.split_once('-').unwrap_or((name, "sha1"));
    let algorithm = crypt::pbkdf2_algorithm(digest)?;
    let length = bounds::digest_length(algorithm);
    let salted = Salted::new(base64(salt)?, base64(hash)?, &[length])?;
    crypt::pbkdf2_of(algorithm, number(iterations)?, salted)
}

/// In hexadecimal digits or in Base64: 8 bytes of salt and the settings before version 5.8, or 16 bytes and the
/// settings since then.
/// Source: Spring Security, `Pbkdf2PasswordEncoder`.
fn spring_pbkdf2(rest: &str) -> Result<Form, HashError> {
    let bytes = match from_hex(rest) {
        Some(bytes) => bytes,
        None => base64(rest)?,
    };
    let (salt_length, algorithm, iterations) = match bytes.len() {
        40 => (8, pbkdf2::PBKDF2_HMAC_SHA1, 185_000),
        48 => (16, pbkdf2::PBKDF2_HMAC_SHA256, 310_000),
        _ => return Err(HashError::Corrupt),
    };
    let (salt, hash) = bytes
        .split_at_checked(salt_length)
        .ok_or(HashError::Corrupt)?;
    let salted = Salted::new(salt.to_vec(), hash.to_vec(), &[32])?;
    crypt::pbkdf2_of(algorithm, iterations, salted)
}

/// Base64 of 16 bytes of salt and 32 of hash: Jira, Confluence.
/// Source: passlib, `atlassian_pbkdf2_sha1`.
fn atlassian(rest: &str) -> Result<Form, HashError> {
    let bytes = base64(rest)?;
    let (salt, hash) = bytes.split_at_checked(16).ok_or(HashError::Corrupt)?;
    let salted = Salted::new(salt.to_vec(), hash.to_vec(), &[32])?;
    crypt::pbkdf2_of(pbkdf2::PBKDF2_HMAC_SHA1, 10_000, salted)
}

/// `fshp<variant>|<length of the salt>|<rounds>`, then Base64 of the salt and the hash.
/// Source: passlib, `fshp`.
fn fshp(name: &str, rest: &str) -> Result<Form, HashError> {
    let settings: Vec<&str> = name.trim_start_matches("fshp").split('|').collect();
    let [variant, salt_length, rounds] = settings.as_slice() else {
        return Err(HashError::Corrupt);
    };
    let digest = match *variant {
        "0" => "sha1",
        "1" => "sha256",
        "2" => "sha384",
        "3" => "sha512",
        _ => return Err(HashError::Corrupt),
    };
    let (hasher, length) = Hasher::of(digest)?;
    let rounds = bounds::rounds(number(rounds)?)?;
    let bytes = base64(rest)?;
    let at = usize::try_from(number(salt_length)?).map_err(|_| HashError::Corrupt)?;
    let (salt, hash) = bytes.split_at_checked(at).ok_or(HashError::Corrupt)?;
    Ok(Form::Digest {
        hasher,
        order: Order::SaltFirst,
        rounds,
        salted: Salted::new(salt.to_vec(), hash.to_vec(), &[length])?,
    })
}
