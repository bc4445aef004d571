//! The text forms of hashes: what they say, and whether that may be computed.

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Version};
use aws_lc_rs::{digest, pbkdf2};
use base64::Engine;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Before, Form, Hasher, Order, Salted, Unusable};

/// Costs that take about a second on one of Lambda's virtual processors, and the memory of a small
/// function. docs/migration.md has the measured times.
const MAX_BCRYPT_COST: u32 = 14;
const MAX_ARGON2_KIB: u32 = 131_072;
const MAX_ARGON2_KIB_PASSES: u64 = 1_048_576;
const MAX_ARGON2_LANES: u32 = 16;
const MAX_SCRYPT_BYTES: u64 = 128 * 1024 * 1024;
const MAX_SCRYPT_BLOCKS: u64 = 2_097_152;
const MAX_PBKDF2_ITERATIONS: u32 = 2_000_000;
const MAX_SHA_CRYPT_ROUNDS: u32 = 1_000_000;
const MAX_PHPASS_LOG2: usize = 20;

/// Base64 as hashes have it: padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Reads a hash by what it begins with.
pub(super) fn read(text: &str, allow_weak: bool) -> Result<Form, Unusable> {
    if let Some(rest) = text.strip_prefix('{') {
        ldap(rest, allow_weak)
    } else if let Some(rest) = text.strip_prefix("$wp") {
        bcrypt_form(Before::Hmac384, rest)
    } else if text.starts_with("$2") {
        bcrypt_form(Before::Nothing, text)
    } else if text.starts_with("$argon2") {
        argon2_form(text)
    } else if let Some(rest) = text.strip_prefix("$scrypt$") {
        scrypt_form(rest)
    } else if text.starts_with("$pbkdf2") {
        pbkdf2_form(text)
    } else if text.starts_with("$5$") || text.starts_with("$6$") {
        sha_crypt_form(text)
    } else if let Some(rest) = text
        .strip_prefix("$P$")
        .or_else(|| text.strip_prefix("$H$"))
    {
        phpass_form(rest)
    } else if let Some(rest) = text.strip_prefix("$fbscrypt$") {
        firebase_form(rest)
    } else if text.starts_with('$') || !text.contains('$') {
        aspnet_form(text)
    } else {
        django(text, allow_weak)
    }
}

/// `$2b$12$<salt and hash>`: 2a, 2b, 2x and 2y. 2x is verified as 2y: the old sign error concerned
/// passwords beyond ASCII, whose users have to reset them.
fn bcrypt_form(before: Before, text: &str) -> Result<Form, Unusable> {
    let mut parts = text.split('$').skip(1);
    let (Some("2a" | "2b" | "2x" | "2y"), Some(cost), Some(rest), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Unusable::Corrupt);
    };
    if cost.len() != 2 || rest.len() != 53 {
        return Err(Unusable::Corrupt);
    }
    let cost: u32 = cost.parse().map_err(|_| Unusable::Corrupt)?;
    if cost > MAX_BCRYPT_COST {
        return Err(Unusable::TooCostly);
    }
    let crypt = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    if cost < 4 || !rest.bytes().all(crypt) {
        return Err(Unusable::Corrupt);
    }
    Ok(Form::Bcrypt(before, text.to_owned()))
}

/// `$argon2id$v=19$m=65536,t=3,p=4$<salt>$<hash>`, the PHC string format.
fn argon2_form(text: &str) -> Result<Form, Unusable> {
    let mut parts = text.split('$').skip(1);
    let name = parts.next().unwrap_or_default();
    let algorithm = Algorithm::new(name).map_err(|_| Unusable::Unknown)?;
    let mut next = parts.next().ok_or(Unusable::Corrupt)?;
    let mut version = Version::V0x10;
    if let Some(number) = next.strip_prefix("v=") {
        version = match number {
            "16" => Version::V0x10,
            "19" => Version::V0x13,
            _ => return Err(Unusable::Corrupt),
        };
        next = parts.next().ok_or(Unusable::Corrupt)?;
    }
    let [memory, passes, lanes] = parameters(next, ["m", "t", "p"])?;
    if memory > MAX_ARGON2_KIB
        || lanes > MAX_ARGON2_LANES
        || u64::from(memory) * u64::from(passes) > MAX_ARGON2_KIB_PASSES
    {
        return Err(Unusable::TooCostly);
    }
    let (salt, expected) = salt_and_hash(&mut parts)?;
    let length = expected.len();
    let parameters = argon2::Params::new(memory, passes, lanes, Some(length));
    let argon2 = Argon2::new(
        algorithm,
        version,
        parameters.map_err(|_| Unusable::Corrupt)?,
    );
    let salted = Salted::new(salt, expected, &[16, 20, 24, 28, 32, 48, 64])?;
    Ok(Form::Argon2(Box::new(argon2), salted))
}

/// `ln=16,r=8,p=1$<salt>$<hash>`, the PHC string format.
fn scrypt_form(rest: &str) -> Result<Form, Unusable> {
    let mut parts = rest.split('$');
    let numbers = parts.next().unwrap_or_default();
    let [log_n, r, p] = parameters(numbers, ["ln", "r", "p"])?;
    let (salt, expected) = salt_and_hash(&mut parts)?;
    let parameters = scrypt_parameters(log_n, r, p)?;
    Ok(Form::Scrypt(
        parameters,
        Salted::new(salt, expected, &[32, 64])?,
    ))
}

fn scrypt_parameters(log_n: u32, r: u32, p: u32) -> Result<scrypt::Params, Unusable> {
    let blocks = 1_u64
        .checked_shl(log_n)
        .filter(|_| log_n < 40)
        .and_then(|n| n.checked_mul(u64::from(r)));
    let blocks = blocks.ok_or(Unusable::TooCostly)?;
    let bytes = blocks.checked_mul(128).ok_or(Unusable::TooCostly)?;
    let work = blocks.checked_mul(u64::from(p));
    if bytes > MAX_SCRYPT_BYTES || work.is_none_or(|work| work > MAX_SCRYPT_BLOCKS) {
        return Err(Unusable::TooCostly);
    }
    let log_n = u8::try_from(log_n).map_err(|_| Unusable::TooCostly)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| Unusable::Corrupt)
}

/// `$pbkdf2-sha256$i=600000,l=32$<salt>$<hash>` (PHC), or passlib's `$pbkdf2-sha256$600000$…`.
fn pbkdf2_form(text: &str) -> Result<Form, Unusable> {
    let mut parts = text.split('$').skip(1);
    let name = parts.next().unwrap_or_default();
    let numbers = parts.next().ok_or(Unusable::Corrupt)?;
    let iterations = match numbers.split(',').find_map(|one| one.strip_prefix("i=")) {
        Some(iterations) => iterations,
        None => numbers,
    };
    let (salt, expected) = salt_and_hash(&mut parts)?;
    pbkdf2_of(
        name.trim_start_matches("pbkdf2"),
        iterations,
        salt,
        expected,
    )
}

fn pbkdf2_of(
    prf: &str,
    iterations: &str,
    salt: Vec<u8>,
    expected: Vec<u8>,
) -> Result<Form, Unusable> {
    let (algorithm, length) = match prf {
        "" | "-sha1" | "_sha1" => (pbkdf2::PBKDF2_HMAC_SHA1, 20),
        "-sha256" | "_sha256" => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
        "-sha512" | "_sha512" => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        _ => return Err(Unusable::Unknown),
    };
    let iterations = pbkdf2_iterations(iterations.parse().map_err(|_| Unusable::Corrupt)?)?;
    let salted = Salted::new(salt, expected, &[length])?;
    Ok(Form::Pbkdf2(algorithm, iterations, salted))
}

fn pbkdf2_iterations(iterations: u64) -> Result<NonZeroU32, Unusable> {
    if iterations > u64::from(MAX_PBKDF2_ITERATIONS) {
        return Err(Unusable::TooCostly);
    }
    let iterations = u32::try_from(iterations).ok().and_then(NonZeroU32::new);
    iterations.ok_or(Unusable::Corrupt)
}

/// `$6$rounds=5000$<salt>$<hash>`, SHA-crypt.
fn sha_crypt_form(text: &str) -> Result<Form, Unusable> {
    let mut parts = text.split('$').skip(2).peekable();
    if let Some(rounds) = parts.peek().and_then(|part| part.strip_prefix("rounds=")) {
        let rounds: u64 = rounds.parse().map_err(|_| Unusable::Corrupt)?;
        if rounds > u64::from(MAX_SHA_CRYPT_ROUNDS) {
            return Err(Unusable::TooCostly);
        }
        parts.next();
    }
    let (salt, hash) = (parts.next(), parts.next());
    let length = if text.starts_with("$5$") { 43 } else { 86 };
    let is_whole = hash.is_some_and(|hash| hash.len() == length);
    if salt.is_none_or(str::is_empty) || !is_whole || parts.next().is_some() {
        return Err(Unusable::Corrupt);
    }
    let hash = sha_crypt::PasswordHash::new(text).map_err(|_| Unusable::Corrupt)?;
    Ok(Form::ShaCrypt(hash))
}

/// `$P$<log2 of the rounds><8 of salt><22 of hash>`, phpass, the "portable hashes".
/// Source: Openwall, phpass.
fn phpass_form(rest: &str) -> Result<Form, Unusable> {
    let (log2, rest) = rest.split_at_checked(1).ok_or(Unusable::Corrupt)?;
    let (salt, hash) = rest.split_at_checked(8).ok_or(Unusable::Corrupt)?;
    let log2 = log2.bytes().next().and_then(crypt64_value);
    let log2 = log2.ok_or(Unusable::Corrupt)?;
    if log2 > MAX_PHPASS_LOG2 {
        return Err(Unusable::TooCostly);
    }
    let expected = crypt64_decode(hash).ok_or(Unusable::Corrupt)?;
    if log2 < 7 || hash.len() != 22 {
        return Err(Unusable::Corrupt);
    }
    let salted = Salted::new(salt.as_bytes().to_vec(), expected, &[16])?;
    Ok(Form::Phpass(1 << log2, salted))
}

/// The alphabet of `crypt`, the least significant bits first.
const CRYPT64: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn crypt64_value(byte: u8) -> Option<usize> {
    CRYPT64.iter().position(|known| *known == byte)
}

fn crypt64_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_usize;
        for (at, byte) in group.iter().enumerate() {
            bits |= crypt64_value(*byte)? << (6 * at);
        }
        let whole = group.len() * 6 / 8;
        bytes.extend(bits.to_le_bytes().iter().take(whole));
    }
    Some(bytes)
}

/// `v=1,n=14,r=8,p=1,ss=<salt separator>,sk=<signer key>$<salt>$<hash>`: Firebase's modified scrypt, its
/// project's parameters in the form that Supabase imports them.
/// Source: Firebase, "scrypt" (the README of its command-line tool).
fn firebase_form(rest: &str) -> Result<Form, Unusable> {
    let mut parts = rest.split('$');
    let named = parts.next().unwrap_or_default();
    let value = |name: &str| {
        let mut values = named.split(',').filter_map(|one| one.split_once('='));
        values
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    };
    let number = |name: &str| {
        let value = value(name).and_then(|value| value.parse::<u32>().ok());
        value.ok_or(Unusable::Corrupt)
    };
    let parameters = scrypt_parameters(number("n")?, number("r")?, number("p")?)?;
    let decoded = |name: &str| decode(value(name).ok_or(Unusable::Corrupt)?);
    let signer_key = decoded("sk")?;
    let (mut salt, expected) = salt_and_hash(&mut parts)?;
    if salt.is_empty() || signer_key.is_empty() {
        return Err(Unusable::Corrupt);
    }
    salt.extend(decoded("ss")?);
    let length = signer_key.len();
    Ok(Form::Firebase {
        parameters,
        signer_key,
        salted: Salted::new(salt, expected, &[length])?,
    })
}

/// `{SSHA}<base64 of hash and salt>`, and its like.
/// Source: RFC 2307 section 5.3, and OpenLDAP's `pw-sha2`.
fn ldap(rest: &str, allow_weak: bool) -> Result<Form, Unusable> {
    let (scheme, encoded) = rest.split_once('}').ok_or(Unusable::Unknown)?;
    let (hasher, length) = match scheme.to_ascii_uppercase().as_str() {
        "SSHA" => (Hasher::Aws(&digest::SHA1_FOR_LEGACY_USE_ONLY), 20),
        "SSHA256" => (Hasher::Aws(&digest::SHA256), 32),
        "SSHA512" => (Hasher::Aws(&digest::SHA512), 64),
        "SMD5" if allow_weak => (Hasher::Md5, 16),
        "SMD5" => return Err(Unusable::Weak),
        // Without a salt: nobody's.
        "SHA" | "SHA256" | "SHA512" | "MD5" => return Err(Unusable::Corrupt),
        "CRYPT" => return read(encoded, allow_weak),
        _ => return Err(Unusable::Unknown),
    };
    let bytes = decode(encoded)?;
    let (hash, salt) = bytes.split_at_checked(length).ok_or(Unusable::Corrupt)?;
    let salted = Salted::new(salt.to_vec(), hash.to_vec(), &[length])?;
    Ok(Form::Digest(hasher, Order::SaltLast, salted))
}

/// `<algorithm>$<parameters>$<salt>$<hash>`, Django.
/// Source: Django, "Password management in Django".
fn django(text: &str, allow_weak: bool) -> Result<Form, Unusable> {
    let (name, rest) = text.split_once('$').ok_or(Unusable::Unknown)?;
    let parts: Vec<&str> = rest.split('$').collect();
    match (name, parts.as_slice()) {
        ("bcrypt", _) => bcrypt_form(Before::Nothing, rest),
        ("bcrypt_sha256", _) => bcrypt_form(Before::Sha256Hex, rest),
        ("argon2", _) => argon2_form(&format!("${rest}")),
        ("pbkdf2_sha256" | "pbkdf2_sha1" | "pbkdf2_sha512", [iterations, salt, hash]) => {
            let salt = salt.as_bytes().to_vec();
            pbkdf2_of(
                name.trim_start_matches("pbkdf2"),
                iterations,
                salt,
                decode(hash)?,
            )
        }
        ("scrypt", [n, salt, r, p, hash]) => {
            let number = |text: &str| text.parse::<u32>().map_err(|_| Unusable::TooCostly);
            let n = number(n)?;
            if !n.is_power_of_two() {
                return Err(Unusable::Corrupt);
            }
            let parameters = scrypt_parameters(n.ilog2(), number(r)?, number(p)?)?;
            let salt = salt.as_bytes().to_vec();
            let salted = Salted::new(salt, decode(hash)?, &[64])?;
            Ok(Form::Scrypt(parameters, salted))
        }
        ("md5" | "sha1" | "sha256", _) if !allow_weak => Err(Unusable::Weak),
        ("md5" | "sha1" | "sha256", [salt, hash]) => {
            let (hasher, length) = match name {
                "md5" => (Hasher::Md5, 16),
                "sha1" => (Hasher::Aws(&digest::SHA1_FOR_LEGACY_USE_ONLY), 20),
                _ => (Hasher::Aws(&digest::SHA256), 32),
            };
            let hash = from_hex(hash).ok_or(Unusable::Corrupt)?;
            let salted = Salted::new(salt.as_bytes().to_vec(), hash, &[length])?;
            Ok(Form::Digest(hasher, Order::SaltFirst, salted))
        }
        ("scrypt" | "pbkdf2_sha256" | "pbkdf2_sha1" | "md5" | "sha1", _) => Err(Unusable::Corrupt),
        _ => Err(Unusable::Unknown),
    }
}

/// Base64 of a marker and what follows: ASP.NET Core Identity, version 2 and 3.
/// Source: `PasswordHasher.cs` of aspnetcore.
fn aspnet_form(text: &str) -> Result<Form, Unusable> {
    let bytes = decode(text).map_err(|_| Unusable::Unknown)?;
    let (marker, rest) = bytes.split_first().ok_or(Unusable::Unknown)?;
    match marker {
        0 => {
            let (salt, hash) = rest.split_at_checked(16).ok_or(Unusable::Corrupt)?;
            let salted = Salted::new(salt.to_vec(), hash.to_vec(), &[32])?;
            let iterations = pbkdf2_iterations(1_000)?;
            Ok(Form::Pbkdf2(pbkdf2::PBKDF2_HMAC_SHA1, iterations, salted))
        }
        1 => {
            let mut words = rest.chunks_exact(4).map(|word| {
                let word: [u8; 4] = word.try_into().unwrap_or_default();
                u32::from_be_bytes(word)
            });
            let (Some(prf), Some(iterations), Some(salt_length)) =
                (words.next(), words.next(), words.next())
            else {
                return Err(Unusable::Corrupt);
            };
            let algorithm = match prf {
                0 => pbkdf2::PBKDF2_HMAC_SHA1,
                1 => pbkdf2::PBKDF2_HMAC_SHA256,
                2 => pbkdf2::PBKDF2_HMAC_SHA512,
                _ => return Err(Unusable::Corrupt),
            };
            let iterations = pbkdf2_iterations(iterations.into())?;
            let salt_length = usize::try_from(salt_length).map_err(|_| Unusable::Corrupt)?;
            let rest = rest.get(12..).ok_or(Unusable::Corrupt)?;
            let (salt, hash) = rest
                .split_at_checked(salt_length)
                .ok_or(Unusable::Corrupt)?;
            let salted = Salted::new(salt.to_vec(), hash.to_vec(), &[32])?;
            Ok(Form::Pbkdf2(algorithm, iterations, salted))
        }
        _ => Err(Unusable::Unknown),
    }
}

/// The numbers of `m=1,t=2,p=3`, by name, each exactly once. One that is too large for 32 bits is too
/// costly, whatever it counts.
fn parameters<const N: usize>(text: &str, names: [&str; N]) -> Result<[u32; N], Unusable> {
    let mut found = [None; N];
    for one in text.split(',') {
        let (name, value) = one.split_once('=').ok_or(Unusable::Corrupt)?;
        let at = names.iter().position(|known| *known == name);
        let slot = at.and_then(|at| found.get_mut(at));
        let slot = slot.ok_or(Unusable::Corrupt)?;
        if !value.bytes().all(|byte| byte.is_ascii_digit()) || slot.is_some() {
            return Err(Unusable::Corrupt);
        }
        *slot = Some(value.parse().map_err(|_| Unusable::TooCostly)?);
    }
    let mut numbers = [0; N];
    for (number, found) in numbers.iter_mut().zip(found) {
        *number = found.ok_or(Unusable::Corrupt)?;
    }
    Ok(numbers)
}

/// The last two parts, and nothing after them.
fn salt_and_hash<'a>(
    parts: &mut impl Iterator<Item = &'a str>,
) -> Result<(Vec<u8>, Vec<u8>), Unusable> {
    let (Some(salt), Some(hash), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Unusable::Corrupt);
    };
    Ok((decode(salt)?, decode(hash)?))
}

/// Base64, also passlib's with `.` for `+`.
fn decode(text: &str) -> Result<Vec<u8>, Unusable> {
    let text = text.replace('.', "+");
    BASE64.decode(text).map_err(|_| Unusable::Corrupt)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect()
}
