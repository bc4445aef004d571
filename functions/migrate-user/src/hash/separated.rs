//! Forms without a prefix character: a name, parameters, a salt and a hash separated by `$`, `:` or `.`.

use aws_lc_rs::{digest, pbkdf2};

use super::text::{base64, from_hex, hex_or_base64, is_hex, number, small_number};
use super::{Before, Form, HashError, Hasher, Order, Salted, bounds, crypt};

/// The hexadecimal digits of a digest, from MD5 to SHA-512.
const HEX_DIGITS: [usize; 5] = [32, 40, 64, 96, 128];

/// Parses a hash by its separators and its first part.
pub(super) fn read(text: &str, allow_weak: bool) -> Result<Form, HashError> {
    if is_hex(text) && HEX_DIGITS.contains(&text.len()) {
        return Err(HashError::Unsalted);
    }
    if let Some(("1" | "2" | "3", hash)) = text.split_once('|') {
        // Nextcloud's version.
        return crypt::read(hash);
    }
    if let Some(rest) = text.strip_prefix("grub.pbkdf2.sha512.") {
        return grub(rest);
    }
    if let Some(rest) = text.strip_prefix(':') {
        return media_wiki(rest);
    }
    if text.starts_with("c2NyeXB0AA") {
        return scrypt_file(text);
    }
    if let Some((name, rest)) = text.split_once('$') {
        return named(name, rest, allow_weak);
    }
    if let Some((first, second)) = text.split_once(':') {
        return of_pair(first, second, allow_weak);
    }
    if let Some((hash, salt)) = text.split_once('.') {
        return node_scrypt(salt, hash);
    }
    aspnet(text)
}

/// `<name>$…`: Django, Werkzeug, Gitea, Drupal, Clerk.
/// Source: Django, "Password management in Django"; Werkzeug, `security.py`.
fn named(name: &str, rest: &str, allow_weak: bool) -> Result<Form, HashError> {
    let parts: Vec<&str> = rest.split('$').collect();
    match (name, parts.as_slice()) {
        ("bcrypt", _) => crypt::bcrypt(rest),
        ("bcrypt_sha256", _) => crypt::bcrypt_of(Before::Sha256Hex, rest),
        ("argon2", [passes, memory, lanes, length, salt, hash]) => {
            let costs = [
                small_number(memory)?,
                small_number(passes)?,
                small_number(lanes)?,
            ];
            let salted = gitea_salted(salt, hash, number(length)?)?;
            crypt::argon2_of("argon2id", argon2::Version::V0x13, costs, salted)
        }
        ("argon2", _) => crypt::read(&format!("${rest}")),
        ("pbkdf2", [iterations, length, salt, hash]) => {
            let salted = gitea_salted(salt, hash, number(length)?)?;
            crypt::pbkdf2_of(pbkdf2::PBKDF2_HMAC_SHA256, number(iterations)?, salted)
        }
        ("pbkdf2_sha256" | "pbkdf2_sha1" | "pbkdf2_sha512", [iterations, salt, hash]) => {
            let algorithm = crypt::pbkdf2_algorithm(name.trim_start_matches("pbkdf2_"))?;
            let length = bounds::digest_length(algorithm);
            // Django's salts are letters and digits; Clerk's are Base64, which usually contains other characters.
            let salt = match base64(salt) {
                Ok(bytes) if salt.contains(['=', '+', '/']) => bytes,
                Ok(_) | Err(_) => salt.as_bytes().to_vec(),
            };
            let salted = Salted::new(salt, hex_or_base64(hash, length)?, &[length])?;
            crypt::pbkdf2_of(algorithm, number(iterations)?, salted)
        }
        ("scrypt", [n, salt, r, p, hash]) => {
            let parameters = bounds::scrypt_by_n(number(n)?, small_number(r)?, small_number(p)?)?;
            let salted = Salted::new(salt.as_bytes().to_vec(), base64(hash)?, &[64])?;
            Ok(Form::Scrypt(parameters, salted))
        }
        ("scrypt", [n, r, p, length, salt, hash]) => {
            let parameters = bounds::scrypt_by_n(number(n)?, small_number(r)?, small_number(p)?)?;
            let salted = gitea_salted(salt, hash, number(length)?)?;
            Ok(Form::Scrypt(parameters, salted))
        }
        ("md5" | "sha1" | "sha256" | "sha384" | "sha512", [salt, hash]) => {
            named_digest(name, salt, hash, allow_weak)
        }
        ("plain", _) => Err(HashError::Unsalted),
        ("U", ["S", hash]) => of_drupal_6(Hasher::Aws(&digest::SHA512), hash, 43),
        ("U", ["P" | "H", hash]) => of_drupal_6(Hasher::Md5, hash, 22),
        (
            "scrypt" | "pbkdf2" | "pbkdf2_sha256" | "pbkdf2_sha1" | "pbkdf2_sha512" | "md5"
            | "sha1" | "sha256" | "sha384" | "sha512" | "U",
            _,
        ) => Err(HashError::Corrupt),
        _ if name.starts_with("pbkdf2:") || name.starts_with("scrypt:") => werkzeug(name, &parts),
        (n, [r, p, salt, hash]) if is_hex(n) && n.len() < 9 => ruby_scrypt([n, r, p], salt, hash),
        (hash, [salt, key, separator, r, log_n]) if hash.len() > 40 => {
            let costs = [small_number(log_n)?, small_number(r)?, 1];
            crypt::firebase(costs, [salt, separator, key, hash])
        }
        _ => Err(HashError::Unknown),
    }
}

/// `pbkdf2:<digest>:<iterations>` or `scrypt:<N>:<r>:<p>`, a salt that is its own text, a hexadecimal hash.
fn werkzeug(method: &str, parts: &[&str]) -> Result<Form, HashError> {
    let [salt, hash] = parts else {
        return Err(HashError::Corrupt);
    };
    let salt = salt.as_bytes().to_vec();
    let expected = from_hex(hash).ok_or(HashError::Corrupt)?;
    let method: Vec<&str> = method.split(':').collect();
    match method.as_slice() {
        ["pbkdf2", digest, iterations] => {
            let algorithm = crypt::pbkdf2_algorithm(digest)?;
            let salted = Salted::new(salt, expected, &[bounds::digest_length(algorithm)])?;
            crypt::pbkdf2_of(algorithm, number(iterations)?, salted)
        }
        ["scrypt", n, r, p] => {
            let parameters = bounds::scrypt_by_n(number(n)?, small_number(r)?, small_number(p)?)?;
            let salted = Salted::new(salt, expected, &[64])?;
            Ok(Form::Scrypt(parameters, salted))
        }
        _ => Err(HashError::Corrupt),
    }
}

/// `sha1$<salt>$<hash>`: a digest of salt and password in Django, an HMAC with the salt as the
/// key in Werkzeug before 2.3.
fn named_digest(name: &str, salt: &str, hash: &str, allow_weak: bool) -> Result<Form, HashError> {
    let orders = [Order::SaltFirst, Order::HmacBySalt];
    digests(name, orders, salt, hash, allow_weak)
}

/// One round, whose order of salt and password the text does not tell. `hash` is hexadecimal.
fn digests(
    name: &str,
    orders: [Order; 2],
    salt: &str,
    hash: &str,
    allow_weak: bool,
) -> Result<Form, HashError> {
    if salt.is_empty() {
        return Err(HashError::Unsalted);
    }
    if !allow_weak {
        return Err(HashError::Weak);
    }
    let hash = from_hex(hash).ok_or(HashError::Corrupt)?;
    let (hasher, length) = Hasher::of(name)?;
    let mut forms = Vec::new();
    for order in orders {
        forms.push(Form::Digest {
            hasher,
            order,
            rounds: 1,
            salted: Salted::new(salt.as_bytes().to_vec(), hash.clone(), &[length])?,
        });
    }
    Ok(Form::AnyOf(forms))
}

/// Gitea stores the salt in hexadecimal digits, and formerly a salt of ten characters as text; so does Grafana.
fn gitea_salted(salt: &str, hash: &str, length: u64) -> Result<Salted, HashError> {
    let salt = match from_hex(salt) {
        Some(bytes) if salt.len() != 10 => bytes,
        Some(_) | None => salt.as_bytes().to_vec(),
    };
    let length = usize::try_from(length).map_err(|_| HashError::Corrupt)?;
    if !(16..=128).contains(&length) {
        return Err(HashError::Corrupt);
    }
    let hash = from_hex(hash).ok_or(HashError::Corrupt)?;
    Salted::new(salt, hash, &[length])
}

/// Drupal 7 hashed the hashes of Drupal 6: the MD5 of a password.
fn of_drupal_6(hasher: Hasher, hash: &str, length: usize) -> Result<Form, HashError> {
    let form = crypt::phpass(hasher, hash, length)?;
    Ok(Form::Of(Before::Md5Hex, Box::new(form)))
}

/// `400$8$36$<salt>$<hash>`, all in hexadecimal digits.
/// Source: the `scrypt` gem, `SCrypt::Engine`.
fn ruby_scrypt(costs: [&str; 3], salt: &str, hash: &str) -> Result<Form, HashError> {
    let hexadecimal = |text| u32::from_str_radix(text, 16).map_err(|_| HashError::Corrupt);
    let [n, r, p] = costs;
    let parameters = bounds::scrypt_by_n(hexadecimal(n)?.into(), hexadecimal(r)?, hexadecimal(p)?)?;
    // The leading zeros of the field are not part of the salt.
    let mut salt = salt;
    while let Some(rest) = salt.strip_prefix("00") {
        salt = rest;
    }
    let salt = from_hex(salt).ok_or(HashError::Corrupt)?;
    let hash = from_hex(hash).ok_or(HashError::Corrupt)?;
    Ok(Form::Scrypt(parameters, Salted::new(salt, hash, &[32])?))
}

fn grub(rest: &str) -> Result<Form, HashError> {
    let parts: Vec<&str> = rest.split('.').collect();
    let [iterations, salt, hash] = parts.as_slice() else {
        return Err(HashError::Corrupt);
    };
    let (Some(salt), Some(hash)) = (from_hex(salt), from_hex(hash)) else {
        return Err(HashError::Corrupt);
    };
    let salted = Salted::new(salt, hash, &[64])?;
    crypt::pbkdf2_of(pbkdf2::PBKDF2_HMAC_SHA512, number(iterations)?, salted)
}

/// `pbkdf2:<digest>:<iterations>:<length>:<salt>:<hash>`, `argon2:$argon2id$…`.
/// Source: `MediaWiki`, `Pbkdf2Password` and `ParameterizedPassword`.
fn media_wiki(rest: &str) -> Result<Form, HashError> {
    let parts: Vec<&str> = rest.split(':').collect();
    match parts.as_slice() {
        ["argon2", hash] => crypt::read(hash),
        ["pbkdf2", digest, iterations, length, salt, hash] => {
            let length = usize::try_from(number(length)?).map_err(|_| HashError::Corrupt)?;
            if !(16..=128).contains(&length) {
                return Err(HashError::Corrupt);
            }
            let algorithm = crypt::pbkdf2_algorithm(digest)?;
            let salted = Salted::new(base64(salt)?, base64(hash)?, &[length])?;
            crypt::pbkdf2_of(algorithm, number(iterations)?, salted)
        }
        _ => Err(HashError::Unknown),
    }
}

/// `<hash>:<salt>` of Joomla, Magento and many others, with Magento 2's version after it; or
/// `<salt>:<hash>` of Node's `crypto.scrypt`.
fn of_pair(first: &str, second: &str, allow_weak: bool) -> Result<Form, HashError> {
    if is_hex(second) && second.len() == 128 && first.len() <= 64 {
        return node_scrypt(first, second);
    }
    let name = match first.len() {
        _ if !is_hex(first) => return Err(HashError::Unknown),
        32 => "md5",
        40 => "sha1",
        64 => "sha256",
        128 => "sha512",
        _ => return Err(HashError::Unknown),
    };
    let salt = match second.rsplit_once(':') {
        Some((salt, "0" | "1")) => salt,
        Some(_) => return Err(HashError::Unknown),
        None => second,
    };
    let orders = [Order::SaltFirst, Order::SaltLast];
    digests(name, orders, salt, first, allow_weak)
}

/// 64 bytes with Node's default parameters, the salt being text or decoded digits; or with the parameters of
/// better-auth, which normalizes the password to NFKC.
fn node_scrypt(salt: &str, hash: &str) -> Result<Form, HashError> {
    if hash.len() != 128 {
        return Err(HashError::Unknown);
    }
    let hash = from_hex(hash).ok_or(HashError::Unknown)?;
    let parameters = bounds::scrypt(14, 8, 1)?;
    let wider = bounds::scrypt(14, 16, 1)?;
    let salted = |salt: &[u8]| Salted::new(salt.to_vec(), hash.clone(), &[64]);
    let mut forms = vec![Form::Scrypt(parameters, salted(salt.as_bytes())?)];
    if let Some(bytes) = from_hex(salt) {
        forms.push(Form::Scrypt(parameters, salted(&bytes)?));
        let form = Form::Scrypt(wider, salted(salt.as_bytes())?);
        forms.push(Form::Of(Before::Nfkc, Box::new(form)));
    }
    Ok(Form::AnyOf(forms))
}

/// Base64 of the header of a file that scrypt encrypts, as the `scrypt-kdf` package for Node stores it.
/// Source: scrypt, `FORMAT`.
fn scrypt_file(text: &str) -> Result<Form, HashError> {
    let bytes = base64(text)?;
    let (header, signature) = bytes.split_at_checked(64).ok_or(HashError::Corrupt)?;
    let word = |at: usize| {
        let word = header.get(at..at + 4).and_then(|word| word.try_into().ok());
        word.map(u32::from_be_bytes).ok_or(HashError::Corrupt)
    };
    let log_n = header.get(7).copied().ok_or(HashError::Corrupt)?;
    let parameters = bounds::scrypt(log_n.into(), word(8)?, word(12)?)?;
    let (signed, checksum) = header.split_at_checked(48).ok_or(HashError::Corrupt)?;
    let sum = digest::digest(&digest::SHA256, signed);
    if !sum.as_ref().starts_with(checksum) {
        return Err(HashError::Corrupt);
    }
    let salted = Salted::new(header.to_vec(), signature.to_vec(), &[32])?;
    Ok(Form::ScryptFile(parameters, salted))
}

/// Base64 of a format marker and its fields: ASP.NET Core Identity, version 2 and 3.
/// Source: `PasswordHasher.cs` of aspnetcore.
fn aspnet(text: &str) -> Result<Form, HashError> {
    let bytes = base64(text).map_err(|_| HashError::Unknown)?;
    let (marker, rest) = bytes.split_first().ok_or(HashError::Unknown)?;
    match marker {
        0 => {
            let (salt, hash) = rest.split_at_checked(16).ok_or(HashError::Corrupt)?;
            let salted = Salted::new(salt.to_vec(), hash.to_vec(), &[32])?;
            crypt::pbkdf2_of(pbkdf2::PBKDF2_HMAC_SHA1, 1_000, salted)
        }
        1 => {
            let mut words = rest.chunks_exact(4).map(|word| {
                let word: [u8; 4] = word.try_into().unwrap_or_default();
                u32::from_be_bytes(word)
            });
            let (Some(prf), Some(iterations), Some(salt_length)) =
                (words.next(), words.next(), words.next())
            else {
                return Err(HashError::Corrupt);
            };
            let algorithm = match prf {
                0 => pbkdf2::PBKDF2_HMAC_SHA1,
                1 => pbkdf2::PBKDF2_HMAC_SHA256,
                2 => pbkdf2::PBKDF2_HMAC_SHA512,
                _ => return Err(HashError::Corrupt),
            };
            let salt_length = usize::try_from(salt_length).map_err(|_| HashError::Corrupt)?;
            let rest = rest.get(12..).ok_or(HashError::Corrupt)?;
            let (salt, hash) = rest
                .split_at_checked(salt_length)
                .ok_or(HashError::Corrupt)?;
            let salted = Salted::new(salt.to_vec(), hash.to_vec(), &[32])?;
            crypt::pbkdf2_of(algorithm, iterations.into(), salted)
        }
        _ => Err(HashError::Unknown),
    }
}
