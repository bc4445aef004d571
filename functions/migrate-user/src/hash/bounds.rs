//! Limits the cost of a hash before it is computed.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;

use super::HashError;

/// Limits: about a second on one of Lambda's virtual processors, and the memory of a small
/// function. docs/migration.md has the measured times.
const MAX_BCRYPT_COST: u32 = 14;
const MAX_ARGON2_KIB: u32 = 131_072;
const MAX_ARGON2_KIB_PASSES: u64 = 1_048_576;
const MAX_ARGON2_LANES: u32 = 16;
const MAX_SCRYPT_BYTES: u64 = 128 * 1024 * 1024;
const MAX_SCRYPT_BLOCKS: u64 = 2_097_152;
const MAX_PBKDF2_ITERATIONS: u64 = 2_000_000;
const MAX_ROUNDS: u64 = 1_000_000;
/// The rounds below which a repeated digest is weak, as RFC 8018 section 4.2 has them for PBKDF2.
pub(super) const MIN_ROUNDS: u32 = 1_000;
const MAX_PHPASS_LOG2: usize = 20;
/// The maximum number of bytes that all rounds may hash, for forms that hash the password in each round.
pub(super) const MAX_HASHED_BYTES: u64 = 192_000_000;

pub(super) fn bcrypt(cost: u32) -> Result<(), HashError> {
    match cost {
        0..4 => Err(HashError::Corrupt),
        4..=MAX_BCRYPT_COST => Ok(()),
        _ => Err(HashError::TooCostly),
    }
}

pub(super) fn argon2(
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    length: usize,
) -> Result<argon2::Params, HashError> {
    if memory_kib > MAX_ARGON2_KIB
        || lanes > MAX_ARGON2_LANES
        || u64::from(memory_kib) * u64::from(passes) > MAX_ARGON2_KIB_PASSES
    {
        return Err(HashError::TooCostly);
    }
    argon2::Params::new(memory_kib, passes, lanes, Some(length)).map_err(|_| HashError::Corrupt)
}

pub(super) fn scrypt(log_n: u32, r: u32, p: u32) -> Result<scrypt::Params, HashError> {
    let blocks = 1_u64
        .checked_shl(log_n)
        .filter(|_| log_n < 40)
        .and_then(|n| n.checked_mul(u64::from(r)));
    let blocks = blocks.ok_or(HashError::TooCostly)?;
    let bytes = blocks.checked_mul(128).ok_or(HashError::TooCostly)?;
    let work = blocks.checked_mul(u64::from(p));
    if bytes > MAX_SCRYPT_BYTES || work.is_none_or(|work| work > MAX_SCRYPT_BLOCKS) {
        return Err(HashError::TooCostly);
    }
    let log_n = u8::try_from(log_n).map_err(|_| HashError::TooCostly)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| HashError::Corrupt)
}

/// Takes N itself, which must be a power of two.
pub(super) fn scrypt_by_n(n: u64, r: u32, p: u32) -> Result<scrypt::Params, HashError> {
    if !n.is_power_of_two() {
        return Err(HashError::Corrupt);
    }
    scrypt(n.ilog2(), r, p)
}

/// Each block of the output requires all iterations.
pub(super) fn pbkdf2(
    algorithm: pbkdf2::Algorithm,
    iterations: u64,
    length: usize,
) -> Result<NonZeroU32, HashError> {
    let block = digest_length(algorithm);
    let blocks = u64::try_from(length.div_ceil(block)).unwrap_or(u64::MAX);
    if iterations.saturating_mul(blocks) > MAX_PBKDF2_ITERATIONS {
        return Err(HashError::TooCostly);
    }
    let iterations = u32::try_from(iterations).ok().and_then(NonZeroU32::new);
    iterations.ok_or(HashError::Corrupt)
}

/// The bytes of one block of PBKDF2's output.
pub(super) fn digest_length(algorithm: pbkdf2::Algorithm) -> usize {
    if algorithm == pbkdf2::PBKDF2_HMAC_SHA1 {
        20
    } else if algorithm == pbkdf2::PBKDF2_HMAC_SHA256 {
        32
    } else if algorithm == pbkdf2::PBKDF2_HMAC_SHA384 {
        48
    } else {
        64
    }
}

/// The rounds of an iterated hash.
pub(super) fn rounds(rounds: u64) -> Result<u32, HashError> {
    match u32::try_from(rounds) {
        Ok(0) => Err(HashError::Corrupt),
        Ok(number) if rounds <= MAX_ROUNDS => Ok(number),
        Ok(_) | Err(_) => Err(HashError::TooCostly),
    }
}

pub(super) fn phpass_log2(log2: usize) -> Result<(), HashError> {
    match log2 {
        0..7 => Err(HashError::Corrupt),
        7..=MAX_PHPASS_LOG2 => Ok(()),
        _ => Err(HashError::TooCostly),
    }
}
