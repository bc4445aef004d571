//! Password hashes of other systems: the limits of their cost hold, and a wrong password never fits.

use std::sync::OnceLock;

use auth::Secret;
use migrate_user::hash::{HashError, PasswordHash, PasswordMatch};
use serde_json::Value;

use crate::input::Input;

/// The limits of docs/migration.md, for the forms that name their parameters in plain text.
const MAX_BCRYPT_COST: u64 = 14;
const MAX_ARGON2_KIB: u64 = 131_072;
const MAX_ARGON2_KIB_PASSES: u64 = 1_048_576;
const MAX_ARGON2_LANES: u64 = 16;
const MAX_SCRYPT_BYTES: u64 = 128 * 1024 * 1024;
const MAX_SCRYPT_BLOCKS: u64 = 2_097_152;
const MAX_PBKDF2_ITERATIONS: u64 = 2_000_000;
const MAX_ROUNDS: u64 = 1_000_000;

/// The characters that a text with a password has in common with the known hash of it.
const COMMON: usize = 16;

/// Hashes with their passwords.
fn known() -> &'static [(String, String)] {
    static KNOWN: OnceLock<Vec<(String, String)>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let rows = include_str!("../../../functions/migrate-user/tests/hashes.json");
        let rows: Vec<Value> = serde_json::from_str(rows).expect("hashes");
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        rows.iter()
            .map(|row| (text(row, "hash"), text(row, "password")))
            .collect()
    })
}

/// Runs the target.
///
/// # Panics
/// A hash above the limits is accepted, its form depends on `ALLOW_WEAK_HASHES`, or a wrong password fits.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_verified = input.below(64) == 1;
    let text = match input.below(2) {
        0 => input.text().into_owned(),
        _ => spliced(&mut input),
    };
    let strict = PasswordHash::parse(&text, false);
    let lenient = PasswordHash::parse(&text, true);
    for error in [strict.as_ref().err(), lenient.as_ref().err()]
        .into_iter()
        .flatten()
    {
        assert!(text.len() < 24 || !error.to_string().contains(&text));
    }
    match (&strict, &lenient) {
        (Ok(strict), Ok(lenient)) => assert_eq!(strict.kind(), lenient.kind()),
        (Ok(_), Err(_)) => panic!("a hash is refused because weak ones are allowed"),
        (Err(strict), Ok(_)) => assert_eq!(*strict, HashError::Weak),
        (Err(_), Err(_)) => {}
    }
    let Ok(hash) = lenient else {
        return;
    };
    assert!(!hash.kind().is_empty());
    if !text.trim_start().starts_with('{') {
        within_limits(text.trim());
    }
    let padded = PasswordHash::parse(&format!(" {text}\n"), true);
    assert!(text.len() > 4_000 || padded.is_ok_and(|padded| padded.kind() == hash.kind()));
    let password = Secret::new(input.text().into_owned());
    if is_verified && hash.afford(&password).is_ok() {
        let found = hash.verify(&password);
        assert!(
            found == PasswordMatch::Mismatch || is_of(&text, password.expose()),
            "a password of another hash"
        );
    }
}

/// The parameters in the text, read once more, in any order.
fn within_limits(text: &str) {
    let parts: Vec<&str> = text.split('$').collect();
    let number = |text: &str| text.parse::<u64>().ok();
    // Numbers after these names, such as `m=65536,t=3,p=4`.
    let named = |part: &str, name: &str| {
        let mut values = part.split(',').filter_map(|one| one.split_once('='));
        let found = values.find(|(known, _)| *known == name);
        found.and_then(|(_, value)| number(value))
    };
    for (at, scheme) in parts.iter().enumerate() {
        let after = |distance: usize| parts.get(at + distance).copied().unwrap_or_default();
        match *scheme {
            "2a" | "2b" | "2x" | "2y" => {
                let cost = number(after(1));
                assert!(cost.is_none_or(|cost| cost <= MAX_BCRYPT_COST), "{text}");
            }
            "argon2id" | "argon2i" | "argon2d" => {
                let numbers = if after(1).starts_with("v=") {
                    after(2)
                } else {
                    after(1)
                };
                let of = |name| named(numbers, name);
                if let (Some(memory), Some(passes), Some(lanes)) = (of("m"), of("t"), of("p")) {
                    let work = memory.saturating_mul(passes);
                    assert!(
                        memory <= MAX_ARGON2_KIB && lanes <= MAX_ARGON2_LANES,
                        "{text}"
                    );
                    assert!(work <= MAX_ARGON2_KIB_PASSES, "{text}");
                }
            }
            "scrypt" | "fbscrypt" | "firescrypt" => {
                let of = |name| named(after(1), name);
                let power = |log_n: u64| 1_u64.checked_shl(u32::try_from(log_n).ok()?);
                let n = match (*scheme, of("ln"), of("n")) {
                    ("fbscrypt", _, Some(log_n)) => power(log_n),
                    ("scrypt", None, Some(n)) => Some(n),
                    // Kratos writes N itself into `ln`.
                    ("scrypt", Some(n), _) if n >= 1_024 => Some(n),
                    (_, Some(log_n), _) => power(log_n),
                    _ => continue,
                };
                if let (Some(r), Some(p)) = (of("r"), of("p")) {
                    within_limits_of_scrypt(n.unwrap_or(u64::MAX), r, p, text);
                }
            }
            "5" | "6" if at == 1 => {
                let rounds = after(1).strip_prefix("rounds=").and_then(number);
                assert!(rounds.is_none_or(|rounds| rounds <= MAX_ROUNDS), "{text}");
            }
            scheme if at <= 1 && scheme.starts_with("pbkdf2") => {
                let written = scheme.rsplit(':').next().and_then(number);
                let written = written.or(number(after(1))).or(named(after(1), "i"));
                let is_within = written.is_none_or(|number| number <= MAX_PBKDF2_ITERATIONS);
                assert!(is_within, "{text}");
            }
            scheme if at == 0 && scheme.starts_with("scrypt:") => {
                let numbers: Vec<u64> = scheme.split(':').filter_map(number).collect();
                if let [n, r, p] = *numbers {
                    within_limits_of_scrypt(n, r, p, text);
                }
            }
            _ => {}
        }
    }
}

fn within_limits_of_scrypt(n: u64, r: u64, p: u64, text: &str) {
    let blocks = n.saturating_mul(r);
    assert!(blocks.saturating_mul(128) <= MAX_SCRYPT_BYTES, "{text}");
    assert!(blocks.saturating_mul(p) <= MAX_SCRYPT_BLOCKS, "{text}");
}

/// Whether the text is a known hash of this password, changed or not: nothing else can fit it.
fn is_of(text: &str, password: &str) -> bool {
    let text = text.to_ascii_lowercase();
    known().iter().any(|(hash, known)| {
        let hash = hash.to_ascii_lowercase();
        let mut parts = hash.as_bytes().windows(COMMON);
        known == password
            && parts.any(|part| std::str::from_utf8(part).is_ok_and(|part| text.contains(part)))
    })
}

/// A known hash with changes: fields `place`, `length`, new text.
fn spliced(input: &mut Input<'_>) -> String {
    let at = input.below(64) * 64 + input.below(64);
    let (hash, _) = &known()[at % known().len()];
    let mut hash = hash.clone();
    for _ in 0..input.below(4) {
        let at = input.below(64) * 4 + input.below(4);
        let length = input.below(32);
        let new = input.text();
        let mut bounds = [at, at + length].map(|at| at.min(hash.len()));
        for bound in &mut bounds {
            while !hash.is_char_boundary(*bound) {
                *bound -= 1;
            }
        }
        hash.replace_range(bounds[0]..bounds[1], &new);
    }
    hash
}
