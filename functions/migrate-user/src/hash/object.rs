//! Forms that are JSON objects: Keycloak's exports, and the import formats of Auth0, Okta and `FusionAuth`.

use aws_lc_rs::pbkdf2;
use serde_json::{Map, Value};

use super::text::{base64, from_hex, small_number};
use super::{Form, HashError, Hasher, Order, Salted, bounds, braced, crypt};

type Object = Map<String, Value>;

/// Output lengths of PBKDF2 in these systems, in bytes.
const PBKDF2_LENGTHS: [usize; 4] = [20, 32, 48, 64];

pub(super) fn is_object(text: &str) -> bool {
    let after_brace = text.strip_prefix(['{', '[']).map(str::trim_start);
    after_brace.is_some_and(|rest| rest.starts_with(['"', '{']))
}

/// Parses a credential by its members. In a list of credentials, as Keycloak exports them, uses the password.
pub(super) fn read(text: &str, allow_weak: bool) -> Result<Form, HashError> {
    let value: Value = serde_json::from_str(text).map_err(|_| HashError::Corrupt)?;
    let credential = if let Value::Array(credentials) = value {
        let is_password = |one: &Value| one.get("type").is_none_or(|kind| kind == "password");
        credentials.into_iter().find(is_password)
    } else {
        Some(value)
    };
    let Some(Value::Object(credential)) = credential else {
        return Err(HashError::Unknown);
    };
    if credential.contains_key("credentialData") || credential.contains_key("hashedSaltedValue") {
        keycloak(&credential)
    } else if credential.contains_key("encryptionScheme") {
        fusion_auth(&credential)
    } else if let Some(Value::Object(hash)) = credential.get("hash") {
        if credential.contains_key("algorithm") {
            auth0(&credential, hash, allow_weak)
        } else {
            okta(hash, allow_weak)
        }
    } else {
        okta(&credential, allow_weak)
    }
}

fn text<'a>(object: &'a Object, name: &str) -> Result<&'a str, HashError> {
    let value = object.get(name).and_then(Value::as_str);
    value.ok_or(HashError::Corrupt)
}

fn number(object: &Object, name: &str) -> Result<u64, HashError> {
    match object.get(name) {
        Some(Value::Number(number)) => number.as_u64().ok_or(HashError::TooCostly),
        Some(Value::String(digits)) => super::text::number(digits),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
            Err(HashError::Corrupt)
        }
    }
}

fn cost(object: &Object, name: &str) -> Result<u32, HashError> {
    u32::try_from(number(object, name)?).map_err(|_| HashError::TooCostly)
}

/// A member that is an object, or a string that contains a JSON object.
fn nested(object: &Object, name: &str) -> Result<Object, HashError> {
    match object.get(name) {
        Some(Value::Object(inner)) => Ok(inner.clone()),
        Some(Value::String(inner)) => serde_json::from_str(inner).map_err(|_| HashError::Corrupt),
        Some(_) | None => Err(HashError::Corrupt),
    }
}

/// `secretData` has the value and the salt, `credentialData` the algorithm; before version 8 one object has all of them.
/// Source: Keycloak, `PasswordCredentialModel` and `Argon2PasswordHashProvider`.
fn keycloak(credential: &Object) -> Result<Form, HashError> {
    let (settings, value, salt) = if credential.contains_key("hashedSaltedValue") {
        let value = text(credential, "hashedSaltedValue")?.to_owned();
        (
            credential.clone(),
            value,
            text(credential, "salt")?.to_owned(),
        )
    } else {
        let secret = nested(credential, "secretData")?;
        let settings = nested(credential, "credentialData")?;
        let value = text(&secret, "value")?.to_owned();
        let salt = secret.get("salt").and_then(Value::as_str);
        (settings, value, salt.unwrap_or_default().to_owned())
    };
    let algorithm = text(&settings, "algorithm")?;
    if value.starts_with('$') {
        // Keycloak extensions store complete hashes, such as bcrypt's.
        return crypt::read(&value);
    }
    let (salt, expected) = (base64(&salt)?, base64(&value)?);
    if algorithm == "argon2" {
        let more = nested(&settings, "additionalParameters")?;
        let first = |name: &str| match more.get(name) {
            Some(Value::Array(values)) => values.first().and_then(Value::as_str),
            Some(other) => other.as_str(),
            None => None,
        };
        let number = |name: &str| small_number(first(name).ok_or(HashError::Corrupt)?);
        let version = match first("version") {
            Some("1.0") => argon2::Version::V0x10,
            Some("1.3") | None => argon2::Version::V0x13,
            Some(_) => return Err(HashError::Corrupt),
        };
        let name = format!("argon2{}", first("type").unwrap_or("id"));
        let passes = cost(&settings, "hashIterations")?;
        let costs = [number("memory")?, passes, number("parallelism")?];
        return crypt::argon2_of(&name, version, costs, Salted { salt, expected });
    }
    let digest = match algorithm.strip_prefix("pbkdf2") {
        Some("") => "sha1",
        Some(digest) => digest,
        None => return Err(HashError::Unknown),
    };
    let salted = Salted::new(salt, expected, &PBKDF2_LENGTHS)?;
    let iterations = number(&settings, "hashIterations")?;
    crypt::pbkdf2_of(crypt::pbkdf2_algorithm(digest)?, iterations, salted)
}

/// Source: `FusionAuth`, "Password Hashes".
fn fusion_auth(credential: &Object) -> Result<Form, HashError> {
    let (salt, hash) = (text(credential, "salt")?, text(credential, "password")?);
    let factor = number(credential, "factor")?;
    let algorithm = match text(credential, "encryptionScheme")? {
        "bcrypt" => return bcrypt(factor, salt, hash),
        "salted-pbkdf2-hmac-sha256" | "salted-pbkdf2-hmac-sha256-512" => pbkdf2::PBKDF2_HMAC_SHA256,
        "salted-pbkdf2-hmac-sha512-512" => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(HashError::Unknown),
    };
    let salted = Salted::new(base64(salt)?, base64(hash)?, &[32, 64])?;
    crypt::pbkdf2_of(algorithm, factor, salted)
}

fn bcrypt(cost: u64, salt: &str, hash: &str) -> Result<Form, HashError> {
    crypt::bcrypt(&format!("$2a${cost:02}${salt}{hash}"))
}

/// Source: Okta, "Users" API, the password hash object.
fn okta(hash: &Object, allow_weak: bool) -> Result<Form, HashError> {
    let (algorithm, value) = (text(hash, "algorithm")?, text(hash, "value")?);
    match algorithm {
        "BCRYPT" => return bcrypt(number(hash, "workFactor")?, text(hash, "salt")?, value),
        "PBKDF2" => {
            let digest = text(hash, "digestAlgorithm")?.trim_end_matches("_HMAC");
            let length = usize::try_from(number(hash, "keySize")?).unwrap_or(0);
            if !(16..=64).contains(&length) {
                return Err(HashError::Corrupt);
            }
            let salted = Salted::new(base64(text(hash, "salt")?)?, base64(value)?, &[length])?;
            let iterations = number(hash, "iterationCount")?;
            return crypt::pbkdf2_of(crypt::pbkdf2_algorithm(digest)?, iterations, salted);
        }
        _ => {}
    }
    let order = match hash.get("saltOrder").and_then(Value::as_str) {
        Some("PREFIX") => Order::SaltFirst,
        Some("POSTFIX") => Order::SaltLast,
        Some(_) => return Err(HashError::Corrupt),
        None => return Err(HashError::Unsalted),
    };
    let salt = base64(text(hash, "salt")?)?;
    salted_digest(algorithm, order, salt, &base64(value)?, allow_weak)
}

fn salted_digest(
    name: &str,
    order: Order,
    salt: Vec<u8>,
    hash: &[u8],
    allow_weak: bool,
) -> Result<Form, HashError> {
    let (hasher, length) = Hasher::of(name)?;
    if !allow_weak {
        return Err(HashError::Weak);
    }
    Ok(Form::Digest {
        hasher,
        order,
        rounds: 1,
        salted: Salted::new(salt, hash.to_vec(), &[length])?,
    })
}

/// A member's bytes, decoded as its `encoding` says.
fn encoded(member: &Object, default: &str) -> Result<Vec<u8>, HashError> {
    let value = text(member, "value")?;
    let encoding = member.get("encoding").and_then(Value::as_str);
    match encoding.unwrap_or(default) {
        "hex" => from_hex(value).ok_or(HashError::Corrupt),
        "base64" => base64(value),
        "utf8" => Ok(value.as_bytes().to_vec()),
        _ => Err(HashError::Unknown),
    }
}

/// `custom_password_hash` of its bulk import.
/// Source: Auth0, "User Import/Export Database Schema and Examples".
fn auth0(credential: &Object, hash: &Object, allow_weak: bool) -> Result<Form, HashError> {
    let member = |name: &str| credential.get(name).and_then(Value::as_object);
    // A password in an encoding other than UTF-8 would be hashed as different bytes.
    let encoding = member("password").and_then(|password| password.get("encoding"));
    if encoding.is_some_and(|encoding| encoding != "utf8") {
        return Err(HashError::Unknown);
    }
    match text(credential, "algorithm")? {
        "argon2" | "bcrypt" | "pbkdf2" => crypt::read(text(hash, "value")?),
        "ldap" => braced::read(text(hash, "value")?, allow_weak),
        "scrypt" => {
            let salt = encoded(member("salt").ok_or(HashError::Corrupt)?, "utf8")?;
            let expected = encoded(hash, "hex")?;
            let length = usize::try_from(number(credential, "keylen")?).unwrap_or(0);
            if !(16..=128).contains(&length) {
                return Err(HashError::Corrupt);
            }
            let (r, p) = (
                cost(credential, "blockSize")?,
                cost(credential, "parallelization")?,
            );
            let parameters = bounds::scrypt_by_n(number(credential, "cost")?, r, p)?;
            Ok(Form::Scrypt(
                parameters,
                Salted::new(salt, expected, &[length])?,
            ))
        }
        "hmac" => {
            let key = encoded(member("key").ok_or(HashError::Corrupt)?, "utf8")?;
            let order = Order::HmacBySalt;
            let expected = encoded(hash, "hex")?;
            salted_digest(text(hash, "digest")?, order, key, &expected, allow_weak)
        }
        name @ ("md5" | "sha1" | "sha256" | "sha512") => {
            let salt = member("salt").ok_or(HashError::Unsalted)?;
            let order = match salt.get("position").and_then(Value::as_str) {
                Some("prefix") | None => Order::SaltFirst,
                Some("suffix") => Order::SaltLast,
                Some(_) => return Err(HashError::Corrupt),
            };
            let expected = encoded(hash, "hex")?;
            salted_digest(name, order, encoded(salt, "utf8")?, &expected, allow_weak)
        }
        _ => Err(HashError::Unknown),
    }
}
