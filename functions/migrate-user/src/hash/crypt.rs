//! Forms that begin with `$`: those of `crypt`, the PHC string format, and their relatives.

use argon2::{Algorithm, Argon2, Version};
use aws_lc_rs::{digest, pbkdf2};

use super::text::{
    base64, crypt64_number, crypt64_value, from_crypt64, hex_or_base64, is_hex, number,
    small_number,
};
use super::{Before, Form, HashError, Hasher, Order, Salted, bounds};

/// The maximum output length, in bytes, of functions with a variable output length.
const MAX_OUTPUT_BYTES: u64 = 512;
/// The maximum length of yescrypt's salt, in bytes.
const MAX_YESCRYPT_SALT_BYTES: usize = 64;

/// Parses a hash by the name between its first two `$`.
pub(super) fn read(text: &str) -> Result<Form, HashError> {
    let rest = text.strip_prefix('$').ok_or(HashError::Unknown)?;
    let (name, rest) = rest.split_once('$').ok_or(HashError::Unknown)?;
    match name {
        "2a" | "2b" | "2x" | "2y" => bcrypt(text),
        "wp" => bcrypt_of(Before::WordPress, &format!("${rest}")),
        "argon2id" | "argon2i" | "argon2d" => argon2(name, rest),
        "scrypt" => scrypt(rest),
        "7" => scrypt_crypt64(rest),
        "s0" => scrypt_packed(rest),
        "y" => yescrypt_form(rest),
        "pbkdf2" => pbkdf2_form("sha1", rest),
        "p5k2" => p5k2(text),
        "5" | "6" => sha_crypt(text),
        "P" | "H" => phpass(Hasher::Md5, rest, 22),
        "S" => phpass(Hasher::Aws(&digest::SHA512), rest, 43),
        "fbscrypt" => fbscrypt(rest),
        "firescrypt" => firescrypt(rest),
        "bcrypt-sha256" => bcrypt_sha256(rest),
        "shiro1" => shiro(rest),
        // Spring Security writes no name; a number with fewer digits is the name of another system.
        _ if is_hex(name) && name.len() > 4 => scrypt_packed(&format!("{name}${rest}")),
        _ => match name.strip_prefix("pbkdf2-") {
            Some(digest) => pbkdf2_form(digest, rest),
            None => Err(HashError::Unknown),
        },
    }
}

/// `$2b$12$<salt and hash>`: 2a, 2b, 2x and 2y. 2x is verified as 2y: the sign-extension bug of 2x
/// only affected passwords with characters beyond ASCII, and their users have to reset them.
pub(super) fn bcrypt(text: &str) -> Result<Form, HashError> {
    let mut parts = text.split('$').skip(1);
    let (Some("2a" | "2b" | "2x" | "2y"), Some(cost), Some(rest), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HashError::Corrupt);
    };
    if cost.len() != 2 || rest.len() != 53 {
        return Err(HashError::Corrupt);
    }
    bounds::bcrypt(small_number(cost)?)?;
    if !rest.bytes().all(|byte| crypt64_value(byte).is_some()) {
        return Err(HashError::Corrupt);
    }
    let (salt, hash) = rest.split_at_checked(22).ok_or(HashError::Corrupt)?;
    let (salt, hash) = (bcrypt_salt(salt)?, without_low_bits(hash, 2)?);
    let start = text.strip_suffix(rest).ok_or(HashError::Corrupt)?;
    Ok(Form::Bcrypt(format!("{start}{salt}{hash}")))
}

/// 22 digits have four bits more than the 16 bytes of a salt, and 31 have two more than the 23 of a hash. Elixir's
/// comeonin and passlib up to 1.5.2 left them as they were; the hash does not depend on them, and the crate refuses
/// them.
/// Source: passlib, issue 25; comeonin, issue 111.
fn bcrypt_salt(salt: &str) -> Result<String, HashError> {
    without_low_bits(salt, 4)
}

/// The text with the lowest bits of its last digit cleared, in the alphabet of bcrypt.
fn without_low_bits(text: &str, bits: usize) -> Result<String, HashError> {
    const DIGITS: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let (last, start) = text.as_bytes().split_last().ok_or(HashError::Corrupt)?;
    let value = DIGITS.iter().position(|digit| digit == last);
    let cleared = value.and_then(|value| DIGITS.get(value >> bits << bits));
    let mut digits = start.to_vec();
    digits.push(*cleared.ok_or(HashError::Corrupt)?);
    String::from_utf8(digits).map_err(|_| HashError::Corrupt)
}

pub(super) fn bcrypt_of(before: Before, text: &str) -> Result<Form, HashError> {
    Ok(Form::Of(before, Box::new(bcrypt(text)?)))
}

/// `2b,12$<salt>$<hash>`, and since passlib 1.7.3 `v=2,t=2b,r=12$<salt>$<hash>`.
/// Source: passlib, `bcrypt_sha256`.
fn bcrypt_sha256(rest: &str) -> Result<Form, HashError> {
    let parts: Vec<&str> = rest.split('$').collect();
    let [settings, salt, hash] = parts.as_slice() else {
        return Err(HashError::Corrupt);
    };
    let settings: Vec<&str> = settings.split(',').collect();
    let (ident, cost, before) = match settings.as_slice() {
        [ident, cost] => (*ident, *cost, Before::Sha256Base64),
        ["v=2", ident, cost] => {
            let ident = ident.strip_prefix("t=").ok_or(HashError::Corrupt)?;
            let cost = cost.strip_prefix("r=").ok_or(HashError::Corrupt)?;
            (ident, cost, Before::HmacSha256Base64(bcrypt_salt(salt)?))
        }
        _ => return Err(HashError::Corrupt),
    };
    let cost = small_number(cost)?;
    bcrypt_of(before, &format!("${ident}${cost:02}${salt}{hash}"))
}

/// `v=19$m=65536,t=3,p=4$<salt>$<hash>`, the PHC string format.
fn argon2(name: &str, rest: &str) -> Result<Form, HashError> {
    let mut parts = rest.split('$');
    let mut next = parts.next().ok_or(HashError::Corrupt)?;
    let mut version = Version::V0x10;
    if let Some(number) = next.strip_prefix("v=") {
        version = match number {
            "16" => Version::V0x10,
            "19" => Version::V0x13,
            _ => return Err(HashError::Corrupt),
        };
        next = parts.next().ok_or(HashError::Corrupt)?;
    }
    let costs = parameters(next, ["m", "t", "p"])?;
    let (salt, expected) = salt_and_hash(&mut parts)?;
    argon2_of(name, version, costs, Salted { salt, expected })
}

pub(super) fn argon2_of(
    name: &str,
    version: Version,
    [memory_kib, passes, lanes]: [u32; 3],
    Salted { salt, expected }: Salted,
) -> Result<Form, HashError> {
    let algorithm = Algorithm::new(name).map_err(|_| HashError::Unknown)?;
    let parameters = bounds::argon2(memory_kib, passes, lanes, expected.len())?;
    let argon2 = Argon2::new(algorithm, version, parameters);
    let salted = Salted::new(salt, expected, &[16, 20, 24, 28, 32, 48, 50, 64])?;
    Ok(Form::Argon2(Box::new(argon2), salted))
}

/// `ln=16,r=8,p=1$<salt>$<hash>`, the PHC string format; `n` is N itself, and so is an `ln` that is
/// too large for a logarithm, which Kratos writes.
fn scrypt(rest: &str) -> Result<Form, HashError> {
    let mut parts = rest.split('$');
    let numbers = parts.next().unwrap_or_default();
    let (salt, expected) = salt_and_hash(&mut parts)?;
    let parameters = if numbers.starts_with("n=") {
        let [n, r, p] = parameters(numbers, ["n", "r", "p"])?;
        bounds::scrypt_by_n(n.into(), r, p)?
    } else {
        let [log_n, r, p] = parameters(numbers, ["ln", "r", "p"])?;
        if log_n >= 1_024 && log_n.is_power_of_two() {
            bounds::scrypt_by_n(log_n.into(), r, p)?
        } else {
            bounds::scrypt(log_n, r, p)?
        }
    };
    let salted = Salted::new(salt, expected, &[32, 64])?;
    Ok(Form::Scrypt(parameters, salted))
}

/// `$7$<log2 of N><five digits of r><five of p><salt>$<hash>`, in the alphabet of `crypt`.
/// Source: passlib, `scrypt`.
fn scrypt_crypt64(rest: &str) -> Result<Form, HashError> {
    let (settings, hash) = rest.split_once('$').ok_or(HashError::Corrupt)?;
    let (numbers, salt) = settings.split_at_checked(11).ok_or(HashError::Corrupt)?;
    let digits = |from: usize, to: usize| {
        let digits = numbers.get(from..to).and_then(crypt64_number);
        digits.ok_or(HashError::Corrupt)
    };
    let parameters = bounds::scrypt(digits(0, 1)?, digits(1, 6)?, digits(6, 11)?)?;
    let expected = from_crypt64(hash).ok_or(HashError::Corrupt)?;
    if hash.len() != 43 {
        return Err(HashError::Corrupt);
    }
    let salted = Salted::new(salt.as_bytes().to_vec(), expected, &[32])?;
    Ok(Form::Scrypt(parameters, salted))
}

/// `<parameters>$<salt>$<hash>`, yescrypt as `crypt_gensalt` configures it: the default flavor, without
/// further rounds (`t`) and a ROM.
/// Source: libxcrypt, `crypt(5)`; Openwall, yescrypt.
fn yescrypt_form(rest: &str) -> Result<Form, HashError> {
    let parts: Vec<&str> = rest.split('$').collect();
    let [numbers, salt, hash] = parts.as_slice() else {
        return Err(HashError::Corrupt);
    };
    let parameters: yescrypt::Params = numbers.parse().map_err(|_| HashError::Corrupt)?;
    let (n, r, p) = (parameters.n(), parameters.r(), parameters.p());
    bounds::scrypt_by_n(n, r, p)?;
    let usual = yescrypt::Params::new(yescrypt::Mode::default(), n, r, p);
    if usual != Ok(parameters) {
        return Err(HashError::TooCostly);
    }
    let (salt, expected) = (from_crypt64(salt), from_crypt64(hash));
    let (Some(salt), Some(expected), 43) = (salt, expected, hash.len()) else {
        return Err(HashError::Corrupt);
    };
    if parameters.to_string() != *numbers || salt.len() > MAX_YESCRYPT_SALT_BYTES {
        return Err(HashError::Corrupt);
    }
    let salted = Salted::new(salt, expected, &[32])?;
    Ok(Form::Yescrypt(parameters, salted))
}

/// `<log2 of N, r, p in one hexadecimal number>$<salt>$<hash>`: Spring Security, lambdaworks.
/// Source: Spring Security, `SCryptPasswordEncoder`.
fn scrypt_packed(rest: &str) -> Result<Form, HashError> {
    let mut parts = rest.split('$');
    let packed = parts.next().unwrap_or_default();
    let packed = u64::from_str_radix(packed, 16).map_err(|_| HashError::Corrupt)?;
    let field = |shift: u32, mask: u64| u32::try_from((packed >> shift) & mask).unwrap_or(u32::MAX);
    let log_n = u32::try_from(packed >> 16).map_err(|_| HashError::TooCostly)?;
    let (salt, expected) = salt_and_hash(&mut parts)?;
    let parameters = bounds::scrypt(log_n, field(8, 0xff), field(0, 0xff))?;
    let salted = Salted::new(salt, expected, &[32, 64])?;
    Ok(Form::Scrypt(parameters, salted))
}

/// `i=600000,l=32$<salt>$<hash>` (PHC), or passlib's `600000$<salt>$<hash>`. A hash in hexadecimal digits
/// is Discourse's; its salt is the text itself.
fn pbkdf2_form(digest: &str, rest: &str) -> Result<Form, HashError> {
    let mut parts = rest.split('$');
    let numbers = parts.next().unwrap_or_default();
    let (Some(salt), Some(hash), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(HashError::Corrupt);
    };
    let algorithm = pbkdf2_algorithm(digest)?;
    let mut iterations = numbers;
    let mut length = u64::try_from(bounds::digest_length(algorithm)).unwrap_or(0);
    if numbers.contains('=') {
        iterations = "";
        for one in numbers.split(',') {
            match one.split_once('=') {
                Some(("i", value)) if iterations.is_empty() => iterations = value,
                Some(("l", value)) => length = number(value)?,
                Some(_) | None => return Err(HashError::Corrupt),
            }
        }
    }
    if !(16..=MAX_OUTPUT_BYTES).contains(&length) {
        return Err(HashError::Corrupt);
    }
    let length = usize::try_from(length).map_err(|_| HashError::Corrupt)?;
    let expected = hex_or_base64(hash, length)?;
    let salt = if is_hex(hash) && hash.len() == 2 * length {
        salt.as_bytes().to_vec()
    } else {
        base64(salt)?
    };
    pbkdf2_of(
        algorithm,
        number(iterations)?,
        Salted::new(salt, expected, &[length])?,
    )
}

/// The algorithm for a digest's name, in the spellings of all systems.
pub(super) fn pbkdf2_algorithm(digest: &str) -> Result<pbkdf2::Algorithm, HashError> {
    match digest.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "sha1" => Ok(pbkdf2::PBKDF2_HMAC_SHA1),
        "sha256" => Ok(pbkdf2::PBKDF2_HMAC_SHA256),
        "sha384" => Ok(pbkdf2::PBKDF2_HMAC_SHA384),
        "sha512" => Ok(pbkdf2::PBKDF2_HMAC_SHA512),
        _ => Err(HashError::Unknown),
    }
}

pub(super) fn pbkdf2_of(
    algorithm: pbkdf2::Algorithm,
    iterations: u64,
    salted: Salted,
) -> Result<Form, HashError> {
    let iterations = bounds::pbkdf2(algorithm, iterations, salted.expected.len())?;
    Ok(Form::Pbkdf2(algorithm, iterations, salted))
}

/// `$p5k2$<hexadecimal iterations>$<salt>$<hash>`: Dwayne Litzenberger's, whose salt is the text up to the
/// end of the salt, and Cryptacular's, in URL-safe Base64.
/// Source: passlib, `dlitz_pbkdf2_sha1` and `cta_pbkdf2_sha1`.
fn p5k2(text: &str) -> Result<Form, HashError> {
    let parts: Vec<&str> = text.split('$').skip(2).collect();
    let [iterations, salt, hash] = parts.as_slice() else {
        return Err(HashError::Corrupt);
    };
    let iterations = match *iterations {
        "" => 400,
        digits => u64::from_str_radix(digits, 16).map_err(|_| HashError::TooCostly)?,
    };
    let expected = base64(hash)?;
    let salt = match expected.len() {
        24 if !salt.is_empty() => {
            let (settings, _) = text.rsplit_once('$').ok_or(HashError::Corrupt)?;
            settings.as_bytes().to_vec()
        }
        _ => base64(salt)?,
    };
    let salted = Salted::new(salt, expected, &[20, 24])?;
    pbkdf2_of(pbkdf2::PBKDF2_HMAC_SHA1, iterations, salted)
}

/// `$6$rounds=5000$<salt>$<hash>`, SHA-crypt.
fn sha_crypt(text: &str) -> Result<Form, HashError> {
    let mut parts = text.split('$').skip(2).peekable();
    let mut rounds = 5_000;
    if let Some(digits) = parts.peek().and_then(|part| part.strip_prefix("rounds=")) {
        rounds = number(digits)?;
        parts.next();
    }
    // SHA-crypt uses at least 1,000 rounds.
    let rounds = bounds::rounds(rounds)?.max(1_000);
    let (salt, hash) = (parts.next(), parts.next());
    let length = if text.starts_with("$5$") { 43 } else { 86 };
    let is_whole = hash.is_some_and(|hash| hash.len() == length);
    if salt.is_none_or(str::is_empty) || !is_whole || parts.next().is_some() {
        return Err(HashError::Corrupt);
    }
    let hash = sha_crypt::PasswordHash::new(text).map_err(|_| HashError::Corrupt)?;
    Ok(Form::ShaCrypt { rounds, hash })
}

/// `<log2 of the rounds><8 of salt><hash>`: phpass, the "portable hashes", and Drupal 7 with SHA-512, which
/// keeps 43 characters of the hash.
/// Source: Openwall, phpass; Drupal, `includes/password.inc`.
pub(super) fn phpass(hasher: Hasher, rest: &str, length: usize) -> Result<Form, HashError> {
    let (log2, rest) = rest.split_at_checked(1).ok_or(HashError::Corrupt)?;
    let (salt, hash) = rest.split_at_checked(8).ok_or(HashError::Corrupt)?;
    let log2 = log2.bytes().next().and_then(crypt64_value);
    let log2 = log2.ok_or(HashError::Corrupt)?;
    bounds::phpass_log2(log2)?;
    if hash.len() != length || !hash.bytes().all(|byte| crypt64_value(byte).is_some()) {
        return Err(HashError::Corrupt);
    }
    Ok(Form::Phpass {
        hasher,
        rounds: 1 << log2,
        salt: salt.as_bytes().to_vec(),
        expected: hash.to_owned(),
    })
}

/// `v=1,n=14,r=8,p=1,ss=<salt separator>,sk=<signer key>$<salt>$<hash>`: Firebase's modified scrypt, its
/// project's parameters in the form that Supabase imports them.
/// Source: Firebase, "scrypt" (the README of its command-line tool).
fn fbscrypt(rest: &str) -> Result<Form, HashError> {
    let mut parts = rest.split('$');
    let named = parts.next().unwrap_or_default();
    let value = |name: &str| {
        let mut values = named.split(',').filter_map(|one| one.split_once('='));
        let found = values.find(|(known, _)| *known == name);
        found.map(|(_, value)| value).ok_or(HashError::Corrupt)
    };
    let cost = |name: &str| small_number(value(name)?);
    let costs = [cost("n")?, cost("r")?, cost("p")?];
    let (Some(salt), Some(hash), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(HashError::Corrupt);
    };
    firebase(costs, [salt, value("ss")?, value("sk")?, hash])
}

/// `ln=14,r=8,p=1$<salt>$<hash>$<salt separator>$<signer key>`, the form that Kratos imports.
fn firescrypt(rest: &str) -> Result<Form, HashError> {
    let parts: Vec<&str> = rest.split('$').collect();
    let [numbers, salt, hash, separator, key] = parts.as_slice() else {
        return Err(HashError::Corrupt);
    };
    let costs = parameters(numbers, ["ln", "r", "p"])?;
    firebase(costs, [salt, separator, key, hash])
}

pub(super) fn firebase(
    [log_n, r, p]: [u32; 3],
    [salt, separator, key, hash]: [&str; 4],
) -> Result<Form, HashError> {
    let parameters = bounds::scrypt(log_n, r, p)?;
    let signer_key = base64(key)?;
    let mut salt = base64(salt)?;
    if salt.is_empty() || signer_key.is_empty() {
        return Err(HashError::Corrupt);
    }
    salt.extend(base64(separator)?);
    let length = signer_key.len();
    Ok(Form::Firebase {
        parameters,
        signer_key,
        salted: Salted::new(salt, base64(hash)?, &[length])?,
    })
}

/// `SHA-256$500000$<salt>$<hash>`: an iterated digest of salt and password.
/// Source: Apache Shiro, `Shiro1CryptFormat`.
fn shiro(rest: &str) -> Result<Form, HashError> {
    let parts: Vec<&str> = rest.split('$').collect();
    let [name, rounds, salt, hash] = parts.as_slice() else {
        return Err(HashError::Corrupt);
    };
    let (hasher, length) = Hasher::of(name)?;
    // One round is as weak as a plain digest, and not the default of any system.
    let rounds = bounds::rounds(number(rounds)?)?;
    if rounds < bounds::MIN_ROUNDS {
        return Err(HashError::Weak);
    }
    Ok(Form::Digest {
        hasher,
        order: Order::SaltFirst,
        rounds,
        salted: Salted::new(base64(salt)?, base64(hash)?, &[length])?,
    })
}

impl Hasher {
    /// The hasher for a digest's name, in the spellings of all systems, and the length of the digest.
    pub(super) fn of(name: &str) -> Result<(Self, usize), HashError> {
        match name.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
            "md5" => Ok((Self::Md5, 16)),
            "sha" | "sha1" => Ok((Self::Aws(&digest::SHA1_FOR_LEGACY_USE_ONLY), 20)),
            "sha256" => Ok((Self::Aws(&digest::SHA256), 32)),
            "sha384" => Ok((Self::Aws(&digest::SHA384), 48)),
            "sha512" => Ok((Self::Aws(&digest::SHA512), 64)),
            _ => Err(HashError::Unknown),
        }
    }
}

/// The numbers of `m=1,t=2,p=3`, by name, each exactly once. A number that exceeds 32 bits is
/// [`HashError::TooCostly`].
fn parameters<const N: usize>(text: &str, names: [&str; N]) -> Result<[u32; N], HashError> {
    let mut found = [None; N];
    for one in text.split(',') {
        let (name, value) = one.split_once('=').ok_or(HashError::Corrupt)?;
        let at = names.iter().position(|known| *known == name);
        let slot = at.and_then(|at| found.get_mut(at));
        let slot = slot.ok_or(HashError::Corrupt)?;
        if slot.is_some() {
            return Err(HashError::Corrupt);
        }
        *slot = Some(small_number(value)?);
    }
    let mut numbers = [0; N];
    for (number, found) in numbers.iter_mut().zip(found) {
        *number = found.ok_or(HashError::Corrupt)?;
    }
    Ok(numbers)
}

/// The last two parts; more parts are an error.
fn salt_and_hash<'a>(
    parts: &mut impl Iterator<Item = &'a str>,
) -> Result<(Vec<u8>, Vec<u8>), HashError> {
    let (Some(salt), Some(hash), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(HashError::Corrupt);
    };
    Ok((base64(salt)?, base64(hash)?))
}
